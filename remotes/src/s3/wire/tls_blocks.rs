//! The payload of an answer over TLS, in blocks as it comes.

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};

use super::Pool;
use super::link::{Link, Tls};
use crate::pump::Blocks;
use crate::pump::lane::within;
use crate::{Error, Kind, Op, Result};

/// Bytes of a block: what a connection brings between two looks where it is fast. They are not counted in the budget.
const BLOCK: usize = 128 << 10;

/// So many bytes of a connection, which goes back to its pool with the last of them.
pub(super) struct TlsBlocks {
    op: Op,
    /// Gone once all was read.
    tls: Option<Box<Tls>>,
    /// Bytes that came with the head.
    head: Bytes,
    left: u64,
    pool: Pool,
    /// Whether the connection may serve again.
    may_return: bool,
    buf: BytesMut,
}

impl TlsBlocks {
    pub(super) fn new(op: Op, tls: Box<Tls>, head: Bytes, len: u64, pool: Pool, may_return: bool) -> Self {
        let mut blocks = Self { op, tls: Some(tls), head, left: len, pool, may_return, buf: BytesMut::new() };
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
            self.buf.reserve(BLOCK);
            let read = within(self.pool.idle_limit(), tls.read_into(&mut self.buf, most.min(BLOCK))).await;
            read.map_err(|e| Error::io(self.op, "reading", e))?;
            self.buf.split().freeze()
        };
        if block.is_empty() {
            return Err(Error::new(self.op, Kind::Truncated, format!("reading: {} bytes are missing", self.left)));
        }
        self.left -= block.len() as u64;
        self.give_back();
        Ok(Some(block))
    }
}
