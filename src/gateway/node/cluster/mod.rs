//! A cluster: several nodes, behind this gateway and behind others, that clients use as one repository.
//!
//! ```text
//! PUT    --> placing: which nodes (preferred content, room) --> put: opened, one fan --> all commit, each records itself
//! GET    --> get: the nodes the log names, best first; the next where one fails or has it not
//! CHECK  --> check: one "present" is enough; "absent" is what all say
//! REMOVE --> remove: all nodes, on the clock of this computer
//! a move --> bring: to nodes that somebody else chose
//! ```
//!
//! Nodes behind another gateway are asked through it ([`ways`]): each under its own uuid where the log names it, all under that of
//! the cluster where nothing is known. What a node positively says sets a log right that says otherwise ([`correct`]). How nodes
//! are doing is known to all requests ([`Health`](crate::gateway::repository::Health)).

mod bring;
mod check;
mod correct;
mod get;
mod placing;
mod put;
mod remove;
mod ways;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Asker, Limits, LocalRepository, Node, Offset, Removal, open};
use crate::annex::branch::BranchError;
use crate::annex::log::uuid::UuidLog;
use crate::annex::log::{LocationLog, Presence, TRUST_LOG};
use crate::cluster::Holder;
use crate::gateway::held::HeldLock;
use crate::gateway::receive::Offer;
use crate::gateway::repository::NodeHealth;
use crate::gateway::repository::{Cluster, ClusterLine};
use crate::gateway::{Failure, FailureKind, Outgoing, blocking, timestamp};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;
pub(in crate::gateway) use ways::Member;
use ways::Ways;

/// A cluster as one who asks sees it.
#[derive(Clone)]
pub(in crate::gateway) struct ClusterNode {
    home: Arc<LocalRepository>,
    cluster: Arc<Cluster>,
    limits: Limits,
    asker: Asker,
}

/// What is recorded, as it was read.
struct Recorded {
    log: LocationLog,
    trust: UuidLog,
}

impl Recorded {
    fn is_dead(&self, node: &Uuid) -> bool {
        self.trust.value(node) == Some(b"X")
    }
}

/// How long a node may think: so many times what it takes as a rule, within these limits.
const PATIENCE: u32 = 4;
const HEDGE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// A key that no repository has: nodes that are down are asked for it, to see whether they answer.
const PROBE: &[u8] = b"WORM-s1-m1--git-annex-remote-stream.probe";

impl ClusterNode {
    pub(in crate::gateway) fn new(
        home: &Arc<LocalRepository>,
        cluster: Arc<Cluster>,
        limits: &Limits,
        asker: &Asker,
    ) -> Self {
        Self { home: Arc::clone(home), cluster, limits: limits.clone(), asker: asker.clone() }
    }

    /// What is recorded of `key`, and of the nodes.
    async fn recorded(&self, key: &Key) -> Result<Recorded, Failure> {
        let (home, key) = (Arc::clone(&self.home), key.clone());
        let read = blocking(move || {
            let branch = home.repository().branch();
            let trust = UuidLog::parse(&branch.read(TRUST_LOG)?);
            Ok::<_, BranchError>(Recorded { log: branch.locations(&key)?, trust })
        });
        read.await?.map_err(|e| Failure::internal(format!("read where the content is: {e}")))
    }

    /// The nodes that are not dead: first those that `recorded` has for holders of `key`, then the others, the best of each first.
    /// Of those behind another gateway only those that are recorded; for the rest the gateway is asked. Where the log is trusted,
    /// there are no others.
    fn askable(&self, key: &Key, recorded: &Recorded, ways: &Ways<'_>) -> (Vec<Arc<Member>>, Vec<Arc<Member>>) {
        let alive = ways.nodes().into_iter().filter(|node| !recorded.is_dead(node.uuid()));
        let named = |node: &Arc<Member>| recorded.log.presence(node.uuid()) == Some(Presence::Present);
        let (named, mut others): (Vec<_>, Vec<_>) = alive.partition(named);
        others.retain(|node| node.remote.gateway.is_none());
        others.extend(ways.gateways());
        if self.trusts_log() {
            others.clear();
        }
        (self.ordered(key, named), self.ordered(key, others))
    }

    /// Whether anything of `line` counts: a node there that is not dead, and, where the log is trusted, that it names.
    fn counts(&self, line: &ClusterLine, recorded: &Recorded) -> bool {
        let is_named = |node: &Uuid| recorded.log.presence(node) == Some(Presence::Present);
        let is_elsewhere = |node: &Uuid| self.cluster.nodes.iter().any(|own| own.uuid == *node);
        let trusts_log = self.trusts_log();
        line.nodes.keys().any(|node| !recorded.is_dead(node) && !is_elsewhere(node) && (is_named(node) || !trusts_log))
    }

    /// Whose health tells of `member`: another gateway's, where that is asked for all that is behind it.
    fn health_of<'a>(&self, member: &'a Member) -> &'a Uuid {
        match &member.remote.gateway {
            Some(gateway) if member.is_whole(&self.cluster.uuid) => gateway,
            _ => member.uuid(),
        }
    }

    /// What is known of a node and, behind another gateway, of the way to it.
    fn known(&self, member: &Member) -> NodeHealth {
        let health = self.home.health();
        let known = health.known(self.health_of(member));
        let is_way_up = member.remote.gateway.as_ref().is_none_or(|gateway| health.known(gateway).is_up);
        NodeHealth { is_up: known.is_up && is_way_up, ..known }
    }

    /// How long `node` may think before others are asked too.
    fn hedge(&self, node: &Member) -> Duration {
        let answer = self.known(node).answer;
        answer.map_or(HEDGE.1, |answer| (answer * PATIENCE).clamp(HEDGE.0, HEDGE.1))
    }

    /// Whether what is not recorded counts as absent, as in git-annex.
    fn trusts_log(&self) -> bool {
        self.home.repository().config_bool("annex.stream.clustertrustlog").unwrap_or(false)
    }

    /// Has `node` do something, within the time for which it may be silent. How that went is remembered of it.
    async fn ask<T>(
        &self,
        node: &Member,
        ask: impl AsyncFnOnce(&dyn Node) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let asked = async {
            let opened = open(&self.home, &node.remote, &self.limits, &node.asker).await?;
            ask(&*opened).await
        };
        let done = tokio::time::timeout(self.limits.idle, asked).await;
        let done = done.unwrap_or_else(|_| Err(silent(self.limits.idle)));
        self.heard(node, begun.elapsed(), done.as_ref().err());
        done
    }

    /// Remembers how `node` answered. Behind another gateway: whether that one did, and what it told of the node.
    fn heard(&self, node: &Member, after: Duration, failure: Option<&Failure>) {
        let (health, now) = (self.home.health(), Instant::now());
        if let Some(gateway) = &node.remote.gateway {
            let failure = failure.filter(|failure| !failure.is_answer());
            let name = self.gateway_name(gateway);
            health.heard(gateway, &format!("gateway {name}"), now, after, failure);
            if failure.is_some() || node.is_whole(&self.cluster.uuid) {
                return;
            }
        }
        health.heard(node.uuid(), &format!("node {}", node.name()), now, after, failure);
    }

    fn gateway_name(&self, gateway: &Uuid) -> &str {
        let line = self.cluster.lines.iter().find(|line| line.gateway == *gateway);
        line.map_or("", |line| &line.whole.name)
    }

    /// Why `node` is not asked now, if it or the gateway that it is behind is down. Looks beside the request whether that is up
    /// again, where it is time for that.
    fn down(&self, node: &Arc<Member>) -> Option<Failure> {
        let health = self.home.health();
        let way = node.remote.gateway.as_ref().and_then(|gateway| Some((gateway, health.down(gateway)?)));
        if let Some((gateway, why)) = way {
            let line = self.cluster.lines.iter().find(|line| line.gateway == *gateway);
            if health.take_probe(gateway, Instant::now())
                && let Some(line) = line
            {
                // All that counts is that it answers.
                let bypass = [self.asker.bypass.clone(), vec![self.home.uuid().clone()]].concat();
                self.probe(&self.through(&line.whole, 1, bypass));
            }
            let words = format!("gateway {} is down: {why}", self.gateway_name(gateway));
            return Some(Failure::new(FailureKind::Broken, words));
        }
        let why = health.down(self.health_of(node))?;
        if health.take_probe(self.health_of(node), Instant::now()) {
            self.probe(node);
        }
        Some(Failure::new(FailureKind::Broken, format!("node {} is down: {why}", node.name())).answered())
    }

    /// Asks `node` something beside the request; how that goes is remembered.
    fn probe(&self, node: &Arc<Member>) {
        let probe = Self::new(&self.home, Arc::clone(&self.cluster), &self.limits, &self.asker);
        let node = Arc::clone(node);
        tokio::task::spawn_local(async move {
            let key = Key::parse(PROBE).expect("it is one");
            let _ = probe.ask(&node, async |node| node.check(&key).await).await;
        });
    }

    /// The node `uuid` behind another gateway, by the nearest way that does not lead back to whoever asks.
    pub(in crate::gateway) async fn open_behind(mut self, uuid: &Uuid) -> Result<Box<dyn Node>, Failure> {
        // git-annex passes on requests for a single node without a word of where they came through.
        self.asker.bypass.push(self.asker.client.clone());
        let node = self.ways(&BTreeSet::new()).nodes().into_iter().find(|node| node.uuid() == uuid);
        let words = || format!("the node {uuid} is behind another gateway, to which no way leads that is not left out");
        let node = node.ok_or_else(|| Failure::refused(words()))?;
        open(&self.home, &node.remote, &self.limits, &node.asker).await
    }

    /// `nodes` in the order in which they are asked for `key`.
    fn ordered(&self, key: &Key, nodes: Vec<Arc<Member>>) -> Vec<Arc<Member>> {
        let holder = |node: &Arc<Member>| {
            let known = self.known(node);
            let (uuid, cost, hops) = (self.health_of(node).clone(), node.cost, node.hops);
            Holder { uuid, is_up: known.is_up, cost, hops, serving: known.serving, speed: known.speed }
        };
        let holders: Vec<Holder> = nodes.iter().map(holder).collect();
        crate::cluster::order(key, &holders).into_iter().map(|place| Arc::clone(&nodes[place])).collect()
    }
}

#[async_trait(?Send)]
impl Node for ClusterNode {
    async fn check(&self, key: &Key) -> Result<bool, Failure> {
        self.check_all(key).await
    }

    async fn get(
        &self,
        key: &Key,
        file: &AssociatedFile,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        self.get_from_any(key, file, from, len).await
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Offer, Failure> {
        self.put_to_all(key, file).await
    }

    async fn offset(&self, key: &Key) -> Result<Offset, Failure> {
        match self.put_to_all(key, &AssociatedFile::default()).await? {
            Offer::AlreadyHave(others) => Ok(Offset::All(others)),
            Offer::Upload(upload) => {
                let offset = upload.offset();
                upload.keep().await.map(|()| Offset::Bytes(offset))
            }
        }
    }

    async fn remove(&self, key: &Key, before: Option<i64>) -> Result<Removal, Failure> {
        self.remove_from_all(key, before).await
    }

    /// None: a lock on the cluster would have to be on all its nodes, and special remotes have none. Clients lock nodes.
    async fn lock(&self, _: &Key) -> Result<Option<HeldLock>, Failure> {
        Ok(None)
    }

    async fn take_note(&self, key: &Key) -> Result<Option<Vec<Uuid>>, Failure> {
        self.note_all(key).await
    }

    async fn timestamp(&self) -> Result<u64, Failure> {
        Ok(timestamp())
    }
}

fn silent(limit: Duration) -> Failure {
    Failure::busy(&format!("it gave no answer in {} seconds", limit.as_secs()))
}

/// The uuids as git-annex orders them in answers. Recorded: falling.
fn falling(mut uuids: Vec<Uuid>) -> Vec<Uuid> {
    uuids.sort();
    uuids.dedup();
    uuids.reverse();
    uuids
}

/// What is said where nodes failed: each with its reason.
fn reasons(what: &str, failed: &[(String, Failure)]) -> Failure {
    let mut kinds = failed.iter().map(|(_, failure)| failure.kind());
    let first = kinds.next().unwrap_or(FailureKind::Broken);
    let kind = if kinds.all(|kind| kind == first) { first } else { FailureKind::Broken };
    let each: Vec<String> = failed.iter().map(|(name, failure)| format!("{name}: {failure}")).collect();
    Failure::new(kind, format!("{what} ({})", each.join("; ")))
}
