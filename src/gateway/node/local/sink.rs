//! Content on its way from a client into a repository: written beside the digest, visible once it is right.
//!
//! Blocks go onto a belt while the data thread reads the next one. Little content takes one pool thread, once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::annex::backend::Verifier;
use crate::annex::content::{ContentError, Incoming, Receive};
use crate::annex::log::Presence;
use crate::gateway::receive::{Belt, Digest, Savepoints, Settled, Sink, Work};
use crate::gateway::{Failure, FailureKind, LocalRepository, blocking};
use crate::name::{Key, Uuid};

/// Bytes after which the disk begins to take what was written, beside the transfer: the sync before the content becomes
/// visible then has little left to do. (1 GiB in one sync at the end takes as long as half the transfer.)
const SYNC: u64 = if cfg!(test) { 1 << 20 } else { 32 << 20 };

/// Bytes of one write: see `remotes::sys::DataFile`.
const PIECE: usize = 256 << 10;

/// The file that an upload is written to. Dropping it keeps what was written, for a client that resumes later.
pub(in crate::gateway) struct LocalSink {
    served: Arc<LocalRepository>,
    /// Another repository that is to know of it.
    home: Option<Arc<LocalRepository>>,
    key: Key,
    /// Shared with what is under way, so that the transfer stays locked until that is over.
    incoming: Option<Arc<Incoming>>,
    file: Option<Belt<Writer>>,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Where the last sync began.
    synced: u64,
    /// Where the next byte belongs.
    at: u64,
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

impl LocalSink {
    /// Gets ready to take the content of `key` from the repository `client`; `home`, where that is another, records it too. `None`
    /// where it is here.
    pub(super) async fn open(
        served: &Arc<LocalRepository>,
        home: Option<&Arc<LocalRepository>>,
        key: &Key,
        client: &Uuid,
    ) -> Result<Option<Self>, Failure> {
        served.recordable(key)?;
        let (content, wanted, client) = (served.content().clone(), key.clone(), client.clone());
        match blocking(move || content.receive(&wanted, &client)).await?? {
            Receive::AlreadyHave => {
                // Whoever stored it may have been killed before this, and nobody else would ever come to do it.
                served.record_seen(key, served.uuid(), Presence::Present).await?;
                Ok(None)
            }
            Receive::Incoming(incoming) => Ok(Some(Self::new(Arc::clone(served), home, key, incoming))),
        }
    }

    fn new(served: Arc<LocalRepository>, home: Option<&Arc<LocalRepository>>, key: &Key, incoming: Incoming) -> Self {
        let (home, key, incoming) = (home.map(Arc::clone), key.clone(), Some(Arc::new(incoming)));
        Self { served, home, key, incoming, file: None, syncing: None, synced: 0, at: 0 }
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

    /// Lets the disk begin with what was written, once that is much.
    async fn sync(&mut self) -> Result<(), Failure> {
        if self.at - self.synced < SYNC || !self.syncing.as_ref().is_none_or(JoinHandle::is_finished) {
            return Ok(());
        }
        self.sync_over().await?;
        let incoming = self.share()?;
        self.synced = self.at;
        let sync = async move { blocking(move || incoming.sync_so_far()).await.map_err(io::Error::other)? };
        self.syncing = Some(tokio::spawn(sync));
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

#[async_trait(?Send)]
impl Sink for LocalSink {
    fn offset(&self) -> u64 {
        self.incoming.as_ref().map_or(0, |incoming| incoming.offset())
    }

    async fn digested(&mut self, from: u64, mut fresh: Verifier) -> Result<Option<Verifier>, Failure> {
        let incoming = self.incoming.as_mut().and_then(Arc::get_mut).ok_or_else(over)?;
        if from < incoming.offset() {
            incoming.truncate_to(from)?;
        }
        let incoming = self.share()?;
        let read = blocking(move || incoming.verify_prefix(&mut fresh).map(|()| fresh)).await?;
        read.map(Some).map_err(|e| Failure::io("read what is here of the content", &e))
    }

    async fn begin(&mut self, from: u64, _: u64, _: &Savepoints) -> Result<(), Failure> {
        let incoming = self.incoming.as_mut().and_then(Arc::get_mut).ok_or_else(over)?;
        if from < incoming.offset() {
            incoming.truncate_to(from)?;
        }
        (self.at, self.synced) = (from, from);
        Ok(())
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Belt::new(Writer { incoming: self.share()?, at: self.at }),
        };
        let file = self.file.insert(file);
        let len = block.len() as u64;
        file.push(block).await.map_err(|e| Failure::io("write the content", &e))?;
        self.at += len;
        self.sync().await
    }

    async fn pause(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Settled, Failure> {
        if let Err(failure) = self.written_all().await {
            // What filled the disk would keep it full.
            if failure.kind() == FailureKind::Full {
                let _ = self.discard().await;
            }
            return Err(failure);
        }
        let (incoming, len) = (self.sole()?, self.at);
        let committed = blocking(move || commit(incoming, len, true)).await??;
        self.record(committed).await
    }

    /// Takes one pool thread, once.
    async fn put_small(mut self: Box<Self>, blocks: Vec<Bytes>, digest: Digest) -> Result<Settled, Failure> {
        let (incoming, at) = (self.sole()?, self.at);
        let committed = blocking(move || {
            let right = digest.proves(&blocks);
            if let Err(e) = write_blocks(incoming.file(), &blocks, at) {
                let failure = Failure::io("write the content", &e);
                if failure.kind() == FailureKind::Full {
                    incoming.discard();
                }
                return Err(failure);
            }
            let len = at + blocks.iter().map(|block| block.len() as u64).sum::<u64>();
            commit(incoming, len, right)
        });
        let committed = committed.await??;
        self.record(committed).await
    }

    async fn keep(mut self: Box<Self>) -> Result<(), Failure> {
        self.written_all().await?;
        let incoming = self.sole()?;
        blocking(move || incoming.keep()).await
    }

    async fn discard(mut self: Box<Self>) -> Result<(), Failure> {
        // What it says no longer matters.
        let _ = self.written_all().await;
        let incoming = self.sole()?;
        blocking(move || incoming.discard()).await
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

    fn put(key: &str, content: &[u8]) -> (Settled, bool) {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let served = Arc::new(LocalRepository::open(dir.path()).expect("a repository"));
        let key = Key::parse(key.as_bytes()).expect("a key");
        let client = Uuid::parse(b"client").expect("a uuid");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let sink = LocalSink::open(&served, None, &key, &client).await.expect("it may be sent");
            let sink = sink.expect("nothing is here yet");
            let (mut sink, mut digest) = (Box::new(sink), Digest::for_key(&key));
            sink.begin(0, content.len() as u64, &digest.savepoints()).await.expect("begun");
            let mut syncs = 0;
            for block in content.chunks(300 << 10).map(Bytes::copy_from_slice) {
                digest.push(block.clone()).await;
                sink.write(block).await.expect("written");
                syncs += usize::from(sink.syncing.is_some());
            }
            assert!(syncs > 0, "nothing was brought to the disk before the end");
            let settled = match digest.verdict().await.expect("hashed") {
                true => sink.commit().await.expect("settled"),
                false => sink.discard().await.map(|()| Settled::Wrong).expect("settled"),
            };
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
