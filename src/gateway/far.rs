//! Content of a store that may be far away: where one connection is not all that can be had, others are opened ahead of it.
//!
//! It begins on one, from its first byte, as content does that is near. Once whoever takes it has waited for it for a while, the
//! bytes from a little further on are read by several, and the first connection is left when it comes there.

use std::rc::Rc;
use std::time::Duration;

use remotes::connections::Transfer;
use remotes::doctor::line::Line;
use remotes::is_strong;
use remotes::retrieve::{Ahead, FAR_RANGE, Ranges, Width};

/// One connection that gives so many bytes a second is enough.
const NEAR: f64 = 150e6;

/// So many pieces in a row, which take at least so long, have to be slow. A store that is near stalls now and then for as long, but
/// what comes after that is fast.
const SLOW: (u32, Duration) = (4, Duration::from_millis(40));

/// The same of a store of which it was learnt a while ago that one connection is not all.
const SLOW_AGAIN: (u32, Duration) = (1, Duration::from_millis(10));

/// After so many pieces in a row that were not, longer ones are passed on.
const FAST: u32 = 8;

/// What would be over on one connection in so long is left to it.
const SOON: Duration = Duration::from_millis(200);

/// Ranges that are read side by side at first.
const FIRST: usize = 6;

/// The first connection is left behind what it brings in so long: others take about that to bring something.
const LEAD: Duration = Duration::from_millis(150);

/// Shorter content is left to one connection, and counts as no transfer beside others.
const LARGE: u64 = 4 << 20;

/// What more connections have to bring, so many times as much, to be of use.
const MORE: f64 = 1.3;

/// Bytes of a piece.
const PIECE: u64 = 1 << 20;

/// The same while one connection is enough, or no more can be had.
const LONG_PIECE: u64 = 8 << 20;

/// The pieces in a row that were slow.
#[derive(Default)]
struct SlowPieces {
    count: u32,
    bytes: u64,
    elapsed: Duration,
    /// How many in a row were not.
    fast: u32,
}

impl SlowPieces {
    /// A piece of `bytes` was passed on in `elapsed`, in which it was waited for them for so long. Gives the bytes a second of the
    /// connection where it is a slow one: with `enough` of them.
    fn take(&mut self, bytes: u64, elapsed: Duration, waited: Duration, enough: (u32, Duration)) -> Option<f64> {
        let is_slow = (bytes as f64) < NEAR * elapsed.as_secs_f64() && waited * 2 > elapsed;
        if !is_slow {
            *self = Self { fast: self.fast + 1, ..Self::default() };
            return None;
        }
        (self.count, self.bytes, self.elapsed, self.fast) =
            (self.count + 1, self.bytes + bytes, self.elapsed + elapsed, 0);
        let is_enough = self.count >= enough.0 && self.elapsed >= enough.1;
        is_enough.then(|| self.bytes as f64 / self.elapsed.as_secs_f64())
    }
}

/// How content can be had from elsewhere than the connection it begins on.
pub struct Far {
    of: Ranges,
    transfer: Rc<Transfer>,
    slow: SlowPieces,
    /// No more can be had.
    is_settled: bool,
}

/// Where other connections take over.
pub struct Takeover {
    /// The first byte that comes from them, counted from the beginning of the content.
    pub at: u64,
    /// They are reading already.
    pub ahead: Ahead,
}

impl Far {
    /// `len` bytes `of` an object which is known by its tag; `None` where more connections are of no use.
    pub(super) fn new(of: Ranges, len: u64) -> Option<Self> {
        let can = of.store.capabilities();
        let may = len >= LARGE && can.ranges && !can.local && can.width > 1 && of.tag.as_deref().is_some_and(is_strong);
        may.then(|| {
            let transfer = Rc::new(of.context.connections.enter());
            Self { of, transfer, slow: SlowPieces::default(), is_settled: false }
        })
    }

    /// How many bytes to pass on before the next [`look`](Self::look).
    pub fn piece(&self) -> u64 {
        if self.is_settled || self.slow.fast >= FAST { LONG_PIECE } else { PIECE }
    }

    /// `bytes` were passed on in `elapsed`, in which it was waited for them for so long; all up to `at` of `end` are. Whether
    /// other connections are to take over.
    pub fn look(&mut self, bytes: u64, elapsed: Duration, waited: Duration, at: u64, end: u64) -> Option<Takeover> {
        let learnt = self.transfer.learnt();
        let rate = self.slow.take(bytes, elapsed, waited, if learnt.is_some() { SLOW_AGAIN } else { SLOW })?;
        let lead = (rate * LEAD.as_secs_f64()) as u64;
        let from = at.saturating_add(lead.max(PIECE));
        let left = end.saturating_sub(from) as f64 / rate;
        let may = self.transfer.is_worth_trying() && self.of.context.budget.is_roomy();
        self.is_settled = left < SOON.as_secs_f64() || !may;
        if self.is_settled {
            return None;
        }
        let width = match learnt {
            Some(learnt) => Width::known(1, rate, learnt),
            None => Width::after(1, rate, FIRST.min(self.transfer.share())),
        };
        let mut ahead = Ahead::between(self.of.clone(), from, end, width, Rc::clone(&self.transfer));
        ahead.prefetch();
        Some(Takeover { at: from, ahead })
    }

    /// The bytes from `at` to `end`, where the connection it began on broke: by others, of which one that breaks is replaced.
    pub fn again(self, at: u64, end: u64) -> Ahead {
        Ahead::between(self.of, at, end, Width::new(1), self.transfer)
    }
}

/// What limits transfers with a store, as far as its line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// One connection is as fast as any transfer needs.
    Near,
    /// Several connections bring no more than one.
    Line,
    /// Several bring more, up to a limit of the store or the line.
    Several,
    /// Each connection has its share, and sixteen are not all yet.
    Connection,
}

/// What is done with a store whose line was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospect {
    /// What limits transfers.
    pub wall: Wall,
    /// Connections that bring all that was seen.
    pub connections: usize,
    /// Memory that they need, in bytes, which is half of the budget at the most.
    pub memory: u64,
}

impl Prospect {
    /// A pure function of the measurements.
    pub fn of(line: &Line) -> Self {
        let all = line.one.max(line.four).max(line.sixteen);
        let wall = if line.one >= NEAR {
            Wall::Near
        } else if all <= line.one * MORE {
            Wall::Line
        } else if line.sixteen < line.four * MORE {
            Wall::Several
        } else {
            Wall::Connection
        };
        if matches!(wall, Wall::Near | Wall::Line) {
            return Self { wall, connections: 1, memory: 0 };
        }
        // Each waits a round trip for each range.
        let waiting = 1.0 + line.round_trip / 1e3 * line.one / FAR_RANGE as f64;
        let connections = (all / line.one * waiting).ceil() as usize;
        Self { wall, connections, memory: connections as u64 * FAR_RANGE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_gives_tells_what_is_done_with_it() {
        let mb = |[round_trip, one, four, sixteen]: [f64; 4]| Line {
            round_trip,
            one: one * 1e6,
            four: four * 1e6,
            sixteen: sixteen * 1e6,
        };
        for (figures, wall, connections) in [
            ([1.0, 900.0, 1000.0, 1000.0], Wall::Near, 1),
            // A house with a line of 100 Mbit/s.
            ([20.0, 12.0, 12.0, 11.0], Wall::Line, 1),
            ([30.0, 60.0, 240.0, 250.0], Wall::Several, 6),
            ([30.0, 60.0, 240.0, 960.0], Wall::Connection, 23),
            // Nothing came.
            ([30.0, 0.0, 0.0, 0.0], Wall::Line, 1),
        ] {
            let prospect = Prospect::of(&mb(figures));
            assert_eq!((prospect.wall, prospect.connections), (wall, connections), "{figures:?}");
        }
    }

    #[test]
    fn a_store_that_stalls_now_and_then_is_near_and_one_that_is_always_slow_is_far() {
        let (near, far, stalled) = ((1, 1), (17, 17), (90, 90));
        // Whoever takes it is slow, and waits for nothing.
        let held_up = (17, 0);
        let after = |pieces: &[(u64, u64)]| {
            let mut slow = SlowPieces::default();
            let ms = Duration::from_millis;
            let mut takes = pieces.iter().map(|(elapsed, waited)| slow.take(PIECE, ms(*elapsed), ms(*waited), SLOW));
            takes.position(|rate| rate.is_some()).map(|at| at + 1)
        };
        assert_eq!(after(&[far; 9]), Some(4));
        // What came before anybody looked is there at once.
        assert_eq!(after(&[near, near, far, far, far, far]), Some(6));
        assert_eq!(after(&[stalled, near, stalled, stalled, near, stalled, stalled, stalled, near]), None);
        assert_eq!(after(&[near; 50]), None);
        assert_eq!(after(&[held_up; 50]), None);
        // Four that are hardly slow are too short a time to tell.
        assert_eq!(after(&[(8, 8); 9]), Some(5));
        let (mut slow, piece) = (SlowPieces::default(), Duration::from_millis(17));
        assert!(slow.take(PIECE, piece, piece, SLOW_AGAIN).is_some(), "where that is known it is seen by the first");
    }
}
