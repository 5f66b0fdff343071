//! A repository in memory that answers through `proto::http`, as small as the transcripts allow.

use std::collections::HashMap;

use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::proto::http::access::{Access, Logins, Open, Rights, User, Verdict};
use git_annex_remote_stream::proto::http::auth::Password;
use git_annex_remote_stream::proto::http::body::BodyReader;
use git_annex_remote_stream::proto::http::head::{self, Head, Method, Refusal};
use git_annex_remote_stream::proto::http::json::{self, KeepLocked, Wish};
use git_annex_remote_stream::proto::http::range::choose;
use git_annex_remote_stream::proto::http::response::{Connection, Media, Response};
use git_annex_remote_stream::proto::http::route::{Api, Call, Op, Reject, route};
use sha2::{Digest, Sha256};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NOW: u64 = 1998;

pub struct Model {
    uuid: Uuid,
    access: Access,
    contents: HashMap<Key, Vec<u8>>,
    partial: HashMap<Key, Vec<u8>>,
    locks: HashMap<Vec<u8>, Key>,
    count: usize,
    /// It is a special remote, of which nothing can be locked and to which content is always sent from the start.
    special: bool,
}

impl Model {
    pub fn new() -> Self {
        Self::of("00000000-0000-4000-8000-00000000a001", false)
    }

    /// What has this uuid.
    pub fn of(uuid: &str, special: bool) -> Self {
        let key = b"SHA256E-s11--98c43a7d7676766d655b42f239ce26461cb26fb4141421602983cde56b806f77.txt";
        Self {
            uuid: Uuid::parse(uuid.as_bytes()).expect("a uuid"),
            access: Access::default(),
            contents: HashMap::from([(Key::parse(key).expect("a key"), b"hello annex".to_vec())]),
            partial: HashMap::new(),
            locks: HashMap::new(),
            count: 0,
            special,
        }
    }

    /// A put of `key` was broken off after these bytes.
    pub fn begin(&mut self, key: &str, bytes: &[u8]) {
        self.partial.insert(Key::parse(key.as_bytes()).expect("a key"), bytes.to_vec());
    }

    /// Another server on the same repository.
    pub fn restart(&mut self, flags: &str) {
        let given = |flag: &str| flags.split(' ').any(|word| word == flag);
        let user = |name: &str, password: &str, rights| User {
            name: name.into(),
            password: Password::new(password.into()),
            rights,
        };
        let users = vec![
            user("alice", "pw1", Rights::Full),
            user("bob", "pw2", Rights::ReadOnly),
            user("carol", "pw3", Rights::AppendOnly),
        ];
        self.access = Access {
            users,
            logins: match (given("--authenv-http"), given("--authenv")) {
                (true, _) => Logins::Anyhow,
                (false, true) => Logins::Secure,
                (false, false) => Logins::No,
            },
            open: match () {
                () if given("--wideopen") => Open::Full,
                () if given("--unauth-appendonly") => Open::AppendOnly,
                () if given("--unauth-readonly") => Open::ReadOnly,
                () => Open::Closed,
            },
            nolocking: given("--unauth-nolocking"),
            file: None,
        };
    }

    /// Answers one request, of which `step` bytes arrive at a time; `closed` says that the client is gone after them.
    pub fn answer(&mut self, request: &[u8], step: usize, closed: bool) -> Vec<u8> {
        let (head, length) = match arrive(request, step) {
            Ok(found) => found,
            Err(refusal) => {
                let response = Response {
                    media: Some(Media::Text),
                    length: refusal.detail().len() as u64,
                    connection: Connection::Close,
                    ..Response::of(refusal.status())
                };
                return written(response, refusal.detail().as_bytes());
            }
        };
        let connection = Connection::of(head.version, head.keep_alive);
        let (response, body) = match self.call(&head, &request[length..], step, closed) {
            Ok(answer) => answer,
            Err(reject) => {
                let length = reject.body.len() as u64;
                (Response { length, ..Response::of(reject.status) }, reject.body.into_owned().into_bytes())
            }
        };
        let body = if head.method == Method::Head { Vec::new() } else { body };
        written(Response { connection, ..response }, &body)
    }

    fn call(&mut self, head: &Head<'_>, rest: &[u8], step: usize, closed: bool) -> Result<(Response, Vec<u8>), Reject> {
        let call = route(head)?;
        let who = self.access.identify(call.credentials.as_ref(), false);
        match self.access.decide(who, call.op.action()) {
            Verdict::Allow => {}
            Verdict::Authenticate => return Ok((Response::of(401), Vec::new())),
            Verdict::Forbid => return Ok((Response::of(403), Vec::new())),
        }
        if call.uuid != self.uuid || !call.prefix.is_empty() {
            return Err(Reject::NOT_FOUND);
        }
        let body = Body { reader: BodyReader::new(head.body), rest, step, closed };
        if let Op::Get { key, offset, .. } = &call.op {
            return Ok(self.get(head, &call, key, *offset));
        }
        let mut out = Vec::new();
        self.serve(&call, body, &mut out);
        Ok((Response::json(out.len()), out))
    }

    fn get(&self, head: &Head<'_>, call: &Call<'_>, key: &Key, offset: u64) -> (Response, Vec<u8>) {
        if call.api == Api::Unversioned && !self.contents.contains_key(key) {
            return (Response::of(404), Vec::new());
        }
        let content = self.contents.get(key).map(Vec::as_slice).unwrap_or_default();
        let offset = usize::try_from(offset).expect("a small offset").min(content.len());
        let content = &content[offset..];
        let total = content.len() as u64;
        let range = head.range.filter(|_| call.api == Api::Unversioned && head.method == Method::Get);
        let choice = choose(range, total);
        match choice.part(total) {
            None => (Response::content(total), content.to_vec()),
            Some(part) => {
                let count = |text: &[u8]| text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                let range = range.expect("it was asked for").strip_prefix(b"bytes=").expect("in bytes");
                let dash = range.iter().position(|byte| *byte == b'-').expect("from, to");
                let bytes = content[count(&range[..dash])..=count(&range[dash + 1..])].to_vec();
                (Response { status: 206, part: Some(part), ..Response::content(bytes.len() as u64) }, bytes)
            }
        }
    }

    fn serve(&mut self, call: &Call<'_>, body: Body<'_>, out: &mut Vec<u8>) {
        match &call.op {
            Op::CheckPresent { key } => json::present(self.contents.contains_key(key), out),
            Op::Lock { key } => {
                self.count += 1;
                let id = format!("lock-{}", self.count).into_bytes();
                if self.contents.contains_key(key) && !self.special {
                    json::locked(Some(&id), out);
                    self.locks.insert(id, key.clone());
                } else {
                    json::locked(None, out);
                }
            }
            Op::KeepLocked { lockid } => {
                if body.unlocks() {
                    self.locks.remove(lockid);
                }
                json::locked(None, out);
            }
            Op::Remove { key } => json::removed(call.api, self.remove(key), &[], out),
            Op::RemoveBefore { key, timestamp } => {
                let removed = !self.contents.contains_key(key) || (*timestamp > NOW && self.remove(key));
                json::removed(call.api, removed, &[], out);
            }
            Op::Timestamp => json::timestamp(NOW, out),
            Op::Put { key, offset, len, data_present, .. } => {
                let payload = body.payload();
                let stored = self.contents.contains_key(key)
                    || (!data_present && self.put(key, usize::try_from(*offset).expect("small"), *len, &payload));
                json::stored(call.api, stored, &[], out);
            }
            Op::PutOffset { key } => match self.contents.contains_key(key) {
                true => json::already_have(call.api, &[], out),
                false => json::offset(self.partial.get(key).map_or(0, Vec::len) as u64, out),
            },
            Op::Get { .. } => unreachable!("answered before"),
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        if self.locks.values().any(|locked| locked == key) {
            return false;
        }
        self.contents.remove(key);
        true
    }

    fn put(&mut self, key: &Key, offset: usize, len: u64, payload: &[u8]) -> bool {
        let held = self.partial.remove(key).unwrap_or_default();
        if offset > held.len() {
            self.partial.insert(key.clone(), held);
            return false;
        }
        let content = [&held[..offset], payload].concat();
        if (payload.len() as u64) < len {
            if !self.special {
                self.partial.insert(key.clone(), content);
            }
            return false;
        }
        let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let hashed = key.backend().starts_with(b"SHA256");
        let right = payload.len() as u64 == len
            && key.size().is_none_or(|size| size == content.len() as u64)
            && (!hashed || key.name().starts_with(digest.as_bytes()));
        if right {
            self.contents.insert(key.clone(), content);
        }
        right
    }
}

/// A body that arrives so many bytes at a time.
struct Body<'a> {
    reader: BodyReader,
    rest: &'a [u8],
    step: usize,
    closed: bool,
}

impl Body<'_> {
    fn payload(mut self) -> Vec<u8> {
        let mut payload = Vec::new();
        for mut part in self.rest.chunks(self.step) {
            while let Some(piece) = self.reader.next(&mut part).expect("bodies of transcripts are right") {
                payload.extend_from_slice(piece);
            }
        }
        assert_eq!(self.reader.is_done(), !self.closed, "the end of the body");
        payload
    }

    fn unlocks(mut self) -> bool {
        let mut lines = KeepLocked::new();
        for part in self.rest.chunks(self.step) {
            let mut part = part.to_vec();
            let compacted = self.reader.compact(&mut part).expect("bodies of transcripts are right");
            if lines.push(&part[..compacted.payload]) == Wish::Unlock {
                return true;
            }
        }
        self.reader.is_done()
    }
}

fn arrive(request: &[u8], step: usize) -> Result<(Head<'_>, usize), Refusal> {
    let mut seen = 0;
    loop {
        let end = request.len().min(seen + step.min(request.len()));
        if let Some(found) = head::parse_more(&request[..end], seen)? {
            return Ok(found);
        }
        assert!(end < request.len(), "the head never ends: {}", request.escape_ascii());
        seen = end;
    }
}

fn written(response: Response, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    response.write(DATE, &mut out);
    out.extend_from_slice(body);
    out
}
