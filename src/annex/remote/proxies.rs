//! The uuids that a repository is a proxy for.

use std::collections::{BTreeMap, BTreeSet};

use super::offer::speaks_p2p;
use super::{Remote, RemoteError, RemoteKind, clusters, remotes_of, write_block};
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::proxy::{ProxiedName, ProxyLog};
use crate::annex::log::{CLUSTER_LOG, PROXY_LOG};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// The remotes that are served through this repository, by uuid.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    known: BTreeMap<Uuid, Remote>,
    clusters: Vec<Served>,
    blocked_by: Option<Vec<u8>>,
}

/// A cluster that a repository is a gateway to.
#[derive(Debug, Clone)]
pub struct Served {
    /// Who it is, and its name here.
    pub cluster: ProxiedName,
    /// Its nodes, by uuid: those of other gateways, too.
    pub nodes: Vec<Uuid>,
    /// Remotes that are gateways of it, the cheapest first, one for each repository.
    pub gateways: Vec<Remote>,
    /// What each gateway of it tells of its nodes, this repository too: who tells, the node, and its name there.
    pub told: Vec<(Uuid, ProxiedName)>,
    /// Nodes behind these remotes that are served here under their own uuids, by uuid.
    pub behind: BTreeSet<Uuid>,
}

impl Proxies {
    /// The remote that requests for `uuid` go to; none where they are not for a remote of ours.
    pub fn get(&self, uuid: &Uuid) -> Option<&Remote> {
        self.known.get(uuid)
    }

    /// All of them, by uuid.
    pub fn iter(&self) -> impl Iterator<Item = &Remote> {
        self.known.values()
    }

    /// The uuids of all of them, of clusters, and of nodes behind other gateways.
    pub fn uuids(&self) -> impl Iterator<Item = &Uuid> {
        let clusters = self.clusters.iter().flat_map(|served| served.behind.iter().chain([&served.cluster.uuid]));
        self.known.keys().chain(clusters)
    }

    /// The clusters it is a gateway to.
    pub fn clusters(&self) -> impl Iterator<Item = &Served> {
        self.clusters.iter()
    }

    /// The name of an unverified special remote that keeps all special remotes from being written to.
    pub fn blocked_by(&self) -> Option<&[u8]> {
        self.blocked_by.as_deref()
    }
}

/// What `repository` proxies now: a remote under the name and uuid that `proxy.log` tells others of, which git config still
/// has under both, and still wants proxied. Neither alone will do. The repository itself is none.
///
/// Recorded: git-annex-shell says "not configured to proxy for repository" wherever one of them is missing.
pub fn proxied(repository: &Repository) -> Result<Proxies, RemoteError> {
    let log = ProxyLog::parse(&repository.branch().read(PROXY_LOG)?);
    let offered = log.proxied(repository.uuid());
    let all = remotes_of(repository)?;
    let gateways = all.iter().filter(|remote| !remote.gateway_for.is_empty() && !remote.ignored && is_way(remote));
    let mut gateways: Vec<Remote> = gateways.cloned().collect();
    gateways.sort_by(|a, b| a.cost.total_cmp(&b.cost).then_with(|| (&a.uuid, &a.name).cmp(&(&b.uuid, &b.name))));
    let blocked_by = write_block(&all).map(|remote| remote.name.clone());
    let mut known = BTreeMap::new();
    for remote in all {
        let told = offered.iter().any(|offer| offer.uuid == remote.uuid && offer.name == remote.name);
        if told && remote.proxied && remote.uuid != *repository.uuid() {
            // Two ways to one place: either will do.
            known.entry(remote.uuid.clone()).or_insert(remote);
        }
    }
    // As with remotes, all must say so: proxy.log, git config, and cluster.log which nodes.
    let (own, nodes) = (clusters(repository), ClusterLog::parse(&repository.branch().read(CLUSTER_LOG)?));
    let clusters = own.into_iter().filter(|cluster| offered.iter().any(|offer| offer.uuid == cluster.uuid));
    let clusters = clusters.map(|cluster| {
        let nodes = nodes.nodes(&cluster.uuid).to_vec();
        served(repository.uuid(), cluster, nodes, &gateways, &log, &known)
    });
    Ok(Proxies { clusters: clusters.collect(), known, blocked_by })
}

fn is_way(remote: &Remote) -> bool {
    matches!(&remote.kind, RemoteKind::Git(git) if speaks_p2p(git))
}

/// A cluster of the repository `home`.
fn served(
    home: &Uuid,
    cluster: ProxiedName,
    nodes: Vec<Uuid>,
    gateways: &[Remote],
    log: &ProxyLog,
    known: &BTreeMap<Uuid, Remote>,
) -> Served {
    let mut of_it: Vec<Remote> = Vec::new();
    for gateway in gateways.iter().filter(|gateway| gateway.gateway_for.contains(&cluster.uuid)) {
        if gateway.uuid != *home && !of_it.iter().any(|other| other.uuid == gateway.uuid) {
            of_it.push(gateway.clone());
        }
    }
    let is_node = |offer: &&ProxiedName| nodes.binary_search(&offer.uuid).is_ok();
    let told = log.proxies_of(&cluster.uuid).flat_map(|proxy| {
        log.proxied(proxy).iter().filter(is_node).map(|offer| (proxy.clone(), offer.clone())).collect::<Vec<_>>()
    });
    let behind = |offer: &&ProxiedName| {
        !known.contains_key(&offer.uuid)
            && of_it.iter().any(|gateway| {
                let name = offer.name.strip_prefix(&gateway.name[..]).and_then(|rest| rest.strip_prefix(b"-"));
                name.is_some_and(|name| {
                    log.proxied(&gateway.uuid).iter().any(|theirs| theirs.uuid == offer.uuid && theirs.name == name)
                })
            })
    };
    let offered = log.proxied(home).iter().filter(is_node).filter(behind);
    let behind = offered.map(|offer| offer.uuid.clone()).collect();
    Served { told: told.collect(), behind, gateways: of_it, cluster, nodes }
}
