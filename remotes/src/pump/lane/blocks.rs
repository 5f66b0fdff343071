//! Files and sockets as blocks in memory, for everything that has to look at the bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Plain, within};
use crate::budget::{BLOCK, Block, Budget, Lease};
use crate::pump::FileSource;
use crate::sys::DataFile;

/// A file's part as blocks, read through this thread's engine.
pub struct FileBlocks {
    file: DataFile,
    at: u64,
    end: u64,
    budget: Budget,
    lease: Arc<Lease>,
}

impl FileBlocks {
    /// Blocks of `from`. The caller bounds how many live at once; they live under `lease`.
    pub fn new(from: &FileSource, budget: Budget, lease: Arc<Lease>) -> Self {
        Self { file: DataFile::new(Arc::clone(&from.file)), at: from.at, end: from.at + from.len, budget, lease }
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the file ends early.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.at == self.end {
            return Ok(None);
        }
        let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(BLOCK);
        let block = self.file.read(self.budget.block().under(&self.lease), self.at, want).await?;
        if block.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += block.len() as u64;
        Ok(Some(block.freeze()))
    }
}

/// The next bytes of a socket as full blocks.
pub struct SocketBlocks<'a> {
    stream: &'a TcpStream,
    head: Bytes,
    left: u64,
    idle: Duration,
}

impl<'a> SocketBlocks<'a> {
    /// The next `len` bytes, the first of which are in `head`.
    pub fn new(stream: &'a TcpStream, head: Bytes, len: u64, idle: Duration) -> Self {
        Self { stream, head, left: len, idle }
    }

    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Fills `block` as far as there are bytes; an empty block means the end.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the peer closes early, `TimedOut` where it sends nothing for a while. What was read before
    /// the error is in the block.
    pub async fn fill(&mut self, block: &mut Block) -> io::Result<()> {
        while self.left > 0 && !block.is_full() {
            let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(block.spare().len());
            let n = if self.head.is_empty() {
                let spare = &mut block.spare()[..want];
                let n = within(
                    self.idle,
                    self.stream
                        .async_io(Interest::READABLE, || Ok(rustix::net::recv(self.stream, &mut *spare, FLAGS)?.0)),
                )
                .await?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                block.advance(n);
                n
            } else {
                let n = block.push(&self.head[..want.min(self.head.len())]);
                self.head.advance(n);
                n
            };
            self.left -= n as u64;
        }
        Ok(())
    }
}

const FLAGS: rustix::net::RecvFlags = rustix::net::RecvFlags::empty();

/// Sends all of `bytes`.
///
/// # Errors
///
/// `TimedOut` where the peer takes nothing for `idle`.
pub async fn send(mut bytes: Bytes, to: &impl Plain, idle: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = within(idle, to.when(Interest::WRITABLE, || Ok(rustix::io::write(to, &bytes)?))).await?;
        bytes.advance(n);
    }
    Ok(())
}
