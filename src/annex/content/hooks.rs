//! Programs of the user's that freeze, thaw and erase content.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::ContentError;
use super::config::ContentConfig;

/// After write permission was taken from `path`. One that fails is only told of, as git-annex goes on too.
pub fn freeze(config: &ContentConfig, path: &Path) {
    warn(run(config, "freezecontent-annex", config.hooks.freeze.as_deref(), "%path", path));
}

/// Before `path` gets write permission. One that fails is only told of.
pub fn thaw(config: &ContentConfig, path: &Path) {
    warn(run(config, "thawcontent-annex", config.hooks.thaw.as_deref(), "%path", path));
}

/// Whether there is something to erase content with.
pub fn is_erasing(config: &ContentConfig) -> bool {
    config.hooks.erase.is_some() || is_executable(&config.hooks.dir.join(ERASE))
}

/// Before the content at `path` is removed. Errors: `Hook` where it failed. git-annex goes on and removes the content then,
/// and nobody learns that it was not erased.
pub fn erase(config: &ContentConfig, path: &Path) -> Result<(), ContentError> {
    run(config, ERASE, config.hooks.erase.as_deref(), "%file", path)
}

const ERASE: &str = "secure-erase-annex";

fn warn(done: Result<(), ContentError>) {
    if let Err(e) = done {
        tracing::warn!("{e}");
    }
}

/// Runs `command`, or else the script `name`, about `path`. Success where there is neither.
fn run(
    config: &ContentConfig,
    name: &'static str,
    command: Option<&str>,
    placeholder: &str,
    path: &Path,
) -> Result<(), ContentError> {
    let failed = |detail: String| ContentError::Hook { name, detail };
    let mut program = match command {
        Some(command) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(fill(command, placeholder, path));
            shell
        }
        None => {
            let script = config.hooks.dir.join(name);
            if !is_executable(&script) {
                return Ok(());
            }
            let mut program = Command::new(script);
            program.arg(path);
            program
        }
    };
    // Our stdin and stdout may be a wire.
    let output = io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    // A group of its own, so that what it started ends with it.
    program.current_dir(&config.hooks.cwd).stdin(Stdio::null()).stdout(output).process_group(0);
    let mut child = program.spawn().map_err(|e| failed(e.to_string()))?;
    match ended(&child, config.hooks.limit) {
        Ok(true) => {}
        other => {
            // Nothing is to be done about a child that is gone already.
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(match other {
                Err(e) => e.to_string(),
                Ok(_) => format!("killed after {} s", config.hooks.limit.as_secs()),
            }));
        }
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

fn is_executable(script: &Path) -> bool {
    std::fs::metadata(script).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
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

/// `command` with the path, quoted for the shell, in place of `placeholder`.
fn fill(command: &str, placeholder: &str, path: &Path) -> OsString {
    let mut quoted = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    let parts: Vec<&[u8]> = command.split(placeholder).map(str::as_bytes).collect();
    OsStr::from_bytes(&parts.join(&quoted[..])).to_os_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_the_shell_as_one_word() {
        let filled = fill("wipe -f %file; echo %file", "%file", Path::new("/a b/it's"));
        assert_eq!(filled, r"wipe -f '/a b/it'\''s'; echo '/a b/it'\''s'");
    }

    #[test]
    fn a_program_that_fails_or_stays_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = ContentConfig::new(dir.path(), true);
        assert!(!is_erasing(&config) && erase(&config, dir.path()).is_ok(), "there is none");
        config.hooks.erase = Some("test -d %file".to_string());
        assert!(is_erasing(&config) && erase(&config, dir.path()).is_ok(), "it is a directory");
        let error = erase(&config, Path::new("/nothing/here")).expect_err("it is not");
        assert!(error.to_string().starts_with("secure-erase-annex: exit status: 1"), "{error}");
        config.hooks.erase = Some("exec sleep 1000".to_string());
        config.hooks.limit = Duration::from_millis(20);
        let error = erase(&config, dir.path()).expect_err("it stays");
        assert!(error.to_string().contains("killed"), "{error}");
    }
}
