//! put and putoffset.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotes::pump::BLOCK;

use super::connection::{Asked, Connection};
use crate::gateway::{Failure, FailureKind, Node, Offer, Pace, Settled, Upload};
use crate::name::{Key, Uuid};
use crate::proto::http::json;
use crate::proto::http::response::Response;
use crate::proto::p2p::AssociatedFile;
use crate::serve::conn::link::within;

/// What the client says about what it puts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) data_present: bool,
}

/// How long a client may pause before its block is handed on unfilled, so that a slow one keeps no memory.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads that brought less than this are copied out of their block: the block would keep 1 MiB for them.
const LITTLE: usize = 32 << 10;

/// Longest wait for memory.
const MEMORY: Duration = Duration::from_secs(30);

/// How the body of a put ended.
enum Body {
    /// With its end, after as many bytes as were announced.
    Whole,
    /// With its end, and another number of bytes: fewer, or more.
    Short,
    Long,
    /// The connection broke, or the client stalled.
    Broken(io::Error),
    /// What came could not be kept.
    Failed(Failure),
}

impl Connection {
    pub(super) async fn put_offset(&mut self, asked: Asked, node: &Node, key: &Key) -> io::Result<bool> {
        let api = asked.api;
        let mut body = Vec::new();
        match node.offset(key).await {
            Ok(None) => json::already_have(api, &[], &mut body),
            Ok(Some(offset)) => json::offset(offset, &mut body),
            Err(failure) => return self.fail(asked, &failure).await,
        }
        self.answer(asked, Response::json(body.len()), &body).await
    }

    pub(super) async fn put(
        &mut self,
        mut asked: Asked,
        node: &Node,
        key: &Key,
        file: Option<Vec<u8>>,
        announced: Announced,
    ) -> io::Result<bool> {
        let api = asked.api;
        let stored = move |stored: bool, out: &mut Vec<u8>| json::stored(api, stored, &[], out);
        if announced.data_present {
            let noted = node.take_note(key).await;
            return self.outcome(asked, noted, stored).await;
        }
        let file = file.and_then(|name| AssociatedFile::new(&name)).unwrap_or_default();
        let mut upload = match node.put(key, &file, &client(&asked)).await {
            Ok(Offer::Upload(upload)) => upload,
            Ok(Offer::AlreadyHave(others)) => {
                self.go_on(&mut asked).await?;
                self.discard(&mut asked).await?;
                let stored = move |stored: bool, out: &mut Vec<u8>| json::stored(api, stored, &others, out);
                return self.outcome(asked, Ok(true), stored).await;
            }
            Err(failure) => return self.fail(asked, &failure).await,
        };
        if announced.offset > upload.offset() {
            let kept = upload.keep().await.map(|()| false);
            return self.outcome(asked, kept, stored).await;
        }
        if let Err(failure) = upload.begin(announced.offset, announced.len).await {
            return self.fail(asked, &failure).await;
        }
        let end = announced.offset.saturating_add(announced.len);
        if key.size().is_some_and(|size| size != end) {
            upload.spoil();
        }
        self.go_on(&mut asked).await?;
        let started = Instant::now();
        self.shared.metrics.uploads.add(1);
        let body = self.receive(&mut asked, &mut upload, announced.len, node.upload_pace()).await;
        let bytes = upload.received() - announced.offset;
        let settled = settle(*upload, body).await;
        self.shared.metrics.uploads.sub(1);
        self.shared.metrics.received.add(bytes);
        let mut line = self.shared.log.line("put").bytes("key", key.as_bytes()).with("bytes", bytes);
        line = line.with("from", announced.offset).seconds("seconds", started.elapsed());
        line = line.bytes("client", client(&asked).as_bytes());
        if let Some(user) = &asked.user {
            line = line.bytes("user", user);
        }
        match settled {
            Ok(settled) => {
                let (right, others) = match settled {
                    Settled::Stored(others) => (true, others),
                    Settled::Wrong => (false, Vec::new()),
                };
                line.with("stored", right).info();
                let stored = move |stored: bool, out: &mut Vec<u8>| json::stored(api, stored, &others, out);
                self.outcome(asked, Ok(right), stored).await
            }
            Err(Lost::Connection(e)) => {
                line.with("error", e.to_string()).warn();
                Err(e)
            }
            Err(Lost::Content(failure)) => {
                line.with("error", failure.to_string()).warn();
                self.fail(asked, &failure).await
            }
        }
    }

    /// Moves the body into the upload.
    async fn receive(&mut self, asked: &mut Asked, upload: &mut Upload, len: u64, pace: Option<&Pace>) -> Body {
        let mut left = len;
        let mut waited = Duration::ZERO;
        loop {
            let most = pace.map_or(BLOCK, Pace::piece);
            if let Some(pace) = pace {
                // Before memory is taken. A client that is silent meanwhile does nothing wrong.
                pace.turn(most).await;
            }
            let taken = self.take_some(asked, &mut waited, most).await;
            if let Some(pace) = pace {
                pace.give_back(most.saturating_sub(taken.as_ref().ok().and_then(Option::as_ref).map_or(0, Bytes::len)));
            }
            let chunk = match taken {
                Ok(Some(chunk)) => chunk,
                Ok(None) if left == 0 => return Body::Whole,
                Ok(None) => return Body::Short,
                Err(Trouble::Slow(wait)) => {
                    waited += wait;
                    if waited >= self.shared.means.idle {
                        return Body::Broken(io::Error::new(io::ErrorKind::TimedOut, "the client stalled"));
                    }
                    if let Err(failure) = upload.flush().await {
                        return Body::Failed(failure);
                    }
                    continue;
                }
                Err(Trouble::Broken(e)) => return Body::Broken(e),
                Err(Trouble::Busy) => return Body::Failed(Failure::busy("too much is being uploaded")),
            };
            waited = Duration::ZERO;
            if chunk.len() as u64 > left {
                return Body::Long;
            }
            left -= chunk.len() as u64;
            if let Err(failure) = upload.write(chunk).await {
                return Body::Failed(failure);
            }
        }
    }

    /// The next bytes of the body, as many as come without a pause, some `most` up to a block; none at its end.
    async fn take_some(
        &mut self,
        asked: &mut Asked,
        waited: &mut Duration,
        most: usize,
    ) -> Result<Option<Bytes>, Trouble> {
        if !self.early.is_empty() {
            let done = asked.body.compact(&mut self.early).map_err(|e| Trouble::Broken(io::Error::other(e.0)))?;
            let payload = Bytes::copy_from_slice(&self.early[..done.payload]);
            self.early.drain(..done.used);
            if !payload.is_empty() {
                return Ok(Some(payload));
            }
        }
        if asked.body.is_done() {
            return Ok(None);
        }
        // No memory is taken for a client that sends nothing: the first bytes of a block come through a small buffer.
        if *waited > Duration::ZERO {
            let read = self.more(Duration::from_secs(1)).await;
            return match read {
                Ok(0) => Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => Ok(Some(Bytes::new())),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Trouble::Slow(Duration::from_secs(1))),
                Err(e) => Err(Trouble::Broken(e)),
            };
        }
        let budget = self.shared.means.budget.clone();
        let lease = tokio::time::timeout(MEMORY, budget.lease(BLOCK as u64)).await.map_err(|_| Trouble::Busy)?;
        let mut block = budget.block().under(&Arc::new(lease));
        while block.len() < most && !asked.body.is_done() {
            let ahead = asked.body.payload_ahead();
            let room = block.spare().len().min(most - block.len());
            // Of a body with a length nothing beyond it is read; chunks are unpacked where they lie.
            let counted = asked.body.is_counted();
            let want = if counted { usize::try_from(ahead).unwrap_or(usize::MAX).min(room) } else { room };
            let n = match within(PAUSE, self.link.read(&mut block.spare()[..want])).await {
                // What came before the end is kept for the client to go on with; the end is met again.
                Ok(0) | Err(_) if !block.is_empty() => break,
                Ok(0) => return Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => break,
                Err(e) => return Err(Trouble::Broken(e)),
            };
            if counted {
                asked.body.passed(n as u64);
                block.advance(n);
                continue;
            }
            let arrived = &mut block.spare()[..n];
            let done = asked.body.compact(arrived).map_err(|e| Trouble::Broken(io::Error::other(e.0)))?;
            self.early.extend_from_slice(&arrived[done.used..]);
            block.advance(done.payload);
        }
        if block.is_empty() && !asked.body.is_done() {
            return Err(Trouble::Slow(PAUSE));
        }
        if block.is_empty() {
            return Ok(None);
        }
        Ok(Some(if block.len() < LITTLE { Bytes::copy_from_slice(block.as_ref()) } else { block.freeze() }))
    }

    /// Reads a body that is of no use, so that the client gets to read the answer; where it takes longer than a client may be
    /// silent, what is left of it ends the connection.
    async fn discard(&mut self, asked: &mut Asked) -> io::Result<()> {
        let (begun, mut waited) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < self.shared.means.idle {
            match self.take_some(asked, &mut waited, BLOCK).await {
                Ok(Some(_)) => waited = Duration::ZERO,
                Ok(None) => return Ok(()),
                Err(Trouble::Slow(wait)) => waited += wait,
                Err(Trouble::Busy) => break,
                Err(Trouble::Broken(e)) => return Err(e),
            }
        }
        asked.keep = false;
        Ok(())
    }
}

/// Why there are no next bytes.
enum Trouble {
    /// Nothing came for so long.
    Slow(Duration),
    Broken(io::Error),
    Busy,
}

/// Why a put got no answer of its own.
enum Lost {
    Connection(io::Error),
    Content(Failure),
}

async fn settle(upload: Upload, body: Body) -> Result<Settled, Lost> {
    match body {
        Body::Whole => upload.finish().await.map_err(Lost::Content),
        Body::Short => upload.keep().await.map(|()| Settled::Wrong).map_err(Lost::Content),
        Body::Long => upload.discard().await.map(|()| Settled::Wrong).map_err(Lost::Content),
        Body::Broken(e) => {
            // The connection's own end is what is told.
            let _ = upload.keep().await;
            Err(Lost::Connection(e))
        }
        Body::Failed(failure) => {
            // Half a content that filled the disk would keep it full.
            let _ = if failure.kind() == FailureKind::Full { upload.discard().await } else { upload.keep().await };
            Err(Lost::Content(failure))
        }
    }
}

fn client(asked: &Asked) -> Uuid {
    // Versioned calls always name it.
    asked.client.clone().unwrap_or_else(|| Uuid::parse(b"unknown").expect("a word is a uuid"))
}
