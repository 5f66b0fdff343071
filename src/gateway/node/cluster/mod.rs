//! A cluster: several nodes behind this gateway that clients use as one repository.
//!
//! ```text
//! PUT    --> placing: which nodes (preferred content, room) --> put: opened, one fan --> all commit, each records itself
//! GET    --> get: the nodes the log names, best first; the next where one fails or has it not
//! CHECK  --> check: one "present" is enough; "absent" is what all say
//! REMOVE --> remove: all nodes, on the clock of this computer
//! ```
//!
//! What a node positively says sets a log right that says otherwise ([`correct`]). How nodes are doing is known to all
//! requests ([`Health`](crate::gateway::repository::Health)).

mod check;
mod correct;
mod get;
mod placing;
mod put;
mod remove;

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
use crate::gateway::repository::{Cluster, Proxied};
use crate::gateway::{Failure, FailureKind, Outgoing, blocking, timestamp};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;

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
    /// Where the log is trusted, there are no others.
    fn askable(&self, key: &Key, recorded: &Recorded) -> (Vec<Arc<Proxied>>, Vec<Arc<Proxied>>) {
        let alive = self.cluster.nodes.iter().filter(|node| !recorded.is_dead(&node.uuid)).cloned();
        let named = |node: &Arc<Proxied>| recorded.log.presence(&node.uuid) == Some(Presence::Present);
        let (named, mut others): (Vec<_>, Vec<_>) = alive.partition(named);
        if self.trusts_log() {
            others.clear();
        }
        (self.ordered(key, named), self.ordered(key, others))
    }

    /// How long `node` may think before others are asked too.
    fn hedge(&self, node: &Proxied) -> Duration {
        let answer = self.home.health().known(&node.uuid).answer;
        answer.map_or(HEDGE.1, |answer| (answer * PATIENCE).clamp(HEDGE.0, HEDGE.1))
    }

    /// Whether what is not recorded counts as absent, as in git-annex.
    fn trusts_log(&self) -> bool {
        self.home.repository().config_bool("annex.stream.clustertrustlog").unwrap_or(false)
    }

    /// Has `node` do something, within the time for which it may be silent. How that went is remembered of it.
    async fn ask<T>(
        &self,
        node: &Arc<Proxied>,
        ask: impl AsyncFnOnce(&dyn Node) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let asked = async {
            let opened = open(&self.home, node, &self.limits, &self.asker).await?;
            ask(&*opened).await
        };
        let done = tokio::time::timeout(self.limits.idle, asked).await;
        let done = done.unwrap_or_else(|_| Err(silent(self.limits.idle)));
        self.heard(node, begun.elapsed(), done.as_ref().err());
        done
    }

    /// Remembers how `node` answered.
    fn heard(&self, node: &Proxied, after: Duration, failure: Option<&Failure>) {
        self.home.health().heard(&node.uuid, &node.name, Instant::now(), after, failure);
    }

    /// Why `node` is not asked now, if it is down. Looks beside the request whether it is up again, where it is time for that.
    fn down(&self, node: &Arc<Proxied>) -> Option<Failure> {
        let health = self.home.health();
        let why = health.down(&node.uuid)?;
        if health.take_probe(&node.uuid, Instant::now()) {
            let probe = Self::new(&self.home, Arc::clone(&self.cluster), &self.limits, &self.asker);
            let node = Arc::clone(node);
            tokio::task::spawn_local(async move {
                let key = Key::parse(PROBE).expect("it is one");
                // What it says is remembered.
                let _ = probe.ask(&node, async |node| node.check(&key).await).await;
            });
        }
        Some(Failure::new(FailureKind::Broken, format!("node {} is down: {why}", node.name)))
    }

    /// `nodes` in the order in which they are asked for `key`.
    fn ordered(&self, key: &Key, nodes: Vec<Arc<Proxied>>) -> Vec<Arc<Proxied>> {
        let health = self.home.health();
        let holder = |node: &Arc<Proxied>| {
            let known = health.known(&node.uuid);
            let (uuid, cost) = (node.uuid.clone(), node.cost);
            Holder { uuid, is_up: known.is_up, cost, hops: 0, serving: known.serving, speed: known.speed }
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
