//! Content on its way from a client through here to a repository elsewhere, which proves it itself.

use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::annex::backend::Verifier;
use crate::annex::log::Presence;
use crate::gateway::receive::{Savepoints, Settled, Sink};
use crate::gateway::{Failure, PeerNode};
use crate::name::Key;
use crate::peer::PeerPut;

/// One upload to a repository elsewhere. Dropping it closes the connection; the repository keeps what it has.
pub(in crate::gateway) struct PeerSink {
    node: Rc<PeerNode>,
    key: Key,
    put: PeerPut,
}

impl PeerSink {
    pub(in crate::gateway) fn new(node: &Rc<PeerNode>, key: &Key, put: PeerPut) -> Self {
        Self { node: Rc::clone(node), key: key.clone(), put }
    }
}

#[async_trait(?Send)]
impl Sink for PeerSink {
    fn offset(&self) -> u64 {
        self.put.offset()
    }

    fn proves(&self) -> bool {
        true
    }

    async fn digested(&mut self, _: u64, _: Verifier) -> Result<Option<Verifier>, Failure> {
        Ok(None)
    }

    async fn begin(&mut self, from: u64, end: u64, _: &Savepoints) -> Result<(), Failure> {
        self.put.begin(from, end - from).await
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.put.write(block).await
    }

    async fn pause(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Passes on that all has come, and what the repository says to it.
    async fn commit(self: Box<Self>) -> Result<Settled, Failure> {
        let (stored, others) = self.put.finish(true).await?;
        if !stored {
            return Ok(Settled::Wrong);
        }
        let others = self.node.record(&self.key, others, Presence::Present).await?;
        if others.is_empty() && self.node.is_cluster() {
            return Err(Failure::internal("it stored it, and does not say where".to_string()).answered());
        }
        Ok(Settled::Stored(others))
    }

    /// Lets go, and leaves it to the repository to keep what it has.
    async fn keep(self: Box<Self>) -> Result<(), Failure> {
        self.put.keep().await;
        Ok(())
    }

    /// The same: nobody can tell a repository elsewhere to forget what it has, and it will not take it for the content.
    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        self.keep().await
    }
}
