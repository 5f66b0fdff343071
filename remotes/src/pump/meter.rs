//! How many bytes have moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts the bytes of one transfer, from the object's first byte; read by whoever reports progress.
///
/// Cheap to clone; all clones count together. An attempt at a part counts on a [`Meter::child`], which can be taken back.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    /// Microseconds in which nothing was there to be moved.
    starved: AtomicU64,
    parent: Option<Meter>,
}

impl Meter {
    /// Starts at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// A meter that starts at zero and counts on this one too.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Count { parent: Some(self.clone()), ..Count::default() }))
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.bytes.fetch_add(n, Ordering::Relaxed);
        if let Some(parent) = &self.0.parent {
            parent.add(n);
        }
    }

    /// Counts time in which nothing was there to be moved, here alone.
    pub fn starve(&self, time: Duration) {
        self.0.starved.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All of that so far.
    pub fn starved(&self) -> Duration {
        Duration::from_micros(self.0.starved.load(Ordering::Relaxed))
    }

    /// Sets the count, where a transfer starts in the middle. Only for meters without a parent.
    pub fn set(&self, n: u64) {
        self.0.bytes.store(n, Ordering::Relaxed);
    }

    /// Takes all that was counted back, here and in the parents: what moved has to move again.
    pub fn undo(&self) {
        let n = self.0.bytes.swap(0, Ordering::Relaxed);
        let mut next = self.0.parent.as_ref();
        while let Some(parent) = next {
            parent.0.bytes.fetch_sub(n, Ordering::Relaxed);
            next = parent.0.parent.as_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_can_be_taken_back() {
        let all = Meter::new();
        let (a, b) = (all.child(), all.child());
        a.add(3);
        b.add(4);
        a.undo();
        assert_eq!((all.bytes(), a.bytes(), b.bytes()), (4, 0, 4));
        a.add(1);
        assert_eq!(all.bytes(), 5);
    }
}
