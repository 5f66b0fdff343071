//! Content that has come becomes visible on the remote: one transaction, in an order that a kill anywhere leaves right.
//!
//! ```text
//! announce -> commit -> record -> forget -> settle
//! ```
//!
//! Whoever is killed after `announce` has left word that the content may be there without its names in the tree; after
//! `commit`, the ledger tells of it still, and a second upload finds it there; after `record`, all know of it.

use remotes::Stored;

use super::StoreNode;
use super::sink::{StoreSink, over};
use crate::annex::log::Presence;
use crate::gateway::Failure;
use crate::gateway::receive::Settled;
use crate::gateway::tree::Arrival;
use crate::name::Key;

impl StoreSink {
    /// Does it. All has come, and is right.
    pub(super) async fn publish(mut self) -> Result<Settled, Failure> {
        let put = self.put.take().ok_or_else(over)?;
        let resumption = put.resumption();
        let arrival = self.node.announce(&self.key).await?;
        let stored = match put.commit().await {
            Ok(stored) => stored,
            Err(e) => {
                // What no ledger tells of would stay for ever.
                if let (true, true, Some(resumption)) = (self.ledger.is_none(), e.kind().retry(), resumption) {
                    let _ = self.node.abandon(&self.object, &resumption).await;
                }
                return Err(self.node.failure(&e));
            }
        };
        let recorded = self.node.stored(&self.key, stored).await;
        self.forget().await?;
        recorded?;
        self.node.settle(arrival).await;
        Ok(Settled::Stored(Vec::new()))
    }
}

impl StoreNode {
    /// The content of `key` has been stored: records that, and what finds it where the store keeps what it had.
    async fn stored(&self, key: &Key, stored: Stored) -> Result<(), Failure> {
        self.target.absences.forget(key);
        if let Some(tree) = &self.tree {
            tree.stored(key, stored).await?;
        }
        self.record(key, Presence::Present).await
    }

    /// The content of `key` is about to be stored. `None` where it gets no names in a tree.
    pub(in crate::gateway) async fn announce(&self, key: &Key) -> Result<Option<Arrival>, Failure> {
        match &self.tree {
            Some(tree) if tree.tracking().is_some() => tree.announce(key).await.map(Some),
            _ => Ok(None),
        }
    }

    /// What was announced has been stored and recorded: gives it its names in the tree.
    pub(in crate::gateway) async fn settle(&self, arrival: Option<Arrival>) {
        if let (Some(tree), Some(arrival)) = (&self.tree, arrival) {
            tree.settle(arrival).await;
        }
    }
}
