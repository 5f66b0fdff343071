//! How often PROGRESS is sent. Time is an argument.

use std::time::Duration;

/// The least time between two reports: ten a second at most.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Decides when a transfer reports its progress: never more than ten times a second, and only when the count changed.
///
/// git-annex detects stalls by these reports, so they should come at least once a second while bytes move: ask
/// [`due`](Throttle::due) at least every 900 ms, also while a large part is on its way.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    last: Option<(Duration, u64)>,
}

impl Throttle {
    /// Nothing was reported yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of bytes to report now, if a report is due. `now` counts from any fixed moment.
    ///
    /// The first call with bytes reports at once; zero bytes are never the first report.
    pub fn due(&mut self, now: Duration, bytes: u64) -> Option<u64> {
        let due = match self.last {
            None => bytes > 0,
            Some((then, reported)) => bytes != reported && now.saturating_sub(then) >= INTERVAL,
        };
        if !due {
            return None;
        }
        self.last = Some((now, bytes));
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn reports_are_spaced_and_only_of_changes() {
        let mut throttle = Throttle::new();
        let calls = [(0, 0), (5, 10), (50, 20), (104, 30), (105, 30), (400, 30), (450, 31), (500, 32), (550, 32)];
        let seen: Vec<_> = calls.iter().filter_map(|(ms, bytes)| throttle.due(at(*ms), *bytes)).collect();
        assert_eq!(seen, [10, 30, 31, 32]);
    }

    #[test]
    fn a_count_that_falls_back_is_a_change() {
        let mut throttle = Throttle::new();
        assert_eq!(throttle.due(at(0), 100), Some(100));
        assert_eq!(throttle.due(at(200), 0), Some(0));
    }

    #[test]
    fn a_clock_that_goes_back_delays_and_does_not_panic() {
        let mut throttle = Throttle::new();
        assert_eq!(throttle.due(at(500), 1), Some(1));
        assert_eq!(throttle.due(at(100), 2), None);
        assert_eq!(throttle.due(at(600), 2), Some(2));
    }
}
