//! One conversation with git-annex, from VERSION to the end.
//!
//! ```text
//!            new(): VERSION 2
//!                  |
//!              [Greeting] --EXTENSIONS: ours in reply--> [Open], tagged when ASYNC is in both lists
//!                  |                                        |
//!                  +--any request (old git-annex)--> [Open] |
//!                                                           |
//!   per job:   (idle) --request--> (running) --reply()--> (idle)
//!                                   |     ^
//!                                ask()  Answer      tell() stays in (running), also while an answer is awaited
//!                                   v     |
//!                                  (asking)
//!
//!   any --ERROR from git-annex, a violation, fail()--> [Ended]: nothing more is read or said
//! ```
//!
//! Without ASYNC there is one job and so one request at a time; with it every line after EXTENSIONS, other than ERROR,
//! carries `J n` both ways. Sections "protocol overview" and "general messages" of the protocol, and its async appendix.
//!
//! The driver loops: bytes in with [`Session::receive`], all events out with [`Session::next_event`], then it writes
//! [`Session::output`]. Lines are looked at in `next_event`, so that is also when the session's own replies appear.
//!
//! A whole conversation:
//!
//! ```
//! use git_annex_remote_stream::proto::special::{Answer, Event, Note, Options, Query, Reply, Request, Session};
//!
//! let mut session = Session::new(Options::one_at_a_time());
//! assert_eq!(session.take_output(), b"VERSION 2\n");
//!
//! session.receive(b"EXTENSIONS INFO GETGITREMOTENAME ASYNC\nPREPARE\n");
//! let Some(Event::Request { job, request: Request::Prepare }) = session.next_event() else { panic!() };
//! assert_eq!(session.take_output(), b"EXTENSIONS INFO GETGITREMOTENAME\n");
//!
//! session.ask(job, Query::GetConfig(b"directory".to_vec()))?;
//! assert_eq!(session.take_output(), b"GETCONFIG directory\n");
//! session.receive(b"VALUE /media/usb disk\n");
//! let Some(Event::Answer { answer: Answer::Value(directory), .. }) = session.next_event() else { panic!() };
//! assert_eq!(directory, b"/media/usb disk");
//! session.reply(job, Reply::Success)?;
//!
//! session.receive(b"TRANSFER STORE SHA256--abc some file\n");
//! let Some(Event::Request { job, request: Request::Store { key, file } }) = session.next_event() else { panic!() };
//! assert_eq!((key.as_bytes(), file.as_bytes()), (&b"SHA256--abc"[..], &b"some file"[..]));
//! session.tell(job, Note::Progress(10))?;
//! session.reply(job, Reply::Failure(b"disk full\nno space".to_vec()))?;
//! assert_eq!(
//!     session.take_output(),
//!     b"PREPARE-SUCCESS\nPROGRESS 10\nTRANSFER-FAILURE STORE SHA256--abc disk full no space\n"
//! );
//! # Ok::<(), git_annex_remote_stream::proto::special::Misuse>(())
//! ```

use std::collections::BTreeMap;

use super::incoming::{Incoming, Malformed, Name, parse};
use super::job::{Job, PLACE, Running};
use super::misuse::Misuse;
use super::name::Secret;
use super::reply::{Answer, Note, Query, Reply, write_note, write_query};
use super::request::Request;
use super::violation::Violation;
use super::wire::{Message, Param};
use super::{Extensions, Options};
use crate::proto::line::{Lines, TooLong, parse_number, split_word};

/// The state machine of one process; see the [module](self).
pub struct Session {
    options: Options,
    lines: Lines,
    output: Vec<u8>,
    written: usize,
    phase: Phase,
    negotiated: Extensions,
    jobs: BTreeMap<Job, Running>,
    /// Files that EXPORT or IMPORT named, for the next request of the job.
    names: BTreeMap<Job, Name>,
    held: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Greeting,
    Open,
    Ended,
}

/// Something the driver has to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// git-annex asks for something; [`Session::reply`] ends it.
    Request {
        /// Where it runs.
        job: Job,
        /// What is asked.
        request: Request,
    },
    /// The answer to the question of this job.
    Answer {
        /// Who asked.
        job: Job,
        /// What was answered.
        answer: Answer,
    },
    /// git-annex said ERROR and will not talk any further. The session is over.
    PeerError {
        /// What it said.
        message: Vec<u8>,
    },
    /// git-annex broke the protocol. The session is over; the ERROR that says so is in the output.
    Fatal(Violation),
}

impl Session {
    /// A conversation that has just begun: `VERSION 2` waits in the output.
    pub fn new(options: Options) -> Self {
        Self {
            lines: Lines::new(options.line_limit),
            options,
            output: b"VERSION 2\n".to_vec(),
            written: 0,
            phase: Phase::Greeting,
            negotiated: Extensions::default(),
            jobs: BTreeMap::new(),
            names: BTreeMap::new(),
            held: 0,
        }
    }

    /// Takes bytes from git-annex in any fragmentation. Call [`next_event`](Session::next_event) until it is empty
    /// before the next `receive`, which is what bounds memory.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Ended {
            self.lines.push(bytes);
        }
    }

    /// The next thing to act on, or `None` until more bytes arrive.
    pub fn next_event(&mut self) -> Option<Event> {
        while self.phase != Phase::Ended {
            let step = match self.lines.next_line()? {
                Ok(line) => self.take_line(&line),
                Err(TooLong) => Err(Violation::LineTooLong(self.options.line_limit)),
            };
            match step {
                Ok(None) => {}
                Ok(Some(event)) => return Some(event),
                Err(violation) => {
                    self.fail(violation.to_string().as_bytes());
                    return Some(Event::Fatal(violation));
                }
            }
        }
        None
    }

    /// Bytes for git-annex that were not [`wrote`](Session::wrote) yet; always whole lines.
    pub fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The first `count` bytes of the output are on their way.
    pub fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.output.len());
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// All of the output, which is empty afterwards.
    pub fn take_output(&mut self) -> Vec<u8> {
        let written = std::mem::take(&mut self.written);
        let mut output = std::mem::take(&mut self.output);
        output.drain(..written);
        output
    }

    /// Ends the request that runs on `job`.
    ///
    /// # Errors
    ///
    /// See [`Misuse`]; the request then still runs, and nothing was written.
    pub fn reply(&mut self, job: Job, reply: Reply) -> Result<(), Misuse> {
        let running = self.running(job)?;
        if running.is_waiting() {
            return Err(Misuse::Unanswered);
        }
        let mut message = Message::new(job.tag());
        running.write(&reply, self.negotiated, &mut message)?;
        self.held -= running.held();
        self.jobs.remove(&job);
        self.output.extend(message.into_bytes());
        Ok(())
    }

    /// Asks git-annex something on behalf of the request that runs on `job`; one [`Event::Answer`] follows.
    ///
    /// # Errors
    ///
    /// See [`Misuse`]; nothing was written, and no answer comes.
    pub fn ask(&mut self, job: Job, query: Query) -> Result<(), Misuse> {
        let running = self.running(job)?;
        if running.is_waiting() {
            return Err(Misuse::Unanswered);
        }
        let mut message = Message::new(job.tag());
        write_query(&query, self.negotiated, &mut message)?;
        if let Some(running) = self.jobs.get_mut(&job) {
            running.expect(&query);
        }
        self.output.extend(message.into_bytes());
        Ok(())
    }

    /// Tells git-annex something on behalf of the request that runs on `job`; there is no answer.
    ///
    /// # Errors
    ///
    /// See [`Misuse`]; nothing was written.
    pub fn tell(&mut self, job: Job, note: Note) -> Result<(), Misuse> {
        if matches!(note, Note::Progress(_)) && !self.running(job)?.is_transfer() {
            return Err(Misuse::NotATransfer);
        }
        if matches!(note, Note::Importable { .. }) && !self.running(job)?.is_listing() {
            return Err(Misuse::NotAListing);
        }
        self.running(job)?;
        let mut message = Message::new(job.tag());
        write_note(&note, self.negotiated, &mut message)?;
        self.output.extend(message.into_bytes());
        Ok(())
    }

    /// Says ERROR and ends the session; the program should exit once that is written. Nothing happens when it is over
    /// already. Control characters in the message become spaces.
    pub fn fail(&mut self, message: &[u8]) {
        if self.phase != Phase::Ended {
            let mut line = Message::new(Vec::new());
            line.line("ERROR", &[Param::text(message)]);
            self.output.extend(line.into_bytes());
            self.end();
        }
    }

    /// The extensions both sides use.
    pub fn negotiated(&self) -> Extensions {
        self.negotiated
    }

    /// Whether the session is over: ERROR was said by one side.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Requests that were given out and not replied to yet.
    pub fn running_jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Bytes of input and of running requests in memory; the output is the driver's to write.
    pub fn held(&self) -> usize {
        self.lines.held() + self.held
    }

    fn running(&self, job: Job) -> Result<&Running, Misuse> {
        match self.phase {
            Phase::Ended => Err(Misuse::Ended),
            _ => self.jobs.get(&job).ok_or(Misuse::NoRequest),
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.lines = Lines::new(0);
        self.jobs.clear();
        self.names.clear();
        self.held = 0;
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Event>, Violation> {
        let (job, body) = if self.negotiated.async_jobs { untag(line)? } else { (Job(None), line) };
        let mut name = self.names.remove(&job);
        self.hold(name.as_ref().map_or(0, place_of), 0)?;
        let incoming = parse(body, &mut name).map_err(|Malformed(what)| Violation::Malformed(what))?;
        match incoming {
            Incoming::Error(message) => {
                self.end();
                Ok(Some(Event::PeerError { message }))
            }
            Incoming::Extensions(list) => self.negotiate(&list).map(|()| None),
            Incoming::Value(value) => self.take_value(job, value),
            Incoming::Creds { user, password } => self.take_creds(job, user, password),
            Incoming::Request(request) => {
                self.begin(job)?;
                let running = Running::new(&request);
                self.hold(0, running.held())?;
                self.jobs.insert(job, running);
                Ok(Some(Event::Request { job, request }))
            }
            Incoming::Name(name) => {
                self.begin(job)?;
                self.hold(0, place_of(&name))?;
                self.names.insert(job, name);
                Ok(None)
            }
            Incoming::Unsupported => {
                self.begin(job)?;
                let mut message = Message::new(job.tag());
                message.line("UNSUPPORTED-REQUEST", &[]);
                self.output.extend(message.into_bytes());
                Ok(None)
            }
        }
    }

    /// Old versions of git-annex never say EXTENSIONS; the first request settles that nothing was negotiated.
    fn begin(&mut self, job: Job) -> Result<(), Violation> {
        self.phase = Phase::Open;
        if self.jobs.contains_key(&job) { Err(Violation::Busy(job)) } else { Ok(()) }
    }

    fn negotiate(&mut self, list: &[u8]) -> Result<(), Violation> {
        if self.phase != Phase::Greeting {
            return Err(Violation::LateExtensions);
        }
        self.phase = Phase::Open;
        let mut message = Message::new(Vec::new());
        match self.options.offer {
            Some(offer) => {
                self.negotiated = offer.and(Extensions::parse(list));
                let words: Vec<_> = self.negotiated.words().map(Param::word).collect();
                message.line("EXTENSIONS", &words);
            }
            None => message.line("UNSUPPORTED-REQUEST", &[]),
        }
        self.output.extend(message.into_bytes());
        Ok(())
    }

    fn take_value(&mut self, job: Job, value: Vec<u8>) -> Result<Option<Event>, Violation> {
        let running = self.jobs.get_mut(&job).ok_or(Violation::Unasked(job))?;
        let before = running.held();
        let answer = running.value(value).map_err(|()| Violation::Unasked(job))?;
        let after = running.held();
        self.hold(before, after)?;
        Ok(answer.map(|answer| Event::Answer { job, answer }))
    }

    fn take_creds(&mut self, job: Job, user: Vec<u8>, password: Secret) -> Result<Option<Event>, Violation> {
        let running = self.jobs.get_mut(&job).ok_or(Violation::Unasked(job))?;
        let answer = running.creds(user, password).map_err(|()| Violation::Unasked(job))?;
        Ok(Some(Event::Answer { job, answer }))
    }

    fn hold(&mut self, before: usize, after: usize) -> Result<(), Violation> {
        self.held = self.held - before + after;
        if self.held > self.options.held_limit { Err(Violation::TooMuch(self.options.held_limit)) } else { Ok(()) }
    }
}

/// What a name that is remembered is counted as, in bytes.
fn place_of(name: &Name) -> usize {
    PLACE + name.as_bytes().len()
}

/// The job of a line and what follows its tag. ERROR alone may come without one.
fn untag(line: &[u8]) -> Result<(Job, &[u8]), Violation> {
    match split_word(line) {
        (b"J", Some(rest)) => {
            let (number, body) = split_word(rest);
            let number = parse_number(number).ok_or(Violation::Untagged)?;
            Ok((Job(Some(number)), body.ok_or(Violation::Untagged)?))
        }
        (b"ERROR", _) => Ok((Job(None), line)),
        _ => Err(Violation::Untagged),
    }
}
