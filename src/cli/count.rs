//! Numbers on the command line of which 0 would mean that nothing is done.

use std::str::FromStr;

/// Reads a number from 1 on.
///
/// # Errors
///
/// It is none.
pub(super) fn from_one<T: FromStr + From<u8> + PartialOrd>(text: &str) -> Result<T, &'static str> {
    text.parse().ok().filter(|number| *number >= T::from(1)).ok_or("give a number from 1 on")
}

/// Reads what git-annex takes for `--jobs`: the same, or a job for each processor.
///
/// # Errors
///
/// It is neither.
pub(super) fn jobs(text: &str) -> Result<usize, &'static str> {
    match text {
        "cpus" => Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
        text => from_one(text).map_err(|_| "give a number from 1 on, or cpus"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Arguments;

    #[test]
    fn none_at_a_time_is_refused_wherever_it_would_do_nothing() {
        for line in [
            "balance c --jobs",
            "p2phttp --jobs",
            "p2phttp --cpus",
            "p2phttp --proxyconnections",
            "p2phttp --clusterjobs",
            "p2phttp --lockedfiles",
            "p2phttp --git --git-processes",
            "p2phttp --store-connections",
            "p2phttp --connections",
            "p2phttp --git --directory x --create-on-push * --create-limit",
            "sim run f --seeds",
            "sim run f --seeds 2 --jobs",
            "sim fuzz present --networks",
            "sim from-repository --sample",
        ] {
            let parsed = |number: &str| {
                let words = ["git-annex-remote-stream"].into_iter().chain(line.split(' ')).chain([number]);
                Arguments::try_parse_from(words).map(drop).map_err(|e| e.to_string())
            };
            assert_eq!(parsed("1"), Ok(()), "{line}");
            for number in ["0", "-1", "x"] {
                assert!(parsed(number).is_err_and(|e| e.contains("--")), "{line} {number}");
            }
            assert!(parsed("0").is_err_and(|e| e.contains("give a number from 1 on")), "{line}");
        }
        assert_eq!((jobs("3"), jobs("cpus").is_ok()), (Ok(3), true));
    }
}
