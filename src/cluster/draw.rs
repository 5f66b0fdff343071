//! An order drawn pseudo-randomly from a key.

use sha2::{Digest, Sha256};

use crate::name::{Key, Uuid};

/// A number for each node, which is another for another key: who has the least comes first. Nodes that are alike share keys
/// evenly by it, and one that is left out changes nothing about the order of the others.
pub(super) fn lot(key: &Key, uuid: &Uuid) -> [u8; 32] {
    // A NUL is in no key: no two pairs are the same bytes.
    Sha256::new().chain_update(key.as_bytes()).chain_update([0]).chain_update(uuid.as_bytes()).finalize().into()
}
