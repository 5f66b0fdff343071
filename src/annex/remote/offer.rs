//! What a repository announces that it proxies, as `git annex updateproxy` records it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{GitRemote, Remote, RemoteError, RemoteKind, clusters, remotes_of, strangers};
use crate::annex::branch::Edit;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::proxy::{ProxiedName, ProxyLog};
use crate::annex::log::{CLUSTER_LOG, PROXY_LOG, is_cluster};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// What is recorded and what is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    /// What `proxy.log` says of this repository.
    pub recorded: BTreeSet<ProxiedName>,
    /// What it should say.
    pub wanted: BTreeSet<ProxiedName>,
    /// The remotes that are to be proxied and cannot be.
    pub refused: Vec<Refused>,
}

/// Why a remote cannot be proxied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// git-annex has not found out its uuid.
    Stranger(Vec<u8>),
    /// A tree is exported to it and it holds nothing else.
    Export(Vec<u8>),
    /// Its name would be read back as another one.
    Name(Vec<u8>),
    /// Nothing of it is recorded where others would read it: `annex-private`.
    Private(Vec<u8>),
}

impl Offers {
    /// Whether there is nothing to record.
    pub fn are_recorded(&self) -> bool {
        self.recorded == self.wanted
    }

    /// What begins (true) and ends (false), by uuid and name.
    pub fn changes(&self) -> Vec<(bool, &ProxiedName)> {
        let changes = self.recorded.symmetric_difference(&self.wanted);
        changes.map(|offer| (self.wanted.contains(offer), offer)).collect()
    }
}

/// What is recorded and what is to be recorded of what `repository` proxies. No network.
///
/// Offered are: the remotes with `annex-proxy` or `annex-cluster-node`; the clusters of git config; what a remote proxies
/// that is to be proxied itself, and the recorded nodes of these clusters that a remote proxies, as `REMOTE-NAME`.
pub fn offers(repository: &Repository) -> Result<Offers, RemoteError> {
    offers_with(repository, &ClusterLog::parse(&repository.branch().read(CLUSTER_LOG)?))
}

/// The same with these nodes of clusters.
pub(super) fn offers_with(repository: &Repository, nodes: &ClusterLog) -> Result<Offers, RemoteError> {
    let log = ProxyLog::parse(&repository.branch().read(PROXY_LOG)?);
    let clusters = clusters(repository);
    let known = remotes_of(repository)?;
    let strangers = strangers(repository).into_iter().filter(|(_, wanted)| *wanted);
    let mut refused: Vec<Refused> = strangers.map(|(name, _)| Refused::Stranger(name)).collect();
    let mut wanted = BTreeSet::new();
    for remote in &known {
        if remote.offered {
            match refusal(repository, remote) {
                Some(why) => refused.push(why),
                None => {
                    wanted.insert(ProxiedName { uuid: remote.uuid.clone(), name: remote.name.clone() });
                }
            }
        }
        wanted.extend(behind(repository, remote, &known, &log, nodes, &clusters));
    }
    wanted.extend(clusters);
    Ok(Offers { recorded: log.proxied(repository.uuid()).iter().cloned().collect(), wanted, refused })
}

/// Records what `offers` want, in the journal and, as one commit, in the branch.
pub fn record_offers(repository: &Repository, offers: &Offers) -> Result<(), RemoteError> {
    repository.branch().change(vec![offers.edit(repository)])?;
    repository.branch().commit("update")?;
    Ok(())
}

impl Offers {
    /// What makes them those that are recorded.
    pub(super) fn edit(&self, repository: &Repository) -> Edit {
        let (own, wanted, now) = (repository.uuid().clone(), self.wanted.clone(), now());
        Edit::new(PROXY_LOG.to_vec(), move |have| {
            let mut log = ProxyLog::parse(have);
            log.offer(&own, wanted.into_iter().collect(), now);
            Some(log.to_bytes())
        })
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Why `remote` cannot be proxied, nor be a node.
pub(super) fn refusal(repository: &Repository, remote: &Remote) -> Option<Refused> {
    if remote.name.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | 0)) {
        return Some(Refused::Name(remote.name.clone()));
    }
    if let RemoteKind::Special(special) = &remote.kind {
        let yes = |name: &str| matches!(special.value(name), Some(b"yes" | b"true"));
        if yes("exporttree") && !yes("annexobjects") {
            return Some(Refused::Export(remote.name.clone()));
        }
    }
    repository.is_private(&remote.uuid).then(|| Refused::Private(remote.name.clone()))
}

/// What is offered of what `remote` proxies itself.
fn behind(
    repository: &Repository,
    remote: &Remote,
    known: &[Remote],
    log: &ProxyLog,
    nodes: &ClusterLog,
    clusters: &BTreeSet<ProxiedName>,
) -> Vec<ProxiedName> {
    let own = clusters.iter().map(|cluster| nodes.nodes(&cluster.uuid));
    let own: BTreeSet<&Uuid> = own.flatten().collect();
    let is_known = |uuid: &Uuid| known.iter().any(|remote| remote.uuid == *uuid);
    let is_offered = |uuid: &Uuid| known.iter().any(|remote| remote.uuid == *uuid && remote.offered);
    let wanted = |uuid: &Uuid| match own.contains(uuid) {
        // A node that is a remote here, too, is offered as that one, if it is.
        true => !is_offered(uuid),
        false => remote.offered && !is_known(uuid),
    };
    let all = reached_beyond(repository, remote, log).into_iter();
    all.filter(|offer| offer.uuid != *repository.uuid() && wanted(&offer.uuid)).collect()
}

/// The same as [`reached_through`], without what `remote` reaches through this repository: that would get a longer name each time
/// one of them looks.
pub(super) fn reached_beyond(repository: &Repository, remote: &Remote, log: &ProxyLog) -> Vec<ProxiedName> {
    let own = log.proxied(repository.uuid());
    let prefix = [remote.name.as_slice(), b"-"].concat();
    let leads_back = |offer: &ProxiedName| {
        let theirs = offer.name.strip_prefix(&prefix[..]).unwrap_or_default();
        own.iter()
            .filter(|own| own.uuid == offer.uuid)
            .any(|own| theirs.strip_suffix(&own.name[..]).is_some_and(|rest| rest.len() > 1 && rest.ends_with(b"-")))
    };
    let mut reached = reached_through(repository, remote, log);
    reached.retain(|offer| !leads_back(offer));
    reached
}

/// What is reached through `remote`, which proxies it, as `REMOTE-NAME`; no clusters.
pub(super) fn reached_through(repository: &Repository, remote: &Remote, log: &ProxyLog) -> Vec<ProxiedName> {
    let RemoteKind::Git(git) = &remote.kind else { return Vec::new() };
    if !speaks_p2p(git) || refusal(repository, remote).is_some() {
        return Vec::new();
    }
    let settings = repository.settings().subsections("remote");
    let named = |offer: &ProxiedName| {
        let name = [remote.name.as_slice(), b"-", &offer.name].concat();
        // Settings of its own make a remote of it, which stands for itself.
        (!settings.contains(&name)).then(|| ProxiedName { uuid: offer.uuid.clone(), name })
    };
    log.proxied(&remote.uuid).iter().filter(|offer| !is_cluster(&offer.uuid)).filter_map(named).collect()
}

/// Whether it can be reached in a way that lets it be a proxy: ssh, or annex+http.
pub(super) fn speaks_p2p(git: &GitRemote) -> bool {
    let url = git.annex_url.as_ref().unwrap_or(&git.url);
    let schemes: [&[u8]; 5] = [b"ssh://", b"git+ssh://", b"ssh+git://", b"annex+http://", b"annex+https://"];
    if schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return true;
    }
    // HOST:PATH, unless a slash comes first or it is another scheme.
    let colon = url.iter().position(|byte| *byte == b':');
    colon.is_some_and(|at| {
        at > 0 && !url[..at].contains(&b'/') && !url[at..].starts_with(b"://") && !url[at..].starts_with(b"::")
    })
}
