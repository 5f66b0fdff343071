//! The digest of an upload, computed beside it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

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
        Self::Fresh(Box::new(Tap { verifier, at: 0, steps: Vec::new() }))
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

    /// Keeps the state of the digest at every multiple of `step` bytes from the start of the content, of which `at` bytes
    /// were seen before. `None` where this digest has no state that could be kept.
    pub(in crate::gateway) fn keep_states(&mut self, at: u64, step: u64) -> Option<States> {
        let Self::Fresh(tap) = self else { return None };
        if tap.verifier.save().is_none() || step == 0 {
            return None;
        }
        let states = States::default();
        tap.at = at;
        tap.steps.push((step, states.clone()));
        Some(states)
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

/// A digest, and its state at certain places.
pub struct Tap {
    pub(in crate::gateway) verifier: Verifier,
    at: u64,
    /// For each who saves its state: at every multiple of so many bytes.
    steps: Vec<(u64, States)>,
}

impl Work for Tap {
    fn process(&mut self, mut block: &[u8]) -> io::Result<()> {
        while !block.is_empty() {
            let to_step = self.steps.iter().map(|(step, _)| step - self.at % step).min().unwrap_or(u64::MAX);
            let to_step = usize::try_from(to_step).unwrap_or(usize::MAX);
            let (now, later) = block.split_at(to_step.min(block.len()));
            self.verifier.update(now);
            self.at += now.len() as u64;
            let mut reached = self.steps.iter().filter(|(step, _)| self.at.is_multiple_of(*step)).peekable();
            if reached.peek().is_some()
                && let Some(state) = self.verifier.save()
            {
                reached.for_each(|(_, states)| states.add(self.at, state.clone()));
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
