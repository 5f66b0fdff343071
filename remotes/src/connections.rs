//! How many connections each transfer of a store may have, and how many have brought anything.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Connections to one store where nothing else is said.
pub const DEFAULT: usize = 64;

/// For how long one connection is taken to be enough, after more have brought nothing.
const ENOUGH: Duration = Duration::from_secs(30);

/// For how long a number of connections that brought what it should is begun with.
const KNOWN: Duration = Duration::from_secs(120);

/// Shared by all transfers of one store, on all threads.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    transfers: AtomicUsize,
    /// Requests that the store refused for now.
    refused: AtomicU64,
    begun: Instant,
    /// Until when one is enough, in milliseconds since `begun`.
    enough_until: AtomicU64,
    known: Mutex<Option<Known>>,
}

/// Connections that brought what they should.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// So many for all transfers together.
    all: usize,
    /// When, in milliseconds since the beginning.
    at: u64,
}

/// A transfer that may have several connections; over when dropped.
#[derive(Debug)]
pub struct Transfer(Arc<Connections>);

impl Connections {
    /// At most so many, but for the one that each transfer has in any case.
    pub fn new(most: usize) -> Self {
        let (transfers, refused, enough_until) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let known = Mutex::default();
        Self { most, transfers, refused, begun: Instant::now(), enough_until, known }
    }

    /// How many there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The store refused a request for now.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that the store refused for now, so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Another transfer begins.
    pub fn enter(self: &Arc<Self>) -> Transfer {
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Transfer(Arc::clone(self))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Transfer {
    /// How many connections it may have now: each transfer as many as any other.
    pub fn share(&self) -> usize {
        (self.0.most / self.0.transfers.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// How many transfers there are, at least this one.
    pub fn count(&self) -> u64 {
        self.0.transfers.load(Ordering::Relaxed).max(1) as u64
    }

    /// Whether it may be worth while to try more than one.
    pub fn is_worth_trying(&self) -> bool {
        self.share() > 1 && self.0.now() >= self.0.enough_until.load(Ordering::Relaxed)
    }

    /// More than one brought nothing.
    pub fn one_is_enough(&self) {
        let until = self.0.now().saturating_add(ENOUGH.as_millis() as u64);
        self.0.enough_until.store(until, Ordering::Relaxed);
        *self.known() = None;
    }

    /// So many brought what they should.
    pub fn learn(&self, connections: usize) {
        let all = connections.saturating_mul(self.0.transfers.load(Ordering::Relaxed).max(1));
        *self.known() = Some(Known { all: all.min(self.0.most), at: self.0.now() });
    }

    /// How many to begin with, where that was learnt a while ago: its part of them.
    pub fn learnt(&self) -> Option<usize> {
        let known = (*self.known()).filter(|known| self.0.now().saturating_sub(known.at) < KNOWN.as_millis() as u64)?;
        let part = known.all.div_ceil(self.0.transfers.load(Ordering::Relaxed).max(1));
        Some(part.min(self.share())).filter(|part| *part > 1)
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        // Held for a copy.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.transfers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transfer_has_its_share() {
        let all = Arc::new(Connections::new(8));
        let one = all.enter();
        assert_eq!(one.share(), 8);
        let more: Vec<Transfer> = (0..3).map(|_| all.enter()).collect();
        assert_eq!((one.share(), more[0].share()), (2, 2));
        let crowd: Vec<Transfer> = (0..30).map(|_| all.enter()).collect();
        assert_eq!((one.share(), one.is_worth_trying()), (1, false));
        drop((more, crowd));
        assert_eq!((one.share(), one.is_worth_trying()), (8, true));
        one.one_is_enough();
        assert!(!one.is_worth_trying());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learnt_is_shared_and_forgotten() {
        let all = Arc::new(Connections::new(64));
        let one = all.enter();
        assert_eq!(one.learnt(), None);
        one.learn(24);
        assert_eq!(one.learnt(), Some(24));
        let more: Vec<Transfer> = (0..3).map(|_| all.enter()).collect();
        assert_eq!((one.learnt(), more[0].learnt()), (Some(6), Some(6)), "as many in all");
        more[0].learn(40);
        assert_eq!(one.learnt(), Some(16), "no more than there may be");
        drop(more);
        let crowd: Vec<Transfer> = (0..63).map(|_| all.enter()).collect();
        assert_eq!(one.learnt(), None, "each has one");
        drop(crowd);
        tokio::time::advance(KNOWN).await;
        assert_eq!(one.learnt(), None, "the line may be another one now");
        one.learn(8);
        one.one_is_enough();
        assert_eq!(one.learnt(), None);
    }
}
