//! CHECKPRESENT and DATA-PRESENT of a cluster.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use super::ways::Member;
use super::{ClusterNode, Recorded, falling, reasons};
use crate::annex::log::LocationLog;
use crate::gateway::{Failure, FailureKind};
use crate::name::{Key, Uuid};

/// What is known in the course of a question.
#[derive(Default)]
struct Asked {
    /// Gateways that could not be reached.
    failed: BTreeSet<Uuid>,
    /// Nodes that said that they do not have it.
    absent: BTreeSet<Uuid>,
    /// Who could not tell.
    unknown: Vec<(String, Failure)>,
}

impl ClusterNode {
    /// Whether any node has the content of `key`. The best of those that the log names is asked first, then all others side by
    /// side, and other gateways for what is behind them. Absent is what all of them said; a node that could not tell makes that
    /// an error, unless another has it. A gateway that cannot be reached from here is asked by those that reach it.
    pub(super) async fn check_all(&self, key: &Key) -> Result<bool, Failure> {
        let recorded = self.recorded(key).await?;
        let mut asked = Asked { failed: self.lines_down(), ..Asked::default() };
        // Each turn but the last finds another gateway that cannot be reached.
        loop {
            let before = asked.failed.len();
            asked.unknown.clear();
            if self.check_by_all_ways(key, &recorded, &mut asked).await? {
                return Ok(true);
            }
            if asked.failed.len() == before {
                break;
            }
        }
        let uncovered = self.ways(&asked.failed).uncovered();
        let uncovered = uncovered.into_iter().filter(|line| self.counts(line, &recorded));
        let mut unknown = asked.unknown;
        for line in uncovered {
            let why = self.home.health().down(&line.gateway);
            let why = why.unwrap_or_else(|| "it cannot be reached".to_string());
            unknown.push((line.whole.name.clone(), Failure::new(FailureKind::Broken, why)));
        }
        if unknown.is_empty() { Ok(false) } else { Err(reasons("not every node says whether it is there", &unknown)) }
    }

    /// Whether anybody says that it is there. Who could not tell is in `asked` then.
    async fn check_by_all_ways(&self, key: &Key, recorded: &Recorded, asked: &mut Asked) -> Result<bool, Failure> {
        let ways = self.ways(&asked.failed);
        let (named, others) = self.askable(key, recorded, &ways);
        let ask = async |node: Arc<Member>| {
            let said = self.check_one(key, &node, &recorded.log).await;
            (node, said)
        };
        let first = named.first().map(|first| self.hedge(first));
        let is_open = |node: &Arc<Member>| !asked.absent.contains(node.uuid());
        let mut rest: VecDeque<Arc<Member>> = named.into_iter().chain(others).filter(is_open).collect();
        let first = first.filter(|_| asked.absent.is_empty() && !rest.is_empty());
        let mut under_way: FuturesUnordered<_> = rest.drain(..usize::from(first.is_some())).map(&ask).collect();
        loop {
            let said = match first.filter(|_| !rest.is_empty()) {
                Some(hedge) => tokio::time::timeout(hedge, under_way.next()).await.ok().flatten(),
                None => under_way.next().await,
            };
            match said {
                Some((_, Ok(true))) => return Ok(true),
                Some((node, Ok(false))) => {
                    // A gateway may be asked again, for more.
                    let said = Some(node.uuid()).filter(|_| !node.is_whole(&self.cluster.uuid));
                    asked.absent.extend(said.cloned());
                }
                Some((node, Err(failure))) => match &node.remote.gateway {
                    Some(gateway) if !failure.is_answer() => drop(asked.failed.insert(gateway.clone())),
                    _ => asked.unknown.push((node.name().to_string(), failure)),
                },
                None if rest.is_empty() && under_way.is_empty() => break,
                None => {}
            }
            under_way.extend(rest.drain(..).map(&ask));
        }
        Ok(false)
    }

    /// Whether `node` has it, which sets `log` right.
    pub(super) async fn check_one(&self, key: &Key, node: &Arc<Member>, log: &LocationLog) -> Result<bool, Failure> {
        if let Some(failure) = self.down(node) {
            return Err(failure);
        }
        let is_there = self.ask(node, async |node| node.check(key).await).await?;
        self.correct(key, node, is_there, log).await;
        Ok(is_there)
    }

    /// Looks on which nodes the content of `key` is, which a client stored there by another way; they record it.
    pub(super) async fn note_all(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        self.home.recordable(key)?;
        let recorded = self.recorded(key).await?;
        let ways = self.ways(&BTreeSet::new());
        let own = ways.nodes().into_iter().filter(|node| node.remote.gateway.is_none());
        let all: Vec<_> = own.filter(|node| !recorded.is_dead(node.uuid())).chain(ways.gateways()).collect();
        let look = async |node: &Arc<Member>| {
            if let Some(failure) = self.down(node) {
                return Err((node.name().to_string(), failure));
            }
            let noted = self.ask(node, async |node| node.take_note(key).await).await;
            match noted {
                Ok(Some(mut others)) => {
                    others.extend(Some(node.uuid()).filter(|_| !node.is_whole(&self.cluster.uuid)).cloned());
                    Ok(others)
                }
                Ok(None) => Ok(Vec::new()),
                Err(failure) => Err((node.name().to_string(), failure)),
            }
        };
        let (mut there, mut unknown) = (Vec::new(), Vec::new());
        for looked in join_all(all.iter().map(look)).await {
            match looked {
                Ok(noted) => there.extend(noted),
                Err(failed) => unknown.push(failed),
            }
        }
        match (there.is_empty(), unknown.is_empty()) {
            (false, _) => Ok(Some(falling(there))),
            (true, true) => Ok(None),
            (true, false) => Err(reasons("not every node says whether it is there", &unknown)),
        }
    }
}
