//! The hashes behind the backends, by the name git-annex gives them.

use blake2::digest::common::hazmat::{SerializableState, SerializedState};
use blake2::digest::consts::{U20, U28, U32, U48, U64};
use blake2::{Blake2b, Blake2s, Digest};

/// A hash that is being computed.
pub trait Running: Send + Sync {
    /// Takes the next bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Its state, to go on from later, by another process too. `None` where it cannot be saved.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }
    /// The digest of all of them.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// A kind of hash.
#[derive(Clone, Copy)]
pub struct Hash {
    /// Starts one.
    pub start: fn() -> Box<dyn Running>,
    /// Goes on with one that was saved; nothing where these bytes are not what [`Running::save`] gave.
    pub restore: fn(&[u8]) -> Option<Box<dyn Running>>,
}

/// The hash `name`, which is a backend without its `E`. `None` where it is unknown here.
pub fn named(name: &[u8]) -> Option<Hash> {
    let at = HASHES.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
    Some(HASHES[at].1)
}

/// In the order of bytes, to be searched. The crates of some cannot save their state.
const HASHES: &[(&str, Hash)] = &[
    ("BLAKE2B160", plain::<Blake2b<U20>>()),
    ("BLAKE2B224", plain::<Blake2b<U28>>()),
    ("BLAKE2B256", plain::<Blake2b<U32>>()),
    ("BLAKE2B384", plain::<Blake2b<U48>>()),
    ("BLAKE2B512", plain::<Blake2b<U64>>()),
    ("BLAKE2S160", plain::<Blake2s<U20>>()),
    ("BLAKE2S224", plain::<Blake2s<U28>>()),
    ("BLAKE2S256", plain::<Blake2s<U32>>()),
    ("BLAKE3_256", Hash { start: || Box::new(blake3::Hasher::new()), restore: |_| None }),
    ("MD5", kept::<md5::Md5>()),
    ("SHA1", kept::<sha1::Sha1>()),
    ("SHA224", kept::<sha2::Sha224>()),
    ("SHA256", kept::<sha2::Sha256>()),
    ("SHA384", kept::<sha2::Sha384>()),
    ("SHA3_224", kept::<sha3::Sha3_224>()),
    ("SHA3_256", kept::<sha3::Sha3_256>()),
    ("SHA3_384", kept::<sha3::Sha3_384>()),
    ("SHA3_512", kept::<sha3::Sha3_512>()),
    ("SHA512", kept::<sha2::Sha512>()),
    ("XXH3", Hash { start: || Box::new(xxhash_rust::xxh3::Xxh3::new()), restore: |_| None }),
];

const fn plain<D: Digest + Send + Sync + 'static>() -> Hash {
    Hash { start: || Box::new(Plain(D::new())), restore: |_| None }
}

const fn kept<D: Digest + SerializableState + Send + Sync + 'static>() -> Hash {
    Hash {
        start: || Box::new(Kept(D::new())),
        restore: |state| {
            let state = SerializedState::<D>::try_from(state).ok()?;
            Some(Box::new(Kept(D::deserialize(&state).ok()?)))
        },
    }
}

/// A hash whose state can be saved.
struct Kept<D>(D);

impl<D: Digest + SerializableState + Send + Sync> Running for Kept<D> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.0.serialize().to_vec())
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

struct Plain<D>(D);

impl<D: Digest + Send + Sync> Running for Plain<D> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl Running for blake3::Hasher {
    fn update(&mut self, bytes: &[u8]) {
        blake3::Hasher::update(self, bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.finalize().as_bytes().to_vec()
    }
}

impl Running for xxhash_rust::xxh3::Xxh3 {
    fn update(&mut self, bytes: &[u8]) {
        xxhash_rust::xxh3::Xxh3::update(self, bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.digest().to_be_bytes().to_vec()
    }
}
