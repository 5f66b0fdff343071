//! One place of an upload that goes to several: a task that takes blocks from its queue at the pace of the place.
//!
//! ```text
//! [waiting] -- begin --> [skipping] -- the digest is what it was --> [writing] -- closed --> the sink, for commit or keep
//!                             |                                          |
//!                             +-- it is another --> discarded            +-- failure --> kept, where that can be
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use remotes::retry::while_others_wait;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::queue::{Order, Queue};
use crate::gateway::receive::Sink;
use crate::gateway::{Failure, FailureKind, Pace};

/// What a leg has that is ahead of the upload.
pub(super) struct Ahead {
    /// Bytes that come and lie there already.
    pub(super) skip: u64,
    /// The state of the digest that was saved with them.
    pub(super) saved: Vec<u8>,
    /// The state of this upload's digest at that place.
    pub(super) running: oneshot::Receiver<Vec<u8>>,
}

/// What moves blocks into a sink.
pub(super) struct Leg {
    sink: Box<dyn Sink>,
    queue: Rc<Queue>,
    ahead: Option<Ahead>,
    pace: Option<Arc<Pace>>,
    /// Longest wait for what is no progress of the place itself.
    idle: Duration,
}

/// Why a leg does not continue.
enum Lost {
    Failed(Failure),
    /// What lies there belongs to other content.
    Other,
}

impl Leg {
    pub(super) fn new(
        sink: Box<dyn Sink>,
        queue: &Rc<Queue>,
        ahead: Option<Ahead>,
        pace: Option<Arc<Pace>>,
        idle: Duration,
    ) -> Self {
        Self { sink, queue: Rc::clone(queue), ahead, pace, idle }
    }

    /// Starts its task, which gives the sink back once the queue is closed; `None` where it failed, and was kept or discarded.
    pub(super) fn start(self, others_wait: bool) -> JoinHandle<Option<Box<dyn Sink>>> {
        match others_wait {
            true => tokio::task::spawn_local(while_others_wait(self.run())),
            false => tokio::task::spawn_local(self.run()),
        }
    }

    async fn run(mut self) -> Option<Box<dyn Sink>> {
        let lost = loop {
            let Some(order) = self.queue.next().await else {
                match self.caught_up().await {
                    Ok(()) => {
                        self.queue.end(None);
                        return Some(self.sink);
                    }
                    Err(lost) => break lost,
                }
            };
            let done = match order {
                Order::Block(block) => {
                    let bytes = block.len();
                    let taken = self.take(block).await;
                    self.queue.took(bytes);
                    taken
                }
                Order::Pause => self.sink.pause().await.map_err(Lost::Failed),
            };
            if let Err(lost) = done {
                break lost;
            }
        };
        self.end(lost).await;
        None
    }

    async fn take(&mut self, mut block: Bytes) -> Result<(), Lost> {
        if let Some(ahead) = &mut self.ahead {
            let skip = block.len().min(usize::try_from(ahead.skip).unwrap_or(usize::MAX));
            block.advance(skip);
            ahead.skip -= skip as u64;
            if block.is_empty() {
                return Ok(());
            }
            self.caught_up().await?;
        }
        if let Some(pace) = &self.pace {
            pace.turn(block.len()).await;
        }
        self.sink.write(block).await.map_err(Lost::Failed)
    }

    /// Compares the digests, once all that lies there has come again. Before that nothing is known, and nothing was written.
    async fn caught_up(&mut self) -> Result<(), Lost> {
        let Some(ahead) = self.ahead.take_if(|ahead| ahead.skip == 0) else { return Ok(()) };
        match tokio::time::timeout(self.idle, ahead.running).await {
            Ok(Ok(running)) if running == ahead.saved => Ok(()),
            Ok(Ok(_)) => Err(Lost::Other),
            Ok(Err(_)) | Err(_) => {
                let words = "the digest of what an earlier upload left there cannot be compared";
                Err(Lost::Failed(Failure::internal(words.to_string())))
            }
        }
    }

    /// Tells first, so that nobody waits for what is done here.
    async fn end(self, lost: Lost) {
        let (failure, discard) = match lost {
            // Half a content that filled the disk would keep it full.
            Lost::Failed(failure) if failure.kind() == FailureKind::Full => (failure, true),
            Lost::Failed(failure) => (failure, false),
            Lost::Other => {
                let words = "what an earlier upload left there is of other content; the next one starts over";
                (Failure::internal(words.to_string()), true)
            }
        };
        self.queue.end(Some(failure));
        let ended = if discard { self.sink.discard() } else { self.sink.keep() };
        // Its own failure would only repeat the first. Dropped, it keeps what can be resumed.
        let _ = tokio::time::timeout(self.idle, ended).await;
    }
}
