//! Content of a node on its way to others, as the body of an upload.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use remotes::budget::{BLOCK, Block};
use remotes::pump::Source;
use remotes::pump::lane::{SocketBlocks, within};

use crate::gateway::receive::{Body, Piece};
use crate::gateway::{Limits, Pace, Part, Sent, blocking};

/// Longest wait for memory.
const MEMORY: Duration = Duration::from_secs(60);

/// What is read.
pub(super) struct Carried<'a> {
    /// `None` once all of it was read, or it broke off.
    source: Option<Source>,
    /// What a store gave and did not fit into a block.
    rest: Bytes,
    sent: Sent,
    pace: Option<Arc<Pace>>,
    at: u64,
    end: u64,
    limits: &'a Limits,
    stop: &'a Rc<Cell<bool>>,
    is_relaxed: bool,
}

impl<'a> Carried<'a> {
    pub(super) fn new(part: Part, pace: Option<Arc<Pace>>, limits: &'a Limits, stop: &'a Rc<Cell<bool>>) -> Self {
        let Part { source, first, len, sent, .. } = part;
        let (source, end) = (Some(source), first.saturating_add(len));
        Self { source, rest: Bytes::new(), sent, pace, at: first, end, limits, stop, is_relaxed: false }
    }

    /// Whether what was read was the content. Asked after the last byte.
    pub(super) async fn finish(self) -> bool {
        self.sent.is_content().await
    }

    async fn piece(&mut self, most: usize) -> Piece {
        if let Some(pace) = &self.pace {
            pace.turn(most.min(pace.piece())).await;
        }
        let lease = match self.limits.budget.try_lease(BLOCK as u64) {
            Some(lease) => lease,
            // What this upload keeps to send again must not be what it waits for.
            None if !std::mem::replace(&mut self.is_relaxed, true) => return Piece::Pause,
            None => match tokio::time::timeout(MEMORY, self.limits.budget.lease(BLOCK as u64)).await {
                Ok(lease) => lease,
                Err(_) => return Piece::Busy,
            },
        };
        self.is_relaxed = false;
        let lease = Arc::new(lease);
        loop {
            let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(most).min(BLOCK);
            let block = self.limits.budget.block().under(&lease);
            match self.fill(block, want).await {
                Ok(bytes) => {
                    self.at += bytes.len() as u64;
                    return Piece::Bytes(bytes);
                }
                Err(broke) => {
                    self.rest = Bytes::new();
                    self.source = None;
                    match self.sent.next(self.at, self.end - self.at, &broke).await {
                        Some((source, pace, _)) => (self.source, self.pace) = (Some(source), pace),
                        None => return Piece::Broken(broke),
                    }
                }
            }
        }
    }

    /// The next bytes, `want` at the most.
    async fn fill(&mut self, mut block: Block, want: usize) -> io::Result<Bytes> {
        let idle = self.limits.idle;
        match &mut self.source {
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Source::File(file)) => {
                let piece = file.part(0, want as u64);
                let read = blocking(move || {
                    piece.file.read_exact_at(&mut block.spare()[..want], piece.at)?;
                    block.advance(want);
                    Ok(block.freeze())
                });
                let read: io::Result<Bytes> = within(idle, async { read.await.map_err(io::Error::other) }).await?;
                *file = file.part(want as u64, file.len.saturating_sub(want as u64));
                read
            }
            Some(Source::Socket(socket)) => {
                let due = (want as u64).min(socket.len);
                if due == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let head = socket.head.slice(..socket.head.len().min(want));
                let mut blocks = SocketBlocks::new(socket.socket.stream(), head, due, idle);
                let filled = blocks.fill(&mut block).await;
                let len = block.len();
                socket.head.advance(len.min(socket.head.len()));
                socket.len -= len as u64;
                // What came before the end is of use; the end is met again.
                if block.is_empty() {
                    filled?;
                }
                if socket.len == 0
                    && let Some(Source::Socket(socket)) = self.source.take()
                {
                    socket.socket.done();
                }
                Ok(block.freeze())
            }
            Some(Source::Stream(stream)) => {
                if self.rest.is_empty() {
                    let next = within(idle, async { stream.next().await.map_err(io::Error::other) }).await?;
                    self.rest = next.ok_or(io::ErrorKind::UnexpectedEof)?;
                }
                let taken = self.rest.split_to(self.rest.len().min(want));
                block.push(&taken);
                Ok(block.freeze())
            }
        }
    }
}

impl Body for Carried<'_> {
    async fn next(&mut self, most: usize) -> Piece {
        if self.stop.get() {
            return Piece::Broken(io::Error::new(io::ErrorKind::Interrupted, "told to end"));
        }
        if self.at >= self.end { Piece::End } else { self.piece(most).await }
    }
}
