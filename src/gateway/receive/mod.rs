//! Content on its way from a client to where it belongs.

pub(in crate::gateway) mod belt;
pub(in crate::gateway) mod digest;

use bytes::Bytes;

use super::Failure;
use super::node::{LocalUpload, PeerUpload, StoreUpload};
use crate::name::{Key, Uuid};

/// The answer to a client that wants to put content.
pub enum Offer {
    /// It is there, and in these other repositories.
    AlreadyHave(Vec<Uuid>),
    /// It may be sent.
    Upload(Box<Upload>),
}

/// How an upload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The content is there and recorded; there, and in these other repositories.
    Stored(Vec<Uuid>),
    /// What came is not the content; nothing of it was kept.
    Wrong,
}

/// One upload. Dropping it keeps what can be gone on with.
pub enum Upload {
    /// Into a repository on this computer.
    Local(LocalUpload),
    /// Into the store of a special remote.
    Store(StoreUpload),
    /// Into a repository elsewhere.
    Peer(PeerUpload),
}

impl Upload {
    /// Bytes that are there from an upload that was broken off.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Local(upload) => upload.offset(),
            Self::Store(upload) => upload.offset(),
            Self::Peer(upload) => upload.offset(),
        }
    }

    /// The client sends `len` bytes from byte `from` on, which is at most [`offset`](Self::offset).
    pub async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        match self {
            Self::Local(upload) => upload.begin(from).await,
            Self::Store(upload) => upload.begin(from, len).await,
            Self::Peer(upload) => upload.begin(from, len).await,
        }
    }

    /// The key that is being put.
    pub fn key(&self) -> &Key {
        match self {
            Self::Local(upload) => upload.key(),
            Self::Store(upload) => upload.key(),
            Self::Peer(upload) => upload.key(),
        }
    }

    /// What comes cannot be the content, whatever its digest: [`finish`](Self::finish) will find it wrong.
    pub fn spoil(&mut self) {
        match self {
            Self::Local(upload) => upload.spoil(),
            Self::Store(upload) => upload.spoil(),
            Self::Peer(upload) => upload.spoil(),
        }
    }

    /// Bytes of the content that have come, those of an earlier upload included.
    pub fn received(&self) -> u64 {
        match self {
            Self::Local(upload) => upload.received(),
            Self::Store(upload) => upload.received(),
            Self::Peer(upload) => upload.received(),
        }
    }

    /// Takes the next bytes. Waits for those before the last ones, no longer.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        match self {
            Self::Local(upload) => upload.write(block).await,
            Self::Store(upload) => upload.write(block).await,
            Self::Peer(upload) => upload.write(block).await,
        }
    }

    /// The client makes a pause: it should not keep memory meanwhile.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Local(upload) => upload.flush().await,
            Self::Store(upload) => {
                upload.pause().await;
                Ok(())
            }
            Self::Peer(_) => Ok(()),
        }
    }

    /// The client has sent all it wanted, and says that it is the content. Proves it, makes it visible, records it.
    pub async fn finish(self) -> Result<Settled, Failure> {
        match self {
            Self::Local(upload) => upload.finish().await,
            Self::Store(upload) => upload.finish().await,
            Self::Peer(upload) => upload.finish().await,
        }
    }

    /// Keeps what has come, for the client to go on with, as far as that is possible.
    pub async fn keep(self) -> Result<(), Failure> {
        match self {
            Self::Local(upload) => upload.keep().await,
            Self::Store(upload) => upload.keep().await,
            Self::Peer(upload) => upload.keep().await,
        }
    }

    /// Forgets what has come, and what was there before.
    pub async fn discard(self) -> Result<(), Failure> {
        match self {
            Self::Local(upload) => upload.discard().await,
            Self::Store(upload) => upload.discard().await,
            Self::Peer(upload) => upload.discard().await,
        }
    }
}
