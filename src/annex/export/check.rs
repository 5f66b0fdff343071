//! Proof that a file of an exported tree has the content of its key.

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::pointer::blob_of;
use crate::annex::backend::Verifier;
use crate::annex::branch::GitId;
use crate::name::Key;

/// Compares content, as it passes, with a key: one with a digest, or one of a file of git, whose name is a digest too.
pub enum Check {
    /// A key of git-annex.
    Key(Verifier),
    /// A file of git, after its head.
    Blob(Box<Sum>, GitId),
}

/// What git names a file by.
pub enum Sum {
    /// As git always has.
    Sha1(Sha1),
    /// In repositories made with `--object-format=sha256`.
    Sha256(Sha256),
}

impl Sum {
    /// The one whose names are as long as `id`.
    fn of(id: GitId) -> Self {
        if id.as_bytes().len() == 20 { Self::Sha1(Sha1::new()) } else { Self::Sha256(Sha256::new()) }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(sum) => sum.update(bytes),
            Self::Sha256(sum) => sum.update(bytes),
        }
    }

    fn is(self, id: GitId) -> bool {
        match self {
            Self::Sha1(sum) => sum.finalize().as_slice() == id.as_bytes(),
            Self::Sha256(sum) => sum.finalize().as_slice() == id.as_bytes(),
        }
    }
}

impl Check {
    /// The proof that content of so many bytes is that of `key`. `None` where nothing proves it: a key without a digest, or
    /// with one that cannot be computed here.
    pub fn of(key: &Key, len: u64) -> Option<Self> {
        match blob_of(key) {
            Some(blob) => {
                let mut sum = Sum::of(blob);
                sum.update(format!("blob {len}\0").as_bytes());
                Some(Self::Blob(Box::new(sum), blob))
            }
            None => Verifier::for_key(key).map(Self::Key),
        }
    }

    /// Whether there is such a proof.
    pub fn is_known(key: &Key) -> bool {
        Self::of(key, 0).is_some()
    }

    /// The next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Key(verifier) => verifier.update(bytes),
            Self::Blob(sum, _) => sum.update(bytes),
        }
    }

    /// Whether the bytes seen are the key's.
    pub fn finish(self) -> bool {
        match self {
            Self::Key(verifier) => verifier.finish(),
            Self::Blob(sum, blob) => sum.is(blob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_proven_by_what_its_key_tells() {
        let told = |key: &str, content: &[u8]| {
            let mut check = Check::of(&Key::parse(key.as_bytes()).expect("a key"), content.len() as u64)?;
            content.chunks(3).for_each(|part| check.update(part));
            Some(check.finish())
        };
        // `printf 'hello\n' | git hash-object --stdin`
        let blob = "GIT--ce013625030ba8dba906f756967f9e9ca394464a";
        // The same in a repository of SHA-256.
        let longer = "GIT--2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4";
        let sum = "MD5-s6--b1946ac92492d2347c6235b4d2611184";
        for key in [blob, longer, sum] {
            assert_eq!(told(key, b"hello\n"), Some(true), "{key}");
            assert_eq!(told(key, b"hallo\n"), Some(false), "{key}");
        }
        assert_eq!(told("WORM-s6-m1--hello", b"hello\n"), None);
        assert_eq!(told("GIT-s6--hello", b"hello\n"), None);
    }
}
