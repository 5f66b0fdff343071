//! Parts that are sent as their bytes come: one fills while the answers to those before it are awaited.
//!
//! Where a connection takes the bytes more slowly than they come, a part waits in memory for its connection, by a task of its
//! own, and the next one begins on another; see [`Width`] for how many. What waits never takes the second half of the budget.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::flow::{Flow, Kept};
use super::way::{Destination, ToPart};
use crate::connections::Transfer;
use crate::retrieve::{Requests, Seen, Width};
use crate::s3::multipart::Multipart;
use crate::s3::single;
use crate::{Context, Error, Kind, Mark, Op, Result, Resumption, Stored};

/// Answers awaited while the next part is on its way.
const ANSWERS: usize = 3;

/// Bytes of an upload that are in memory before they come here.
const COMING_IN: u64 = 16 << 20;

/// So many samples in a row tell nothing of how many parts are enough, where a connection broke or was refused meanwhile.
const UNJUDGED: u32 = 2;

/// How long [`Parts::suspend`] waits for answers.
const MOMENT: Duration = Duration::from_secs(2);

/// How many parts of `size` make `len`.
pub(super) fn count(len: u64, size: u64) -> usize {
    usize::try_from(len.div_ceil(size)).unwrap_or(usize::MAX)
}

/// An upload that takes parts.
pub(super) trait TakesParts {
    /// Where part `number` goes, counted from 1.
    fn part(self: &Rc<Self>, number: usize) -> Rc<dyn Destination>;
}

impl TakesParts for Multipart {
    fn part(self: &Rc<Self>, number: usize) -> Rc<dyn Destination> {
        Rc::new(ToPart { inner: Rc::clone(self.inner()), upload: Rc::clone(self), number })
    }
}

/// An upload in parts. Dropping it leaves on the server what is there.
pub(super) struct Parts<U = Multipart> {
    context: Context,
    upload: Rc<U>,
    len: u64,
    size: u64,
    /// The part that fills, and how much of it is missing.
    open: Option<(Filling, u64)>,
    /// Parts that were begun.
    begun: usize,
    answers: JoinSet<(usize, Result<String>)>,
    kept: Vec<Kept>,
    /// ETags of all parts; empty while not known.
    tags: Vec<String>,
    /// Marks that were given out.
    given: usize,
    /// Why a part failed, where that was seen while nobody could be told.
    failed: Option<Error>,
    width: Width,
    transfer: Transfer,
    seen: Seen,
    requests: Requests,
    /// Samples in a row that were troubled.
    unjudged: u32,
}

/// A part that fills.
enum Filling {
    /// Its bytes go onto the connection as they come.
    Direct(Box<Flow>),
    /// They wait for it: a task sends them, and gives the answer.
    Waiting(mpsc::UnboundedSender<Bytes>),
}

impl<U: TakesParts> Parts<U> {
    pub(super) fn new(context: &Context, upload: U, len: u64, size: u64) -> Self {
        Self {
            context: context.clone(),
            upload: Rc::new(upload),
            len,
            size,
            open: None,
            begun: 0,
            answers: JoinSet::new(),
            kept: Vec::new(),
            tags: vec![String::new(); count(len, size)],
            given: 0,
            failed: None,
            width: Width::new(ANSWERS),
            transfer: context.connections.enter(),
            seen: Seen::default(),
            requests: Requests::default(),
            unjudged: 0,
        }
    }

    /// The same, where the first parts with these ETags are stored.
    pub(super) fn after(mut self, tags: Vec<String>) -> Self {
        (self.begun, self.given) = (tags.len(), tags.len());
        for (place, tag) in self.tags.iter_mut().zip(tags) {
            *place = tag;
        }
        self
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Where part `index` ends.
    fn end(&self, index: usize) -> u64 {
        (index as u64 + 1).saturating_mul(self.size).min(self.len)
    }

    fn len_of(&self, index: usize) -> u64 {
        self.end(index) - index as u64 * self.size
    }

    /// Takes no more than the object has left.
    pub(super) async fn write(&mut self, mut block: Bytes) -> Result<()> {
        self.look();
        self.failed.take().map_or(Ok(()), Err)?;
        while !block.is_empty() {
            let (mut filling, left) = match self.open.take() {
                Some(open) => open,
                None => self.begin().await?,
            };
            let n = left.min(block.len() as u64);
            let bytes = block.split_to(usize::try_from(n).unwrap_or(usize::MAX));
            match &mut filling {
                Filling::Direct(flow) => {
                    let waits = Instant::now();
                    flow.write(bytes).await.map_err(|e| self.of(self.begun - 1, e))?;
                    self.seen.wait(waits.elapsed());
                }
                Filling::Waiting(to) => {
                    // Where the task has failed, its answer tells.
                    let _ = to.send(bytes);
                    // It is to begin before more comes.
                    tokio::task::yield_now().await;
                }
            }
            if n < left {
                self.open = Some((filling, left - n));
                return Ok(());
            }
            if let Filling::Direct(flow) = filling {
                let index = self.begun - 1;
                self.answers.spawn_local(async move { (index, flow.finish().await) });
            }
            self.choose();
        }
        Ok(())
    }

    /// Chooses anew how many parts are on their way side by side, once as many are stored.
    fn choose(&mut self) {
        if self.requests.load().is_too_much() {
            self.width.back_off();
            self.seen.take();
            self.requests.forget();
            return;
        }
        if self.seen.bytes() < self.size * self.side_by_side() as u64 {
            return;
        }
        if self.width.is_more() && self.requests.failures() > 0 && self.unjudged < UNJUDGED {
            self.unjudged += 1;
            self.seen.take();
            self.requests.forget();
            return;
        }
        self.unjudged = 0;
        // More than what is left would fill is of no use.
        let is_long = self.tags.len().saturating_sub(self.begun) >= 2 * ANSWERS;
        let may = self.width.is_more() || is_long && self.transfer.is_worth_trying();
        let most = if may { self.transfer.share().min(self.most()) } else { ANSWERS };
        if self.width.take(self.seen.take(), most) == Some(self.width.least()) {
            self.transfer.one_is_enough();
        }
        self.requests.forget();
    }

    /// As many parts as half of the budget has room for, but for what is coming in.
    fn most(&self) -> usize {
        let half = self.context.budget.total() / 2;
        usize::try_from(half.saturating_sub(COMING_IN) / self.size).unwrap_or(usize::MAX)
    }

    /// Parts that may be on their way: no more than usual where memory is short.
    fn side_by_side(&self) -> usize {
        if self.context.budget.is_roomy() { self.width.now() } else { ANSWERS }
    }

    async fn begin(&mut self) -> Result<(Filling, u64)> {
        let waits = Instant::now();
        while self.answers.len() >= self.side_by_side() {
            self.join().await?;
        }
        self.seen.wait(waits.elapsed());
        let index = self.begun;
        let len = self.len_of(index);
        let kept = Kept::new(self.context.budget.is_roomy());
        self.kept.retain(|kept| !kept.is_mine_alone());
        self.kept.push(kept.clone());
        self.begun += 1;
        let to = self.upload.part(index + 1);
        if self.side_by_side() > ANSWERS {
            let (sender, blocks) = mpsc::unbounded_channel();
            let (context, requests) = (self.context.clone(), self.requests.clone());
            self.answers.spawn_local(async move { (index, send(&context, to, len, kept, requests, blocks).await) });
            return Ok((Filling::Waiting(sender), len));
        }
        let flow =
            Flow::open(&self.context, to, len, kept, self.requests.clone()).await.map_err(|e| self.of(index, e))?;
        Ok((Filling::Direct(Box::new(flow)), len))
    }

    fn of(&self, index: usize, error: Error) -> Error {
        error.within(format!("part {} of {}", index + 1, self.tags.len()))
    }

    async fn join(&mut self) -> Result<()> {
        match self.answers.join_next().await {
            Some(done) => self.took(done),
            None => Ok(()),
        }
    }

    fn took(&mut self, done: std::result::Result<(usize, Result<String>), JoinError>) -> Result<()> {
        let (index, tag) = done.map_err(|_| Error::new(Op::Put, Kind::Other, "a part's task died"))?;
        self.tags[index] = tag.map_err(|e| self.of(index, e))?;
        // Not when they were taken: a part that begins is taken by memory, as fast as it comes.
        self.seen.add(self.len_of(index));
        Ok(())
    }

    /// Takes the answers that are there. A failure is told to whoever comes next that can be told.
    fn look(&mut self) {
        while let Some(done) = self.answers.try_join_next() {
            if let Err(e) = self.took(done) {
                self.failed.get_or_insert(e);
            }
        }
    }

    pub(super) fn take_marks(&mut self) -> Vec<Mark> {
        self.look();
        let mut marks = Vec::new();
        while self.tags.get(self.given).is_some_and(|tag| !tag.is_empty() && tag.len() <= Mark::TAG_MAX) {
            marks.push(Mark { end: self.end(self.given), tag: self.tags[self.given].clone().into_bytes() });
            self.given += 1;
        }
        marks
    }

    pub(super) fn relax(&mut self) {
        for kept in self.kept.drain(..) {
            kept.drop_all();
        }
    }

    pub(super) async fn suspend(mut self) -> Vec<Mark> {
        self.open = None;
        let answers = async {
            while let Some(done) = self.answers.join_next().await {
                let _ = self.took(done);
            }
        };
        let _ = tokio::time::timeout(MOMENT, answers).await;
        self.answers.shutdown().await;
        self.take_marks()
    }

    /// Waits for all answers. Errors: a part is missing.
    pub(super) async fn all_answered(&mut self) -> Result<()> {
        self.failed.take().map_or(Ok(()), Err)?;
        while !self.answers.is_empty() {
            self.join().await?;
        }
        if self.open.is_some() || self.tags.iter().any(String::is_empty) {
            return Err(Error::new(Op::Put, Kind::Unavailable, "a part is missing"));
        }
        Ok(())
    }
}

impl Parts {
    pub(super) fn resumption(&self) -> Resumption {
        Resumption { token: self.upload.id().into(), step: self.size }
    }

    pub(super) async fn complete(mut self) -> Result<Stored> {
        if let Err(e) = self.all_answered().await {
            if !e.kind().retry() {
                let _ = self.abort().await;
            }
            return Err(e);
        }
        let (inner, key, len) = (Rc::clone(self.upload.inner()), self.upload.key().to_string(), self.len);
        let busy = |_| Error::new(Op::Put, Kind::Other, "a part is still on its way");
        let receipt = Rc::try_unwrap(self.upload).map_err(busy)?.complete(self.tags).await?;
        single::read_back(&inner, &key, len, Some(&receipt)).await
    }

    pub(super) async fn abort(mut self) -> Result<()> {
        self.open = None;
        self.answers.shutdown().await;
        // No request holds it any more.
        match Rc::try_unwrap(self.upload) {
            Ok(upload) => upload.abort().await,
            Err(_) => Err(Error::new(Op::Put, Kind::Other, "a part is still on its way")),
        }
    }
}

/// Sends a part as its blocks come, and waits for the answer; gives its ETag.
async fn send(
    context: &Context,
    to: Rc<dyn Destination>,
    len: u64,
    kept: Kept,
    requests: Requests,
    mut blocks: mpsc::UnboundedReceiver<Bytes>,
) -> Result<String> {
    let mut flow = Flow::open(context, to, len, kept, requests).await?;
    let mut left = len;
    while left > 0 {
        let Some(block) = blocks.recv().await else {
            return Err(Error::new(Op::Put, Kind::Cancelled, "given up"));
        };
        left = left.saturating_sub(block.len() as u64);
        flow.write(block).await?;
    }
    flow.finish().await
}
