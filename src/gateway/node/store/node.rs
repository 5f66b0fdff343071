//! A special remote as a node.

use std::rc::Rc;

use async_trait::async_trait;

use super::StoreNode;
use crate::gateway::held::HeldLock;
use crate::gateway::node::{Node, Offset, Removal};
use crate::gateway::receive::Offer;
use crate::gateway::{Failure, Outgoing, timestamp, until};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

#[async_trait(?Send)]
impl Node for Rc<StoreNode> {
    async fn check(&self, key: &Key) -> Result<bool, Failure> {
        StoreNode::check(self, key).await
    }

    async fn get(
        &self,
        key: &Key,
        _: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        StoreNode::get(self, key, from, len).await
    }

    async fn put(&self, key: &Key, _: &AssociatedFile) -> Result<Offer, Failure> {
        StoreNode::put(self, key).await
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        let offset = StoreNode::offset(self, key).await?;
        Ok(offset.map_or(Offset::All(Vec::new()), Offset::Bytes))
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        StoreNode::remove(self, key, &until(before)).await.map(|()| Removal::DONE)
    }

    async fn lock(&self, _: &Key) -> Result<Option<HeldLock>, Failure> {
        Ok(None)
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        Ok(StoreNode::take_note(self, key).await?.then(Vec::new))
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        Ok(timestamp())
    }

    fn special(&self) -> Option<&Rc<StoreNode>> {
        Some(self)
    }
}
