//! Where an upload to a cluster would go now, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annex_types::size;
use serde::Serialize;

use super::known::Known;
use crate::annex::log::CLUSTER_LOG;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::remote::{Way, ways};
use crate::annex::repository::Repository;
use crate::annex::sizes::{Sizes, Usage};
use crate::cluster::{Candidate, Placement, Why, place};
use crate::gateway::wanted::{KeyFacts, Sizes as _};
use crate::name::{Key, Uuid};
use crate::resolve;
use crate::wanted::{Facts, Policy, Question, Repo, Trust, Unknown};

/// Where an upload to a cluster would go.
#[derive(Serialize)]
pub(super) struct Placed {
    uuid: String,
    description: String,
    /// `put`, `has` or `no room`; `null` where it cannot be told, with the reason in `error`.
    upload: Option<&'static str>,
    nodes: Vec<Node>,
    error: Option<String>,
}

/// A node, and what there is to say of an upload to it.
#[derive(Serialize)]
struct Node {
    uuid: String,
    description: String,
    cost: Option<f64>,
    /// Recorded as having the content.
    present: bool,
    /// Whether the content fits within its limit, and the bytes that are free there; `null` for one without a limit.
    fits: bool,
    room: Option<u64>,
    /// What it was chosen for: `wanted` or `numcopies`.
    chosen: Option<&'static str>,
    /// Why it is not asked.
    excluded: Option<String>,
}

/// Room in a repository, for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Whether the content fits.
    pub fits: bool,
    /// Bytes that are free; `None` where there is no limit.
    pub free: Option<u64>,
}

/// What placements are made of.
pub(super) struct Uploads<'a> {
    policy: &'a Policy,
    known: &'a Known,
    key: &'a Key,
    holders: Result<BTreeSet<Uuid>, Unknown>,
    log: ClusterLog,
    ways: BTreeMap<Uuid, Vec<Way>>,
    usage: Result<Usage, String>,
    sizes: &'a crate::gateway::wanted::Counted,
}

impl<'a> Uploads<'a> {
    /// Uploads of the key of `facts` to what `repository` knows.
    ///
    /// # Errors
    /// In a line, what cannot be read.
    pub fn new(
        repository: &Arc<Repository>,
        policy: &'a Policy,
        known: &'a Known,
        sizes: &'a crate::gateway::wanted::Counted,
        facts: &'a KeyFacts<'a>,
    ) -> Result<Self, String> {
        let key = facts.key().map_err(|e| e.to_string())?;
        let log = repository.branch().read(CLUSTER_LOG).map_err(|e| e.to_string())?;
        let mut holders = BTreeSet::new();
        let told = facts.holders(&mut |uuid| {
            holders.insert(uuid.clone());
        });
        let limited: Vec<Uuid> = policy
            .repos()
            .filter(|repo| policy.settings(*repo).maxsize.is_some())
            .map(|repo| policy.uuid(repo).clone())
            .collect();
        let usage = if limited.is_empty() {
            Err("nobody has a limit".to_string())
        } else {
            let usage = Arc::new(Sizes::new(Arc::clone(repository))).usage(key, key.size().unwrap_or(0), &limited);
            usage.map_err(|e| e.to_string())
        };
        let ways = ways(repository).map_err(|e| e.to_string())?;
        Ok(Self {
            policy,
            known,
            key,
            holders: told.map(|()| holders),
            log: ClusterLog::parse(&log),
            ways,
            usage,
            sizes,
        })
    }

    /// The clusters that are recorded and known here.
    pub fn clusters(&self) -> Vec<Uuid> {
        self.log.clusters().filter(|uuid| Known::is_cluster(uuid)).cloned().collect()
    }

    /// The nodes of a cluster.
    pub fn nodes(&self, cluster: &Uuid) -> &[Uuid] {
        self.log.nodes(cluster)
    }

    /// Room for the key in a repository, with what is under way to it.
    ///
    /// # Errors
    /// In a line, why how full it is is not known.
    pub fn room(&self, repo: Repo) -> Result<Room, String> {
        let uuid = self.policy.uuid(repo);
        let Some(max) = self.policy.settings(repo).maxsize else { return Ok(Room { fits: true, free: None }) };
        if let Ok(usage) = &self.usage
            && let Some(used) = usage.used(uuid)
        {
            return Ok(Room { fits: usage.fits(uuid, max), free: Some(max.saturating_sub(used)) });
        }
        // Whoever may not write the database counts what is recorded.
        let used = self.sizes.used(uuid)?;
        let has = self.holders.as_ref().map_err(ToString::to_string)?.contains(uuid);
        let more = if has { 0 } else { self.key.size().unwrap_or(0) };
        Ok(Room { fits: used.saturating_add(more) <= max, free: Some(max.saturating_sub(used)) })
    }

    /// Where an upload to `cluster` would go.
    pub fn placed(&self, cluster: &Uuid, question: &Question<'_, KeyFacts<'_>>) -> Placed {
        let mut shown = Placed {
            uuid: cluster.to_string(),
            description: self.known.title(cluster),
            upload: None,
            nodes: Vec::new(),
            error: None,
        };
        match self.place(cluster, question, &mut shown.nodes) {
            Ok(Placement::Put(picks)) => {
                shown.upload = Some("put");
                for pick in picks {
                    let uuid = self.policy.uuid(pick.repo).to_string();
                    let chosen = match pick.why {
                        Why::Wanted => "wanted",
                        Why::NumCopies => "numcopies",
                    };
                    let node = shown.nodes.iter_mut().find(|node| node.uuid == uuid);
                    if let Some(node) = node {
                        node.chosen = Some(chosen);
                    }
                }
            }
            Ok(Placement::Has(_)) => shown.upload = Some("has"),
            Ok(Placement::NoRoom) => shown.upload = Some("no room"),
            Err(why) => shown.error = Some(why),
        }
        shown
    }

    fn place(
        &self,
        cluster: &Uuid,
        question: &Question<'_, KeyFacts<'_>>,
        shown: &mut Vec<Node>,
    ) -> Result<Placement, String> {
        let holders = self.holders.as_ref().map_err(ToString::to_string)?;
        let mut candidates = Vec::new();
        for uuid in self.nodes(cluster) {
            let (repo, way) = (self.policy.repo(uuid), self.way(uuid));
            let is_dead = repo.is_some_and(|repo| self.policy.settings(repo).trust == Trust::Dead);
            let excluded = match (&way, repo) {
                _ if is_dead => Some("it is dead".to_string()),
                (Err(why), _) => Some(why.clone()),
                (Ok(_), None) => Some("no log has a record of it; git annex describe gives it one".to_string()),
                (Ok(_), Some(_)) => None,
            };
            let room = repo.map_or(Ok(Room { fits: true, free: None }), |repo| self.room(repo))?;
            if let (Some(repo), Ok(cost), None) = (repo, &way, &excluded) {
                let has = holders.contains(uuid);
                candidates.push(Candidate { repo, cost: *cost, has, fits: room.fits, room: room.free });
            }
            let title = self.known.title(uuid);
            shown.push(Node {
                uuid: uuid.to_string(),
                description: if title.is_empty() { uuid.to_string() } else { title },
                cost: way.ok(),
                present: holders.contains(uuid),
                fits: room.fits,
                room: room.free,
                chosen: None,
                excluded,
            });
        }
        let numcopies = question.numcopies().map_err(|e| e.to_string())?;
        place(question, self.key, &candidates, u64::try_from(numcopies).unwrap_or(1)).map_err(|e| e.to_string())
    }

    /// What the cheapest usable way to a node costs; why there is none, otherwise.
    fn way(&self, node: &Uuid) -> Result<f64, String> {
        let mut why = "no remote here leads to it; git annex updatecluster".to_string();
        let mut cheapest: Option<f64> = None;
        for way in self.ways.get(node).into_iter().flatten() {
            let name = String::from_utf8_lossy(&way.remote.name);
            if way.remote.ignored {
                why = format!("remote.{name}.annex-ignore is set");
            } else if way.remote.readonly {
                why = format!("remote.{name}.annex-readonly is set");
            } else if let Err(refusal) = resolve::destination(&way.remote, resolve::environment) {
                why = refusal.to_string();
            } else {
                cheapest = Some(cheapest.map_or(way.cost, |cost| cost.min(way.cost)));
            }
        }
        cheapest.ok_or(why)
    }
}

impl Placed {
    /// Whether it could be told.
    pub fn is_told(&self) -> bool {
        self.error.is_none()
    }

    /// A line for the cluster, and one for each node.
    pub fn text(&self, numcopies: i64) -> String {
        let names = |is: &dyn Fn(&Node) -> bool| {
            let names = self.nodes.iter().filter(|node| is(node)).map(|node| node.description.clone());
            let names: Vec<String> = names.collect();
            match names.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
                None => String::new(),
            }
        };
        let chosen = names(&|node| node.chosen.is_some());
        let verdict = match (self.upload, &self.error) {
            (_, Some(error)) => format!("cannot tell: {error}"),
            (Some("put"), None) if self.nodes.iter().any(|node| node.chosen == Some("wanted")) => {
                format!("an upload goes to {chosen}")
            }
            (Some("put"), None) => {
                format!("no node wants it; numcopies is {numcopies}, so an upload goes to {chosen}, by room")
            }
            (Some("has"), None) => {
                format!("an upload goes nowhere: {} has it, and no other node wants it", names(&|node| node.present))
            }
            _ => "an upload is refused: it fits on no node that may take it".to_string(),
        };
        let mut text = format!("\n{}: {verdict}\n", self.description);
        for node in &self.nodes {
            text += &format!("  {}: {}\n", node.description, node.line());
        }
        text
    }
}

impl Node {
    fn line(&self) -> String {
        if let Some(why) = &self.excluded {
            return format!("not asked: {why}");
        }
        let mut parts: Vec<String> = self.cost.iter().map(|cost| format!("cost {cost}")).collect();
        let room = Room { fits: self.fits, free: self.room };
        parts.push(room.text());
        parts.push(match (self.present, self.chosen) {
            (true, _) => "has it".to_string(),
            (_, Some("wanted")) => "wants it".to_string(),
            (_, Some(why)) => format!("chosen for {why}"),
            (_, None) if !self.fits => "not asked".to_string(),
            (_, None) => "not chosen".to_string(),
        });
        parts.join(", ")
    }
}

impl Room {
    /// In a few words.
    pub fn text(self) -> String {
        match (self.free, self.fits) {
            (None, _) => "no limit".to_string(),
            (Some(free), true) => format!("{} free", size::show(free)),
            (Some(free), false) => format!("it does not fit ({} free)", size::show(free)),
        }
    }
}
