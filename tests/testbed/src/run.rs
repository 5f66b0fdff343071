//! Run a command to its end within a time limit, and keep what it said.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// What a command did.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, lossily as text.
    pub stdout: String,
    /// Its standard error, lossily as text.
    pub stderr: String,
}

impl Done {
    /// This, if the command succeeded; panics with all it said otherwise.
    #[track_caller]
    pub fn ok(self) -> Done {
        assert!(self.status.success(), "{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// This, if the command failed; panics with all it said otherwise.
    #[track_caller]
    pub fn failed(self) -> Done {
        assert!(!self.status.success(), "should have failed\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output and error, one after the other.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Run `command` with nothing on stdin. Panics when it has not ended after `limit`, having killed it and its children.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Done {
    use std::os::unix::process::CommandExt;
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let group = Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    std::thread::spawn(move || {
        let status = child.wait().expect("the child was not waited for elsewhere");
        let _ = done.send(status);
    });
    let status = ended.recv_timeout(limit);
    if status.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let stdout = stdout.join().expect("the reader does not panic");
    let stderr = stderr.join().expect("the reader does not panic");
    match status {
        Ok(status) => Done { status, stdout, stderr },
        Err(_) => panic!("not done after {limit:?}: {shown}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"),
    }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
