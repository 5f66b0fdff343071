//! One range of an object, into blocks leased for it, by a task of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::width::Requests;
use crate::budget::{Block, Lease};
use crate::pump::lane::{FileBlocks, SocketBlocks};
use crate::pump::{Blocks, Source};
use crate::retry::Backoff;
use crate::{Context, Error, Get, Kind, ObjectName, Op, Range, Result, Store};

/// A connection that brought so many bytes before it broke is replaced at once.
const WORTH: u64 = 1 << 20;

/// Reads one range, taking it up again where it broke off.
pub(super) struct RangeReader {
    pub(super) store: Rc<dyn Store>,
    pub(super) object: ObjectName,
    pub(super) context: Context,
    pub(super) range: Range,
    pub(super) lease: Arc<Lease>,
    /// How many were sent, and refused.
    pub(super) requests: Requests,
    /// Bytes that came from the store, of all ranges of the transfer.
    pub(super) came: Rc<Cell<u64>>,
    /// Wakes whoever may begin another once this one is read.
    pub(super) ended: Rc<Notify>,
}

/// Blocks of a range as they come. Nothing is read any more once it is dropped.
pub(super) struct Reader {
    blocks: mpsc::Receiver<Result<Bytes>>,
    is_read: Rc<Cell<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    /// Whether all of it was read, and has no connection any more.
    pub(super) fn is_read(&self) -> bool {
        self.is_read.get()
    }

    /// The next block; `None` at the end of the range. May be dropped half way without losing any.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes>> {
        self.blocks.recv().await
    }
}

impl RangeReader {
    /// Reads it in a task of its own; `opened` where it was opened before. So many blocks wait at most.
    pub(super) fn start(self, opened: Option<Get>, queue: usize) -> Reader {
        let (tx, blocks) = mpsc::channel(queue);
        let is_read = Rc::new(Cell::new(false));
        let (ended, told) = (Rc::clone(&self.ended), Rc::clone(&is_read));
        let task = tokio::task::spawn_local(async move {
            self.run(opened, tx).await;
            told.set(true);
            ended.notify_one();
        });
        Reader { blocks, is_read, task }
    }

    async fn run(mut self, mut opened: Option<Get>, tx: mpsc::Sender<Result<Bytes>>) {
        let mut backoff = Backoff::new(&self.context);
        loop {
            let before = self.range.from;
            let error = match self.attempt(opened.take(), &tx).await {
                Ok(()) => return,
                Err(e) => e.object(&self.object).on(self.store.label()),
            };
            let moved = self.range.from - before;
            if moved > 0 {
                // It moves: the tries start anew, so a long object may break as often as it likes.
                backoff = Backoff::new(&self.context);
            }
            self.requests.failed(error.kind());
            let resumable = self.store.capabilities().ranges && error.kind().retry();
            if resumable && moved >= WORTH {
                continue;
            }
            let verdict = if resumable { backoff.pause(error).await } else { Err(error) };
            if let Err(e) = verdict {
                // Nobody may be listening any more, and then nobody needs to know.
                let _ = tx.send(Err(e)).await;
                return;
            }
        }
    }

    async fn attempt(&mut self, opened: Option<Get>, tx: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        let left = self.range.len.unwrap_or(0);
        if left == 0 {
            return Ok(());
        }
        let get = match opened {
            Some(get) => get,
            None => {
                self.requests.ask();
                self.store.get(&self.object, self.range.clone()).await?
            }
        };
        if get.len != left {
            let detail = format!("asked for {left} bytes and was offered {}", get.len);
            return Err(Error::new(Op::Get, Kind::Corrupt, detail));
        }
        match get.source {
            Source::Socket(source) => {
                let socket = source.socket;
                let mut blocks = SocketBlocks::new(socket.stream(), source.head, source.len, self.context.idle);
                while blocks.left() > 0 {
                    let mut block = self.block();
                    let result = blocks.fill(&mut block).await;
                    self.pass(block.freeze(), tx).await?;
                    result.map_err(|e| Error::io(Op::Get, "reading", e))?;
                }
                socket.done();
            }
            Source::Stream(mut stream) => {
                let mut block = self.block();
                while let Some(bytes) = self.next(&mut *stream).await? {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        rest = &rest[block.push(rest)..];
                        if block.is_full() {
                            self.pass(std::mem::replace(&mut block, self.block()).freeze(), tx).await?;
                        }
                    }
                }
                self.pass(block.freeze(), tx).await?;
            }
            Source::File(source) => {
                let mut blocks = FileBlocks::new(&source, self.context.budget.clone(), Arc::clone(&self.lease));
                while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Get, "reading", e))? {
                    self.pass(block, tx).await?;
                }
            }
        }
        match self.range.len {
            Some(0) => Ok(()),
            left => {
                let detail = format!("{} bytes are missing", left.unwrap_or(0));
                Err(Error::new(Op::Get, Kind::Truncated, detail))
            }
        }
    }

    async fn next(&self, stream: &mut dyn Blocks) -> Result<Option<Bytes>> {
        match tokio::time::timeout(self.context.idle, stream.next()).await {
            Ok(result) => result,
            Err(_) => Err(stalled(self.context.idle)),
        }
    }

    fn block(&self) -> Block {
        self.context.budget.block().under(&self.lease)
    }

    /// Hands a block on and counts it.
    async fn pass(&mut self, block: Bytes, tx: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        let n = block.len() as u64;
        if n == 0 {
            return Ok(());
        }
        let left = self.range.len.unwrap_or(0);
        if n > left {
            return Err(Error::new(Op::Get, Kind::Protocol, "more bytes than announced"));
        }
        self.came.set(self.came.get() + n);
        tx.send(Ok(block)).await.map_err(|_| Error::new(Op::Get, Kind::Cancelled, "given up"))?;
        self.range.from += n;
        self.range.len = Some(left - n);
        Ok(())
    }
}

fn stalled(idle: Duration) -> Error {
    Error::new(Op::Get, Kind::Timeout, format!("nothing moved for {} s", idle.as_secs()))
}
