//! The work of exporting a tree: which paths to look at, then the steps.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{DbError, ExportDb, Note};
use super::error::WorkError;
use super::history::History;
use super::look::{Found, resolve};
use super::names::{self, TEMPORARY};
use super::plan::{Elsewhere, Holds, Name, Step, plan};
use super::record;
use super::tree::{blob_of, changes};
use crate::annex::branch::{Branch, GitId};
use crate::annex::repository::Repository;
use crate::name::{Key, Uuid};

/// The work of one export, as far as it can be told without the remote.
///
/// In which order that is done is the business of the [stages](super::stage).
pub struct Work {
    pub(super) tree: GitId,
    /// The tree whose keys the database told before.
    known: GitId,
    over: BTreeSet<GitId>,
    /// Others elsewhere have exported too, or may have, so what is noted here may be of old.
    pub(super) is_foreign: bool,
    /// Others elsewhere have exported too, for sure.
    pub(super) has_others: bool,
    pub(super) paths: BTreeMap<Vec<u8>, Path>,
    /// Keys whose places outside the tree matter.
    keys: BTreeSet<Key>,
    /// Those of them that are noted to be at [`names::temporary`]: git-annex moved them there, and no further that it noted.
    pub(super) noted_temporary: BTreeSet<Key>,
    /// Those that were found there, and of which nothing is noted.
    pub(super) seen_temporary: BTreeSet<Key>,
    pub(super) questions: BTreeMap<Vec<u8>, Option<Found>>,
}

/// Paths that a tree has otherwise than the one to be exported, and the keys it has there.
type Before = BTreeMap<Vec<u8>, Option<Key>>;

/// Trees that were exported, each with what it has otherwise.
type Trees = Vec<(GitId, Before)>;

/// What the trees have otherwise, and the paths where any has.
type Differences = (Trees, BTreeMap<Vec<u8>, Path>);

/// A path that some tree has otherwise than the one to be exported, or that is not filled, or holds what another wants.
#[derive(Default)]
pub(super) struct Path {
    /// What the database has of it.
    pub(super) noted: Option<Key>,
    /// What exports that were cut may have put there.
    pub(super) candidates: BTreeSet<Key>,
    /// What exports that were begun here and have not ended put there.
    pub(super) begun: BTreeSet<Key>,
    /// What must be there for all that is known. Where all exports have come to their end: what the tree has there that the remote
    /// holds, since nothing of any other is left then. Where our own was cut, and all was noted before it: what is noted, since
    /// that was to last before anything else was put there, and else what that export puts there.
    pub(super) last: Option<Key>,
    /// Others exported here, who note elsewhere what they do.
    unsure: bool,
    pub(super) wants: Option<Key>,
}

/// Makes `db` tell all keys of the tree that it says it tells, where git-annex may have left some out. To be called with its lock.
pub fn make_whole(repository: &Repository, db: &mut ExportDb, remote: &Uuid) -> Result<(), WorkError> {
    let Some(tree) = db.tree()? else { return Ok(()) };
    if !record::is_whole(repository, remote, db, tree)? {
        db.replace_tree(&changes(repository.branch(), None, Some(tree))?)?;
        record::note_whole(repository, remote, db)?;
    }
    Ok(())
}

/// Makes `db` tell the keys of what the remote holds, where it does not.
fn tell_known(
    repository: &Repository,
    db: &mut ExportDb,
    remote: &Uuid,
    history: &History,
    tree: GitId,
) -> Result<(), WorkError> {
    let is_whole = record::is_whole(repository, remote, db, tree)?;
    if !history.is_told() || !is_whole {
        db.replace_tree(&changes(repository.branch(), None, Some(history.known))?)?;
    }
    if !is_whole {
        record::note_whole(repository, remote, db)?;
    }
    Ok(())
}

/// What the trees of `history` have otherwise than `tree`, and the paths where any of them has.
fn differences(branch: &Branch, history: &History, tree: GitId) -> Result<Differences, WorkError> {
    let before = history.trees();
    // Anybody may write the log that names them.
    let (room, mut read) = (branch.room(), 0);
    if before.len() > room.trees {
        return Err(branch.too_much().into());
    }
    let mut trees: Trees = Vec::new();
    let mut paths: BTreeMap<Vec<u8>, Path> = BTreeMap::new();
    for old in before {
        let mut of_tree = Before::new();
        let changed = changes(branch, Some(old), Some(tree))?;
        read += changed.len();
        if read > room.files {
            return Err(branch.too_much().into());
        }
        for change in changed {
            if old == GitId::EMPTY_TREE {
                paths.entry(change.path).or_default().wants = change.new;
                continue;
            }
            paths.entry(change.path.clone()).or_default().wants = change.new;
            of_tree.insert(change.path, change.old);
        }
        trees.push((old, of_tree));
    }
    Ok((trees, paths))
}

impl Path {
    /// Finds out what may be at `name`, of what was exported before.
    fn recall(&mut self, name: &[u8], history: &History, trees: &Trees, db: &ExportDb) -> Result<(), DbError> {
        let wants = self.wants.clone();
        let of = |old: GitId| {
            let of_tree = trees.iter().find(|(tree, _)| *tree == old && old != GitId::EMPTY_TREE);
            of_tree.and_then(|(_, of_tree)| of_tree.get(name).unwrap_or(&wants).as_ref())
        };
        for (old, _) in trees {
            let Some(key) = of(*old) else { continue };
            if self.noted.is_none() && db.holds(name, key)? {
                self.noted = Some(key.clone());
            }
            if history.was_begun_here(*old) {
                self.begun.insert(key.clone());
            }
            if history.may_have_put(*old) {
                self.candidates.insert(key.clone());
            }
        }
        if let Some(key) = wants.as_ref().filter(|_| self.noted.is_none())
            && db.holds(name, key)?
        {
            self.noted = Some(key.clone());
        }
        self.last = match history.sure {
            _ if history.is_at_rest() => of(history.known).cloned(),
            Some(sure) => self.noted.as_ref().or_else(|| of(sure)).cloned(),
            None => None,
        };
        let held = self.noted.as_ref();
        // What is noted is of the tree that was said to be exported, and of none before: it was noted on the way there.
        let is_new = match history.noted.map(of) {
            Some(before) if held.is_some() && held == of(history.known) && held != before => match before {
                Some(before) => !db.holds(name, before)?,
                None => true,
            },
            _ => false,
        };
        let doubted = if is_new { &history.others } else { &history.foreign };
        self.unsure = trees.iter().any(|(old, _)| doubted.contains(old) && of(*old) != held);
        Ok(())
    }
}

impl Work {
    /// What there is to do so that `remote` holds `tree`, which is an [`exportable`](super::tree::exportable) one. Makes the
    /// database tell the keys of the tree that was exported last, where it does not; only [`noted`](Self::noted) makes it
    /// say which tree that is, since until then what is noted may be of another.
    ///
    /// Where an export was cut, and with `all`, every name that matters is to be looked at; else those of which nothing
    /// is noted.
    ///
    /// # Errors
    ///
    /// What was exported is unknown.
    pub fn of(
        repository: &Repository,
        db: &mut ExportDb,
        remote: &Uuid,
        tree: GitId,
        all: bool,
    ) -> Result<Self, WorkError> {
        let history = History::of(repository, db, remote)?;
        tell_known(repository, db, remote, &history, tree)?;
        let (trees, mut paths) = differences(repository.branch(), &history, tree)?;
        let changed = |path: &[u8]| trees.iter().any(|(_, of_tree)| of_tree.contains_key(path));
        db.unfilled(|path, key| {
            if !changed(&path) {
                paths.entry(path).or_default().wants = Some(key);
            }
        })?;
        for (name, path) in &mut paths {
            path.recall(name, &history, &trees, db)?;
        }
        let mut work = Self {
            tree,
            known: history.known,
            is_foreign: !history.others.is_empty() || history.is_old,
            has_others: !history.others.is_empty(),
            paths,
            keys: BTreeSet::new(),
            noted_temporary: BTreeSet::new(),
            seen_temporary: BTreeSet::new(),
            questions: BTreeMap::new(),
            over: BTreeSet::new(),
        };
        let was_cut = all || history.was_cut();
        work.over = history.over;
        work.add_twins(db, was_cut)?;
        work.ask(was_cut);
        Ok(work)
    }

    /// The names that are to be looked at and were not yet.
    pub fn questions(&self) -> impl Iterator<Item = &[u8]> {
        self.questions.iter().filter(|(_, found)| found.is_none()).map(|(name, _)| name.as_slice())
    }

    /// Tells what a look at `name` found.
    pub fn answer(&mut self, name: &[u8], found: Found) {
        if let Some(question) = self.questions.get_mut(name) {
            *question = Some(found);
        }
    }

    /// Gives a name up that the store cannot have: nothing is put there, and the tree counts as exported without it.
    pub fn give_up(&mut self, name: &[u8]) {
        self.questions.remove(name);
        self.paths.remove(name);
    }

    /// The tree that is exported.
    pub fn tree(&self) -> GitId {
        self.tree
    }

    /// The trees that were exported, or begun, when the work was told, for [`record::complete`].
    pub fn over(&self) -> &BTreeSet<GitId> {
        &self.over
    }

    /// What the answers tell otherwise than the database.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for (name, path) in &self.paths {
            let holds = match self.holds(name, path) {
                Some(Holds::Key(key)) => Some(key),
                _ => None,
            };
            if holds != path.noted {
                let note = |key: &Key, holds| Note { name: name.clone(), key: key.clone(), holds };
                notes.extend(path.noted.iter().map(|key| note(key, false)));
                notes.extend(holds.iter().map(|key| note(key, true)));
            }
        }
        // A note that stays would be taken for one of a later export.
        let moved_on = self.noted_temporary.iter().filter(|key| self.is_absent(&names::temporary(key)));
        let at_temporary = |key: &Key, holds| Note { name: names::temporary(key), key: key.clone(), holds };
        notes.extend(self.seen_temporary.iter().map(|key| at_temporary(key, true)));
        notes.extend(moved_on.map(|key| at_temporary(key, false)));
        notes
    }

    /// Keys that may have been found at the names by which git-annex moves content, of which nothing is noted.
    pub fn temporaries(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| !self.noted_temporary.contains(key) && self.may_be(&names::temporary(key), key))
    }

    /// The content of `key` is at that name, for all that can be told: it can be read there until it is moved on.
    pub fn see_temporary(&mut self, key: Key) {
        self.seen_temporary.insert(key);
    }

    /// The steps, as far as the answers tell. A name that was not looked at is taken to hold what is noted.
    pub fn steps(&self) -> Vec<Step> {
        let name = |(path, of_path): (&Vec<u8>, &Path)| Name {
            path: path.clone(),
            holds: self.holds(path, of_path),
            wants: of_path.wants.clone(),
        };
        let names: Vec<Name> = self.paths.iter().map(name).collect();
        let at = |place: fn(&Key) -> Vec<u8>| {
            self.keys.iter().filter(|key| self.may_be(&place(key), key)).cloned().collect()
        };
        plan(&names, &Elsewhere { objects: at(names::object), temporaries: at(names::temporary) })
    }

    /// Names at which something was found and of which nothing is noted.
    pub fn unnoted(&self) -> impl Iterator<Item = &[u8]> {
        let there = |name: &[u8]| matches!(self.questions.get(name), Some(Some(found)) if *found != Found::Absent);
        let unnoted = self.paths.iter().filter(move |(name, path)| path.noted.is_none() && there(name));
        unnoted.map(|(name, _)| name.as_slice())
    }

    /// What was found at `name` is the file of another name, which the store takes for the same. Nothing is put at `name` while
    /// that other one has it; returns whether it is given up for this.
    pub fn is_shadow(&mut self, name: &[u8], of: &[u8]) -> bool {
        let leaves = self.paths.get(of).is_some_and(|path| path.wants.is_none());
        if leaves {
            self.answer(name, Found::Absent);
        } else {
            self.give_up(name);
        }
        !leaves
    }

    /// Which of `keys` the content at `name` is taken for, that is content of all of them.
    pub fn choose(&self, name: &[u8], keys: &BTreeSet<Key>) -> Option<Key> {
        let path = self.paths.get(name);
        let own = path.and_then(|path| {
            let wished = path.noted.iter().chain(&path.wants).chain(&path.candidates);
            wished.into_iter().find(|key| keys.contains(*key))
        });
        let outside = || self.keys.iter().find(|key| names::object(key) == name && keys.contains(*key));
        // One that nothing here speaks of is no answer: keys of one content are known by the same file.
        own.or_else(outside).cloned()
    }

    /// Whether something is there that may be content of `key`.
    pub(super) fn may_be(&self, name: &[u8], key: &Key) -> bool {
        matches!(self.questions.get(name), Some(Some(found)) if found.may_be(key))
    }

    /// What is noted is of the tree that was exported last: makes the database say so.
    pub fn noted(&self, db: &mut ExportDb) -> Result<(), DbError> {
        if db.tree()? == Some(self.known) { Ok(()) } else { db.set_tree(self.known, &[]) }
    }

    /// Makes the database tell the keys of the tree, which is exported now.
    pub fn finish(&self, repository: &Repository, db: &mut ExportDb) -> Result<(), WorkError> {
        if self.known != self.tree {
            db.set_tree(self.tree, &changes(repository.branch(), Some(self.known), Some(self.tree))?)?;
        }
        Ok(())
    }

    pub(super) fn holds(&self, name: &[u8], path: &Path) -> Option<Holds> {
        match self.questions.get(name) {
            Some(Some(found)) if path.unsure => resolve(None, found.clone()),
            Some(Some(found)) => resolve(path.noted.as_ref(), found.clone()),
            _ => path.noted.clone().map(Holds::Key),
        }
    }

    /// Whether it was looked at, and nothing is there.
    pub(super) fn is_absent(&self, name: &[u8]) -> bool {
        matches!(self.questions.get(name), Some(Some(Found::Absent)))
    }

    /// Adds names that hold a key which moves: with a twin that stays, the other need not be kept.
    fn add_twins(&mut self, db: &ExportDb, was_cut: bool) -> Result<(), WorkError> {
        // Where an export was cut, a name that has what it shall have for all that is noted may have been emptied by that one.
        let may_move = |path: &&Path| was_cut || path.unsure || path.noted.is_none() || path.noted != path.wants;
        let moving = self.paths.values().filter(may_move);
        let keys = moving.flat_map(|path| path.candidates.iter().chain(&path.noted).chain(&path.wants));
        self.keys = keys.cloned().collect();
        if was_cut {
            db.blobs_outside(|key| {
                self.keys.insert(key);
            })?;
        }
        for key in &self.keys {
            if was_cut && db.holds(&names::temporary(key), key)? {
                self.noted_temporary.insert(key.clone());
            }
            let in_tree: BTreeSet<Vec<u8>> = db.in_tree(key)?.into_iter().collect();
            for name in db.holding(key)? {
                if name.starts_with(TEMPORARY) || name.starts_with(b".git/") || self.paths.contains_key(&name) {
                    continue;
                }
                // No tree changes it: it has what it shall have, or was left behind by git-annex.
                let wants = in_tree.contains(&name).then(|| key.clone());
                self.paths.insert(name, Path { noted: Some(key.clone()), wants, ..Path::default() });
            }
        }
        Ok(())
    }

    fn ask(&mut self, all: bool) {
        let unsure = self
            .paths
            .iter()
            .filter(|(_, path)| all || path.unsure || path.noted.is_none())
            .map(|(name, _)| name.clone());
        let objects = self.keys.iter().filter(|key| all || blob_of(key).is_none()).map(names::object);
        let temporaries = self.keys.iter().filter(|_| all).map(names::temporary);
        self.questions = unsure.chain(objects).chain(temporaries).map(|name| (name, None)).collect();
    }
}

#[cfg(test)]
mod tests;
