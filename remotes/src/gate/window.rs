//! How many requests of a store are under way side by side: any number, until it refuses some.
//!
//! Then as many as it did not refuse, one more for each round of answers (fewer where they are few), and fewer again with the next refusals. Where even one at a time is
//! too much, there are pauses between them. A pure function of what was answered.

use std::time::Duration;

/// The answers of a round are counted together; it has so many at the least.
const SHORTEST: u32 = 16;

/// One of so many may be refused, and two in any case: that is tried again after a pause, and nothing else changes.
const SPARE: u32 = 10;

/// Of those under way, what is kept at the most when too many are refused.
const KEPT: f64 = 0.85;

/// The fewest: so much of the time there is one.
const LEAST: f64 = 1.0 / 256.0;

/// So many answers it takes at the least to grow by what there is: a few are soon too many again.
const SLOWEST: f64 = 200.0;

/// The number, and what the requests of this round were answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// `None` where nothing was refused.
    most: Option<f64>,
    /// How often it was lowered.
    round: u64,
    told: Told,
    /// The round before, which may not have been answered to its end, and how many were under way in it.
    before: Told,
    beside: f64,
    /// How long an answer takes.
    took: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Told {
    asked: u32,
    refused: u32,
}

impl Told {
    fn count(&mut self, is_refused: bool) {
        self.asked += 1;
        self.refused += u32::from(is_refused);
    }

    fn is_too_much(self) -> bool {
        self.refused > 2 && self.refused.saturating_mul(SPARE) > self.asked
    }

    /// The part that is welcome. A few refusals do not prove that nothing is.
    fn welcome(self) -> f64 {
        let (asked, refused) = (f64::from(self.asked), f64::from(self.refused));
        ((asked - refused + 0.5) / (asked + 0.5)).min(KEPT)
    }
}

impl Window {
    /// How many may be under way; `None` for any number.
    pub(super) fn most(&self) -> Option<usize> {
        self.most.map(|most| (most as usize).max(1))
    }

    /// Whether one more may begin beside so many.
    pub(super) fn has_room(&self, under_way: usize) -> bool {
        self.most().is_none_or(|most| under_way < most)
    }

    /// Time from the beginning of one request to that of the next, where one at a time is too much.
    pub(super) fn pause(&self) -> Option<Duration> {
        let most = self.most.filter(|most| *most < 1.0)?;
        self.took.map(|took| took.div_f64(most))
    }

    /// What a request is to be remembered by that begins now.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// A request was answered, in such a time. `is_full` where it had to wait, or others wait.
    pub(super) fn answered(&mut self, round: u64, took: Duration, is_full: bool) {
        self.measure(took);
        if self.is_of_before(round, false) || round != self.round {
            return;
        }
        if let Some(most) = self.most.as_mut().filter(|_| is_full) {
            *most += (1.0 / *most).min(*most / SLOWEST);
        }
        self.told.count(false);
        self.end_round();
    }

    /// A request was refused for now, where so many were under way with it. True where the number is lowered for that.
    pub(super) fn refused(&mut self, round: u64, took: Duration, under_way: usize) -> bool {
        self.measure(took);
        if self.is_of_before(round, true) || round != self.round {
            return false;
        }
        self.told.count(true);
        if !self.told.is_too_much() {
            self.end_round();
            return false;
        }
        self.beside = self.most.unwrap_or(f64::INFINITY).min(under_way as f64);
        self.before = std::mem::take(&mut self.told);
        self.round += 1;
        self.lower();
        true
    }

    /// Whether a request is of the round for which the number was lowered last: then it tells by how much.
    fn is_of_before(&mut self, round: u64, is_refused: bool) -> bool {
        if round.checked_add(1) != Some(self.round) {
            return false;
        }
        self.before.count(is_refused);
        self.lower();
        true
    }

    fn lower(&mut self) {
        let welcome = (self.beside * self.before.welcome()).max(LEAST);
        // What this round has told counts more than the end of the one before.
        let is_first = self.told.asked == 0;
        self.most = Some(self.most.filter(|_| !is_first).map_or(welcome, |most| most.min(welcome)));
    }

    fn end_round(&mut self) {
        let enough = self.most().map_or(4 * SHORTEST, |most| u32::try_from(most).unwrap_or(u32::MAX).max(SHORTEST));
        if self.told.asked >= enough {
            // What comes in clumps is not to be cut at a place that tells the wrong thing.
            self.told = Told { asked: self.told.asked / 2, refused: self.told.refused / 2 };
        }
    }

    fn measure(&mut self, took: Duration) {
        self.took = Some(self.took.map_or(took, |before| (before * 7 + took) / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(30);

    fn answered(window: &mut Window, count: usize) {
        let round = window.round();
        (0..count).for_each(|_| window.answered(round, TOOK, true));
    }

    #[test]
    fn as_many_as_the_store_did_not_refuse() {
        // Under way; of one round those that were answered, then those that were refused: how many may be under way then.
        for (under_way, welcome, refused, most) in [
            (64, 100, 0, None),
            // By accident.
            (64, 0, 2, None),
            (64, 30, 3, None),
            // Too many, by a little, by half, by nearly all; a burst that was welcome, and no more.
            (64, 20, 3, Some(54)),
            (64, 32, 32, Some(32)),
            (64, 3, 61, Some(3)),
            (256, 11, 245, Some(11)),
            // One at a time, with pauses.
            (2, 0, 3, Some(1)),
        ] {
            let mut window = Window::default();
            answered(&mut window, welcome);
            let lowered = (0..refused).filter(|_| window.refused(0, TOOK, under_way)).count();
            assert_eq!(window.most(), most, "{under_way} {welcome} {refused}");
            assert_eq!(lowered, usize::from(most.is_some()), "once for the requests of one round");
        }
    }

    #[test]
    fn one_more_for_each_round_of_answers_where_others_wait() {
        let mut window = Window { most: Some(10.0), ..Window::default() };
        (0..200).for_each(|_| window.answered(0, TOOK, false));
        assert_eq!(window.most(), Some(10), "nobody waits");
        answered(&mut window, 21);
        assert_eq!(window.most(), Some(11), "a twentieth each");
        let mut window = Window { most: Some(20.0), ..Window::default() };
        answered(&mut window, 21);
        assert_eq!(window.most(), Some(21));
        answered(&mut window, 1000);
        assert_eq!(window.most(), Some(49), "the square root of twice as many");
        assert!(window.has_room(48) && !window.has_room(49));
    }

    #[test]
    fn what_began_long_before_tells_nothing() {
        let mut window = Window { most: Some(40.0), round: 7, ..Window::default() };
        assert!(!(0..40).any(|_| window.refused(5, TOOK, 40)));
        (0..40).for_each(|_| window.answered(5, TOOK, true));
        assert_eq!((window.most(), window.round()), (Some(40), 7));
    }

    #[test]
    fn where_one_at_a_time_is_too_much_there_are_pauses() {
        let mut window = Window::default();
        assert_eq!(window.pause(), None);
        for _ in 0..9 {
            let round = window.round();
            assert!((0..3).any(|_| window.refused(round, TOOK, 1)));
        }
        assert_eq!((window.most(), window.pause()), (Some(1), Some(TOOK * 256)), "it ends somewhere");
        answered(&mut window, 500);
        assert!(window.pause().expect("still") < TOOK * 32, "{:?}", window.pause());
        answered(&mut window, 1000);
        assert_eq!(window.pause(), None);
    }

    #[test]
    fn a_refusal_now_and_then_changes_nothing() {
        let mut window = Window::default();
        for nth in 0..100_000 {
            match nth % 50 {
                0 => assert!(!window.refused(0, TOOK, 64)),
                _ => window.answered(0, TOOK, true),
            }
        }
        assert_eq!(window.most(), None);
    }
}
