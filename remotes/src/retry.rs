//! Backoff: longer pauses each time, spread by chance so that many clients do not come back at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connections::Connections;
use crate::sys::fraction;
use crate::{Context, Error, Kind, Result};

/// Tries of one request before its failure is reported.
pub const TRIES: u32 = 5;

/// The longest pause.
const CEILING: Duration = Duration::from_secs(20);

tokio::task_local! {
    static OTHERS_WAIT: ();
}

/// Does something that others wait for, who are better off without it than with it late: a server that lets nobody connect is
/// tried twice and no more. Other failures are tried again as always.
pub async fn while_others_wait<T>(f: impl Future<Output = T>) -> T {
    OTHERS_WAIT.scope((), f).await
}

/// The pauses between the tries of one request.
pub struct Backoff {
    connections: Arc<Connections>,
    first: Duration,
    /// Most tries of a server that lets nobody connect.
    refusals: u32,
    tries: u32,
    started: Instant,
    patience: Option<Duration>,
    /// When the first try failed.
    failed: Option<Instant>,
    /// When the latest try began.
    tried: Instant,
}

impl Backoff {
    /// No try yet.
    pub fn new(context: &Context) -> Self {
        let now = Instant::now();
        let (first, patience) = (context.first_pause, context.patience);
        let refusals = if OTHERS_WAIT.try_with(|()| ()).is_ok() { 2 } else { TRIES };
        let connections = Arc::clone(&context.connections);
        Self { connections, first, refusals, tries: 1, started: now, patience, failed: None, tried: now }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    ///
    /// `error` itself, with its story, where it cannot pass or was tried often enough.
    pub async fn pause(&mut self, error: Error) -> Result<()> {
        if matches!(error.kind(), Kind::Throttled | Kind::Unavailable) {
            self.connections.refuse();
        }
        let pause = if error.kind().retry() { self.next(error.kind(), error.retry_after()) } else { None };
        let Some(pause) = pause else { return Err(error.tried(self.tries, self.started.elapsed())) };
        tracing::debug!(target: "remotes", "try {} of {TRIES} failed, next in {} ms: {error}", self.tries, pause.as_millis());
        self.rest(pause).await;
        Ok(())
    }

    /// Waits before a look at what may still change by itself. False, at once, where it was looked at often enough.
    pub async fn again(&mut self) -> bool {
        let Some(pause) = self.next(Kind::Unavailable, None) else { return false };
        self.rest(pause).await;
        true
    }

    /// The pause before the next try, after a failure of this kind, where the server asked for `after`. `None`: there were
    /// enough.
    fn next(&mut self, kind: Kind, after: Option<Duration>) -> Option<Duration> {
        let own = pause(self.first, self.tries, fraction());
        let most = if kind == Kind::Refused { self.refusals } else { TRIES };
        (self.tries < most && !self.is_over(kind, own)).then(|| asked_for(own, after, self.left()))
    }

    /// What is left of patience, which has begun to run out.
    fn left(&self) -> Option<Duration> {
        let failed = self.failed.map_or(Duration::ZERO, |failed| failed.elapsed());
        self.patience.map(|patience| patience.saturating_sub(failed))
    }

    async fn rest(&mut self, pause: Duration) {
        tokio::time::sleep(pause).await;
        self.tries += 1;
        self.tried = Instant::now();
    }

    /// Whether patience has run out.
    fn is_over(&mut self, kind: Kind, pause: Duration) -> bool {
        let Some(patience) = self.patience else { return false };
        let failed = *self.failed.get_or_insert_with(Instant::now);
        failed.elapsed() + pause > patience || (kind == Kind::Timeout && self.tried.elapsed() >= patience)
    }
}

/// The pause after try `tries`: doubling from `first`, `chance` (0 to 1) spreads it over its upper half.
fn pause(first: Duration, tries: u32, chance: f64) -> Duration {
    let full = first.saturating_mul(1 << (tries - 1).min(16)).min(CEILING);
    full.mul_f64(0.5 + chance / 2.0)
}

/// A pause of `own` where the server asked for one of `after`: that, and as much more as chance gave, since others were told the
/// same. Not longer than the longest pause, nor than what is `left` of patience: some servers ask for minutes, and nobody waits
/// for those.
fn asked_for(own: Duration, after: Option<Duration>, left: Option<Duration>) -> Duration {
    let Some(after) = after.filter(|after| !after.is_zero()) else { return own };
    (after + own).min(CEILING).min(left.unwrap_or(CEILING)).max(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(patience: Option<Duration>, kind: Kind, each: Duration) -> (u32, Duration) {
        let context = Context { patience, ..Context::default() };
        let (mut backoff, begun, mut tries) = (Backoff::new(&context), Instant::now(), 0);
        loop {
            tokio::time::sleep(each).await;
            tries += 1;
            if backoff.pause(Error::new(crate::Op::Stat, kind, "as asked")).await.is_err() {
                return (tries, begun.elapsed());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_patient_for_a_while_tries_no_longer() {
        const WHILE: Duration = Duration::from_secs(2);
        let at_once = Duration::from_millis(1);
        assert_eq!(tries(None, Kind::Throttled, at_once).await.0, TRIES);
        assert_eq!(tries(None, Kind::Timeout, WHILE).await.0, TRIES);
        let (some, took) = tries(Some(WHILE), Kind::Throttled, at_once).await;
        // The clock of timers goes by milliseconds, and each pause is rounded up.
        let rounded = at_once * 2 * TRIES;
        assert!((2..=TRIES).contains(&some) && took <= WHILE + rounded, "{some} tries in {took:?}");
        assert_eq!(tries(Some(WHILE), Kind::Timeout, WHILE).await.0, 1, "it was silent for all of the time");
        let long = tries(Some(WHILE), Kind::Reset, 10 * WHILE).await.0;
        assert_eq!(long, 2, "what moved for long and broke is tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_waited_for_tries_no_longer_where_nobody_listens() {
        let at_once = Duration::ZERO;
        let waited_for = while_others_wait(async {
            (tries(None, Kind::Refused, at_once).await.0, tries(None, Kind::Throttled, at_once).await.0)
        });
        assert_eq!(waited_for.await, (2, TRIES));
        assert_eq!(tries(None, Kind::Refused, at_once).await.0, TRIES);
    }

    #[test]
    fn who_asks_for_a_pause_gets_it_as_long_as_anybody_waits() {
        let s = Duration::from_secs;
        for (own, after, left, expected) in [
            (1, None, None, 1),
            (1, Some(0), None, 1),
            (1, Some(5), None, 6),
            (1, Some(120), None, 20),
            (1, Some(5), Some(60), 6),
            (1, Some(5), Some(3), 3),
            // What is own is never cut short.
            (2, Some(5), Some(1), 2),
        ] {
            let told = asked_for(s(own), after.map(s), left.map(s));
            assert_eq!(told, s(expected), "{own} {after:?} {left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_not_tried_again_before_the_server_wants_it() {
        let (mut backoff, begun) = (Backoff::new(&Context::default()), Instant::now());
        let throttled = Error::new(crate::Op::Put, Kind::Throttled, "as asked");
        let after = Duration::from_secs(3);
        backoff.pause(throttled.retried_after(Some(after))).await.expect("tried again");
        assert!(begun.elapsed() >= after && begun.elapsed() < after + Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[test]
    fn pauses_double_up_to_a_ceiling() {
        let first = Duration::from_millis(200);
        assert_eq!(pause(first, 1, 1.0), Duration::from_millis(200));
        assert_eq!(pause(first, 1, 0.0), Duration::from_millis(100));
        assert_eq!(pause(first, 3, 1.0), Duration::from_millis(800));
        assert_eq!(pause(first, 30, 1.0), CEILING);
    }
}
