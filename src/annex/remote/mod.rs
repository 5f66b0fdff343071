//! The remotes of a repository: what git config, the git-annex branch and what was verified here say of each.
//!
//! A section `remote.NAME` with a url is a git repository; one without is a special remote, whose configuration is in force
//! only as far as somebody here has looked at it (see [`Trust`]): what the branch says alone moves nothing anywhere.

mod bounded;
mod clusters;
mod cost;
mod creds;
mod gateway;
mod names;
mod nodes;
mod offer;
mod proxies;
mod special;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fmt, io};

pub use clusters::{clusters, name_in_config, unknown_clusters};
pub use creds::{Creds, Login};
pub use gateway::{ClusterError, extend_cluster, init_cluster};
pub use names::{NameError, Names};
pub use nodes::{Membership, Nodes, Way, membership, record_membership, ways};
pub use offer::{Offers, Refused, offers, record_offers};
pub use proxies::{Proxies, Served, proxied};
pub use special::{SpecialConfig, Trust};

use super::branch::BranchError;
use super::export::tracking::Tracking;
use super::log::REMOTE_LOG;
use super::log::remote::RemoteLog;
use super::repository::{Config, Repository};
use crate::name::Uuid;
use clusters::clusters_in;
use special::Verified;

/// A remote whose uuid is known.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What git calls it here.
    pub name: Vec<u8>,
    /// Who it is: `remote.NAME.annex-uuid`. Two remotes may be the same, by two ways.
    pub uuid: Uuid,
    /// What it is.
    pub kind: RemoteKind,
    /// Whether it is to be proxied: `remote.NAME.annex-proxy`, or it is a node of a cluster known here.
    pub proxied: bool,
    /// The clusters known here that it is a node of: `remote.NAME.annex-cluster-node`, names of `annex.cluster.NAME`.
    pub node_of: Vec<Uuid>,
    /// Whether others are told of it: it is to be proxied, or `annex-cluster-node` says anything at all.
    pub offered: bool,
    /// `remote.NAME.annex-readonly`: nothing is stored or removed.
    pub readonly: bool,
    /// `remote.NAME.annex-ignore`: nothing of a cluster is placed there, and nothing asked of it.
    pub ignored: bool,
    /// What it costs to reach it: `remote.NAME.annex-cost`, or what git-annex takes for its kind; less is better.
    pub cost: f64,
    /// `remote.NAME.annex-tracking-branch`: what a remote with `exporttree=yes` is to hold.
    pub tracking: Option<Tracking>,
    /// The clusters it is a gateway for: `remote.NAME.annex-cluster-gateway`.
    pub gateway_for: Vec<Uuid>,
}

/// What a remote is.
#[derive(Debug, Clone)]
pub enum RemoteKind {
    /// A git repository.
    Git(GitRemote),
    /// A place for content alone.
    Special(SpecialConfig),
}

/// How a git repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRemote {
    /// `remote.NAME.url`, as it is written.
    pub url: Vec<u8>,
    /// `remote.NAME.annexurl`, which git-annex uses in place of the url.
    pub annex_url: Option<Vec<u8>>,
    /// `remote.NAME.annex-shell`: what is run there in place of git-annex-shell.
    pub shell: Option<Vec<u8>>,
    /// `remote.NAME.annex-ssh-options`, or `annex.ssh-options`: words for ssh.
    pub ssh_options: Vec<Vec<u8>>,
    /// What a relative path in the url is relative to: the work tree, or the git directory where there is none.
    pub base: PathBuf,
    /// Whether somebody here chose the url, or it came with the git-annex branch.
    pub trust: Trust,
}

/// Why the remotes of a repository are not known. Shown on one line.
#[derive(Debug)]
pub enum RemoteError {
    /// `remote.log`, `proxy.log` or `cluster.log` cannot be read or written.
    Branch(BranchError),
    /// What was verified here cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The remotes of `repository`, in the order of git config. Reads the git-annex branch and what was verified here; no
/// network.
///
/// Left out are those whose uuid is not known (see [`strangers`]), and sections without a url that no special remote is
/// recorded for. Waits up to ten seconds for whoever is verifying a remote.
///
/// # Errors
///
/// [`RemoteError`].
pub fn remotes_of(repository: &Repository) -> Result<Vec<Remote>, RemoteError> {
    let settings = repository.settings();
    let log = RemoteLog::parse(&repository.branch().read(REMOTE_LOG)?);
    let verified = Verified::read(repository.annex_dir())?;
    let read = |name: &Vec<u8>| read(repository, &settings, name, &log, &verified);
    Ok(settings.subsections("remote").iter().filter_map(read).collect())
}

/// The names of git remotes whose uuid git-annex has not found out yet, and whether each is to be proxied.
pub fn strangers(repository: &Repository) -> Vec<(Vec<u8>, bool)> {
    let settings = repository.settings();
    let names = settings.subsections("remote").into_iter();
    let unknown = names.filter(|name| {
        settings.value_in("remote", name, "url").is_some() && uuid(&settings, name, "annex-uuid").is_none()
    });
    unknown.map(|name| (name.clone(), is_offered(&settings, &name))).collect()
}

/// The special remote because of which nothing may be stored in or removed from any: one that was autoenabled or came with
/// the branch, and that nobody here has verified. The way out is `git annex verifyremote NAME`.
///
/// git-annex refuses likewise, git repositories excepted: what such a remote hands out may have been made to be passed on.
pub fn write_block(known: &[Remote]) -> Option<&Remote> {
    known.iter().find(|remote| matches!(&remote.kind, RemoteKind::Special(special) if special.trust.blocks_writes()))
}

fn read(
    repository: &Repository,
    settings: &Config,
    name: &[u8],
    log: &RemoteLog,
    verified: &Verified,
) -> Option<Remote> {
    let value = |key: &str| settings.value_in("remote", name, key).filter(|value| !value.is_empty());
    let id = uuid(settings, name, "annex-uuid")?;
    let kind = match settings.value_in("remote", name, "url") {
        Some(url) => {
            let options = value("annex-ssh-options").or_else(|| settings.value("annex.ssh-options"));
            RemoteKind::Git(GitRemote {
                trust: special::of_git(&id, verified, value("annex-verified").as_deref()),
                url,
                annex_url: value("annexurl"),
                shell: value("annex-shell"),
                ssh_options: words(&options.unwrap_or_default()).map(<[u8]>::to_vec).collect(),
                base: repository.work_tree().unwrap_or(repository.git_dir()).to_path_buf(),
            })
        }
        None => {
            let recorded = uuid(settings, name, "annex-config-uuid").unwrap_or_else(|| id.clone());
            let mark = value("annex-verified");
            let (config, trust) = special::in_force(&recorded, log, verified, mark.as_deref())?;
            let creds = Creds::new(repository.annex_dir(), &id, &config);
            RemoteKind::Special(SpecialConfig { config, trust, directory: value("annex-directory"), creds })
        }
    };
    let gateway_for = value("annex-cluster-gateway").unwrap_or_default();
    let node = value("annex-cluster-node").unwrap_or_default();
    let known = clusters_in(settings);
    let node_of: Vec<Uuid> = words(&node)
        .filter_map(|word| known.iter().find(|cluster| cluster.name == word))
        .map(|cluster| cluster.uuid.clone())
        .collect();
    Some(Remote {
        name: name.to_vec(),
        uuid: id,
        cost: cost::cost(value("annex-cost").as_deref(), &kind),
        kind,
        proxied: !node_of.is_empty() || settings.bool_in("remote", name, "annex-proxy") == Some(true),
        node_of,
        offered: is_offered(settings, name),
        readonly: settings.bool_in("remote", name, "annex-readonly") == Some(true),
        ignored: settings.bool_in("remote", name, "annex-ignore") == Some(true),
        tracking: value("annex-tracking-branch").and_then(|value| Tracking::parse(&value)),
        gateway_for: words(&gateway_for).filter_map(|word| Uuid::parse(word).ok()).collect(),
    })
}

fn uuid(settings: &Config, name: &[u8], key: &str) -> Option<Uuid> {
    Uuid::parse(&settings.value_in("remote", name, key)?).ok()
}

fn is_offered(settings: &Config, name: &[u8]) -> bool {
    let node = settings.value_in("remote", name, "annex-cluster-node").unwrap_or_default();
    settings.bool_in("remote", name, "annex-proxy") == Some(true) || words(&node).next().is_some()
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

impl RemoteError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }
}

impl From<BranchError> for RemoteError {
    fn from(error: BranchError) -> Self {
        Self::Branch(error)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(error) => write!(f, "{error}"),
            Self::Io { path, source } => write!(f, "read {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Branch(error) => Some(error),
            Self::Io { source, .. } => Some(source),
        }
    }
}
