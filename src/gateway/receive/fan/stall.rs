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

/// A leg that took nothing for `idle` is let go while another takes what comes, or has taken something more lately. Where all
/// of them stall alike that may be the machine's fault, and they have twice the time.
pub(super) fn stall(legs: &[Standing], now: Instant, idle: Duration) -> Stall {
    let silent = |leg: &Standing| now.saturating_duration_since(leg.moved);
    let waited_for = || legs.iter().enumerate().filter(|(_, leg)| leg.is_waited_for);
    if waited_for().next().is_none() {
        return Stall::Free;
    }
    let others_move = legs.iter().any(|leg| !leg.is_waited_for || silent(leg) < idle);
    let limit = if others_move { idle } else { idle * 2 };
    let stalled: Vec<usize> = waited_for().filter(|(_, leg)| silent(leg) >= limit).map(|(place, _)| place).collect();
    if !stalled.is_empty() {
        return Stall::LetGo(stalled);
    }
    let next = waited_for().map(|(_, leg)| leg.moved + limit).min();
    Stall::Wait(next.unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stalls_is_let_go_and_who_is_slow_is_not() {
        let begun = Instant::now();
        let at = |second: u64| begun + Duration::from_secs(second);
        let leg = |is_waited_for: bool, moved: u64| Standing { is_waited_for, moved: at(moved) };
        let idle = Duration::from_secs(60);
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
            (vec![], 0, Stall::Free),
        ] {
            assert_eq!(stall(&legs, at(now), idle), due, "{legs:?} at {now}");
        }
    }
}
