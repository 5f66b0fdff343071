//! Percent-decoding of urls.

/// The bytes that `text` stands for; `None` where a percent sign is not followed by two digits.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    decode(text, false)
}

/// The same, where a percent sign without two digits stands for itself.
pub fn decoded_leniently(text: &str) -> Vec<u8> {
    decode(text, true).unwrap_or_default()
}

fn decode(text: &str, leniently: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).ok()?);
                rest = &after[2..];
            }
            (b'%', ..) if !leniently => return None,
            _ => out.push(*byte),
        }
    }
    Some(out)
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
        ] {
            assert_eq!(decoded(text).as_deref(), strictly, "{text}");
            assert_eq!(decoded_leniently(text), leniently, "{text}");
        }
    }
}
