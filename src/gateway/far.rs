//! Content of a store that may be far away: where one connection is not all that can be had, others are opened ahead of it.
//!
//! It begins on one, from its first byte, as content does that is near. Once whoever takes it has waited for it for a while, the
//! bytes from a little further on are read by several, and the first connection is left when it comes there.

use std::rc::Rc;
use std::time::Duration;

use remotes::connections::Transfer;
use remotes::retrieve::{Ahead, Ranges, Width};

/// For how long it is looked how fast one connection is, at the least, and how many bytes come.
const LOOK: (Duration, u64) = (Duration::from_millis(40), 1 << 20);

/// One connection that gives so many bytes a second is enough.
const NEAR: f64 = 150e6;

/// After so many looks in a row that found it slow it is: a store that is near may be slow to begin.
const SLOW: u32 = 2;

/// What would be over on one connection in so long is left to it.
const SOON: Duration = Duration::from_millis(200);

/// Ranges that are read side by side at first.
const FIRST: usize = 6;

/// The first connection is left behind what it brings in so long: others take about that to bring something.
const LEAD: Duration = Duration::from_millis(150);

/// Shorter content is left to one connection, and counts as no transfer beside others.
const LARGE: u64 = 4 << 20;

/// Bytes that are passed on between two looks.
const PIECE: u64 = 1 << 20;

/// The same while one connection is enough, or no more can be had.
const LONG_PIECE: u64 = 8 << 20;

/// How content can be had from elsewhere than the connection it begins on.
pub struct Far {
    of: Ranges,
    transfer: Rc<Transfer>,
    bytes: u64,
    elapsed: Duration,
    waited: Duration,
    /// How many looks in a row found it slow.
    slow: u32,
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
        let may = len >= LARGE && can.ranges && !can.local && can.width > 1 && of.tag.is_some();
        may.then(|| {
            let transfer = Rc::new(of.context.connections.enter());
            Self { of, transfer, bytes: 0, elapsed: Duration::ZERO, waited: Duration::ZERO, slow: 0, is_settled: false }
        })
    }

    /// How many bytes to pass on before the next [`look`](Self::look).
    pub fn piece(&self) -> u64 {
        if self.is_settled { LONG_PIECE } else { PIECE }
    }

    /// `bytes` were passed on in `elapsed`, in which it was waited for them for so long; all up to `at` of `end` are. Whether
    /// other connections are to take over.
    pub fn look(&mut self, bytes: u64, elapsed: Duration, waited: Duration, at: u64, end: u64) -> Option<Takeover> {
        self.bytes += bytes;
        self.elapsed += elapsed;
        self.waited += waited;
        if self.elapsed < LOOK.0 || self.bytes < LOOK.1 {
            return None;
        }
        let rate = self.bytes as f64 / self.elapsed.as_secs_f64();
        let is_slow = rate < NEAR && self.waited * 2 > self.elapsed;
        self.slow = if is_slow { self.slow + 1 } else { 0 };
        (self.bytes, self.elapsed, self.waited) = (0, Duration::ZERO, Duration::ZERO);
        let lead = (rate * LEAD.as_secs_f64()) as u64;
        let from = at.saturating_add(lead.max(PIECE));
        let left = end.saturating_sub(from) as f64 / rate;
        let may = self.transfer.is_worth_trying() && self.of.context.budget.is_roomy();
        self.is_settled = !is_slow || left < SOON.as_secs_f64() || !may;
        if self.is_settled || self.slow < SLOW {
            return None;
        }
        let width = Width::after(1, rate, FIRST.min(self.transfer.share()));
        let mut ahead = Ahead::between(self.of.clone(), from, end, width, Rc::clone(&self.transfer));
        ahead.prefetch();
        Some(Takeover { at: from, ahead })
    }

    /// The bytes from `at` to `end`, where the connection it began on broke: by others, of which one that breaks is replaced.
    pub fn again(self, at: u64, end: u64) -> Ahead {
        Ahead::between(self.of, at, end, Width::new(1), self.transfer)
    }
}
