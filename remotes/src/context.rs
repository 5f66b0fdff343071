//! What all stores of a process share.

use std::time::Duration;

use crate::pump::{Budget, DEFAULT_BUDGET};

/// Limits and shared means, given to every store when it is opened. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Memory for bytes in flight.
    pub budget: Budget,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest time in which nothing moves before a transfer is given up.
    pub idle: Duration,
    /// Longest time after a first failure in which a request is begun anew; a request that was silent for so long is not.
    /// Without it tries are only counted. For whoever has somebody waiting that can try again by itself.
    pub patience: Option<Duration>,
    /// Pause before the first new try; later ones are longer.
    pub first_pause: Duration,
    /// Space in bytes that must stay free on local disks (annex.diskreserve).
    pub reserve: u64,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            budget: Budget::new(DEFAULT_BUDGET),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            patience: None,
            first_pause: Duration::from_millis(200),
            // git-annex's own default: 100 megabytes.
            reserve: 100_000_000,
        }
    }
}
