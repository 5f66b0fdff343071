//! Trees of files, as users commit them: reading one, comparing two, and leaving files out of one.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use gix::objs::TreeRefIter;
use gix::objs::tree::{Entry, EntryKind, EntryMode};

use super::allowance::Allowance;
use super::error::BranchError;
use super::id::{id_of, object_id};
use super::object::{FileKind, GitId, TreeFile};
use super::pack::PackWriter;
use super::read;

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

/// How much may differ between two trees, whose files may be many more than what is stored of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Files that differ.
    pub files: usize,
    /// Bytes of their paths, with 150 for each.
    pub bytes: usize,
    /// Entries of directories that are read to find them.
    pub entries: u64,
    /// The longest directory, in bytes.
    pub directory: u64,
    /// Trees that one is compared with.
    pub trees: usize,
}

impl Room {
    /// In a server, where others wait: some tenths of a second.
    pub const SERVER: Self = Self { files: 100_000, bytes: 32 << 20, entries: 500_000, directory: 8 << 20, trees: 16 };

    /// In a process of its own.
    pub const ALONE: Self =
        Self { files: 5_000_000, bytes: 1 << 30, entries: 50_000_000, directory: 64 << 20, trees: 256 };
}

/// What each change takes besides its path, in bytes.
const EACH: usize = 150;

/// What differs between two trees, sorted by path; all of `new` where there is no `old`. Trees that are the same are not read.
///
/// # Errors
///
/// A tree is not there, or is no tree anybody made: deeper than 512, or with more changes than there is `room` for.
pub(in crate::annex) fn changes(
    git: &gix::Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    room: Room,
) -> Result<Vec<TreeChange>, BranchError> {
    let allowance = Allowance::new(room.entries, u64::MAX, &|| false);
    let mut walk = Walk { git, room, allowance, path: Vec::new(), found: Vec::new(), bytes: 0 };
    if old != new {
        walk.changes(old, new, 0)?;
    }
    let mut found = walk.found;
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// What is done with each file of a tree, which is called by its path from the top.
pub type EachFile<'a> = dyn FnMut(&[u8], TreeFile) -> Result<(), BranchError> + 'a;

/// Gives each file of `tree` to `each`, by its path, as long as it says so: one directory on the way is held at a time, at each
/// depth.
///
/// # Errors
///
/// A tree is not there, or is no tree anybody made; or those of `each`.
pub(in crate::annex) fn each_file(
    git: &gix::Repository,
    tree: ObjectId,
    path: &mut Vec<u8>,
    (depth, most): (usize, u64),
    each: &mut EachFile<'_>,
) -> Result<(), BranchError> {
    if depth > DEEPEST {
        return Err(wrong("it is too deep"));
    }
    for (name, entry) in entries(git, Some(tree), most)? {
        let len = path.len();
        if len > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        match file(&entry) {
            Some(found) => each(path, found)?,
            None if entry.0.is_tree() => each_file(git, entry.1, path, (depth + 1, most), each)?,
            None => {}
        }
        path.truncate(len);
    }
    Ok(())
}

/// The file at `path` in the tree of `commit`; `None` where there is none.
pub(in crate::annex) fn file_of(
    git: &gix::Repository,
    commit: ObjectId,
    path: &[u8],
    room: Room,
) -> Result<Option<TreeFile>, BranchError> {
    let at = path.iter().rposition(|byte| *byte == b'/');
    let (directory, name) = at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
    let Some(tree) = below_of(git, commit, directory, room)? else { return Ok(None) };
    Ok(entries(git, Some(object_id(git, tree)?), room.directory)?.get(name).and_then(file))
}

/// A tree like `tree` without the files `paths`; directories stay although they may be empty then. Made where it is not there yet.
pub(in crate::annex) fn tree_without(
    git: &gix::Repository,
    tree: GitId,
    paths: &BTreeSet<Vec<u8>>,
    room: Room,
) -> Result<GitId, BranchError> {
    let packer = PackWriter::of(git);
    let made = without(&packer, object_id(git, tree)?, &mut Vec::new(), paths, (0, room.directory))?;
    packer.flush()?;
    id_of(&made).ok_or_else(|| wrong("it has no name of 20 or 32 bytes"))
}

/// The tree of `commit`; below the path `below` in it, unless that is empty. `None` where there is no such directory.
pub(in crate::annex) fn below_of(
    git: &gix::Repository,
    commit: ObjectId,
    below: &[u8],
    room: Room,
) -> Result<Option<GitId>, BranchError> {
    let mut tree = read::tree_of(git, commit)?;
    for part in below.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        match entries(git, Some(tree), room.directory)?.get(part) {
            Some((mode, id)) if mode.is_tree() => tree = *id,
            _ => return Ok(None),
        }
    }
    Ok(id_of(&tree))
}

type Entries = BTreeMap<Vec<u8>, (EntryMode, ObjectId)>;

fn entries(git: &gix::Repository, tree: Option<ObjectId>, most: u64) -> Result<Entries, BranchError> {
    let Some(tree) = tree.filter(|tree| !tree.is_empty_tree()) else { return Ok(Entries::new()) };
    let mut entries = Entries::new();
    for entry in TreeRefIter::from_bytes(&read::object(git, tree, most)?, git.object_hash()) {
        let entry = entry.map_err(BranchError::git("read a tree"))?;
        entries.insert(entry.filename.to_vec(), (entry.mode, entry.oid.to_owned()));
    }
    Ok(entries)
}

/// A walk over what differs between two trees.
struct Walk<'a> {
    git: &'a gix::Repository,
    room: Room,
    allowance: Allowance<'a>,
    path: Vec<u8>,
    found: Vec<TreeChange>,
    bytes: usize,
}

impl Walk<'_> {
    fn changes(&mut self, old: Option<ObjectId>, new: Option<ObjectId>, depth: usize) -> Result<(), BranchError> {
        if depth > DEEPEST {
            return Err(wrong("it is too deep"));
        }
        let (mut was, mut is) = (self.entries(old)?, self.entries(new)?);
        is.retain(|name, entry| was.get(name) != Some(entry) || was.remove(name).is_none());
        let names: BTreeSet<Vec<u8>> = was.keys().chain(is.keys()).cloned().collect();
        for name in names {
            let (old, new) = (was.get(&name), is.get(&name));
            let len = self.path.len();
            if len > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            let tree =
                |entry: Option<&(EntryMode, ObjectId)>| entry.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| *id);
            if tree(old).is_some() || tree(new).is_some() {
                self.changes(tree(old), tree(new), depth + 1)?;
            }
            let (old, new) = (old.and_then(file), new.and_then(file));
            if old.is_some() || new.is_some() {
                self.bytes += self.path.len() + EACH;
                if self.found.len() >= self.room.files || self.bytes > self.room.bytes {
                    return Err(BranchError::TooMuch("too many files"));
                }
                self.found.push(TreeChange { path: self.path.clone(), old, new });
            }
            self.path.truncate(len);
        }
        Ok(())
    }

    fn entries(&mut self, tree: Option<ObjectId>) -> Result<Entries, BranchError> {
        let entries = entries(self.git, tree, self.room.directory)?;
        // One for the tree itself: empty ones take time too.
        self.allowance.read(entries.len() + 1, 0)?;
        Ok(entries)
    }
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

/// `tree` without the files `paths`.
fn without(
    git: &PackWriter<'_>,
    tree: ObjectId,
    path: &mut Vec<u8>,
    paths: &BTreeSet<Vec<u8>>,
    (depth, most): (usize, u64),
) -> Result<ObjectId, BranchError> {
    if depth > DEEPEST {
        return Err(wrong("it is too deep"));
    }
    let below = |path: &[u8]| paths.range(path.to_vec()..).next().is_some_and(|next| next.starts_with(path));
    let mut kept = Vec::new();
    for (name, (mode, mut id)) in entries(git, Some(tree), most)? {
        let len = path.len();
        path.extend_from_slice(&name);
        let gone = !mode.is_tree() && paths.contains(path);
        if mode.is_tree() {
            path.push(b'/');
            if below(path) {
                id = without(git, id, path, paths, (depth + 1, most))?;
            }
        }
        path.truncate(len);
        if !gone {
            kept.push(Entry { mode, filename: name.into(), oid: id });
        }
    }
    kept.sort_unstable();
    git.tree(kept)
}

fn wrong(why: &str) -> BranchError {
    BranchError::Git { what: "read a tree", why: why.to_string() }
}
