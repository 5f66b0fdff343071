//! Cold start: spawn, first line, end of input, exit. git-annex does this several times just to ask for settings.

use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use crate::usage;
use std::io::{self, BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

/// Rows of ours and rclone.
pub fn cold(lab: &Lab) -> io::Result<Vec<Table>> {
    let case = |subject: &str, program: &'static str, args: &'static [&'static str]| {
        Case::new(subject, move |_| once(lab, program, args).map(|sample| vec![sample]))
    };
    let cases = vec![case("ours", "git-annex-remote-stream", &[]), case("rclone gitannex", "rclone", &["gitannex"])];
    let table = Table::new("start", "Cold start: first line, then exit on end of input", 0, "rclone gitannex");
    let runs = if lab.args.quick { 2 } else { lab.args.runs().max(25) };
    Ok(interleave(vec![table], cases, runs))
}

fn once(lab: &Lab, program: &str, args: &[&str]) -> io::Result<Sample> {
    let mut command = lab.command(program);
    command.args(args).env("RCLONE_CONFIG", "");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("stdout piped")).read_line(&mut line)?;
    drop(child.stdin.take());
    let (_, cpu, rss) = usage::reap(child)?;
    let wall = begin.elapsed().as_secs_f64();
    if !line.starts_with("VERSION ") {
        return Err(io::Error::other(format!("{program} began with {line:?}")));
    }
    Ok(Sample { wall, cpu, rss, ..Sample::default() })
}
