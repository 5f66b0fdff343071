//! Two trees of the branch made one, both of which somebody else may have made to harm us.

use std::collections::{HashMap, HashSet};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::TreeRefIter;
use gix::objs::tree::{Entry, EntryKind};

use super::journal::is_component;
use super::tip::LONGEST_TREE;
use crate::annex::git::allowance::Allowance;
use crate::annex::git::error::BranchError;
use crate::annex::git::pack::PackWriter;
use crate::annex::git::read;
use crate::annex::log::Limit;
use crate::annex::log::union::union;

/// Deepest directory that is merged. Real branches have three levels.
const DEEPEST: usize = 16;

/// Most entries of trees that are read for one branch: two of ten million keys, all of them different.
const MOST_ENTRIES: u64 = 50_000_000;

/// Most bytes of trees and logs that are read for one branch. What is written counts [`WRITTEN`] times.
const MOST_BYTES: u64 = 4 << 30;

/// Two logs can be paired with each other in many trees, and each pair is written.
const WRITTEN: usize = 4;

/// Most pairs of directories with directories in them, for one branch. A real one has 4097 such; tests have
/// no time to make so many.
const MOST_PAIRS: usize = if cfg!(test) { 1000 } else { 50_000 };

/// Longest directory that merging makes: half of what is read, so that ours can be read whatever is merged into it.
const LONGEST_MADE: usize = LONGEST_TREE as usize / 2;

/// Most names of what was left alone that are kept.
const MOST_NAMED: usize = 5;

/// The making of one tree of two. What was made is remembered, so that to go on after ours changed is little work.
pub(super) struct Unite<'a> {
    git: &'a PackWriter<'a>,
    stop: &'a dyn Fn() -> bool,
    allowance: Allowance<'a>,
    /// How many pairs there may be in the end.
    room: usize,
    /// Pairs of directories that were made one. Files are no part of these: they are few for each directory.
    made: HashMap<(ObjectId, ObjectId), ObjectId>,
    /// Pairs of which the second may stand for the first.
    fit: HashSet<(ObjectId, ObjectId)>,
    left: LeftOut,
}

/// What was left as it is on our side.
#[derive(Debug, Default, Clone)]
pub(super) struct LeftOut {
    pub(super) named: Vec<Vec<u8>>,
    pub(super) count: usize,
}

impl<'a> Unite<'a> {
    pub(super) fn new(git: &'a PackWriter<'a>, stop: &'a dyn Fn() -> bool) -> Self {
        let allowance = Allowance::new(MOST_ENTRIES, MOST_BYTES, stop);
        let (made, fit) = (HashMap::new(), HashSet::new());
        Self { git, stop, allowance, room: MOST_PAIRS, made, fit, left: LeftOut::default() }
    }

    /// Each branch has the same allowance, whatever others took.
    fn begin(&mut self, pairs: usize) {
        self.allowance = Allowance::new(MOST_ENTRIES, MOST_BYTES, self.stop);
        self.room = pairs + MOST_PAIRS;
    }

    /// A tree with all files of both; files in both have the lines of both. Trees that are the same are not read. What is too
    /// large to be read or to be written stays as it is in `ours`, and is told by [`left`](Self::left).
    ///
    /// Errors: it is too much, or cannot be read, or it is time to stop.
    pub(super) fn trees(&mut self, ours: ObjectId, theirs: ObjectId) -> Result<ObjectId, BranchError> {
        self.begin(self.made.len());
        let before = self.left.clone();
        let made = self.directory(ours, theirs, &mut Vec::new(), 0);
        if made.is_err() {
            self.made.clear();
            self.left = before;
        }
        made
    }

    /// What was left alone since this was last asked.
    pub(super) fn left(&mut self) -> LeftOut {
        std::mem::take(&mut self.left)
    }

    /// Whether `theirs` can stand for `ours`: nothing in it that differs is larger than it may be. Errors: as above.
    pub(super) fn is_fit(&mut self, ours: Option<ObjectId>, theirs: ObjectId) -> Result<bool, BranchError> {
        self.fit.clear();
        self.begin(0);
        self.is_fit_below(ours, theirs, &mut Vec::new(), 0)
    }

    fn directory(
        &mut self,
        ours: ObjectId,
        theirs: ObjectId,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<ObjectId, BranchError> {
        if ours == theirs {
            return Ok(ours);
        }
        if let Some(made) = self.made.get(&(ours, theirs)) {
            return Ok(*made);
        }
        if depth > DEEPEST {
            return self.leave(ours, path);
        }
        let (Some(mut entries), Some(new)) = (self.read(ours)?, self.read(theirs)?) else {
            return self.leave(ours, path);
        };
        let mut has_trees = false;
        for (name, entry) in new {
            // Links and submodules are nothing that git-annex records.
            if !is_component(&name) || !(entry.mode.is_blob() || entry.mode.is_tree()) {
                continue;
            }
            let Some(have) = entries.get_mut(&name) else {
                entries.insert(name, entry);
                continue;
            };
            if have.mode == entry.mode && have.oid == entry.oid {
                continue;
            }
            let len = path.len();
            join(path, &name);
            if have.mode.is_tree() && entry.mode.is_tree() {
                has_trees = true;
                have.oid = self.directory(have.oid, entry.oid, path, depth + 1)?;
            } else if have.mode.is_blob() && entry.mode.is_blob() {
                have.oid = self.file(have.oid, entry.oid, path)?;
                have.mode = EntryKind::Blob.into();
            } else {
                self.leave(have.oid, path)?;
            }
            path.truncate(len);
        }
        let made = if entries.values().map(|entry| entry.filename.len() + 28).sum::<usize>() > LONGEST_MADE {
            self.leave(ours, path)?
        } else {
            let mut entries: Vec<Entry> = entries.into_values().collect();
            entries.sort_unstable();
            self.git.tree(entries)?
        };
        if has_trees {
            if self.made.len() >= self.room {
                return Err(BranchError::TooMuch("trees hold each other in too many ways"));
            }
            self.made.insert((ours, theirs), made);
        }
        Ok(made)
    }

    fn file(&mut self, ours: ObjectId, theirs: ObjectId, path: &[u8]) -> Result<ObjectId, BranchError> {
        if ours == theirs {
            return Ok(ours);
        }
        let limit = Limit::of(path);
        let (Some(old), Some(new)) = (self.log(ours, limit)?, self.log(theirs, limit)?) else {
            return self.leave(ours, path);
        };
        let log = union(&old, &new);
        // A log that lost lines must not be written, and one that nobody can read any more neither.
        if !limit.allows(&log) {
            return self.leave(ours, path);
        }
        self.allowance.read(0, log.len() * WRITTEN)?;
        self.git.blob(&log)
    }

    fn is_fit_below(
        &mut self,
        ours: Option<ObjectId>,
        theirs: ObjectId,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<bool, BranchError> {
        // What is new is there under its name alone, and in nobody's way.
        let Some(ours) = ours.filter(|ours| *ours != theirs) else {
            return Ok(depth > 0 || self.read(theirs)?.is_some());
        };
        if self.fit.contains(&(ours, theirs)) {
            return Ok(true);
        }
        if depth > DEEPEST || self.fit.len() >= self.room {
            return Ok(false);
        }
        let (Some(old), Some(new)) = (self.read(ours)?, self.read(theirs)?) else { return Ok(false) };
        if new.values().map(|entry| entry.filename.len() + 28).sum::<usize>() > LONGEST_MADE {
            return Ok(false);
        }
        let mut has_trees = false;
        for (name, entry) in new {
            let Some(have) = old.get(&name).filter(|have| have.oid != entry.oid) else { continue };
            let len = path.len();
            join(path, &name);
            let is_fit = match (have.mode.is_tree(), entry.mode.is_tree()) {
                (true, true) => {
                    has_trees = true;
                    self.is_fit_below(Some(have.oid), entry.oid, path, depth + 1)?
                }
                (false, false) => read::len(self.git, entry.oid)? <= Limit::of(path).bytes,
                _ => false,
            };
            path.truncate(len);
            if !is_fit {
                return Ok(false);
            }
        }
        if has_trees {
            self.fit.insert((ours, theirs));
        }
        Ok(true)
    }

    /// The entries of a tree; `None` where it is too long.
    fn read(&mut self, tree: ObjectId) -> Result<Option<HashMap<Vec<u8>, Entry>>, BranchError> {
        let bytes = match read::object(self.git, tree, LONGEST_TREE) {
            Err(BranchError::TooLong { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let mut entries: HashMap<Vec<u8>, Entry> = HashMap::new();
        for entry in TreeRefIter::from_bytes(&bytes, self.git.object_hash()) {
            let entry = entry.map_err(BranchError::git("read a tree"))?;
            entries.insert(entry.filename.to_vec(), entry.into());
        }
        // One for the tree itself: empty ones take time too.
        self.allowance.read(entries.len() + 1, bytes.len())?;
        Ok(Some(entries))
    }

    /// A log; `None` where it is too long.
    fn log(&mut self, blob: ObjectId, limit: Limit) -> Result<Option<Vec<u8>>, BranchError> {
        let log = match read::object(self.git, blob, limit.bytes) {
            Err(BranchError::TooLong { .. }) => return Ok(None),
            log => log?,
        };
        self.allowance.read(1, log.len())?;
        Ok(Some(log).filter(|log| limit.allows(log)))
    }

    fn leave(&mut self, ours: ObjectId, path: &[u8]) -> Result<ObjectId, BranchError> {
        self.left.count += 1;
        if self.left.named.len() < MOST_NAMED {
            self.left.named.push(path.to_vec());
        }
        Ok(ours)
    }
}

fn join(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, path) in self.named.iter().enumerate() {
            let shown = &path[..path.len().min(200)];
            write!(f, "{}{}", if nth > 0 { ", " } else { "" }, shown.as_bstr().escape_ascii())?;
        }
        match self.count.saturating_sub(self.named.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
