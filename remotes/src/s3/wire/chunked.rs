//! Payloads in chunks, of answers that are kept in memory: S3 answers a copy like this, which it takes a while for.

/// Reads chunks in any fragmentation. Whoever feeds it bounds the bytes.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of the chunk that are still to come.
    left: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the length of a chunk.
    #[default]
    Start,
    /// In its length, which is hexadecimal.
    Digits,
    /// What may stand behind the length, up to the end of its line.
    Extension,
    /// The line feed behind the length.
    Line,
    Data,
    /// The carriage return behind a chunk.
    DataEnd,
    /// Its line feed.
    DataLine,
    /// The beginning of a line behind the last chunk: the empty one is the end.
    Trailer,
    /// In such a line.
    InTrailer,
    /// Its line feed.
    TrailerLine,
    /// The line feed of the empty one.
    LastLine,
    End,
}

/// The bytes are not chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunked {
    /// Reads the next `bytes` and appends what is in them to `out`. Gives how many belong to the payload: all but what is
    /// behind its end.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut next = 0;
        while let Some(&byte) = bytes.get(next) {
            match self.at {
                At::End => break,
                At::Data => {
                    let rest = &bytes[next..];
                    let n = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    out.extend_from_slice(&rest[..n]);
                    self.left -= n as u64;
                    next += n;
                    if self.left == 0 {
                        self.at = At::DataEnd;
                    }
                    continue;
                }
                _ => self.at = self.after(byte)?,
            }
            next += 1;
        }
        Ok(next)
    }

    /// Whether the last chunk and the lines behind it were read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Where it is after a byte that is no data.
    fn after(&mut self, byte: u8) -> Result<At, Malformed> {
        Ok(match (&self.at, byte) {
            (At::Start | At::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                self.left = self.left.checked_mul(16).and_then(|left| left.checked_add(digit)).ok_or(Malformed)?;
                At::Digits
            }
            (At::Digits | At::Extension, b'\r') => At::Line,
            (At::Digits, b';' | b' ' | b'\t') => At::Extension,
            (At::Extension, 0x20..=0x7e | b'\t' | 0x80..) => At::Extension,
            (At::Line, b'\n') if self.left > 0 => At::Data,
            (At::Line, b'\n') => At::Trailer,
            (At::DataEnd, b'\r') => At::DataLine,
            (At::DataLine, b'\n') => At::Start,
            (At::Trailer, b'\r') => At::LastLine,
            (At::LastLine, b'\n') => At::End,
            (At::InTrailer, b'\r') => At::TrailerLine,
            (At::TrailerLine, b'\n') => At::Trailer,
            (At::Trailer | At::InTrailer, 0x20..=0x7e | b'\t' | 0x80..) => At::InTrailer,
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in `bytes`, fed in pieces of `size`, and how many of them belong to it. `None` where it does not end.
    fn read(bytes: &[u8], size: usize) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
        let (mut chunked, mut out, mut taken) = (Chunked::default(), Vec::new(), 0);
        for piece in bytes.chunks(size) {
            taken += chunked.push(piece, &mut out)?;
        }
        Ok(chunked.is_at_end().then_some((out, taken)))
    }

    #[test]
    fn chunks_are_read_whatever_the_fragmentation() {
        let long = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, "x".repeat(70_000));
        let long_out = "x".repeat(70_000);
        for (bytes, expected) in [
            ("0\r\n\r\n", ""),
            ("4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n", "Wikipedia"),
            ("A;name=value\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
            ("1 \r\n \r\n2\r\n\r\n\r\n0\r\nExpires: never\r\nX: y\r\n\r\n", " \r\n"),
            (&long, &long_out),
        ] {
            for size in [1, 2, 3, 7, 4096, bytes.len() + 9] {
                let behind = format!("{bytes}HTTP/1.1");
                let read = read(behind.as_bytes(), size).expect("chunks");
                assert_eq!(read, Some((expected.as_bytes().to_vec(), bytes.len())), "{size}");
            }
            for end in (0..bytes.len()).filter(|end| *end < 100 || end % 997 == 0) {
                assert_eq!(read(&bytes.as_bytes()[..end], 5), Ok(None), "cut at {end}");
            }
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bytes in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "4\nWiki\r\n",
            "4\r\nWikipedia\r\n0\r\n\r\n",
            "0\r\n\rx",
            "0\r\nname\nx\r\n\r\n",
            "10000000000000000\r\n",
            "4;\u{0}\r\nWiki\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(bytes.as_bytes(), 3), Err(Malformed), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn fragmentation_changes_nothing(bytes in "[0-9a-fx;\r\n]{0,60}", size in 1_usize..9) {
            proptest::prop_assert_eq!(read(bytes.as_bytes(), size), read(bytes.as_bytes(), 100));
        }
    }
}
