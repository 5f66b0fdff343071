//! What a key's backend promises of its content, and proof of it.

mod hash;
#[cfg(test)]
mod tests;

use crate::name::Key;
use hash::Running;
use xxhash_rust::xxh3::xxh3_64;

/// How content that claims to be a key's can be proven to be it, before a byte of it has been read.
#[derive(Debug)]
pub enum Verification {
    /// By its digest.
    Digest(Verifier),
    /// The key has no digest (WORM, URL, ...): its size, where it tells one, is all there is.
    SizeOnly,
    /// The key has a digest that git-annex can compute and this program cannot ([`UNKNOWN_HASHES`]). Content of such a
    /// key must not be taken for proven.
    Impossible,
}

/// Compares content, as it passes, with the digest in a key. The length is not its business.
pub struct Verifier {
    running: Box<dyn Running>,
    expected: Box<[u8]>,
}

/// Version of what [`Verifier::save`] gives. To be raised when a crate of a hash writes its state otherwise.
const STATE: u8 = 1;

/// Hashes of git-annex that no crate at hand computes. Each also exists with an `E`.
pub const UNKNOWN_HASHES: &[&str] = &["SKEIN256", "SKEIN512", "BLAKE2BP512", "BLAKE2SP224", "BLAKE2SP256"];

/// Bundles of git-remote-annex: `GITBUNDLE-s3--UUID-DIGEST`.
const BUNDLE: &[u8] = b"GITBUNDLE";

impl Verification {
    /// The proof that `key` asks for.
    pub fn for_key(key: &Key) -> Self {
        match (Verifier::for_key(key), hash_of(key.backend())) {
            (Some(verifier), _) => Self::Digest(verifier),
            (None, Some(_)) => Self::Impossible,
            (None, None) => Self::SizeOnly,
        }
    }
}

impl Verifier {
    /// A verifier that has seen nothing yet. `None` where `key` has no digest, or none that can be computed here:
    /// [`Verification::for_key`] tells these apart.
    pub fn for_key(key: &Key) -> Option<Self> {
        let running = (hash::named(hash_of(key.backend())?)?.start)();
        Some(Self { running, expected: digest_in(key).into() })
    }

    /// What it has seen, in few bytes, for [`restore`](Self::restore) in this process or another. `None` where the hash of
    /// this key cannot be saved: BLAKE2, BLAKE3 and XXH3.
    pub fn save(&self) -> Option<Vec<u8>> {
        let state = self.running.save()?;
        Some([&[STATE][..], &xxh3_64(&state).to_le_bytes(), &state].concat())
    }

    /// The verifier for `key` that was saved, as it was then. `None` where these bytes are not of one for a key with this hash.
    pub fn restore(key: &Key, state: &[u8]) -> Option<Self> {
        let (version, state) = state.split_first()?;
        let (sum, state) = state.split_first_chunk()?;
        // Some crates panic on a state that none of theirs can be in.
        if *version != STATE || xxh3_64(state).to_le_bytes() != *sum {
            return None;
        }
        let running = (hash::named(hash_of(key.backend())?)?.restore)(state)?;
        Some(Self { running, expected: digest_in(key).into() })
    }

    /// The next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.running.update(bytes);
    }

    /// Whether the bytes seen are the key's.
    pub fn finish(self) -> bool {
        let digest = self.running.finish();
        // git-annex writes lower case and compares bytes, so a key in upper case has no content there either.
        self.expected.len() == digest.len() * 2
            && digest.iter().zip(self.expected.chunks_exact(2)).all(|(byte, pair)| pair == hex(*byte))
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({})", self.expected.escape_ascii())
    }
}

/// The hash a backend is made of, whether it can be computed here or not. `None` where git-annex knows of none.
fn hash_of(backend: &[u8]) -> Option<&[u8]> {
    let known = |name: &[u8]| hash::named(name).is_some() || UNKNOWN_HASHES.iter().any(|hash| hash.as_bytes() == name);
    if backend == BUNDLE {
        return Some(b"SHA256");
    }
    let plain = Some(backend).filter(|name| known(name));
    plain.or_else(|| backend.strip_suffix(b"E").filter(|name| known(name)))
}

/// Where the digest stands in the name of a key that has one.
fn digest_in(key: &Key) -> &[u8] {
    let name = key.name();
    if key.backend() == BUNDLE {
        return name.rsplit(|byte| *byte == b'-').next().unwrap_or(name);
    }
    // An extension is no part of it, nor, seen to be let off by git-annex, one backslash before it.
    let end = name.iter().position(|byte| *byte == b'.').unwrap_or(name.len());
    let digest = &name[..end];
    digest.strip_prefix(b"\\").unwrap_or(digest)
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}
