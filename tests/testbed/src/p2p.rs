//! One run of our `git-annex-shell p2pstdio`, spoken to byte by byte, with a limit on every wait.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::annex::Repo;
use super::clients::write_program;
use super::product;

/// Longest wait for the server.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Who is asking, in tests that speak themselves.
pub const CLIENT: &str = "00000000-0000-4000-8000-00000000c001";

/// A session. Killed on drop.
pub struct Session {
    process: Child,
    stdin: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    held: Vec<u8>,
}

impl Session {
    /// Serves the repository at `dir`, which is `uuid`. `command` is the product in its environment.
    pub fn start(mut command: Command, dir: &Path, uuid: &str) -> Session {
        command.args(["shell", "p2pstdio"]).arg(dir).args([CLIENT, "--uuid", uuid]);
        Session::of(command)
    }

    /// What `command` says and hears.
    pub fn of(command: Command) -> Session {
        Session::warning(command, Stdio::null())
    }

    /// The same; what it says on stderr goes to `stderr`.
    pub fn warning(mut command: Command, stderr: impl Into<Stdio>) -> Session {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut process = command.spawn().expect("the product starts");
        let mut stdout = process.stdout.take().expect("stdout is piped");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut block = vec![0; 64 << 10];
            // Nobody listening: the pipe is closed with the thread, as when a client vanishes.
            while let Ok(n @ 1..) = stdout.read(&mut block)
                && sender.send(block[..n].to_vec()).is_ok()
            {}
        });
        let stdin = process.stdin.take();
        Session { process, stdin, output, held: Vec::new() }
    }

    /// The same, and greeted with version 4.
    #[track_caller]
    pub fn greeted(command: Command, dir: &Path, uuid: &str) -> Session {
        let mut session = Session::start(command, dir, uuid);
        assert_eq!(session.line(), Some(format!("AUTH-SUCCESS {uuid}")));
        assert_eq!(session.ask("VERSION 4"), "VERSION 4");
        session
    }

    /// Greets a server that may be gone by now; whether it is not.
    pub fn try_greet(&mut self) -> bool {
        let is_there = self.line().is_some_and(|line| line.starts_with("AUTH-SUCCESS "));
        if is_there {
            self.send(b"VERSION 4\n");
        }
        is_there && self.line().is_some()
    }

    /// Sends bytes. A server that is gone does not mind.
    pub fn send(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Sends a line and returns the next one of the server.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes());
        self.line().unwrap_or_else(|| panic!("the server left instead of answering {line}"))
    }

    /// Puts `content`, and returns the last answer.
    #[track_caller]
    pub fn put(&mut self, key: &str, content: &[u8]) -> String {
        let offer = self.ask(&format!("PUT  {key}"));
        let Some(from) = offer.strip_prefix("PUT-FROM ") else { return offer };
        let rest = &content[from.parse::<usize>().expect("an offset")..];
        self.send(&[format!("DATA {}\n", rest.len()).as_bytes(), rest].concat());
        self.ask("VALID")
    }

    /// The next line; None where the server has closed its end.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more() {
                assert!(self.held.is_empty(), "half a line: {}", self.held.escape_ascii());
                return None;
            }
        }
    }

    /// The next `len` bytes, fewer where the server closes its end.
    #[track_caller]
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.held.len() < len && self.more() {}
        self.held.drain(..len.min(self.held.len())).collect()
    }

    /// Closes our end of stdin; the server may still speak.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Leaves without a word, and reads no more. Waits for the end of the server.
    #[track_caller]
    pub fn vanish(mut self) -> ExitStatus {
        self.close();
        // The reading thread ends, and with it the pipe, at the next thing the server says.
        self.output = channel().1;
        self.ended()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.ended();
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end of the server.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("our child") {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "the server does not end within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn more(&mut self) -> bool {
        match self.output.recv_timeout(LIMIT) {
            Ok(bytes) => {
                self.held.extend(bytes);
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing from the server within {LIMIT:?}, after {}", self.held.escape_ascii())
            }
        }
    }
}

/// The other side of a pretend ssh, where git-annex-shell is ours.
pub struct Host {
    bin: tempfile::TempDir,
    login: bool,
}

impl Host {
    /// Where users have sh, or where `login` git-annex-shell for their login shell.
    pub fn new(login: bool) -> Host {
        let bin = tempfile::tempdir().expect("a temporary directory");
        std::os::unix::fs::symlink(product(), bin.path().join("git-annex-shell")).expect("a link");
        write_program(&bin.path().join("my-annex-shell"), "#!/bin/sh\nexec git-annex-shell \"$@\"\n");
        Host { bin, login }
    }

    /// What is run for the command `line` of a client of `repo`.
    pub fn command(&self, repo: &Repo, line: &str) -> Command {
        let login = self.login && line.starts_with("git-annex-shell ");
        let shell = if login { self.bin.path().join("git-annex-shell") } else { PathBuf::from("sh") };
        let mut command = repo.command(&shell);
        command.env("PATH", format!("{}:{}", self.bin.path().display(), repo.get("PATH"))).args(["-c", line]);
        command
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
