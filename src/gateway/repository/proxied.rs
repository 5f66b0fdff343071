//! What a repository is a proxy for.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use remotes::connections::Connections;
use tokio::sync::Mutex;

use super::LocalRepository;
use super::quota::Quota;
use crate::annex::log::proxy::ProxiedName;
use crate::annex::remote::{Remote, RemoteError, Served, proxied, remotes_of as all_remotes};
use crate::annex::repository::{Config, Repository};
use crate::cluster::{Net, Offer};
use crate::gateway::absences::Absences;
use crate::gateway::commands::{AllCommands, Commands};
use crate::gateway::pace::Pace;
use crate::gateway::{Failure, blocking};
use crate::name::Uuid;
use crate::peer::{Location, SshProgram, SshWays};
use crate::resolve::{self, Destination, GitPlace, StoreConfig};

/// A remote that a repository is a proxy for.
pub struct Proxied {
    /// Who it is.
    pub uuid: Uuid,
    /// What the repository calls it.
    pub name: String,
    /// Where it is; or why it cannot be reached through here.
    pub(in crate::gateway) way: Result<Target, Failure>,
    /// What it costs to reach it; less is better.
    pub(in crate::gateway) cost: f64,
    /// Whether content may be stored there.
    pub(in crate::gateway) is_writable: bool,
    /// How fast content moves to it, and from it.
    pub(in crate::gateway) upload: Option<Arc<Pace>>,
    pub(in crate::gateway) download: Option<Arc<Pace>>,
    /// What it may hold.
    pub(in crate::gateway) quota: Quota,
    /// What is to be run before it is used, and after.
    pub(in crate::gateway) commands: Option<Arc<Commands>>,
    /// The gateway that it is behind, if it is not a remote of the repository itself.
    pub(in crate::gateway) gateway: Option<Uuid>,
}

/// A cluster that a repository is a gateway to.
pub struct Cluster {
    /// Who it is.
    pub uuid: Uuid,
    /// What the repository calls it.
    pub name: String,
    /// The nodes that are remotes of the repository, by uuid.
    pub nodes: Vec<Arc<Proxied>>,
    /// Other gateways of it that are remotes of the repository.
    pub(in crate::gateway) lines: Vec<ClusterLine>,
    /// Which gateway has which nodes.
    pub(in crate::gateway) net: Arc<Net>,
}

/// Another gateway of a cluster.
pub(in crate::gateway) struct ClusterLine {
    /// Its repository.
    pub(in crate::gateway) gateway: Uuid,
    /// All of the cluster that is behind it.
    pub(in crate::gateway) whole: Arc<Proxied>,
    /// Each node of the cluster that it tells of, by uuid.
    pub(in crate::gateway) nodes: BTreeMap<Uuid, Arc<Proxied>>,
}

/// Where a remote is.
pub(in crate::gateway) enum Target {
    Store(Arc<StoreTarget>),
    /// A repository on this computer.
    Here(Arc<LocalRepository>),
    /// The same, which is not there now: once its start command was run, or its disk is mounted.
    Startable(PathBuf),
    Elsewhere(Arc<Location>),
}

/// A store, and whether it may be written to.
pub(in crate::gateway) struct StoreTarget {
    pub(in crate::gateway) config: StoreConfig,
    /// Why nothing is stored or removed.
    pub(in crate::gateway) readonly: Option<String>,
    /// `annex.diskreserve` of the repository: bytes to keep free on a disk of this computer.
    pub(in crate::gateway) reserve: u64,
    /// Connections to it, once there are any.
    pub(in crate::gateway) connections: OnceLock<Arc<Connections>>,
    /// What it did not have a moment ago.
    pub(in crate::gateway) absences: Absences,
}

/// The remotes of one repository, looked up as they are asked for, and anew when its configuration changed.
#[derive(Default)]
pub(in crate::gateway) struct Proxies {
    /// Locked to take the pointer or to put another there, never over IO.
    current: RwLock<Option<Arc<Table>>>,
    /// Those of all remotes that were ever looked up.
    commands: AllCommands,
    fresh: Fresh,
    /// Held by whoever looks them up, with what went wrong the last time, and when that began. Data threads await it.
    turn: Arc<Mutex<Option<(Instant, Failure)>>>,
}

struct Table {
    stamps: Stamps,
    /// When the look began.
    begun: Instant,
    state: Arc<State>,
    found: Arc<Found>,
}

/// What was found.
struct Found {
    remotes: HashMap<Uuid, Arc<Proxied>>,
    clusters: HashMap<Uuid, Arc<Cluster>>,
    /// Nodes behind other gateways that are served under their own uuids.
    behind: HashMap<Uuid, Arc<Cluster>>,
    /// What `annex.trashbin` names, where it is set; the name alone where no remote has it.
    trashbin: Option<Result<Arc<Proxied>, String>>,
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
            annex.join("verified-remote.log"),
            git.join("refs/heads/git-annex"),
            git.join("packed-refs"),
            annex.join("journal/proxy.log"),
            annex.join("journal/remote.log"),
            annex.join("journal/cluster.log"),
        ];
        Self(files.map(|path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.ino(), meta.len()))
        }))
    }
}

/// What the answer depends on: git config, what is verified here, and the git-annex branch.
struct State {
    config: Arc<Config>,
    verified: Option<SystemTime>,
    logs: [Option<Vec<u8>>; 3],
}

impl State {
    fn of(repository: &Repository) -> Self {
        let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let logs = ["proxy.log", "remote.log", "cluster.log"];
        Self {
            config: repository.settings(),
            verified: modified(&repository.annex_dir().join("verified-remote.log")),
            logs: logs.map(|name| repository.branch().read(name.as_bytes()).ok()),
        }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        // A configuration is read anew only where one of its files changed.
        Arc::ptr_eq(&self.config, &other.config) && (self.verified, &self.logs) == (other.verified, &other.logs)
    }
}

impl Proxies {
    /// The remote `uuid`.
    pub(in crate::gateway) async fn find(
        &self,
        home: &Arc<LocalRepository>,
        uuid: &Uuid,
    ) -> Result<Option<Arc<Proxied>>, Failure> {
        Ok(self.now(home).await?.found.remotes.get(uuid).cloned())
    }

    /// The cluster `uuid`.
    pub(in crate::gateway) async fn cluster(
        &self,
        home: &Arc<LocalRepository>,
        uuid: &Uuid,
    ) -> Result<Option<Arc<Cluster>>, Failure> {
        Ok(self.now(home).await?.found.clusters.get(uuid).cloned())
    }

    /// The cluster of the node `uuid`, which is behind another gateway and is served here, too.
    pub(in crate::gateway) async fn behind(
        &self,
        home: &Arc<LocalRepository>,
        uuid: &Uuid,
    ) -> Result<Option<Arc<Cluster>>, Failure> {
        Ok(self.now(home).await?.found.behind.get(uuid).cloned())
    }

    /// What `annex.trashbin` names; the name alone where no remote has it. `None` where it is not set.
    pub(in crate::gateway) async fn trashbin(
        &self,
        home: &Arc<LocalRepository>,
    ) -> Result<Option<Result<Arc<Proxied>, String>>, Failure> {
        // Nothing else need be looked up, or can fail, for what is removed from a repository without one.
        if self.fresh.config(home).await?.value("annex.trashbin").is_none() {
            return Ok(None);
        }
        Ok(self.now(home).await?.found.trashbin.clone())
    }

    /// What is to be run before remotes are used, and after.
    pub(in crate::gateway) fn commands(&self) -> &AllCommands {
        &self.commands
    }

    async fn now(&self, home: &Arc<LocalRepository>) -> Result<Arc<Table>, Failure> {
        let asked = Instant::now();
        let config = self.fresh.config(home).await?;
        let stamps = Stamps::of(home.repository());
        let is_current = |table: &Arc<Table>| table.stamps == stamps && Arc::ptr_eq(&table.state.config, &config);
        if let Some(table) = self.current().filter(is_current) {
            return Ok(table);
        }
        let looked = tokio::time::timeout(PATIENCE, self.look_once(home, &stamps, asked)).await;
        looked.unwrap_or_else(|_| Err(Failure::busy("the proxied remotes are still being looked up")))
    }

    /// What somebody found who began after `asked`, or who saw files as in `stamps`; looks where nobody has.
    async fn look_once(
        &self,
        home: &Arc<LocalRepository>,
        stamps: &Stamps,
        asked: Instant,
    ) -> Result<Arc<Table>, Failure> {
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        let config = home.repository().settings();
        let is_same = |table: &Table| table.stamps == *stamps && Arc::ptr_eq(&table.state.config, &config);
        let will_do = |table: &Arc<Table>| table.begun >= asked || is_same(table);
        if let Some(table) = self.current().filter(will_do) {
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

    /// Nodes behind other gateways that are served here under their own uuids, looked up now. Blocks.
    pub(in crate::gateway) fn all_behind(&self, repository: &Repository) -> Result<Vec<Uuid>, Failure> {
        Ok(self.look(repository)?.found.behind.keys().cloned().collect())
    }

    /// All of them, and clusters, looked up now. Blocks.
    pub(in crate::gateway) fn all(&self, repository: &Repository) -> Result<Vec<Uuid>, Failure> {
        let found = Arc::clone(&self.look(repository)?.found);
        Ok(found.remotes.keys().chain(found.clusters.keys()).cloned().collect())
    }

    /// Looks them up; what did not change stays the same. Blocks.
    fn look(&self, repository: &Repository) -> Result<Arc<Table>, Failure> {
        // Taken first: what is written meanwhile is seen as new the next time.
        let (begun, stamps) = (Instant::now(), Stamps::of(repository));
        repository.reload_config();
        let state = State::of(repository);
        let same = self.current().filter(|table| *table.state == state);
        let (state, found) = match same {
            Some(table) => (Arc::clone(&table.state), Arc::clone(&table.found)),
            None => {
                let found = Arc::new(found(repository, &state.config, &self.commands)?);
                (Arc::new(state), found)
            }
        };
        let table = Arc::new(Table { stamps, begun, state, found });
        let old = self.current.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::clone(&table));
        // Not under the lock: it may be the last to hold on to repositories.
        drop(old);
        Ok(table)
    }

    fn current(&self) -> Option<Arc<Table>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the configuration new.
///
/// The repository's own file is looked at each time. The others may lie where a look takes long: some time is between two looks
/// at them, one thread looks at a time, and who finds one at it goes on with what is known.
#[derive(Default)]
struct Fresh {
    looked: StdMutex<Option<Instant>>,
    is_looking: Arc<AtomicBool>,
}

/// Time between two looks at files elsewhere.
const LAG: Duration = Duration::from_millis(100);

/// Longest wait for such a look.
const LOOK: Duration = Duration::from_secs(1);

impl Fresh {
    /// The configuration as it is now, but for what changed elsewhere in the last moment.
    async fn config(&self, home: &Arc<LocalRepository>) -> Result<Arc<Config>, Failure> {
        let config = home.repository().settings();
        if config.is_own_stale() || self.is_stale_elsewhere(&config).await {
            let home = Arc::clone(home);
            blocking(move || home.repository().reload_config()).await?;
        }
        Ok(home.repository().settings())
    }

    async fn is_stale_elsewhere(&self, config: &Arc<Config>) -> bool {
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|at| at.elapsed() < LAG) || self.is_looking.swap(true, Ordering::Relaxed) {
                return false;
            }
            *looked = Some(Instant::now());
        }
        let (config, is_looking) = (Arc::clone(config), Arc::clone(&self.is_looking));
        // Not among the pool threads that are counted: a disk that does not answer must not keep them from others.
        let look = tokio::task::spawn_blocking(move || {
            let is_stale = config.is_stale();
            is_looking.store(false, Ordering::Relaxed);
            is_stale
        });
        matches!(tokio::time::timeout(LOOK, look).await, Ok(Ok(true)))
    }
}

/// What `repository` is a proxy for now, by what is written, and its trashbin. Blocks.
fn found(repository: &Repository, config: &Config, commands: &AllCommands) -> Result<Found, Failure> {
    let failed = |e: RemoteError| Failure::internal(format!("look up the proxied remotes: {e}"));
    let proxied = proxied(repository).map_err(failed)?;
    let blocked = proxied.blocked_by().map(|name| {
        // git-annex's own words.
        let name = name.escape_ascii();
        format!(
            "Write prevented due to an unverified special remote. Run this command to verify it: git-annex verifyremote {name}"
        )
    });
    let ssh = config.value("core.sshCommand").map(OsString::from_vec);
    let reserve = repository.reserve();
    let tuned = config.bool("annex.tune.objecthash1") == Some(true);
    let reached = |remote: &Remote| {
        let commands = commands.of(repository, config, &remote.name, &remote.uuid);
        let pace = |direction: &str| Pace::of(config, &remote.name, direction).map(Arc::new);
        let way = reach(remote, blocked.as_deref(), reserve, tuned, &ssh, commands.is_some());
        let name = String::from_utf8_lossy(&remote.name).into_owned();
        let is_stored_to = match &way {
            Ok(Target::Store(store)) => store.readonly.is_none(),
            Ok(_) => true,
            Err(_) => false,
        };
        let is_writable = is_stored_to && !remote.readonly && !remote.ignored;
        let (uuid, cost) = (remote.uuid.clone(), remote.cost);
        let (upload, download) = (pace("upload"), pace("download"));
        let quota = Quota::of_remote(config, &remote.name);
        Arc::new(Proxied { uuid, name, way, cost, is_writable, upload, download, quota, commands, gateway: None })
    };
    let remotes: HashMap<_, _> = proxied.iter().map(|remote| (remote.uuid.clone(), reached(remote))).collect();
    let trashbin = match config.value("annex.trashbin") {
        None => None,
        Some(name) => {
            let all = all_remotes(repository).map_err(failed)?;
            let bin = all.iter().find(|remote| remote.name == name);
            let bin = bin.map(|bin| match remotes.get(&bin.uuid) {
                Some(known) if known.name.as_bytes() == bin.name => Arc::clone(known),
                _ => reached(bin),
            });
            Some(bin.ok_or_else(|| String::from_utf8_lossy(&name).into_owned()))
        }
    };
    let (mut clusters, mut behind) = (HashMap::new(), HashMap::new());
    for served in proxied.clusters() {
        let ProxiedName { uuid, name } = served.cluster.clone();
        let mut nodes: Vec<_> = served.nodes.iter().filter_map(|node| remotes.get(node).cloned()).collect();
        nodes.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        let lines = served.gateways.iter().map(|gateway| line(served, &reached(gateway))).collect();
        let offer = |(gateway, told): &(Uuid, ProxiedName)| {
            let (gateway, node, name) = (gateway.clone(), told.uuid.clone(), told.name.clone());
            Offer { gateway, node, name }
        };
        let net = Arc::new(Net::new(&served.told.iter().map(offer).collect::<Vec<_>>()));
        let name = String::from_utf8_lossy(&name).into_owned();
        let cluster = Arc::new(Cluster { uuid: uuid.clone(), name, nodes, lines, net });
        behind.extend(served.behind.iter().map(|node| (node.clone(), Arc::clone(&cluster))));
        clusters.insert(uuid, cluster);
    }
    Ok(Found { remotes, clusters, behind, trashbin })
}

/// What is reached of a cluster through `gateway`, which is a remote here.
fn line(served: &Served, gateway: &Arc<Proxied>) -> ClusterLine {
    let through = |uuid: &Uuid, name: String| {
        let way = match &gateway.way {
            // Each has connections of its own, since a connection is to one of them.
            Ok(Target::Elsewhere(location)) => Ok(Target::Elsewhere(Arc::new(Location::clone(location)))),
            Ok(_) => {
                Err(Failure::refused(format!("gateway {} is reached neither by ssh nor by annex+http", gateway.name)))
            }
            Err(failure) => Err(failure.clone()),
        };
        Arc::new(Proxied {
            uuid: uuid.clone(),
            name,
            way,
            cost: gateway.cost,
            is_writable: gateway.is_writable,
            upload: gateway.upload.clone(),
            download: gateway.download.clone(),
            quota: gateway.quota.clone(),
            commands: gateway.commands.clone(),
            gateway: Some(gateway.uuid.clone()),
        })
    };
    let node = |uuid: &Uuid| {
        let told = served.told.iter().find(|(teller, told)| *teller == gateway.uuid && told.uuid == *uuid);
        let name = told.map_or(uuid.to_string(), |(_, told)| String::from_utf8_lossy(&told.name).into_owned());
        (uuid.clone(), through(uuid, format!("{}-{name}", gateway.name)))
    };
    ClusterLine {
        gateway: gateway.uuid.clone(),
        whole: through(&served.cluster.uuid, gateway.name.clone()),
        nodes: served.nodes.iter().map(node).collect(),
    }
}

fn reach(
    remote: &Remote,
    blocked: Option<&str>,
    reserve: u64,
    tuned: bool,
    ssh: &Option<OsString>,
    is_started: bool,
) -> Result<Target, Failure> {
    let name = String::from_utf8_lossy(&remote.name).into_owned();
    match resolve::destination(remote, resolve::environment) {
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
            let (connections, absences) = (OnceLock::new(), Absences::default());
            Ok(Target::Store(Arc::new(StoreTarget { config, readonly, reserve, connections, absences })))
        }
        Ok(Destination::Git(GitPlace::Path(path))) if is_started => Ok(Target::Startable(path)),
        // What is not there now may be again: its disk is mounted later.
        Ok(Destination::Git(GitPlace::Path(path))) => {
            Ok(open_here(&path, &remote.uuid).map_or(Target::Startable(path), Target::Here))
        }
        Ok(Destination::Git(GitPlace::Url { url, shell, ssh_options })) => {
            let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let ways = SshWays {
                shell: shell.as_deref().map(words),
                options: ssh_options.iter().map(|option| words(option)).collect(),
                program: SshProgram::choose(ssh.clone(), |name| std::env::var_os(name)),
            };
            match Location::parse(&url, ways) {
                Some(location) => Ok(Target::Elsewhere(Arc::new(location))),
                None => Err(Failure::refused(format!("remote {name} has an invalid url"))),
            }
        }
        Err(refusal) => Err(Failure::refused(refusal.to_string())),
    }
}

/// The repository `uuid` on this computer. Blocks.
pub(in crate::gateway) fn open_here(path: &Path, uuid: &Uuid) -> Result<Arc<LocalRepository>, Failure> {
    let served = LocalRepository::open(path).map_err(|e| Failure::internal(e.to_string()))?;
    if served.uuid() != uuid {
        let words = format!("the repository in {} is {}, not {uuid}", path.display(), served.uuid());
        return Err(Failure::refused(words));
    }
    Ok(Arc::new(served))
}
