//! What a repository is a proxy for.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;

use super::peer::{Location, SshProgram, SshWays};
use super::remote::{self, Destination, GitPlace, StoreConfig};
use super::{Failure, Served};
use crate::annex::remote::{Remote, proxied};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// A remote that a repository is a proxy for.
pub struct Proxied {
    /// Who it is.
    pub uuid: Uuid,
    /// What the repository calls it.
    pub name: String,
    /// Where it is; or why it cannot be reached through here.
    pub(super) way: Result<Way, Failure>,
}

/// Where a remote is.
pub(super) enum Way {
    Store(Arc<Shelf>),
    /// A repository on this computer.
    Here(Arc<Served>),
    Elsewhere(Arc<Location>),
}

/// A store, and whether it may be written to.
pub(super) struct Shelf {
    pub(super) config: StoreConfig,
    /// Why nothing is stored or removed.
    pub(super) readonly: Option<String>,
    /// `annex.diskreserve` of the repository: bytes to keep free on a disk of this computer.
    pub(super) reserve: u64,
}

/// The remotes of one repository, looked up as they are asked for, and anew when its configuration changed.
#[derive(Default)]
pub(super) struct Proxies {
    /// Locked to take the pointer or to put another there, never over IO.
    current: RwLock<Option<Arc<Table>>>,
    /// Held by whoever looks them up, with what went wrong the last time, and when that began. Data threads await it.
    turn: Arc<Mutex<Option<(Instant, Failure)>>>,
}

struct Table {
    stamps: Stamps,
    /// When the look began.
    begun: Instant,
    state: Arc<State>,
    remotes: Arc<HashMap<Uuid, Arc<Proxied>>>,
}

/// Longest wait for somebody to look them up: logs may be long, and git-annex may hold its lock.
const PATIENCE: Duration = Duration::from_secs(30);

/// When the files that the answer depends on were written: a few system calls, so they can be asked for each request.
#[derive(PartialEq, Eq)]
struct Stamps([Option<(SystemTime, u64, u64)>; 6]);

impl Stamps {
    fn of(repository: &Repository) -> Self {
        let (git, annex) = (repository.git_dir(), repository.annex_dir());
        let files = [
            git.join("config"),
            annex.join("verified-remote.log"),
            git.join("refs/heads/git-annex"),
            git.join("packed-refs"),
            annex.join("journal/proxy.log"),
            annex.join("journal/remote.log"),
        ];
        Self(files.map(|path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.ino(), meta.len()))
        }))
    }
}

/// What the answer depends on: git config, what is verified here, and the git-annex branch.
#[derive(PartialEq, Eq)]
struct State {
    written: [Option<SystemTime>; 2],
    logs: [Option<Vec<u8>>; 2],
}

impl State {
    fn of(repository: &Repository) -> Self {
        let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let written = [repository.git_dir().join("config"), repository.annex_dir().join("verified-remote.log")];
        let logs = ["proxy.log", "remote.log"];
        Self {
            written: written.map(|path| modified(&path)),
            logs: logs.map(|name| repository.branch().read(name.as_bytes()).ok()),
        }
    }
}

impl Proxies {
    /// The remote `uuid`.
    pub(super) async fn find(&self, home: &Arc<Served>, uuid: &Uuid) -> Result<Option<Arc<Proxied>>, Failure> {
        let asked = Instant::now();
        let stamps = Stamps::of(home.repository());
        let table = match self.current().filter(|table| table.stamps == stamps) {
            Some(table) => table,
            None => {
                let looked = tokio::time::timeout(PATIENCE, self.look_once(home, &stamps, asked)).await;
                looked.unwrap_or_else(|_| Err(Failure::busy("what is proxied is still being looked up")))?
            }
        };
        Ok(table.remotes.get(uuid).cloned())
    }

    /// What somebody found who began after `asked`, or who saw files as in `stamps`; looks where nobody has.
    async fn look_once(&self, home: &Arc<Served>, stamps: &Stamps, asked: Instant) -> Result<Arc<Table>, Failure> {
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(table) = self.current().filter(|table| table.begun >= asked || table.stamps == *stamps) {
            return Ok(table);
        }
        if let Some((_, failure)) = turn.as_ref().filter(|(begun, _)| *begun >= asked) {
            return Err(failure.clone());
        }
        let home = Arc::clone(home);
        // Not among the pool threads that are counted: it may wait for a lock of git-annex's, as one a repository, and must
        // not keep them from others. Whoever gives up leaves the turn with it, so that it stays one.
        let looked = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let looked = home.proxies().look(home.repository());
            *turn = looked.as_ref().err().map(|failure| (begun, failure.clone()));
            looked
        });
        looked.await.map_err(|e| Failure::internal(e.to_string()))?
    }

    /// All of them, looked up now. Blocks.
    pub(super) fn all(&self, repository: &Repository) -> Result<Arc<HashMap<Uuid, Arc<Proxied>>>, Failure> {
        Ok(Arc::clone(&self.look(repository)?.remotes))
    }

    /// Looks them up; what did not change stays the same. Blocks.
    fn look(&self, repository: &Repository) -> Result<Arc<Table>, Failure> {
        // Taken first: what is written meanwhile is seen as new the next time.
        let (begun, stamps, state) = (Instant::now(), Stamps::of(repository), State::of(repository));
        let same = self.current().filter(|table| *table.state == state);
        let (state, remotes) = match same {
            Some(table) => (Arc::clone(&table.state), Arc::clone(&table.remotes)),
            None => (Arc::new(state), Arc::new(remotes_of(repository)?)),
        };
        let table = Arc::new(Table { stamps, begun, state, remotes });
        let old = self.current.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&table));
        // Not under the lock: it may be the last to hold on to repositories.
        drop(old);
        Ok(table)
    }

    fn current(&self) -> Option<Arc<Table>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What `repository` is a proxy for now, by what is written. Blocks.
fn remotes_of(repository: &Repository) -> Result<HashMap<Uuid, Arc<Proxied>>, Failure> {
    repository.reload_config();
    let found = proxied(repository).map_err(|e| Failure::internal(format!("look up what is proxied: {e}")))?;
    let blocked = found.blocked_by().map(|name| {
        // git-annex's own words.
        let name = name.escape_ascii();
        format!(
            "Write prevented due to an unverified special remote. Run this command to verify it: git-annex verifyremote {name}"
        )
    });
    let ssh = repository.config("core.sshCommand").map(OsString::from_vec);
    let reserve = repository.reserve();
    let tuned = repository.config_bool("annex.tune.objecthash1") == Some(true);
    let reached = |remote: &Remote| Arc::new(reach(remote, blocked.as_deref(), reserve, tuned, &ssh));
    Ok(found.iter().map(|remote| (remote.uuid.clone(), reached(remote))).collect())
}

fn reach(remote: &Remote, blocked: Option<&str>, reserve: u64, tuned: bool, ssh: &Option<OsString>) -> Proxied {
    let name = String::from_utf8_lossy(&remote.name).into_owned();
    let way = match remote::destination(remote, remote::environment) {
        // git-annex has the objects of such a tree in other directories there, and would not find ours.
        Ok(Destination::Store(config)) if config.tree.is_some() && tuned => Err(Failure::refused(format!(
            "remote {name} has exporttree=yes, which is not proxied in a repository with annex.tune.objecthash1"
        ))),
        Ok(Destination::Store(config)) => {
            let readonly = match blocked {
                Some(why) => Some(why.to_string()),
                None if config.writable => None,
                None => Some(format!("remote {name} is read-only: it is annex-readonly")),
            };
            Ok(Way::Store(Arc::new(Shelf { config, readonly, reserve })))
        }
        Ok(Destination::Git(GitPlace::Path(path))) => open(&path, &remote.uuid),
        Ok(Destination::Git(GitPlace::Url { url, shell, ssh_options })) => {
            let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let ways = SshWays {
                shell: shell.as_deref().map(words),
                options: ssh_options.iter().map(|option| words(option)).collect(),
                program: SshProgram::choose(ssh.clone(), |name| std::env::var_os(name)),
            };
            match Location::parse(&url, ways) {
                Some(location) => Ok(Way::Elsewhere(Arc::new(location))),
                None => Err(Failure::refused(format!("remote {name} has a url that makes no sense"))),
            }
        }
        Err(refusal) => Err(Failure::refused(refusal.to_string())),
    };
    Proxied { uuid: remote.uuid.clone(), name, way }
}

fn open(path: &Path, uuid: &Uuid) -> Result<Way, Failure> {
    let served = Served::open(path).map_err(|e| Failure::internal(e.to_string()))?;
    if served.uuid() != uuid {
        let words = format!("the repository in {} is {}, not {uuid}", path.display(), served.uuid());
        return Err(Failure::refused(words));
    }
    Ok(Way::Here(Arc::new(served)))
}
