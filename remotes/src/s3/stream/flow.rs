//! One request whose payload comes bit by bit: a PUT or a part.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::way::{Destination, Way};
use crate::retrieve::Requests;
use crate::retry::Backoff;
use crate::{Context, Error, Kind, Op, Result};

/// A connection that took so many bytes before it broke is replaced at once.
const WORTH: u64 = 1 << 20;

/// Blocks that were sent and may have to be sent again; whoever holds a clone can let go of them.
#[derive(Clone, Default)]
pub(super) struct Kept(Rc<RefCell<Option<Vec<Bytes>>>>);

impl Kept {
    pub(super) fn new(keep: bool) -> Self {
        Self(Rc::new(RefCell::new(keep.then(Vec::new))))
    }

    /// Lets go: what fails from now on has failed.
    pub(super) fn drop_all(&self) {
        self.0.borrow_mut().take();
    }

    /// True where nobody else can send them again.
    pub(super) fn is_mine_alone(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    fn push(&self, block: &Bytes) {
        if let Some(blocks) = &mut *self.0.borrow_mut() {
            blocks.push(block.clone());
        }
    }

    fn all(&self) -> Option<Vec<Bytes>> {
        self.0.borrow().clone()
    }
}

/// A request under way, and what it takes to start it over. Dropping it undoes it.
pub(super) struct Flow {
    to: Rc<dyn Destination>,
    len: u64,
    way: Option<Box<dyn Way>>,
    kept: Kept,
    backoff: Backoff,
    /// On a connection that had been used before: that it is dead says nothing of the server.
    used: bool,
    /// Bytes of it that were sent, once or more often.
    sent: u64,
    requests: Requests,
}

impl Flow {
    /// Starts a request of `len` bytes; tries again where that can help.
    pub(super) async fn open(
        context: &Context,
        to: Rc<dyn Destination>,
        len: u64,
        kept: Kept,
        requests: Requests,
    ) -> Result<Self> {
        let used = kept.0.borrow().is_some();
        let backoff = Backoff::new(context);
        let mut flow = Self { to, len, way: None, kept, backoff, used, sent: 0, requests };
        match flow.connect().await {
            Ok(way) => flow.way = Some(way),
            Err(e) => flow.start_over(e, Vec::new()).await?,
        }
        Ok(flow)
    }

    /// Sends the next bytes.
    pub(super) async fn write(&mut self, block: Bytes) -> Result<()> {
        let Some(way) = &mut self.way else {
            return Err(Error::new(Op::Put, Kind::Other, "bytes were written after a failure"));
        };
        self.kept.push(&block);
        let n = block.len() as u64;
        match way.write(block).await {
            Ok(()) => {
                self.sent += n;
                Ok(())
            }
            Err(e) => self.send_again(e).await,
        }
    }

    /// Waits for the answer; gives its ETag.
    pub(super) async fn finish(mut self) -> Result<String> {
        loop {
            let Some(way) = self.way.take() else {
                return Err(Error::new(Op::Put, Kind::Other, "an answer was awaited after a failure"));
            };
            match way.finish().await {
                Ok(tag) => return self.to.receipt(tag),
                Err(e) => {
                    self.to.may_come_late(&e);
                    self.send_again(e).await?;
                }
            }
        }
    }

    /// After `error`: everything once more, where it was kept.
    async fn send_again(&mut self, error: Error) -> Result<()> {
        self.way = None;
        match self.kept.all() {
            Some(blocks) => self.start_over(error, blocks).await,
            None => Err(error),
        }
    }

    async fn start_over(&mut self, mut error: Error, blocks: Vec<Bytes>) -> Result<()> {
        loop {
            self.requests.failed(error.kind());
            match error.kind() {
                Kind::Reset if self.used => {}
                // Not twice for the same bytes: it begins from the first of them again.
                Kind::Reset if std::mem::take(&mut self.sent) >= WORTH => {}
                // Who sends waits for an answer within the limit that has just run out.
                Kind::Timeout => return Err(error),
                _ => self.backoff.pause(error).await?,
            }
            self.used = false;
            match self.attempt(&blocks).await {
                Ok(way) => {
                    self.way = Some(way);
                    return Ok(());
                }
                Err(e) => error = e,
            }
        }
    }

    async fn attempt(&self, blocks: &[Bytes]) -> Result<Box<dyn Way>> {
        let mut way = self.connect().await?;
        for block in blocks {
            way.write(block.clone()).await?;
        }
        Ok(way)
    }

    async fn connect(&self) -> Result<Box<dyn Way>> {
        self.requests.ask();
        self.to.connect(self.len, self.used).await
    }
}
