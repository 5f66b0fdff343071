//! Sending to git-annex, from any thread.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use remotes::{Error, Kind, Op};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::proto::special::{Job, Misuse, Note, Reply, Session};
use crate::request;

/// The session and the stdout that its lines go to.
pub(super) struct Port {
    session: Mutex<Session>,
    /// Jobs that may be told something at any time: those at work on the data thread.
    busy: Mutex<Vec<Job>>,
}

impl Port {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Mutex::new(session), busy: Mutex::default() }
    }

    /// Gives the session to `f`, then writes what it has to say. Lines of different threads never mix.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut session);
        flush(&mut session);
        result
    }

    /// Ends the request of `job`. A reply that cannot be said ends the session: git-annex would wait for ever.
    pub(super) fn reply(&self, job: Job, reply: Reply) {
        self.with(|session| say(session, job, reply));
    }

    /// Shown with `--debug`, with the request it is about.
    fn debug(&self, job: Job, text: &str) {
        // There may be nobody left to tell, and nothing depends on it.
        let _ = self.with(|session| session.tell(job, note(text)));
    }

    /// Likewise, but written together with whatever is said next: git-annex wakes up for every write, and for small files
    /// that is a good part of its work. [`catch_up`](Self::catch_up) writes it where nothing else is said.
    pub(super) fn debug_soon(&self, job: Job, text: &str) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = session.tell(job, note(text));
    }

    /// Writes what waits, unless git-annex is behind with reading.
    pub(super) fn catch_up(&self) {
        if can_write() {
            self.with(|_| ());
        }
    }

    /// Says how far a transfer is, unless git-annex is behind with reading.
    pub(super) fn progress(&self, job: Job, bytes: u64) {
        if can_write() {
            let _ = self.with(|session| session.tell(job, Note::Progress(bytes)));
        }
    }

    /// Tells all of `notes`, and waits until git-annex has taken them. Errors: they could not be said.
    pub(super) async fn tell(self: &Arc<Self>, job: Job, notes: Vec<Note>) -> Result<(), Error> {
        let port = Arc::clone(self);
        // git-annex may take its time, and the other jobs go on.
        let said = tokio::task::spawn_blocking(move || {
            port.with(|session| notes.into_iter().try_for_each(|note| session.tell(job, note)))
        });
        match said.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(misuse)) => Err(Error::new(Op::List, Kind::Other, misuse.to_string())),
            Err(e) => Err(Error::new(Op::List, Kind::Other, e.to_string())),
        }
    }

    /// From now on, `job` is at work.
    pub(super) fn begin(&self, job: Job) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// Ends the work of `job` with its reply.
    pub(super) fn end(&self, job: Job, reply: Reply) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).retain(|busy| *busy != job);
        self.reply(job, reply);
    }

    /// Tells a job that is at work; which one does not matter.
    pub(super) fn remark(&self, text: &str) {
        let job = self.busy.lock().unwrap_or_else(PoisonError::into_inner).last().copied();
        if let Some(job) = job {
            self.debug(job, text);
        }
    }
}

/// What is said with DEBUG.
fn note(text: &str) -> Note {
    Note::Debug(format!("{text}{}", request::tag()).into_bytes())
}

pub(super) fn say(session: &mut Session, job: Job, reply: Reply) {
    match session.reply(job, reply) {
        Ok(()) | Err(Misuse::Ended) => {}
        Err(misuse) => session.fail(format!("bug in git-annex-remote-stream: {misuse}").as_bytes()),
    }
}

fn flush(session: &mut Session) {
    while !session.output().is_empty() {
        match rustix::io::write(std::io::stdout(), session.output()) {
            Ok(count) => session.wrote(count),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait(),
            // git-annex is gone; stdin will say so too.
            Err(_) => session.wrote(usize::MAX),
        }
    }
}

fn can_write() -> bool {
    let stdout = std::io::stdout();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
}

fn wait() {
    let stdout = std::io::stdout();
    let _ = rustix::event::poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None);
}

/// Reads what git-annex says next; nothing at its end.
pub(super) fn read(buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(std::io::stdin(), &mut *buf) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let stdin = std::io::stdin();
                let _ = rustix::event::poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            }
            result => return Ok(result?),
        }
    }
}
