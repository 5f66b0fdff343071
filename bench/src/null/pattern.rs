//! Content that is made up as it is sent: one block again and again, with a tail of its own for each key.

use sha2::{Digest, Sha256};
use std::io::{self, Write};

const BLOCK: usize = 1 << 20;
const TAIL: usize = 64;

/// A block that does not compress, repeated.
pub struct Pattern {
    block: Vec<u8>,
}

/// Keys of contents that are equal but for their last bytes, so that one long hash serves them all.
pub struct Keys {
    len: u64,
    common: Sha256,
}

impl Pattern {
    /// The pattern; always the same.
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let word = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        Self { block: (0..BLOCK / 8).flat_map(word).collect() }
    }

    /// Writes `len` bytes of it from offset `from`. Errors: those of `to`.
    pub fn write(&self, to: &mut impl Write, from: u64, len: u64) -> io::Result<()> {
        let (mut at, end) = (from, from + len);
        while at < end {
            let begin = (at % BLOCK as u64) as usize;
            let take = (BLOCK - begin).min(usize::try_from(end - at).unwrap_or(BLOCK));
            to.write_all(&self.block[begin..begin + take])?;
            at += take as u64;
        }
        Ok(())
    }

    /// Whether `bytes` are what it has from offset `from`.
    pub fn has(&self, from: u64, bytes: &[u8]) -> bool {
        let (mut at, mut rest) = ((from % BLOCK as u64) as usize, bytes);
        while !rest.is_empty() {
            let take = (BLOCK - at).min(rest.len());
            if rest[..take] != self.block[at..at + take] {
                return false;
            }
            (at, rest) = (0, &rest[take..]);
        }
        true
    }

    /// The SHA-256 key of its first `len` bytes.
    pub fn key(&self, len: u64) -> String {
        key(len, self.hash(len))
    }

    /// Keys of contents of `len` bytes, which are 64 at least.
    pub fn keys(&self, len: u64) -> Keys {
        Keys { len, common: self.hash(len - TAIL as u64) }
    }

    /// Writes content `number` of `keys`. Errors: those of `to`.
    pub fn write_numbered(&self, to: &mut impl Write, keys: &Keys, number: usize) -> io::Result<()> {
        self.write(to, 0, keys.len - TAIL as u64)?;
        to.write_all(&tail(number))
    }

    fn hash(&self, len: u64) -> Sha256 {
        let mut hash = Hashing(Sha256::new());
        self.write(&mut hash, 0, len).expect("hashing cannot fail");
        hash.0
    }
}

impl Keys {
    /// The SHA-256 key of content `number`.
    pub fn key(&self, number: usize) -> String {
        let mut hash = self.common.clone();
        hash.update(tail(number));
        key(self.len, hash)
    }

    /// Bytes of each content.
    pub fn len(&self) -> u64 {
        self.len
    }
}

fn tail(number: usize) -> [u8; TAIL] {
    let mut tail = [b'.'; TAIL];
    tail[..8].copy_from_slice(&(number as u64).to_le_bytes());
    tail
}

fn key(len: u64, hash: Sha256) -> String {
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("SHA256-s{len}--{digest}")
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_content_has_the_key_of_its_number() {
        let pattern = Pattern::new();
        let keys = pattern.keys(3_000_000);
        for number in [0, 7] {
            let mut bytes = Vec::new();
            pattern.write_numbered(&mut bytes, &keys, number).expect("memory");
            assert_eq!(bytes.len() as u64, keys.len());
            assert_eq!(key(3_000_000, Sha256::new_with_prefix(&bytes)), keys.key(number));
        }
        assert_ne!(keys.key(0), keys.key(7));
    }

    #[test]
    fn any_offset_begins_where_the_whole_has_it() {
        let pattern = Pattern::new();
        let (mut whole, mut end) = (Vec::new(), Vec::new());
        pattern.write(&mut whole, 0, 2_500_000).expect("memory");
        pattern.write(&mut end, 1_234_567, 2_500_000 - 1_234_567).expect("memory");
        assert_eq!(&whole[1_234_567..], &end);
    }
}
