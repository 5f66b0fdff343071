//! REMOVE and REMOVE-BEFORE of a cluster: from all nodes, also from those that nothing is recorded of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};

use super::ways::Member;
use super::{ClusterNode, Recorded, falling};
use crate::gateway::node::{Node, Removal};
use crate::gateway::{Failure, FailureKind, left};
use crate::name::{Key, Uuid};

/// What became of the content on one node, or behind another gateway.
enum Gone {
    /// Removed, also from these others.
    Removed(Vec<Uuid>),
    /// It may be there, and that does not matter: the node is dead, or never had it.
    NoMatter,
    /// It is there still, or may be; removed from these others.
    Stays(Vec<Uuid>),
    /// The gateway could not be reached.
    Unreached,
}

impl ClusterNode {
    /// Removes the content of `key` from all nodes, side by side; with `before`, only while the clock of this computer is not past
    /// it. A node that cannot be reached matters unless it is dead, or nothing was ever recorded of it and this content; another
    /// gateway, unless that holds for all its nodes, or others reach it.
    pub(super) async fn remove_from_all(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        let recorded = self.recorded(key).await?;
        let (mut removed, mut left): (BTreeSet<Uuid>, BTreeSet<Uuid>) = Default::default();
        let (mut gone, mut failed) = (true, self.lines_down());
        let mut nodes: Vec<Arc<Member>> = self.own_nodes();
        loop {
            nodes.extend(self.ways(&failed).gateways());
            let remove = async |node: &Arc<Member>| self.remove_one(key, node, before, &recorded).await;
            let ended = join_all(nodes.iter().map(remove)).await;
            let known = failed.len();
            for (node, ended) in nodes.drain(..).zip(ended) {
                let is_place = !node.is_whole(&self.cluster.uuid);
                match ended {
                    Gone::Removed(from) => {
                        removed.extend(Some(node.uuid().clone()).filter(|_| is_place));
                        removed.extend(from);
                    }
                    Gone::Stays(from) if is_place => {
                        left.insert(node.uuid().clone());
                        removed.extend(from);
                    }
                    Gone::Stays(from) => {
                        gone = false;
                        removed.extend(from);
                    }
                    Gone::NoMatter => {}
                    Gone::Unreached => failed.extend(node.remote.gateway.clone()),
                }
            }
            if failed.len() == known {
                break;
            }
        }
        // What a node did not say another gateway to it may have.
        left.retain(|node| !removed.contains(node));
        for line in self.ways(&failed).uncovered() {
            let is_left = |node: &&Uuid| self.matters(node, &recorded) && !removed.contains(*node);
            left.extend(line.nodes.keys().filter(is_left).cloned());
        }
        Ok(Removal { gone: gone && left.is_empty(), from: falling(removed.into_iter().collect()) })
    }

    fn own_nodes(&self) -> Vec<Arc<Member>> {
        let nodes = self.cluster.nodes.iter().filter(|node| !self.asker.bypass.contains(&node.uuid));
        nodes.map(|node| self.own(node)).collect()
    }

    /// Whether it matters that nothing is known of a node: it is not dead, and something was recorded of it and this content.
    fn matters(&self, node: &Uuid, recorded: &Recorded) -> bool {
        recorded.log.presence(node).is_some() && !recorded.is_dead(node)
    }

    async fn remove_one(&self, key: &Key, node: &Arc<Member>, before: Option<i64>, recorded: &Recorded) -> Gone {
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
        let failure = match removed {
            Ok(removal) if removal.gone => return Gone::Removed(removal.from),
            Ok(removal) => return Gone::Stays(removal.from),
            Err(failure) => failure,
        };
        // These two say that it is there.
        let is_there = matches!(failure.kind(), FailureKind::Locked | FailureKind::TooLate);
        let line = self.cluster.lines.iter().find(|line| node.remote.gateway.as_ref() == Some(&line.gateway));
        let matters = match line {
            Some(_) if !is_there && !failure.is_answer() => {
                tracing::warn!("{key}: gateway {} is not reached to remove it: {failure}", node.name());
                return Gone::Unreached;
            }
            Some(line) => line.nodes.keys().any(|node| self.matters(node, recorded)),
            None => self.matters(node.uuid(), recorded),
        };
        let matters = (is_there || matters) && (line.is_some() || !recorded.is_dead(node.uuid()));
        let so = if matters { "" } else { ", which does not matter" };
        let what = if line.is_some() { "gateway" } else { "node" };
        tracing::warn!("{key}: it is not removed from {what} {}{so}: {failure}", node.name());
        if matters { Gone::Stays(Vec::new()) } else { Gone::NoMatter }
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
