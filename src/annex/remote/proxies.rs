//! The uuids that a repository is a proxy for.

use std::collections::BTreeMap;

use super::{Remote, RemoteError, clusters, remotes_of, write_block};
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::proxy::{ProxiedName, ProxyLog};
use crate::annex::log::{CLUSTER_LOG, PROXY_LOG};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// The remotes that are served through this repository, by uuid.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    known: BTreeMap<Uuid, Remote>,
    clusters: Vec<(ProxiedName, Vec<Uuid>)>,
    blocked_by: Option<Vec<u8>>,
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

    /// The uuids of all of them, and of clusters.
    pub fn uuids(&self) -> impl Iterator<Item = &Uuid> {
        self.known.keys().chain(self.clusters.iter().map(|(cluster, _)| &cluster.uuid))
    }

    /// The clusters it is a gateway to: uuid, name and nodes of each.
    pub fn clusters(&self) -> impl Iterator<Item = (&Uuid, &[u8], &[Uuid])> {
        self.clusters.iter().map(|(cluster, nodes)| (&cluster.uuid, &cluster.name[..], &nodes[..]))
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
        (cluster, nodes)
    });
    Ok(Proxies { known, clusters: clusters.collect(), blocked_by })
}
