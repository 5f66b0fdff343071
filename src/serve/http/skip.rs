//! Request bodies that are not needed: read for a while, so that the client gets to read the answer.

use std::io;
use std::time::{Duration, Instant};

use super::connection::{Connection, READ};
use crate::proto::http::body::BodyReader;
use crate::serve::conn::link::within;
use crate::serve::conn::patience::Patience;

/// Most bytes of a body that are read only to throw them away.
const SKIP: u64 = 256 << 10;

/// Longest time for the rest of a request to arrive after an answer that closes the connection. Closing at once would
/// destroy the answer on its way, if the client is still sending.
const LINGER: Duration = Duration::from_secs(2);

/// Longest time in which a body is read only to throw it away, before an answer.
const SKIPPING: Duration = Duration::from_secs(5);

impl Connection {
    /// Reads what is left of a short body. False where it is long, slow, or broken.
    pub(super) async fn skip(&mut self, body: &mut BodyReader) -> io::Result<bool> {
        let (mut left, begun) = (SKIP, Instant::now());
        loop {
            let mut rest = &self.early[..];
            while let Ok(Some(piece)) = body.next(&mut rest) {
                left = left.saturating_sub(piece.len() as u64);
            }
            let used = self.early.len() - rest.len();
            self.early.drain(..used);
            if body.is_done() {
                return Ok(true);
            }
            if !self.early.is_empty() || left == 0 || body.payload_ahead() > left {
                return Ok(false);
            }
            match self.more(LINGER.min(SKIPPING.saturating_sub(begun.elapsed()))).await {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                // Told what it asked for, it can see that nobody waits for the rest.
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads once, behind what arrived before. 0 at the end.
    pub(super) async fn more(&mut self, limit: Duration) -> io::Result<usize> {
        let at = self.early.len();
        self.early.resize(at + READ, 0);
        let read = within(limit, self.link.read(&mut self.early[at..])).await;
        self.early.truncate(at + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The same from a client that has to keep a pace.
    pub(super) async fn more_with(&mut self, patience: &mut Patience) -> io::Result<usize> {
        let at = self.early.len();
        self.early.resize(at + READ, 0);
        let read = patience.read(&mut self.link, &mut self.early[at..]).await;
        self.early.truncate(at + *read.as_ref().unwrap_or(&0));
        read
    }

    pub(super) async fn linger(mut self) {
        self.link.finish().await;
        let rest = async {
            let mut buf = vec![0; READ];
            let mut left = SKIP * 16;
            while left > 0 {
                match self.link.read(&mut buf).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => left = left.saturating_sub(n as u64),
                }
            }
        };
        // Whoever sends more than that does not read the answer.
        tokio::select! {
            _ = tokio::time::timeout(LINGER, rest) => {}
            () = self.seat.lost() => {}
        }
    }
}
