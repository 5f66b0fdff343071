//! CHECKPRESENT and DATA-PRESENT of a cluster.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use super::{ClusterNode, falling, reasons};
use crate::annex::log::LocationLog;
use crate::gateway::Failure;
use crate::gateway::repository::Proxied;
use crate::name::{Key, Uuid};

impl ClusterNode {
    /// Whether any node has the content of `key`. The best of those that the log names is asked first, then all others side by
    /// side. Absent is what all of them said; a node that could not tell makes that an error, unless another has it.
    pub(super) async fn check_all(&self, key: &Key) -> Result<bool, Failure> {
        let recorded = self.recorded(key).await?;
        let (named, others) = self.askable(key, &recorded);
        let ask = async |node: Arc<Proxied>| {
            let said = self.check_one(key, &node, &recorded.log).await;
            (node.name.clone(), said)
        };
        let first = named.first().map(|first| self.hedge(first));
        let mut rest: VecDeque<Arc<Proxied>> = named.into_iter().chain(others).collect();
        let mut asked: FuturesUnordered<_> = rest.drain(..usize::from(first.is_some())).map(&ask).collect();
        let mut unknown = Vec::new();
        loop {
            let said = match first.filter(|_| !rest.is_empty()) {
                Some(hedge) => tokio::time::timeout(hedge, asked.next()).await.ok().flatten(),
                None => asked.next().await,
            };
            match said {
                Some((_, Ok(true))) => return Ok(true),
                Some((_, Ok(false))) => {}
                Some((name, Err(failure))) => unknown.push((name, failure)),
                None if rest.is_empty() && asked.is_empty() => break,
                None => {}
            }
            asked.extend(rest.drain(..).map(&ask));
        }
        if unknown.is_empty() { Ok(false) } else { Err(reasons("not every node says whether it is there", &unknown)) }
    }

    /// Whether `node` has it, which sets `log` right.
    pub(super) async fn check_one(&self, key: &Key, node: &Arc<Proxied>, log: &LocationLog) -> Result<bool, Failure> {
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
        let alive = self.cluster.nodes.iter().filter(|node| !recorded.is_dead(&node.uuid));
        let look = async |node: &Arc<Proxied>| {
            if let Some(failure) = self.down(node) {
                return Err((node.name.clone(), failure));
            }
            let noted = self.ask(node, async |node| node.take_note(key).await).await;
            match noted {
                Ok(Some(mut others)) => {
                    others.push(node.uuid.clone());
                    Ok(others)
                }
                Ok(None) => Ok(Vec::new()),
                Err(failure) => Err((node.name.clone(), failure)),
            }
        };
        let (mut there, mut unknown) = (Vec::new(), Vec::new());
        for looked in join_all(alive.map(look)).await {
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
