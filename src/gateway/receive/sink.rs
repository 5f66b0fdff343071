//! Where the content of an upload is placed.

use async_trait::async_trait;
use bytes::Bytes;

use super::Settled;
use super::digest::{Digest, Savepoints};
use crate::annex::backend::Verifier;
use crate::gateway::Failure;

/// One place that content goes to. A sink places bytes, and says what it has of them. It neither counts nor hashes: that is done
/// once for all sinks of an upload.
///
/// Dropping one keeps what can be resumed.
#[async_trait(?Send)]
pub(in crate::gateway) trait Sink {
    /// Bytes of the content that are there from an upload that was interrupted.
    fn offset(&self) -> u64;

    /// Whether whoever takes the content proves it himself, so that nothing has to be hashed for him.
    fn proves(&self) -> bool {
        false
    }

    /// Where content cannot be taken from any byte but [`offset`](Self::offset): the state of the digest there, as it was saved
    /// with what lies here. Whoever sends more leaves out what comes before, once he knows that it is the same.
    fn saved_state(&self) -> Option<Vec<u8>> {
        None
    }

    /// The digest of the first `from` bytes of the content, which lie here: `fresh` once it has seen them, or one that was saved
    /// with them. `None` where this sink cannot tell.
    async fn digested(&mut self, from: u64, fresh: Verifier) -> Result<Option<Verifier>, Failure>;

    /// The content comes from byte `from` on, and ends at `end`. What lies beyond `from` is forgotten. A sink that saves states
    /// of the digest with what it has asks for them now.
    async fn begin(&mut self, from: u64, end: u64, savepoints: &Savepoints) -> Result<(), Failure>;

    /// Takes the next bytes. Waits for those before the last ones, no longer.
    async fn write(&mut self, block: Bytes) -> Result<(), Failure>;

    /// The client makes a pause: lets go of memory.
    async fn pause(&mut self) -> Result<(), Failure>;

    /// All has come, and is the content: makes it visible, and records it. [`Settled::Wrong`] is for those who
    /// [prove](Self::proves) it.
    async fn commit(self: Box<Self>) -> Result<Settled, Failure>;

    /// Takes all of the content in place of [`write`](Self::write) and [`commit`](Self::commit), where that is little and
    /// `digest` has seen nothing of it.
    async fn put_small(mut self: Box<Self>, blocks: Vec<Bytes>, mut digest: Digest) -> Result<Settled, Failure> {
        for block in blocks {
            digest.push(block.clone()).await;
            self.write(block).await?;
        }
        if digest.verdict().await? { self.commit().await } else { self.discard().await.map(|()| Settled::Wrong) }
    }

    /// Keeps what has come, for the client to resume, as far as that is possible. The digest has seen all of it.
    async fn keep(self: Box<Self>) -> Result<(), Failure>;

    /// Forgets what has come, and what was there before.
    async fn discard(self: Box<Self>) -> Result<(), Failure>;
}
