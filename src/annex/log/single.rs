//! Logs of one value for all repositories: `numcopies.log`, `mincopies.log`.

use super::stamp::Stamp;
use super::{cut, lines};

/// The value that counts in a log of lines `TIME VALUE`: that of the newest line; of lines of the same time the greatest. Lines
/// that `read` makes nothing of are left out. Source: recorded.
pub fn single<T: Ord>(log: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let entry = |line| {
        let (stamp, value) = cut(line)?;
        Some((Stamp::parse(stamp)?, read(value)?))
    };
    lines(log).filter_map(entry).max().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex numcopies` shows of these.
    #[test]
    fn the_newest_value_counts_and_of_the_newest_the_greatest() {
        let read = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i64>().ok();
        for (log, value) in [
            ("1s 2\n1s 4\n", Some(4)),
            ("1s 4\n1s 2\n", Some(4)),
            ("1s 4\n2s 2\n", Some(2)),
            ("2s 2\n1s 4\n", Some(2)),
            ("1s 3\n2s zz\n", Some(3)),
            ("1s  3 \n", Some(3)),
            ("3\n", None),
            ("1s\n1s \n", None),
            ("", None),
        ] {
            assert_eq!(single(log.as_bytes(), read), value, "{log:?}");
        }
    }
}
