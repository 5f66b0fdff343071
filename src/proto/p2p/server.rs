//! The server side, from AUTH-SUCCESS to the end.
//!
//! ```text
//!          new(): AUTH-SUCCESS
//!                |
//!              [Idle] <--------------------------------------------+
//!                |  request                                        |
//!                v                                                 |
//!             [Asked] --reply()------------------------------------+
//!                |                                                 |
//!                +-- Lock, Success --> [Locked] --UNLOCKCONTENT----+
//!                |                                                 |
//!                +-- Get, Data --> [Sending] --sent()--> [Sent] ---+  the client says SUCCESS or FAILURE
//!                |
//!                +-- Put, PutFrom --> [Awaited] --DATA n--> [Payload] --all taken--> [Judged] --VALID, INVALID--> [Asked]
//!                                        |                                        (version 0: no [Judged])          ^
//!                                        +--DATA-PRESENT (version 4)------------------------------------------------+
//! ```
//!
//! In every other place than `Idle` only what is drawn may follow. Anything else is answered with `ERROR expected ...`
//! and is lost, and the server is idle again; a client's ERROR is not answered there. VERSION is answered in `Idle`.
//!
//! The driver loops: bytes in with [`Server::push`], all events out with [`Server::next_event`], then it writes
//! [`Server::take_output`]. Lines are looked at in `next_event`, so that is also when the server's own answers appear.
//! While a reply is due no line is looked at: [`wants_input`](Server::wants_input) tells when to read on, which is what
//! bounds memory. Payload does not go through here, but for what came in one read with the line before it.
//!
//! ```
//! use git_annex_remote_stream::name::{Key, Uuid};
//! use git_annex_remote_stream::proto::p2p::{Access, AssociatedFile, Event, Reply, Request, Server};
//!
//! let own = Uuid::parse(b"00000000-0000-4000-8000-00000000a001")?;
//! let mut server = Server::new(&own, Access::Full);
//! assert_eq!(server.take_output(), b"AUTH-SUCCESS 00000000-0000-4000-8000-00000000a001\n");
//!
//! server.push(b"VERSION 4\nPUT some%file XYZ--a\n");
//! let key = Key::parse(b"XYZ--a")?;
//! let file = AssociatedFile::new(b"some file").expect("relative");
//! assert_eq!(server.next_event(), Some(Event::Request(Request::Put { file, key })));
//! server.reply(Reply::PutFrom(0))?;
//! assert_eq!(server.take_output(), b"VERSION 4\nPUT-FROM 0\n");
//!
//! server.push(b"DATA 5\nhel");
//! assert_eq!(server.next_event(), Some(Event::Payload { len: 5 }));
//! assert_eq!(server.take_payload(99), b"hel");
//! server.payload_read(2); // the driver moved them from the connection to where they belong
//! server.push(b"VALID\n");
//! assert_eq!(server.next_event(), Some(Event::Verdict { valid: true }));
//! server.reply(Reply::Success(Vec::new()))?;
//! assert_eq!(server.take_output(), b"SUCCESS\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::event::{Close, Event, Misuse, Reply, Request};
use super::message::{Message, Service};
use super::{LINE_LIMIT, ProtocolVersion};
use crate::name::Uuid;
use crate::proto::line::{Lines, TooLong};

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// Everything but removing.
    AppendOnly,
    /// Neither storing nor removing; locking is allowed, since a lock removes nothing.
    ReadOnly,
}

/// The state machine of one connection; see the [module](self).
#[derive(Debug)]
pub struct Server {
    access: Access,
    lines: Lines,
    output: Vec<u8>,
    version: ProtocolVersion,
    state: State,
    ended: Option<Close>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asked(Ask),
    Locked,
    Sending,
    Sent,
    Awaited,
    Payload(u64),
    Judged,
    Closed,
}

/// What kind of reply is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Present,
    Lock,
    Remove,
    Get,
    Put,
    Store,
    Timestamp,
}

impl Server {
    /// A connection that was just made, to the repository `own`: AUTH-SUCCESS waits in the output, since the server
    /// speaks first.
    pub fn new(own: &Uuid, access: Access) -> Self {
        Self {
            access,
            lines: Lines::new(LINE_LIMIT),
            output: Message::AuthSuccess(Some(own.clone())).encode(),
            version: ProtocolVersion::default(),
            state: State::Idle,
            ended: None,
        }
    }

    /// Takes bytes from the client in any fragmentation. Call it while [`wants_input`](Self::wants_input), and
    /// [`next_event`](Self::next_event) until it is empty before the next one.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Closed && self.ended.is_none() {
            self.lines.push(bytes);
        }
    }

    /// The client sends no more. An unfinished line is forgotten; what is due is still to be replied.
    pub fn eof(&mut self) {
        self.ended.get_or_insert(Close::Left);
    }

    /// The next thing to act on, or `None` until more bytes arrive or what is due was done.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.state {
                State::Asked(_) | State::Sending | State::Closed => return None,
                State::Payload(0) if self.version.tells_validity() => self.state = State::Judged,
                State::Payload(0) => {
                    self.state = State::Asked(Ask::Store);
                    return Some(Event::Verdict { valid: true });
                }
                State::Payload(_) => return if self.lines.held() == 0 { self.leave() } else { None },
                State::Idle | State::Locked | State::Sent | State::Awaited | State::Judged => {}
            }
            let event = match self.lines.next_line() {
                None => return self.leave(),
                Some(Err(TooLong)) => {
                    self.ended = Some(Close::LongLine);
                    return self.leave();
                }
                Some(Ok(line)) => self.take_line(line.strip_suffix(b"\r").unwrap_or(&line)),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Answers what was asked.
    ///
    /// # Errors
    ///
    /// [`Misuse`]; the request then still waits, and nothing was written.
    pub fn reply(&mut self, reply: Reply) -> Result<(), Misuse> {
        let State::Asked(ask) = self.state else { return Err(Misuse) };
        let (message, next) = match (ask, reply) {
            (_, Reply::Error(text)) => (Message::Error(text), State::Idle),
            (Ask::Present, Reply::Success(_)) => (Message::Success(None), State::Idle),
            (Ask::Present | Ask::Lock, Reply::Failure(_)) => (Message::Failure(None), State::Idle),
            (Ask::Lock, Reply::Success(_)) => (Message::Success(None), State::Locked),
            (Ask::Remove | Ask::Store, Reply::Success(others)) => (Message::Success(self.plus(others)), State::Idle),
            (Ask::Remove | Ask::Store, Reply::Failure(others)) => (Message::Failure(self.plus(others)), State::Idle),
            (Ask::Put, Reply::AlreadyHave(others)) => (Message::AlreadyHave(self.plus(others)), State::Idle),
            (Ask::Put, Reply::PutFrom(offset)) => (Message::PutFrom(count(offset)), State::Awaited),
            (Ask::Get, Reply::Data(len)) => (Message::Data(count(len)), State::Sending),
            (Ask::Timestamp, Reply::Timestamp(seconds)) => (Message::Timestamp(count(seconds)), State::Idle),
            _ => return Err(Misuse),
        };
        message.write(&mut self.output);
        self.state = next;
        Ok(())
    }

    /// All bytes of [`Reply::Data`] are on their way, and whether they are the content. Where there were less than that
    /// to send, closing the connection is the only way out.
    ///
    /// # Errors
    ///
    /// [`Misuse`] when nothing was being sent.
    pub fn sent(&mut self, valid: bool) -> Result<(), Misuse> {
        if self.state != State::Sending {
            return Err(Misuse);
        }
        if self.version.tells_validity() {
            let message = if valid { Message::Valid } else { Message::Invalid };
            message.write(&mut self.output);
        }
        self.state = State::Sent;
        Ok(())
    }

    /// Bytes of the payload that were neither [taken](Self::take_payload) nor [read](Self::payload_read) yet.
    pub fn payload_due(&self) -> u64 {
        match self.state {
            State::Payload(due) => due,
            _ => 0,
        }
    }

    /// Up to `max` bytes of the payload that were pushed already. Empty when the rest of it is still in the connection.
    pub fn take_payload(&mut self, max: usize) -> Vec<u8> {
        let due = usize::try_from(self.payload_due()).unwrap_or(usize::MAX);
        let bytes = self.lines.take(max.min(due));
        self.payload_read(bytes.len() as u64);
        bytes
    }

    /// `count` bytes of the payload were read from the connection, past this. Only once
    /// [`take_payload`](Self::take_payload) has no more, and never more than are [due](Self::payload_due).
    pub fn payload_read(&mut self, count: u64) {
        if let State::Payload(due) = &mut self.state {
            debug_assert!(count <= *due, "the driver read beyond the payload");
            *due = due.saturating_sub(count);
        }
    }

    /// Bytes for the client, which are whole lines; empty afterwards.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether the next thing to happen is up to the client, once [`next_event`](Self::next_event) is empty.
    pub fn wants_input(&self) -> bool {
        self.ended.is_none() && !matches!(self.state, State::Asked(_) | State::Sending | State::Closed)
    }

    /// The version both sides use now.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Bytes of input in memory.
    pub fn held(&self) -> usize {
        self.lines.held()
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        let message = Message::parse(line);
        match self.state {
            State::Locked => {
                self.state = State::Idle;
                if message != Some(Message::UnlockContent) {
                    self.complain("expected UNLOCKCONTENT");
                }
                Some(Event::Unlock)
            }
            State::Sent => Some(self.take_outcome(message)),
            State::Awaited => Some(self.take_content(message)),
            State::Judged => Some(self.take_verdict(message)),
            _ => self.take_request(message),
        }
    }

    fn take_request(&mut self, message: Option<Message>) -> Option<Event> {
        let (ask, request) = match message {
            None => return self.complain("unknown command"),
            Some(Message::Version(number)) => {
                self.version = ProtocolVersion::nearest(number);
                let ours = i64::from(ProtocolVersion::NEWEST.number());
                Message::Version(number.min(ours)).write(&mut self.output);
                return None;
            }
            Some(Message::Bypass(gateways)) => return Some(Event::Bypass(gateways)),
            Some(Message::Error(_)) => return self.refuse(Close::PeerError),
            Some(Message::Connect(Service::ReceivePack)) if self.access != Access::Full => {
                self.complain(READ_ONLY);
                return self.refuse(Close::Denied);
            }
            Some(Message::Connect(_)) => return self.refuse(Close::NoRelay),
            Some(Message::NotifyChange) => return self.refuse(Close::NoNotice),
            Some(Message::Put(..) | Message::Remove(_) | Message::RemoveBefore(..))
                if self.access == Access::ReadOnly =>
            {
                return self.complain(READ_ONLY);
            }
            Some(Message::Remove(_) | Message::RemoveBefore(..)) if self.access == Access::AppendOnly => {
                return self.complain("this repository is append-only; removal denied");
            }
            Some(Message::CheckPresent(key)) => (Ask::Present, Request::CheckPresent(key)),
            Some(Message::LockContent(key)) => (Ask::Lock, Request::Lock(key)),
            Some(Message::Remove(key)) => (Ask::Remove, Request::Remove(key)),
            Some(Message::RemoveBefore(timestamp, key)) => (Ask::Remove, Request::RemoveBefore { timestamp, key }),
            Some(Message::GetTimestamp) => (Ask::Timestamp, Request::Timestamp),
            Some(Message::Get(offset, file, key)) => match u64::try_from(offset) {
                Ok(offset) => (Ask::Get, Request::Get { offset, file, key }),
                Err(_) => return self.complain("the offset is negative"),
            },
            Some(Message::Put(file, key)) => (Ask::Put, Request::Put { file, key }),
            Some(_) => return self.complain("unexpected command"),
        };
        self.state = State::Asked(ask);
        Some(Event::Request(request))
    }

    fn take_content(&mut self, message: Option<Message>) -> Event {
        if let Some(Message::Data(len)) = message
            && let Ok(len) = u64::try_from(len)
        {
            self.state = State::Payload(len);
            return Event::Payload { len };
        }
        if message == Some(Message::DataPresent) && self.version.has_data_present() {
            self.state = State::Asked(Ask::Store);
            return Event::DataPresent;
        }
        if !matches!(message, Some(Message::Error(_))) {
            self.complain("expected DATA");
        }
        self.state = State::Idle;
        Event::Abandoned
    }

    fn take_verdict(&mut self, message: Option<Message>) -> Event {
        let valid = match message {
            Some(Message::Valid) => true,
            Some(Message::Invalid) => false,
            _ => {
                // git-annex says SUCCESS or FAILURE behind this, which the client takes for the answer to its next
                // request: CHECKPRESENT of absent content would look answered with SUCCESS.
                self.complain("expected VALID or INVALID");
                self.state = State::Idle;
                return Event::Abandoned;
            }
        };
        self.state = State::Asked(Ask::Store);
        Event::Verdict { valid }
    }

    fn take_outcome(&mut self, message: Option<Message>) -> Event {
        self.state = State::Idle;
        match message {
            Some(Message::Success(_)) => Event::Got(true),
            Some(Message::Failure(_) | Message::Error(_)) => Event::Got(false),
            _ => {
                self.complain("expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS");
                Event::Got(false)
            }
        }
    }

    /// If the client is gone: first what it left undone, then the end.
    fn leave(&mut self) -> Option<Event> {
        let close = self.ended?;
        let left = match self.state {
            State::Locked => Event::Unlock,
            State::Sent => Event::Got(false),
            State::Awaited => Event::Abandoned,
            State::Payload(_) => {
                self.ended = Some(Close::CutShort);
                Message::Failure(None).write(&mut self.output);
                Event::Abandoned
            }
            State::Judged => {
                Message::Failure(None).write(&mut self.output);
                Event::Abandoned
            }
            _ => return self.refuse(close),
        };
        self.state = State::Idle;
        Some(left)
    }

    fn complain(&mut self, text: &str) -> Option<Event> {
        Message::Error(text.as_bytes().to_vec()).write(&mut self.output);
        None
    }

    fn refuse(&mut self, close: Close) -> Option<Event> {
        self.state = State::Closed;
        self.lines = Lines::new(0);
        Some(Event::Close(close))
    }

    fn plus(&self, others: Vec<Uuid>) -> Option<Vec<Uuid>> {
        (self.version.has_plus() && !others.is_empty()).then_some(others)
    }
}

/// What git-annex says to any attempt to write, and also to CONNECT git-receive-pack where removal alone is denied.
const READ_ONLY: &str = "this repository is read-only; write access denied";

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
