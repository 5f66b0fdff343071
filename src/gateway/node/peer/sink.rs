//! Content on its way from a client through here to a repository elsewhere, which proves it itself.

use std::rc::Rc;

use bytes::Bytes;

use crate::annex::log::Presence;
use crate::gateway::receive::Settled;
use crate::gateway::{Failure, PeerNode};
use crate::name::Key;
use crate::peer::PeerPut;

/// One upload to a repository elsewhere. Dropping it closes the connection; the repository keeps what it has.
pub struct PeerUpload {
    neighbour: Rc<PeerNode>,
    key: Key,
    put: Option<PeerPut>,
    at: u64,
    spoiled: bool,
}

impl PeerUpload {
    pub(in crate::gateway) fn new(neighbour: &Rc<PeerNode>, key: &Key, put: PeerPut) -> Self {
        Self { neighbour: Rc::clone(neighbour), key: key.clone(), put: Some(put), at: 0, spoiled: false }
    }

    /// Bytes that are there from an upload that was broken off.
    pub fn offset(&self) -> u64 {
        self.put.as_ref().map_or(0, PeerPut::offset)
    }

    /// The key that is being put.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What comes cannot be the content.
    pub fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Bytes of the content that have come, those of an earlier upload included.
    pub fn received(&self) -> u64 {
        self.at
    }

    /// The client sends `len` bytes from byte `from` on.
    pub async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        self.at = from;
        self.put()?.begin(from, len).await
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.at += block.len() as u64;
        if self.spoiled { Ok(()) } else { self.put()?.write(block).await }
    }

    /// Passes on that all has come, and what the repository says to it.
    pub async fn finish(mut self) -> Result<Settled, Failure> {
        let put = self.put.take().ok_or_else(over)?;
        if self.spoiled {
            put.keep().await;
            return Ok(Settled::Wrong);
        }
        let (stored, others) = put.finish(true).await?;
        if !stored {
            return Ok(Settled::Wrong);
        }
        self.neighbour.record(&self.key, Presence::Present).await?;
        Ok(Settled::Stored(others))
    }

    /// Lets go, and leaves it to the repository to keep what it has.
    pub async fn keep(mut self) -> Result<(), Failure> {
        if let Some(put) = self.put.take() {
            put.keep().await;
        }
        Ok(())
    }

    /// The same: nobody can tell a repository elsewhere to forget what it has, and it will not take it for the content.
    pub async fn discard(self) -> Result<(), Failure> {
        self.keep().await
    }

    fn put(&mut self) -> Result<&mut PeerPut, Failure> {
        self.put.as_mut().ok_or_else(over)
    }
}

fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}
