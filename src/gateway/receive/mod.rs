//! Receiving content from a client, once for every wire and for any number of sinks.
//!
//! ```text
//! Body (a wire) --> receive: length, pace, pauses --> Digest --> Sink, which may be a Fan: leg --> Sink
//!                                                       |          ^                       leg --> Sink
//!                                                       +-verdict--+ commit, keep or discard
//! ```
//!
//! Which bytes are expected is decided here and nowhere else: an upload begins at a byte that is there, ends where its key
//! says, and is wrong otherwise, whatever its digest.

mod belt;
mod digest;
mod fan;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod memory;
mod pump;
mod sink;
#[cfg(test)]
mod tests;

pub(in crate::gateway) use belt::{Belt, Work};
pub use digest::Digest;
pub(in crate::gateway) use digest::{Savepoints, States};
pub(in crate::gateway) use fan::{Fan, FanLeg};
pub use pump::{Body, End, Piece, Unsettled};
pub(in crate::gateway) use sink::Sink;

use bytes::Bytes;

use super::room::Room;
use super::{Failure, FailureKind};
use crate::name::{Key, Uuid};

/// Bytes that are kept in memory before anything is hashed or placed: little content is done with at once, at its end.
const SMALL: u64 = 256 << 10;

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

/// One upload. Dropping it keeps what can be resumed.
pub struct Upload {
    key: Key,
    sink: Box<dyn Sink>,
    digest: Digest,
    /// What comes cannot be the content, whatever its digest.
    is_spoiled: bool,
    /// What is in memory.
    small: Vec<Bytes>,
    /// Where that begins.
    placed: u64,
    /// Where the first byte of this upload belongs.
    from: u64,
    /// Where the next byte belongs.
    at: u64,
    /// Where the content ends.
    end: u64,
    /// Room within quotas, kept until what came of it is recorded.
    rooms: Vec<Room>,
}

impl Upload {
    /// An upload of `key` into `sink`.
    pub(in crate::gateway) fn new(key: &Key, sink: impl Sink + 'static) -> Self {
        let digest = if sink.proves() { Digest::None } else { Digest::for_key(key) };
        Self {
            key: key.clone(),
            sink: Box::new(sink),
            digest,
            is_spoiled: false,
            small: Vec::new(),
            placed: 0,
            from: 0,
            at: 0,
            end: 0,
            rooms: Vec::new(),
        }
    }

    /// The same with room for it, within a quota.
    pub(in crate::gateway) fn within(mut self, room: Room) -> Self {
        self.rooms.push(room);
        self
    }

    /// Where it would go, and the room for it there, before it has begun.
    pub(in crate::gateway) fn into_sink(self) -> (Box<dyn Sink>, Vec<Room>) {
        (self.sink, self.rooms)
    }

    /// The key that is being put.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Bytes that are there from an upload that was interrupted.
    pub fn offset(&self) -> u64 {
        self.sink.offset()
    }

    /// Bytes of the content that have come, those of an earlier upload included.
    pub fn received(&self) -> u64 {
        self.at
    }

    /// Whether what comes is of no use, so that it is read only for the client to hear of it.
    pub fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// The client sends `len` bytes from byte `from` on. False where so many are not there: nothing can be sent then, and
    /// the upload is to be [kept](Self::keep).
    ///
    /// # Errors
    ///
    /// It cannot begin there. What is there stays.
    pub async fn begin(&mut self, from: u64, len: u64) -> Result<bool, Failure> {
        if from > self.offset() {
            return Ok(false);
        }
        // A client may send less than that, to find out how much is here; that is kept.
        let end = self.key.size().unwrap_or(from.saturating_add(len));
        (self.from, self.at, self.placed, self.end) = (from, from, from, end);
        // A length that the key rules out is not worth a byte of the disk.
        if from.saturating_add(len) > end || matches!(self.digest, Digest::Lost) {
            self.is_spoiled = true;
            return Ok(true);
        }
        if from > 0
            && let Some(fresh) = self.digest.take_fresh()
        {
            let digested = self.sink.digested(from, fresh).await?;
            let words = || format!("an upload of {} can resume at byte {} or start over", self.key, self.offset());
            self.digest = Digest::resumed(digested.ok_or_else(|| Failure::refused(words()))?, from);
        }
        let savepoints = self.digest.savepoints();
        self.sink.begin(from, end, &savepoints).await?;
        self.digest.save(savepoints);
        Ok(true)
    }

    /// Takes the next bytes. Waits for those before the last ones, no longer.
    ///
    /// # Errors
    ///
    /// No place takes them. What came before can be kept.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.at += block.len() as u64;
        if self.at > self.end {
            self.is_spoiled = true;
        }
        if self.is_spoiled {
            return Ok(());
        }
        self.small.push(block);
        if self.at - self.placed >= SMALL { self.place().await } else { Ok(()) }
    }

    /// The client makes a pause: it should not keep memory meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub async fn pause(&mut self) -> Result<(), Failure> {
        self.place().await?;
        self.sink.pause().await
    }

    /// Hands what is in memory to the digest and to its place.
    async fn place(&mut self) -> Result<(), Failure> {
        for block in std::mem::take(&mut self.small) {
            self.placed += block.len() as u64;
            self.digest.push(block.clone()).await;
            self.sink.write(block).await?;
        }
        Ok(())
    }

    /// The client has sent all it wanted, and says that it is the content. Proves it, makes it visible, records it.
    ///
    /// # Errors
    ///
    /// It is not certain that it is stored anywhere. What came is kept, unless it filled the disk.
    pub async fn finish(mut self) -> Result<Settled, Failure> {
        if self.is_spoiled || self.at != self.end {
            return self.discard().await.map(|()| Settled::Wrong);
        }
        if self.placed == self.from {
            return self.sink.put_small(self.small, self.digest).await;
        }
        if let Err(failure) = self.place().await {
            self.give_up(&failure).await;
            return Err(failure);
        }
        if !std::mem::replace(&mut self.digest, Digest::Lost).verdict().await? {
            return self.discard().await.map(|()| Settled::Wrong);
        }
        self.sink.commit().await
    }

    /// Keeps what has come, for the client to resume, as far as that is possible.
    ///
    /// # Errors
    ///
    /// Some of it is lost.
    pub async fn keep(mut self) -> Result<(), Failure> {
        if self.is_spoiled {
            return self.discard().await;
        }
        let placed = self.place().await;
        self.digest.settle().await;
        if matches!(self.digest, Digest::Lost) {
            return self.discard().await;
        }
        let kept = self.sink.keep().await;
        placed.and(kept)
    }

    /// Forgets what has come, and what was there before.
    ///
    /// # Errors
    ///
    /// Some of it may be there still.
    pub async fn discard(self) -> Result<(), Failure> {
        self.sink.discard().await
    }

    /// It fails. Half a content that filled the disk would keep it full.
    async fn give_up(self, failure: &Failure) {
        // Its own failure would only repeat the first.
        let _ = if failure.kind() == FailureKind::Full { self.discard().await } else { self.keep().await };
    }
}
