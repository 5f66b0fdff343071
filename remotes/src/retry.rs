//! When to try again: longer pauses each time, spread by chance so that many clients do not come back at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Context, Error, Result};

/// Tries of one request before its failure is reported.
pub const TRIES: u32 = 5;

/// The longest pause.
const CEILING: Duration = Duration::from_secs(20);

/// The pauses between the tries of one request.
pub struct Backoff {
    first: Duration,
    tries: u32,
    started: Instant,
}

impl Backoff {
    /// No try yet.
    pub fn new(context: &Context) -> Self {
        Self { first: context.first_pause, tries: 1, started: Instant::now() }
    }

    /// Waits before the next try. Errors: `error` itself, with its story, where it cannot pass or was tried often enough.
    pub async fn pause(&mut self, error: Error) -> Result<()> {
        if !error.kind().retry() || self.tries >= TRIES {
            return Err(error.tried(self.tries, self.started.elapsed()));
        }
        let pause = pause(self.first, self.tries, chance());
        tracing::debug!(target: "remotes", "try {} of {TRIES} failed, next in {} ms: {error}", self.tries, pause.as_millis());
        tokio::time::sleep(pause).await;
        self.tries += 1;
        Ok(())
    }
}

/// The pause after try `tries`: doubling from `first`, `chance` (0 to 1) spreads it over its upper half.
fn pause(first: Duration, tries: u32, chance: f64) -> Duration {
    let full = first.saturating_mul(1 << (tries - 1).min(16)).min(CEILING);
    full.mul_f64(0.5 + chance / 2.0)
}

/// A number from 0 to 1 that differs from call to call and from process to process.
fn chance() -> f64 {
    RandomState::new().hash_one(std::process::id()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_ceiling() {
        let first = Duration::from_millis(200);
        assert_eq!(pause(first, 1, 1.0), Duration::from_millis(200));
        assert_eq!(pause(first, 1, 0.0), Duration::from_millis(100));
        assert_eq!(pause(first, 3, 1.0), Duration::from_millis(800));
        assert_eq!(pause(first, 30, 1.0), CEILING);
    }
}
