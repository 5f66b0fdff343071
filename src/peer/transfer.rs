//! What lasts longer than one call: content moving from a peer and to it, and locks.

use std::fmt;

use bytes::Bytes;
use remotes::pump::Source;

use super::{http, ssh};
use crate::failure::Failure;
use crate::name::Uuid;

/// Content that comes from a peer.
///
/// Read all of `source`, then ask `end` whether it was the content. Dropping either before that closes the connection.
pub struct PeerGet {
    /// How many bytes come, from the one that was asked for on. The peer says so: hold it against the key.
    pub len: u64,
    /// The bytes. From a socket they are only complete when [`Socket::done`](remotes::pump::Socket::done) was called, as the
    /// lanes do.
    pub source: Source,
    /// What is left to do.
    pub end: PeerEnd,
}

impl PeerGet {
    /// All bytes of the source were read: whether they are the content as far as the peer knows.
    pub async fn finish(self) -> bool {
        drop(self.source);
        self.end.finish().await
    }
}

/// The end of a [`PeerGet`].
pub struct PeerEnd(pub(super) End);

pub(super) enum End {
    Ssh(ssh::End),
    Http(http::End),
}

impl PeerEnd {
    /// Whether bytes that arrived are all that there is to know: over HTTP nothing is said after them.
    pub fn is_certain(&self) -> bool {
        matches!(self.0, End::Http(_))
    }

    /// All bytes of the source were read: whether they are the content as far as the peer knows. After that the connection
    /// may serve again. Anything that is not clear is `false`.
    pub async fn finish(self) -> bool {
        match self.0 {
            End::Ssh(end) => end.finish().await,
            End::Http(end) => end.finish().await,
        }
    }
}

/// The answer of a peer that was offered content.
pub enum PeerOffer {
    /// It has it, and so have these others.
    AlreadyHave(Vec<Uuid>),
    /// It may be sent.
    Upload(Box<PeerPut>),
}

/// What became of content that a peer was to remove.
#[derive(Debug)]
pub struct PeerRemoval {
    /// Why it is not gone; `None` where it is.
    pub left: Option<Failure>,
    /// The other repositories it was removed from.
    pub from: Vec<Uuid>,
}

/// Content on its way to a peer. Dropping it closes the connection, as [`keep`](Self::keep) does.
pub struct PeerPut(pub(super) Put);

pub(super) enum Put {
    Ssh(ssh::Put),
    Http(http::Put),
}

impl PeerPut {
    /// How many bytes it holds from an upload that broke off.
    pub fn offset(&self) -> u64 {
        match &self.0 {
            Put::Ssh(put) => put.offset(),
            Put::Http(put) => put.offset(),
        }
    }

    /// From byte `from` on, which is at most [`offset`](Self::offset), `len` bytes are to come. Of those that a peer over
    /// ssh holds already none are sent, since there is no word to say so.
    ///
    /// # Errors
    ///
    /// That is not where it takes them from.
    pub async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        match &mut self.0 {
            Put::Ssh(put) => put.begin(from, len).await,
            Put::Http(put) => put.begin(from, len).await,
        }
    }

    /// Sends the next bytes.
    ///
    /// # Errors
    ///
    /// The peer takes no more; all that is left is to drop this.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        match &mut self.0 {
            Put::Ssh(put) => put.write(block).await,
            Put::Http(put) => put.write(block).await,
        }
    }

    /// Ends it. `valid`: the bytes are the content as far as the sender knows. If not, the peer is told so, where the
    /// wire has a word for it, or never gets the last of them.
    ///
    /// Gives whether it was stored, and in which other repositories.
    ///
    /// # Errors
    ///
    /// That is not known, or not all was written.
    pub async fn finish(self, valid: bool) -> Result<(bool, Vec<Uuid>), Failure> {
        match self.0 {
            Put::Ssh(put) => put.finish(valid).await,
            Put::Http(put) => put.finish(valid).await,
        }
    }

    /// The client is gone: closes the connection, so that the peer keeps what it has. Where nothing was announced yet, the offer
    /// is taken back in words, where there are such, so that the peer has let go of it after this.
    pub async fn keep(self) {
        if let Put::Ssh(put) = self.0 {
            put.keep().await;
        }
    }
}

/// A lock that a peer keeps for us. Dropping it lets go of it too, as far as the peer can be reached.
pub struct PeerLock(pub(super) Lock);

pub(super) enum Lock {
    Ssh(ssh::Lock),
    Http(http::Lock),
}

impl PeerLock {
    /// Waits until the peer ends the connection that keeps it, or says anything, which it does only when the lock is over.
    /// May be dropped half way.
    pub async fn ended(&mut self) {
        match &mut self.0 {
            Lock::Ssh(lock) => lock.ended().await,
            Lock::Http(lock) => lock.ended().await,
        }
    }

    /// Goes without a word: the peer keeps it for its time, as for any client that vanished.
    pub fn leave(self) {
        match self.0 {
            Lock::Ssh(lock) => drop(lock),
            Lock::Http(lock) => lock.leave(),
        }
    }

    /// Lets go of it. A peer that cannot be reached any more keeps it for a while.
    pub async fn unlock(self) {
        match self.0 {
            Lock::Ssh(lock) => lock.unlock().await,
            Lock::Http(lock) => lock.unlock().await,
        }
    }
}

impl fmt::Debug for PeerGet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerGet").field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerPut").field("offset", &self.offset()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerOffer::AlreadyHave(others) => f.debug_tuple("AlreadyHave").field(others).finish(),
            PeerOffer::Upload(put) => f.debug_tuple("Upload").field(put).finish(),
        }
    }
}

impl fmt::Debug for PeerLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerLock")
    }
}
