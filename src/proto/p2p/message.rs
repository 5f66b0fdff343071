//! Every line of the protocol, both ways.
//!
//! A line that [`Message::parse`] does not know is what git-annex answers with `ERROR unknown command`; a message in the
//! wrong place is another matter, for whoever keeps track of places.

use super::file::{AssociatedFile, is_space};
use crate::name::{Key, Uuid};
use crate::proto::special::Secret;

/// One line. The payload of DATA follows it and is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Client: who it is, and the token agreed on beforehand. Not used over stdio.
    Auth {
        /// The client, where it gave one.
        client: Option<Uuid>,
        /// What proves it.
        token: Secret,
    },
    /// Server: welcome, and who it is.
    AuthSuccess(Option<Uuid>),
    /// Server: go away.
    AuthFailure,
    /// Client: the newest version it speaks; server: the one to speak. Negative ones are echoed by git-annex.
    Version(i64),
    /// Client: gateways of a cluster not to go through.
    Bypass(Vec<Uuid>),
    /// Either: what went wrong.
    Error(Vec<u8>),
    /// Client: talk to a git service.
    Connect(Service),
    /// Server: the service ended with this status.
    ConnectDone(i64),
    /// Client: tell when refs change.
    NotifyChange,
    /// Server: these refs changed.
    Changed(Vec<Vec<u8>>),
    /// Client: is it there?
    CheckPresent(Key),
    /// Client: keep it until UNLOCKCONTENT.
    LockContent(Key),
    /// Client: no need to keep it any more. Takes no key, whatever the documentation says.
    UnlockContent,
    /// Client: remove it.
    Remove(Key),
    /// Client: remove it, unless the server's clock is past this many seconds.
    RemoveBefore(i64, Key),
    /// Client: what does the server's clock say?
    GetTimestamp,
    /// Server: its monotonic clock, in seconds.
    Timestamp(i64),
    /// Client: send it, from this offset in bytes.
    Get(i64, AssociatedFile, Key),
    /// Client: may I send it?
    Put(AssociatedFile, Key),
    /// Server: send it, from this offset in bytes.
    PutFrom(i64),
    /// Server: no need. The list, from version 2, names other repositories that have it too.
    AlreadyHave(Option<Vec<Uuid>>),
    /// Either: it is done. The list, from version 2, names repositories it was done in.
    Success(Option<Vec<Uuid>>),
    /// Either: it is not done. The list, from version 2, names repositories it was done in nevertheless.
    Failure(Option<Vec<Uuid>>),
    /// Either: this many bytes follow.
    Data(i64),
    /// Client: the content got there by another way (version 4).
    DataPresent,
    /// Either: the bytes sent are the content.
    Valid,
    /// Either: the content changed while it was sent.
    Invalid,
}

/// What CONNECT can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Fetching.
    UploadPack,
    /// Pushing.
    ReceivePack,
}

impl Message {
    /// Reads one line, its `\n` and the `\r` before that removed. `None` where git-annex would not know it either.
    ///
    /// Numbers are decimal and held within `i64`. Uuids in lists that are none are left out.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (word, rest) = split(line);
        Some(match word {
            b"AUTH" => {
                let (client, token) = split(rest);
                Message::Auth { client: Uuid::parse(client).ok(), token: Secret::new(token) }
            }
            b"AUTH-SUCCESS" => Message::AuthSuccess(Uuid::parse(rest).ok()),
            b"AUTH-FAILURE" => alone(rest, Message::AuthFailure)?,
            b"VERSION" => Message::Version(number(rest)?),
            b"BYPASS" => Message::Bypass(uuids(rest)),
            b"ERROR" => Message::Error(rest.to_vec()),
            b"CONNECT" => Message::Connect(service(rest)?),
            b"CONNECTDONE" => Message::ConnectDone(number(rest)?),
            b"NOTIFYCHANGE" => alone(rest, Message::NotifyChange)?,
            b"CHANGED" => Message::Changed(words(rest).map(<[u8]>::to_vec).collect()),
            b"CHECKPRESENT" => Message::CheckPresent(key(rest)?),
            b"LOCKCONTENT" => Message::LockContent(key(rest)?),
            b"UNLOCKCONTENT" => alone(rest, Message::UnlockContent)?,
            b"REMOVE" => Message::Remove(key(rest)?),
            b"REMOVE-BEFORE" => {
                let (timestamp, rest) = split(rest);
                Message::RemoveBefore(number(timestamp)?, key(rest)?)
            }
            b"GETTIMESTAMP" => alone(rest, Message::GetTimestamp)?,
            b"TIMESTAMP" => Message::Timestamp(number(rest)?),
            b"GET" => {
                let (offset, rest) = split(rest);
                let (file, rest) = split(rest);
                Message::Get(number(offset)?, AssociatedFile::decode(file)?, key(rest)?)
            }
            b"PUT" => {
                let (file, rest) = split(rest);
                Message::Put(AssociatedFile::decode(file)?, key(rest)?)
            }
            b"PUT-FROM" => Message::PutFrom(number(rest)?),
            b"ALREADY-HAVE" => alone(rest, Message::AlreadyHave(None))?,
            b"ALREADY-HAVE-PLUS" => Message::AlreadyHave(Some(uuids(rest))),
            b"SUCCESS" => alone(rest, Message::Success(None))?,
            b"SUCCESS-PLUS" => Message::Success(Some(uuids(rest))),
            b"FAILURE" => alone(rest, Message::Failure(None))?,
            b"FAILURE-PLUS" => Message::Failure(Some(uuids(rest))),
            b"DATA" => Message::Data(number(rest)?),
            b"DATA-PRESENT" => alone(rest, Message::DataPresent)?,
            b"VALID" => alone(rest, Message::Valid)?,
            b"INVALID" => alone(rest, Message::Invalid)?,
            _ => return None,
        })
    }

    /// Appends the line, with its `\n`. Control characters in the text of an ERROR become spaces.
    pub fn write(&self, line: &mut Vec<u8>) {
        let mut writer = Writer(line);
        match self {
            Message::Auth { client, token } => {
                let client = client.as_ref().map(Uuid::as_bytes).unwrap_or_default();
                writer.line("AUTH", &[client, token.reveal()]);
            }
            Message::AuthSuccess(uuid) => {
                writer.line("AUTH-SUCCESS", &[uuid.as_ref().map(Uuid::as_bytes).unwrap_or_default()]);
            }
            Message::AuthFailure => writer.line("AUTH-FAILURE", &[]),
            Message::Version(version) => writer.number("VERSION", *version),
            Message::Bypass(list) => writer.list("BYPASS", list.iter().map(Uuid::as_bytes)),
            Message::Error(text) => {
                let text: Vec<u8> =
                    text.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }).collect();
                writer.line("ERROR", &[&text]);
            }
            Message::Connect(Service::UploadPack) => writer.line("CONNECT", &[UPLOAD]),
            Message::Connect(Service::ReceivePack) => writer.line("CONNECT", &[RECEIVE]),
            Message::ConnectDone(status) => writer.number("CONNECTDONE", *status),
            Message::NotifyChange => writer.line("NOTIFYCHANGE", &[]),
            Message::Changed(refs) => writer.list("CHANGED", refs.iter().map(Vec::as_slice)),
            Message::CheckPresent(key) => writer.line("CHECKPRESENT", &[key.as_bytes()]),
            Message::LockContent(key) => writer.line("LOCKCONTENT", &[key.as_bytes()]),
            Message::UnlockContent => writer.line("UNLOCKCONTENT", &[]),
            Message::Remove(key) => writer.line("REMOVE", &[key.as_bytes()]),
            Message::RemoveBefore(timestamp, key) => {
                writer.line("REMOVE-BEFORE", &[timestamp.to_string().as_bytes(), key.as_bytes()]);
            }
            Message::GetTimestamp => writer.line("GETTIMESTAMP", &[]),
            Message::Timestamp(timestamp) => writer.number("TIMESTAMP", *timestamp),
            Message::Get(offset, file, key) => {
                writer.line("GET", &[offset.to_string().as_bytes(), &file.encode(), key.as_bytes()]);
            }
            Message::Put(file, key) => writer.line("PUT", &[&file.encode(), key.as_bytes()]),
            Message::PutFrom(offset) => writer.number("PUT-FROM", *offset),
            Message::AlreadyHave(list) => writer.plus("ALREADY-HAVE", "ALREADY-HAVE-PLUS", list.as_deref()),
            Message::Success(list) => writer.plus("SUCCESS", "SUCCESS-PLUS", list.as_deref()),
            Message::Failure(list) => writer.plus("FAILURE", "FAILURE-PLUS", list.as_deref()),
            Message::Data(len) => writer.number("DATA", *len),
            Message::DataPresent => writer.line("DATA-PRESENT", &[]),
            Message::Valid => writer.line("VALID", &[]),
            Message::Invalid => writer.line("INVALID", &[]),
        }
    }

    /// The line, with its `\n`.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = Vec::new();
        self.write(&mut line);
        line
    }
}

const UPLOAD: &[u8] = b"git-upload-pack";
const RECEIVE: &[u8] = b"git-receive-pack";

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn line(&mut self, word: &str, parameters: &[&[u8]]) {
        self.list(word, parameters.iter().copied());
    }

    fn list<'a>(&mut self, word: &str, parameters: impl Iterator<Item = &'a [u8]>) {
        self.0.extend_from_slice(word.as_bytes());
        for parameter in parameters {
            self.0.push(b' ');
            self.0.extend_from_slice(parameter);
        }
        self.0.push(b'\n');
    }

    fn number(&mut self, word: &str, number: i64) {
        self.line(word, &[number.to_string().as_bytes()]);
    }

    fn plus(&mut self, word: &str, plus: &str, list: Option<&[Uuid]>) {
        match list {
            None => self.line(word, &[]),
            Some(list) => self.list(plus, list.iter().map(Uuid::as_bytes)),
        }
    }
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| is_space(*byte)) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| is_space(*byte)).filter(|word| !word.is_empty())
}

fn alone(rest: &[u8], message: Message) -> Option<Message> {
    rest.is_empty().then_some(message)
}

fn key(rest: &[u8]) -> Option<Key> {
    Key::parse(rest).ok()
}

fn uuids(rest: &[u8]) -> Vec<Uuid> {
    words(rest).filter_map(|word| Uuid::parse(word).ok()).collect()
}

fn service(rest: &[u8]) -> Option<Service> {
    match rest {
        UPLOAD => Some(Service::UploadPack),
        RECEIVE => Some(Service::ReceivePack),
        _ => None,
    }
}

/// The number a line's rest begins with; git-annex does not mind what stands behind a space after it.
fn number(rest: &[u8]) -> Option<i64> {
    let (word, _) = split(rest);
    let (negative, digits) = word.strip_prefix(b"-").map_or((false, word), |digits| (true, digits));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: i64, byte: &u8| {
        let digit = i64::from(byte - b'0');
        number.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
    };
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_git_annex_does_not_know_are_none() {
        // Recorded one by one: all of these are answered with `ERROR unknown command`.
        for line in "|FOO bar|checkpresent A--b|CHECKPRESENT|CHECKPRESENT |CHECKPRESENT notakey|\
             CHECKPRESENT SHA256E-s11|CHECKPRESENT SHA256E-sX--abc|CHECKPRESENT a b|REMOVE|PUT|PUT f|GET|\
             GET 0|GET 0 f|GET x f A--b|GET  f A--b|GET 0 /f A--b|PUT /f A--b|LOCKCONTENT|\
             REMOVE-BEFORE x A--b|REMOVE-BEFORE 10|REMOVE-BEFORE 10 |REMOVE-BEFORE 1.5 A--b|\
             UNLOCKCONTENT A--b|CONNECT|CONNECT foo|CONNECT git-upload-pack x|GETTIMESTAMP foo|VALID x|\
             INVALID x|SUCCESS x|DATA|DATA x|DATA-PRESENT x|PUT-FROM|PUT-FROM x|VERSION|VERSION |VERSION x|\
             VERSION +1|VERSION 1.5|TIMESTAMP|TIMESTAMP x|ALREADY-HAVE x|AUTH-FAILURE x|NOTIFYCHANGE x|\
             CONNECTDONE|CONNECTDONE x"
            .split('|')
        {
            assert_eq!(Message::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn odd_lines_git_annex_takes_are_taken() {
        let key = |text: &str| Key::parse(text.as_bytes()).expect("a key");
        let none = AssociatedFile::default;
        for (line, message) in [
            ("VERSION 1 2", Message::Version(1)),
            ("VERSION 01", Message::Version(1)),
            ("VERSION -1", Message::Version(-1)),
            ("VERSION 99999999999999999999", Message::Version(i64::MAX)),
            ("VERSION -99999999999999999999", Message::Version(i64::MIN)),
            ("DATA 3 x", Message::Data(3)),
            ("CHECKPRESENT WORM-s4-m1--a b c", Message::CheckPresent(key("WORM-s4-m1--a b c"))),
            ("CHECKPRESENT\tA--b", Message::CheckPresent(key("A--b"))),
            ("PUT foo bar A--b", Message::Put(AssociatedFile::new(b"foo").expect("relative"), key("bar A--b"))),
            ("GET 7  A--b", Message::Get(7, none(), key("A--b"))),
            ("UNLOCKCONTENT ", Message::UnlockContent),
            ("BYPASS", Message::Bypass(Vec::new())),
            ("CHANGED", Message::Changed(Vec::new())),
            ("ERROR", Message::Error(Vec::new())),
            ("SUCCESS-PLUS", Message::Success(Some(Vec::new()))),
            ("AUTH", Message::Auth { client: None, token: Secret::new("") }),
        ] {
            assert_eq!(Message::parse(line.as_bytes()), Some(message), "{line}");
        }
    }

    #[test]
    fn messages_are_written_as_they_are_read() {
        for line in "AUTH u t|AUTH-SUCCESS u|AUTH-FAILURE|VERSION 4|BYPASS a b|ERROR no such thing|\
             CONNECT git-upload-pack|CONNECT git-receive-pack|CONNECTDONE 0|NOTIFYCHANGE|\
             CHANGED refs/heads/a refs/heads/b|CHECKPRESENT A-s1--b c|LOCKCONTENT A--b|UNLOCKCONTENT|\
             REMOVE A--b|REMOVE-BEFORE 10 A--b|GETTIMESTAMP|TIMESTAMP 1418|GET 5 di%r/per%%cent A--b|\
             PUT  A--b|PUT-FROM 7|ALREADY-HAVE|ALREADY-HAVE-PLUS a|SUCCESS|SUCCESS-PLUS b a|FAILURE|\
             FAILURE-PLUS a|DATA 0|DATA-PRESENT|VALID|INVALID"
            .split('|')
        {
            let message = Message::parse(line.as_bytes()).expect(line);
            assert_eq!(message.encode(), format!("{line}\n").into_bytes());
        }
        assert_eq!(Message::Error(b"two\nlines\r".to_vec()).encode(), b"ERROR two lines \n");
    }
}
