//! wrk, which loads a server with requests.

use crate::lab::Lab;
use std::fs;
use std::io;
use std::path::Path;

/// What wrk counted in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Loads `url` for some seconds through 64 connections from one thread on the last core; `script` is in Lua.
///
/// Errors: wrk is not installed, or any answer was no success.
pub fn run(lab: &Lab, script: &Path, url: &str) -> io::Result<Load> {
    lab.optional("wrk")?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut command = lab.command("taskset");
    command.arg("-c").arg((cores - 1).to_string()).args(["wrk", "-t1", "-c64"]);
    command.arg(format!("-d{}s", lab.args.load())).arg("-s").arg(script).arg(url);
    lab.run(&mut command)?;
    parse(&fs::read_to_string(lab.at("command.log"))?)
}

fn parse(text: &str) -> io::Result<Load> {
    let bad = text.lines().find(|l| l.contains("Non-2xx") || l.contains("Socket errors"));
    if let Some(line) = bad {
        return Err(io::Error::other(format!("wrk: {}", line.trim())));
    }
    let line = text.lines().find(|l| l.contains(" requests in "));
    let parsed = line.and_then(|line| {
        let mut words = line.split_ascii_whitespace();
        let requests = words.next()?.parse().ok()?;
        let time = words.nth(2)?.trim_end_matches(',');
        let seconds = match time.strip_suffix("ms") {
            Some(number) => number.parse::<f64>().ok()? / 1e3,
            None => time.strip_suffix('s')?.parse().ok()?,
        };
        Some(Load { requests, seconds })
    });
    let parsed = parsed.filter(|load| load.requests > 0 && load.seconds > 0.0);
    parsed.ok_or_else(|| io::Error::other(format!("wrk says: {}", text.trim().replace('\n', " | "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_bad_answers_are_errors() {
        let good = "Running 3s test\n  27393 requests in 3.01s, 4.70MB read\nRequests/sec:   9097.92\n";
        assert_eq!(parse(good).expect("counted"), Load { requests: 27393, seconds: 3.01 });
        let bad = format!("{good}  Non-2xx or 3xx responses: 7\n");
        assert!(parse(&bad).expect_err("refused").to_string().contains("responses: 7"));
        let bad = format!("  Socket errors: connect 0, read 3, write 0, timeout 0\n{good}");
        assert!(parse(&bad).is_err());
        assert!(parse("unable to connect").is_err());
    }
}
