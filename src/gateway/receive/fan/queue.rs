//! Blocks on their way to one leg. All legs share the memory of a block.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::stall::Standing;
use crate::gateway::Failure;

/// The queue of a leg, between the fan and the leg's task on one data thread.
pub(super) struct Queue {
    state: RefCell<State>,
    /// There is something to do for the leg.
    work: Notify,
    /// Something changed for the fan, which all its queues share.
    changed: Rc<Notify>,
}

/// What a leg does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Takes these bytes.
    Block(Bytes),
    /// Lets go of memory.
    Pause,
}

struct State {
    orders: VecDeque<Order>,
    /// Bytes that the leg has not taken yet, those it is taking included.
    bytes: u64,
    /// When it took something, or got something to take after it had nothing.
    moved: Instant,
    is_closed: bool,
    has_ended: bool,
    failure: Option<Failure>,
}

impl Queue {
    pub(super) fn new(changed: &Rc<Notify>) -> Self {
        let state = State {
            orders: VecDeque::new(),
            bytes: 0,
            moved: Instant::now(),
            is_closed: false,
            has_ended: false,
            failure: None,
        };
        Self { state: RefCell::new(state), work: Notify::new(), changed: Rc::clone(changed) }
    }

    /// Adds a block. What has ended takes none.
    pub(super) fn push(&self, block: Bytes) {
        let mut state = self.state.borrow_mut();
        if state.has_ended || block.is_empty() {
            return;
        }
        if state.bytes == 0 {
            state.moved = Instant::now();
        }
        state.bytes += block.len() as u64;
        state.orders.push_back(Order::Block(block));
        self.work.notify_one();
    }

    /// Has the leg let go of memory once it has taken what came before.
    pub(super) fn pause(&self) {
        let mut state = self.state.borrow_mut();
        if !state.has_ended && state.orders.back() != Some(&Order::Pause) {
            state.orders.push_back(Order::Pause);
            self.work.notify_one();
        }
    }

    /// No more comes.
    pub(super) fn close(&self) {
        let mut state = self.state.borrow_mut();
        if state.bytes == 0 {
            state.moved = Instant::now();
        }
        state.is_closed = true;
        self.work.notify_one();
    }

    /// Forgets what the leg has not begun with.
    pub(super) fn clear(&self) {
        let mut state = self.state.borrow_mut();
        let waiting: usize = state.orders.drain(..).map(|order| order.len()).sum();
        state.bytes -= waiting as u64;
    }

    /// What to do next; `None` where nothing comes any more.
    pub(super) async fn next(&self) -> Option<Order> {
        loop {
            {
                let mut state = self.state.borrow_mut();
                if let Some(order) = state.orders.pop_front() {
                    return Some(order);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.work.notified().await;
        }
    }

    /// The leg took `bytes` of what it was given.
    pub(super) fn took(&self, bytes: usize) {
        let mut state = self.state.borrow_mut();
        state.bytes -= bytes as u64;
        state.moved = Instant::now();
        self.changed.notify_one();
    }

    /// The leg has ended, by a failure where there is one.
    pub(super) fn end(&self, failure: Option<Failure>) {
        let mut state = self.state.borrow_mut();
        (state.has_ended, state.failure, state.bytes) = (true, failure, 0);
        state.orders.clear();
        self.changed.notify_one();
    }

    /// Why it failed, told once.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state.borrow_mut().failure.take()
    }

    /// Where the leg is. Others wait for one that has more than `window` bytes to take; at the `last`, for any that has not
    /// ended.
    pub(super) fn standing(&self, window: u64, last: bool, patience: Duration) -> Standing {
        let state = self.state.borrow();
        let waited_for = !state.has_ended && (last || state.bytes > window);
        Standing { is_waited_for: waited_for, moved: state.moved, patience }
    }
}

impl Order {
    fn len(&self) -> usize {
        if let Self::Block(block) = self { block.len() } else { 0 }
    }
}
