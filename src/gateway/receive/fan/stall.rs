//! Which stalled legs are let go, decided without a clock.

use std::time::Duration;

use tokio::time::Instant;

/// How a leg is doing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// The others wait until it takes something.
    pub(super) is_waited_for: bool,
    /// When it last took something.
    pub(super) moved: Instant,
    /// For how long it may take nothing.
    pub(super) patience: Duration,
}

/// For how long a leg may take nothing where a silent sender is given up after `idle`: less than that, since whoever receives from
/// here gets nothing meanwhile; and less than the gateway before this one waits for it, which is one hop further away.
pub(super) fn patience(idle: Duration, hops: u32) -> Duration {
    idle - idle / (4 << hops.min(8))
}

/// What is to be done about legs that are waited for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// Nobody is waited for.
    Free,
    /// Those are let go, by their place.
    LetGo(Vec<usize>),
    /// Look again at this moment.
    Wait(Instant),
}

/// A leg that took nothing for its patience is let go while another takes what comes, or has taken something more lately. Where
/// all of them stall alike that may be the machine's fault, and they have twice the time.
pub(super) fn stall(legs: &[Standing], now: Instant) -> Stall {
    let silent = |leg: &Standing| now.saturating_duration_since(leg.moved);
    let waited_for = || legs.iter().enumerate().filter(|(_, leg)| leg.is_waited_for);
    if waited_for().next().is_none() {
        return Stall::Free;
    }
    let others_move = legs.iter().any(|leg| !leg.is_waited_for || silent(leg) < leg.patience);
    let limit = |leg: &Standing| if others_move { leg.patience } else { leg.patience * 2 };
    let stalled = waited_for().filter(|(_, leg)| silent(leg) >= limit(leg));
    let stalled: Vec<usize> = stalled.map(|(place, _)| place).collect();
    if !stalled.is_empty() {
        return Stall::LetGo(stalled);
    }
    let next = waited_for().map(|(_, leg)| leg.moved + limit(leg)).min();
    Stall::Wait(next.unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_on_the_way_is_waited_for_longer_and_none_as_long_as_a_silent_sender() {
        let idle = Duration::from_secs(60);
        let all: Vec<Duration> = (0..12).map(|hops| patience(idle, hops)).collect();
        assert_eq!(all[..3], [45_000, 52_500, 56_250].map(Duration::from_millis));
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1]) && all.iter().all(|limit| *limit < idle));
        assert_eq!(patience(Duration::ZERO, 3), Duration::ZERO);
    }

    #[test]
    fn who_stalls_is_let_go_and_who_is_slow_is_not() {
        let begun = Instant::now();
        let at = |second: u64| begun + Duration::from_secs(second);
        let patience = Duration::from_secs(60);
        let leg = |is_waited_for: bool, moved: u64| Standing { is_waited_for, moved: at(moved), patience };
        let patient = |moved: u64| Standing { patience: Duration::from_secs(70), ..leg(true, moved) };
        for (legs, now, due) in [
            (vec![leg(false, 0), leg(false, 0)], 1000, Stall::Free),
            (vec![leg(true, 5), leg(false, 0)], 64, Stall::Wait(at(65))),
            (vec![leg(true, 5), leg(false, 0)], 65, Stall::LetGo(vec![0])),
            // Both have much to take, and one does.
            (vec![leg(true, 99), leg(true, 0)], 100, Stall::LetGo(vec![1])),
            (vec![leg(true, 0), leg(true, 99), leg(true, 1)], 100, Stall::LetGo(vec![0, 2])),
            // All alike.
            (vec![leg(true, 0), leg(true, 5)], 66, Stall::Wait(at(120))),
            (vec![leg(true, 0), leg(true, 5)], 121, Stall::LetGo(vec![0])),
            (vec![leg(true, 0)], 60, Stall::Wait(at(120))),
            (vec![leg(true, 0)], 120, Stall::LetGo(vec![0])),
            // A gateway that waits for one of its own has longer.
            (vec![leg(true, 0), patient(0)], 65, Stall::LetGo(vec![0])),
            (vec![patient(0), leg(false, 0)], 65, Stall::Wait(at(70))),
            (vec![patient(0), leg(false, 0)], 70, Stall::LetGo(vec![0])),
            (vec![], 0, Stall::Free),
        ] {
            assert_eq!(stall(&legs, at(now)), due, "{legs:?} at {now}");
        }
    }
}
