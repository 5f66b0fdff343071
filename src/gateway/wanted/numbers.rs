//! Numbers in logs and attributes, read as git-annex reads them: white space may stand before, and anything after.

use crate::wanted::whole_number;

/// Bytes a repository may hold. `None` where it is no whole number; less than nothing is nothing, and what no disk holds is the
/// most there is.
pub(super) fn bytes(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let (value, rest) = whole_number(text)?;
    if text.starts_with(b"-") {
        return Some(0);
    }
    // It may have wrapped around: as many digits do not fit.
    let digits = text[..text.len() - rest.len()].iter().skip_while(|byte| **byte == b'0').count();
    Some(if digits > 18 { text_value(&text[..text.len() - rest.len()]) } else { value.unsigned_abs() })
}

fn text_value(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

/// A number of copies, at least one: less is one.
pub fn copies(text: &[u8]) -> Option<u64> {
    let (value, _) = whole_number(text.trim_ascii_start())?;
    Some(u64::try_from(value).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex maxsize` and `git annex numcopies` show of these in their logs.
    #[test]
    fn numbers_are_read_as_git_annex_reads_them() {
        for (text, max, number) in [
            ("5", Some(5), Some(5)),
            ("5x", Some(5), Some(5)),
            ("1 kb", Some(1), Some(1)),
            ("1kb", Some(1), Some(1)),
            ("20.5", None, None),
            ("0x20", Some(32), Some(32)),
            (" 20", Some(20), Some(20)),
            ("-5", Some(0), Some(1)),
            ("0", Some(0), Some(1)),
            ("", None, None),
            ("zz", None, None),
            ("+4", None, None),
            ("99999999999999999999999", Some(u64::MAX), None),
            ("99999999999999999999", Some(u64::MAX), Some(7_766_279_631_452_241_919)),
            ("9223372036854775808", Some(9_223_372_036_854_775_808), None),
            ("000000000000000000000005", Some(5), Some(5)),
        ] {
            assert_eq!(bytes(text.as_bytes()), max, "{text}");
            if number.is_some() || max != Some(u64::MAX) && text.len() < 19 {
                assert_eq!(copies(text.as_bytes()), number, "{text}");
            }
        }
    }
}
