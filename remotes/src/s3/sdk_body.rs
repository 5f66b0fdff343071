//! Payloads for requests through the SDK, whose futures must be `Send` while our files are not.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use crate::budget::BLOCK;
use crate::pump::lane::FileBlocks;
use crate::pump::{FileSource, Meter};
use crate::{Context, Error, Kind, Op, Result};

/// Blocks between the file and the connection: one being read, one waiting, one being sent.
const QUEUE: usize = 1;

/// A part of a file; read as it is sent, in a few blocks of leased memory.
pub(super) async fn from_file(from: &FileSource, meter: &Meter, context: &Context) -> (ByteStream, Through) {
    let (tx, rx) = mpsc::channel(QUEUE);
    let lease = Arc::new(context.budget.lease((QUEUE as u64 + 2) * BLOCK as u64).await);
    let mut blocks = FileBlocks::new(from, context.budget.clone(), lease);
    let meter = meter.clone();
    // Ends when the body is dropped, at the latest with its next block.
    tokio::task::spawn_local(async move {
        loop {
            let item = match blocks.next().await {
                Ok(Some(block)) => Ok(block),
                Ok(None) => return,
                Err(e) => Err(e),
            };
            let (failed, n) = (item.is_err(), item.as_ref().map_or(0, |b| b.len() as u64));
            if tx.send(item).await.is_err() || failed {
                return;
            }
            meter.add(n);
        }
    });
    let left = Through::of(from.len);
    (ByteStream::new(SdkBody::from_body_1_x(ChannelBody { rx, left: left.clone() })), left)
}

/// `len` bytes that come through a channel. The request fails where it is closed before.
pub(super) fn from_channel(len: u64) -> (mpsc::Sender<io::Result<Bytes>>, ByteStream, Through) {
    let (tx, rx) = mpsc::channel(QUEUE);
    let left = Through::of(len);
    (tx, ByteStream::new(SdkBody::from_body_1_x(ChannelBody { rx, left: left.clone() })), left)
}

/// Blocks in memory.
pub(super) fn from_blocks(blocks: &[Bytes], meter: &Meter) -> (ByteStream, Through) {
    let blocks: VecDeque<Bytes> = blocks.iter().filter(|b| !b.is_empty()).cloned().collect();
    let left = Through::of(blocks.iter().map(|b| b.len() as u64).sum());
    let body = BlocksBody { blocks, meter: meter.clone(), left: left.clone() };
    (ByteStream::new(SdkBody::from_body_1_x(body)), left)
}

/// How much of a payload the connection has not taken yet.
#[derive(Clone)]
pub(super) struct Through(Arc<AtomicU64>);

impl Through {
    fn of(len: u64) -> Self {
        Self(Arc::new(AtomicU64::new(len)))
    }

    fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn took(&self, n: usize) {
        self.0.store(self.left().saturating_sub(n as u64), Ordering::Relaxed);
    }

    /// To be asked once the server has said that it has stored the payload. Errors: it was not given all of it.
    pub(super) fn check(&self) -> Result<()> {
        match self.left() {
            0 => Ok(()),
            _ => Err(Error::new(Op::Put, Kind::Protocol, "the server reported success before everything was sent")),
        }
    }
}

struct ChannelBody {
    rx: mpsc::Receiver<io::Result<Bytes>>,
    left: Through,
}

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        match std::task::ready!(self.rx.poll_recv(task)) {
            Some(Ok(block)) => {
                self.left.took(block.len());
                Poll::Ready(Some(Ok(Frame::data(block))))
            }
            Some(Err(e)) => Poll::Ready(Some(Err(e))),
            None => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.left())
    }
}

struct BlocksBody {
    blocks: VecDeque<Bytes>,
    meter: Meter,
    left: Through,
}

impl http_body::Body for BlocksBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let block = self.blocks.pop_front();
        let n = block.as_ref().map_or(0, Bytes::len);
        self.meter.add(n as u64);
        self.left.took(n);
        Poll::Ready(block.map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        self.blocks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.left())
    }
}
