//! Programs that the user configured, run with a time limit.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Runs `program` in `cwd`, at most for `limit`; what it prints goes to stderr. Blocks.
///
/// # Errors
///
/// Why it did not end well.
pub fn run(program: &mut Command, cwd: &Path, limit: Duration) -> Result<(), String> {
    // Our stdin and stdout may be a wire.
    let output = io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    // A group of its own, so that what it started ends with it.
    program.current_dir(cwd).stdin(Stdio::null()).stdout(output).process_group(0);
    let mut child = program.spawn().map_err(|e| e.to_string())?;
    match ended(&child, limit) {
        Ok(true) => {}
        other => {
            // Nothing is to be done about a child that is gone already.
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
            return Err(match other {
                Err(e) => e.to_string(),
                Ok(_) => format!("killed after {} s", limit.as_secs()),
            });
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// A line of the user's, for the shell.
pub fn shell(line: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line);
    shell
}

/// Whether the child ended within `limit`.
fn ended(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("the id of a child is one of a process");
    let fd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let start = std::time::Instant::now();
    let mut left = limit;
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Ok(events) => return Ok(events > 0),
            Err(rustix::io::Errno::INTR) => {
                let rest = Duration::try_from(limit).unwrap_or_default().saturating_sub(start.elapsed());
                left = Timespec::try_from(rest).map_err(io::Error::other)?;
            }
            Err(e) => return Err(e.into()),
        }
    }
}
