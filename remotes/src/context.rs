//! What all stores of a process share.

use std::sync::Arc;
use std::time::Duration;

use crate::budget::{self, Budget};
use crate::connections::{self, Connections};
use crate::site::Site;

/// How long a connection to a store may lie idle; servers close theirs after 15 s to a minute, and a request that was just
/// sent on one has to be sent again.
pub(crate) const KEEP: Duration = Duration::from_secs(10);

/// Connections to one store that a thread keeps idle at most.
pub(crate) const MOST_KEPT: usize = 64;

/// Limits and shared means, given to every store when it is opened. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Memory for bytes in flight.
    pub budget: Budget,
    /// Connections of transfers that have several.
    pub connections: Arc<Connections>,
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest time in which nothing moves before a transfer is given up.
    pub idle: Duration,
    /// Longest time after a first failure in which a request is begun anew; a request that was silent for so long is not.
    /// Without it tries are only counted. For whoever has somebody waiting that can try again by itself.
    pub patience: Option<Duration>,
    /// How long a store may take to do what it was asked for, after nobody waits for the answer any more: a name is not filled
    /// again before.
    pub late: Duration,
    /// Pause before the first new try; later ones are longer.
    pub first_pause: Duration,
    /// Space in bytes that must stay free on local disks (annex.diskreserve).
    pub reserve: u64,
    /// Names are those people gave to files (an export or import tree), and not made of keys.
    pub tree: bool,
    /// Proxies, certificates and addresses of the site.
    pub site: Arc<Site>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            budget: Budget::new(budget::DEFAULT),
            connections: Arc::new(Connections::new(connections::DEFAULT)),
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            patience: None,
            late: Duration::from_secs(60),
            first_pause: Duration::from_millis(200),
            // git-annex's own default: 100 megabytes.
            reserve: 100_000_000,
            tree: false,
            site: Arc::default(),
        }
    }
}
