//! git's packets: four hexadecimal digits with the length of what follows and of themselves, or `0000` for an end.

/// Longest packet, with its length.
pub const LONGEST: usize = 65520;

/// What ends a section, and the whole.
pub const FLUSH: &[u8] = b"0000";

/// The band with words for people.
const WORDS: u8 = 2;

/// A packet, or the end of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// What is in it.
    Data(&'a [u8]),
    /// `0000`
    Flush,
}

/// These are no packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPacket;

/// Cuts a packet off the front of `bytes`: the packet and its length, or `None` where its end has not come.
///
/// # Errors
///
/// [`BadPacket`]. Other ends than `0000` are such, too: nothing that is read here has them.
pub fn parse(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, BadPacket> {
    let Some(digits) = bytes.get(..4) else { return Ok(None) };
    let length = number(digits).ok_or(BadPacket)?;
    match length {
        0 => Ok(Some((Packet::Flush, 4))),
        4..=LONGEST => Ok(bytes.get(4..length).map(|data| (Packet::Data(data), length))),
        _ => Err(BadPacket),
    }
}

/// The number that digits are, and nothing but digits: no sign.
fn number(digits: &[u8]) -> Option<usize> {
    let digit = |number: usize, digit: &u8| Some(number << 4 | char::from(*digit).to_digit(16)? as usize);
    digits.iter().try_fold(0, digit)
}

/// Appends a packet. Panics where `data` is too long for one.
pub fn write(data: &[u8], out: &mut Vec<u8>) {
    assert!(data.len() + 4 <= LONGEST, "a packet of {} bytes", data.len());
    out.extend_from_slice(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend_from_slice(data);
}

/// Appends words for people as a client with `side-band-64k` shows them. Without words it only shows that somebody is there.
pub fn write_words(words: &[u8], out: &mut Vec<u8>) {
    if words.is_empty() {
        return write(&[WORDS], out);
    }
    for piece in words.chunks(LONGEST / 2) {
        write(&[&[WORDS], piece].concat(), out);
    }
}

/// Holds back the end of a stream of packets, so that more can be said before it.
///
/// What is no stream of packets passes as it is.
#[derive(Debug, Default)]
pub struct BeforeTheEnd {
    /// Bytes of this packet that are still to come.
    left: usize,
    /// What has come of a length.
    digits: Vec<u8>,
    /// There is a `0000`, and nothing behind it as yet.
    ends: bool,
    foreign: bool,
}

impl BeforeTheEnd {
    /// Passes `bytes` on to `out`, but for what may be the end.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.ends) {
                out.extend_from_slice(FLUSH);
            }
            if self.foreign {
                out.extend_from_slice(bytes);
                return;
            }
            if self.left > 0 {
                let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
                out.extend_from_slice(piece);
                self.left -= piece.len();
                bytes = rest;
                continue;
            }
            self.digits.push(bytes[0]);
            bytes = &bytes[1..];
            if self.digits.len() == 4 {
                let digits = std::mem::take(&mut self.digits);
                match number(&digits) {
                    Some(0) => self.ends = true,
                    Some(length @ 4..=LONGEST) => {
                        self.left = length - 4;
                        out.extend_from_slice(&digits);
                    }
                    _ => {
                        self.foreign = true;
                        out.extend_from_slice(&digits);
                    }
                }
            }
        }
    }

    /// Whether an end was held back.
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// Nothing more comes: what was held back, but for the end where `ends` told of one.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_cut_off_whole() {
        assert_eq!(parse(b"0009hello0000"), Ok(Some((Packet::Data(b"hello"), 9))));
        assert_eq!(parse(b"0000rest"), Ok(Some((Packet::Flush, 4))));
        assert_eq!(parse(b"0004"), Ok(Some((Packet::Data(b""), 4))));
        for part in ["", "000", "0009hell"] {
            assert_eq!(parse(part.as_bytes()), Ok(None), "{part}");
        }
        for bad in ["0001", "0002", "0003", "+009hello", "fff1", "ffff", "00 9"] {
            assert_eq!(parse(bad.as_bytes()), Err(BadPacket), "{bad}");
        }
        let mut out = Vec::new();
        write(b"hello", &mut out);
        write_words(b"", &mut out);
        write_words(b"hi\n", &mut out);
        assert_eq!(out, b"0009hello0005\x020008\x02hi\n");
    }

    #[test]
    fn nothing_but_the_last_end_is_held_back() {
        for (stream, passed, ends) in [
            (&b"0009hello0000"[..], &b"0009hello"[..], true),
            (b"0006he00000007\x01un0000", b"0006he00000007\x01un", true),
            (b"00000000", b"0000", true),
            (b"0009hello", b"0009hello", false),
            (b"0009hel", b"0009hel", false),
            (b"00000", b"00000", false),
            (b"zzzz0000", b"zzzz0000", false),
            (b"+0000005", b"+0000005", false),
            (b"", b"", false),
        ] {
            for size in 1..=stream.len().max(1) {
                let (mut held, mut out) = (BeforeTheEnd::default(), Vec::new());
                stream.chunks(size).for_each(|piece| held.push(piece, &mut out));
                assert_eq!(held.ends(), ends, "{}", stream.escape_ascii());
                held.finish(&mut out);
                assert_eq!(out, passed, "{}", stream.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_lost_or_made(stream in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
            let (mut held, mut out) = (BeforeTheEnd::default(), Vec::new());
            stream.chunks(size).for_each(|piece| held.push(piece, &mut out));
            let ends = held.ends();
            held.finish(&mut out);
            if ends {
                out.extend_from_slice(FLUSH);
            }
            prop_assert_eq!(out, stream);
        }
    }
}
