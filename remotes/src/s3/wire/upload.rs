//! A request whose payload is sent as it comes.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::link::Link;
use super::refusal::{refusal, whole};
use super::{Pool, Response};
use crate::{Error, Kind, Op, Result};

/// A request under way. Dropping it closes the connection short of the announced length, and so undoes it.
pub(crate) struct Upload {
    op: Op,
    /// Gone once the server has answered or the connection broke.
    link: Option<Link>,
    pool: Pool,
    left: u64,
    /// The region that the request is signed for.
    signed: Rc<str>,
}

impl Upload {
    pub(super) fn new(op: Op, link: Link, pool: &Pool, len: u64, signed: Rc<str>) -> Self {
        Self { op, link: Some(link), pool: pool.clone(), left: len, signed }
    }

    /// Sends the next bytes. Nothing can be written after an error, which is what the server said where it said something.
    /// Safe to drop half way, if the whole is then dropped too.
    pub(crate) async fn write(&mut self, block: Bytes) -> Result<()> {
        let n = block.len() as u64;
        self.left = self
            .left
            .checked_sub(n)
            .ok_or_else(|| Error::new(self.op, Kind::Corrupt, "more bytes were written than the request announced"))?;
        self.send(block).await
    }

    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<()> {
        let Some(mut link) = self.link.take() else {
            return Err(Error::new(self.op, Kind::Other, "bytes were written after a failure"));
        };
        match link.send_unless_refused(bytes, self.pool.idle_limit()).await {
            Ok(()) => {
                self.link = Some(link);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Error::io(self.op, "sending", e)),
            Err(e) => {
                let refused = refusal(self.op, link, &self.pool, e).await?;
                Err(refused.signed_for(&self.signed).into_error().await)
            }
        }
    }

    /// Waits for the answer. Errors: bytes are missing.
    pub(crate) async fn finish(self) -> Result<Response> {
        match self.link {
            Some(link) if self.left == 0 => {
                let answer = Response::read(self.op, link, &self.pool, self.pool.idle_limit()).await?;
                whole(self.op, answer.signed_for(&self.signed), true)
            }
            _ => Err(Error::new(self.op, Kind::Other, "an answer is awaited before all was sent")),
        }
    }
}
