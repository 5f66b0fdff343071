//! PUT to a cluster: nodes are chosen and opened before the client sends anything.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::placing::{Choice, Room};
use super::{ClusterNode, falling, open, reasons, silent};
use crate::gateway::node::Node;
use crate::gateway::receive::{Fan, FanLeg, Offer, Sink, Upload};
use crate::gateway::repository::Proxied;
use crate::gateway::{Failure, FailureKind};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// A node that was opened for an upload.
enum Opened {
    /// It has the content, and so have these.
    Has(Vec<Uuid>),
    Takes(Box<dyn Node>, Box<dyn Sink>),
}

/// For how long a store that answered counts as reachable.
const FRESH: Duration = Duration::from_secs(30);

impl ClusterNode {
    /// Gets ready to take the content of `key`. A node that cannot be opened is left out, and the rest is chosen anew.
    pub(super) async fn put_to_all(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure> {
        self.home.recordable(key)?;
        let mut opened: BTreeMap<Uuid, Opened> = BTreeMap::new();
        let mut failed: BTreeMap<Uuid, (String, Failure)> = BTreeMap::new();
        // Each turn leaves out a node, sets the log of one right, or is the last.
        for _ in 0..=2 * self.cluster.nodes.len() {
            let left_out: BTreeSet<Uuid> = failed.keys().cloned().collect();
            match self.choose(key, file, &left_out).await? {
                Choice::NoRoom => {
                    let_go(opened).await;
                    return Err(self.no_room(&failed.into_values().collect::<Vec<_>>()));
                }
                Choice::Has(nodes) => {
                    if let Some(holder) = self.holder(key, nodes, &mut failed).await? {
                        let_go(opened).await;
                        return Ok(Offer::AlreadyHave(vec![holder]));
                    }
                }
                Choice::Put(nodes, room) => {
                    let new = nodes.iter().filter(|node| !opened.contains_key(&node.uuid));
                    let opening = new.map(async |node| (node, self.open_to_put(key, file, node).await));
                    let mut is_complete = true;
                    for (node, done) in join_all(opening).await {
                        match done {
                            Ok(done) => drop(opened.insert(node.uuid.clone(), done)),
                            Err(failure) => {
                                tracing::warn!("{key}: node {} is left out of this upload: {failure}", node.name);
                                failed.insert(node.uuid.clone(), (node.name.clone(), failure));
                                is_complete = false;
                            }
                        }
                    }
                    if is_complete {
                        return Ok(self.offer(key, &nodes, opened, room).await);
                    }
                }
            }
        }
        let_go(opened).await;
        Err(reasons("no node of the cluster takes it", &failed.into_values().collect::<Vec<_>>()))
    }

    /// Of `nodes` that are recorded as having it, one that says so. Those that say nothing have `failed`.
    async fn holder(
        &self,
        key: &Key,
        nodes: Vec<Arc<Proxied>>,
        failed: &mut BTreeMap<Uuid, (String, Failure)>,
    ) -> Result<Option<Uuid>, Failure> {
        let log = self.recorded(key).await?.log;
        for node in self.ordered(key, nodes) {
            match self.check_one(key, &node, &log).await {
                Ok(true) => return Ok(Some(node.uuid.clone())),
                Ok(false) => {}
                Err(failure) => drop(failed.insert(node.uuid.clone(), (node.name.clone(), failure))),
            }
        }
        Ok(None)
    }

    async fn open_to_put(&self, key: &Key, file: &AssociatedFile, node: &Arc<Proxied>) -> Result<Opened, Failure> {
        if let Some(failure) = self.down(node) {
            return Err(failure);
        }
        let begun = Instant::now();
        let opening = async {
            let opened = open(&self.home, node, &self.limits, &self.asker).await?;
            // A store is not asked anything before it is sent content, which is too late to choose another.
            if opened.special().is_some() && !self.home.health().is_fresh(&node.uuid, begun, FRESH) {
                let limit = self.limits.context().connect;
                let checked = tokio::time::timeout(limit, opened.check(key)).await;
                checked.unwrap_or_else(|_| Err(silent(limit)))?;
            }
            Ok(match opened.put(key, file).await? {
                Offer::AlreadyHave(others) => Opened::Has(others),
                Offer::Upload(upload) => Opened::Takes(opened, upload.into_sink()),
            })
        };
        let done = tokio::time::timeout(self.limits.idle, opening).await;
        let done = done.unwrap_or_else(|_| Err(silent(self.limits.idle)));
        self.heard(node, begun.elapsed(), done.as_ref().err());
        done
    }

    async fn offer(&self, key: &Key, nodes: &[Arc<Proxied>], mut opened: BTreeMap<Uuid, Opened>, room: Room) -> Offer {
        let (mut places, mut has) = (Vec::new(), Vec::new());
        for node in nodes {
            match opened.remove(&node.uuid) {
                Some(Opened::Has(others)) => {
                    has.push(node.uuid.clone());
                    has.extend(others);
                }
                Some(Opened::Takes(rests_on, sink)) => places.push(FanLeg {
                    uuid: node.uuid.clone(),
                    name: node.name.clone(),
                    sink,
                    pace: node.upload.clone(),
                    rests_on: Box::new(rests_on),
                }),
                None => {}
            }
        }
        // What was chosen in another turn, and is not any more.
        let_go(opened).await;
        if places.is_empty() {
            return Offer::AlreadyHave(falling(has));
        }
        let (home, cluster) = (Arc::clone(&self.home), Arc::clone(&self.cluster));
        let parted = move |uuid: &Uuid, failure: &Failure| {
            if let Some(node) = cluster.nodes.iter().find(|node| node.uuid == *uuid) {
                home.health().heard(uuid, &node.name, Instant::now(), Duration::ZERO, Some(failure));
            }
        };
        let fan = Fan::new(key, places, &self.limits.budget, self.limits.idle, Rc::new(parted));
        Offer::Upload(Box::new(Upload::new(key, fan.beside(has, Box::new(room)))))
    }

    fn no_room(&self, failed: &[(String, Failure)]) -> Failure {
        let name = &self.cluster.name;
        if !failed.is_empty() {
            return reasons(&format!("no other node of cluster {name} has room for it"), failed);
        }
        match self.cluster.nodes.iter().any(|node| node.is_writable) {
            true => Failure::new(
                FailureKind::NoRoom,
                format!("no node of cluster {name} has room for it within its maxsize"),
            ),
            false => Failure::refused(format!("no node of cluster {name} may be written to")),
        }
    }
}

/// What was opened in vain keeps what it had.
async fn let_go(opened: BTreeMap<Uuid, Opened>) {
    let keep = async |opened: Opened| {
        if let Opened::Takes(_rests_on, sink) = opened {
            // Nothing was sent.
            let _ = sink.keep().await;
        }
    };
    join_all(opened.into_values().map(keep)).await;
}
