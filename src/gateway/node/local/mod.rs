//! A repository on this computer as one who asks sees it: the one that is served, or one behind it.

mod sink;
mod trashbin;

use std::sync::Arc;

use async_trait::async_trait;

use crate::annex::content::ContentError;
use crate::annex::log::Presence;
use crate::gateway::held::HeldLock;
use crate::gateway::node::{Asker, Limits, Node, Offset, Removal};
use crate::gateway::quota::RoomRequest;
use crate::gateway::receive::{Offer, Upload};
use crate::gateway::repository::LocalRepository;
use crate::gateway::{Failure, Outgoing, blocking, timestamp, until};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;
use sink::LocalSink;

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
        if let Some(sink) = LocalSink::open(&self.served, self.home.as_ref(), key, &self.client).await? {
            let upload = Upload::new(key, sink);
            let claim = self.limits.quotas.as_ref().and_then(|quotas| quotas.of(&self.served));
            return match RoomRequest::here(&self.served, key, claim).reserve(self.limits.idle).await {
                Ok(room) => Ok(Offer::Upload(Box::new(upload.within(room)))),
                Err(failure) => {
                    // What is there of it can be resumed once there is room.
                    upload.keep().await?;
                    Err(failure)
                }
            };
        }
        if let Some(home) = &self.home {
            home.record_seen(key, self.served.uuid(), Presence::Present).await?;
        }
        Ok(Offer::AlreadyHave(Vec::new()))
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        let offset = self.served.offset(key).await?;
        Ok(offset.map_or(Offset::All(Vec::new()), Offset::Bytes))
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        let until = until(before);
        if !until.is_over() {
            trashbin::fill(&self.served, key, &self.limits).await?;
        }
        let (content, wanted) = (self.served.content().clone(), key.clone());
        let (done, is_gone) = blocking(move || {
            let done = content.remove(&wanted, || !until.is_over());
            // What was erased halfway is no copy any more.
            let is_gone = match &done {
                Ok(()) => true,
                Err(ContentError::Hook { .. }) => content.present(&wanted).is_ok_and(|there| !there),
                Err(_) => false,
            };
            (done, is_gone)
        })
        .await?;
        if is_gone {
            self.served.record(key, self.served.uuid(), Presence::Missing).await?;
            if let Some(quotas) = &self.limits.quotas {
                quotas.removed(&self.served);
            }
        }
        done?;
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
