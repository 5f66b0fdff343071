//! Numbers in logs and attributes, read as git-annex reads them: white space may stand before, and anything after.

use crate::wanted::whole_number;

/// A number of copies, at least one: less is one.
pub fn copies(text: &[u8]) -> Option<u64> {
    let (value, _) = whole_number(text.trim_ascii_start())?;
    Some(u64::try_from(value).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex numcopies` shows of these in its log.
    #[test]
    fn numbers_are_read_as_git_annex_reads_them() {
        for (text, number) in [
            ("5", Some(5)),
            ("5x", Some(5)),
            ("1 kb", Some(1)),
            ("1kb", Some(1)),
            ("20.5", None),
            ("0x20", Some(32)),
            (" 20", Some(20)),
            ("-5", Some(1)),
            ("0", Some(1)),
            ("", None),
            ("zz", None),
            ("+4", None),
            ("99999999999999999999", Some(7_766_279_631_452_241_919)),
            ("000000000000000000000005", Some(5)),
        ] {
            assert_eq!(copies(text.as_bytes()), number, "{text}");
        }
    }
}
