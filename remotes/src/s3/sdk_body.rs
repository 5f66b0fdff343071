//! Payloads for requests through the SDK, whose futures must be `Send` while our files are not.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use crate::Context;
use crate::pump::lane::FileBlocks;
use crate::pump::{BLOCK, FileSource, Meter};

/// Blocks between the file and the connection: one being read, one waiting, one being sent.
const QUEUE: usize = 1;

/// A part of a file; read as it is sent, in a few blocks of leased memory.
pub(super) async fn from_file(from: &FileSource, meter: &Meter, context: &Context) -> ByteStream {
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
    ByteStream::new(SdkBody::from_body_1_x(ChannelBody { rx, left: from.len }))
}

/// `len` bytes that come through a channel. The request fails where it is closed before.
pub(super) fn from_channel(len: u64) -> (mpsc::Sender<io::Result<Bytes>>, ByteStream) {
    let (tx, rx) = mpsc::channel(QUEUE);
    (tx, ByteStream::new(SdkBody::from_body_1_x(ChannelBody { rx, left: len })))
}

/// Blocks in memory.
pub(super) fn from_blocks(blocks: &[Bytes], meter: &Meter) -> ByteStream {
    let blocks: VecDeque<Bytes> = blocks.iter().filter(|b| !b.is_empty()).cloned().collect();
    ByteStream::new(SdkBody::from_body_1_x(BlocksBody(blocks, meter.clone())))
}

struct ChannelBody {
    rx: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match std::task::ready!(self.rx.poll_recv(task)) {
            Some(Ok(block)) => {
                self.left = self.left.saturating_sub(block.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(block))))
            }
            Some(Err(e)) => Poll::Ready(Some(Err(e))),
            None => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct BlocksBody(VecDeque<Bytes>, Meter);

impl http_body::Body for BlocksBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let block = self.0.pop_front();
        self.1.add(block.as_ref().map_or(0, |b| b.len() as u64));
        Poll::Ready(block.map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|b| b.len() as u64).sum())
    }
}
