//! Where the figures come from: machine, kernel, programs.

use crate::lab::Lab;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Description that goes with every result.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processor model as the kernel names it.
    pub cpu: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel release.
    pub kernel: String,
    /// File system under the scratch directory.
    pub filesystem: String,
    /// Load average over one minute when the run began.
    pub load: String,
    /// Program name to the first line of its version.
    pub versions: BTreeMap<String, String>,
}

/// Looks at this machine and asks every program for its version.
pub fn describe(lab: &Lab) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let memory: u64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    let ask = |program: &str, args: &[&str]| first_line(lab.command(program).args(args));
    let programs: [(&str, &[&str]); 11] = [
        ("git-annex", &["version", "--raw"]),
        ("git", &["--version"]),
        ("weed", &["version"]),
        ("rclone", &["version"]),
        ("aws", &["--version"]),
        ("s5cmd", &["version"]),
        ("curl", &["--version"]),
        ("cp", &["--version"]),
        ("nginx", &["-v"]),
        ("wrk", &["-v"]),
        ("git-annex-remote-stream", &["--version"]),
    ];
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(0, |n| n.get()),
        memory_mib: memory / 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().into(),
        filesystem: last_line(Command::new("df").arg("--output=fstype").arg(lab.dir())),
        load: read("/proc/loadavg").split(' ').next().unwrap_or("").into(),
        versions: programs.iter().map(|(name, args)| ((*name).into(), ask(name, args))).collect(),
    }
}

/// The time now, UTC, to the minute.
pub fn date() -> String {
    first_line(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))
}

fn first_line(command: &mut Command) -> String {
    output(command).lines().next().unwrap_or("unknown").trim().into()
}

fn last_line(command: &mut Command) -> String {
    output(command).lines().next_back().unwrap_or("unknown").trim().into()
}

fn output(command: &mut Command) -> String {
    let command = command.stdin(std::process::Stdio::null());
    command.output().map(|o| String::from_utf8_lossy(&[o.stdout, o.stderr].concat()).into_owned()).unwrap_or_default()
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("");
    line.trim_start_matches([' ', '\t', ':']).trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_past_tabs_and_colons() {
        assert_eq!(field("a: b\nmodel name\t: AMD X\n", "model name"), "AMD X");
        assert_eq!(field("a: b\n", "zzz"), "");
    }
}
