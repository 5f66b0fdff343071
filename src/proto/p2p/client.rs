//! The client side, from AUTH-SUCCESS to the end.
//!
//! ```text
//!   new() --AUTH-SUCCESS--> VERSION 4 --VERSION n--> Answer::Ready
//!                                                        |
//!     +--------------------------------------------- [Idle] <--------------------------------------------+
//!     |  ask()                                           ^                                               |
//!     v                                                  |                                               |
//!  [Asked] --its answer----------------------------------+                                               |
//!     |                                                                                                  |
//!     +-- Lock, Success --> [Locked] --unlock()----------------------------------------------------------+
//!     |                                                                                                  |
//!     +-- Get, Data --> [Payload] --all taken--> [Judged] --VALID, INVALID--> [Got] --got()--------------+
//!     |                                 (version 0: no [Judged])                                         |
//!     +-- Put, PutFrom --> [Offered] --data()--> [Sending] --sent()--> [Stored] --SUCCESS, FAILURE-------+
//!                              +------data_present() (version 4)----------^
//! ```
//!
//! The driver calls [`Client::ask`] or what is drawn, writes [`Client::take_output`], and pushes bytes until
//! [`Client::next_answer`] gives the answer. After an error, and after [`Answer::Error`] where git-annex leaves open what
//! follows, the connection is of no more use. Payload does not go through here, but for what came with the line before it.
//!
//! ```
//! use git_annex_remote_stream::name::{Key, Uuid};
//! use git_annex_remote_stream::proto::p2p::{Answer, Client, Request};
//!
//! let server = Uuid::parse(b"00000000-0000-4000-8000-00000000a001")?;
//! let mut client = Client::new(server);
//! client.push(b"AUTH-SUCCESS 00000000-0000-4000-8000-00000000a001\n");
//! assert_eq!(client.next_answer()?, None);
//! assert_eq!(client.take_output(), b"VERSION 4\n");
//! client.push(b"VERSION 1\n");
//! assert_eq!(client.next_answer()?, Some(Answer::Ready));
//!
//! client.ask(&Request::CheckPresent(Key::parse(b"XYZ--a")?))?;
//! assert_eq!(client.take_output(), b"CHECKPRESENT XYZ--a\n");
//! client.push(b"SUCCESS\n");
//! assert_eq!(client.next_answer()?, Some(Answer::Success(Vec::new())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use super::event::{Misuse, Request};
use super::file::AssociatedFile;
use super::message::Message;
use super::{LINE_LIMIT, ProtocolVersion};
use crate::name::Uuid;
use crate::proto::line::{Lines, TooLong};

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is the repository it should be, and the version is agreed on.
    Ready,
    /// Done; also in these other repositories.
    Success(Vec<Uuid>),
    /// Not done; but in these other repositories.
    Failure(Vec<Uuid>),
    /// Its clock, in seconds.
    Timestamp(u64),
    /// To a PUT: send it, from this offset in bytes.
    PutFrom(u64),
    /// To a PUT: no need, also in these other repositories.
    AlreadyHave(Vec<Uuid>),
    /// To a GET: this many bytes follow. They are what [`Client::take_payload`] gives, and after that what the connection
    /// gives.
    Data(u64),
    /// All of the payload was taken: whether it is the content. [`Client::got`] is due. Always `true` in version 0.
    Judged(bool),
    /// It went wrong, or could not be told. What else comes is not known: better not ask on this connection again.
    Error(Vec<u8>),
}

/// The conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Another repository answers than the one that was to be reached.
    WrongPeer(Option<Uuid>),
    /// It does not let us in.
    Denied,
    /// It said something that has no place there. The word it began with, at most.
    Unexpected(String),
    /// A line was longer than [`LINE_LIMIT`].
    LongLine,
    /// It ended the connection.
    Gone,
}

/// The state machine of one connection; see the [module](self).
#[derive(Debug)]
pub struct Client {
    server: Uuid,
    lines: Lines,
    output: Vec<u8>,
    version: ProtocolVersion,
    state: State,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Agreeing,
    Idle,
    Asked(Ask),
    Locked,
    Payload(u64),
    Judged,
    Got,
    Offered,
    Sending,
    Broken,
}

/// What kind of answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Success or failure.
    Outcome,
    Lock,
    Timestamp,
    Get,
    Put,
}

impl Client {
    /// A connection that was just made and is to lead to the repository `server`, which speaks first.
    pub fn new(server: Uuid) -> Self {
        Self {
            server,
            lines: Lines::new(LINE_LIMIT),
            output: Vec::new(),
            version: ProtocolVersion::default(),
            state: State::Greeting,
            ended: false,
        }
    }

    /// Takes bytes from the server in any fragmentation. Not while payload comes, but for what came with a line.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.ended && self.state != State::Broken {
            self.lines.push(bytes);
        }
    }

    /// The server sends no more.
    pub fn eof(&mut self) {
        self.ended = true;
    }

    /// What is to be written, which is nothing from then on.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The version that was agreed on; 0 before that.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Nothing is under way: a request may be made, and nothing may come.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle && self.lines.held() == 0 && !self.ended
    }

    /// Asks for something.
    ///
    /// A name of a file that is too long for a line is left out, since it is for information only.
    ///
    /// # Errors
    ///
    /// [`Misuse`] unless [idle](Self::is_idle).
    pub fn ask(&mut self, request: &Request) -> Result<(), Misuse> {
        if self.state != State::Idle {
            return Err(Misuse);
        }
        let (message, ask) = match request.clone() {
            Request::CheckPresent(key) => (Message::CheckPresent(key), Ask::Outcome),
            Request::Lock(key) => (Message::LockContent(key), Ask::Lock),
            Request::Remove(key) => (Message::Remove(key), Ask::Outcome),
            Request::RemoveBefore { timestamp, key } => (Message::RemoveBefore(timestamp, key), Ask::Outcome),
            Request::Get { offset, file, key } => (Message::Get(count(offset), short(file), key), Ask::Get),
            Request::Put { file, key } => (Message::Put(short(file), key), Ask::Put),
            Request::Timestamp => (Message::GetTimestamp, Ask::Timestamp),
        };
        message.write(&mut self.output);
        self.state = State::Asked(ask);
        Ok(())
    }

    /// Names the gateways that the other side is not to ask. Nothing answers this; a version that has no word for it has no
    /// clusters either.
    ///
    /// # Errors
    ///
    /// [`Misuse`] unless [idle](Self::is_idle).
    pub fn bypass(&mut self, gateways: &[Uuid]) -> Result<(), Misuse> {
        self.step(State::Idle, State::Idle)?;
        if self.version.has_plus() {
            Message::Bypass(gateways.to_vec()).write(&mut self.output);
        }
        Ok(())
    }

    /// After [`Answer::PutFrom`]: `len` bytes of content follow the output.
    ///
    /// # Errors
    ///
    /// [`Misuse`].
    pub fn data(&mut self, len: u64) -> Result<(), Misuse> {
        self.step(State::Offered, State::Sending)?;
        Message::Data(count(len)).write(&mut self.output);
        Ok(())
    }

    /// All bytes that [`data`](Self::data) announced are on their way; are they the content?
    ///
    /// # Errors
    ///
    /// [`Misuse`], also where the version has no word for `valid` being false: then only closing the connection short
    /// of the end says so.
    pub fn sent(&mut self, valid: bool) -> Result<(), Misuse> {
        if !valid && !self.version.tells_validity() {
            return Err(Misuse);
        }
        self.step(State::Sending, State::Asked(Ask::Outcome))?;
        if self.version.tells_validity() {
            let message = if valid { Message::Valid } else { Message::Invalid };
            message.write(&mut self.output);
        }
        Ok(())
    }

    /// After [`Answer::PutFrom`]: the content got there by another way.
    ///
    /// # Errors
    ///
    /// [`Misuse`], also before version 4.
    pub fn data_present(&mut self) -> Result<(), Misuse> {
        if !self.version.has_data_present() {
            return Err(Misuse);
        }
        self.step(State::Offered, State::Asked(Ask::Outcome))?;
        Message::DataPresent.write(&mut self.output);
        Ok(())
    }

    /// After [`Answer::Judged`]: was the content taken? Nothing answers this.
    ///
    /// # Errors
    ///
    /// [`Misuse`].
    pub fn got(&mut self, taken: bool) -> Result<(), Misuse> {
        self.step(State::Got, State::Idle)?;
        let message = if taken { Message::Success(None) } else { Message::Failure(None) };
        message.write(&mut self.output);
        Ok(())
    }

    /// Lets go of the lock. Nothing answers this.
    ///
    /// # Errors
    ///
    /// [`Misuse`].
    pub fn unlock(&mut self) -> Result<(), Misuse> {
        self.step(State::Locked, State::Idle)?;
        Message::UnlockContent.write(&mut self.output);
        Ok(())
    }

    /// Bytes of the payload that were neither [taken](Self::take_payload) nor [read](Self::payload_read) yet.
    pub fn payload_left(&self) -> u64 {
        if let State::Payload(left) = self.state { left } else { 0 }
    }

    /// Bytes of the payload that were pushed, `max` at most.
    pub fn take_payload(&mut self, max: usize) -> Vec<u8> {
        let left = usize::try_from(self.payload_left()).unwrap_or(usize::MAX);
        let bytes = self.lines.take(max.min(left));
        self.payload_read(bytes.len() as u64);
        bytes
    }

    /// `count` bytes of payload were read from the connection without being pushed.
    pub fn payload_read(&mut self, count: u64) {
        if let State::Payload(left) = &mut self.state {
            *left = left.saturating_sub(count);
        }
    }

    /// The next thing the server says, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`Broken`]; the connection is of no more use.
    pub fn next_answer(&mut self) -> Result<Option<Answer>, Broken> {
        loop {
            match self.state {
                State::Broken => return Err(Broken::Gone),
                State::Payload(0) if self.version.tells_validity() => self.state = State::Judged,
                State::Payload(0) => {
                    self.state = State::Got;
                    return Ok(Some(Answer::Judged(true)));
                }
                State::Payload(_) if self.lines.held() > 0 => return Ok(None),
                State::Payload(_) if self.ended => return self.fail(Broken::Gone),
                State::Payload(_) => return Ok(None),
                _ => {}
            }
            let line = match self.lines.next_line() {
                None if self.ended => return self.fail(Broken::Gone),
                None => return Ok(None),
                Some(Err(TooLong)) => return self.fail(Broken::LongLine),
                Some(Ok(line)) => line,
            };
            let message = Message::parse(line.strip_suffix(b"\r").unwrap_or(&line));
            match self.hear(message) {
                Ok(None) => {}
                Err(Broken::Unexpected(_)) => return self.fail(Broken::Unexpected(word(&line))),
                Err(broken) => return self.fail(broken),
                answer => return answer,
            }
        }
    }

    fn hear(&mut self, message: Option<Message>) -> Result<Option<Answer>, Broken> {
        let (answer, next) = match (self.state, message) {
            (State::Greeting, Some(Message::AuthSuccess(uuid))) if uuid.as_ref() == Some(&self.server) => {
                Message::Version(i64::from(ProtocolVersion::NEWEST.number())).write(&mut self.output);
                self.state = State::Agreeing;
                return Ok(None);
            }
            (State::Greeting, Some(Message::AuthSuccess(uuid))) => return Err(Broken::WrongPeer(uuid)),
            (State::Greeting, Some(Message::AuthFailure)) => return Err(Broken::Denied),
            (State::Agreeing, Some(Message::Version(number))) => {
                let version = ProtocolVersion::nearest(number);
                if i64::from(version.number()) != number {
                    return Err(unexpected());
                }
                self.version = version;
                (Answer::Ready, State::Idle)
            }
            // A server from before there were versions.
            (State::Agreeing, Some(Message::Error(_))) => (Answer::Ready, State::Idle),
            (State::Asked(_) | State::Judged, Some(Message::Error(text))) => (Answer::Error(text), State::Idle),
            (State::Asked(Ask::Outcome), Some(Message::Success(list))) => {
                (Answer::Success(list.unwrap_or_default()), State::Idle)
            }
            (State::Asked(Ask::Lock), Some(Message::Success(_))) => (Answer::Success(Vec::new()), State::Locked),
            (State::Asked(Ask::Outcome | Ask::Lock), Some(Message::Failure(list))) => {
                (Answer::Failure(list.unwrap_or_default()), State::Idle)
            }
            (State::Asked(Ask::Timestamp), Some(Message::Timestamp(seconds))) => {
                (Answer::Timestamp(positive(seconds)?), State::Idle)
            }
            (State::Asked(Ask::Get), Some(Message::Data(len))) => {
                let len = positive(len)?;
                (Answer::Data(len), State::Payload(len))
            }
            (State::Asked(Ask::Put), Some(Message::PutFrom(offset))) => {
                (Answer::PutFrom(positive(offset)?), State::Offered)
            }
            (State::Asked(Ask::Put), Some(Message::AlreadyHave(list))) => {
                (Answer::AlreadyHave(list.unwrap_or_default()), State::Idle)
            }
            // A gateway whose repository behind it does not answer says so in the place of PUT-FROM.
            (State::Asked(Ask::Put), Some(Message::Failure(list))) => {
                (Answer::Failure(list.unwrap_or_default()), State::Idle)
            }
            (State::Judged, Some(Message::Valid)) => (Answer::Judged(true), State::Got),
            (State::Judged, Some(Message::Invalid)) => (Answer::Judged(false), State::Got),
            _ => return Err(unexpected()),
        };
        self.state = next;
        Ok(Some(answer))
    }

    fn step(&mut self, from: State, to: State) -> Result<(), Misuse> {
        if self.state != from {
            return Err(Misuse);
        }
        self.state = to;
        Ok(())
    }

    fn fail(&mut self, broken: Broken) -> Result<Option<Answer>, Broken> {
        self.state = State::Broken;
        self.lines = Lines::new(0);
        Err(broken)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::WrongPeer(Some(uuid)) => write!(f, "another repository answers: {uuid}"),
            Broken::WrongPeer(None) => f.write_str("it does not say which repository it is"),
            Broken::Denied => f.write_str("it does not let us in"),
            Broken::Unexpected(word) => write!(f, "protocol error: unexpected {word:?}"),
            Broken::LongLine => f.write_str("protocol error: a line is too long"),
            Broken::Gone => f.write_str("it ended the connection"),
        }
    }
}

impl std::error::Error for Broken {}

/// Filled in by `next_answer`, which has the line.
fn unexpected() -> Broken {
    Broken::Unexpected(String::new())
}

/// The beginning of a line that made no sense there, for people.
fn word(line: &[u8]) -> String {
    let end = line.iter().position(|byte| super::file::is_space(*byte)).unwrap_or(line.len()).min(40);
    String::from_utf8_lossy(&line[..end]).into_owned()
}

fn positive(number: i64) -> Result<u64, Broken> {
    u64::try_from(number).map_err(|_| unexpected())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Leaves room in a line for the longest key and all else.
fn short(file: AssociatedFile) -> AssociatedFile {
    if file.encode().len() > LINE_LIMIT / 2 { AssociatedFile::default() } else { file }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
