//! The digest of an upload, computed beside it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::belt::{Belt, Work};
use crate::annex::backend::{Verification, Verifier};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// How content is proven to be a key's while it comes.
pub enum Digest {
    /// The key has none.
    None,
    /// Nothing was given to it yet but what lay before.
    Fresh(Box<Tap>),
    /// On its way.
    Belt(Belt<Tap>),
    /// It cannot be right, or was lost; the content counts as wrong.
    Lost,
}

impl Digest {
    /// The digest that `key` asks for.
    pub(in crate::gateway) fn for_key(key: &Key) -> Self {
        match Verification::for_key(key) {
            Verification::Digest(verifier) => Self::fresh(verifier),
            Verification::SizeOnly => Self::None,
            Verification::Impossible => Self::Lost,
        }
    }

    /// One that has seen what `verifier` has.
    pub(in crate::gateway) fn fresh(verifier: Verifier) -> Self {
        Self::resumed(verifier, 0)
    }

    /// The same, which was the first `at` bytes of the content.
    pub(in crate::gateway) fn resumed(verifier: Verifier, at: u64) -> Self {
        Self::Fresh(Box::new(Tap { verifier, at, saved: Vec::new() }))
    }

    /// What is computed, before anything was given to it; until there is another, the content counts as wrong. `None` where
    /// there is no digest.
    pub(in crate::gateway) fn take_fresh(&mut self) -> Option<Verifier> {
        match std::mem::replace(self, Self::Lost) {
            Self::Fresh(tap) => Some(tap.verifier),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Where whoever wants states of this digest says so before it begins. They are kept once that is given
    /// [back](Self::save).
    pub(in crate::gateway) fn savepoints(&self) -> Savepoints {
        let has_state = matches!(self, Self::Fresh(tap) if tap.verifier.save().is_some());
        Savepoints { has_state, asked: RefCell::default() }
    }

    /// Keeps the states that were asked for.
    pub(in crate::gateway) fn save(&mut self, savepoints: Savepoints) {
        if let Self::Fresh(tap) = self {
            tap.saved.extend(savepoints.asked.into_inner());
        }
    }

    /// Takes the next bytes. Waits for those before the last few.
    pub(in crate::gateway) async fn push(&mut self, block: Bytes) {
        if matches!(self, Self::Fresh(_))
            && let Self::Fresh(tap) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Belt(Belt::new(*tap));
        }
        if let Self::Belt(belt) = self
            && belt.push(block).await.is_err()
        {
            *self = Self::Lost;
        }
    }

    /// Waits until all that was pushed is hashed.
    pub(in crate::gateway) async fn settle(&mut self) {
        if matches!(self, Self::Belt(_))
            && let Self::Belt(belt) = std::mem::replace(self, Self::Lost)
            && let Ok(Some(tap)) = belt.finish().await
        {
            *self = Self::Fresh(Box::new(tap));
        }
    }

    /// Whether what it has seen, and `blocks` behind that, is the key's content. Hashes here and now: for pool threads, and
    /// where nothing was pushed.
    pub(in crate::gateway) fn proves(self, blocks: &[Bytes]) -> bool {
        match self {
            Self::None => true,
            Self::Fresh(mut tap) => {
                blocks.iter().for_each(|block| tap.verifier.update(block));
                tap.verifier.finish()
            }
            Self::Belt(_) | Self::Lost => false,
        }
    }

    /// Whether all that was pushed is the key's content.
    pub(in crate::gateway) async fn verdict(mut self) -> Result<bool, Failure> {
        self.settle().await;
        match self {
            Self::None => Ok(true),
            // Content of no length never was on a belt.
            Self::Fresh(tap) => blocking(move || tap.verifier.finish()).await,
            Self::Belt(_) | Self::Lost => Ok(false),
        }
    }
}

/// States of a digest that are asked for, by as many as like to at once.
pub struct Savepoints {
    /// Whether the digest has a state that could be kept.
    has_state: bool,
    asked: RefCell<Vec<Savepoint>>,
}

enum Savepoint {
    /// At every multiple of so many bytes from the start of the content.
    Every(u64, States),
    /// After so many bytes, once.
    Once(u64, Option<oneshot::Sender<Vec<u8>>>),
}

impl Savepoints {
    /// The states at every multiple of `step` bytes from the start of the content. `None` where there are none to be had.
    pub(in crate::gateway) fn every(&self, step: u64) -> Option<States> {
        if !self.has_state || step == 0 {
            return None;
        }
        let states = States::default();
        self.asked.borrow_mut().push(Savepoint::Every(step, states.clone()));
        Some(states)
    }

    /// The state after the first `at` bytes, which the digest has not seen yet. The channel is closed where there is none, and
    /// where the upload ends before.
    pub(in crate::gateway) fn once(&self, at: u64) -> oneshot::Receiver<Vec<u8>> {
        let (tell, state) = oneshot::channel();
        if self.has_state {
            self.asked.borrow_mut().push(Savepoint::Once(at, Some(tell)));
        }
        state
    }
}

impl Savepoint {
    /// Bytes from `at` to the next place, which is behind it.
    fn distance(&self, at: u64) -> Option<u64> {
        match self {
            Self::Every(step, _) => Some(step - at % step),
            Self::Once(place, _) => place.checked_sub(at).filter(|left| *left > 0),
        }
    }

    fn is_at(&self, at: u64) -> bool {
        match self {
            Self::Every(step, _) => at.is_multiple_of(*step),
            Self::Once(place, tell) => at == *place && tell.is_some(),
        }
    }

    fn keep(&mut self, at: u64, state: Vec<u8>) {
        match self {
            Self::Every(_, states) => states.add(at, state),
            // Whoever asked may be gone.
            Self::Once(_, tell) => drop(tell.take().map(|tell| tell.send(state))),
        }
    }
}

/// A digest, and its state at certain places.
pub struct Tap {
    pub(in crate::gateway) verifier: Verifier,
    at: u64,
    saved: Vec<Savepoint>,
}

impl Work for Tap {
    fn process(&mut self, mut block: &[u8]) -> io::Result<()> {
        while !block.is_empty() {
            let next = self.saved.iter().filter_map(|savepoint| savepoint.distance(self.at)).min();
            let next = usize::try_from(next.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            let (now, later) = block.split_at(next.min(block.len()));
            self.verifier.update(now);
            self.at += now.len() as u64;
            let at = self.at;
            let mut reached = self.saved.iter_mut().filter(|savepoint| savepoint.is_at(at)).peekable();
            if reached.peek().is_some()
                && let Some(state) = self.verifier.save()
            {
                reached.for_each(|savepoint| savepoint.keep(at, state.clone()));
            }
            block = later;
        }
        Ok(())
    }
}

/// States of a digest by where they were. Shared with the thread that hashes.
#[derive(Clone, Default)]
pub struct States(Arc<Mutex<Waiting>>);

/// States by the number of bytes before them, rising.
type Waiting = VecDeque<(u64, Vec<u8>)>;

/// Most states that wait to be asked for. A store is never that many steps behind.
const WAITING: usize = 64;

impl States {
    fn add(&self, at: u64, state: Vec<u8>) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if states.len() == WAITING {
            states.pop_front();
        }
        states.push_back((at, state));
    }

    /// The state after the first `at` bytes; those before it are forgotten. `None` where it is not there, or not yet.
    pub(in crate::gateway) fn take(&self, at: u64) -> Option<Vec<u8>> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while states.front().is_some_and(|(place, _)| *place < at) {
            states.pop_front();
        }
        if states.front()?.0 == at { states.pop_front().map(|(_, state)| state) } else { None }
    }
}
