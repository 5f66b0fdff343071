//! A repository in memory and the driver of one connection to it: what the server expects of the real ones.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::name::{Key, Uuid};
use crate::proto::p2p::{Access, Close, Event, Reply, Request, Server};
use testbed::recorded::transcript::File;

/// Keys with their content, and what is left of transfers that broke off.
pub struct Repository {
    pub own: Uuid,
    pub content: HashMap<Key, Vec<u8>>,
    pub partial: HashMap<Key, Vec<u8>>,
    pub locks: HashSet<Key>,
    /// It is a special remote, of which nothing can be locked, and to which content is always sent from the start.
    pub special: bool,
    /// It cannot be reached.
    pub away: bool,
}

/// The time in it.
pub const NOW: u64 = 1000;

/// A connection, with what it said as lines of a transcript.
pub struct Connection {
    server: Server,
    put: Option<(Key, Vec<u8>)>,
    locked: Option<Key>,
    pub closed: Option<Close>,
    pub said: Vec<String>,
}

impl Repository {
    pub fn new(file: &File) -> Self {
        Self::holding(&file.expand("$uuid"), &file.have, false)
    }

    /// What `file` says is behind it.
    pub fn behind(file: &File) -> Vec<Self> {
        file.behind.iter().map(|behind| Self::holding(&behind.uuid, &behind.holds, behind.special)).collect()
    }

    fn holding(uuid: &str, have: &[(String, Vec<u8>)], special: bool) -> Self {
        let own = Uuid::parse(uuid.as_bytes()).expect("a uuid");
        let entry = |(key, content): &(String, Vec<u8>)| (Key::parse(key.as_bytes()).expect("a key"), content.clone());
        let content = have.iter().map(entry).collect();
        Self { own, content, partial: HashMap::new(), locks: HashSet::new(), special, away: false }
    }

    /// Whether `bytes` can be `key`: length and digest, where the key tells them.
    fn verifies(key: &Key, bytes: &[u8]) -> bool {
        let size = key.size().is_none_or(|size| size == bytes.len() as u64);
        let digest = match key.backend() {
            b"SHA256" | b"SHA256E" => {
                let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                key.name().starts_with(hex.as_bytes())
            }
            _ => true,
        };
        size && digest
    }

    /// What comes of a PUT: whether it is stored.
    fn store(&mut self, key: Key, bytes: Vec<u8>, valid: bool) -> bool {
        let hashed = key.backend().starts_with(b"SHA");
        if Self::verifies(&key, &bytes) && (valid || (hashed && !self.special)) {
            self.partial.remove(&key);
            self.content.insert(key, bytes);
            return true;
        }
        if valid || self.special {
            self.partial.remove(&key);
        } else {
            self.partial.insert(key, bytes);
        }
        false
    }
}

impl Connection {
    pub fn new(own: &Uuid, access: Access) -> Self {
        let mut connection =
            Self { server: Server::new(own, access), put: None, locked: None, closed: None, said: Vec::new() };
        connection.write();
        connection
    }

    /// Gives the server these bytes, in pieces, and does what it asks for.
    pub fn hear(&mut self, repository: &mut Repository, bytes: &[u8], step: usize) {
        for piece in bytes.chunks(step) {
            self.server.push(piece);
            self.run(repository);
        }
    }

    pub fn eof(&mut self, repository: &mut Repository) {
        self.server.eof();
        self.run(repository);
    }

    fn run(&mut self, repository: &mut Repository) {
        loop {
            while let Some(event) = self.server.next_event() {
                self.act(repository, event);
            }
            self.write();
            let bytes = self.server.take_payload(4);
            match &mut self.put {
                Some((_, received)) if !bytes.is_empty() => received.extend(bytes),
                _ => return,
            }
        }
    }

    fn act(&mut self, repository: &mut Repository, event: Event) {
        match event {
            Event::Request(request) => self.answer(repository, request),
            Event::Bypass(_) | Event::Got(_) | Event::Payload { .. } => {}
            Event::Unlock => {
                let key = self.locked.take().expect("a lock to let go");
                repository.locks.remove(&key);
            }
            Event::Verdict { valid } => {
                let (key, bytes) = self.put.take().expect("a PUT");
                if repository.away {
                    return self.reply(away());
                }
                let stored = repository.store(key, bytes, valid);
                self.reply(if stored { Reply::Success(Vec::new()) } else { Reply::Failure(Vec::new()) });
            }
            Event::DataPresent => {
                let (key, _) = self.put.take().expect("a PUT");
                self.reply(verdict(repository.content.contains_key(&key)));
            }
            Event::Abandoned => {
                let (key, bytes) = self.put.take().expect("a PUT");
                if !repository.special {
                    repository.partial.insert(key, bytes);
                }
            }
            Event::Close(close) => self.closed = Some(close),
        }
    }

    fn answer(&mut self, repository: &mut Repository, request: Request) {
        if repository.away && !matches!(request, Request::Put { .. }) {
            return self.reply(away());
        }
        let reply = match request {
            Request::Lock(_) if repository.special => Reply::Failure(Vec::new()),
            Request::CheckPresent(key) => verdict(repository.content.contains_key(&key)),
            Request::Lock(key) if repository.content.contains_key(&key) => {
                repository.locks.insert(key.clone());
                self.locked = Some(key);
                Reply::Success(Vec::new())
            }
            Request::Lock(_) => Reply::Failure(Vec::new()),
            Request::Remove(key) => verdict(Self::remove(repository, &key)),
            Request::RemoveBefore { timestamp, key } => {
                let late = timestamp < i64::try_from(NOW).expect("small");
                let absent = !repository.content.contains_key(&key);
                verdict(absent || (!late && Self::remove(repository, &key)))
            }
            Request::Get { offset, key, .. } => {
                let content = repository.content.get(&key);
                let bytes = content.and_then(|all| all.get(usize::try_from(offset).ok()?..)).unwrap_or_default();
                self.reply(Reply::Data(bytes.len() as u64));
                self.write();
                if !bytes.is_empty() {
                    self.said.push(format!("<< {}", testbed::recorded::transcript::quote(bytes)));
                }
                return self.server.sent(content.is_some()).expect("data was said");
            }
            Request::Put { key, .. } if !repository.special && repository.content.contains_key(&key) => {
                Reply::AlreadyHave(Vec::new())
            }
            Request::Put { key, .. } => {
                let partial = repository.partial.get(&key).cloned().unwrap_or_default();
                let offset = partial.len() as u64;
                self.put = Some((key, partial));
                Reply::PutFrom(offset)
            }
            Request::Timestamp => Reply::Timestamp(NOW),
        };
        self.reply(reply);
    }

    fn remove(repository: &mut Repository, key: &Key) -> bool {
        if repository.locks.contains(key) {
            return false;
        }
        repository.content.remove(key);
        true
    }

    fn reply(&mut self, reply: Reply) {
        self.server.reply(reply).expect("a reply is due");
    }

    fn write(&mut self) {
        let output = self.server.take_output();
        let output = String::from_utf8(output).expect("lines of text");
        self.said.extend(output.lines().map(|line| format!("< {line}")));
    }
}

fn away() -> Reply {
    Reply::Error(b"proxied special remote reports: it is away".to_vec())
}

fn verdict(good: bool) -> Reply {
    if good { Reply::Success(Vec::new()) } else { Reply::Failure(Vec::new()) }
}
