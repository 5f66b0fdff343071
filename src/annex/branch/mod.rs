//! The git-annex branch: what is recorded of all repositories and keys, shared with git-annex running beside us.
//!
//! A file of the branch is read from the journal, where a new version of it may wait to be committed, else from the commit
//! the branch is at; nothing is remembered but the top tree of that commit. It is changed by writing a new version into the
//! journal, under git-annex's own lock, and from time to time the journal is committed.

mod ancestry;
mod arrived;
mod commit;
mod differing;
mod followed;
mod graft;
mod journal;
mod locations;
mod merge;
mod pushed;
mod stale;
#[cfg(test)]
mod tests;
mod tip;
mod tree;
mod unite;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use gix::ObjectId;

pub use super::git::BranchError;
pub use super::git::{FileKind, GitId, Room, TreeChange, TreeFile};
pub use arrived::SkipReason;
pub use followed::FollowedTree;
pub use journal::fits;
pub use locations::{FileVersion, LocationChange, Side, WaitingLocation, Walked};
pub use merge::MergeReport;
pub use pushed::Added;

use super::git::config::CurrentConfig;
use super::git::id::object_id;
use super::git::open::open_with;
use super::log::onto::onto;
use super::log::union::union;
use super::log::{DIFFERENCE_LOG, Limit, LocationLog, LogHashing, Tunings, is_of_key, location_file};
use crate::name::Key;
use arrived::Arrivals;
use journal::{Journal, Which};
use tip::Top;

/// The git-annex branch of one repository. All of it may be used from any thread.
pub struct Branch {
    git: RwLock<gix::ThreadSafeRepository>,
    /// Handles that are not in use: making one costs more than a lookup.
    idle: Mutex<Vec<gix::Repository>>,
    journal: Journal,
    config: Arc<CurrentConfig>,
    top: Mutex<Option<(ObjectId, Arc<Top>)>>,
    arrivals: Mutex<Arrivals>,
    newer: Mutex<Option<followed::Newer>>,
    /// Held by whoever merges, for as long as that takes.
    merging: Mutex<()>,
    /// Counts the calls to end merging.
    stops: AtomicU64,
    /// Files of which it was said that they stay in the journal.
    told: Mutex<BTreeSet<Vec<u8>>>,
    /// Trees that differ in too much are worked out here.
    takes_all: AtomicBool,
    /// Two trees that differ in too much, so that it is not found out again for each request.
    too_much: Mutex<Option<(Option<ObjectId>, Option<ObjectId>)>>,
    /// Our own threads wait here for each other: the file lock is waited for by trying again and again.
    writing: Mutex<()>,
    /// The commit that is read instead of what is recorded now.
    past: OnceLock<ObjectId>,
}

/// A change of one file of the branch.
pub struct Edit {
    file: Vec<u8>,
    which: Which,
    apply: Apply,
}

/// What a file holds to what it shall hold.
type Apply = Box<dyn FnOnce(&[u8]) -> Option<Vec<u8>> + Send>;

/// A commit of the branch. Displayed in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId(ObjectId);

/// Most handles kept for later. Each maps nothing by itself, but has buffers.
const MOST_IDLE: usize = 8;

/// What content may be packed with, in bytes: versions of it that are longer.
const ROOM: u64 = 256 << 20;

impl Edit {
    /// Changes `file`: `apply` is given what it holds, nothing where it is not there, and returns what it shall hold, or
    /// `None` where nothing is to change. It runs while the journal is locked.
    pub fn new(file: Vec<u8>, apply: impl FnOnce(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        Self { file, which: Which::Public, apply: Box::new(apply) }
    }

    /// The same change, but in the private journal, which is read here and committed never: of a repository with
    /// `annex.private`.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.which = Which::Private;
        self
    }
}

impl Branch {
    pub(in crate::annex) fn new(
        git: gix::ThreadSafeRepository,
        annex_dir: PathBuf,
        config: Arc<CurrentConfig>,
    ) -> Self {
        let shared = journal::shared_bits(config.get().value("core.sharedRepository").as_deref());
        Self {
            git: RwLock::new(git),
            idle: Mutex::default(),
            journal: Journal::new(annex_dir, shared),
            config,
            top: Mutex::default(),
            arrivals: Mutex::default(),
            newer: Mutex::default(),
            merging: Mutex::default(),
            stops: AtomicU64::new(0),
            told: Mutex::default(),
            takes_all: AtomicBool::new(false),
            too_much: Mutex::default(),
            writing: Mutex::default(),
            past: OnceLock::new(),
        }
    }

    /// From now on the branch is read as it was at `commit`, without journals and without what arrived: for looking back. For
    /// good: the first commit that is named so counts.
    ///
    /// # Errors
    ///
    /// The commit cannot be read.
    pub fn look_back(&self, commit: GitId) -> Result<(), BranchError> {
        let git = self.git();
        let commit = object_id(&git, commit)?;
        self.top(&git, commit)?;
        self.past.get_or_init(|| commit);
        Ok(())
    }

    /// Uses a repository that was opened anew.
    pub(in crate::annex) fn reopen(&self, git: gix::ThreadSafeRepository) {
        *self.git.write().unwrap_or_else(PoisonError::into_inner) = git;
        whole(&self.idle).clear();
    }

    /// What `file` holds; nothing where it is not there. Branches that arrived from elsewhere count although they may not be
    /// merged yet (seen a second late at most), and so does the private journal.
    ///
    /// Takes no lock, and as long as the trees on the way to the file are deep.
    ///
    /// # Errors
    ///
    /// What is recorded is unknown, also where it is longer than a [log may be](crate::annex::log::Limit).
    pub fn read(&self, file: &[u8]) -> Result<Vec<u8>, BranchError> {
        let git = self.git();
        if let Some(past) = self.past.get() {
            return self.committed(&git, Some(*past), file);
        }
        let public = self.read_public(&git, file)?;
        let log = self.with_waiting(&git, file, public)?;
        Ok(match self.journal.read(Which::Private, file)? {
            Some(private) => union(&log, &private),
            None => log,
        })
    }

    /// Where the content of `key` is, as recorded.
    ///
    /// # Errors
    ///
    /// That is unknown.
    pub fn locations(&self, key: &Key) -> Result<LocationLog, BranchError> {
        Ok(LocationLog::parse(&self.read(&location_file(key, self.log_hashing()))?))
    }

    /// The names of all files of keys, such as location logs: committed, or waiting in the journal. In bytes of names and 150 for
    /// each. Branches that arrived and are not merged yet are left out.
    ///
    /// # Errors
    ///
    /// They could not be listed, also where they are more than there is [`room`](Self::room) for.
    pub fn files_of_keys(&self) -> Result<BTreeSet<Vec<u8>>, BranchError> {
        let waiting = self.journal.list(usize::MAX, &[])?;
        let tree = self.followed_tree(tip::BRANCH.as_bytes(), None, b"")?.tree;
        let committed = self.tree_changes(None, tree)?.into_iter().map(|found| found.path);
        Ok(committed.chain(waiting).filter(|file| is_of_key(file)).collect())
    }

    /// How the logs of keys are named here.
    pub fn log_hashing(&self) -> LogHashing {
        match self.config.get().bool("annex.tune.branchhash1") {
            Some(true) => LogHashing::OneLevel,
            _ => LogHashing::TwoLevels,
        }
    }

    /// How this repository is tuned, by git config.
    pub(super) fn tunings(&self) -> Tunings {
        let config = self.config.get();
        Tunings::of(|setting| config.bool(setting) == Some(true))
    }

    /// How the repositories are tuned that the branch itself tells of, without branches that arrived. Errors: that is unknown.
    pub(super) fn recorded_tunings(&self) -> Result<Tunings, BranchError> {
        Ok(Tunings::parse(&self.read_public(&self.git(), DIFFERENCE_LOG)?))
    }

    /// The same of branches that arrived, where there is none of ours yet.
    pub(super) fn tunings_of_all(&self) -> Result<Tunings, BranchError> {
        let git = self.git();
        if tip::local(&git)?.is_some() {
            return self.recorded_tunings();
        }
        let mut all = Vec::new();
        for (_, commit) in arrived::references(&git)?.into_iter().take(arrived::MOST_WAITING) {
            all.extend(tip::file_in(&git, commit, DIFFERENCE_LOG)?.unwrap_or_default());
        }
        Ok(Tunings::parse(&all))
    }

    /// Makes `edits`, all under one hold of git-annex's lock, each on what the ones before it left. When this returns they
    /// are in the journal, where git-annex sees them; [`commit`](Self::commit) makes them part of the branch.
    ///
    /// Waits for the lock, two minutes at most.
    ///
    /// # Errors
    ///
    /// Some of them may have been made.
    pub fn change(&self, edits: Vec<Edit>) -> Result<(), BranchError> {
        let _writing = self.writing();
        let lock = self.journal.lock()?;
        let git = self.git();
        let at = tip::local(&git)?;
        let mut files: BTreeMap<(Which, Vec<u8>), (Vec<u8>, bool)> = BTreeMap::new();
        for Edit { file, which, apply } in edits {
            let name = (which, file);
            if !files.contains_key(&name) {
                let log = match which {
                    Which::Public => {
                        let log = self.own(&git, at, &name.1)?;
                        self.with_waiting(&git, &name.1, log)?
                    }
                    Which::Private => self.read(&name.1)?,
                };
                files.insert(name.clone(), (log, false));
            }
            let Some((log, changed)) = files.get_mut(&name) else { continue };
            if let Some(new) = apply(log) {
                // Nobody could read it any more.
                if !Limit::of(&name.1).allows(&new) {
                    return Err(BranchError::too_long(name.1.escape_ascii(), new.len() as u64));
                }
                (*log, *changed) = (new, true);
            }
        }
        let changed = files.iter().filter(|(_, (_, changed))| *changed);
        let mut changed = changed.map(|((which, file), (log, _))| (*which, file.as_slice(), log.as_slice())).peekable();
        match changed.peek() {
            Some(_) => self.journal.write(&lock, changed),
            None => Ok(()),
        }
    }

    /// First the journal, then the branch: whoever commits moves the branch before taking the file out of the journal.
    fn read_public(&self, git: &gix::Repository, file: &[u8]) -> Result<Vec<u8>, BranchError> {
        let waits = self.journal.read(Which::Public, file)?;
        self.under(git, tip::local(git)?, file, waits)
    }

    /// The same with the branch at `at`.
    fn own(&self, git: &gix::Repository, at: Option<ObjectId>, file: &[u8]) -> Result<Vec<u8>, BranchError> {
        let waits = self.journal.read(Which::Public, file)?;
        self.under(git, at, file, waits)
    }

    /// The journal's version of `file` with what came to the branch after it was made.
    fn under(
        &self,
        git: &gix::Repository,
        at: Option<ObjectId>,
        file: &[u8],
        waits: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, BranchError> {
        let committed = self.committed(git, at, file)?;
        Ok(match waits {
            Some(log) => onto(file, log, &committed),
            None => committed,
        })
    }

    fn committed(&self, git: &gix::Repository, at: Option<ObjectId>, file: &[u8]) -> Result<Vec<u8>, BranchError> {
        let Some(at) = at else { return Ok(Vec::new()) };
        Ok(self.top(git, at)?.file(git, file)?.unwrap_or_default())
    }

    fn top(&self, git: &gix::Repository, at: ObjectId) -> Result<Arc<Top>, BranchError> {
        if let Some((of, top)) = whole(&self.top).as_ref()
            && *of == at
        {
            return Ok(Arc::clone(top));
        }
        let top = Arc::new(Top::of_commit(git, at)?);
        *whole(&self.top) = Some((at, Arc::clone(&top)));
        Ok(top)
    }

    /// A handle that may hold more than logs and trees need: some content of `len` bytes, and what it is packed with.
    fn roomy_git(&self, len: u64) -> Result<gix::Repository, BranchError> {
        let path = self.git.read().unwrap_or_else(PoisonError::into_inner).path().to_path_buf();
        open_with(&path, len.saturating_mul(3).saturating_add(ROOM))
            .map(|git| git.to_thread_local())
            .map_err(|why| BranchError::Git { what: "open the repository", why })
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        whole(&self.arrivals)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        whole(&self.writing)
    }

    fn git(&self) -> Git<'_> {
        let idle = whole(&self.idle).pop();
        let git = idle.unwrap_or_else(|| {
            let mut git = self.git.read().unwrap_or_else(PoisonError::into_inner).to_thread_local();
            // Bases of deltas would be kept for the next lookup, which is elsewhere.
            git.objects.unset_pack_cache();
            git
        });
        Git { git: Some(git), branch: self }
    }
}

/// What is guarded by these locks is replaced in one step, so a panic elsewhere leaves it whole.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle on the repository, given back when dropped.
struct Git<'a> {
    git: Option<gix::Repository>,
    branch: &'a Branch,
}

impl Deref for Git<'_> {
    type Target = gix::Repository;

    fn deref(&self) -> &gix::Repository {
        self.git.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Git<'_> {
    fn drop(&mut self) {
        let mut idle = whole(&self.branch.idle);
        if idle.len() < MOST_IDLE {
            idle.extend(self.git.take());
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Edit({})", self.file.escape_ascii())
    }
}
