//! A git repository elsewhere behind this gateway.

mod sink;

use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;

use crate::annex::log::{Presence, is_cluster};
use crate::gateway::held::HeldLock;
use crate::gateway::node::{Node, Offset, Removal};
use crate::gateway::receive::{Offer, Upload};
use crate::gateway::send::Outgoing;
use crate::gateway::{Failure, FailureKind, LocalRepository};
use crate::name::{Key, Uuid};
use crate::peer::{Peer, PeerOffer, PeerRemoval};
use crate::proto::p2p::AssociatedFile;
use sink::PeerSink;

/// A repository that is reached over ssh or HTTP, on a data thread. What it says is passed on; where content is, is recorded
/// here as well.
pub struct PeerNode {
    home: Arc<LocalRepository>,
    uuid: Uuid,
    peer: Rc<Peer>,
    /// Whether it is behind another gateway, or the cluster as that one has it.
    is_behind: bool,
}

impl PeerNode {
    pub(in crate::gateway) fn new(home: &Arc<LocalRepository>, uuid: &Uuid, peer: Rc<Peer>) -> Self {
        Self { home: Arc::clone(home), uuid: uuid.clone(), peer, is_behind: false }
    }

    /// The node, or cluster, `uuid` that is behind another gateway, which is reached as `peer`.
    pub(in crate::gateway) fn behind(home: &Arc<LocalRepository>, uuid: &Uuid, peer: Rc<Peer>) -> Self {
        Self { is_behind: true, ..Self::new(home, uuid, peer) }
    }

    /// Records what the repository said of itself and of `others`, and gives those that are told to the client. A cluster is no
    /// place where content is: its nodes are.
    pub(in crate::gateway) async fn record(
        &self,
        key: &Key,
        others: Vec<Uuid>,
        presence: Presence,
    ) -> Result<Vec<Uuid>, Failure> {
        let others = self.nodes(others);
        let itself = Some(&self.uuid).filter(|uuid| !is_cluster(uuid));
        for uuid in itself.into_iter().chain(&others) {
            self.home.record(key, uuid, presence).await?;
        }
        Ok(others)
    }

    async fn record_seen(&self, key: &Key, others: Vec<Uuid>) -> Result<Vec<Uuid>, Failure> {
        let others = self.nodes(others);
        let itself = Some(&self.uuid).filter(|uuid| !is_cluster(uuid));
        for uuid in itself.into_iter().chain(&others) {
            self.home.record_seen(key, uuid, Presence::Present).await?;
        }
        Ok(others)
    }

    /// Those of `others` that can be told of: who is no cluster, and neither this repository nor that one.
    fn nodes(&self, mut others: Vec<Uuid>) -> Vec<Uuid> {
        others.retain(|uuid| !is_cluster(uuid) && uuid != self.home.uuid() && *uuid != self.uuid);
        others.sort();
        others.dedup();
        others
    }

    /// Whether it is several nodes behind another gateway.
    pub(in crate::gateway) fn is_cluster(&self) -> bool {
        is_cluster(&self.uuid)
    }
}

#[async_trait(?Send)]
impl Node for Rc<PeerNode> {
    async fn check(&self, key: &Key) -> Result<bool, Failure> {
        self.peer.check(key).await
    }

    async fn get(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        _: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        // git-annex in front of a special remote promises content that is not there, and dies.
        if self.is_behind && !self.peer.check(key).await? {
            return Ok(None);
        }
        let Some(get) = self.peer.get(key, file, from).await? else { return Ok(None) };
        match key.size().map(|size| size.saturating_sub(from)) {
            Some(due) if due != get.len => {
                let words =
                    format!("the repository {} offers {} bytes of {key} where {due} are due", self.uuid, get.len);
                Err(Failure::internal(words))
            }
            _ => Ok(Some(Outgoing::from_peer(get, from))),
        }
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure> {
        self.home.recordable(key)?;
        Ok(match self.peer.put(key, file).await? {
            PeerOffer::AlreadyHave(others) => Offer::AlreadyHave(self.record_seen(key, others).await?),
            PeerOffer::Upload(put) => Offer::Upload(Box::new(Upload::new(key, PeerSink::new(self, key, *put)))),
        })
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        self.home.recordable(key)?;
        Ok(self.peer.offset(key).await?.map_or(Offset::All(Vec::new()), Offset::Bytes))
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        let PeerRemoval { left, from } = self.peer.remove_plus(key, before).await?;
        let Some(why) = left else {
            let from = self.record(key, from, Presence::Missing).await?;
            return Ok(Removal { gone: true, from });
        };
        let from = self.nodes(from);
        for uuid in &from {
            self.home.record(key, uuid, Presence::Missing).await?;
        }
        if self.is_cluster() {
            tracing::debug!("{key}: {why}");
            return Ok(Removal { gone: false, from });
        }
        // It may say so of what was not there in the first place, too.
        if why.kind() != FailureKind::TooLate || self.peer.check(key).await? {
            return Err(why);
        }
        self.home.record(key, &self.uuid, Presence::Missing).await.map(|()| Removal { gone: true, from })
    }

    async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure> {
        Ok(self.peer.lock(key).await?.map(HeldLock::elsewhere))
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        self.home.recordable(key)?;
        let Some(others) = self.peer.take_note(key).await? else { return Ok(None) };
        self.record(key, others, Presence::Present).await.map(Some)
    }

    fn has_own_clock(&self) -> bool {
        true
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        self.peer.timestamp().await
    }
}
