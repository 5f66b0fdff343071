//! Which repository a request is for: by the prefix of its URL where there is one, by uuid otherwise.
//!
//! The prefix is the path of the repository below a served directory, so that two repositories that know the same uuid
//! (one cloned from the other, or two that proxy one remote) are never mixed up.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Failure, Means, Node, Served, blocking, timestamp};
use crate::annex::repository::OpenError;
use crate::name::Uuid;

/// What is served.
#[derive(Debug, Clone)]
pub enum Place {
    /// The repository at this path, and no other.
    Repository(PathBuf),
    /// Every repository below these directories.
    Directories(Vec<PathBuf>),
}

/// Why a request finds no repository.
#[derive(Debug)]
pub enum Unserved {
    /// There is none of that name here.
    Unknown,
    /// There is one, and it cannot be opened.
    Broken(Failure),
}

/// All repositories that are served. Opened as they are asked for, and closed when nobody has asked for a while.
pub struct Hub {
    place: Place,
    open: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_path: HashMap<PathBuf, Arc<Served>>,
    /// Repositories, and what they are proxies for. More than one place for what several are proxies for: which of their
    /// rights counts must not be a matter of luck.
    by_uuid: HashMap<Uuid, Known>,
    scanned: Option<u64>,
}

/// Where a uuid is found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// The repository itself.
    Own(PathBuf),
    /// The only repository that is a proxy for it.
    Behind(PathBuf),
    /// Several are: only a prefix tells which is meant.
    Ambiguous,
}

impl Known {
    fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Own(path) | Self::Behind(path) => Some(path),
            Self::Ambiguous => None,
        }
    }
}

/// Seconds after a request in which branches that clients pushed are looked for.
const RECENT: u64 = 60;

/// How deep repositories are looked for below a directory.
const DEPTH: usize = 8;

/// Least seconds between two walks through the directories. Each asks the disk about everything there.
const RESCAN: u64 = 5;

/// The same where what is asked for is known, and might be known to others too.
const RESCAN_BEHIND: u64 = 15;

/// Seconds after which a repository that nobody asks for is closed.
const IDLE: u64 = 300;

impl Hub {
    /// Serves `place`. A single repository is opened now; below directories they are opened as they are asked for. Blocks.
    pub fn open(place: Place) -> Result<Self, OpenError> {
        let mut table = Table::default();
        if let Place::Repository(path) = &place {
            let served = Arc::new(Served::open(path)?);
            table.by_path.insert(path.clone(), served);
        }
        Ok(Self { place, open: Mutex::new(table) })
    }

    /// What is known as `uuid` at `prefix`, which is empty or begins with a slash: a repository, or what it is a proxy for.
    pub async fn find(self: &Arc<Self>, prefix: &[u8], uuid: &Uuid, means: &Means) -> Result<Node, Unserved> {
        let served = match &self.place {
            Place::Repository(path) if prefix.is_empty() => self.known(path).ok_or(Unserved::Unknown)?,
            Place::Repository(_) => return Err(Unserved::Unknown),
            Place::Directories(directories) if prefix.is_empty() => self.by_uuid(directories, uuid).await?,
            Place::Directories(directories) => {
                let candidates = candidates(directories, prefix).ok_or(Unserved::Unknown)?;
                self.at(candidates).await?
            }
        };
        served.touch();
        let node = Node::find(&served, uuid, means).await.map_err(Unserved::Broken)?;
        node.ok_or(Unserved::Unknown)
    }

    /// Opens everything anew as it is asked for next, with what git config says then. What is under way ends as it began.
    /// Blocks. Errors: the one repository that is served cannot be opened any more; the old one stays in use.
    pub fn reopen(&self) -> Result<(), OpenError> {
        let fresh = match &self.place {
            Place::Repository(path) => Some((path.clone(), Arc::new(Served::open(path)?))),
            Place::Directories(_) => None,
        };
        let old = {
            let mut table = self.table();
            table.scanned = None;
            table.by_uuid.clear();
            std::mem::replace(&mut table.by_path, fresh.into_iter().collect())
        };
        for served in old.into_values() {
            // What is not committed stays in the journal.
            let _ = served.settle();
        }
        Ok(())
    }

    /// The repositories that are open now.
    pub fn opened(&self) -> Vec<Arc<Served>> {
        self.table().by_path.values().cloned().collect()
    }

    /// Closes what nobody asked for in a while, and merges the git-annex branches that clients pushed. Blocks.
    pub fn tidy(&self) {
        let idle: Vec<_> = {
            let mut table = self.table();
            let single = matches!(self.place, Place::Repository(_));
            let idle =
                table.by_path.extract_if(|_, served| !single && served.idle() > IDLE && Arc::strong_count(served) == 1);
            idle.map(|(_, served)| served).collect()
        };
        for served in idle {
            // What is not committed stays in the journal.
            let _ = served.settle();
        }
        for served in self.opened().iter().filter(|served| served.idle() < RECENT) {
            served.merge_arrived();
        }
    }

    fn known(&self, path: &Path) -> Option<Arc<Served>> {
        self.table().by_path.get(path).cloned()
    }

    async fn by_uuid(self: &Arc<Self>, directories: &[PathBuf], uuid: &Uuid) -> Result<Arc<Served>, Unserved> {
        let known = match self.look_up(uuid) {
            Some(known) => known,
            None => {
                self.scan(directories, RESCAN).await?;
                self.look_up(uuid).ok_or(Unserved::Unknown)?
            }
        };
        if !matches!(known, Known::Own(_)) {
            // Another repository may have become a proxy for it since. Nobody waits for that to be found out.
            let (hub, directories) = (Arc::clone(self), directories.to_vec());
            tokio::spawn(async move { hub.scan(&directories, RESCAN_BEHIND).await });
        }
        self.at(vec![known.path().ok_or(Unserved::Unknown)?.clone()]).await
    }

    fn look_up(&self, uuid: &Uuid) -> Option<Known> {
        self.table().by_uuid.get(uuid).cloned()
    }

    /// Opens the first of `candidates` that is a repository.
    async fn at(self: &Arc<Self>, candidates: Vec<PathBuf>) -> Result<Arc<Served>, Unserved> {
        if let Some(served) = candidates.iter().find_map(|path| self.known(path)) {
            // A repository that was taken away must not be served from what is left in memory.
            if served.repository().git_dir().join("config").exists() {
                return Ok(served);
            }
            self.forget(&served);
        }
        let hub = Arc::clone(self);
        let opened = blocking(move || {
            let path = candidates.into_iter().find(|path| is_repository(path)).ok_or(Unserved::Unknown)?;
            let served = Served::open(&path).map_err(|e| Unserved::Broken(Failure::internal(e.to_string())))?;
            // Another request may have opened it meanwhile, or a link by another name; all have to share one.
            let mut table = hub.table();
            let same = |known: &&Arc<Served>| known.repository().git_dir() == served.repository().git_dir();
            let shared = table.by_path.values().find(same).map(Arc::clone);
            let shared = shared.unwrap_or_else(|| Arc::new(served));
            table.by_path.insert(path, Arc::clone(&shared));
            Ok(shared)
        });
        opened.await.map_err(Unserved::Broken)?
    }

    fn forget(&self, served: &Arc<Served>) {
        let mut table = self.table();
        table.by_path.retain(|_, known| !Arc::ptr_eq(known, served));
        // What it was a proxy for goes too; the next walk finds what is left.
        table.by_uuid.clear();
        table.scanned = None;
    }

    /// Looks for repositories that are not known yet, unless that was done within `seconds`.
    async fn scan(self: &Arc<Self>, directories: &[PathBuf], seconds: u64) -> Result<(), Unserved> {
        {
            let mut table = self.table();
            if table.scanned.is_some_and(|last| timestamp() < last + seconds) {
                return Ok(());
            }
            table.scanned = Some(timestamp());
        }
        let (hub, directories) = (Arc::clone(self), directories.to_vec());
        let scanned = blocking(move || {
            let mut found = HashMap::new();
            for directory in &directories {
                walk(directory, DEPTH, &mut found);
            }
            hub.table().by_uuid = found;
        });
        scanned.await.map_err(Unserved::Broken)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the repository with the URL prefix `prefix` may be. `None` where the prefix would leave the directories.
fn candidates(directories: &[PathBuf], prefix: &[u8]) -> Option<Vec<PathBuf>> {
    let decoded = percent_decoded(prefix.strip_prefix(b"/")?);
    let below = Path::new(OsStr::from_bytes(&decoded));
    // The repository of a work tree has one name, so that it is opened once.
    let plain = below.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"));
    if decoded.is_empty() || decoded.contains(&0) || !plain {
        return None;
    }
    let mut with_git = decoded.clone();
    with_git.extend_from_slice(b".git");
    let names =
        [Path::new(OsStr::from_bytes(&decoded)).to_path_buf(), Path::new(OsStr::from_bytes(&with_git)).to_path_buf()];
    Some(directories.iter().flat_map(|directory| names.iter().map(move |name| directory.join(name))).collect())
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                out.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Whether git would take `path` for a repository, looked at in passing.
fn is_repository(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

/// Finds the repositories with an annex below `directory`, none within another.
fn walk(directory: &Path, depth: usize, found: &mut HashMap<Uuid, Known>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<_> =
        entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect();
    // Which of two with the same uuid is served must not change from walk to walk.
    paths.sort();
    for path in paths {
        if is_repository(&path) {
            if let Ok(served) = Served::open(&path) {
                learn(&served, &path, found);
            }
        } else if depth > 0 {
            walk(&path, depth - 1, found);
        }
    }
}

fn learn(served: &Served, path: &Path, found: &mut HashMap<Uuid, Known>) {
    let own = Known::Own(path.to_path_buf());
    let place = found.entry(served.uuid().clone()).or_insert_with(|| own.clone());
    if !matches!(place, Known::Own(_)) {
        // Its own repository is asked before those that are proxies for it.
        *place = own;
    }
    // What cannot be told now is looked at again in the next walk.
    for uuid in served.proxied_uuids().unwrap_or_default() {
        found
            .entry(uuid)
            .and_modify(|known| {
                if matches!(known, Known::Behind(_)) {
                    *known = Known::Ambiguous;
                }
            })
            .or_insert_with(|| Known::Behind(path.to_path_buf()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_leaves_the_directories() {
        let directories = [PathBuf::from("/srv/git"), PathBuf::from("/data")];
        for prefix in
            [&b""[..], b"/", b"/..", b"/a/../b", b"/%2e%2e/x", b"//etc", b"/a//../x", b"/%2fetc", b"/a%00b", b"/a/.git"]
        {
            let found = candidates(&directories, prefix);
            assert!(found.is_none(), "{} gives {found:?}", prefix.escape_ascii());
        }
        let found = candidates(&directories, b"/org/re%20po").expect("a plain path");
        let names = ["/srv/git/org/re po", "/srv/git/org/re po.git", "/data/org/re po", "/data/org/re po.git"];
        assert_eq!(found, names.map(PathBuf::from));
    }
}
