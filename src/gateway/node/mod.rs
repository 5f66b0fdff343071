//! What a request is about: a repository that is served, or something behind it that it is a proxy for.

mod cluster;
mod local;
mod peer;
mod remote;
pub mod store;

pub(in crate::gateway) use cluster::{ClusterNode, Member};
pub use peer::PeerNode;
pub use store::StoreNode;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use remotes::Context;
use remotes::budget::Budget;
use remotes::connections::Connections;

use super::held::HeldLock;
use super::receive::Offer;
use super::{Failure, LocalRepository, Outgoing, Pace, PrefixQuotas, blocking};
use crate::annex::log::is_cluster;
use crate::gateway::open_cache::kept;
use crate::gateway::repository::{Proxied, Target, open_here};
use crate::name::{Key, Uuid};
use crate::peer::{Location, Peer, PeerSettings};
use crate::proto::p2p::AssociatedFile;
use local::LocalNode;
use remote::Remote;

/// Where content is asked for, opened on a data thread for one who asks. Cheap to make.
///
/// # Errors
///
/// Every question may fail with a [`Failure`]: what could not be told is not the same as what is not there.
#[async_trait(?Send)]
pub trait Node {
    /// Whether the content of `key` is there.
    async fn check(&self, key: &Key) -> Result<bool, Failure>;

    /// Opens the content of `key` to send `len` bytes, or all, from byte `from` on; `None` where it is not there.
    async fn get(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure>;

    /// Gets ready to take the content of `key`.
    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure>;

    /// How much of the content of `key` is there.
    async fn offset(&self, key: &Key) -> Result<Offset, Failure>;

    /// Removes the content of `key`, and records that; with `before`, only while [`timestamp`](Self::timestamp) is not past
    /// it. Content that is not there is removed.
    ///
    /// # Errors
    ///
    /// Of kind `Locked` or `TooLate`, and others after which it is not certain that it is gone.
    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure>;

    /// Keeps the content of `key` from being removed, until the lock is dropped; `None` where it is not there, or where
    /// nothing can be locked: a special remote may be written to by others.
    async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure>;

    /// The client has stored the content of `key` there by another way: looks, and records it. Gives the other repositories
    /// it is in; `None` where it is not there.
    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure>;

    /// Seconds of the clock that [`remove`](Self::remove) is held against.
    async fn timestamp(&self) -> Result<u64, Failure>;

    /// Whether that clock is not the one of this computer.
    fn has_own_clock(&self) -> bool {
        false
    }

    /// How fast content may be taken for it, where that is limited: [`Pace::turn`] is to be waited for before each piece.
    fn upload_pace(&self) -> Option<&Pace> {
        None
    }

    /// Whether content lies on this computer's disk, to be opened at no cost.
    fn is_here(&self) -> bool {
        false
    }

    /// The special remote, where it is one.
    fn special(&self) -> Option<&Rc<StoreNode>> {
        None
    }
}

/// How much of a content is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offset {
    /// All of it, and in these other repositories too.
    All(Vec<Uuid>),
    /// So many bytes, from an upload that was interrupted.
    Bytes(u64),
}

/// What became of content that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// It is removed from everywhere.
    pub gone: bool,
    /// The other repositories it was removed from.
    pub from: Vec<Uuid>,
}

impl Removal {
    /// From the one repository that was asked.
    pub const DONE: Self = Self { gone: true, from: Vec::new() };
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The repository whose command it is.
    pub client: Uuid,
    /// Gateways that have been asked already, and are not to be asked again.
    pub bypass: Vec<Uuid>,
}

/// What stores and connections to other repositories get.
#[derive(Clone)]
pub struct Limits {
    /// Memory for bytes in flight.
    pub budget: Budget,
    /// Longest time in which nothing moves before a transfer is given up.
    pub idle: Duration,
    /// Connections to one store of transfers that have several.
    pub connections: usize,
    /// Quotas that repositories share, where there are any.
    pub quotas: Option<Arc<PrefixQuotas>>,
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

/// What `uuid` is to `home` for `asker`: the repository itself, or what it is a proxy for, which may be behind another gateway;
/// `None` where it is neither.
///
/// # Errors
///
/// It is a proxy for it, and cannot reach it as things are.
pub async fn find(
    home: &Arc<LocalRepository>,
    uuid: &Uuid,
    limits: &Limits,
    asker: &Asker,
) -> Result<Option<Box<dyn Node>>, Failure> {
    if home.uuid() == uuid {
        return Ok(Some(here(home, limits, asker)));
    }
    if let Some(remote) = home.proxied(uuid).await? {
        return open(home, &remote, limits, asker).await.map(Some);
    }
    if let Some(cluster) = home.behind(uuid).await? {
        return ClusterNode::new(home, cluster, limits, asker).open_behind(uuid).await.map(Some);
    }
    let cluster = if is_cluster(uuid) { home.cluster(uuid).await? } else { None };
    Ok(cluster.map(|cluster| Box::new(ClusterNode::new(home, cluster, limits, asker)) as Box<dyn Node>))
}

/// The repository itself for `asker`.
pub fn here(home: &Arc<LocalRepository>, limits: &Limits, asker: &Asker) -> Box<dyn Node> {
    Box::new(LocalNode::new(home, None, limits, asker))
}

/// A remote of `home`. Failures: it cannot be reached as things are, or its start command failed.
pub(super) async fn open(
    home: &Arc<LocalRepository>,
    remote: &Arc<Proxied>,
    limits: &Limits,
    asker: &Asker,
) -> Result<Box<dyn Node>, Failure> {
    let way = remote.way.as_ref().map_err(Clone::clone)?;
    let in_use = match &remote.commands {
        Some(commands) => Some(commands.enter().await?),
        None => None,
    };
    // What is to be stopped is not kept open for later.
    let keeps = in_use.is_none();
    let uuid = &remote.uuid;
    let node: Box<dyn Node> = match way {
        Target::Here(served) => Box::new(LocalNode::new(served, Some(home), limits, asker)),
        Target::Startable(path) => {
            let (path, uuid) = (path.clone(), uuid.clone());
            let served = blocking(move || open_here(&path, &uuid)).await??;
            Box::new(LocalNode::new(&served, Some(home), limits, asker))
        }
        Target::Store(target) => {
            let connections = target.connections.get_or_init(|| Arc::new(Connections::new(limits.connections)));
            let context = Context { reserve: target.reserve, connections: Arc::clone(connections), ..limits.context() };
            let open = || {
                let site = crate::resolve::site::of(home.repository().path());
                target.config.open(&Context { site, ..context.clone() }).map_err(|e| Failure::remote(&e))
            };
            let store = if keeps { kept(target, open)? } else { open()? };
            let pace = remote.upload.clone();
            Box::new(Rc::new(StoreNode::new(home, uuid, &remote.name, target, store, context, pace)))
        }
        Target::Elsewhere(location) => {
            let open = || {
                let settings = PeerSettings {
                    idle: limits.idle,
                    connect: limits.context().connect,
                    budget: limits.budget.clone(),
                    directory: Some(home.repository().path().to_path_buf()),
                    site: crate::resolve::site::of(home.repository().path()),
                };
                Ok(Rc::new(Peer::new(Location::clone(location), uuid.clone(), home.uuid().clone(), settings)))
            };
            let peer = if keeps { kept(location, open)? } else { open()? };
            let node = match &remote.gateway {
                Some(_) => PeerNode::behind(home, uuid, Rc::new(peer.bypassing(&asker.bypass))),
                None => PeerNode::new(home, uuid, peer),
            };
            Box::new(Rc::new(node))
        }
    };
    Ok(Box::new(Remote { node, home: Arc::clone(home), remote: Arc::clone(remote), idle: limits.idle, in_use }))
}

/// How long a store may take to do what nobody waits for any more: `STREAM_LATE=` in seconds, else as long as it may be silent.
fn late(idle: Duration) -> Duration {
    let told = std::env::var("STREAM_LATE").ok().and_then(|text| text.trim().parse().ok());
    told.map_or(idle, Duration::from_secs)
}
