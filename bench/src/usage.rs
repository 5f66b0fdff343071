//! What a process cost: wall time, CPU time and peak memory as the kernel accounts them.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// Cost of one finished process and of the children it waited for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Seconds from spawn to exit.
    pub wall: f64,
    /// User and system seconds.
    pub cpu: f64,
    /// Peak resident set in bytes; of the largest process when there were children.
    pub rss: u64,
}

/// Runs `command` to its end with its output in `log`.
///
/// Errors: it cannot be started, or exits with anything but success; the end of the log is part of the message.
pub fn run(command: &mut Command, log: &Path) -> io::Result<Usage> {
    let sink = fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink);
    let begin = Instant::now();
    let child = command.spawn().map_err(|e| io::Error::other(format!("{:?}: {e}", command.get_program())))?;
    let (status, cpu, rss) = reap(child)?;
    let wall = begin.elapsed().as_secs_f64();
    if !status.success() {
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
        let args: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        return Err(io::Error::other(format!("{program} {}: {status}: {}", args.join(" "), tail(log))));
    }
    Ok(Usage { wall, cpu, rss })
}

/// Waits for `child` and takes its resource usage: status, CPU seconds, peak RSS in bytes.
pub fn reap(child: Child) -> io::Result<(ExitStatus, f64, u64)> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to locals that outlive the call, and `child` is owned here and was never
        // waited for, so `pid` can name no other process.
        let got = unsafe { libc::wait4(pid, &mut status, 0, &mut usage) };
        if got == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    Ok((ExitStatus::from_raw(status), cpu, usage.ru_maxrss as u64 * 1024))
}

/// The last lines of a log on one line.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_child_is_charged_with_its_cpu() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = dir.path().join("log");
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let usage = run(Command::new("sh").args(["-c", busy]), &log).expect("sh runs");
        assert!(usage.cpu > 0.01 && usage.cpu <= usage.wall * 1.5, "{usage:?}");
        assert!(usage.rss > 500 << 10, "{usage:?}");
    }

    #[test]
    fn a_failing_child_is_an_error_that_quotes_its_output() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = dir.path().join("log");
        let error = run(Command::new("sh").args(["-c", "echo why; exit 3"]), &log).expect_err("exit 3");
        assert!(error.to_string().contains("why"), "{error}");
    }
}
