//! A peer that p2phttp serves: short questions, versions and passwords.

mod connection;
mod get;
mod lock;
mod password;
mod put;

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connection::Connection;
pub(super) use get::End;
pub(super) use lock::Lock;
use password::Passwords;
pub(super) use put::Put;
use remotes::site::Proxy;
use remotes::sys::Idle;
use rustls::ClientConfig;
use tokio::sync::OnceCell;

use super::transfer::{Lock as AnyLock, Put as AnyPut};
use super::{Failure, FailureKind, HttpRemote, PeerGet, PeerLock, PeerOffer, PeerPut, Shared};
use crate::name::{Key, Uuid};
use crate::proto::http::auth::Credentials;
use crate::proto::http::client::answer::{self, BadAnswer, LONGEST_BODY, PutOffset};
use crate::proto::http::client::request::{self, Endpoint, VERSIONS, Via};
use crate::proto::http::client::response::ResponseHead;
use crate::proto::http::route::{Api, Op};
use crate::proto::p2p::AssociatedFile;

/// Connections that are kept idle at most.
const MOST: usize = 16;

/// How long one may lie idle: git-annex's server closes them after 30 s.
const KEEP: Duration = Duration::from_secs(20);

/// A peer that p2phttp serves, and whom it is not to ask.
pub(super) struct Http {
    core: Rc<Core>,
    bypass: Rc<[Uuid]>,
}

impl Deref for Http {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What is the same whoever is left out.
pub(super) struct Core {
    remote: HttpRemote,
    shared: Shared,
    /// `host:port`, with brackets where they belong.
    host: String,
    /// The version that it answered in.
    api: Cell<Option<Api>>,
    passwords: Passwords,
    /// The proxy that it is reached by, where there is one; why that cannot be told, otherwise.
    proxy: Result<Option<Proxy>, String>,
    /// What that proxy is told of us in each request that it reads.
    login: Option<String>,
    /// Whom to trust, once that was looked up.
    trust: OnceCell<Arc<ClientConfig>>,
    idle: Idle<Connection>,
}

/// Why there is no answer to a request.
enum Refusal {
    /// It speaks no version that knows the request; or does not serve the repository, which looks the same.
    NotFound,
    Failed(Failure),
}

impl Http {
    pub(super) fn new(remote: HttpRemote, shared: Shared) -> Self {
        let host = if remote.host.contains(':') { format!("[{}]", remote.host) } else { remote.host.clone() };
        let host = format!("{host}:{}", remote.port);
        let passwords = Passwords::new(&remote, shared.settings.directory.clone());
        let proxy = shared.settings.site.proxies().to(remote.secure, &remote.host, remote.port);
        let login = proxy.iter().flatten().next().and_then(Proxy::authorization);
        let (api, trust, idle) = (Cell::new(None), OnceCell::new(), Idle::new(MOST, KEEP));
        let core = Core { remote, shared, host, api, passwords, proxy, login, trust, idle };
        Self { core: Rc::new(core), bypass: Rc::new([]) }
    }

    pub(super) fn bypassing(&self, gateways: &[Uuid]) -> Self {
        Self { core: Rc::clone(&self.core), bypass: gateways.into() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) async fn check(&self, key: &Key) -> Result<bool, Failure> {
        self.question(&Op::CheckPresent { key: key.clone() }, answer::present).await
    }

    /// Whether it is gone, and from which others it was removed.
    pub(super) async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Stored, Failure> {
        let key = key.clone();
        let op = match before {
            // There are no times before 0, and that one is always over.
            Some(time) => Op::RemoveBefore { key, timestamp: u64::try_from(time).unwrap_or(0) },
            None => Op::Remove { key },
        };
        self.question(&op, answer::removed).await
    }

    pub(super) async fn timestamp(&self) -> Result<u64, Failure> {
        self.question(&Op::Timestamp, answer::timestamp).await
    }

    pub(super) async fn lock(&self, key: &Key) -> Result<Option<PeerLock>, Failure> {
        match self.question(&Op::Lock { key: key.clone() }, answer::locked).await? {
            Some(id) => Ok(Some(PeerLock(AnyLock::Http(Lock::keep(self, id).await?)))),
            None => Ok(None),
        }
    }

    pub(super) async fn offset(&self, key: &Key) -> Result<Option<u64>, Failure> {
        match self.put_offset(key).await? {
            PutOffset::Offset(offset) => Ok(Some(offset)),
            PutOffset::AlreadyHave(_) => Ok(None),
        }
    }

    pub(super) async fn put(self: &Rc<Self>, key: &Key, file: &AssociatedFile) -> Result<PeerOffer, Failure> {
        Ok(match self.put_offset(key).await? {
            PutOffset::AlreadyHave(others) => PeerOffer::AlreadyHave(others),
            PutOffset::Offset(offset) => {
                let put = Put::new(Rc::clone(self), key.clone(), named(file), offset);
                PeerOffer::Upload(Box::new(PeerPut(AnyPut::Http(put))))
            }
        })
    }

    /// Version 0 knows no putoffset, and nothing of going on.
    async fn put_offset(&self, key: &Key) -> Result<PutOffset, Failure> {
        let op = Op::PutOffset { key: key.clone() };
        match self.request(&op).await {
            Ok(body) => self.read(&op, answer::put_offset(&body)),
            Err(Refusal::Failed(failure)) => Err(failure),
            Err(Refusal::NotFound) => Ok(match self.check(key).await? {
                true => PutOffset::AlreadyHave(Vec::new()),
                false => PutOffset::Offset(0),
            }),
        }
    }

    pub(super) async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        let op = Op::Put { key: key.clone(), file: None, offset: 0, len: 0, data_present: true };
        match self.request(&op).await {
            Ok(body) => self.read(&op, answer::stored(&body)).map(|(stored, others)| stored.then_some(others)),
            Err(Refusal::Failed(failure)) => Err(failure),
            Err(Refusal::NotFound) => Ok(self.check(key).await?.then(Vec::new)),
        }
    }

    pub(super) async fn get(
        self: &Rc<Self>,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
    ) -> Result<Option<PeerGet>, Failure> {
        // Asked first, as git-annex does: absent content is no error to its server, and in front of a special remote it never
        // answers at all.
        if !self.check(key).await? {
            return Ok(None);
        }
        get::get(self, Op::Get { key: key.clone(), offset: from, file: named(file) }).await.map(Some)
    }

    /// Asks what is answered in JSON.
    async fn question<T>(&self, op: &Op, read: impl Fn(&[u8]) -> Result<T, BadAnswer>) -> Result<T, Failure> {
        match self.request(op).await {
            Ok(body) => self.read(op, read(&body)),
            Err(refusal) => Err(self.give_up(refusal)),
        }
    }

    fn read<T>(&self, op: &Op, answer: Result<T, BadAnswer>) -> Result<T, Failure> {
        answer.map_err(|BadAnswer| self.shared.broken(format_args!("malformed response to {}", word(op))))
    }

    async fn request(&self, op: &Op) -> Result<Vec<u8>, Refusal> {
        let (mut connection, head) = self.send(op).await?;
        let limit = self.shared.settings.idle;
        let body = connection.body(&head, LONGEST_BODY, limit).await;
        let body = body.map_err(|e| Refusal::Failed(self.shared.broken(format_args!("reading its answer: {e}"))))?;
        self.release(connection, &head);
        Ok(body)
    }

    /// Sends a request without a body in the newest version that is answered, with a password where one is asked for. Gives
    /// the answer's head, which is 200.
    async fn send(&self, op: &Op) -> Result<(Connection, ResponseHead), Refusal> {
        let newest = self.api.get().unwrap_or(Api::V4);
        let lowest = request::lowest(op);
        for api in VERSIONS.into_iter().filter(|api| *api <= newest && *api >= lowest) {
            let mut used = self.passwords.current();
            let mut tries = 0;
            loop {
                let (mut connection, head) = self.once(api, op, used.as_deref()).await.map_err(Refusal::Failed)?;
                let body = match head.status {
                    200 => None,
                    // Read so that the connection may serve again; what it says is in the words of the status.
                    _ => connection.body(&head, LONGEST_BODY, self.shared.settings.idle).await.ok(),
                };
                match head.status {
                    200 => {
                        self.api.set(Some(api));
                        self.passwords.approve(used.as_ref()).await;
                        return Ok((connection, head));
                    }
                    404 => {
                        self.release_read(connection, &head, body.is_some());
                        break;
                    }
                    401 if tries < 2 => {
                        self.release_read(connection, &head, body.is_some());
                        tries += 1;
                        let next = self.passwords.next(used.as_ref(), &head.authenticate, self.shared.settings.connect);
                        match next.await {
                            Some(next) => used = Some(next),
                            None => {
                                let words = "it asks for a password, and git credential has none that it accepts";
                                return Err(Refusal::Failed(self.shared.failure(FailureKind::Refused, words)));
                            }
                        }
                    }
                    _ => return Err(Refusal::Failed(self.status(&head, body.as_deref().unwrap_or_default()))),
                }
            }
        }
        // It may be another server by now: begin with the newest again.
        self.api.set(None);
        Err(Refusal::NotFound)
    }

    /// Sends a request once: on an idle connection, or on a new one where that has died meanwhile.
    async fn once(
        &self,
        api: Api,
        op: &Op,
        credentials: Option<&Credentials>,
    ) -> Result<(Connection, ResponseHead), Failure> {
        let mut bytes = Vec::new();
        request::write(&self.place(), api, op, credentials, &mut bytes);
        let limit = self.shared.settings.idle;
        loop {
            let (mut connection, reused) = match self.idle.take(Connection::is_usable) {
                Some(connection) => (connection, true),
                None => (Connection::open(self).await?, false),
            };
            connection.begin();
            let answered = match connection.link.write(&bytes, limit).await {
                Ok(()) => connection.head(limit).await,
                Err(e) => Err(e),
            };
            match answered {
                Ok(head) => return Ok((connection, head)),
                Err(e) if reused && connection.is_silent() && e.kind() != std::io::ErrorKind::TimedOut => {}
                Err(e) => return Err(self.shared.broken(e)),
            }
        }
    }

    fn place(&self) -> Endpoint<'_> {
        let prefix = &self.remote.prefix;
        // Behind TLS it reads nothing but where to.
        let by_proxy = !self.remote.secure && matches!(self.proxy, Ok(Some(_)));
        let proxy = by_proxy.then_some(Via { authorization: self.login.as_deref() });
        let (server, client) = (&self.shared.uuid, &self.shared.client);
        Endpoint { host: &self.host, proxy, prefix, server, client, bypass: &self.bypass }
    }

    fn give_up(&self, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Failed(failure) => failure,
            Refusal::NotFound => {
                let words = format!("it does not serve {}, or is too old for this", self.shared.uuid);
                self.shared.broken(words).answered()
            }
        }
    }

    /// What a status means that is not 200.
    fn status(&self, head: &ResponseHead, body: &[u8]) -> Failure {
        let kind = match head.status {
            401 | 403 => FailureKind::Refused,
            429 | 503 => FailureKind::Busy,
            507 => FailureKind::Full,
            _ => FailureKind::Broken,
        };
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        let between = if text.trim().is_empty() { "" } else { ": " };
        let words = format_args!("it answers {} {}{between}{}", head.status, head.reason, text.trim());
        let failure = self.shared.failure(kind, words);
        // What a proxy in between says of a server that it cannot reach.
        if matches!(head.status, 502 | 504) { failure } else { failure.answered() }
    }

    /// Keeps a connection on which all of an answer was read.
    fn release(&self, connection: Connection, head: &ResponseHead) {
        self.release_read(connection, head, true);
    }

    fn release_read(&self, connection: Connection, head: &ResponseHead, all: bool) {
        if all && head.keep_alive && connection.is_usable() {
            self.idle.put(connection);
        }
    }
}

fn named(file: &AssociatedFile) -> Option<Vec<u8>> {
    // A server takes heads of a limited length, and the name is for information only.
    Some(file.as_bytes()).filter(|name| !name.is_empty() && name.len() < 3000).map(<[u8]>::to_vec)
}

/// What a request is called.
fn word(op: &Op) -> &'static str {
    match op {
        Op::CheckPresent { .. } => "checkpresent",
        Op::Lock { .. } => "lockcontent",
        Op::KeepLocked { .. } => "keeplocked",
        Op::Remove { .. } => "remove",
        Op::RemoveBefore { .. } => "remove-before",
        Op::Timestamp => "gettimestamp",
        Op::Put { .. } => "put",
        Op::PutOffset { .. } => "putoffset",
        Op::Get { .. } => "get",
    }
}

/// What an upload or a removal came to, and where else.
type Stored = (bool, Vec<Uuid>);
