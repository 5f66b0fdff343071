//! Remote git repositories, which the gateway reaches as their client: over ssh, and over P2P over HTTP.
//!
//! | file | what |
//! |---|---|
//! | `location` | where a peer is, read from a url |
//! | `process` | a program that is talked to through pipes, and that is waited for |
//! | `link` | bytes in and out: pipes, TCP, TLS |
//! | `idle` | connections that wait for the next question |
//! | `ssh/` | conversations with `git-annex-shell p2pstdio`, and the idle ones |
//! | `http/` | requests, the idle connections, passwords, certificates |
//! | `transfer` | what goes on over more than one call: getting, putting, locks |
//!
//! Every wait has a limit: `connect` until a peer is ready to be asked, `idle` for each answer and each piece of content.
//! What could not be told is a [`Failure`] that names the peer, never an absence.

mod http;
mod link;
mod location;
mod ssh;
mod transfer;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remotes::budget::Budget;
use remotes::site::Site;

pub use location::{HTTP_PORT, HttpRemote, Location, SshProgram, SshRemote, SshWays};
pub use transfer::{PeerEnd, PeerGet, PeerLock, PeerOffer, PeerPut, PeerRemoval};

use crate::failure::{Failure, FailureKind};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// A git repository elsewhere, reached over ssh or annex+http(s). Lives on a data thread, in whose `LocalSet` it closes
/// connections that lie idle.
pub struct Peer(Wire);

enum Wire {
    Ssh(Rc<ssh::Ssh>),
    Http(Rc<http::Http>),
}

/// What peers share.
#[derive(Clone)]
pub struct PeerSettings {
    /// Longest wait for an answer, and for each piece of content.
    pub idle: Duration,
    /// Longest wait for a connection: over ssh until the other side has said who it is.
    pub connect: Duration,
    /// Memory for content that passes through it.
    pub budget: Budget,
    /// Where `git credential` and ssh run; the repository whose configuration counts.
    pub directory: Option<PathBuf>,
    /// Proxies and certificates, for those over HTTP.
    pub site: Arc<Site>,
}

/// What all parts of one peer know.
struct Shared {
    /// For people.
    name: String,
    /// The peer.
    uuid: Uuid,
    /// We.
    client: Uuid,
    settings: PeerSettings,
}

impl Peer {
    /// The repository `uuid` at `location`, asked by the repository `client`. Nothing is connected yet.
    pub fn new(location: Location, uuid: Uuid, client: Uuid, settings: PeerSettings) -> Self {
        let shared = Shared { name: location.to_string(), uuid, client, settings };
        Self(match location {
            Location::Ssh(remote) => Wire::Ssh(Rc::new(ssh::Ssh::new(remote, shared))),
            Location::Http(remote) => Wire::Http(Rc::new(http::Http::new(remote, shared))),
        })
    }

    /// The same, which is told with each request which gateways it is not to ask, where it is one itself.
    pub fn bypassing(&self, gateways: &[Uuid]) -> Self {
        Self(match &self.0 {
            Wire::Ssh(ssh) => Wire::Ssh(Rc::new(ssh.bypassing(gateways))),
            Wire::Http(http) => Wire::Http(Rc::new(http.bypassing(gateways))),
        })
    }

    /// Whether it has the content of `key`.
    ///
    /// # Errors
    ///
    /// It could not be told.
    pub async fn check(&self, key: &Key) -> Result<bool, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.check(key).await,
            Wire::Http(http) => http.check(key).await,
        }
    }

    /// The content of `key` from byte `from` on; `None` where it says that it is not there.
    ///
    /// # Errors
    ///
    /// It could not be told.
    pub async fn get(&self, key: &Key, file: &AssociatedFile, from: u64) -> Result<Option<PeerGet>, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.get(key, file, from).await,
            Wire::Http(http) => http.get(key, file, from).await,
        }
    }

    /// Offers the content of `key`.
    ///
    /// # Errors
    ///
    /// It could not be asked, or refuses.
    pub async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<PeerOffer, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.put(key, file).await,
            Wire::Http(http) => http.put(key, file).await,
        }
    }

    /// How many bytes of `key` it holds from an upload that broke off; `None` where it has all of it.
    pub async fn offset(&self, key: &Key) -> Result<Option<u64>, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.offset(key).await,
            Wire::Http(http) => http.offset(key).await,
        }
    }

    /// Removes the content of `key`, unless its clock is past `before`, in seconds. Succeeds where it is not there.
    ///
    /// # Errors
    ///
    /// It is not removed as far as is known; `TooLate` where `before` was given and it did not say why not.
    pub async fn remove(&self, key: &Key, before: Option<i64>) -> Result<(), Failure> {
        self.remove_plus(key, before).await?.left.map_or(Ok(()), Err)
    }

    /// The same, and from which other repositories it was removed, whether or not it is gone from there.
    ///
    /// # Errors
    ///
    /// It did not say what became of it.
    pub async fn remove_plus(&self, key: &Key, before: Option<i64>) -> Result<PeerRemoval, Failure> {
        let (gone, from) = match &self.0 {
            Wire::Ssh(ssh) => ssh.remove(key, before).await,
            Wire::Http(http) => http.remove(key, before).await,
        }?;
        let (kind, words) = match before {
            Some(_) => (FailureKind::TooLate, "it did not remove the content, perhaps since it is too late"),
            None => (FailureKind::Broken, "it did not remove the content"),
        };
        let shared = match &self.0 {
            Wire::Ssh(ssh) => ssh.shared(),
            Wire::Http(http) => http.shared(),
        };
        Ok(PeerRemoval { left: (!gone).then(|| shared.failure(kind, words).answered()), from })
    }

    /// Keeps the content of `key` from being removed there; `None` where that cannot be had.
    pub async fn lock(&self, key: &Key) -> Result<Option<PeerLock>, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.lock(key).await,
            Wire::Http(http) => http.lock(key).await,
        }
    }

    /// What its monotonic clock shows, in seconds.
    pub async fn timestamp(&self) -> Result<u64, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.timestamp().await,
            Wire::Http(http) => http.timestamp().await,
        }
    }

    /// Has it look whether the content of `key` got there by another way, and record that. A peer from before version 4 only
    /// looks. Gives the other repositories it is in; `None` where it is not there.
    ///
    /// # Errors
    ///
    /// It could not be told.
    pub async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        match &self.0 {
            Wire::Ssh(ssh) => ssh.take_note(key).await,
            Wire::Http(http) => http.take_note(key).await,
        }
    }
}

impl Shared {
    /// What went wrong with this peer.
    fn failure(&self, kind: FailureKind, what: impl std::fmt::Display) -> Failure {
        Failure::new(kind, format!("{}: {what}", self.name))
    }

    fn broken(&self, what: impl std::fmt::Display) -> Failure {
        self.failure(FailureKind::Broken, what)
    }
}
