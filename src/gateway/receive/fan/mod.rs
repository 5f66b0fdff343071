//! One upload to many sinks: each gets every block, and the memory of a block is counted once.
//!
//! ```text
//! Upload --> Fan --> queue --> leg (a task) --> Sink
//!              |---> queue --> leg          --> Sink      the slowest leg that moves sets the pace
//!              +---> queue --> leg          --> Sink      one that fails or stalls is let go, and keeps what it has
//! ```
//!
//! The content is proven once for all. Then all places commit side by side, and what one of them has is stored.

mod end;
mod leg;
mod queue;
mod stall;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use remotes::budget::{BLOCK, Budget};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Savepoints, Settled, Sink};
use crate::annex::backend::Verifier;
use crate::gateway::{Failure, Pace};
use crate::name::{Key, Uuid};
use leg::{Ahead, Leg};
use queue::Queue;
use stall::{Stall, patience, stall};

/// One of the places of an upload.
pub(in crate::gateway) struct FanLeg {
    /// Who it is.
    pub(in crate::gateway) uuid: Uuid,
    /// Whether that is where the content is then. Others tell where they stored it.
    pub(in crate::gateway) is_place: bool,
    /// What it is called, for people.
    pub(in crate::gateway) name: String,
    /// Where its content goes.
    pub(in crate::gateway) sink: Box<dyn Sink>,
    /// How fast content may move there.
    pub(in crate::gateway) pace: Option<Arc<Pace>>,
    /// Other gateways on the way there.
    pub(in crate::gateway) hops: u32,
    /// What it rests on, dropped after the sink.
    pub(in crate::gateway) rests_on: Box<dyn Any>,
}

/// Hears which place an upload was let go from, and why.
pub(in crate::gateway) type Parted = Rc<dyn Fn(&Uuid, &Failure)>;

/// The places of one upload.
pub(in crate::gateway) struct Fan {
    key: Key,
    legs: Vec<Running>,
    /// Those that were let go.
    lost: Vec<(String, Failure)>,
    /// Who has the content already.
    others: Vec<Uuid>,
    changed: Rc<Notify>,
    budget: Budget,
    idle: Duration,
    parted: Parted,
    _counted: Counted,
    held: Box<dyn Any>,
}

/// A place as the fan sees it.
struct Running {
    uuid: Uuid,
    is_place: bool,
    name: String,
    pace: Option<Arc<Pace>>,
    patience: Duration,
    /// Before it has begun.
    sink: Option<Box<dyn Sink>>,
    queue: Rc<Queue>,
    task: Option<JoinHandle<Option<Box<dyn Sink>>>>,
    _rests_on: Box<dyn Any>,
}

/// Uploads to many places that are under way in this process.
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);

struct Counted;

/// Bytes that may wait for one leg: few keep the disk of a fast one idle, many are memory that nobody else has.
const WINDOW: (u64, u64) = (2 * BLOCK as u64, 64 * BLOCK as u64);

/// Longest wait for places to begin, once they are asked to.
const BEGIN: Duration = Duration::from_secs(10);

impl Fan {
    /// An upload of `key` to `places`. A leg that takes nothing for most of `idle` while others wait is let go,
    /// which `parted` hears.
    pub(in crate::gateway) fn new(
        key: &Key,
        places: Vec<FanLeg>,
        budget: &Budget,
        idle: Duration,
        parted: Parted,
    ) -> Self {
        let changed = Rc::new(Notify::new());
        let running = |place: FanLeg| Running {
            uuid: place.uuid,
            is_place: place.is_place,
            name: place.name,
            pace: place.pace,
            patience: patience(idle, place.hops),
            sink: Some(place.sink),
            queue: Rc::new(Queue::new(&changed)),
            task: None,
            _rests_on: place.rests_on,
        };
        let legs = places.into_iter().map(running).collect();
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        let (key, budget) = (key.clone(), budget.clone());
        Self {
            key,
            legs,
            lost: Vec::new(),
            others: Vec::new(),
            changed,
            budget,
            idle,
            parted,
            _counted: Counted,
            held: Box::new(()),
        }
    }

    /// The same, where `others` have the content already and are told of at the end, and `held` is held until then.
    pub(in crate::gateway) fn beside(mut self, others: Vec<Uuid>, held: Box<dyn Any>) -> Self {
        (self.others, self.held) = (others, held);
        self
    }

    /// Bytes that may wait for a leg now. With little memory left, all go in step.
    fn window(&self) -> u64 {
        if self.budget.free() < self.budget.total() / 4 {
            return 0;
        }
        let share = self.budget.total() / (4 * UNDER_WAY.load(Ordering::Relaxed).max(1));
        share.clamp(WINDOW.0, WINDOW.1)
    }

    /// Waits until nobody has more than its window to take; at the `last`, until all have ended. Lets go of who failed or
    /// stalls. Errors: nobody is left.
    async fn ready(&mut self, last: bool) -> Result<(), Failure> {
        loop {
            self.part_with_failed();
            if self.legs.is_empty() {
                return Err(self.nobody());
            }
            let window = self.window();
            let standings: Vec<_> =
                self.legs.iter().map(|leg| leg.queue.standing(window, last, leg.patience)).collect();
            match stall(&standings, Instant::now()) {
                Stall::Free => return Ok(()),
                Stall::LetGo(places) => {
                    for place in places.into_iter().rev() {
                        let seconds = standings[place].moved.elapsed().as_secs();
                        let failure =
                            Failure::busy(&format!("it took nothing for {seconds} seconds while others waited"));
                        self.part_with(place, failure);
                    }
                }
                Stall::Wait(until) => {
                    // Looked at again in any case.
                    let _ = tokio::time::timeout_at(until, self.changed.notified()).await;
                }
            }
        }
    }

    fn part_with_failed(&mut self) {
        for place in (0..self.legs.len()).rev() {
            if let Some(failure) = self.legs[place].queue.failure() {
                // It is at keeping what it has.
                self.legs[place].task = None;
                self.part_with(place, failure);
            }
        }
    }

    /// Lets go of a leg, which keeps what can be resumed.
    fn part_with(&mut self, place: usize, failure: Failure) {
        let leg = self.legs.remove(place);
        tracing::warn!("{}: node {} is left out of this upload: {failure}", self.key, leg.name);
        (self.parted)(&leg.uuid, &failure);
        self.lost.push((leg.name.clone(), failure));
    }

    fn can_tell_digest(sink: &dyn Sink, from: u64) -> bool {
        match sink.saved_state() {
            _ if sink.proves() => false,
            Some(_) => sink.offset() == from,
            None => from <= sink.offset(),
        }
    }

    fn sinks(&self) -> impl Iterator<Item = &dyn Sink> {
        self.legs.iter().filter_map(|leg| leg.sink.as_deref())
    }
}

#[async_trait(?Send)]
impl Sink for Fan {
    /// The least of all, where the digest of that can be told; else all begin anew.
    fn offset(&self) -> u64 {
        let least = self.sinks().map(|sink| sink.offset()).min().unwrap_or(0);
        let is_told = self.proves() || self.sinks().any(|sink| Self::can_tell_digest(sink, least));
        if is_told { least } else { 0 }
    }

    fn proves(&self) -> bool {
        self.sinks().all(|sink| sink.proves())
    }

    async fn digested(&mut self, from: u64, mut fresh: Verifier) -> Result<Option<Verifier>, Failure> {
        for leg in &mut self.legs {
            let Some(sink) = leg.sink.as_mut().filter(|sink| Self::can_tell_digest(&***sink, from)) else { continue };
            match sink.digested(from, fresh).await {
                Ok(Some(digest)) => return Ok(Some(digest)),
                Ok(None) => {}
                Err(failure) => tracing::warn!("{}: node {}: {failure}", self.key, leg.name),
            }
            let Some(again) = Verifier::for_key(&self.key) else { return Ok(None) };
            fresh = again;
        }
        Ok(None)
    }

    async fn begin(&mut self, from: u64, end: u64, savepoints: &Savepoints) -> Result<(), Failure> {
        let others_wait = self.legs.len() > 1;
        let begin = async |leg: &mut Running| {
            let Some(mut sink) = leg.sink.take() else { return Err(over()) };
            let offset = sink.offset();
            let ahead = sink.saved_state().filter(|_| offset > from).map(|saved| Ahead {
                skip: offset - from,
                saved,
                running: savepoints.once(offset),
            });
            let at = if ahead.is_some() { offset } else { from };
            let begun = tokio::time::timeout(BEGIN.min(self.idle), sink.begin(at, end, savepoints)).await;
            begun.unwrap_or_else(|_| Err(Failure::busy("it took too long to begin")))?;
            let leg_task = Leg::new(sink, &leg.queue, ahead, leg.pace.clone(), self.idle);
            leg.task = Some(leg_task.start(others_wait));
            Ok(())
        };
        let begun: Vec<Result<(), Failure>> = join_all(self.legs.iter_mut().map(begin)).await;
        let failed = begun.into_iter().enumerate().filter_map(|(place, begun)| Some((place, begun.err()?)));
        for (place, failure) in failed.collect::<Vec<_>>().into_iter().rev() {
            self.part_with(place, failure);
        }
        if self.legs.is_empty() { Err(self.nobody()) } else { Ok(()) }
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.legs.iter().for_each(|leg| leg.queue.push(block.clone()));
        drop(block);
        self.ready(false).await
    }

    /// Nobody is waited for: legs let go of memory as they come to it.
    async fn pause(&mut self) -> Result<(), Failure> {
        self.legs.iter().for_each(|leg| leg.queue.pause());
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Settled, Failure> {
        self.commit_all().await
    }

    async fn keep(self: Box<Self>) -> Result<(), Failure> {
        self.end_all(true).await
    }

    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        self.end_all(false).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it has stays as far as it lasts: see `Sink`.
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}
