//! All location logs of the branch, one after the other: what differs between two of its commits, and what waits in the
//! journals.
//!
//! A log counts where git-annex would look for it alone: a file elsewhere, or under a name that is no key's, is passed over.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::sync::PoisonError;
use std::time::Duration;

use gix::ObjectId;
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryMode;
use gix::odb::pack::cache::lru::MemoryCappedHashmap;

use super::differing::Differing;
use super::journal::{Which, branch_name};
use super::tip::{self, LONGEST_TREE};
use super::{Branch, GitId};
use crate::annex::git::error::BranchError;
use crate::annex::git::id::{id_of, object_id};
use crate::annex::git::open::{MOST_UNPACKED, open_with};
use crate::annex::git::read;
use crate::annex::layout;
use crate::annex::log::onto::onto;
use crate::annex::log::union::union;
use crate::annex::log::{Limit, LogHashing, location_file};
use crate::name::Key;

/// A location log that is not the same in two commits.
#[derive(Debug, Clone, Copy)]
pub struct LocationChange<'a> {
    /// Its name in the branch.
    pub file: &'a [u8],
    /// The key it is of.
    pub key: &'a Key,
    /// What it was; nothing where it was not there.
    pub old: &'a [u8],
    /// What it is; nothing where it is not there.
    pub new: &'a [u8],
    /// Whether the key has metadata in the new commit. `None` where no more than what differs was looked at.
    pub has_metadata: Option<bool>,
}

/// Which of two commits something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is left.
    Old,
    /// The one that is gone to.
    New,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// Whether it came to its end, or was ended.
    pub is_whole: bool,
    /// Entries of directories that were looked at.
    pub entries: u64,
}

/// A location log that waits in a journal, and which versions of it: of the same versions, the content is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLocation {
    /// Its name in the branch.
    pub file: Vec<u8>,
    /// The key it is of.
    pub key: Key,
    /// Its version in the public journal, and in the private one.
    pub versions: [Option<FileVersion>; 2],
}

/// What tells one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    inode: u64,
    modified: (i64, i64),
    len: u64,
}

/// What the name of a key's metadata has after that of its location log.
const METADATA: &[u8] = b".met";

/// Bytes of objects that are kept for those packed as a difference from them.
const BASES: usize = 16 << 20;

impl Branch {
    /// The commit the branch is at. `None` where there is no branch.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn tip(&self) -> Result<Option<GitId>, BranchError> {
        let past = self.past.get().copied();
        let at = past.map_or_else(|| tip::local(&self.git()), |past| Ok(Some(past)))?;
        Ok(at.and_then(|commit| id_of(&commit)))
    }

    /// Gives each location log that differs between the commits `old` and `new` to `each`, in an order that is always the
    /// same, until `each` breaks off. `None` is a branch without a file. Logs up to the file `after` are passed over. Holds
    /// one log and the directories on the way to it.
    ///
    /// # Errors
    ///
    /// What could not be read, and of which commit. One may be gone after `git annex forget`.
    pub fn location_changes(
        &self,
        old: Option<GitId>,
        new: Option<GitId>,
        after: &[u8],
        each: &mut dyn FnMut(LocationChange<'_>) -> ControlFlow<()>,
    ) -> Result<Walked, (Side, BranchError)> {
        let git = self.sequential_git(old.is_none() || !after.is_empty())?;
        let tree = |side, commit: Option<GitId>| {
            let tree = commit.map(|commit| read::tree_of(&git, object_id(&git, commit)?)).transpose();
            tree.map_err(|e| (side, e))
        };
        let (old, new) = (tree(Side::Old, old)?, tree(Side::New, new)?);
        let mut walk = Walk { git: &git, hashing: self.log_hashing(), file: Vec::new(), entries: 0, each };
        let flow = if old == new { ControlFlow::Continue(()) } else { walk.directory(old, new, Some(after), 0)? };
        Ok(Walked { is_whole: flow.is_continue(), entries: walk.entries })
    }

    /// Gives each location log that waits in a journal to `each`, ours and git-annex's, in no order. Those of the private
    /// journal too. One that is committed meanwhile may be left out.
    ///
    /// # Errors
    ///
    /// A journal could not be listed, or those of `each`.
    pub fn waiting_locations(
        &self,
        each: &mut dyn FnMut(WaitingLocation) -> Result<(), BranchError>,
    ) -> Result<(), BranchError> {
        if self.past.get().is_some() {
            return Ok(());
        }
        let hashing = self.log_hashing();
        let is_any_private = self.journal_files(Which::Private, &mut |_, _| Ok(ControlFlow::Break(())))?;
        self.journal_files(Which::Public, &mut |file, public| {
            let Some(key) = key_at(&file, hashing) else { return Ok(ControlFlow::Continue(())) };
            let private = if is_any_private { self.journal_version(Which::Private, &file)? } else { None };
            each(WaitingLocation { file, key, versions: [Some(public), private] })?;
            Ok(ControlFlow::Continue(()))
        })?;
        if !is_any_private {
            return Ok(());
        }
        self.journal_files(Which::Private, &mut |file, private| {
            if let Some(key) = key_at(&file, hashing)
                && self.journal_version(Which::Public, &file)?.is_none()
            {
                each(WaitingLocation { file, key, versions: [None, Some(private)] })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    /// The keys whose metadata waits in a journal.
    ///
    /// # Errors
    ///
    /// A journal could not be listed.
    pub fn waiting_metadata(&self) -> Result<HashSet<Key>, BranchError> {
        let mut waiting = HashSet::new();
        if self.past.get().is_some() {
            return Ok(waiting);
        }
        for which in [Which::Public, Which::Private] {
            self.journal_files(which, &mut |file, _| {
                waiting.extend(file.strip_suffix(METADATA).and_then(|log| key_at(log, self.log_hashing())));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(waiting)
    }

    /// What `file` is in the commit `at`, and what it is with what waits in the journals.
    ///
    /// # Errors
    ///
    /// One of them is unknown.
    pub fn log_at(&self, at: Option<GitId>, file: &[u8]) -> Result<(Vec<u8>, Vec<u8>), BranchError> {
        let git = self.git();
        let at = at.map(|at| object_id(&git, at)).transpose()?;
        let committed = self.committed(&git, at, file)?;
        let public = match self.journal.read(Which::Public, file)? {
            Some(log) => onto(file, log, &committed),
            None => committed.clone(),
        };
        let now = match self.journal.read(Which::Private, file)? {
            Some(private) => union(&public, &private),
            None => public,
        };
        Ok((committed, now))
    }

    /// A handle for reading much in order. Logs of one key after the other are often packed as differences from each other, so
    /// the last ones are kept. Where `is_all` of the branch is read, part by part, what is mapped of packs goes with the handle:
    /// all of them would count as memory of this process in the end.
    fn sequential_git(&self, is_all: bool) -> Result<gix::Repository, (Side, BranchError)> {
        let shared = self.git.read().unwrap_or_else(PoisonError::into_inner);
        let mut git = if is_all {
            let opened = open_with(shared.path(), MOST_UNPACKED);
            let opened = opened.map_err(|why| BranchError::Git { what: "open the repository", why });
            opened.map_err(|e| (Side::New, e))?.to_thread_local()
        } else {
            shared.to_thread_local()
        };
        git.objects.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(BASES)));
        Ok(git)
    }

    /// Each file of a journal. Tells whether `each` broke off.
    fn journal_files(
        &self,
        which: Which,
        each: &mut dyn FnMut(Vec<u8>, FileVersion) -> Result<ControlFlow<()>, BranchError>,
    ) -> Result<bool, BranchError> {
        let dir = self.journal.dir(which);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(BranchError::io("list", &dir)(e)),
        };
        for entry in entries {
            let entry = entry.map_err(BranchError::io("list", &dir))?;
            let Some(file) = branch_name(&entry.file_name()) else { continue };
            let version = match entry.metadata() {
                Ok(metadata) => FileVersion::of(&metadata),
                // It was committed in this moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(BranchError::io("look at", &entry.path())(e)),
            };
            if each(file, version)?.is_break() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn journal_version(&self, which: Which, file: &[u8]) -> Result<Option<FileVersion>, BranchError> {
        let path = self.journal.path(which, file);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(FileVersion::of(&metadata))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(BranchError::io("look at", &path)(e)),
        }
    }
}

impl FileVersion {
    /// When it was written, by the clock of the file system, since 1970.
    pub fn modified(&self) -> Duration {
        let (seconds, nanos) = self.modified;
        Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
    }

    fn of(metadata: &fs::Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { inode: metadata.ino(), modified, len: metadata.len() }
    }
}

/// The key whose location log is `file`; `None` where it is another file, or not where git-annex looks for it.
fn key_at(file: &[u8], hashing: LogHashing) -> Option<Key> {
    let name = file.rsplit(|byte| *byte == b'/').next()?.strip_suffix(b".log")?;
    let key = Key::parse(&layout::key_of_file(name)?).ok()?;
    (location_file(&key, hashing) == file).then_some(key)
}

/// A walk over the location logs that differ between two trees.
struct Walk<'a> {
    git: &'a gix::Repository,
    hashing: LogHashing,
    /// The file or directory that it is at.
    file: Vec<u8>,
    entries: u64,
    each: &'a mut dyn FnMut(LocationChange<'_>) -> ControlFlow<()>,
}

/// An entry of a tree: its name, and what it is.
type Entry<'a> = (&'a [u8], (EntryMode, ObjectId));

type Flow = Result<ControlFlow<()>, (Side, BranchError)>;

impl Walk<'_> {
    /// The directory at `depth` whose trees are `old` and `new`; of it what comes after the path `after`.
    fn directory(&mut self, old: Option<ObjectId>, new: Option<ObjectId>, after: Option<&[u8]>, depth: usize) -> Flow {
        let git = self.git;
        let (old, new) = (object(git, Side::Old, old)?, object(git, Side::New, new)?);
        let differing = Differing::of(bytes(old.as_ref()), bytes(new.as_ref()), git.object_hash().len_in_bytes());
        let was = entries(git, Side::Old, differing.old)?;
        let is = entries(git, Side::New, differing.new)?;
        let all = old.is_none().then_some(&is[..]);
        // One for the directory itself: empty ones take time too.
        self.entries += (differing.passed + was.len() + is.len() + 1) as u64;
        let after = after.filter(|after| !after.is_empty()).map(|after| {
            let end = after.iter().position(|byte| *byte == b'/').unwrap_or(after.len());
            (&after[..end], after.get(end + 1..))
        });
        let (mut was, mut is) = (was.iter().peekable(), is.iter().peekable());
        loop {
            let name = match (was.peek(), is.peek()) {
                (None, None) => return Ok(ControlFlow::Continue(())),
                (Some((name, _)), None) | (None, Some((name, _))) => *name,
                (Some((one, _)), Some((other, _))) => *one.min(other),
            };
            let old = was.next_if(|(other, _)| *other == name).map(|(_, found)| *found);
            let new = is.next_if(|(other, _)| *other == name).map(|(_, found)| *found);
            if old == new || after.is_some_and(|(first, _)| name < first) {
                continue;
            }
            let rest = after.filter(|(first, _)| *first == name).map(|(_, rest)| rest);
            let len = self.file.len();
            if len > 0 {
                self.file.push(b'/');
            }
            self.file.extend_from_slice(name);
            let flow = self.entry(old, new, rest, depth, all);
            self.file.truncate(len);
            if flow?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// What is at `self.file`; `rest` is there where the walk was there before: what it came to below. `all` is its directory, where
    /// that is known whole.
    fn entry(
        &mut self,
        old: Option<(EntryMode, ObjectId)>,
        new: Option<(EntryMode, ObjectId)>,
        rest: Option<Option<&[u8]>>,
        depth: usize,
        all: Option<&[Entry<'_>]>,
    ) -> Flow {
        let of_files = match self.hashing {
            LogHashing::OneLevel => 1,
            LogHashing::TwoLevels => 2,
        };
        let is_hash = |file: &[u8]| file.len() == depth * 4 + 3;
        if depth < of_files {
            let tree =
                |entry: Option<(EntryMode, ObjectId)>| entry.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
            let (old, new) = (tree(old), tree(new));
            if !is_hash(&self.file) || old == new {
                return Ok(ControlFlow::Continue(()));
            }
            return self.directory(old, new, rest.flatten(), depth + 1);
        }
        if rest.is_some() {
            return Ok(ControlFlow::Continue(()));
        }
        let blob = |entry: Option<(EntryMode, ObjectId)>| entry.filter(|(mode, _)| mode.is_blob()).map(|(_, id)| id);
        let (old, new) = (blob(old), blob(new));
        let Some(key) = key_at(&self.file, self.hashing).filter(|_| old != new) else {
            return Ok(ControlFlow::Continue(()));
        };
        let (git, file) = (self.git, &self.file);
        let has_metadata = all.map(|all| {
            let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let metadata = [name, METADATA].concat();
            all.binary_search_by_key(&&metadata[..], |(name, _)| *name).is_ok()
        });
        let (old, new) = (log(git, file, Side::Old, old)?, log(git, file, Side::New, new)?);
        let (old, new) = (bytes(old.as_ref()), bytes(new.as_ref()));
        Ok((self.each)(LocationChange { file: &self.file, key: &key, old, new, has_metadata }))
    }
}

/// A log. Errors: also where it is longer than a log may be.
fn log<'a>(
    git: &'a gix::Repository,
    file: &[u8],
    side: Side,
    id: Option<ObjectId>,
) -> Result<Option<gix::Object<'a>>, (Side, BranchError)> {
    let log = object(git, side, id)?;
    match &log {
        Some(log) if !Limit::KEY.allows(&log.data) => {
            Err((side, BranchError::too_long(file.escape_ascii(), log.data.len() as u64)))
        }
        _ => Ok(log),
    }
}

/// An object. How long one may be that is unpacked at all is said where the repository is opened.
fn object(
    git: &gix::Repository,
    side: Side,
    id: Option<ObjectId>,
) -> Result<Option<gix::Object<'_>>, (Side, BranchError)> {
    let Some(id) = id.filter(|id| !id.is_empty_tree()) else { return Ok(None) };
    let object = git.find_object(id).map_err(|e| (side, BranchError::git("read an object")(e)))?;
    if object.data.len() as u64 > LONGEST_TREE {
        return Err((side, BranchError::too_long(id, object.data.len() as u64)));
    }
    Ok(Some(object))
}

fn bytes<'a>(object: Option<&'a gix::Object<'_>>) -> &'a [u8] {
    object.map(|object| object.data.as_slice()).unwrap_or_default()
}

/// The entries of a tree, by name.
fn entries<'a>(git: &gix::Repository, side: Side, tree: &'a [u8]) -> Result<Vec<Entry<'a>>, (Side, BranchError)> {
    let mut entries = Vec::with_capacity(tree.len() / 40);
    for entry in TreeRefIter::from_bytes(tree, git.object_hash()) {
        let entry = entry.map_err(|e| (side, BranchError::git("read a tree")(e)))?;
        entries.push((&**entry.filename, (entry.mode, entry.oid.to_owned())));
    }
    // git sorts a directory as if its name ended in a slash.
    entries.sort_unstable_by_key(|(name, _)| *name);
    Ok(entries)
}

#[cfg(test)]
mod tests;
