//! Percent-encoding, as urls have it.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::hex;

/// `%2C` for a comma, and so on: all but letters, digits, `-._~` and what is in `plain`.
pub fn encode(bytes: &[u8], plain: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || plain.contains(byte) {
            out.push(char::from(*byte));
        } else {
            // A string takes all that is written to it.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The bytes that `raw` stands for. A `%` that no two digits follow stands for itself, as it does with git-annex.
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    decode_with(raw, |byte| byte)
}

/// The same of a query, where a `+` is a space. It is one in no path.
pub fn decode_query(raw: &[u8]) -> Cow<'_, [u8]> {
    decode_with(raw, |byte| if byte == b'+' { b' ' } else { byte })
}

/// The same as [`decode`]; `None` where a `%` is not followed by two digits.
pub fn decode_strictly(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let is_malformed = |at: usize| raw[at] == b'%' && digits(&raw[at + 1..]).is_none();
    (!(0..raw.len()).any(is_malformed)).then(|| decode(raw))
}

fn decode_with(raw: &[u8], plain: impl Fn(u8) -> u8) -> Cow<'_, [u8]> {
    if raw.iter().all(|byte| *byte != b'%' && plain(*byte) == *byte) {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match digits(after).filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => out.push(plain(*byte)),
        }
    }
    Cow::Owned(out)
}

/// The byte that two digits at the beginning of `bytes` stand for.
fn digits(bytes: &[u8]) -> Option<u8> {
    hex::byte(bytes.first_chunk()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_stand_for_bytes_or_for_nothing_or_for_themselves() {
        for (text, strictly, leniently) in [
            ("", Some(&b""[..]), &b""[..]),
            ("a%20b%2Fc", Some(b"a b/c"), b"a b/c"),
            ("%ff%FF", Some(b"\xff\xff"), b"\xff\xff"),
            ("%", None, b"%"),
            ("%4", None, b"%4"),
            ("100%zz", None, b"100%zz"),
            ("%%41", None, b"%A"),
            ("%2541", Some(b"%41"), b"%41"),
            ("100%", None, b"100%"),
            ("%ff%00", Some(b"\xff\x00"), b"\xff\x00"),
        ] {
            assert_eq!(decode_strictly(text.as_bytes()).as_deref(), strictly, "{text}");
            assert_eq!(&*decode(text.as_bytes()), leniently, "{text}");
        }
    }

    #[test]
    fn a_plus_is_a_space_in_queries_alone() {
        assert_eq!(&*decode(b"a+b%2B"), b"a+b+");
        assert_eq!(&*decode_query(b"a+b%2B%2b%2520"), b"a b++%20");
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let encoded = encode(&all, b"/");
        assert!(encoded.contains("%2C") && encoded.contains('/'), "{encoded}");
        assert_eq!(decode_strictly(encoded.as_bytes()).as_deref(), Some(&all[..]));
    }
}
