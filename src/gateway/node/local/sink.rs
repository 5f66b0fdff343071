//! Content on its way from a client into a repository: written and hashed side by side, visible once it is right.
//!
//! Blocks go onto two belts, one for the digest and one for the file, while the data thread reads the next block. Little
//! content stays in memory until its end, and then takes one pool thread once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::annex::content::{ContentError, Incoming};
use crate::annex::log::Presence;
use crate::gateway::receive::Settled;
use crate::gateway::receive::belt::{Belt, Work};
use crate::gateway::receive::digest::Digest;
use crate::gateway::{Failure, FailureKind, LocalRepository, blocking};
use crate::name::Key;

/// Bytes that are kept in memory before anything is written.
const SMALL: usize = 256 << 10;

/// Bytes after which the disk begins to take what was written, beside the transfer: the sync before the content becomes
/// visible then has little left to do. (1 GiB in one sync at the end takes as long as half the transfer.)
const SYNC: u64 = if cfg!(test) { 1 << 20 } else { 32 << 20 };

/// Bytes of one write: see `remotes::sys::DataFile`.
const PIECE: usize = 256 << 10;

/// One upload. Dropping it keeps what was written, for a client that goes on later.
pub struct LocalUpload {
    served: Arc<LocalRepository>,
    /// Another repository that is to know of it.
    home: Option<Arc<LocalRepository>>,
    key: Key,
    /// Shared with what is under way, so that the transfer stays locked until that is over.
    incoming: Option<Arc<Incoming>>,
    digest: Digest,
    file: Option<Belt<Writer>>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Where the last sync began.
    synced: u64,
    small: Vec<Bytes>,
    /// Where the next byte belongs.
    at: u64,
    /// Where the bytes in `small` begin.
    written: u64,
}

/// Writes blocks behind each other.
struct Writer {
    incoming: Arc<Incoming>,
    at: u64,
}

impl Work for Writer {
    fn process(&mut self, block: &[u8]) -> io::Result<()> {
        write(self.incoming.file(), block, self.at)?;
        self.at += block.len() as u64;
        Ok(())
    }
}

impl LocalUpload {
    pub(in crate::gateway) fn new(served: Arc<LocalRepository>, key: &Key, incoming: Incoming) -> Self {
        let digest = Digest::for_key(key);
        let incoming = Some(Arc::new(incoming));
        let key = key.clone();
        Self {
            served,
            home: None,
            key,
            incoming,
            digest,
            file: None,
            syncing: None,
            synced: 0,
            small: Vec::new(),
            at: 0,
            written: 0,
        }
    }

    /// `home`, which is a proxy for the repository, records it too.
    #[must_use]
    pub(in crate::gateway) fn recorded_in(self, home: &Arc<LocalRepository>) -> Self {
        Self { home: Some(Arc::clone(home)), ..self }
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
        (self.at, self.written, self.synced) = (from, from, from);
        if from == 0 {
            return Ok(());
        }
        // Until the digest is back the content counts as wrong.
        match std::mem::replace(&mut self.digest, Digest::Lost) {
            Digest::Fresh(mut tap) => {
                let incoming = self.share()?;
                let tap = blocking(move || incoming.verify_prefix(&mut tap.verifier).map(|()| tap)).await?;
                self.digest = Digest::Fresh(tap.map_err(|e| Failure::io("read what is here of the content", &e))?);
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
        if self.file.is_none() {
            // Nothing is under way, so the rest takes one thread.
            return self.finish_small().await;
        }
        let written = match self.flush().await {
            Ok(()) => self.written_all().await,
            failed => failed,
        };
        if let Err(failure) = written {
            if failure.kind() == FailureKind::Full {
                let _ = self.discard().await;
            }
            return Err(failure);
        }
        let right = std::mem::replace(&mut self.digest, Digest::Lost).verdict().await?;
        let len = self.at;
        let incoming = self.sole()?;
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
                Digest::Fresh(tap) => {
                    let mut verifier = tap.verifier;
                    blocks.iter().for_each(|block| verifier.update(block));
                    verifier.finish()
                }
                Digest::Belt(_) | Digest::Lost => false,
            };
            if let Err(e) = write_blocks(incoming.file(), &blocks, at) {
                let failure = Failure::io("write the content", &e);
                // What filled the disk would keep it full.
                if failure.kind() == FailureKind::Full {
                    incoming.discard();
                }
                return Err(failure);
            }
            commit(incoming, len, right)
        })
        .await??;
        self.record(committed).await
    }

    /// Keeps what has come, for the client to go on with.
    pub async fn keep(mut self) -> Result<(), Failure> {
        self.flush().await?;
        self.written_all().await?;
        let incoming = self.sole()?;
        blocking(move || incoming.keep()).await
    }

    /// Forgets what has come, and what was here before.
    pub async fn discard(mut self) -> Result<(), Failure> {
        self.small.clear();
        // What it says no longer matters.
        let _ = self.written_all().await;
        let incoming = self.sole()?;
        blocking(move || incoming.discard()).await
    }

    async fn record(&self, stored: bool) -> Result<Settled, Failure> {
        if !stored {
            return Ok(Settled::Wrong);
        }
        for served in [Some(&self.served), self.home.as_ref()].into_iter().flatten() {
            served.record(&self.key, self.served.uuid(), Presence::Present).await?;
        }
        Ok(Settled::Stored(Vec::new()))
    }

    /// Hands what is in memory to the digest and to the file.
    ///
    /// For a client that makes a pause: it should not keep memory meanwhile.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if self.small.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(Belt::new(Writer { incoming: self.share()?, at: self.written }));
        }
        for block in std::mem::take(&mut self.small) {
            self.digest.push(block.clone()).await;
            if let Some(file) = &self.file {
                file.push(block).await.map_err(|e| Failure::io("write the content", &e))?;
            }
        }
        self.written = self.at;
        if self.written - self.synced >= SYNC && self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.sync_over().await?;
            let incoming = self.share()?;
            self.synced = self.written;
            self.syncing =
                Some(tokio::spawn(
                    async move { blocking(move || incoming.sync_so_far()).await.map_err(io::Error::other)? },
                ));
        }
        Ok(())
    }

    /// Waits for all that is under way in the file.
    async fn written_all(&mut self) -> Result<(), Failure> {
        let written = match self.file.take() {
            // The writer that comes back shares the transfer, and is dropped here.
            Some(file) => file.finish().await.map(drop).map_err(|e| Failure::io("write the content", &e)),
            None => Ok(()),
        };
        // Nothing may be under way in the file after this, whatever went wrong.
        written.and(self.sync_over().await)
    }

    fn share(&self) -> Result<Arc<Incoming>, Failure> {
        self.incoming.as_ref().map(Arc::clone).ok_or_else(over)
    }

    /// Waits for the sync that is under way. The kernel tells of a lost write once for each open file, so the sync that
    /// makes the content visible would not hear of it again.
    async fn sync_over(&mut self) -> Result<(), Failure> {
        let Some(task) = self.syncing.take() else { return Ok(()) };
        let result = task.await.map_err(|e| Failure::internal(e.to_string()))?;
        result.map_err(|e| Failure::io("sync the content", &e))
    }

    /// The transfer itself, once nothing is being written or synced.
    fn sole(&mut self) -> Result<Incoming, Failure> {
        self.incoming.take().and_then(Arc::into_inner).ok_or_else(over)
    }
}

fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}

/// Whether it is there now.
fn commit(incoming: Incoming, len: u64, right: bool) -> Result<bool, Failure> {
    if !right {
        incoming.discard();
        return Ok(false);
    }
    match incoming.commit(len) {
        Ok(()) => Ok(true),
        Err(ContentError::WrongLength { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write_blocks(file: &File, blocks: &[Bytes], mut at: u64) -> io::Result<()> {
    for block in blocks {
        write(file, block, at)?;
        at += block.len() as u64;
    }
    Ok(())
}

fn write(file: &File, block: &[u8], mut at: u64) -> io::Result<()> {
    for piece in block.chunks(PIECE) {
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
        let served = Arc::new(LocalRepository::open(dir.path()).expect("a repository"));
        let key = Key::parse(key.as_bytes()).expect("a key");
        let client = Uuid::parse(b"client").expect("a uuid");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut upload = served.put(&key, &client).await.expect("it may be sent").expect("nothing is here yet");
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
        assert_eq!(put(key, &content), (Settled::Stored(Vec::new()), true));
        content[4 << 20] = b'y';
        assert_eq!(put(key, &content), (Settled::Wrong, false));
    }
}
