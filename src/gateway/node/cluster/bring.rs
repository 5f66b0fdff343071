//! What is asked of single nodes of a cluster, for content that moves between them: somebody else chose them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use super::put::talk;
use super::{ClusterNode, Member, PROBE};
use crate::gateway::node::{Removal, open};
use crate::gateway::receive::Offer;
use crate::gateway::room::{Room, Unreserved, once_counted};
use crate::gateway::{Failure, FailureKind};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// Nodes that do not take content, and why.
pub(in crate::gateway) type NotTaken = Vec<(Uuid, Failure)>;

impl ClusterNode {
    /// All nodes: the remotes of this repository, and those to which other gateways lead, each by one way.
    pub(in crate::gateway) fn members(&self) -> Vec<Arc<Member>> {
        let mut all: Vec<Arc<Member>> = self.cluster.nodes.iter().map(|node| self.own(node)).collect();
        let is_new = |node: &Arc<Member>| !self.cluster.nodes.iter().any(|own| own.uuid == *node.uuid());
        all.extend(self.ways(&BTreeSet::new()).nodes().into_iter().filter(is_new));
        all
    }

    /// Gets ready to bring the content of `key` to `nodes`, those of them that take it, where room is reserved. The others are
    /// named.
    ///
    /// Failures: none takes it.
    pub(in crate::gateway) async fn put_to(
        &self,
        key: &Key,
        file: &AssociatedFile,
        nodes: &[Arc<Member>],
    ) -> Result<(Offer, NotTaken), Failure> {
        self.home.recordable(key)?;
        let (room, mut failed) = self.reserve(key, nodes).await?;
        let fitting = nodes.iter().filter(|node| !failed.iter().any(|(uuid, _)| uuid == node.uuid()));
        let opening = fitting.map(async |node| (Arc::clone(node), self.open_to_put(key, file, node).await));
        let (mut opened, mut taking) = (BTreeMap::new(), Vec::new());
        for (node, done) in join_all(opening).await {
            match done {
                Ok(done) => {
                    opened.insert(talk(&node), done);
                    taking.push(node);
                }
                Err(failure) => failed.push((node.uuid().clone(), failure)),
            }
        }
        if taking.is_empty() {
            return Err(failed.pop().map_or_else(|| Failure::refused("no node is to take it".into()), |(_, why)| why));
        }
        Ok((self.offer(key, &taking, opened, room).await, failed))
    }

    /// Room on `nodes`, and where there is none.
    async fn reserve(&self, key: &Key, nodes: &[Arc<Member>]) -> Result<(Room, NotTaken), Failure> {
        let (home, key) = (Arc::clone(&self.home), key.clone());
        let uuids: Vec<Uuid> = nodes.iter().map(|node| node.uuid().clone()).collect();
        let reserve = move || {
            let policy = home.policy().map_err(Unreserved::Failed)?;
            let max = |uuid: &Uuid| policy.repo(uuid).and_then(|repo| policy.settings(repo).maxsize);
            if uuids.iter().all(|uuid| max(uuid).is_none()) {
                return Ok((Room::default(), Vec::new()));
            }
            let mut full = Vec::new();
            let made = home.sizes().reserve(&key, key.size().unwrap_or(0), &uuids, &mut |usage| {
                let fits = |uuid: &&Uuid| max(uuid).is_none_or(|max| usage.fits(uuid, max));
                let (fitting, without): (Vec<&Uuid>, Vec<&Uuid>) = uuids.iter().partition(fits);
                full = without.into_iter().cloned().collect();
                fitting.into_iter().cloned().collect()
            })?;
            Ok((Room::of(made), full.into_iter().map(no_room).collect()))
        };
        once_counted(self.limits.idle, reserve).await
    }

    /// Whether `node` has it, as it says itself.
    pub(in crate::gateway) async fn is_on(&self, key: &Key, node: &Arc<Member>) -> Result<bool, Failure> {
        match self.down(node) {
            Some(failure) => Err(failure),
            None => self.ask(node, async |node| node.check(key).await).await,
        }
    }

    /// Whether `node` answers at all.
    pub(in crate::gateway) async fn reach(&self, node: &Arc<Member>) -> Result<(), Failure> {
        let key = Key::parse(PROBE).expect("it is one");
        self.ask(node, async |node| node.check(&key).await).await.map(drop)
    }

    /// Has `node` remove it within `limit`, and not later: whoever calls may rely on what it holds for as long.
    pub(in crate::gateway) async fn remove_from(&self, key: &Key, node: &Arc<Member>) -> Result<Removal, Failure> {
        // In whole seconds, on the clock of the node; one less, since that may be at the end of its second.
        let seconds = i64::try_from(self.limits.idle.as_secs().max(3)).unwrap_or(i64::MAX) - 2;
        let removing = async {
            let opened = open(&self.home, &node.remote, &self.limits, &node.asker).await?;
            let now = i64::try_from(opened.timestamp().await?).map_err(|_| Failure::too_late())?;
            opened.remove(key, Some(now.saturating_add(seconds))).await
        };
        // Longer than the node has for it.
        let removed = tokio::time::timeout(self.limits.idle.max(std::time::Duration::from_secs(3)) * 2, removing).await;
        removed.unwrap_or_else(|_| Err(super::silent(self.limits.idle)))
    }
}

fn no_room(uuid: Uuid) -> (Uuid, Failure) {
    (uuid, Failure::new(FailureKind::NoRoom, "there is no room for it within its maxsize".to_string()))
}
