//! The door to a store, which requests pass before they are sent: wide open, until the store refuses some (503, 429).
//!
//! From then on as many are under way at once as the store takes, and the others wait in a line; see [`window`] for how many. All
//! transfers of a store pass one door, on all threads. Nobody is kept for longer than [`LONGEST`], and than a part of the limit for silence, so
//! that a door that is wrong makes a store slow and not silent.

#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{Kind, Result};
use window::Window;

/// The longest wait, after which a request is sent all the same; and the longest for which a store is left alone.
const LONGEST: Duration = Duration::from_secs(20);

/// Which part of the limit for silence it is at the most.
const PART: u32 = 4;

/// One door.
#[derive(Debug, Default)]
pub struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    window: Window,
    under_way: usize,
    /// When the next request may begin.
    next: Option<Instant>,
    line: VecDeque<oneshot::Sender<Passage>>,
}

/// A request that passed, until its answer has come. Dropped without a word it says nothing of the store.
#[derive(Debug)]
pub struct Passage {
    gate: Option<Arc<Gate>>,
    round: u64,
    begins: Instant,
    /// It had to wait for that.
    is_held: bool,
}

impl Gate {
    /// How many requests may be under way at once; `None` for any number.
    pub fn most(&self) -> Option<usize> {
        self.state().window.most()
    }

    /// Does something that is one request to the store, once there is room for it. `idle` is how long a transfer may be silent.
    pub async fn pass<T>(self: &Arc<Self>, idle: Duration, request: impl Future<Output = Result<T>>) -> Result<T> {
        let passage = self.enter(idle).await;
        let answer = request.await;
        match &answer {
            Ok(_) => passage.answered(),
            Err(e) if matches!(e.kind(), Kind::Throttled | Kind::Unavailable) => passage.refused(e.retry_after()),
            Err(_) => {}
        }
        answer
    }

    /// Waits until there is room for a request. `idle` is how long a transfer may be silent.
    pub async fn enter(self: &Arc<Self>, idle: Duration) -> Passage {
        let until = Instant::now() + LONGEST.min(idle / PART);
        let mut passage = self.stand_in_line(until).await;
        passage.begins = passage.begins.min(until);
        // A timer has ticks of a millisecond, of which each request would wait for one.
        if passage.is_held {
            // Dropped meanwhile, it gives its place to the next one.
            sleep_until(passage.begins).await;
        }
        passage
    }

    async fn stand_in_line(self: &Arc<Self>, until: Instant) -> Passage {
        let line = {
            let mut state = self.state();
            if state.line.is_empty() && state.has_room() {
                return self.let_in(&mut state);
            }
            let (sender, receiver) = oneshot::channel();
            state.line.push_back(sender);
            receiver
        };
        match timeout_at(until, line).await {
            Ok(Ok(passage)) => passage,
            // Whoever is called out of the line and is not there is passed over.
            _ => self.let_in(&mut self.state()),
        }
    }

    fn let_in(self: &Arc<Self>, state: &mut State) -> Passage {
        state.under_way += 1;
        let now = Instant::now();
        let begins = state.next.map_or(now, |next| next.max(now));
        if let Some(pause) = state.window.pause() {
            // Those who waited long enough come in besides, and are not to make it ever longer for those after them.
            state.next = Some((begins + pause).min(now + LONGEST));
        }
        Passage { gate: Some(Arc::clone(self)), round: state.window.round(), begins, is_held: begins > now }
    }

    /// Lets those in who wait, as long as there is room.
    fn call(self: &Arc<Self>, state: &mut State) {
        while state.has_room() {
            let Some(first) = state.line.pop_front() else { return };
            if let Err(mut passage) = first.send(self.let_in(state)) {
                // Nobody waits any more. It must not knock at this door, which is held.
                passage.gate = None;
                state.under_way -= 1;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.window.has_room(self.under_way)
    }
}

impl Passage {
    /// The store did what it was asked, or said why not.
    pub fn answered(self) {
        let Some(gate) = &self.gate else { return };
        let mut state = gate.state();
        let is_full = self.is_held || !state.line.is_empty();
        state.window.answered(self.round, self.begins.elapsed(), is_full);
    }

    /// The store wants to be asked less, and may have said for how long it is to be left alone. That holds for all where it refuses too
    /// many, and otherwise for the request alone.
    pub fn refused(self, after: Option<Duration>) {
        let Some(gate) = &self.gate else { return };
        let mut state = gate.state();
        let under_way = state.under_way;
        if state.window.refused(self.round, self.begins.elapsed(), under_way)
            && let Some(after) = after
        {
            let until = Instant::now() + after.min(LONGEST);
            state.next = Some(state.next.map_or(until, |next| next.max(until)));
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        let mut state = gate.state();
        state.under_way -= 1;
        gate.call(&mut state);
    }
}
