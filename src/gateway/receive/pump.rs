//! Moving the body of an upload from a wire to its sinks.

use std::io;

use bytes::Bytes;
use remotes::budget::BLOCK;

use super::{Settled, Upload};
use crate::gateway::{Failure, Pace};

/// A body that a wire brings.
#[allow(async_fn_in_trait, reason = "on a data thread, by one caller")]
pub trait Body {
    /// What comes next, of bytes `most` at the most.
    async fn next(&mut self, most: usize) -> Piece;
}

/// What comes next of a body.
pub enum Piece {
    /// Bytes.
    Bytes(Bytes),
    /// Nothing for a while; more may come.
    Pause,
    /// No more.
    End,
    /// The connection broke, or the client was silent for too long.
    Broken(io::Error),
    /// There is no memory for it.
    Busy,
}

/// How a body ended.
pub enum End {
    /// After as many bytes as were announced.
    Whole,
    /// After fewer.
    Short,
    /// With more.
    Long,
    /// The connection broke, or the client stalled.
    Broken(io::Error),
    /// What came could not be placed.
    Failed(Failure),
}

/// Why an upload has no answer of its own.
#[derive(Debug)]
pub enum Unsettled {
    /// The connection broke: there is nobody to tell.
    Connection(io::Error),
    /// It failed here.
    Content(Failure),
}

impl Upload {
    /// Moves `len` bytes of `body` into the places, as fast as `pace` allows.
    pub async fn receive(&mut self, body: &mut impl Body, len: u64, pace: Option<&Pace>) -> End {
        let mut left = len;
        loop {
            let most = pace.map_or(BLOCK, Pace::piece);
            if let Some(pace) = pace {
                // Before memory is taken. A client that is silent meanwhile does nothing wrong.
                pace.turn(most).await;
            }
            let piece = body.next(most).await;
            if let Some(pace) = pace {
                let used = if let Piece::Bytes(block) = &piece { block.len() } else { 0 };
                pace.give_back(most.saturating_sub(used));
            }
            let placed = match piece {
                Piece::Bytes(block) => {
                    let Some(rest) = left.checked_sub(block.len() as u64) else { return End::Long };
                    left = rest;
                    self.write(block).await
                }
                Piece::Pause => self.pause().await,
                Piece::End if left == 0 => return End::Whole,
                Piece::End => return End::Short,
                Piece::Broken(e) => return End::Broken(e),
                Piece::Busy => return End::Failed(Failure::busy("too much is being uploaded")),
            };
            if let Err(failure) = placed {
                return End::Failed(failure);
            }
        }
    }

    /// Ends the upload as its body ended.
    ///
    /// # Errors
    ///
    /// The client has no answer but that it failed, or there is none to tell.
    pub async fn settle(self, end: End) -> Result<Settled, Unsettled> {
        match end {
            End::Whole => self.finish().await.map_err(Unsettled::Content),
            End::Short => self.keep().await.map(|()| Settled::Wrong).map_err(Unsettled::Content),
            End::Long => self.discard().await.map(|()| Settled::Wrong).map_err(Unsettled::Content),
            End::Broken(e) => {
                // The connection's own end is what is told.
                let _ = self.keep().await;
                Err(Unsettled::Connection(e))
            }
            End::Failed(failure) => {
                self.give_up(&failure).await;
                Err(Unsettled::Content(failure))
            }
        }
    }
}
