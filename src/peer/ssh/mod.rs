//! A peer over ssh: short questions, and the connections that wait for the next one.

mod command;
mod connection;
mod get;
mod put;

use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use connection::{Connection, Trouble};
pub(super) use get::End;
pub(super) use put::Put;
use remotes::sys::Idle;

use super::transfer::{Lock as AnyLock, Put as AnyPut};
use super::{Failure, FailureKind, PeerGet, PeerLock, PeerOffer, PeerPut, Shared, SshRemote};
use crate::name::{Key, Uuid};
use crate::proto::p2p::{Answer, AssociatedFile, Request};

/// Connections that are kept idle at most.
const MOST: usize = 4;

/// Connections that are made at a time: sshd turns clients away by chance from ten on.
const STARTING: usize = 4;

/// How long one may lie idle.
const KEEP: Duration = Duration::from_secs(60);

/// A peer over ssh, and whom it is not to ask.
pub(super) struct Ssh {
    core: Rc<Core>,
    bypass: Rc<[Uuid]>,
}

/// What is the same whoever is left out.
pub(super) struct Core {
    remote: SshRemote,
    shared: Shared,
    idle: Idle<Connection>,
    starting: Semaphore,
}

impl Deref for Ssh {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Ssh {
    pub(super) fn new(remote: SshRemote, shared: Shared) -> Self {
        let core = Core { remote, shared, idle: Idle::new(MOST, KEEP), starting: Semaphore::new(STARTING) };
        Self { core: Rc::new(core), bypass: Rc::new([]) }
    }

    pub(super) fn bypassing(&self, gateways: &[Uuid]) -> Self {
        Self { core: Rc::clone(&self.core), bypass: gateways.into() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) async fn check(self: &Rc<Self>, key: &Key) -> Result<bool, Failure> {
        match self.question(Request::CheckPresent(key.clone())).await? {
            Answer::Success(_) => Ok(true),
            Answer::Failure(_) => Ok(false),
            other => Err(self.refused(other)),
        }
    }

    /// Whether it is gone, and from which others it was removed.
    pub(super) async fn remove(&self, key: &Key, before: Option<i64>) -> Result<(bool, Vec<Uuid>), Failure> {
        let key = key.clone();
        let request = match before {
            Some(timestamp) => Request::RemoveBefore { timestamp, key },
            None => Request::Remove(key),
        };
        match self.question(request).await? {
            Answer::Success(from) => Ok((true, from)),
            Answer::Failure(from) => Ok((false, from)),
            other => Err(self.refused(other)),
        }
    }

    pub(super) async fn timestamp(self: &Rc<Self>) -> Result<u64, Failure> {
        match self.question(Request::Timestamp).await? {
            Answer::Timestamp(seconds) => Ok(seconds),
            other => Err(self.refused(other)),
        }
    }

    pub(super) async fn lock(self: &Rc<Self>, key: &Key) -> Result<Option<PeerLock>, Failure> {
        let (connection, answer) = self.ask(Request::Lock(key.clone())).await?;
        match answer {
            Answer::Success(_) => Ok(Some(PeerLock(AnyLock::Ssh(Lock { ssh: Rc::clone(self), connection })))),
            Answer::Failure(_) => {
                self.release(connection);
                Ok(None)
            }
            other => Err(self.refused(other)),
        }
    }

    pub(super) async fn put(self: &Rc<Self>, key: &Key, file: &AssociatedFile) -> Result<PeerOffer, Failure> {
        let (connection, answer) = self.ask(Request::Put { file: file.clone(), key: key.clone() }).await?;
        match answer {
            Answer::PutFrom(offset) => {
                let put = Put::new(Rc::clone(self), connection, offset);
                Ok(PeerOffer::Upload(Box::new(PeerPut(AnyPut::Ssh(put)))))
            }
            Answer::AlreadyHave(others) => {
                self.release(connection);
                Ok(PeerOffer::AlreadyHave(others))
            }
            other => Err(self.refused(other)),
        }
    }

    pub(super) async fn offset(self: &Rc<Self>, key: &Key) -> Result<Option<u64>, Failure> {
        let (connection, answer) = self.ask(Request::Put { file: AssociatedFile::default(), key: key.clone() }).await?;
        match answer {
            Answer::PutFrom(offset) => {
                self.take_back(connection).await;
                Ok(Some(offset))
            }
            Answer::AlreadyHave(_) => {
                self.release(connection);
                Ok(None)
            }
            other => Err(self.refused(other)),
        }
    }

    pub(super) async fn take_note(self: &Rc<Self>, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        let request = Request::Put { file: AssociatedFile::default(), key: key.clone() };
        let (mut connection, answer) = self.ask(request).await?;
        match answer {
            Answer::AlreadyHave(others) => {
                self.release(connection);
                return Ok(Some(others));
            }
            Answer::PutFrom(_) => {}
            other => return Err(self.refused(other)),
        }
        if connection.client.data_present().is_err() {
            drop(connection);
            return Ok(self.check(key).await?.then(Vec::new));
        }
        let there = match connection.answer(&self.shared).await {
            Ok(Answer::Success(others)) => Some(others),
            Ok(Answer::Failure(_)) => None,
            Ok(other) => return Err(self.refused(other)),
            Err(trouble) => return Err(connection.failure(&self.shared, trouble).await),
        };
        self.release(connection);
        Ok(there)
    }

    pub(super) async fn get(
        self: &Rc<Self>,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
    ) -> Result<Option<PeerGet>, Failure> {
        get::get(self, key, file, from).await
    }

    /// Takes an offer back in the way that leaves what is there as it is. Before version 1 only closing does.
    async fn take_back(&self, mut connection: Connection) {
        if connection.client.version().tells_validity() && connection.client.data(0).is_ok() {
            let said = connection.client.sent(false).is_ok();
            if said && let Ok(Answer::Failure(_)) = connection.answer(&self.shared).await {
                self.release(connection);
            }
        }
    }

    /// Asks what is answered at once.
    async fn question(&self, request: Request) -> Result<Answer, Failure> {
        let (connection, answer) = self.ask(request).await?;
        // What follows an ERROR is not known, so the connection is closed.
        if !matches!(answer, Answer::Error(_)) {
            self.release(connection);
        }
        Ok(answer)
    }

    /// Asks on an idle connection, or on a new one where that has died meanwhile.
    async fn ask(&self, request: Request) -> Result<(Connection, Answer), Failure> {
        loop {
            let (mut connection, reused) =
                match self.idle.take_of(|connection| connection.bypass == self.bypass, Connection::is_usable) {
                    Some(connection) => (connection, true),
                    None => (self.open().await?, false),
                };
            if connection.client.ask(&request).is_err() {
                continue;
            }
            match connection.answer(&self.shared).await {
                Ok(answer) => return Ok((connection, answer)),
                // Nothing was heard, so it was dead before it was asked, or died of the question, as git-annex does when it
                // is to remove what is locked. All that is asked may be asked twice.
                Err(Trouble::Gone { silent: true, .. }) if reused => {}
                Err(trouble) => return Err(connection.failure(&self.shared, trouble).await),
            }
        }
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let turn = tokio::time::timeout(self.shared.settings.connect, self.starting.acquire());
        let Ok(_turn) = turn.await else {
            return Err(self.shared.failure(FailureKind::Busy, "too many connections to it are being made"));
        };
        Connection::open(&self.remote, &self.shared, &self.bypass).await
    }

    /// Keeps a connection for the next question.
    fn release(&self, connection: Connection) {
        if connection.is_usable() {
            self.idle.put(connection);
        }
    }

    /// What an answer means that is not one of those which were hoped for.
    fn refused(&self, answer: Answer) -> Failure {
        match answer {
            Answer::Error(text) => {
                self.shared.broken(format_args!("it says: {}", String::from_utf8_lossy(&text))).answered()
            }
            Answer::Failure(_) => self.shared.broken("it refuses").answered(),
            other => self.shared.broken(format_args!("unexpected answer {other:?}")),
        }
    }
}

/// A lock, which lasts as long as the connection.
pub(super) struct Lock {
    ssh: Rc<Ssh>,
    connection: Connection,
}

impl Lock {
    pub(super) async fn ended(&mut self) {
        // Its end, an error, or words that nobody asked for.
        let _ = self.connection.link.read(&mut [0; 64]).await;
    }

    pub(super) async fn unlock(mut self) {
        if self.connection.client.unlock().is_ok() && self.connection.flush(&self.ssh.shared).await.is_ok() {
            self.ssh.release(self.connection);
        }
    }
}
