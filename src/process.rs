//! A program, such as ssh or git, connected by two pipes and driven from a data thread.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remotes::pump::lane::{Plain, within};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::pool::blocking;

/// How long a program may go on after its pipes were closed. git-annex-shell commits what it recorded in that time.
const LEAVE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long it may go on after it was asked to end. git removes its lock files in that time: one that is left behind keeps everybody
/// else from pushing.
const TIDY: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// How long its last words are waited for, once it has closed its other end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is kept of what it says to people, in bytes.
const MOST_WORDS: usize = 2000;

/// A running program. Dropping it closes its pipes, and kills it where it does not end by itself soon; it is waited for in
/// any case.
pub(crate) struct Process {
    child: Option<Child>,
    stdin: Option<AsyncFd<OwnedFd>>,
    stdout: AsyncFd<OwnedFd>,
    words: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
    /// Dropped once it is gone.
    guard: Option<Guard>,
    in_a_hurry: bool,
}

/// What lasts as long as a program.
type Guard = Box<dyn Send + Sync>;

impl Process {
    /// Starts `command` in a process group of its own, so that all it started can be killed with it.
    pub(crate) async fn start(command: Command) -> Result<Self, Failure> {
        Self::start_with(command, None).await
    }

    /// The same; `guard` is dropped once the program is gone, which may be some time after this is dropped.
    pub(crate) async fn start_with(mut command: Command, guard: Option<Guard>) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |e: &io::Error| Failure::io(&format!("run {name}"), e);
        let child = blocking(move || command.spawn()).await?.map_err(|e| failed(&e))?;
        Self::adopt(child, guard).map_err(|e| failed(&e))
    }

    fn adopt(mut child: Child, guard: Option<Guard>) -> io::Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let watched = (|| {
            let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
            Ok((
                watch(stdin.into(), Interest::WRITABLE)?,
                watch(stdout.into(), Interest::READABLE)?,
                watch(stderr.into(), Interest::READABLE)?,
            ))
        })();
        let (stdin, stdout, stderr) = match watched {
            Ok(watched) => watched,
            Err(e) => {
                leave(child, guard, false);
                return Err(e);
            }
        };
        let words = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::spawn(listen(stderr, Arc::clone(&words)));
        Ok(Self { child: Some(child), stdin: Some(stdin), stdout, words, listener, guard, in_a_hurry: false })
    }

    /// The next bytes it says; none at the end.
    pub(crate) async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        read(&self.stdout, buf).await
    }

    /// Writes what can be written now, at least one byte.
    pub(crate) async fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let stdin = self.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        loop {
            match stdin.when(Interest::WRITABLE, || Ok(rustix::io::write(stdin, bytes)?)).await {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Writes all of it. Errors: `TimedOut` where it takes nothing for `idle`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8], idle: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = within(idle, self.write_some(bytes)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Closes what it reads from.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// From now on dropping it asks it to end at once.
    pub(crate) fn hurry(&mut self) {
        self.in_a_hurry = true;
    }

    /// Whether it is to end at once when dropped.
    pub(crate) fn is_hurried(&self) -> bool {
        self.in_a_hurry
    }

    /// What it says.
    pub(crate) fn output(&self) -> &AsyncFd<OwnedFd> {
        &self.stdout
    }

    /// What it said to people, on one line; for when it is about to end, or should have.
    pub(crate) async fn last_words(&mut self) -> String {
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.listener).await;
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }
}

impl Process {
    /// How it ended, if it has: `Some(None)` is by a signal.
    pub(crate) fn ended(&self) -> Option<Option<i32>> {
        let child = self.child.as_ref()?;
        // Left to be waited for: its number is not given to another until then.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(child)), look).ok().flatten()?;
        Some(status.exit_status())
    }

    /// Whether it has ended of itself after it had begun, and not as ssh ends that reaches nobody or loses who it talked to.
    pub(crate) fn was_answered(&self) -> bool {
        let code = self.ended().flatten();
        // A shell says 126 and 127 of what it cannot run.
        code.is_some_and(|code| !matches!(code, 126 | 127 | 255))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A program that it left running may keep this pipe open for ever.
        self.listener.abort();
        if let Some(child) = self.child.take() {
            leave(child, self.guard.take(), self.in_a_hurry);
        }
    }
}

/// Waits for `child` on a thread of its own, which lasts no longer than [`LEAVE`] and [`TIDY`].
fn leave(mut child: Child, guard: Option<Guard>, in_a_hurry: bool) {
    let end = move || {
        let pid = Pid::from_child(&child);
        let ends_within = |limit: &Timespec| {
            pidfd_open(pid, PidfdFlags::empty())
                .and_then(|fd| poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(limit)))
                .is_ok_and(|ready| ready > 0)
        };
        if in_a_hurry || !ends_within(&LEAVE) {
            let _ = kill_process_group(pid, Signal::TERM);
            if !ends_within(&TIDY) {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = child.kill();
            }
        }
        let _ = child.wait();
        drop(guard);
    };
    if let Err(e) = std::thread::Builder::new().name("peer-end".into()).spawn(end) {
        tracing::warn!("cannot start a thread that waits for a program to end: {e}");
    }
}

/// Keeps the last of what is said, so that the program is never stopped by a full pipe.
async fn listen(stderr: AsyncFd<OwnedFd>, words: Arc<Mutex<Vec<u8>>>) {
    let mut buf = [0; 1024];
    while let Ok(n) = read(&stderr, &mut buf).await
        && n > 0
    {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&buf[..n]);
        let excess = words.len().saturating_sub(MOST_WORDS);
        words.drain(..excess);
    }
}

async fn read(from: &AsyncFd<OwnedFd>, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.when(Interest::READABLE, || Ok(rustix::io::read(from, &mut *buf)?)).await {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // Refused where the user has too much memory in pipes already, which is no harm.
    let _ = rustix::pipe::fcntl_setpipe_size(&fd, 1 << 20);
    rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    remotes::sys::watch(fd, interest)
}
