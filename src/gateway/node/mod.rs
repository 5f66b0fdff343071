//! What a request is about: a repository that is served, or something behind it that it is a proxy for.

mod local;
mod peer;
pub mod store;

pub(in crate::gateway) use local::content_config;
pub use local::{LocalRepository, LocalUpload};
pub use peer::{PeerNode, PeerUpload};
pub use store::{StoreNode, StoreUpload};

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remotes::Context;
use remotes::pump::Budget;

use super::commands::InUse;
use super::held::HeldLock;
use super::receive::{Offer, Upload};
use super::{Failure, Outgoing, Pace, blocking, timestamp, until};
use crate::annex::log::Presence;
use crate::gateway::open_cache::kept;
use crate::gateway::proxied::{Proxied, Target, open_here};
use crate::name::{Key, Uuid};
use crate::peer::{Location, Peer, PeerSettings};
use crate::proto::p2p::AssociatedFile;

/// Where content is asked for, opened on a data thread. Cheap to make.
pub struct Node {
    at: At,
    /// How it is used, where it is a remote.
    remote: Option<Arc<Proxied>>,
    /// As long as this is there, what was started for it is not stopped.
    in_use: Option<InUse>,
}

/// What it is.
enum At {
    /// A repository that is served.
    Own(Arc<LocalRepository>),
    /// A repository on this computer behind the one that is served.
    Behind {
        /// The one that is served, which also records where content is.
        home: Arc<LocalRepository>,
        /// The one behind it.
        served: Arc<LocalRepository>,
    },
    /// A special remote.
    Store(Rc<StoreNode>),
    /// A repository elsewhere.
    Peer(Rc<PeerNode>),
}

/// What stores and connections to other repositories get.
#[derive(Clone)]
pub struct Limits {
    /// Memory for bytes in flight.
    pub budget: Budget,
    /// Longest time in which nothing moves before a transfer is given up.
    pub idle: Duration,
}

impl Limits {
    /// The same for stores.
    pub fn context(&self) -> Context {
        let connect = Context::default().connect.min(self.idle);
        // A client waits, which can try again by itself.
        let patience = Some(self.idle);
        Context {
            budget: self.budget.clone(),
            idle: self.idle,
            late: late(self.idle),
            connect,
            patience,
            ..Context::default()
        }
    }
}

impl Node {
    /// The repository `home` itself, or what it is a proxy for under `uuid`; `None` where it is neither.
    ///
    /// # Errors
    ///
    /// It is a proxy for it, and cannot reach it as things are.
    pub async fn find(home: &Arc<LocalRepository>, uuid: &Uuid, means: &Limits) -> Result<Option<Self>, Failure> {
        if home.uuid() == uuid {
            return Ok(Some(Self { at: At::Own(Arc::clone(home)), remote: None, in_use: None }));
        }
        match home.proxied(uuid).await? {
            Some(remote) => Self::of(home, &remote, means).await.map(Some),
            None => Ok(None),
        }
    }

    /// A remote of `home`. Failures: it cannot be reached as things are, or its start command failed.
    pub(super) async fn of(
        home: &Arc<LocalRepository>,
        remote: &Arc<Proxied>,
        means: &Limits,
    ) -> Result<Self, Failure> {
        let way = remote.way.as_ref().map_err(Clone::clone)?;
        let in_use = match &remote.commands {
            Some(commands) => Some(commands.enter().await?),
            None => None,
        };
        // What is to be stopped is not kept open for later.
        let keeps = in_use.is_none();
        let uuid = &remote.uuid;
        let at = match way {
            Target::Here(served) => At::Behind { home: Arc::clone(home), served: Arc::clone(served) },
            Target::Startable(path) => {
                let (path, uuid) = (path.clone(), uuid.clone());
                let served = blocking(move || open_here(&path, &uuid)).await??;
                At::Behind { home: Arc::clone(home), served }
            }
            Target::Store(target) => {
                let context = Context { reserve: target.reserve, ..means.context() };
                let open = || {
                    let site = crate::resolve::site::of(home.repository().path());
                    target.config.open(&Context { site, ..context.clone() }).map_err(|e| Failure::remote(&e))
                };
                let store = if keeps { kept(target, open)? } else { open()? };
                let pace = remote.upload.clone();
                At::Store(Rc::new(StoreNode::new(home, uuid, &remote.name, target, store, context, pace)))
            }
            Target::Elsewhere(location) => {
                let open = || {
                    let settings = PeerSettings {
                        idle: means.idle,
                        connect: means.context().connect,
                        budget: means.budget.clone(),
                        directory: Some(home.repository().path().to_path_buf()),
                        site: crate::resolve::site::of(home.repository().path()),
                    };
                    Ok(Rc::new(Peer::new(Location::clone(location), uuid.clone(), home.uuid().clone(), settings)))
                };
                let peer = if keeps { kept(location, open)? } else { open()? };
                At::Peer(Rc::new(PeerNode::new(home, uuid, peer)))
            }
        };
        Ok(Self { at, remote: Some(Arc::clone(remote)), in_use })
    }

    /// The special remote, where it is one.
    pub fn special(&self) -> Option<&Rc<StoreNode>> {
        match &self.at {
            At::Store(special) => Some(special),
            _ => None,
        }
    }

    /// How fast content may be taken for it, where that is limited: [`Pace::turn`] is to be waited for before each piece.
    pub fn upload_pace(&self) -> Option<&Pace> {
        self.remote.as_ref()?.upload.as_deref()
    }

    /// Whether content lies on this computer's disk, to be opened at no cost.
    pub fn is_here(&self) -> bool {
        matches!(self.at, At::Own(_) | At::Behind { .. })
    }

    /// Whether the content of `key` is there.
    pub async fn check(&self, key: &Key) -> Result<bool, Failure> {
        match &self.at {
            At::Own(served) | At::Behind { served, .. } => served.check(key).await,
            At::Store(special) => special.check(key).await,
            At::Peer(neighbour) => neighbour.check(key).await,
        }
    }

    /// Opens the content of `key` to send `len` bytes, or all, from byte `from` on; `None` where it is not there.
    pub async fn get(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        let found = match &self.at {
            At::Own(served) | At::Behind { served, .. } => served.get(key).await?,
            At::Store(special) => special.get(key, from, len).await?,
            At::Peer(neighbour) => neighbour.get(key, file, from).await?,
        };
        let pace = self.remote.as_ref().and_then(|remote| remote.download.as_ref());
        Ok(found.map(|found| found.at(pace)))
    }

    /// Gets ready to take the content of `key` from the repository `client`.
    pub async fn put(&self, key: &Key, file: &AssociatedFile, client: &Uuid) -> Result<Offer, Failure> {
        match &self.at {
            At::Own(served) => Ok(offer(served.put(key, client).await?.map(Upload::Local))),
            At::Behind { home, served } => {
                let upload = served.put(key, client).await?.map(|upload| Upload::Local(upload.recorded_in(home)));
                if upload.is_none() {
                    home.record_seen(key, served.uuid(), Presence::Present).await?;
                }
                Ok(offer(upload))
            }
            At::Store(special) => Ok(offer(special.put(key).await?.map(Upload::Store))),
            At::Peer(neighbour) => neighbour.put(key, file).await,
        }
    }

    /// Bytes of the content of `key` that are there from an upload that was broken off; `None` where all of it is there.
    pub async fn offset(&self, key: &Key) -> Result<Option<u64>, Failure> {
        match &self.at {
            At::Own(served) | At::Behind { served, .. } => served.offset(key).await,
            At::Store(special) => special.offset(key).await,
            At::Peer(neighbour) => neighbour.offset(key).await,
        }
    }

    /// Removes the content of `key`, and records that; with `before`, only while [`timestamp`](Self::timestamp) is not past
    /// it. Content that is not there is removed.
    ///
    /// # Errors
    ///
    /// Of kind `Locked` or `TooLate`, and others after which it is not certain that it is gone.
    pub async fn remove(&self, key: &Key, before: Option<i64>, means: &Limits) -> Result<(), Failure> {
        match &self.at {
            At::Own(served) => served.remove(key, before, means).await,
            At::Behind { home, served } => {
                served.remove(key, before, means).await?;
                home.record(key, served.uuid(), Presence::Missing).await
            }
            At::Store(special) => special.remove(key, &until(before)).await,
            At::Peer(neighbour) => neighbour.remove(key, before).await,
        }
    }

    /// Keeps the content of `key` from being removed, until the lock is dropped; `None` where it is not there, or where
    /// nothing can be locked: a special remote may be written to by others.
    pub async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure> {
        let held = match &self.at {
            At::Own(served) | At::Behind { served, .. } => served.lock(key).await?.map(HeldLock::Content),
            At::Store(_) => None,
            At::Peer(neighbour) => neighbour.lock(key).await?.map(HeldLock::elsewhere),
        };
        Ok(match &self.in_use {
            Some(in_use) => held.map(|held| HeldLock::InUse(Box::new(held), in_use.clone())),
            None => held,
        })
    }

    /// The client has stored the content of `key` there by another way: looks, and records it. False where it is not there.
    pub async fn take_note(&self, key: &Key) -> Result<bool, Failure> {
        match &self.at {
            At::Own(served) => served.take_note(key).await,
            At::Behind { home, served } => {
                let noted = served.take_note(key).await?;
                if noted {
                    home.record(key, served.uuid(), Presence::Present).await?;
                }
                Ok(noted)
            }
            At::Store(special) => special.take_note(key).await,
            At::Peer(neighbour) => neighbour.take_note(key).await,
        }
    }

    /// Seconds of the clock that [`remove`](Self::remove) is held against.
    pub async fn timestamp(&self) -> Result<u64, Failure> {
        match &self.at {
            At::Own(_) | At::Behind { .. } | At::Store(_) => Ok(timestamp()),
            At::Peer(neighbour) => neighbour.timestamp().await,
        }
    }
}

fn offer(upload: Option<Upload>) -> Offer {
    match upload {
        Some(upload) => Offer::Upload(Box::new(upload)),
        None => Offer::AlreadyHave(Vec::new()),
    }
}
/// How long a store may take to do what nobody waits for any more: `STREAM_LATE=` in seconds, else as long as it may be silent.
fn late(idle: Duration) -> Duration {
    let told = std::env::var("STREAM_LATE").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(idle, Duration::from_secs)
}
