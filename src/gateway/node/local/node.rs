//! A repository on this computer as one who asks sees it: the one that is served, or one behind it.

use std::sync::Arc;

use async_trait::async_trait;

use super::LocalRepository;
use crate::annex::log::Presence;
use crate::gateway::held::HeldLock;
use crate::gateway::node::{Asker, Limits, Node, Offset, Removal};
use crate::gateway::receive::Offer;
use crate::gateway::{Failure, Outgoing, timestamp};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// A repository, and who asks for it.
pub(in crate::gateway) struct LocalNode {
    served: Arc<LocalRepository>,
    /// The one that is a proxy for it, which records too where content is.
    home: Option<Arc<LocalRepository>>,
    limits: Limits,
    client: Uuid,
}

impl LocalNode {
    pub(in crate::gateway) fn new(
        served: &Arc<LocalRepository>,
        home: Option<&Arc<LocalRepository>>,
        limits: &Limits,
        asker: &Asker,
    ) -> Self {
        let (served, home) = (Arc::clone(served), home.map(Arc::clone));
        Self { served, home, limits: limits.clone(), client: asker.client.clone() }
    }

    /// Records at home too what was done.
    async fn record(&self, key: &Key, presence: Presence) -> Result<(), Failure> {
        match &self.home {
            Some(home) => home.record(key, self.served.uuid(), presence).await,
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Node for LocalNode {
    async fn check(&self, key: &Key) -> Result<bool, Failure> {
        self.served.check(key).await
    }

    async fn get(&self, key: &Key, _: &AssociatedFile, _: u64, _: Option<u64>) -> Result<Option<Outgoing>, Failure> {
        self.served.get(key).await
    }

    async fn put(&self, key: &Key, _: &AssociatedFile) -> Result<Offer, Failure> {
        let offer = self.served.put(key, &self.client, self.home.as_ref()).await?;
        if let (Offer::AlreadyHave(_), Some(home)) = (&offer, &self.home) {
            home.record_seen(key, self.served.uuid(), Presence::Present).await?;
        }
        Ok(offer)
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        let offset = self.served.offset(key).await?;
        Ok(offset.map_or(Offset::All(Vec::new()), Offset::Bytes))
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        self.served.remove(key, before, &self.limits).await?;
        self.record(key, Presence::Missing).await.map(|()| Removal::DONE)
    }

    async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure> {
        Ok(self.served.lock(key).await?.map(HeldLock::Content))
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        if !self.served.take_note(key).await? {
            return Ok(None);
        }
        self.record(key, Presence::Present).await.map(|()| Some(Vec::new()))
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        Ok(timestamp())
    }

    fn is_here(&self) -> bool {
        true
    }
}
