//! REMOVE and REMOVE-BEFORE of a cluster: from all nodes, also from those that nothing is recorded of.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};

use super::{ClusterNode, Recorded, falling};
use crate::gateway::node::{Node, Removal};
use crate::gateway::repository::Proxied;
use crate::gateway::{Failure, FailureKind, left};
use crate::name::Key;

/// What became of the content on one node.
enum Gone {
    Removed,
    /// It may be there, and that does not matter: the node is dead, or never had it.
    NoMatter,
    Stays,
}

impl ClusterNode {
    /// Removes the content of `key` from all nodes, side by side; with `before`, only while the clock of this computer is not past
    /// it. A node that cannot be reached matters unless it is dead, or nothing was ever recorded of it and this content.
    pub(super) async fn remove_from_all(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        let recorded = self.recorded(key).await?;
        let remove = async |node: &Arc<Proxied>| self.remove_one(key, node, before, &recorded).await;
        let ended = join_all(self.cluster.nodes.iter().map(remove)).await;
        let gone = ended.iter().all(|gone| !matches!(gone, Gone::Stays));
        let removed = self.cluster.nodes.iter().zip(&ended).filter(|(_, gone)| matches!(gone, Gone::Removed));
        Ok(Removal { gone, from: falling(removed.map(|(node, _)| node.uuid.clone()).collect()) })
    }

    async fn remove_one(&self, key: &Key, node: &Arc<Proxied>, before: Option<i64>, recorded: &Recorded) -> Gone {
        let removed = match self.down(node) {
            Some(failure) => Err(failure),
            None => {
                let remove = async |node: &dyn Node| {
                    let before = match before {
                        Some(before) if node.has_own_clock() => Some(translated(node.timestamp().await?, before)?),
                        before => before,
                    };
                    node.remove(key, before).await
                };
                self.ask(node, remove).await
            }
        };
        match removed {
            Ok(removal) if removal.gone => Gone::Removed,
            Ok(_) => Gone::Stays,
            Err(failure) => {
                // These two say that it is there.
                let is_there = matches!(failure.kind(), FailureKind::Locked | FailureKind::TooLate);
                let matters = is_there || recorded.log.presence(&node.uuid).is_some();
                let matters = matters && !recorded.is_dead(&node.uuid);
                let so = if matters { "" } else { ", which does not matter" };
                tracing::warn!("{key}: it is not removed from node {}{so}: {failure}", node.name);
                if matters { Gone::Stays } else { Gone::NoMatter }
            }
        }
    }
}

/// The limit `before`, on the clock of this computer, on a clock that showed `theirs` a moment ago.
fn translated(theirs: u64, before: i64) -> Result<i64, Failure> {
    limit(theirs, left(clock_gettime(ClockId::Monotonic), before)).ok_or_else(Failure::too_late)
}

/// The last second on a clock that showed `theirs` at least, so that it ends before `left` has passed. `None` where there is none.
fn limit(theirs: u64, left: Option<Duration>) -> Option<i64> {
    let whole = left?.as_secs().checked_sub(1)?;
    // A clock may show anything, but nothing that ends later.
    i64::try_from(theirs).ok()?.checked_add(i64::try_from(whole).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_left_is_never_rounded_up() {
        let millis = Duration::from_millis;
        for (theirs, left, last) in [
            (100, None, None),
            (100, Some(millis(0)), None),
            (100, Some(millis(999)), None),
            // Theirs may be at the very end of second 100, or at its beginning: it is over after one second in any case.
            (100, Some(millis(1000)), Some(100)),
            (100, Some(millis(1999)), Some(100)),
            (0, Some(millis(60_500)), Some(59)),
            (u64::MAX, Some(millis(5000)), None),
        ] {
            assert_eq!(limit(theirs, left), last, "{theirs} {left:?}");
        }
        // The last second ends no later than what is left, however late in its second the clock was.
        for left in 0..5000 {
            if let Some(last) = limit(7, Some(millis(left))) {
                assert!((last + 1 - 7) as u64 * 1000 <= left, "{left}");
            }
        }
    }
}
