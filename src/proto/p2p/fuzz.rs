//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that a plain test can run them over the seeds too.
//!
//! They panic when a promise of the module is broken.

use super::{Access, Close, Event, Message, Reply, Request, Server};
use crate::name::Uuid;
use crate::proto::line::Lines;

/// The first byte says how the rest is cut into pieces; the rest is lines. What is read is what would be written.
pub fn message(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let mut lines = Lines::new(super::LINE_LIMIT);
    for piece in data.chunks(usize::from(*step).max(1)) {
        lines.push(piece);
        while let Some(Ok(line)) = lines.next_line() {
            // The text of an ERROR is cleaned when it is written, so it alone may change.
            if let Some(message) = Message::parse(&line).filter(|message| !matches!(message, Message::Error(_))) {
                let written = message.encode();
                let (end, body) = written.split_last().expect("not empty");
                assert_eq!((*end, body.contains(&b'\n')), (b'\n', false), "more than a line: {message:?}");
                assert_eq!(Message::parse(body), Some(message), "{}", line.escape_ascii());
            }
        }
    }
}

/// Operations on a server, one per line; the very first byte is what the client may do: `F`, `A` or `R`.
///
/// - `<`: the client says the rest, and a newline
/// - `.`: the client says the rest as it is, `|` standing for a newline
/// - `e`: the client is gone
/// - `r`: reply, a byte for what; `s`: sent, `+` or `-`
/// - `t`, `p`: take payload, and read it past the server: a digit for how much
///
/// Two servers get the same, one of them its input byte by byte; they must do the same.
pub fn session(data: &[u8]) {
    let (access, data) = data.split_first().unwrap_or((&b'F', data));
    let access = match access {
        b'A' => Access::AppendOnly,
        b'R' => Access::ReadOnly,
        _ => Access::Full,
    };
    let mut whole = Checked::new(access, usize::MAX);
    let mut bytewise = Checked::new(access, 1);
    for operation in data.split(|byte| *byte == b'\n') {
        whole.apply(operation);
        bytewise.apply(operation);
        assert_eq!(whole.log, bytewise.log, "fragmentation matters");
    }
}

/// What the driver knows to be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Verdict,
    Lock,
    Get,
    Put,
    Store,
    Timestamp,
    Sent,
}

/// A server whose promises are checked after each operation.
struct Checked {
    server: Server,
    access: Access,
    step: usize,
    log: Vec<String>,
    pushed: usize,
    due: Due,
    locked: bool,
    putting: bool,
    closed: Option<Close>,
}

impl Checked {
    fn new(access: Access, step: usize) -> Self {
        let own = Uuid::parse(b"u").expect("a uuid");
        let server = Server::new(&own, access);
        let mut checked = Self {
            server,
            access,
            step,
            log: Vec::new(),
            pushed: 0,
            due: Due::Nothing,
            locked: false,
            putting: false,
            closed: None,
        };
        checked.check();
        assert_eq!(checked.log, ["AUTH-SUCCESS u\\n"]);
        checked
    }

    fn apply(&mut self, operation: &[u8]) {
        match operation {
            [b'<', line @ ..] => self.push(&[line, b"\n"].concat()),
            [b'.', bytes @ ..] => {
                let bytes: Vec<u8> = bytes.iter().map(|byte| if *byte == b'|' { b'\n' } else { *byte }).collect();
                self.push(&bytes);
            }
            [b'e', ..] => {
                self.server.eof();
                self.take_events();
                assert!(!self.server.wants_input());
            }
            [b'r', what, ..] => self.reply(*what),
            [b's', good, ..] => {
                let result = self.server.sent(*good == b'+');
                assert_eq!(result.is_ok(), self.due == Due::Sent);
                if result.is_ok() {
                    self.due = Due::Nothing;
                }
                self.take_events();
            }
            [b't', digit, ..] => {
                let before = self.server.payload_due();
                let bytes = self.server.take_payload(usize::from(digit % 10));
                assert_eq!(before - self.server.payload_due(), bytes.len() as u64);
                self.log.push(bytes.escape_ascii().to_string());
                self.take_events();
            }
            // Payload can only be in the connection once none is left here.
            [b'p', digit, ..] if self.server.held() == 0 => {
                self.server.payload_read(u64::from(digit % 10).min(self.server.payload_due()));
                self.take_events();
            }
            _ => {}
        }
        self.check();
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pushed += bytes.len();
        for piece in bytes.chunks(self.step) {
            self.server.push(piece);
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.server.next_event() {
            assert_eq!((self.closed, self.due), (None, Due::Nothing), "{event:?} while something is due");
            self.log.push(format!("{event:?}"));
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        let removes = matches!(event, Event::Request(Request::Remove(_) | Request::RemoveBefore { .. }));
        let stores = matches!(event, Event::Request(Request::Put { .. }));
        assert!(!removes || self.access == Access::Full, "{event:?}");
        assert!(!stores || self.access != Access::ReadOnly, "{event:?}");
        match event {
            Event::Request(request) => {
                assert!(!self.locked && !self.putting, "{request:?}");
                self.due = match request {
                    Request::CheckPresent(_) | Request::Remove(_) | Request::RemoveBefore { .. } => Due::Verdict,
                    Request::Lock(_) => Due::Lock,
                    Request::Get { .. } => Due::Get,
                    Request::Put { .. } => Due::Put,
                    Request::Timestamp => Due::Timestamp,
                };
            }
            Event::Unlock => assert!(std::mem::take(&mut self.locked), "no lock was given"),
            Event::Payload { len } => assert!(self.putting && len == self.server.payload_due()),
            Event::Verdict { .. } | Event::DataPresent => {
                assert!(std::mem::take(&mut self.putting) && self.server.payload_due() == 0);
                self.due = Due::Store;
            }
            Event::Abandoned => assert!(std::mem::take(&mut self.putting), "no PUT to abandon"),
            Event::Close(close) => {
                assert!(!self.locked && !self.putting, "closed with something left to undo");
                self.closed = Some(close);
            }
            Event::Bypass(_) | Event::Got(_) => {}
        }
    }

    fn reply(&mut self, what: u8) {
        let reply = match what {
            b'+' => Reply::Success(Vec::new()),
            b'-' => Reply::Failure(Vec::new()),
            b'p' => Reply::PutFrom(0),
            b'h' => Reply::AlreadyHave(Vec::new()),
            b'd' => Reply::Data(1),
            b't' => Reply::Timestamp(1),
            _ => Reply::Error(vec![what]),
        };
        let next = match (self.due, &reply) {
            (Due::Nothing | Due::Sent, _) => None,
            (_, Reply::Error(_)) => Some(Due::Nothing),
            (Due::Verdict | Due::Lock | Due::Store, Reply::Success(_) | Reply::Failure(_)) => Some(Due::Nothing),
            (Due::Put, Reply::PutFrom(_) | Reply::AlreadyHave(_)) => Some(Due::Nothing),
            (Due::Timestamp, Reply::Timestamp(_)) => Some(Due::Nothing),
            (Due::Get, Reply::Data(_)) => Some(Due::Sent),
            _ => None,
        };
        assert_eq!(self.server.reply(reply.clone()).is_ok(), next.is_some(), "{reply:?}");
        if let Some(next) = next {
            self.locked = self.due == Due::Lock && matches!(reply, Reply::Success(_));
            self.putting = matches!(reply, Reply::PutFrom(_));
            self.due = next;
        }
        self.take_events();
    }

    fn check(&mut self) {
        let output = self.server.take_output();
        assert!(output.is_empty() || output.ends_with(b"\n"), "half a line");
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            assert!(Message::parse(&line[..line.len() - 1]).is_some(), "{}", line.escape_ascii());
            self.log.push(line.escape_ascii().to_string());
        }
        assert!(self.server.held() <= self.pushed);
        assert!(self.closed.is_none() || self.server.held() == 0);
        assert!(self.closed.is_none() || !self.server.wants_input());
    }
}
