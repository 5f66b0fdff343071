//! Which repository a request is for: by the prefix of its URL where there is one, by uuid otherwise.
//!
//! The prefix is the path of the repository below a served directory, so that two repositories that know the same uuid
//! (one cloned from the other, or two that proxy one remote) are never mixed up.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use annex_types::percent;

use super::catalogue::{Catalogue, CatalogueEntry, ReachedThrough};
use super::create::{self, NotMade};
use super::node::find;
use super::prefix_quotas::{Listed, Search, Served};
use super::rounds::Rounds;
use super::walk::is_repository;
use super::{Asker, Failure, Limits, LocalRepository, Node, blocking};
use crate::annex::repository::OpenError;
use crate::name::Uuid;

/// What is served.
#[derive(Debug, Clone)]
pub enum Roots {
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
    /// None is made of that name: why.
    Refused(String),
}

/// What was found, and what the repository is called by which its rights are looked up.
pub struct Named<T> {
    /// The name, which is empty where one repository alone is served.
    pub name: Arc<[u8]>,
    /// What was found.
    pub found: T,
}

/// All repositories that are served. Opened as they are asked for, and closed when nobody has asked for a while.
pub struct Repositories {
    roots: Roots,
    /// Those below directories.
    rounds: Arc<Rounds>,
    open: Mutex<HashMap<PathBuf, Open>>,
    /// Held while a repository is made.
    making: tokio::sync::Mutex<()>,
}

/// A repository that is open.
#[derive(Clone)]
struct Open {
    served: Arc<LocalRepository>,
    /// Device and number of its git directory.
    id: (u64, u64),
}

/// Seconds after a request in which branches that clients pushed are looked for.
const RECENT: u64 = 60;

/// Least time between two walks through the directories where what is asked for is known, and might be known to others too.
const RESCAN_BEHIND: Duration = Duration::from_secs(15);

/// Seconds after which a repository that nobody asks for is closed.
const IDLE: u64 = 300;

impl Repositories {
    /// Serves `place`. A single repository is opened now; below directories they are opened as they are asked for. Blocks.
    pub fn open(roots: Roots) -> Result<Self, OpenError> {
        let (mut open, mut directories) = (HashMap::new(), Vec::new());
        match &roots {
            Roots::Repository(path) => {
                open.insert(path.clone(), Open::new(Arc::new(LocalRepository::open(path)?)));
            }
            Roots::Directories(paths) => directories.clone_from(paths),
        }
        Ok(Self {
            roots,
            rounds: Rounds::new(directories),
            open: Mutex::new(open),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// What the repository is called, by which its rights are looked up, as far as that is known without a walk: at `prefix`, or the
    /// one that `uuid` is reached through. The name of what is not known is the one it would have; of an unknown uuid nothing.
    pub fn called(&self, prefix: &[u8], uuid: Option<&Uuid>) -> Arc<[u8]> {
        let catalogue = self.rounds.last();
        let known = match (prefix, uuid) {
            (b"", Some(uuid)) => catalogue.and_then(|it| it.name_of(uuid)),
            (b"", None) => None,
            (prefix, _) => {
                let name = name_of(prefix).unwrap_or_default();
                let known = catalogue.and_then(|it| it.named(&name).map(|entry| Arc::clone(&entry.name)));
                Some(known.unwrap_or_else(|| name.into()))
            }
        };
        known.unwrap_or_default()
    }

    /// Whether [`called`](Self::called) may be wrong about `uuid`: it is not known yet, or is no longer where it was.
    pub async fn is_stale(&self, uuid: &Uuid) -> bool {
        if let Roots::Repository(_) = &self.roots {
            return false;
        }
        let entry = match self.rounds.last().as_ref().and_then(|catalogue| catalogue.known(uuid)) {
            None => return true,
            Some(known) => known.entry().map(Arc::clone),
        };
        let Some(entry) = entry else { return false };
        !blocking(move || entry.is_there()).await.unwrap_or(true)
    }

    /// The same as [`called`](Self::called), of what a walk finds that begins now.
    ///
    /// # Errors
    ///
    /// It cannot be told now.
    pub async fn look_for(&self, uuid: &Uuid) -> Result<Arc<[u8]>, Unserved> {
        let will_do = |catalogue: &Catalogue| matches!(catalogue.known(uuid), Some(ReachedThrough::Itself(_)));
        let catalogue = self.rounds.since(Instant::now(), will_do).await.ok_or_else(searching)?;
        Ok(catalogue.name_of(uuid).unwrap_or_default())
    }

    /// What is known as `uuid` at `prefix`, which is empty or begins with a slash: a repository, or what it is a proxy for.
    ///
    /// What is not known is looked for before it is said not to be there.
    pub async fn find(
        self: &Arc<Self>,
        prefix: &[u8],
        uuid: &Uuid,
        limits: &Limits,
        asker: &Asker,
    ) -> Result<Named<Box<dyn Node>>, Unserved> {
        let asked = Instant::now();
        if let Roots::Repository(path) = &self.roots {
            let served = if prefix.is_empty() { self.known(path) } else { None };
            let served = served.ok_or(Unserved::Unknown)?;
            let found = node(&served, uuid, limits, asker).await?.ok_or(Unserved::Unknown)?;
            return Ok(Named { name: Arc::default(), found });
        }
        let name = if prefix.is_empty() { None } else { Some(name_of(prefix).ok_or(Unserved::Unknown)?) };
        if let Some(catalogue) = self.rounds.last()
            && let Some(node) = self.within(&catalogue, name.as_deref(), uuid, limits, asker).await?
        {
            return Ok(node);
        }
        // One repository that takes its time to tell what it is a proxy for keeps nobody from the others.
        let will_do = |catalogue: &Catalogue| match &name {
            Some(name) => catalogue.named(name).is_some(),
            None => matches!(catalogue.known(uuid), Some(ReachedThrough::Itself(_))),
        };
        let catalogue = self.rounds.since(asked, will_do).await.ok_or_else(searching)?;
        self.within(&catalogue, name.as_deref(), uuid, limits, asker).await?.ok_or(Unserved::Unknown)
    }

    /// The repository at `prefix`, which is as for [`find`](Self::find).
    pub async fn named(self: &Arc<Self>, prefix: &[u8]) -> Result<Named<Arc<LocalRepository>>, Unserved> {
        let asked = Instant::now();
        if let Roots::Repository(path) = &self.roots {
            let served = if prefix.is_empty() { self.known(path) } else { None };
            return served.map(|found| Named { name: Arc::default(), found }).ok_or(Unserved::Unknown);
        }
        let name = name_of(prefix).ok_or(Unserved::Unknown)?;
        let last = self.rounds.last().and_then(|catalogue| catalogue.named(&name).cloned());
        if let Some(listed) = last
            && let Some(found) = self.at(&listed).await?
        {
            found.touch();
            return Ok(Named { name: Arc::clone(&listed.name), found });
        }
        let catalogue = self.rounds.since(asked, |catalogue| catalogue.named(&name).is_some()).await;
        let listed = catalogue.ok_or_else(searching)?.named(&name).cloned().ok_or(Unserved::Unknown)?;
        let found = self.at(&listed).await?.ok_or(Unserved::Unknown)?;
        found.touch();
        Ok(Named { name: Arc::clone(&listed.name), found })
    }

    /// Makes the repository at `prefix`, where no more than `most` are served, by `git`, a command with a clean environment.
    ///
    /// # Errors
    ///
    /// Why not: it cannot be called that, there are too many, or it could not be made.
    pub async fn make(self: &Arc<Self>, prefix: &[u8], most: usize, git: Command) -> Result<(), Unserved> {
        let refused = |why: &str| Unserved::Refused(format!("no repository is made here: {why}"));
        let Roots::Directories(directories) = &self.roots else { return Err(refused("one alone is served")) };
        let path = name_of(prefix).and_then(|name| create::path_of(&name));
        let path = path.ok_or_else(|| {
            refused("each part of its name begins with a letter or digit, and may have dots, - and _ after it")
        })?;
        if self.rounds.last().is_some_and(|catalogue| catalogue.paths().len() >= most) {
            return Err(refused("there are as many as there may be"));
        }
        let root = directories.first().cloned().unwrap_or_default();
        // One after the other: each is counted before the next.
        let _alone = self.making.lock().await;
        let asked = Instant::now();
        let made = blocking(move || create::make(&root, &path, git)).await.map_err(Unserved::Broken)?;
        made.map_err(|why| match why {
            NotMade::Refused(why) => refused(why),
            NotMade::Failed(why) => Unserved::Broken(Failure::internal(format!("no repository is made here: {why}"))),
        })?;
        let _ = self.rounds.since(asked, |_| false).await;
        Ok(())
    }

    /// Looks through the directories, so that the first to ask need not wait for it.
    pub async fn explore(&self) {
        if let Roots::Directories(_) = &self.roots {
            // Who asks waits for it too, and says what comes of it.
            let _ = self.rounds.since(Instant::now(), |_| false).await;
        }
    }

    /// Why nothing is served as yet; none where something is, or was not looked for.
    pub fn says_nothing(&self) -> Option<String> {
        let Roots::Directories(directories) = &self.roots else { return None };
        let (_, catalogue) = self.rounds.whole()?;
        if catalogue.entries().any(|entry| entry.was_opened()) {
            return None;
        }
        let places = directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ");
        Some(match catalogue.paths().len() {
            0 => format!("no git repository is below {places} as yet; each is found when it is first asked for"),
            some => format!(
                "{some} repositories are below {places}, and none that can be served: git annex init in them, as the user that serves"
            ),
        })
    }

    /// Opens everything anew as it is asked for next, with what git config says then. What is under way ends as it
    /// began. Blocks.
    ///
    /// # Errors
    ///
    /// The one repository that is served cannot be opened any more; the old one stays in use.
    pub fn reopen(&self) -> Result<(), OpenError> {
        let fresh = match &self.roots {
            Roots::Repository(path) => Some((path.clone(), Open::new(Arc::new(LocalRepository::open(path)?)))),
            Roots::Directories(_) => None,
        };
        let old = std::mem::replace(&mut *self.table(), fresh.into_iter().collect());
        for open in old.into_values() {
            // What is not committed stays in the journal.
            let _ = open.served.settle();
        }
        Ok(())
    }

    /// The repositories that are open now.
    pub fn opened(&self) -> Vec<Arc<LocalRepository>> {
        self.table().values().map(|open| Arc::clone(&open.served)).collect()
    }

    /// Closes what nobody asked for in a while, or cannot ask for any more, and merges the git-annex branches that clients
    /// pushed. Blocks.
    pub fn tidy(&self) {
        let catalogue = self.rounds.last();
        let listed = catalogue.as_ref().map(|catalogue| catalogue.paths());
        let idle: Vec<_> = {
            let mut table = self.table();
            let single = matches!(self.roots, Roots::Repository(_));
            let idle = table.extract_if(|path, open| {
                let gone = listed.as_ref().is_some_and(|listed| !listed.contains(path.as_path()));
                !single && (gone || open.served.idle() > IDLE) && Arc::strong_count(&open.served) == 1
            });
            idle.map(|(_, open)| open.served).collect()
        };
        for served in idle {
            // What is not committed stays in the journal.
            let _ = served.settle();
        }
        for served in self.opened() {
            served.rest();
        }
        for served in self.opened().iter().filter(|served| served.idle() < RECENT) {
            served.merge_beside();
        }
    }

    /// What `catalogue` knows as `name`, or by `uuid` alone, if that is still so.
    async fn within(
        self: &Arc<Self>,
        catalogue: &Catalogue,
        name: Option<&[u8]>,
        uuid: &Uuid,
        limits: &Limits,
        asker: &Asker,
    ) -> Result<Option<Named<Box<dyn Node>>>, Unserved> {
        let listed = match name {
            Some(name) => catalogue.named(name),
            None => {
                let known = catalogue.known(uuid);
                if known.is_some_and(|known| !matches!(known, ReachedThrough::Itself(_)))
                    && let Some(since) = Instant::now().checked_sub(RESCAN_BEHIND)
                {
                    // Another repository may have become a proxy for it since. Nobody waits for that to be found out.
                    let rounds = Arc::clone(&self.rounds);
                    tokio::spawn(async move { rounds.since(since, |_| false).await });
                }
                known.and_then(ReachedThrough::entry)
            }
        };
        let Some(listed) = listed else { return Ok(None) };
        let Some(served) = self.at(listed).await? else { return Ok(None) };
        let found = node(&served, uuid, limits, asker).await?;
        Ok(found.map(|found| Named { name: Arc::clone(&listed.name), found }))
    }

    /// What is listed, open; none where it is no longer what was found.
    async fn at(self: &Arc<Self>, listed: &Arc<CatalogueEntry>) -> Result<Option<Arc<LocalRepository>>, Unserved> {
        let known = self.table().get(&listed.path).map(|open| (Arc::clone(&open.served), open.id));
        if let Some((served, id)) = known {
            // A repository that was taken away must not be served from what is left in memory.
            if id_of(&served) == Some(id) && listed.is(&served) {
                return Ok(Some(served));
            }
            self.forget(&served);
        }
        let (repositories, listed) = (Arc::clone(self), Arc::clone(listed));
        blocking(move || repositories.open_listed(&listed)).await.map_err(Unserved::Broken)?
    }

    /// Blocks.
    fn open_listed(&self, listed: &CatalogueEntry) -> Result<Option<Arc<LocalRepository>>, Unserved> {
        if !is_repository(&listed.path) {
            return Ok(None);
        }
        let served = LocalRepository::open(&listed.path);
        // What could not be opened when it was looked at may be anything now.
        let served = match served {
            Ok(served) if listed.is(&served) => Open::new(Arc::new(served)),
            Err(e) if !listed.was_opened() => return Err(Unserved::Broken(Failure::internal(e.to_string()))),
            Ok(_) | Err(_) => return Ok(None),
        };
        if listed.path.canonicalize().ok().as_ref() != Some(&listed.path) {
            return Ok(None);
        }
        // Another request may have opened it meanwhile, or a link by another name; all have to share one.
        let mut table = self.table();
        let shared = table.values().find(|open| open.is(&served)).cloned();
        let shared = shared.unwrap_or(served);
        table.insert(listed.path.clone(), shared.clone());
        Ok(Some(shared.served))
    }

    fn known(&self, path: &Path) -> Option<Arc<LocalRepository>> {
        self.table().get(path).map(|open| Arc::clone(&open.served))
    }

    fn forget(&self, served: &Arc<LocalRepository>) {
        let gone: Vec<_> = self.table().extract_if(|_, open| Arc::ptr_eq(&open.served, served)).collect();
        // Not under the lock.
        drop(gone);
    }

    /// Held for no IO.
    fn table(&self) -> MutexGuard<'_, HashMap<PathBuf, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served for Repositories {
    fn listed(&self, known: Option<Search>) -> Option<(Search, Vec<Listed>)> {
        if let Roots::Repository(path) = &self.roots {
            // It may have been opened anew.
            let one = |served: &LocalRepository| Listed { id: served.id(), name: Arc::default(), path: path.clone() };
            let search = Search { begun: Instant::now(), is_over: true };
            return Some((search, self.known(path).iter().map(|served| one(served)).collect()));
        }
        let listed = |entry: &Arc<CatalogueEntry>| {
            Some(Listed { id: entry.id?, name: Arc::clone(&entry.name), path: entry.path.clone() })
        };
        // First the part: a walk that ends in between is in the whole.
        let (part, whole) = (self.rounds.part(), self.rounds.whole());
        // What a walk has found already is served already.
        let (begun, is_over) = match (&part, &whole) {
            (Some((begun, _)), _) => (*begun, false),
            (None, whole) => (whole.as_ref()?.0, true),
        };
        let search = Search { begun, is_over };
        let found = || part.iter().chain(&whole).flat_map(|(_, catalogue)| catalogue.entries()).filter_map(listed);
        (known != Some(search)).then(|| (search, found().collect()))
    }

    fn opened(&self) -> Vec<Arc<LocalRepository>> {
        self.opened()
    }
}

impl Open {
    fn new(served: Arc<LocalRepository>) -> Self {
        // One that is gone again is found out when it is asked for.
        let id = id_of(&served).unwrap_or_default();
        Self { served, id }
    }

    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.served.repository().git_dir() == other.served.repository().git_dir()
    }
}

/// Device and number of the git directory; none where there is no repository in it any more.
fn id_of(served: &LocalRepository) -> Option<(u64, u64)> {
    let git_dir = served.repository().git_dir();
    let meta = std::fs::metadata(git_dir).ok().filter(|_| git_dir.join("config").exists())?;
    Some((meta.dev(), meta.ino()))
}

async fn node(
    served: &Arc<LocalRepository>,
    uuid: &Uuid,
    limits: &Limits,
    asker: &Asker,
) -> Result<Option<Box<dyn Node>>, Unserved> {
    served.touch();
    find(served, uuid, limits, asker).await.map_err(Unserved::Broken)
}

fn searching() -> Unserved {
    Unserved::Broken(Failure::busy("the directories are still being searched"))
}

/// The path below a directory that the URL prefix `prefix` names. `None` where it could lead elsewhere, or have two
/// spellings.
fn name_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let name = percent::decode(prefix.strip_prefix(b"/")?).into_owned();
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b".." | b".git");
    (!name.contains(&0) && name.split(|byte| *byte == b'/').all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::make;

    #[test]
    fn a_walk_that_finds_nothing_says_what_is_lacking() {
        let top = tempfile::tempdir().expect("a directory");
        let says = || {
            let roots = Roots::Directories(vec![top.path().to_path_buf()]);
            let served = Arc::new(Repositories::open(roots).expect("nothing is opened yet"));
            assert_eq!(served.says_nothing(), None, "nobody looked");
            remotes::sys::run(false, served.explore()).expect("a runtime");
            served.says_nothing()
        };
        assert!(says().is_some_and(|words| words.contains("no git repository")));
        let mut git = Command::new("git");
        git.args(["init", "--quiet", "--bare"]).arg(top.path().join("plain.git"));
        assert!(git.status().is_ok_and(|status| status.success()));
        assert!(says().is_some_and(|words| words.contains("git annex init")));
        make(&top.path().join("a"), &[]);
        assert_eq!(says(), None);
    }

    /// It is served as soon as the walk comes to it.
    #[test]
    fn what_a_walk_finds_has_its_part_in_quotas_before_the_walk_is_over() {
        let top = tempfile::tempdir().expect("a directory");
        let served =
            Repositories::open(Roots::Directories(vec![top.path().to_path_buf()])).expect("nothing is opened yet");
        let names = |since| {
            let mut names: Vec<_> = served.listed(since)?.1.iter().map(|listed| listed.name.to_vec()).collect();
            names.sort();
            // In both what was found before and what is found now.
            names.dedup();
            Some(names)
        };
        make(&top.path().join("a"), &[]);
        let walk = async { assert!(served.rounds.since(Instant::now(), |_| false).await.is_some()) };
        remotes::sys::run(false, walk).expect("a runtime");
        let (at, _) = served.listed(None).expect("it was looked for");
        assert_eq!((names(None), names(Some(at))), (Some(vec![b"a".to_vec()]), None));
        make(&top.path().join("b"), &[]);
        let part = |part| served.rounds.tell(Instant::now(), part);
        Catalogue::of(&[top.path().to_path_buf()], served.rounds.last().as_deref(), part);
        assert_eq!(names(Some(at)), Some(vec![b"a".to_vec(), b"b".to_vec()]));
    }

    #[test]
    fn no_prefix_leaves_the_directories() {
        for prefix in [
            &b""[..],
            b"/",
            b"/..",
            b"/a/../b",
            b"/%2e%2e/x",
            b"/%2E%2e/x",
            b"/a/%2e/b",
            b"/a/./b",
            b"/a/",
            b"/a//b",
            b"/a%2f%2fb",
            b"//etc",
            b"/a//../x",
            b"/%2fetc",
            b"/a%00b",
            b"/a/.git",
            b"/a/%2egit/x",
        ] {
            let found = name_of(prefix);
            assert!(found.is_none(), "{} gives {found:?}", prefix.escape_ascii());
        }
        for (prefix, name) in [
            (&b"/org/re%20po"[..], &b"org/re po"[..]),
            (b"/org%2fone", b"org/one"),
            (b"/%252e%252e", b"%2e%2e"),
            (b"/...", b"..."),
            (b"/%zz%", b"%zz%"),
        ] {
            assert_eq!(name_of(prefix).as_deref(), Some(name));
        }
    }
}
