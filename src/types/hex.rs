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

#[cfg(test)]
mod tests {
    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(super::show(&[0, 9, 0xaf, 0xff]), "0009afff");
        assert_eq!(super::show(&[]), "");
    }
}
