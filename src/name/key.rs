//! A key whose bytes git-annex would take for one.

use std::fmt;
use std::sync::Arc;

/// A git-annex key: `BACKEND[-sBYTES][-mTIME][-SBYTES][-CN]--NAME`, in the one order git-annex itself reads.
///
/// Any bytes may stand in the name but newline and NUL; it may be empty. Numbers are written without leading zeros, as
/// git-annex writes them to disk: keys that differ in nothing else are the same. Cheap to clone. Source:
/// `internals/key_format`, and what git-annex 10.20261026 was seen to accept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

/// These bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError;

/// What follows the first dot of a name may be this long, with the dot, where the backend's name ends in `E`.
const LONGEST_EXTENSION: usize = 64;

impl Key {
    /// Longest key taken, in bytes: far more than a file name holds, which is what ends it in practice.
    pub const LONGEST: usize = 4096;

    /// Checks `bytes`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] where git-annex would not read them as a key either; and for a NUL, which no file name can hold,
    /// more than [`LONGEST`](Self::LONGEST) bytes, and a time of more than 63 bits, which git-annex makes another time
    /// of.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > Self::LONGEST || bytes.contains(&b'\n') || bytes.contains(&0) {
            return Err(KeyError);
        }
        let end = bytes.iter().position(|byte| *byte == b'-').filter(|at| *at > 0).ok_or(KeyError)?;
        let (backend, mut rest) = bytes.split_at(end);
        let mut plain = backend.to_vec();
        for letter in *b"smSC" {
            let [b'-', field, tail @ ..] = rest else { return Err(KeyError) };
            if *field != letter {
                continue;
            }
            let end = tail.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(tail.len());
            let (digits, tail) = tail.split_at(end);
            let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
            let digits = &digits[zeros.min(digits.len().checked_sub(1).ok_or(KeyError)?)..];
            if letter == b'm' && number(digits) > i64::MAX.cast_unsigned() {
                return Err(KeyError);
            }
            plain.extend_from_slice(&[b'-', letter]);
            plain.extend_from_slice(digits);
            rest = tail;
        }
        let Some(name) = rest.strip_prefix(b"--") else { return Err(KeyError) };
        let dot = name.iter().position(|byte| *byte == b'.').unwrap_or(name.len());
        if backend.ends_with(b"E") && backend != b"GITBUNDLE" && name.len() - dot > LONGEST_EXTENSION {
            return Err(KeyError);
        }
        plain.extend_from_slice(rest);
        Ok(Self(plain.into()))
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

    /// Length in bytes of the content, where the key tells; of the whole, for a chunk. `u64::MAX` for any that is larger,
    /// which no content has.
    pub fn size(&self) -> Option<u64> {
        let digits = self.fields().strip_prefix(b"-s")?;
        let end = digits.iter().position(|byte| *byte == b'-').unwrap_or(digits.len());
        Some(number(&digits[..end]))
    }

    /// Length in bytes of exactly the content of this key, where the key tells: not for a chunk, of which
    /// [`size`](Self::size) is that of the whole.
    pub fn content_len(&self) -> Option<u64> {
        self.size().filter(|_| !self.is_chunk())
    }

    /// Whether this is a chunk of another key's content, as they lie on chunked remotes.
    pub fn is_chunk(&self) -> bool {
        self.fields().iter().any(|byte| matches!(byte, b'S' | b'C'))
    }

    /// What stands between backend and name: `-s42-m5`.
    fn fields(&self) -> &[u8] {
        let rest = &self.0[self.backend().len()..];
        &rest[..rest.windows(2).position(|pair| pair == b"--").unwrap_or(rest.len())]
    }
}

/// What the digits say, or `u64::MAX` where that is more.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
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

    /// What git-annex 10.20261026 answered to `CHECKPRESENT KEY` on p2pstdio: FAILURE for a key, and an error for what is none.
    #[test]
    fn keys_are_told_from_other_bytes_as_git_annex_does() {
        for bytes in [
            &b"A--"[..],
            b"A---",
            b"A----",
            b"A--x",
            b"A---x",
            b"A-s1--",
            b"A-s1--x",
            b"A-s99999999999999999999999999999--x",
            b"A-m1--x",
            b"A-s1-m1--x",
            b"A-S1-C1--x",
            b"A-S1--x",
            b"A-C1--x",
            b"A-s1-S1--x",
            b"A-s1-C1--x",
            b"A-s1-m1-S1-C1--x",
            b"A-s1-S1-C0--x",
            b"A-s1-S1-C99999999999999999999--x",
            b"a--x",
            b"a b--x",
            b"A.B--x",
            b"A/B--x",
            b"../../x-s1--foo",
            b"A&B--x",
            b"\xc3\xa9--x",
            b"A\xff--x",
            b"1--x",
            b"A\t--x",
            b" A--x",
            b"A--x y",
            b"A--\xff\xfe",
            b"A--x/y",
            b"A--..",
            b"A-- ",
            b"A--x\ry",
            b"SHA256--x",
            b"SHA256E--.",
            b"S--x",
            b"WORM-s4-m1795395118--sub/f",
            b"URL--http://host/-s5--x",
        ] {
            let key = Key::parse(bytes);
            assert_eq!(key.as_ref().map(Key::as_bytes), Ok(bytes), "{}", bytes.escape_ascii());
        }
        for bytes in [
            &b""[..],
            b"-",
            b"--",
            b"---",
            b"--x",
            b"-E--x",
            b"A",
            b"A-",
            b"A-s1",
            b"A-s1-",
            b"A-s--x",
            b"A-s-1--x",
            b"A-s+1--x",
            b"A-s0x1--x",
            b"A-s1 --x",
            b"A-s 1--x",
            b"A-m-1--x",
            b"A-m1.5--x",
            b"A-m1-s1--x",
            b"A-C1-S1--x",
            b"A-S1-C1-s1--x",
            b"A-s1-s2--x",
            b"A-q1--x",
            b"A-s1-q1--x",
            b"A-s1-S-C1--x",
            b"A-s1-S1-C--x",
            b"notakey",
            // Where it differs, as told at `parse`.
            b"A--x\x00y",
            b"A-m9223372036854775808--x",
        ] {
            assert_eq!(Key::parse(bytes), Err(KeyError), "{}", bytes.escape_ascii());
        }
        assert_eq!(Key::parse(&[&b"A--"[..], &[b'x'; Key::LONGEST]].concat()), Err(KeyError));
    }

    /// Recorded: the longest extension git-annex took for each, found by halving.
    #[test]
    fn extensions_end_where_git_annex_ends_them() {
        let digest = "9f".repeat(32);
        for (start, piece, most) in [
            ("SHA256E-s1--x.", "e", Some(63)),
            ("SHA256E-s1--x", ".e", Some(32)),
            ("SHA256E--x.", "\u{e9}", Some(31)),
            ("SHA256E--.", "c", Some(63)),
            ("SHA256E--x.b.", "c", Some(61)),
            ("XYZE-s1--x.", "e", Some(63)),
            ("sha256E--x.", "e", Some(63)),
            ("WORME--x.", "e", Some(63)),
            ("E--x.", "e", Some(63)),
            ("SHA256E-s1--x", "z", None),
            ("SHA256-s1--x.", "e", None),
            ("WORM--x.", "e", None),
            ("VURL--x.", "e", None),
            ("GITBUNDLE--x.", "e", None),
        ] {
            let key = |count: usize| Key::parse(format!("{start}{}", piece.repeat(count)).as_bytes());
            let most = most.map_or((3000 / piece.len(), true), |most| (most, false));
            assert!(key(most.0).is_ok(), "{start}");
            assert_eq!(key(most.0 + 1).is_ok(), most.1, "{start}");
        }
        assert!(Key::parse(format!("SHA256E-s1--{digest}.{}", "e".repeat(63)).as_bytes()).is_ok());
        assert!(Key::parse(format!("SHA256E-s1--{digest}.{}", "e".repeat(64)).as_bytes()).is_err());
    }

    /// Recorded: content sent for the first of each was then found under the second.
    #[test]
    fn numbers_lose_their_leading_zeros() {
        for (sent, stored) in [
            ("WORM-s01--zero", "WORM-s1--zero"),
            ("WORM-s00--zero", "WORM-s0--zero"),
            ("A-s007-m08-S009-C010--x-s01", "A-s7-m8-S9-C10--x-s01"),
        ] {
            assert_eq!(Key::parse(sent.as_bytes()).expect("a key").as_bytes(), stored.as_bytes());
        }
    }

    #[test]
    fn lengths_are_those_of_the_content() {
        for (bytes, size, content) in [
            ("SHA256E-s42--9f.txt", Some(42), Some(42)),
            ("WORM-s4-m1795395118--sub/f", Some(4), Some(4)),
            ("XYZ--foo", None, None),
            ("URL--http://host/-s5--x", None, None),
            ("SHA256E-s3000-S1024-C1--9f", Some(3000), None),
            ("A-s1--S", Some(1), Some(1)),
            ("S-s1--x", Some(1), Some(1)),
            ("A-s99999999999999999999--x", Some(u64::MAX), Some(u64::MAX)),
        ] {
            let key = Key::parse(bytes.as_bytes()).expect("a key");
            assert_eq!((key.size(), key.content_len()), (size, content), "{key}");
        }
    }

    #[test]
    fn parts_are_what_stands_between_the_dashes() {
        let key = Key::parse(b"SHA256E-s42--9f--x.txt").expect("a key");
        assert_eq!((key.backend(), key.name()), (&b"SHA256E"[..], &b"9f--x.txt"[..]));
        let key = Key::parse(b"A----x").expect("a key");
        assert_eq!((key.backend(), key.name()), (&b"A"[..], &b"--x"[..]));
    }
}
