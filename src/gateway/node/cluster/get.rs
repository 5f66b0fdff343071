//! GET from a cluster: from the best node that has the content, and from the next where one does not give it.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::ways::Member;
use super::{ClusterNode, Recorded, open, reasons, silent};
use crate::annex::log::LocationLog;
use crate::gateway::send::More;
use crate::gateway::{Failure, Outgoing};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

impl ClusterNode {
    /// Opens the content of `key` where it can be had: on nodes that the log names, then on others. `None` where all say that they
    /// do not have it.
    pub(super) async fn get_from_any(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        let recorded = self.recorded(key).await?;
        let (mut all, others) = self.askable(key, &recorded, &self.ways(&BTreeSet::new()));
        all.extend(others);
        let mut failed = BTreeSet::new();
        let mut waiting: VecDeque<_> = all.clone().into();
        let (mut asked, mut unknown) = (FuturesUnordered::new(), Vec::new());
        let mut hedge = self.limits.idle;
        loop {
            if asked.is_empty() {
                if waiting.is_empty() {
                    // By gateways that reach those that were not reached from here.
                    waiting = self.other_ways(key, &recorded, &mut failed, &unknown).into();
                    all.extend(waiting.iter().cloned());
                }
                let Some(next) = waiting.pop_front() else { break };
                hedge = self.hedge(&next);
                asked.push(self.get_one(key, file, from, len, next, &recorded.log));
            }
            let limit = if waiting.is_empty() { self.limits.idle * 2 } else { hedge };
            let Ok(answer) = tokio::time::timeout(limit, asked.next()).await else {
                if let Some(next) = waiting.pop_front() {
                    hedge = self.hedge(&next);
                    asked.push(self.get_one(key, file, from, len, next, &recorded.log));
                }
                continue;
            };
            match answer {
                Some((node, Ok(Some(content)))) => {
                    all.retain(|other| !Arc::ptr_eq(other, &node));
                    let next = Next {
                        cluster: self.clone(),
                        key: key.clone(),
                        file: file.clone(),
                        log: recorded.log.clone(),
                        giver: node,
                        others: all.into(),
                        total: content.total(),
                        end: len.map(|len| from.saturating_add(len)),
                    };
                    return Ok(Some(content.followed_by(Box::new(next))));
                }
                Some((node, Ok(None))) => all.retain(|other| !Arc::ptr_eq(other, &node)),
                Some((node, Err(failure))) => {
                    all.retain(|other| !Arc::ptr_eq(other, &node));
                    unknown.push((node, failure));
                }
                None => {}
            }
        }
        let is_covered = |node: &Member, failure: &Failure| {
            let gateway = node.remote.gateway.as_ref().filter(|_| !failure.is_answer());
            gateway.is_some_and(|gateway| {
                !self
                    .ways(&failed)
                    .uncovered()
                    .iter()
                    .any(|line| line.gateway == *gateway && self.counts(line, &recorded))
            })
        };
        unknown.retain(|(node, failure)| !is_covered(node, failure));
        let unknown: Vec<_> = unknown.into_iter().map(|(node, failure)| (node.name().to_string(), failure)).collect();
        if unknown.is_empty() { Ok(None) } else { Err(reasons("no node gives it", &unknown)) }
    }

    /// Who is to be asked besides, where gateways among `unknown` could not be reached: others that reach them. Each is `failed`
    /// once.
    fn other_ways(
        &self,
        key: &Key,
        recorded: &Recorded,
        failed: &mut BTreeSet<Uuid>,
        unknown: &[(Arc<Member>, Failure)],
    ) -> Vec<Arc<Member>> {
        let unreached = unknown.iter().filter(|(_, failure)| !failure.is_answer());
        let unreached: BTreeSet<Uuid> = unreached.filter_map(|(node, _)| node.remote.gateway.clone()).collect();
        let before = failed.len();
        failed.extend(unreached);
        if failed.len() == before {
            return Vec::new();
        }
        let (named, others) = self.askable(key, recorded, &self.ways(failed));
        named.into_iter().chain(others).filter(|node| node.remote.gateway.is_some()).collect()
    }

    async fn get_one(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
        node: Arc<Member>,
        log: &LocationLog,
    ) -> (Arc<Member>, Result<Option<Outgoing>, Failure>) {
        // One that is down is asked all the same: nobody else may have it.
        let _ = self.down(&node);
        let begun = Instant::now();
        let opening = async {
            let opened = open(&self.home, &node.remote, &self.limits, &node.asker).await?;
            let found = opened.get(key, file, from, len).await?;
            Ok(found.map(|found| (opened, found)))
        };
        let done = tokio::time::timeout(self.limits.idle, opening).await;
        let done = done.unwrap_or_else(|_| Err(silent(self.limits.idle)));
        self.heard(&node, begun.elapsed(), done.as_ref().err());
        let found = match done {
            Ok(found) => found,
            Err(failure) => {
                tracing::warn!("{key}: node {} does not give it: {failure}", node.name());
                return (node, Err(failure));
            }
        };
        self.correct(key, &node, found.is_some(), log).await;
        let Some((rests_on, content)) = found else { return (node, Ok(None)) };
        let (home, uuid, bytes) =
            (Arc::clone(&self.home), self.health_of(&node).clone(), content.total().saturating_sub(from));
        home.health().begin(&uuid);
        let opened = Instant::now();
        let content = content.at_end(move |came| {
            home.health().end(&uuid, came.then(|| (len.map_or(bytes, |len| len.min(bytes)), opened.elapsed())));
            drop(rests_on);
        });
        (node, Ok(Some(content)))
    }
}

/// Content on its way, and the nodes that may give the rest of it.
struct Next {
    cluster: ClusterNode,
    key: Key,
    file: AssociatedFile,
    log: LocationLog,
    /// Who gives it.
    giver: Arc<Member>,
    others: VecDeque<Arc<Member>>,
    /// Length of the content, as it was announced.
    total: u64,
    /// Where it is to end, if not with the content.
    end: Option<u64>,
}

#[async_trait(?Send)]
impl More for Next {
    async fn next(mut self: Box<Self>, at: u64, broke: &io::Error) -> Option<Outgoing> {
        tracing::warn!("{}: node {} broke off at byte {at}: {broke}", self.key, self.giver.name());
        let failure = Failure::io("send the content", broke);
        self.cluster.heard(&self.giver, Duration::ZERO, Some(&failure));
        let len = self.end.map(|end| end.saturating_sub(at));
        while let Some(node) = self.others.pop_front() {
            let given = self.cluster.get_one(&self.key, &self.file, at, len, node, &self.log).await;
            if let (node, Ok(Some(content))) = given {
                if content.total() != self.total {
                    tracing::warn!("{}: node {} has another length of it", self.key, node.name());
                    continue;
                }
                self.giver = node;
                return Some(content.followed_by(self));
            }
        }
        None
    }
}
