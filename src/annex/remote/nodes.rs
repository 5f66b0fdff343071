//! The nodes of clusters, as `git annex updatecluster` records them.

use std::collections::{BTreeMap, BTreeSet};

use super::offer::{now, offers_with, reached_beyond, reached_through, refusal};
use super::{Offers, Remote, RemoteError, clusters, remotes_of};
use crate::annex::branch::Edit;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::proxy::{ProxiedName, ProxyLog};
use crate::annex::log::{CLUSTER_LOG, PROXY_LOG};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// What is recorded of the clusters of a repository, and what is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The clusters of git config, by name.
    pub clusters: Vec<Nodes>,
    /// What is proxied once these are recorded.
    pub offers: Offers,
}

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Who it is, and its name here.
    pub cluster: ProxiedName,
    /// Nodes that are to be recorded and are not yet, by what they cost and by uuid, with the names of the remotes.
    pub added: Vec<ProxiedName>,
    /// Nodes that are recorded and are to be no longer, by uuid.
    pub removed: BTreeSet<Uuid>,
    /// All that are to be recorded.
    pub wanted: BTreeSet<Uuid>,
}

impl Nodes {
    fn is_recorded(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// What is recorded of the clusters of `repository` and what is to be: its remotes with `annex-cluster-node`, and those recorded
/// nodes that one of its remotes proxies. No network.
///
/// # Errors
///
/// The remotes or a log could not be read.
pub fn membership(repository: &Repository) -> Result<Membership, RemoteError> {
    let mut log = ClusterLog::parse(&repository.branch().read(CLUSTER_LOG)?);
    let proxies = ProxyLog::parse(&repository.branch().read(PROXY_LOG)?);
    let mut known = remotes_of(repository)?;
    known.sort_by(|a, b| a.cost.total_cmp(&b.cost).then_with(|| (&a.uuid, &a.name).cmp(&(&b.uuid, &b.name))));
    let elsewhere = known.iter().flat_map(|remote| reached_through(repository, remote, &proxies));
    let elsewhere: BTreeSet<Uuid> = elsewhere.map(|offer| offer.uuid).collect();
    let is_node =
        |remote: &&Remote, cluster: &Uuid| remote.node_of.contains(cluster) && refusal(repository, remote).is_none();
    let mut by_name: Vec<ProxiedName> = clusters(repository).into_iter().collect();
    by_name.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Vec::new();
    for cluster in by_name {
        let recorded: BTreeSet<Uuid> = log.nodes(&cluster.uuid).iter().cloned().collect();
        let mut wanted: BTreeSet<Uuid> = recorded.intersection(&elsewhere).cloned().collect();
        let mut added = Vec::new();
        for remote in known.iter().filter(|remote| is_node(remote, &cluster.uuid)) {
            if wanted.insert(remote.uuid.clone()) && !recorded.contains(&remote.uuid) {
                added.push(ProxiedName { uuid: remote.uuid.clone(), name: remote.name.clone() });
            }
        }
        let removed = recorded.difference(&wanted).cloned().collect();
        let nodes = Nodes { cluster, added, removed, wanted };
        if !nodes.is_recorded() {
            log.set(&nodes.cluster.uuid, nodes.wanted.clone(), 0);
        }
        found.push(nodes);
    }
    Ok(Membership { offers: offers_with(repository, &log)?, clusters: found })
}

/// Records what is not yet recorded: in the journal and, unless `annex.alwayscommit` is false, as one commit in the branch.
///
/// # Errors
///
/// The branch could not be written.
pub fn record_membership(repository: &Repository, membership: &Membership) -> Result<(), RemoteError> {
    let changed = membership.clusters.iter().filter(|nodes| !nodes.is_recorded());
    let changed: Vec<(Uuid, BTreeSet<Uuid>)> =
        changed.map(|nodes| (nodes.cluster.uuid.clone(), nodes.wanted.clone())).collect();
    let mut edits = Vec::new();
    if !changed.is_empty() {
        let now = now();
        edits.push(Edit::new(CLUSTER_LOG.to_vec(), move |have| {
            let mut log = ClusterLog::parse(have);
            changed.into_iter().for_each(|(cluster, nodes)| log.set(&cluster, nodes, now));
            Some(log.to_bytes())
        }));
    }
    if !membership.offers.are_recorded() {
        edits.push(membership.offers.edit(repository));
    }
    if !edits.is_empty() {
        record(repository, edits)?;
    }
    Ok(())
}

/// Makes `edits`, and one commit of them where that is not left to others.
pub(super) fn record(repository: &Repository, edits: Vec<Edit>) -> Result<(), RemoteError> {
    repository.branch().change(edits)?;
    if repository.config_bool("annex.alwayscommit") != Some(false) {
        repository.branch().commit("update")?;
    }
    Ok(())
}

/// A way to a node: through a remote that it is, or through one that proxies it.
#[derive(Debug, Clone)]
pub struct Way {
    /// The remote that is used.
    pub remote: Remote,
    /// What the node is called here: the remote's name, or `REMOTE-NAME` behind it.
    pub name: Vec<u8>,
    /// What it costs: that of the remote, and a tenth for the gateway on the way.
    pub cost: f64,
    /// Gateways on the way.
    pub hops: u32,
}

/// What one gateway more on the way costs, as git-annex shows it.
const HOP: f64 = 0.1;

/// The ways to the recorded nodes of all clusters, by the uuid of the node, the cheapest first.
///
/// # Errors
///
/// As those of [`membership`].
pub fn ways(repository: &Repository) -> Result<BTreeMap<Uuid, Vec<Way>>, RemoteError> {
    let log = ClusterLog::parse(&repository.branch().read(CLUSTER_LOG)?);
    let proxies = ProxyLog::parse(&repository.branch().read(PROXY_LOG)?);
    let nodes: BTreeSet<Uuid> = log.clusters().flat_map(|cluster| log.nodes(cluster)).cloned().collect();
    let mut ways: BTreeMap<Uuid, Vec<Way>> = BTreeMap::new();
    for remote in remotes_of(repository)? {
        let own = (!remote.node_of.is_empty() && refusal(repository, &remote).is_none())
            .then(|| ProxiedName { uuid: remote.uuid.clone(), name: remote.name.clone() });
        let behind = reached_beyond(repository, &remote, &proxies).into_iter();
        for (hops, offer) in own.into_iter().map(|own| (0, own)).chain(behind.map(|offer| (1, offer))) {
            if hops == 0 || nodes.contains(&offer.uuid) {
                let cost = remote.cost + f64::from(hops) * HOP;
                ways.entry(offer.uuid).or_default().push(Way { remote: remote.clone(), name: offer.name, cost, hops });
            }
        }
    }
    ways.values_mut().for_each(|ways| ways.sort_by(|a, b| a.cost.total_cmp(&b.cost)));
    Ok(ways)
}
