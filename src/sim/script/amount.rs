//! Sizes as a log has them: `1.5GB`.

/// `bytes` as git-annex writes a size into the log of a sim: in the largest unit of thousands of which it is one or more, with
/// all its digits. Source: recorded, `1023kib` is `1.047552MB`.
pub fn amount(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut power, mut unit) = (1u64, 0);
    while unit + 1 < UNITS.len() && bytes / power >= 1000 {
        power *= 1000;
        unit += 1;
    }
    let value = bytes as f64 / power as f64;
    format!("{value:?}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `git annex sim` of git-annex 10.20261026.
    #[test]
    fn sizes_are_written_as_git_annex_writes_them() {
        for (bytes, text) in [
            (0, "0.0B"),
            (1, "1.0B"),
            (999, "999.0B"),
            (1000, "1.0kB"),
            (999_999, "999.999kB"),
            (1_234_567, "1.234567MB"),
            (1_047_552, "1.047552MB"),
            (1_500_000_000, "1.5GB"),
            (3_300_000_000_000, "3.3TB"),
            (12_345_678_901_234_567_890, "12.345678901234567EB"),
        ] {
            assert_eq!(amount(bytes), text);
        }
    }
}
