//! A remote as this repository has it configured: how fast, and what was started for it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Node, Offset, Removal, StoreNode};
use crate::gateway::commands::InUse;
use crate::gateway::held::HeldLock;
use crate::gateway::quota::RoomRequest;
use crate::gateway::receive::Offer;
use crate::gateway::repository::Proxied;
use crate::gateway::{Failure, LocalRepository, Outgoing, Pace};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// A remote.
pub(super) struct Remote {
    pub(super) node: Box<dyn Node>,
    /// Whose it is.
    pub(super) home: Arc<LocalRepository>,
    /// How it is used.
    pub(super) remote: Arc<Proxied>,
    /// How long the first count of sizes may take.
    pub(super) idle: Duration,
    /// As long as this is there, what was started for it is not stopped.
    pub(super) in_use: Option<InUse>,
}

#[async_trait(?Send)]
impl Node for Remote {
    async fn check(&self, key: &Key) -> Result<bool, Failure> {
        self.node.check(key).await
    }

    async fn get(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        let found = self.node.get(key, file, from, len).await?;
        Ok(found.map(|found| found.at(self.remote.download.as_ref())))
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure> {
        match self.node.put(key, file).await? {
            // What a repository on this computer may hold is its own to say as well.
            Offer::Upload(upload) => {
                let remote = &self.remote;
                let request = RoomRequest::behind(&self.home, &remote.uuid, key, remote.quota.clone());
                match request.reserve(self.idle).await {
                    Ok(room) => Ok(Offer::Upload(Box::new(upload.within(room)))),
                    Err(failure) => {
                        upload.keep().await?;
                        Err(failure)
                    }
                }
            }
            has => Ok(has),
        }
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        self.node.offset(key).await
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        self.node.remove(key, before).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<HeldLock>, Failure> {
        let held = self.node.lock(key).await?;
        Ok(match &self.in_use {
            Some(in_use) => held.map(|held| HeldLock::InUse(Box::new(held), in_use.clone())),
            None => held,
        })
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        self.node.take_note(key).await
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        self.node.timestamp().await
    }

    fn has_own_clock(&self) -> bool {
        self.node.has_own_clock()
    }

    fn upload_pace(&self) -> Option<&Pace> {
        self.remote.upload.as_deref()
    }

    fn is_here(&self) -> bool {
        self.node.is_here()
    }

    fn special(&self) -> Option<&Rc<StoreNode>> {
        self.node.special()
    }
}
