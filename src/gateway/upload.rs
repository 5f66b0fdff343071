//! Content on its way from a client into a repository: written and hashed side by side, visible once it is right.
//!
//! Blocks are handed to two pool threads, one for the digest and one for the file, while the data thread reads the next
//! block. No thread is kept while the client is slow. Little content stays in memory until its end, and then takes one
//! pool thread once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{Failure, Served, blocking};
use crate::annex::backend::{Verification, Verifier};
use crate::annex::content::{ContentError, Incoming};
use crate::annex::log::Presence;
use crate::name::Key;

/// The answer to a client that wants to put content.
pub enum Offer {
    /// It is here.
    AlreadyHave,
    /// It may be sent.
    Upload(Box<Upload>),
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The content is here and recorded.
    Stored,
    /// What came is not the content; nothing of it was kept.
    Wrong,
}

/// Bytes that are kept in memory before anything is written.
const SMALL: usize = 256 << 10;

/// Bytes of one write: see `remotes::sys::DataFile`.
const PIECE: usize = 256 << 10;

/// Bytes between two requests to bring the file to the disk. Much content is there by its end, so that the client need
/// not wait for all of it then.
const SYNC: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// One upload. Dropping it keeps what was written, for a client that goes on later.
pub struct Upload {
    served: Arc<Served>,
    key: Key,
    /// Shared with the write that is under way, so that the transfer stays locked until that is over.
    incoming: Option<Arc<Incoming>>,
    digest: Digest,
    writing: Option<JoinHandle<io::Result<()>>>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Where the next of them is due.
    sync_at: u64,
    small: Vec<Bytes>,
    /// Where the next byte belongs.
    at: u64,
    /// Where the bytes in `small` begin.
    written: u64,
}

enum Digest {
    /// The key has none.
    None,
    /// Nothing is being hashed now.
    Idle(Verifier),
    Busy(JoinHandle<Verifier>),
    /// A task was lost; the content counts as wrong.
    Lost,
}

impl Upload {
    pub(super) fn new(served: Arc<Served>, key: &Key, incoming: Incoming) -> Self {
        let digest = match Verification::for_key(key) {
            Verification::Digest(verifier) => Digest::Idle(verifier),
            Verification::SizeOnly => Digest::None,
            Verification::Impossible => Digest::Lost,
        };
        let incoming = Some(Arc::new(incoming));
        let key = key.clone();
        let small = Vec::new();
        Self { served, key, incoming, digest, writing: None, syncing: None, sync_at: SYNC, small, at: 0, written: 0 }
    }

    /// Bytes that are here from an upload that was broken off.
    pub fn offset(&self) -> u64 {
        self.incoming.as_ref().map_or(0, |incoming| incoming.offset())
    }

    /// The client sends from byte `from` on, which is at most [`offset`](Self::offset). What lies beyond is forgotten, and
    /// what lies before is read once for the digest.
    pub async fn begin(&mut self, from: u64) -> Result<(), Failure> {
        debug_assert!(from <= self.offset());
        let incoming = self.incoming.as_mut().and_then(Arc::get_mut).ok_or_else(over)?;
        if from < incoming.offset() {
            incoming.truncate_to(from)?;
        }
        (self.at, self.written, self.sync_at) = (from, from, from + SYNC);
        if from == 0 {
            return Ok(());
        }
        // Until the digest is back the content counts as wrong.
        match std::mem::replace(&mut self.digest, Digest::Lost) {
            Digest::Idle(mut verifier) => {
                let incoming = self.share()?;
                let verifier = blocking(move || incoming.verify_prefix(&mut verifier).map(|()| verifier)).await?;
                self.digest = Digest::Idle(verifier.map_err(|e| Failure::io("read what is here of the content", &e))?);
            }
            other => self.digest = other,
        }
        Ok(())
    }

    /// The key that is being put.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What comes cannot be the content, whatever its digest: [`finish`](Self::finish) will find it wrong.
    pub fn spoil(&mut self) {
        self.digest = Digest::Lost;
    }

    /// Bytes of the content that are here, in memory or in the file.
    pub fn received(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes. Waits for those before the last ones, no longer.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.at += block.len() as u64;
        self.small.push(block);
        if self.at - self.written >= SMALL as u64 {
            self.flush().await?;
        }
        Ok(())
    }

    /// The client has sent all it wanted, and says that it is the content. Proves it, makes it visible, records it.
    pub async fn finish(mut self) -> Result<Settled, Failure> {
        if self.writing.is_none() {
            // Nothing is under way, so the rest takes one thread.
            return self.finish_small().await;
        }
        self.flush().await?;
        self.written_all().await?;
        self.synced().await?;
        let right = match self.hashed().await {
            Digest::None => true,
            Digest::Idle(verifier) => blocking(move || verifier.finish()).await?,
            Digest::Busy(_) | Digest::Lost => false,
        };
        let (incoming, len) = (self.sole()?, self.at);
        let committed = blocking(move || commit(incoming, len, right)).await??;
        self.record(committed).await
    }

    async fn finish_small(mut self) -> Result<Settled, Failure> {
        let digest = std::mem::replace(&mut self.digest, Digest::Lost);
        let (blocks, at, len) = (std::mem::take(&mut self.small), self.written, self.at);
        let incoming = self.sole()?;
        let committed = blocking(move || {
            let right = match digest {
                Digest::None => true,
                Digest::Idle(mut verifier) => {
                    blocks.iter().for_each(|block| verifier.update(block));
                    verifier.finish()
                }
                Digest::Busy(_) | Digest::Lost => false,
            };
            write_all(incoming.file(), &blocks, at).map_err(|e| Failure::io("write the content", &e))?;
            commit(incoming, len, right)
        })
        .await??;
        self.record(committed).await
    }

    /// Keeps what has come, for the client to go on with.
    pub async fn keep(mut self) -> Result<(), Failure> {
        self.flush().await?;
        self.written_all().await?;
        self.synced().await?;
        let incoming = self.sole()?;
        blocking(move || incoming.keep()).await
    }

    /// Forgets what has come, and what was here before.
    pub async fn discard(mut self) -> Result<(), Failure> {
        self.small.clear();
        // What they say no longer matters.
        let _ = self.written_all().await;
        let _ = self.synced().await;
        let incoming = self.sole()?;
        blocking(move || incoming.discard()).await
    }

    async fn record(&self, committed: Settled) -> Result<Settled, Failure> {
        if committed == Settled::Stored {
            self.served.record(&self.key, Presence::Present).await?;
        }
        Ok(committed)
    }

    /// Hands what is in memory to the digest and to the file, once those before it are through.
    ///
    /// For a client that makes a pause: it should not keep memory meanwhile.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if self.small.is_empty() {
            return Ok(());
        }
        let blocks: Arc<[Bytes]> = std::mem::take(&mut self.small).into();
        self.digest = match self.hashed().await {
            Digest::Idle(mut verifier) => {
                let blocks = Arc::clone(&blocks);
                Digest::Busy(tokio::task::spawn_blocking(move || {
                    blocks.iter().for_each(|block| verifier.update(block));
                    verifier
                }))
            }
            other => other,
        };
        self.written_all().await?;
        let (incoming, at) = (self.share()?, self.written);
        self.writing = Some(tokio::task::spawn_blocking(move || write_all(incoming.file(), &blocks, at)));
        self.written = self.at;
        if self.written >= self.sync_at && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.synced().await?;
            let incoming = self.share()?;
            self.syncing = Some(tokio::task::spawn_blocking(move || incoming.sync_so_far()));
            self.sync_at = self.written + SYNC;
        }
        Ok(())
    }

    /// The digest, once nothing is being hashed.
    async fn hashed(&mut self) -> Digest {
        match std::mem::replace(&mut self.digest, Digest::Lost) {
            Digest::Busy(task) => task.await.map_or(Digest::Lost, Digest::Idle),
            other => other,
        }
    }

    async fn written_all(&mut self) -> Result<(), Failure> {
        let Some(task) = self.writing.take() else { return Ok(()) };
        let result = task.await.map_err(|e| Failure::internal(e.to_string()))?;
        result.map_err(|e| Failure::io("write the content", &e))
    }

    /// The kernel tells a file of a lost write once, so nobody else would hear of it.
    async fn synced(&mut self) -> Result<(), Failure> {
        let Some(task) = self.syncing.take() else { return Ok(()) };
        let result = task.await.map_err(|e| Failure::internal(e.to_string()))?;
        result.map_err(|e| Failure::io("sync the content", &e))
    }

    fn share(&self) -> Result<Arc<Incoming>, Failure> {
        self.incoming.as_ref().map(Arc::clone).ok_or_else(over)
    }

    /// The transfer itself, once nothing is being written.
    fn sole(&mut self) -> Result<Incoming, Failure> {
        self.incoming.take().and_then(Arc::into_inner).ok_or_else(over)
    }
}

fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}

fn commit(incoming: Incoming, len: u64, right: bool) -> Result<Settled, Failure> {
    if !right {
        incoming.discard();
        return Ok(Settled::Wrong);
    }
    match incoming.commit(len) {
        Ok(()) => Ok(Settled::Stored),
        Err(ContentError::WrongLength { .. }) => Ok(Settled::Wrong),
        Err(error) => Err(error.into()),
    }
}

fn write_all(file: &File, blocks: &[Bytes], mut at: u64) -> io::Result<()> {
    for piece in blocks.iter().flat_map(|block| block.chunks(PIECE)) {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::make;
    use crate::name::Uuid;

    fn put(key: &str, content: &[u8]) -> (Settled, bool) {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let served = Arc::new(Served::open(dir.path()).expect("a repository"));
        let key = Key::parse(key.as_bytes()).expect("a key");
        let client = Uuid::parse(b"client").expect("a uuid");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let Offer::Upload(mut upload) = served.put(&key, &client).await.expect("it may be sent") else {
                panic!("nothing is here yet");
            };
            upload.begin(0).await.expect("begun");
            let mut syncs = 0;
            for block in content.chunks(300 << 10) {
                upload.write(Bytes::copy_from_slice(block)).await.expect("written");
                syncs += usize::from(upload.syncing.is_some());
            }
            assert!(syncs > 0, "nothing was brought to the disk before the end");
            let settled = upload.finish().await.expect("settled");
            (settled, served.check(&key).await.expect("looked"))
        })
    }

    #[test]
    fn content_that_is_synced_while_it_comes_is_proven_as_any_other() {
        let mut content = vec![b'x'; 5 << 20];
        let key = "SHA256-s5242880--dba67a476fa78973aabb087f214a1010f3bebca053674e0af50dfe5a582112be";
        assert_eq!(put(key, &content), (Settled::Stored, true));
        content[4 << 20] = b'y';
        assert_eq!(put(key, &content), (Settled::Wrong, false));
    }
}
