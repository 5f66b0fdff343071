//! What clients ask of a repository and of what is behind it, once for every wire.
//!
//! A driver parses a request, finds the [`Node`] it is about, and does it there; how it is said on the wire is the driver's
//! business. Everything here runs on a data thread: what may block goes to pool threads.

mod absences;
pub mod balance;
mod catalogue;
mod commands;
mod create;
pub mod far;
mod held;
mod locks;
mod metrics;
pub mod node;
mod open_cache;
pub mod pace;
mod prefix_quotas;
mod quota;
mod receive;
mod repositories;
mod repository;
mod room;
mod rounds;
mod send;
mod tree;
mod walk;
pub mod wanted;

pub use crate::failure::{Failure, FailureKind};
pub(crate) use crate::pool::{blocking, off_this_thread};
pub use held::{HeldLock, Lost};
pub use locks::{ClientLocks, LockId};
pub use metrics::{Counter, Metrics};
pub use node::{Asker, Limits, Node, Offset, PeerNode, Removal, StoreNode};
pub use pace::Pace;
pub use prefix_quotas::PrefixQuotas;
pub use receive::{Body, End, Offer, Piece, Settled, Unsettled, Upload};
pub use repositories::{Named, Repositories, Roots, Unserved};
pub use repository::{LocalRepository, Proxied};
pub use send::{Outgoing, Part, Sent};
pub use tree::{Damage, Damaged, Exported, Progress, Repaired};

use std::time::Duration;

use remotes::Until;

/// Seconds of the clock that `GETTIMESTAMP` tells and `REMOVE-BEFORE` is held against: monotonic, and the same for every
/// process of this computer, since a client may ask one and remove through another.
pub fn timestamp() -> u64 {
    u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec).unwrap_or(0)
}

/// The limit that a client set for a removal, on the clock of [`timestamp`]: its last second is in time.
fn until(before: Option<i64>) -> Until {
    let Some(before) = before else { return Until::ever() };
    Until::new(move || left(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic), before))
}

/// What is left until the end of the second `before`; `None` where it is over.
fn left(now: rustix::time::Timespec, before: i64) -> Option<Duration> {
    let seconds = u64::try_from(before.checked_sub(now.tv_sec)?).ok()?;
    let gone = Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0));
    Some(Duration::from_secs(seconds.saturating_add(1)).saturating_sub(gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_is_in_time_and_the_next_is_not() {
        let at = |tv_sec, tv_nsec| rustix::time::Timespec { tv_sec, tv_nsec };
        let half = 500_000_000;
        for (now, before, some) in [
            (at(10, 0), 10, Some(Duration::from_secs(1))),
            (at(10, half), 10, Some(Duration::from_millis(500))),
            (at(10, 999_999_999), 10, Some(Duration::from_nanos(1))),
            (at(11, 0), 10, None),
            (at(10, half), 70, Some(Duration::from_millis(60_500))),
            (at(10, 0), -1, None),
            (at(10, 0), i64::MIN, None),
        ] {
            assert_eq!(left(now, before), some, "{now:?} {before}");
        }
        assert!(left(at(10, 0), i64::MAX).is_some());
        assert!(!until(None).is_over() && until(Some(0)).is_over() && !until(Some(i64::MAX)).is_over());
    }
}
