//! The payload of an upload as it comes over a link, once for every wire: in blocks that are as full as the client makes them
//! without a pause, in memory that is leased for as long as it is needed.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotes::budget::{BLOCK, Budget};

use super::link::{Link, within};
use crate::gateway::{Body, Piece};

/// How long a client may pause before its block is handed on unfilled, so that a slow one keeps no memory.
const PAUSE: Duration = Duration::from_millis(20);

/// How long is waited for a client that makes a longer pause, before that is told again.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads that brought less than this are copied out of their block: the block would keep 1 MiB for them.
const LITTLE: usize = 32 << 10;

/// Longest wait for memory.
const MEMORY: Duration = Duration::from_secs(30);

/// Bytes that are read at once while a client makes a pause.
const SIP: usize = 8 << 10;

/// How a wire marks what is payload.
pub(crate) trait Framing {
    /// Payload that was read already, together with something else. Empty where there is none.
    ///
    /// # Errors
    ///
    /// What was read is malformed.
    fn early(&mut self, most: usize) -> io::Result<Bytes>;

    /// Whether all of the payload was given out.
    fn is_done(&self) -> bool;

    /// How many of the bytes that come next are payload and nothing else; `None` where that is told between them.
    fn ahead(&self) -> Option<u64>;

    /// So many of those came.
    fn passed(&mut self, count: u64);

    /// Bytes came in which payload is marked: moves it to the front, and keeps what belongs to nobody yet. Gives how much it is.
    ///
    /// # Errors
    ///
    /// They are malformed.
    fn unpack(&mut self, came: &mut [u8]) -> io::Result<usize>;

    /// Bytes came, of whatever kind, that [`early`](Self::early) is to tell of.
    fn push(&mut self, came: &[u8]);

    /// The client sends no more.
    fn eof(&mut self) {}
}

/// A payload on its way.
pub(crate) struct Payload<'a, F> {
    pub(crate) link: &'a mut Link,
    pub(crate) framing: F,
    pub(crate) budget: &'a Budget,
    /// Longest time in which nothing comes.
    pub(crate) idle: Duration,
    waited: Duration,
    /// Nobody keeps memory that he can do without.
    is_relaxed: bool,
}

impl<'a, F: Framing> Payload<'a, F> {
    pub(crate) fn new(link: &'a mut Link, framing: F, budget: &'a Budget, idle: Duration) -> Self {
        Self { link, framing, budget, idle, waited: Duration::ZERO, is_relaxed: false }
    }

    /// Reads what is of no use, so that the client gets to read the answer; for `limit` at the most. False where that was not
    /// the end.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub(crate) async fn skip(&mut self, limit: Duration) -> io::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            match self.next(BLOCK).await {
                Piece::Bytes(_) | Piece::Pause => {}
                Piece::End => return Ok(true),
                Piece::Busy => return Ok(false),
                Piece::Broken(e) => return Err(e),
            }
        }
        Ok(false)
    }

    async fn bytes(&mut self, most: usize) -> io::Result<Piece> {
        loop {
            let early = self.framing.early(most)?;
            if !early.is_empty() {
                return Ok(Piece::Bytes(early));
            }
            if self.framing.is_done() {
                return Ok(Piece::End);
            }
            if self.waited.is_zero() {
                return self.block(most).await;
            }
            // No memory is taken for a client that sends nothing: the first bytes of a block come through a small buffer.
            let mut sip = [0; SIP];
            let n = match within(SILENCE, self.link.read(&mut sip)).await {
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return self.pause(SILENCE),
                read => self.some(read?)?,
            };
            self.waited = Duration::ZERO;
            self.framing.push(&sip[..n]);
        }
    }

    /// As much of a block as comes without a pause.
    async fn block(&mut self, most: usize) -> io::Result<Piece> {
        let lease = match self.budget.try_lease(BLOCK as u64) {
            Some(lease) => lease,
            // What this upload keeps to send again must not be what it waits for.
            None if !std::mem::replace(&mut self.is_relaxed, true) => return Ok(Piece::Pause),
            None => match tokio::time::timeout(MEMORY, self.budget.lease(BLOCK as u64)).await {
                Ok(lease) => lease,
                Err(_) => return Ok(Piece::Busy),
            },
        };
        self.is_relaxed = false;
        let mut block = self.budget.block().under(&Arc::new(lease));
        while block.len() < most && !self.framing.is_done() {
            let room = block.spare().len().min(most - block.len());
            // Where its length is known nothing beyond it is read; else it is unpacked where it lies.
            let ahead = self.framing.ahead();
            let want = ahead.map_or(room, |ahead| usize::try_from(ahead).unwrap_or(usize::MAX).min(room));
            let n = match within(PAUSE, self.link.read(&mut block.spare()[..want])).await {
                // What came before the end is kept for the client to resume; the end is met again.
                Ok(0) | Err(_) if !block.is_empty() => break,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return self.pause(PAUSE),
                read => self.some(read?)?,
            };
            let payload = match ahead {
                Some(_) => {
                    self.framing.passed(n as u64);
                    n
                }
                None => self.framing.unpack(&mut block.spare()[..n])?,
            };
            block.advance(payload);
        }
        if block.is_empty() {
            return Ok(Piece::Bytes(Bytes::new()));
        }
        let bytes = if block.len() < LITTLE { Bytes::copy_from_slice(block.as_ref()) } else { block.freeze() };
        Ok(Piece::Bytes(bytes))
    }

    fn pause(&mut self, wait: Duration) -> io::Result<Piece> {
        self.waited += wait;
        if self.waited >= self.idle {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client stalled"));
        }
        Ok(Piece::Pause)
    }

    /// What was read. Errors: nothing, which is the end.
    fn some(&mut self, n: usize) -> io::Result<usize> {
        if n == 0 {
            self.framing.eof();
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(n)
    }
}

impl<F: Framing> Body for Payload<'_, F> {
    async fn next(&mut self, most: usize) -> Piece {
        self.bytes(most).await.unwrap_or_else(Piece::Broken)
    }
}
