//! A file on the data plane: read and written in blocks without stalling the thread.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio_uring::buf::BoundedBuf;

use crate::budget::Block;
use crate::sys::Engine;

/// Bytes of one write. Larger ones save nothing (1 GiB into a fresh ext4 file: 0.20 s by 1 MiB, 0.22 s by 256 KiB, 0.39 s by
/// 16 KiB), and a future that is dropped stops after one.
const PIECE: usize = 256 << 10;

/// A file that this thread's [`Engine`] reads and syncs.
///
/// Every operation owns its memory until the kernel is done with it, so futures may be dropped at any moment; what was
/// dropped may still take effect.
pub struct DataFile {
    file: Arc<File>,
    ring: Option<tokio_uring::fs::File>,
}

impl DataFile {
    /// Wraps a file that is already open.
    pub fn new(file: Arc<File>) -> Self {
        let ring = match Engine::current() {
            Engine::Uring => file.try_clone().ok().map(tokio_uring::fs::File::from_std),
            Engine::Threads => None,
        };
        Self { file, ring }
    }

    /// Reads up to `len` bytes at `at` into the spare part of `block`, short only at the end of the file.
    pub async fn read(&self, mut block: Block, at: u64, len: usize) -> io::Result<Block> {
        let want = len.min(block.spare().len());
        let mut done = 0;
        while done < want {
            let from = block.len();
            let buf = block.take_memory();
            let offset = at + done as u64;
            let (result, buf) = match &self.ring {
                Some(ring) => {
                    let (result, slice) = ring.read_at(buf.slice(from..from + want - done), offset).await;
                    (result, slice.into_inner())
                }
                None => {
                    let file = Arc::clone(&self.file);
                    on_a_thread(move || {
                        let mut buf = buf;
                        let end = from + want - done;
                        let result = std::os::unix::fs::FileExt::read_at(&*file, &mut buf[from..end], offset);
                        (result, buf)
                    })
                    .await?
                }
            };
            let n = match result {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) => {
                    block.put_memory(buf, 0);
                    return Err(e);
                }
            };
            block.put_memory(buf, n);
            if n == 0 {
                break;
            }
            done += n;
        }
        Ok(block)
    }

    /// Writes all of `bytes` at `at`, on a pool thread with either engine: the kernel hands buffered writes that make a file
    /// longer from the ring to threads of its own anyway, and in one hop a whole block goes in pieces of the right size.
    pub async fn write(&self, bytes: Bytes, at: u64) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        on_a_thread(move || {
            let mut at = at;
            for piece in bytes.chunks(PIECE) {
                std::os::unix::fs::FileExt::write_all_at(&*file, piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        })
        .await?
    }

    /// Makes data and length lasting.
    pub async fn sync(&self) -> io::Result<()> {
        match &self.ring {
            Some(ring) => ring.sync_all().await,
            None => {
                let file = Arc::clone(&self.file);
                on_a_thread(move || file.sync_all()).await?
            }
        }
    }
}

/// Runs a system call that may block on a pool thread, in the span of whoever asks for it.
pub(crate) async fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(f)).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    fn round_trip(uring: bool) {
        let budget = Budget::new(8 << 20);
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        crate::sys::run(uring, async {
            let f = DataFile::new(file);
            f.write(Bytes::from_static(b"hello world"), 3).await.expect("written");
            f.sync().await.expect("synced");
            let block = f.read(budget.block(), 9, 100).await.expect("read");
            assert_eq!(block.as_ref(), b"world");
            let block = f.read(block, 3, 5).await.expect("read");
            assert_eq!(block.as_ref(), b"worldhello");
            assert!(f.read(budget.block(), 99, 5).await.expect("read").is_empty());
        })
        .expect("a runtime");
    }

    #[test]
    fn threads_read_what_they_wrote() {
        round_trip(false);
    }

    #[test]
    fn whichever_engine_the_kernel_grants_reads_what_it_wrote() {
        round_trip(true);
    }
}
