//! Bytes in hexadecimal, as digests are written.

/// Two lower case digits for each byte.
pub fn show(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that pairs of digits stand for, of either case. `None` where it is anything else.
pub fn read(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// The byte that two digits stand for.
pub(crate) fn byte(pair: &[u8; 2]) -> Option<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_pair_of_digits_is_not_read() {
        assert_eq!(super::read(b"0009aFff"), Some(vec![0, 9, 0xaf, 0xff]));
        assert_eq!(super::read(b""), Some(Vec::new()));
        for malformed in ["0", "000", "+f", "0x", " 0", "g0", "\u{e9}"] {
            assert_eq!(super::read(malformed.as_bytes()), None, "{malformed:?}");
        }
    }

    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(super::show(&[0, 9, 0xaf, 0xff]), "0009afff");
        assert_eq!(super::show(&[]), "");
    }
}
