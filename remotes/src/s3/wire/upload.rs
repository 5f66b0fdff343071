//! A request whose payload is sent as it comes.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::refusal::{refusal, whole};
use super::{Pool, Response};
use crate::pump::lane::send;
use crate::{Error, Kind, Op, Result};

/// A request under way. Dropping it closes the connection short of the announced length, and so undoes it.
pub(crate) struct Upload {
    op: Op,
    /// Gone once the server has answered or the connection broke.
    stream: Option<TcpStream>,
    pool: Pool,
    left: u64,
    /// The region that the request is signed for.
    signed: Rc<str>,
}

impl Upload {
    pub(super) fn new(op: Op, stream: TcpStream, pool: &Pool, len: u64, signed: Rc<str>) -> Self {
        Self { op, stream: Some(stream), pool: pool.clone(), left: len, signed }
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
        let Some(stream) = self.stream.take() else {
            return Err(Error::new(self.op, Kind::Other, "bytes were written after a failure"));
        };
        let sent = tokio::select! {
            biased;
            sent = send(bytes, &stream, self.pool.idle_limit()) => sent,
            // An answer before the payload is through is a refusal: the rest need not travel.
            () = spoken(&stream) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        match sent {
            Ok(()) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Error::io(self.op, "sending", e)),
            Err(e) => {
                let refused = refusal(self.op, stream, &self.pool, e).await?;
                Err(refused.signed_for(&self.signed).into_error().await)
            }
        }
    }

    /// Waits for the answer. Errors: bytes are missing.
    pub(crate) async fn finish(self) -> Result<Response> {
        match self.stream {
            Some(stream) if self.left == 0 => {
                let answer = Response::read(self.op, stream, &self.pool, self.pool.idle_limit()).await?;
                whole(self.op, answer.signed_for(&self.signed), true)
            }
            _ => Err(Error::new(self.op, Kind::Other, "an answer is awaited before all was sent")),
        }
    }
}

/// Waits until there is something to read, or the end.
async fn spoken(stream: &TcpStream) {
    let mut byte = [0];
    let peek = || Ok(recv(stream, &mut byte, RecvFlags::PEEK)?.0);
    // Broken connections show when they are written to.
    if stream.async_io(Interest::READABLE, peek).await.is_err() {
        std::future::pending::<()>().await;
    }
}
