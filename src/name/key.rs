//! A key whose bytes git-annex would take for one.

use std::fmt;
use std::sync::Arc;

/// A git-annex key: `BACKEND[-sBYTES][-mTIME][-SBYTES-CN]--NAME`, in the one order git-annex itself reads.
///
/// Any bytes may stand in the name but a newline. Cheap to clone. Source: `internals/key_format`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

/// These bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

impl Key {
    /// Longest key taken, in bytes: what fits a file name, with room for the suffixes of lock files.
    pub const LONGEST: usize = 4096;

    /// Checks `bytes`. Errors: [`KeyError`] where git-annex would not read them as a key either.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > Self::LONGEST || bytes.contains(&b'\n') || bytes.contains(&0) {
            return Err(KeyError);
        }
        let backend = bytes.iter().position(|byte| *byte == b'-').filter(|at| *at > 0).ok_or(KeyError)?;
        let mut rest = &bytes[backend..];
        for letter in *b"smSC" {
            rest = match rest {
                [b'-', field, digits @ ..] if *field == letter => {
                    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
                    if end == 0 {
                        return Err(KeyError);
                    }
                    &digits[end..]
                }
                other => other,
            };
        }
        match rest {
            [b'-', b'-', name @ ..] if !name.is_empty() => Ok(Self(bytes.into())),
            _ => Err(KeyError),
        }
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The backend: `SHA256E`.
    pub fn backend(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == b'-').unwrap_or(self.0.len());
        &self.0[..end]
    }

    /// The name, which for a backend that hashes is the digest and perhaps an extension.
    pub fn name(&self) -> &[u8] {
        let at = self.0.windows(2).position(|pair| pair == b"--").map_or(self.0.len(), |at| at + 2);
        &self.0[at..]
    }

    /// Length in bytes of the content, where the key tells.
    pub fn size(&self) -> Option<u64> {
        let rest = self.0[self.backend().len()..].strip_prefix(b"-s")?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a git-annex key")
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_other_bytes() {
        for (bytes, size) in [
            (&b"SHA256E-s42--9f.txt"[..], Some(42)),
            (b"WORM-s4-m1795395118--sub/f", Some(4)),
            (b"XYZ--foo", None),
            (b"URL--http://host/-s5--x", None),
            (b"SHA256E-s3000-S1024-C1--9f", Some(3000)),
            (b"WORM-s1--\xff\xfe", Some(1)),
        ] {
            let key = Key::parse(bytes).expect("a key");
            assert_eq!(key.size(), size, "{key}");
            assert_eq!(key.as_bytes(), bytes);
        }
        for bytes in [
            &b""[..],
            b"--x",
            b"SHA256",
            b"SHA256-s",
            b"SHA256-s1",
            b"SHA256-s--x",
            b"SHA256-s1--",
            b"A-m1-s1--x",
            b"A-q1--x",
            b"A--x\ny",
        ] {
            assert_eq!(Key::parse(bytes), Err(KeyError), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn parts_are_what_stands_between_the_dashes() {
        let key = Key::parse(b"SHA256E-s42--9f--x.txt").expect("a key");
        assert_eq!((key.backend(), key.name()), (&b"SHA256E"[..], &b"9f--x.txt"[..]));
    }
}
