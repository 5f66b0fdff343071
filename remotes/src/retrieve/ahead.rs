//! The rest of an object, in order, by as many ranges side by side as bring something.
//!
//! Each range is read by a task of its own into blocks leased for it; they are handed on one range after the other, that in
//! front as it arrives. Further ranges begin only with memory that is free at that moment; the one in front alone may wait for
//! it, when no other keeps any. So transfers never hold what the front of another one waits for.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::range::{RangeReader, Reader};
use super::width::{Requests, Seen, Width};
use crate::budget::{BLOCK, Lease};
use crate::connections::Transfer;
use crate::pump::Blocks;
use crate::{Context, Error, Get, Kind, ObjectName, Op, Range, Result, Store};

/// Bytes of one range where several are read side by side. Large enough that the request's cost does not show, small enough
/// that a window of them fits beside many other transfers.
const RANGE: u64 = 8 << 20;

/// The same of a store that is far away. What is read lies in memory for as long as its range takes, and all together may have
/// half of the budget: shorter ranges make more of it, and a connection then waits for an answer more often.
pub const FAR_RANGE: u64 = 4 << 20;

/// Ranges for which half of the budget has room, at the least.
const MANY: u64 = 16;

/// Bytes of one range: less than usual where there is little memory.
pub(super) fn range(context: &Context) -> u64 {
    (context.budget.total() / 2 / MANY).clamp(BLOCK as u64, RANGE) / BLOCK as u64 * BLOCK as u64
}

/// So many times as many ranges as are read side by side are kept at most, with those that were read.
const WAITING: usize = 2;

/// Blocks that may wait where one range is all there is.
const SINGLE_QUEUE: usize = 2;

/// What ranges are of.
#[derive(Clone)]
pub struct Ranges {
    /// Where the object is.
    pub store: Rc<dyn Store>,
    /// Its name.
    pub object: ObjectName,
    /// What it is known by ([`crate::Stat::tag`]): all ranges have to be of that one.
    pub tag: Option<String>,
    /// Limits.
    pub context: Context,
}

/// An object from some byte on; see the [module](self).
pub struct Ahead {
    of: Ranges,
    /// The first range, where that is open.
    first: Option<Get>,
    /// Bytes handed on up to here, from the beginning of the object.
    at: u64,
    /// Where the next range begins.
    next: u64,
    end: u64,
    /// Bytes of a range.
    range: u64,
    width: Width,
    transfer: Rc<Transfer>,
    readers: VecDeque<Reader>,
    requests: Requests,
    /// Bytes that came from the store and are not in `seen` yet. Not those that were handed on: while one range is late, the others
    /// tell what the store gives.
    came: Rc<Cell<u64>>,
    ended: Rc<Notify>,
    seen: Seen,
}

impl Ahead {
    /// An object of which the first range is open: `first`, from byte `from` on. `width` ranges are read side by side.
    pub(super) fn begun(of: Ranges, first: Get, from: u64, width: usize, transfer: Rc<Transfer>) -> Self {
        let end = first.total;
        let range = range(&of.context);
        Self { first: Some(first), range, ..Self::between(of, from, end, Width::new(width), transfer) }
    }

    /// The bytes from `from` to `end`, of which nothing is open yet: by so many ranges as `width` says, and never more than
    /// `transfer` may have.
    pub fn between(of: Ranges, from: u64, end: u64, width: Width, transfer: Rc<Transfer>) -> Self {
        let (readers, range) = (VecDeque::new(), range(&of.context).min(FAR_RANGE));
        Self {
            of,
            first: None,
            at: from,
            next: from,
            end,
            range,
            width,
            transfer,
            readers,
            requests: Requests::default(),
            came: Rc::default(),
            ended: Rc::default(),
            seen: Seen::default(),
        }
    }

    /// Begins to read, without waiting for anything.
    pub fn prefetch(&mut self) {
        self.begin_further();
    }

    fn begin_further(&mut self) {
        while self.next < self.end && self.has_room() {
            let len = self.range.min(self.end - self.next);
            let budget = &self.of.context.budget;
            // Whoever takes nothing keeps what was read for it, and others need memory meanwhile.
            let leaves_half = budget.free().saturating_sub(self.need(len)) >= budget.total() / 2;
            if self.readers.len() >= self.width.least() && !leaves_half {
                return;
            }
            let Some(lease) = self.of.context.budget.try_lease(self.need(len)) else { return };
            self.start(len, None, lease);
        }
    }

    /// Whether another range may be read. Those that were read and wait for their turn need no connection: while the one in front
    /// is late, as one is that was refused or broke, the others go on.
    fn has_room(&self) -> bool {
        let under_way = self.readers.iter().filter(|reader| !reader.is_read()).count();
        let width = self.width.now();
        let most = if self.width.is_more() { width * WAITING } else { width };
        under_way < width && self.readers.len() < most
    }

    /// How many ranges it may read now: its share of connections, and of the half of the budget that lies in what is read ahead.
    fn most(&self) -> usize {
        let memory = self.of.context.budget.total() / 2 / self.transfer.count() / self.need(self.range).max(1);
        self.transfer.share().min(usize::try_from(memory).unwrap_or(usize::MAX)).max(1)
    }

    /// Begins the range in front, and waits for memory where there is none.
    async fn begin_front(&mut self) {
        let first = self.first.take();
        let len = first.as_ref().map_or(self.range.min(self.end - self.next), |first| first.len);
        let lease = self.of.context.budget.lease(self.need(len)).await;
        self.start(len, first, lease);
    }

    fn queue(&self) -> usize {
        if self.width.now() > 1 { (self.range as usize).div_ceil(BLOCK) } else { SINGLE_QUEUE }
    }

    /// Memory for a range of `len` bytes: what may wait in the queue, one block being filled, one being written.
    fn need(&self, len: u64) -> u64 {
        let blocks = len.div_ceil(BLOCK as u64).clamp(1, self.queue() as u64 + 2);
        blocks * BLOCK as u64
    }

    fn start(&mut self, len: u64, opened: Option<Get>, lease: Lease) {
        let range = RangeReader {
            store: Rc::clone(&self.of.store),
            object: self.of.object.clone(),
            context: self.of.context.clone(),
            range: Range { from: self.next, len: Some(len), tag: self.of.tag.clone() },
            lease: Arc::new(lease),
            requests: self.requests.clone(),
            came: Rc::clone(&self.came),
            ended: Rc::clone(&self.ended),
        };
        self.next += len;
        self.readers.push_back(range.start(opened, self.queue()));
    }

    /// Chooses the number of ranges anew, once as many bytes came as are read side by side.
    fn choose(&mut self) {
        if self.requests.load().is_too_much() {
            self.width.back_off();
            self.transfer.learn(self.width.now());
            self.seen.take();
        } else if self.seen.bytes() < self.range * self.width.now() as u64 {
            return;
        } else {
            match self.width.take(self.seen.take(), self.most()) {
                Some(enough) if enough > self.width.least() => self.transfer.learn(enough),
                Some(_) => self.transfer.one_is_enough(),
                None => {}
            }
        }
        self.requests.forget();
    }
}

#[async_trait(?Send)]
impl Blocks for Ahead {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.readers.is_empty() {
                if self.first.is_none() && self.next >= self.end {
                    break;
                }
                self.begin_front().await;
            }
            self.begin_further();
            let Some(front) = self.readers.front_mut() else { continue };
            let waits = Instant::now();
            let next = tokio::select! {
                biased;
                next = front.next() => next,
                () = self.ended.notified() => {
                    self.seen.wait(waits.elapsed());
                    continue;
                }
            };
            match next {
                Some(block) => {
                    let block = block?;
                    let n = block.len() as u64;
                    self.seen.wait(waits.elapsed());
                    self.seen.add(self.came.take());
                    self.at += n;
                    self.choose();
                    return Ok(Some(block));
                }
                None => drop(self.readers.pop_front()),
            }
        }
        if self.at == self.end {
            return Ok(None);
        }
        Err(Error::new(Op::Get, Kind::Truncated, format!("{} of {} bytes arrived", self.at, self.end))
            .object(&self.of.object)
            .on(self.of.store.label()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::conformance::pattern;
    use crate::mem::Mem;

    /// A client that reads a little and then nothing any more: others have half of the memory all the same.
    #[test]
    fn whoever_takes_nothing_leaves_half_of_the_budget_to_others() {
        crate::sys::run(false, async {
            let context = Context { budget: Budget::new(64 << 20), ..Context::default() };
            let store: Rc<dyn Store> = Rc::new(Mem::new(4, &context));
            let (object, content) = (ObjectName::new("k").expect("a name"), pattern(1, 100 << 20));
            let mut put = store.put(&object, content.len() as u64).await.expect("opened");
            put.write(content.clone()).await.expect("written");
            put.commit().await.expect("stored");
            let of = Ranges { store, object, tag: None, context: context.clone() };
            let transfer = Rc::new(context.connections.enter());
            let mut ahead = Ahead::between(of, 0, content.len() as u64, Width::after(1, 1.0, 60), transfer);
            ahead.prefetch();
            let first = ahead.next().await.expect("read").expect("a block");
            assert!(context.budget.free() < 64 << 20, "some was read ahead");
            assert!(context.budget.free() >= 32 << 20, "{}", context.budget.free());
            let mut all = first.to_vec();
            while let Some(block) = ahead.next().await.expect("read") {
                all.extend_from_slice(&block);
            }
            assert!(all == content, "in order, and all of it");
        })
        .expect("a runtime");
    }
}
