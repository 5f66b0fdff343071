//! Trees of files, as users commit them: what is in one, what differs between two, and one without some of its files.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use gix::objs::TreeRefIter;
use gix::objs::tree::{Entry, EntryKind, EntryMode};

use super::error::BranchError;
use super::id::{id_of, object_id};
use super::pack::Workshop;
use super::{Branch, FileKind, GitId, TreeFile, tip};

/// What became of a path between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// The path, with slashes.
    pub path: Vec<u8>,
    /// What was there.
    pub old: Option<TreeFile>,
    /// What is there now.
    pub new: Option<TreeFile>,
}

/// Deepest tree that is read.
const DEEPEST: usize = 512;

/// Most changes between two trees. A tree may hold itself many times over, and be far larger than what is stored of it.
const MOST_CHANGES: usize = 10_000_000;

impl Branch {
    /// What differs between two trees, sorted by path; all of `new` where there is no `old`. Trees that are the same are not
    /// read. About 150 bytes for each change, with the path.
    ///
    /// Errors: a tree is not there, or is no tree anybody made: deeper than 512, or with more than 10,000,000 changes.
    pub fn tree_changes(&self, old: Option<GitId>, new: Option<GitId>) -> Result<Vec<TreeChange>, BranchError> {
        let git = self.git();
        let id = |tree: Option<GitId>| tree.filter(|tree| *tree != GitId::EMPTY_TREE).map(object_id);
        let (old, new) = (id(old), id(new));
        let mut found = Vec::new();
        if old != new {
            changes(&git, old, new, &mut Vec::new(), 0, &mut found)?;
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The length in bytes of the content `id`.
    pub fn blob_len(&self, id: GitId) -> Result<u64, BranchError> {
        Ok(self.git().find_header(object_id(id)).map_err(BranchError::git("find an object"))?.size())
    }

    /// The content `id`, held in memory. Errors: also where it is longer than `most` bytes.
    pub fn blob(&self, id: GitId, most: u64) -> Result<Vec<u8>, BranchError> {
        let git = self.git();
        let len = git.find_header(object_id(id)).map_err(BranchError::git("find an object"))?.size();
        if len > most {
            return Err(BranchError::TooLong { what: id.to_string(), len });
        }
        let mut object = git.find_object(object_id(id)).map_err(BranchError::git("read an object"))?;
        Ok(std::mem::take(&mut object.data))
    }

    /// A tree like `tree` without the files `paths`; directories stay although they may be empty then, as git-annex leaves
    /// them. Made where it is not there yet.
    pub fn tree_without(&self, tree: GitId, paths: &BTreeSet<Vec<u8>>) -> Result<GitId, BranchError> {
        if paths.is_empty() {
            return Ok(tree);
        }
        let git = self.git();
        let workshop = Workshop::of(&git);
        let made = without(&workshop, object_id(tree), &mut Vec::new(), paths, 0)?;
        workshop.flush()?;
        id_of(&made).ok_or_else(|| wrong("it has no name of 20 bytes"))
    }
}

/// The tree of `commit`; below the path `below` in it, unless that is empty. `None` where there is no such directory.
pub(super) fn below_of(git: &gix::Repository, commit: ObjectId, below: &[u8]) -> Result<Option<GitId>, BranchError> {
    let mut tree = tip::tree_of(git, commit)?;
    for part in below.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        match entries(git, Some(tree))?.get(part) {
            Some((mode, id)) if mode.is_tree() => tree = *id,
            _ => return Ok(None),
        }
    }
    Ok(id_of(&tree))
}

type Entries = BTreeMap<Vec<u8>, (EntryMode, ObjectId)>;

fn entries(git: &gix::Repository, tree: Option<ObjectId>) -> Result<Entries, BranchError> {
    let Some(tree) = tree.filter(|tree| !tree.is_empty_tree()) else { return Ok(Entries::new()) };
    let mut entries = Entries::new();
    for entry in TreeRefIter::from_bytes(&tip::object(git, tree)?, git.object_hash()) {
        let entry = entry.map_err(BranchError::git("read a tree"))?;
        entries.insert(entry.filename.to_vec(), (entry.mode, entry.oid.to_owned()));
    }
    Ok(entries)
}

fn changes(
    git: &gix::Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    path: &mut Vec<u8>,
    depth: usize,
    found: &mut Vec<TreeChange>,
) -> Result<(), BranchError> {
    if depth > DEEPEST {
        return Err(wrong("it is too deep"));
    }
    let (mut was, mut is) = (entries(git, old)?, entries(git, new)?);
    is.retain(|name, entry| was.get(name) != Some(entry) || was.remove(name).is_none());
    let names: BTreeSet<Vec<u8>> = was.keys().chain(is.keys()).cloned().collect();
    for name in names {
        let (old, new) = (was.get(&name), is.get(&name));
        let len = path.len();
        if len > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let tree = |entry: Option<&(EntryMode, ObjectId)>| entry.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| *id);
        if tree(old).is_some() || tree(new).is_some() {
            changes(git, tree(old), tree(new), path, depth + 1, found)?;
        }
        let (old, new) = (old.and_then(file), new.and_then(file));
        if old.is_some() || new.is_some() {
            if found.len() >= MOST_CHANGES {
                return Err(wrong("too many files"));
            }
            found.push(TreeChange { path: path.clone(), old, new });
        }
        path.truncate(len);
    }
    Ok(())
}

fn file((mode, id): &(EntryMode, ObjectId)) -> Option<TreeFile> {
    let kind = match mode.kind() {
        EntryKind::Tree => return None,
        EntryKind::Blob => FileKind::Plain,
        EntryKind::BlobExecutable => FileKind::Executable,
        EntryKind::Link => FileKind::Link,
        EntryKind::Commit => FileKind::Submodule,
    };
    Some(TreeFile { id: id_of(id)?, kind })
}

fn without(
    git: &Workshop<'_>,
    tree: ObjectId,
    path: &mut Vec<u8>,
    paths: &BTreeSet<Vec<u8>>,
    depth: usize,
) -> Result<ObjectId, BranchError> {
    if depth > DEEPEST {
        return Err(wrong("it is too deep"));
    }
    let below = |path: &[u8]| paths.range(path.to_vec()..).next().is_some_and(|next| next.starts_with(path));
    let mut kept = Vec::new();
    for (name, (mode, mut id)) in entries(git, Some(tree))? {
        let len = path.len();
        path.extend_from_slice(&name);
        let gone = !mode.is_tree() && paths.contains(path);
        if mode.is_tree() {
            path.push(b'/');
            if below(path) {
                id = without(git, id, path, paths, depth + 1)?;
            }
        }
        path.truncate(len);
        if !gone {
            kept.push(Entry { mode, filename: name.into(), oid: id });
        }
    }
    kept.sort_unstable();
    Ok(git.write_object(&gix::objs::Tree { entries: kept }).map_err(BranchError::git("write a tree"))?.detach())
}

fn wrong(why: &str) -> BranchError {
    BranchError::Git { what: "read a tree", why: why.to_string() }
}

#[cfg(test)]
mod tests;
