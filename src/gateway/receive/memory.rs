//! Sinks in memory, for tests of uploads.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Savepoints, Settled, Sink, States};
use crate::annex::backend::Verifier;
use crate::gateway::{Failure, FailureKind};
use crate::name::Key;

/// What became of a place.
#[derive(Default)]
pub(super) struct Kept {
    /// What it has.
    pub(super) content: Vec<u8>,
    /// The digest's state with it, where it saves states.
    pub(super) states: Vec<(u64, Vec<u8>)>,
    saves: Option<States>,
    pub(super) ended: Option<&'static str>,
    last: Option<Bytes>,
}

/// How a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// At every so many bytes it saves the state of the digest, and goes on from those places alone.
    pub(super) step: u64,
    /// It is full once it has so many.
    pub(super) room: usize,
    /// It breaks once it has so many.
    pub(super) breaks: usize,
    /// It takes nothing any more once it has so many.
    pub(super) stalls: usize,
    /// It fails to commit.
    pub(super) fails: bool,
    /// It takes so long for each block.
    pub(super) slow: Duration,
    /// It keeps the last block until the next one, or until it is told to let go of it.
    pub(super) keeps: bool,
    pub(super) proves: bool,
}

impl Default for Manner {
    fn default() -> Self {
        let never = usize::MAX;
        Self {
            step: 0,
            room: never,
            breaks: never,
            stalls: never,
            fails: false,
            slow: Duration::ZERO,
            keeps: false,
            proves: false,
        }
    }
}

/// A place in memory.
pub(super) struct MemorySink {
    pub(super) key: Key,
    pub(super) place: Rc<RefCell<Kept>>,
    pub(super) manner: Manner,
}

impl MemorySink {
    fn end(&self, how: &'static str) {
        let before = self.place.borrow_mut().ended.replace(how);
        assert_eq!(before, None, "a sink ends once");
    }

    /// A store keeps what has reached a mark, and no more.
    fn take_states(&self) {
        let (mut place, step) = (self.place.borrow_mut(), self.manner.step);
        let (reached, saves) = (place.content.len() as u64, place.saves.clone());
        if step == 0 {
            return;
        }
        let first = place.states.last().map_or(0, |(at, _)| *at) + step;
        for at in (first..=reached).step_by(step as usize) {
            if let Some(state) = saves.as_ref().and_then(|saves| saves.take(at)) {
                place.states.push((at, state));
            }
        }
    }

    /// What is there once it was let go of.
    fn settle(&self) {
        self.take_states();
        let mut place = self.place.borrow_mut();
        if self.manner.step > 0 {
            let marked = place.states.last().map_or(0, |(at, _)| *at as usize);
            place.content.truncate(marked);
        }
    }
}

#[async_trait(?Send)]
impl Sink for MemorySink {
    fn offset(&self) -> u64 {
        self.place.borrow().content.len() as u64
    }

    fn proves(&self) -> bool {
        self.manner.proves
    }

    fn saved_state(&self) -> Option<Vec<u8>> {
        let place = self.place.borrow();
        let last = place.states.last().filter(|(at, _)| *at == place.content.len() as u64);
        last.map(|(_, state)| state.clone())
    }

    async fn digested(&mut self, from: u64, mut fresh: Verifier) -> Result<Option<Verifier>, Failure> {
        let place = self.place.borrow();
        if self.manner.step > 0 {
            let saved = place.states.iter().find(|(at, _)| *at == from);
            return Ok(saved.and_then(|(_, state)| Verifier::restore(&self.key, state)));
        }
        fresh.update(&place.content[..from as usize]);
        Ok(Some(fresh))
    }

    async fn begin(&mut self, from: u64, _: u64, savepoints: &Savepoints) -> Result<(), Failure> {
        let mut place = self.place.borrow_mut();
        assert!(self.manner.step == 0 || from == 0 || from == place.content.len() as u64, "a store begins at a mark");
        place.content.truncate(from as usize);
        place.states.retain(|(at, _)| *at <= from);
        place.saves = savepoints.every(self.manner.step);
        Ok(())
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        let len = self.place.borrow().content.len() + block.len();
        if len > self.manner.stalls {
            std::future::pending::<()>().await;
        }
        if len > self.manner.room {
            return Err(Failure::new(FailureKind::Full, "no room".to_string()));
        }
        if len > self.manner.breaks {
            return Err(Failure::internal("it broke".to_string()));
        }
        if !self.manner.slow.is_zero() {
            tokio::time::sleep(self.manner.slow).await;
        }
        self.place.borrow_mut().content.extend_from_slice(&block);
        if self.manner.keeps {
            self.place.borrow_mut().last = Some(block);
        }
        self.take_states();
        Ok(())
    }

    async fn pause(&mut self) -> Result<(), Failure> {
        self.place.borrow_mut().last = None;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Settled, Failure> {
        if self.manner.fails {
            self.settle();
            return Err(Failure::internal("it does not commit".to_string()));
        }
        self.end("committed");
        Ok(Settled::Stored(Vec::new()))
    }

    async fn keep(self: Box<Self>) -> Result<(), Failure> {
        self.end("kept");
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        let mut place = self.place.borrow_mut();
        place.content.clear();
        place.states.clear();
        drop(place);
        self.end("discarded");
        Ok(())
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        self.place.borrow_mut().last = None;
        if !matches!(self.place.borrow().ended, Some("committed" | "discarded")) {
            self.settle();
        }
    }
}

pub(super) fn key_of(content: &[u8]) -> Key {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Key::parse(format!("SHA256-s{}--{digest}", content.len()).as_bytes()).expect("a key")
}

pub(super) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

/// Runs it and all tasks it starts, on a clock that moves on once all of them wait.
pub(super) fn run<T>(f: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let local = tokio::task::LocalSet::new();
    runtime.expect("a runtime").block_on(async {
        let done = local.run_until(f).await;
        local.await;
        done
    })
}
