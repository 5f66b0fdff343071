//! The payload of an answer over TLS, in blocks as it comes.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};

use super::Pool;
use super::link::{Link, Tls};
use crate::pump::Blocks;
use crate::pump::lane::within;
use crate::{Error, Kind, Op, Result};

/// Bytes of a block: what a connection brings between two looks where it is fast. They are not counted in the budget.
const BLOCK: usize = 128 << 10;

/// From so many on, which whoever waits for the beginning has soon.
const BEGUN: u64 = 256 << 10;

/// While so many are to come it is waited for as many as a block has. Some of them may have been read from the socket already.
const MANY: u64 = 1 << 20;

/// After a connection that was silent for its time: whether that was for want of a whole block.
const MOMENT: Duration = Duration::from_millis(100);

/// So many bytes of a connection, which goes back to its pool with the last of them.
pub(super) struct TlsBlocks {
    op: Op,
    /// Gone once all was read.
    tls: Option<Box<Tls>>,
    /// Bytes that came with the head.
    head: Bytes,
    /// Handed on so far.
    passed: u64,
    left: u64,
    pool: Pool,
    /// Whether the connection may serve again.
    may_return: bool,
    buf: BytesMut,
    /// It is waited for a whole block.
    gathers: bool,
}

impl TlsBlocks {
    pub(super) fn new(op: Op, tls: Box<Tls>, head: Bytes, len: u64, pool: Pool, may_return: bool) -> Self {
        let mut blocks = Self {
            op,
            tls: Some(tls),
            head,
            passed: 0,
            left: len,
            pool,
            may_return,
            buf: BytesMut::new(),
            gathers: false,
        };
        blocks.give_back();
        blocks
    }

    fn give_back(&mut self) {
        if self.left == 0
            && self.head.is_empty()
            && self.may_return
            && let Some(tls) = self.tls.take()
        {
            self.pool.keep(Link::Tls(tls));
        }
    }
}

#[async_trait(?Send)]
impl Blocks for TlsBlocks {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (Some(tls), 1..) = (&mut self.tls, most) else { return Ok(None) };
        let block = if self.head.has_remaining() {
            self.head.split_to(most.min(self.head.len()))
        } else {
            let gathers = self.passed >= BEGUN && self.left >= MANY;
            if gathers != self.gathers {
                self.gathers = gathers;
                tls.wake_for(if gathers { BLOCK as u32 } else { 1 });
            }
            self.buf.reserve(BLOCK);
            let most = most.min(BLOCK);
            let mut read = within(self.pool.idle_limit(), tls.read_into(&mut self.buf, most)).await;
            if gathers && read.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::TimedOut) {
                // A few bytes are not nothing.
                self.gathers = false;
                tls.wake_for(1);
                read = within(MOMENT, tls.read_into(&mut self.buf, most)).await.or(read);
            }
            read.map_err(|e| Error::io(self.op, "reading", e))?;
            self.buf.split().freeze()
        };
        if block.is_empty() {
            return Err(Error::new(self.op, Kind::Truncated, format!("reading: {} bytes are missing", self.left)));
        }
        self.passed += block.len() as u64;
        self.left -= block.len() as u64;
        self.give_back();
        Ok(Some(block))
    }
}
