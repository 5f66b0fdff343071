//! PUT to a cluster: nodes are chosen and opened before the client sends anything.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::placing::Choice;
use super::ways::Member;
use super::{ClusterNode, falling, open, reasons, silent};
use crate::gateway::node::Node;
use crate::gateway::receive::{Fan, FanLeg, Offer, Sink, Upload};
use crate::gateway::room::Room;
use crate::gateway::{Failure, FailureKind};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

/// A node that was opened for an upload.
pub(super) enum Opened {
    /// It has the content, and so have these.
    Has(Vec<Uuid>),
    /// It takes it, and what that rests on.
    Takes(Box<dyn Node>, Box<dyn Sink>, Vec<Room>),
}

/// Which conversation an upload is: with whom, and whom that one leaves out.
pub(super) type Talk = (Uuid, Option<Uuid>, Vec<Uuid>);

/// What became of nodes so far.
#[derive(Default)]
struct Tried {
    opened: BTreeMap<Talk, Opened>,
    /// Of which nothing is expected any more, by uuid.
    nodes: BTreeMap<Uuid, (String, Failure)>,
    /// The same of other gateways.
    gateways: BTreeMap<Uuid, (String, Failure)>,
}

impl Tried {
    fn failures(&self) -> Vec<(String, Failure)> {
        self.nodes.values().chain(self.gateways.values()).cloned().collect()
    }

    /// Behind a gateway that could not be reached nothing is expected of any node; else of those that were to get it there.
    fn failed(&mut self, leg: &Member, nodes: &[Uuid], failure: Failure) {
        let told = (leg.name().to_string(), failure);
        match &leg.remote.gateway {
            Some(gateway) if !told.1.is_answer() => drop(self.gateways.insert(gateway.clone(), told)),
            _ => self.nodes.extend(nodes.iter().map(|node| (node.clone(), told.clone()))),
        }
    }
}

/// For how long a store that answered counts as reachable.
const FRESH: Duration = Duration::from_secs(30);

impl ClusterNode {
    /// Gets ready to take the content of `key`. A node that cannot be opened is left out, and the rest is chosen anew; behind a
    /// gateway that cannot be reached that goes for all nodes that no other leads to.
    pub(super) async fn put_to_all(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure> {
        self.home.recordable(key)?;
        let mut tried = Tried::default();
        // Each turn leaves out a node or a gateway, sets the log of one right, or is the last.
        let all = self.cluster.nodes.len() + self.cluster.lines.iter().map(|line| 1 + line.nodes.len()).sum::<usize>();
        for _ in 0..=2 * all {
            let left_out: BTreeSet<Uuid> = tried.nodes.keys().cloned().collect();
            let ways = self.ways(&tried.gateways.keys().cloned().collect());
            match self.choose(key, file, &ways.nodes(), &left_out).await? {
                Choice::NoRoom => {
                    let failures = tried.failures();
                    let_go(tried.opened).await;
                    return Err(self.no_room(&failures));
                }
                Choice::Has(nodes) => {
                    if let Some(holder) = self.holder(key, nodes, &mut tried).await? {
                        let_go(tried.opened).await;
                        return Ok(Offer::AlreadyHave(vec![holder]));
                    }
                }
                Choice::Put(nodes, room) => {
                    let legs = ways.legs(&nodes);
                    if self.open_all(key, file, &legs, &nodes, &mut tried).await {
                        return Ok(self.offer(key, &legs, tried.opened, room).await);
                    }
                }
            }
        }
        let failures = tried.failures();
        let_go(tried.opened).await;
        Err(reasons("no node of the cluster takes it", &failures))
    }

    /// Opens what is not open yet, side by side. False where that failed.
    async fn open_all(
        &self,
        key: &Key,
        file: &AssociatedFile,
        legs: &[Arc<Member>],
        nodes: &[Arc<Member>],
        tried: &mut Tried,
    ) -> bool {
        // A gateway that is told to leave out others than before is to have let go of the first offer.
        let is_old = |talk: &Talk| !legs.iter().any(|leg| self::talk(leg) == *talk);
        let old: Vec<Talk> = tried.opened.keys().filter(|talk| is_old(talk)).cloned().collect();
        let_go(old.into_iter().filter_map(|talk| tried.opened.remove_entry(&talk)).collect()).await;
        let new = legs.iter().filter(|leg| !tried.opened.contains_key(&talk(leg)));
        let opening = new.map(async |leg| (leg, self.open_to_put(key, file, leg).await));
        let mut is_complete = true;
        for (leg, done) in join_all(opening).await {
            match done {
                Ok(done) => drop(tried.opened.insert(talk(leg), done)),
                Err(failure) => {
                    let what = if leg.is_whole(&self.cluster.uuid) { "gateway" } else { "node" };
                    tracing::warn!("{key}: {what} {} is left out of this upload: {failure}", leg.name());
                    let is_there = |node: &&Arc<Member>| match leg.is_whole(&self.cluster.uuid) {
                        true => node.remote.gateway == leg.remote.gateway,
                        false => node.uuid() == leg.uuid(),
                    };
                    let there: Vec<Uuid> = nodes.iter().filter(is_there).map(|node| node.uuid().clone()).collect();
                    tried.failed(leg, &there, failure);
                    is_complete = false;
                }
            }
        }
        is_complete
    }

    /// Of `nodes` that are recorded as having it, one that says so. Those that say nothing have failed.
    async fn holder(&self, key: &Key, nodes: Vec<Arc<Member>>, tried: &mut Tried) -> Result<Option<Uuid>, Failure> {
        let log = self.recorded(key).await?.log;
        for node in self.ordered(key, nodes) {
            match self.check_one(key, &node, &log).await {
                Ok(true) => return Ok(Some(node.uuid().clone())),
                Ok(false) => {}
                Err(failure) => tried.failed(&node, &[node.uuid().clone()], failure),
            }
        }
        Ok(None)
    }

    pub(super) async fn open_to_put(
        &self,
        key: &Key,
        file: &AssociatedFile,
        node: &Arc<Member>,
    ) -> Result<Opened, Failure> {
        if let Some(failure) = self.down(node) {
            return Err(failure);
        }
        let begun = Instant::now();
        let opening = async {
            let opened = open(&self.home, &node.remote, &self.limits, &node.asker).await?;
            // A store is not asked anything before it is sent content, which is too late to choose another.
            if opened.special().is_some() && !self.home.health().is_fresh(node.uuid(), begun, FRESH) {
                let limit = self.limits.context().connect;
                let checked = tokio::time::timeout(limit, opened.check(key)).await;
                checked.unwrap_or_else(|_| Err(silent(limit)))?;
            }
            Ok(match opened.put(key, file).await? {
                Offer::AlreadyHave(others) => Opened::Has(others),
                Offer::Upload(upload) => {
                    let (sink, rooms) = upload.into_sink();
                    Opened::Takes(opened, sink, rooms)
                }
            })
        };
        let done = tokio::time::timeout(self.limits.idle, opening).await;
        let done = done.unwrap_or_else(|_| Err(silent(self.limits.idle)));
        self.heard(node, begun.elapsed(), done.as_ref().err());
        done
    }

    pub(super) async fn offer(
        &self,
        key: &Key,
        legs: &[Arc<Member>],
        mut opened: BTreeMap<Talk, Opened>,
        room: Room,
    ) -> Offer {
        let (mut places, mut has) = (Vec::new(), Vec::new());
        for leg in legs {
            let is_place = !leg.is_whole(&self.cluster.uuid);
            match opened.remove(&talk(leg)) {
                Some(Opened::Has(others)) => {
                    has.extend(Some(leg.uuid().clone()).filter(|_| is_place));
                    has.extend(others);
                }
                Some(Opened::Takes(rests_on, sink, quota)) => places.push(FanLeg {
                    uuid: self.health_of(leg).clone(),
                    is_place,
                    name: leg.name().to_string(),
                    sink,
                    pace: leg.remote.upload.clone(),
                    hops: leg.hops,
                    rests_on: Box::new((rests_on, quota)),
                }),
                None => {}
            }
        }
        if places.is_empty() {
            return Offer::AlreadyHave(falling(has));
        }
        let (cluster, legs) = (self.clone(), legs.to_vec());
        let parted = move |uuid: &Uuid, failure: &Failure| {
            if let Some(leg) = legs.iter().find(|leg| cluster.health_of(leg) == uuid) {
                cluster.heard(leg, Duration::ZERO, Some(failure));
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
        let lines = self.cluster.lines.iter().filter(|line| !line.nodes.is_empty()).map(|line| &line.whole);
        match self.cluster.nodes.iter().chain(lines).any(|node| node.is_writable) {
            true => Failure::new(
                FailureKind::NoRoom,
                format!("no node of cluster {name} has room for it within its maxsize"),
            ),
            false => Failure::refused(format!("no node of cluster {name} may be written to")),
        }
    }
}

pub(super) fn talk(leg: &Member) -> Talk {
    (leg.uuid().clone(), leg.remote.gateway.clone(), leg.asker.bypass.clone())
}

/// What was opened in vain keeps what it had.
async fn let_go(opened: BTreeMap<Talk, Opened>) {
    let keep = async |opened: Opened| {
        if let Opened::Takes(_rests_on, sink, _quota) = opened {
            // Nothing was sent.
            let _ = sink.keep().await;
        }
    };
    join_all(opened.into_values().map(keep)).await;
}
