//! How many steps of an export are done side by side: as many as the store takes.
//!
//! It begins with what is asked for, tries twice as many, and keeps to them where they bring more. Where the store refuses too many
//! requests, half as many are done.

use std::time::Duration;

use remotes::connections::Connections;
use remotes::retrieve::{Load, Sample, Seen, Width};

/// Where the store refuses more, no fewer are done than these.
const LEAST: usize = 4;

/// A number that changes with what comes of it.
pub(super) struct Concurrency<'a> {
    width: Width,
    most: usize,
    seen: Seen,
    connections: &'a Connections,
    /// Refusals of the store when the number was chosen last.
    refused: u64,
}

impl<'a> Concurrency<'a> {
    /// Begins with `now`; `is_fixed` where that is what there is.
    pub(super) fn new(now: usize, is_fixed: bool, connections: &'a Connections) -> Self {
        let (width, most) = match is_fixed {
            true => (Width::new(now), now),
            // What fewer bring was not seen.
            false => (Width::after(LEAST, 0.0, now), connections.most().max(now)),
        };
        Self { width, most, seen: Seen::default(), connections, refused: connections.refused() }
    }

    /// How many to do now.
    pub(super) fn now(&self) -> usize {
        self.width.now()
    }

    /// One is done, after it was waited for so long that any is.
    pub(super) fn done(&mut self, waited: Duration) {
        self.seen.wait(waited);
        self.seen.add(1);
        let refused = self.connections.refused();
        let load = load(self.seen.bytes(), refused - self.refused);
        if load.is_too_much() || self.seen.bytes() >= self.width.now() as u64 {
            let sample = self.seen.take();
            self.choose(load, sample);
            self.refused = refused;
        }
    }

    fn choose(&mut self, load: Load, sample: Sample) {
        if load.is_too_much() {
            self.width.back_off();
        } else {
            self.width.take(sample, self.most);
        }
    }
}

/// Those that were done, and those that were refused; each of these was asked once more.
fn load(done: u64, refused: u64) -> Load {
    let short = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Load { asked: short(done.saturating_add(refused)), refused: short(refused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that does `most` requests at a time, each in 30 ms, and refuses those above `welcome`: how many are done side by side at
    /// last, and which part of all was refused.
    fn settled(begin: usize, is_fixed: bool, most: usize, welcome: usize) -> (usize, f64) {
        let connections = Connections::new(64);
        let mut concurrency = Concurrency::new(begin, is_fixed, &connections);
        let (mut asked, mut refused) = (0, 0);
        for _ in 0..200 {
            let now = concurrency.now();
            let done = now.min(welcome) as u64;
            let elapsed = Duration::from_millis(30).mul_f64((now as f64 / most as f64).max(1.0));
            let sample = Sample { bytes: done, elapsed, waited: elapsed };
            let load = load(done, now.saturating_sub(welcome) as u64);
            (asked, refused) = (asked + load.asked, refused + load.refused);
            concurrency.choose(load, sample);
        }
        (concurrency.now(), f64::from(refused) / f64::from(asked))
    }

    #[test]
    fn as_many_are_done_as_the_store_takes() {
        for (begin, is_fixed, most, welcome, range) in [
            (32, false, 1000, 1000, 64..=64),
            // It has room for no more than that, and more bring nothing.
            (32, false, 32, 1000, 32..=64),
            // It refuses what comes above, which is tried again now and then.
            (32, false, 1000, 20, 4..=32),
            (32, false, 1000, 5, 4..=8),
            // A disk here, or a test that wants no others.
            (4, true, 1000, 1000, 4..=4),
            (1, true, 1000, 1000, 1..=1),
        ] {
            let (now, refused) = settled(begin, is_fixed, most, welcome);
            assert!(range.contains(&now), "{begin} {is_fixed} {most} {welcome}: {now}");
            assert!(refused <= 0.12, "{begin} {is_fixed} {most} {welcome}: {refused} refused");
        }
    }

    #[test]
    fn what_the_store_refuses_is_heard_of() {
        let connections = Connections::new(64);
        let mut concurrency = Concurrency::new(32, false, &connections);
        (0..20).for_each(|_| connections.refuse());
        concurrency.done(Duration::from_millis(30));
        assert_eq!(concurrency.now(), 16);
    }
}
