//! Percent-encoding, as urls have it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `%2C` for a comma, and so on: all but letters, digits, `-._~` and what is in `plain`.
pub fn encode(bytes: &[u8], plain: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || plain.contains(byte) {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes all");
        }
    }
    out
}

/// Decodes `%41` once; where `plus`, a `+` is a space, as it is in queries and not in paths.
///
/// A `%` that no two hex digits follow stands for itself, as it does with git-annex.
pub fn decode(raw: &[u8], plus: bool) -> Cow<'_, [u8]> {
    if !raw.iter().any(|byte| *byte == b'%' || (plus && *byte == b'+')) {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).expect("two hex digits"));
                rest = &after[2..];
            }
            (b'+', _, _) if plus => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    Cow::Owned(out)
}
