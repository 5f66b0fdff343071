//! How many ranges of one object are read side by side: more while that brings something, fewer when it does not.
//!
//! A store that is far away gives each connection so much and no more. One that is near gives one connection all it has, and
//! further ones cost memory and bring nothing. Nobody tells which it is, so it is tried: a number is kept for a while, and what
//! came by it is compared with what came by fewer.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Kind;

/// What came while a number of ranges were read.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Bytes that were handed on.
    pub bytes: u64,
    /// In how long.
    pub elapsed: Duration,
    /// For how much of that whoever takes them had to wait for them.
    pub waited: Duration,
}

/// What came since the last sample, from the first byte or wait on.
#[derive(Debug, Default)]
pub struct Seen {
    since: Option<Instant>,
    bytes: u64,
    waited: Duration,
}

impl Seen {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// So many bytes came.
    pub fn add(&mut self, bytes: u64) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += bytes;
    }

    /// They were waited for so long, until now.
    pub fn wait(&mut self, time: Duration) {
        self.since.get_or_insert_with(|| Instant::now().checked_sub(time).unwrap_or_else(Instant::now));
        self.waited += time;
    }

    /// All of it; the next sample begins now.
    pub fn take(&mut self) -> Sample {
        let now = Instant::now();
        let Self { since, bytes, waited } = std::mem::replace(self, Self { since: Some(now), ..Self::default() });
        Sample { bytes, elapsed: since.map_or(Duration::ZERO, |since| now - since), waited }
    }
}

/// One of so many requests may be refused: what is refused is tried again after a pause, and nothing else changes.
const SPARE: u32 = 10;

/// Requests to a store, and how many of them it refused for now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// All of them.
    pub asked: u32,
    /// Those that it refused.
    pub refused: u32,
}

impl Load {
    /// Whether the store refuses so many that fewer are to be sent: more than one, and more than it would by accident.
    pub fn is_too_much(self) -> bool {
        self.refused > 1 && self.refused.saturating_mul(SPARE) > self.asked
    }
}

/// Counts requests of one transfer; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    load: Rc<Cell<Load>>,
    failures: Rc<Cell<u32>>,
}

impl Requests {
    /// One is sent.
    pub fn ask(&self) {
        self.change(|load| load.asked = load.asked.saturating_add(1));
    }

    /// One failed, for this reason.
    pub fn failed(&self, kind: Kind) {
        self.failures.set(self.failures.get().saturating_add(1));
        if matches!(kind, Kind::Throttled | Kind::Unavailable) {
            self.change(|load| load.refused = load.refused.saturating_add(1));
        }
    }

    /// Those since they were forgotten.
    pub fn load(&self) -> Load {
        self.load.get()
    }

    /// Those that failed since then, for whatever reason.
    pub fn failures(&self) -> u32 {
        self.failures.get()
    }

    /// Counts anew.
    pub fn forget(&self) {
        self.load.take();
        self.failures.take();
    }

    fn change(&self, how: impl FnOnce(&mut Load)) {
        let mut load = self.load.get();
        how(&mut load);
        self.load.set(load);
    }
}

/// Below this part of the time in which it is waited for bytes, whoever takes them is what limits the transfer.
const FED: f64 = 0.1;

/// Twice as many ranges have to bring so many times as much, or fewer will do.
const GAIN: f64 = 1.3;

/// Samples for which a number is kept that is enough, before more are tried again.
const HOLD: u32 = 8;

/// How many ranges to read; see the [module](self). A pure function of what was measured.
#[derive(Debug, Clone)]
pub struct Width {
    least: usize,
    now: usize,
    /// What fewer brought, in bytes a second.
    before: Option<(usize, f64)>,
    hold: u32,
}

impl Width {
    /// Begins with `least` ranges, and never has fewer.
    pub fn new(least: usize) -> Self {
        let least = least.max(1);
        Self { least, now: least, before: None, hold: 0 }
    }

    /// Begins with `now`, where `least` brought `rate` bytes a second.
    pub fn after(least: usize, rate: f64, now: usize) -> Self {
        let least = least.max(1);
        Self { now: now.max(least), before: Some((least, rate)), ..Self::new(least) }
    }

    /// Begins with `now`, as many as was enough a while ago, where `least` brought `rate` bytes a second. Where they bring what they
    /// should, no more are tried for a while.
    pub fn known(least: usize, rate: f64, now: usize) -> Self {
        Self { hold: HOLD, ..Self::after(least, rate, now) }
    }

    /// How many to read now.
    pub fn now(&self) -> usize {
        self.now
    }

    /// The fewest that are ever read.
    pub fn least(&self) -> usize {
        self.least
    }

    /// Whether more than the least are read, or being tried.
    pub fn is_more(&self) -> bool {
        self.now > self.least
    }

    /// Takes note of what came, and chooses anew; at most `most`. How many were found to be enough, where that was told: those that
    /// brought what they should, or fewer; the least where more brought nothing.
    pub fn take(&mut self, sample: Sample, most: usize) -> Option<usize> {
        let mut enough = None;
        let most = most.max(self.least);
        let elapsed = sample.elapsed.as_secs_f64().max(1e-6);
        let rate = sample.bytes as f64 / elapsed;
        if sample.waited.as_secs_f64() < FED * elapsed {
            // More would only lie in memory.
            self.before = None;
            if sample.waited.is_zero() {
                self.now = (self.now - 1).max(self.least);
            }
        } else if let Some((fewer, least)) = self.before.take().filter(|(fewer, _)| *fewer < self.now) {
            let gain = GAIN.powf((self.now as f64 / fewer as f64).log2());
            if rate >= least * gain {
                enough = Some(self.now);
                self.hold_or_grow(rate, most);
            } else {
                // As many as what came needs: beside other transfers, six may bring what two would.
                let needed = (rate / least.max(1.0) * fewer as f64).round() as usize;
                self.now = needed.clamp(fewer, self.now);
                self.hold = HOLD;
                enough = Some(self.now);
            }
        } else {
            self.hold_or_grow(rate, most);
        }
        self.now = self.now.min(most);
        enough
    }

    /// The store refuses too many for now.
    pub fn back_off(&mut self) {
        self.before = None;
        self.now = (self.now / 2).max(self.least);
        self.hold = HOLD;
    }

    fn hold_or_grow(&mut self, rate: f64, most: usize) {
        if self.hold > 0 {
            self.hold -= 1;
        } else if self.now < most {
            self.before = Some((self.now, rate));
            self.now = (self.now * 2).min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that gives `each` MB/s a connection and `all` in all, and somebody who takes `client`.
    fn settled(each: f64, all: f64, client: f64, most: usize) -> (usize, f64) {
        let mut width = Width::new(1);
        let rate = |width: usize| (width as f64 * each).min(all).min(client);
        for _ in 0..40 {
            let given = rate(width.now());
            let is_fed = client <= given + 1e-9;
            let waited = if is_fed { Duration::ZERO } else { Duration::from_millis(800) };
            width.take(Sample { bytes: (given * 1e6) as u64, elapsed: Duration::from_secs(1), waited }, most);
        }
        (width.now(), rate(width.now()))
    }

    /// Beside others a transfer has a part of the line: it keeps as many as that part needs, and does not fall back to one.
    #[test]
    fn what_brought_less_than_hoped_leaves_as_many_as_it_needs() {
        for (part, first, left) in [(115.0, 6, 2), (65.0, 6, 1), (175.0, 6, 6), (61.0, 2, 1)] {
            let mut width = Width::after(1, 60e6, first);
            let (elapsed, waited) = (Duration::from_secs(1), Duration::from_millis(900));
            let said = width.take(Sample { bytes: (part * 1e6) as u64, elapsed, waited }, first);
            assert_eq!((width.now(), said), (left, Some(left)), "{part} MB/s by {first}");
        }
    }

    #[test]
    fn it_takes_what_there_is_and_no_more_connections_than_that_needs() {
        // MB/s a connection, in all, taken; at most so many; how many, at the least and at the most; MB/s at the least.
        for (each, all, client, most, range, least) in [
            (60.0, 1000.0, 1e9, 64, 16..=32, 950.0),
            (60.0, 1000.0, 1e9, 8, 8..=8, 470.0),
            (60.0, 1000.0, 200.0, 64, 1..=8, 60.0),
            (1200.0, 1200.0, 1e9, 64, 1..=2, 1200.0),
            (25.0, 100.0, 1e9, 64, 4..=8, 100.0),
            (90.0, 1e9, 1e9, 64, 64..=64, 5700.0),
        ] {
            let (width, rate) = settled(each, all, client, most);
            assert!(range.contains(&width), "{each} {all} {client} {most}: {width}");
            assert!(rate >= least, "{each} {all} {client} {most}: {rate}");
        }
    }

    #[test]
    fn what_was_enough_a_while_ago_is_kept_if_it_still_is() {
        let sample = |mb: u64| Sample {
            bytes: mb * 1_000_000,
            elapsed: Duration::from_secs(1),
            waited: Duration::from_millis(900),
        };
        let mut width = Width::known(1, 60e6, 24);
        assert_eq!((width.take(sample(980), 64), width.now()), (Some(24), 24));
        assert!((1..HOLD).all(|_| width.take(sample(980), 64).is_none() && width.now() == 24));
        assert_eq!((width.take(sample(980), 64), width.now()), (None, 48), "then more are tried");
        assert_eq!((width.take(sample(980), 64), width.now()), (Some(24), 24));
        let mut width = Width::known(1, 60e6, 24);
        assert_eq!((width.take(sample(120), 64), width.now()), (Some(2), 2), "the line gives less now");
        let mut width = Width::known(1, 60e6, 24);
        assert_eq!(width.take(sample(60), 64), Some(1));
        // Whoever takes it is slow: that tells nothing of the line.
        let mut width = Width::known(1, 60e6, 24);
        let fed = Sample { waited: Duration::ZERO, ..sample(60) };
        assert!((0..9).all(|_| width.take(fed, 64).is_none()) && width.now() == 15);
    }

    #[test]
    fn a_store_that_refuses_gets_fewer() {
        let mut width = Width::after(1, 60e6, 16);
        width.back_off();
        assert_eq!(width.now(), 8);
        (0..9).for_each(|_| width.back_off());
        assert_eq!((width.now(), width.is_more()), (1, false));
    }

    #[test]
    fn a_refusal_by_accident_is_no_reason_to_ask_less() {
        for (asked, refused, expected) in [(50, 1, false), (1, 1, false), (2, 2, true), (16, 2, true), (20, 2, false)] {
            assert_eq!(Load { asked, refused }.is_too_much(), expected, "{refused} of {asked}");
        }
        let requests = Requests::default();
        (0..3).for_each(|_| requests.clone().ask());
        [Kind::Throttled, Kind::Reset, Kind::Unavailable].into_iter().for_each(|kind| requests.failed(kind));
        assert_eq!((requests.load(), requests.failures()), (Load { asked: 3, refused: 2 }, 3));
        requests.forget();
        assert_eq!(requests.load(), Load::default());
    }

    #[test]
    fn fewer_places_are_kept_to_at_once() {
        let mut width = Width::after(1, 60e6, 16);
        width.take(Sample { bytes: 960_000_000, elapsed: Duration::from_secs(1), waited: Duration::from_secs(1) }, 4);
        assert_eq!(width.now(), 4);
    }

    #[test]
    fn what_brings_nothing_is_told_and_a_slow_client_is_not_taken_for_it() {
        let sample = |mb: u64, waited| Sample {
            bytes: mb * 1_000_000,
            elapsed: Duration::from_secs(1),
            waited: Duration::from_millis(waited),
        };
        let mut width = Width::after(1, 60e6, 6);
        assert!(width.take(sample(70, 900), 64) == Some(1) && !width.is_more());
        let mut width = Width::after(1, 60e6, 6);
        assert!((0..9).all(|_| width.take(sample(50, 0), 64).is_none()), "nobody waited for it");
        assert!(!width.is_more());
    }
}
