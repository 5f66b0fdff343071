//! Making a repository a gateway of a new cluster, or of one that has another gateway already.

use std::fmt;
use std::io;

use super::nodes::record;
use super::offer::{now, speaks_p2p};
use super::{RemoteError, RemoteKind, clusters, name_in_config, remotes_of, words};
use crate::annex::branch::Edit;
use crate::annex::fresh;
use crate::annex::log::proxy::ProxyLog;
use crate::annex::log::{PROXY_LOG, UUID_LOG, is_cluster, uuid};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// Why a repository does not become a gateway of a cluster. Shown on one line, with the way out.
#[derive(Debug)]
pub enum ClusterError {
    /// Clients could not have a remote of this name.
    Name(String),
    /// git config cannot be written: what git said.
    Config(String),
    /// No remote through which others are reached is called so, or it offers nothing of this name.
    NoCluster {
        /// What the remote is called.
        gateway: String,
        /// What it was to offer.
        name: String,
    },
    /// What the remote offers under this name is no cluster.
    NotCluster(String),
    /// The name stands for another cluster here.
    Taken(String, Uuid),
    /// The remotes or the branch cannot be read or written.
    Remote(RemoteError),
    /// The system gives no random bytes.
    Random(io::Error),
}

/// Makes `repository` the gateway of a new cluster `name`, described as `description` or as `cluster NAME`: in git config, and in
/// uuid.log. Whether there is something new: not where it has a cluster of this name.
///
/// # Errors
///
/// Nothing is changed then.
pub fn init_cluster(repository: &Repository, name: &str, description: Option<&str>) -> Result<bool, ClusterError> {
    let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if name.is_empty() || name.starts_with(['.', '-']) || name.contains(odd) {
        return Err(ClusterError::Name(name.into()));
    }
    let in_config = name_in_config(name.as_bytes());
    if clusters(repository).iter().any(|cluster| cluster.name == in_config) {
        return Ok(false);
    }
    let cluster = new_uuid().map_err(ClusterError::Random)?;
    let setting = [b"annex.cluster.", name.as_bytes()].concat();
    repository.set_config(&setting, cluster.as_bytes()).map_err(ClusterError::Config)?;
    let description = description.map_or_else(|| format!("cluster {name}"), str::to_string);
    // It is one line of a log.
    let description = description.replace(['\n', '\r'], " ");
    let now = now();
    let edit = Edit::new(UUID_LOG.to_vec(), move |have| Some(uuid::with(have, &cluster, description.as_bytes(), now)));
    record(repository, vec![edit]).map_err(|e| {
        // Else the next try would find a cluster that nobody described.
        match repository.unset_config(&setting) {
            Ok(()) => ClusterError::Remote(e),
            Err(why) => ClusterError::Config(why),
        }
    })?;
    Ok(true)
}

/// Makes `repository` another gateway of the cluster that its remote `gateway` offers as `name`: in git config alone. The nodes
/// that this gateway adds are recorded with [`record_membership`](super::record_membership).
///
/// # Errors
///
/// Nothing is changed then, unless the second of two settings cannot be written.
pub fn extend_cluster(repository: &Repository, gateway: &str, name: &str) -> Result<(), ClusterError> {
    let none = || ClusterError::NoCluster { gateway: gateway.into(), name: name.into() };
    let known = remotes_of(repository).map_err(ClusterError::Remote)?;
    let remote = known.iter().find(|remote| remote.name == gateway.as_bytes()).ok_or_else(none)?;
    if !matches!(&remote.kind, RemoteKind::Git(git) if speaks_p2p(git)) {
        return Err(none());
    }
    let log = repository.branch().read(PROXY_LOG).map_err(|e| ClusterError::Remote(e.into()))?;
    let log = ProxyLog::parse(&log);
    let named = |name: &[u8]| log.proxied(&remote.uuid).iter().find(|offer| offer.name == name);
    let in_config = name_in_config(name.as_bytes());
    let offer = named(name.as_bytes()).or_else(|| named(&in_config)).ok_or_else(none)?;
    if !is_cluster(&offer.uuid) {
        return Err(ClusterError::NotCluster(format!("{gateway}-{name}")));
    }
    let taken = clusters(repository).into_iter().find(|have| have.name == in_config && have.uuid != offer.uuid);
    if let Some(taken) = taken {
        return Err(ClusterError::Taken(name.into(), taken.uuid));
    }
    // One repository may be a gateway of several clusters, of this one too.
    let setting = format!("remote.{gateway}.annex-cluster-gateway");
    let have =
        repository.settings().value_in("remote", gateway.as_bytes(), "annex-cluster-gateway").unwrap_or_default();
    if !words(&have).any(|word| word == offer.uuid.as_bytes()) {
        let all: Vec<&[u8]> = words(&have).chain([offer.uuid.as_bytes()]).collect();
        repository.set_config(setting.as_bytes(), &all.join(&b' ')).map_err(ClusterError::Config)?;
    }
    let setting = [b"annex.cluster.", name.as_bytes()].concat();
    repository.set_config(&setting, offer.uuid.as_bytes()).map_err(ClusterError::Config)
}

/// A uuid of a cluster that nobody has: its first byte is 0xac, its version is 8.
fn new_uuid() -> io::Result<Uuid> {
    let mut bytes = fresh::uuid()?.as_bytes().to_vec();
    bytes[..2].copy_from_slice(b"ac");
    bytes[14] = b'8';
    Uuid::parse(&bytes).map_err(io::Error::other)
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "{name:?} can be no cluster: clients have a remote of its name, so it consists of letters, digits, \".\", \"-\" \
                 and \"_\", and begins with a letter or digit"
            ),
            Self::Config(why) => write!(
                f,
                "git config: {why}; what stands behind the last dot of a cluster's name begins with a letter, and has letters, \
                 digits and \"-\" alone"
            ),
            Self::NoCluster { gateway, name } => write!(
                f,
                "no remote {gateway}-{name} is available: {gateway} has to be a git remote over ssh or annex+http that proxies \
                 {name}; git annex updatecluster there, then git annex sync --no-content {gateway} here"
            ),
            Self::NotCluster(name) => write!(f, "{name} is not a cluster but a single proxied remote"),
            Self::Taken(name, uuid) => write!(
                f,
                "{name} is another cluster here, {uuid}; give that one another name first: git config annex.cluster.OTHER {uuid}, \
                 then git config --unset annex.cluster.{name}, and OTHER in annex-cluster-node of its nodes"
            ),
            Self::Remote(error) => write!(f, "{error}"),
            Self::Random(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ClusterError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::{git, make};

    #[test]
    fn new_clusters_have_a_uuid_of_their_kind() {
        let (a, b) = (new_uuid().expect("random"), new_uuid().expect("random"));
        assert!(is_cluster(&a) && is_cluster(&b) && a != b, "{a} {b}");
    }

    #[test]
    fn a_cluster_is_made_once_and_what_fails_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        for name in ["", "bad name", "-a", ".a", "a/b", "a:b", "my_c", "1a", "a.", "x.1"] {
            let failed = init_cluster(&repository, name, None).expect_err(name).to_string();
            assert!(!failed.contains('\n'), "{failed}");
        }
        let described =
            |text: &str| String::from_utf8_lossy(&repository.branch().read(UUID_LOG).expect("read")).contains(text);
        assert!(clusters(&repository).is_empty() && !described("cluster"));
        assert!(init_cluster(&repository, "MyC", Some("of\nmine")).expect("made"));
        let uuid = git(dir.path(), &["config", "annex.cluster.myc"]);
        assert!(described(&format!("{uuid} of mine timestamp=")));
        for name in ["myc", "MYC", "MyC"] {
            assert!(!init_cluster(&repository, name, None).expect("it is there"), "{name}");
        }
        assert_eq!(git(dir.path(), &["config", "annex.cluster.myc"]), uuid);
    }
}
