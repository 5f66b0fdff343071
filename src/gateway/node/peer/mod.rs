//! A git repository elsewhere behind this gateway.

mod sink;

use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;

use crate::annex::log::Presence;
use crate::gateway::held::HeldLock;
use crate::gateway::node::{Node, Offset, Removal};
use crate::gateway::receive::{Offer, Upload};
use crate::gateway::send::Outgoing;
use crate::gateway::{Failure, FailureKind, LocalRepository};
use crate::name::{Key, Uuid};
use crate::peer::{Peer, PeerOffer};
use crate::proto::p2p::AssociatedFile;
use sink::PeerSink;

/// A repository that is reached over ssh or HTTP, on a data thread. What it says is passed on; where content is, is recorded
/// here as well.
pub struct PeerNode {
    home: Arc<LocalRepository>,
    uuid: Uuid,
    peer: Rc<Peer>,
}

impl PeerNode {
    pub(in crate::gateway) fn new(home: &Arc<LocalRepository>, uuid: &Uuid, peer: Rc<Peer>) -> Self {
        Self { home: Arc::clone(home), uuid: uuid.clone(), peer }
    }

    pub(in crate::gateway) async fn record(&self, key: &Key, presence: Presence) -> Result<(), Failure> {
        self.home.record(key, &self.uuid, presence).await
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
            PeerOffer::AlreadyHave(others) => {
                self.home.record_seen(key, &self.uuid, Presence::Present).await?;
                Offer::AlreadyHave(others)
            }
            PeerOffer::Upload(put) => Offer::Upload(Box::new(Upload::new(key, PeerSink::new(self, key, *put)))),
        })
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        self.home.recordable(key)?;
        Ok(self.peer.offset(key).await?.map_or(Offset::All(Vec::new()), Offset::Bytes))
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        match self.peer.remove(key, before).await {
            Ok(()) => {}
            // It may say so of what was not there in the first place, too.
            Err(late) if late.kind() == FailureKind::TooLate => {
                if self.peer.check(key).await? {
                    return Err(late);
                }
            }
            Err(failure) => return Err(failure),
        }
        self.record(key, Presence::Missing).await.map(|()| Removal::DONE)
    }

    async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure> {
        Ok(self.peer.lock(key).await?.map(HeldLock::elsewhere))
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        self.home.recordable(key)?;
        if !self.peer.take_note(key).await? {
            return Ok(None);
        }
        self.record(key, Presence::Present).await.map(|()| Some(Vec::new()))
    }

    fn has_own_clock(&self) -> bool {
        true
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        self.peer.timestamp().await
    }
}
