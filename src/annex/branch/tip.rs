//! Files of the branch as committed: one commit, and what its trees hold.

use std::collections::HashMap;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryMode;

use crate::annex::git::error::BranchError;
use crate::annex::git::read::{object, tree_of};
use crate::annex::log::Limit;

/// The reference of the branch.
pub(super) const BRANCH: &str = "refs/heads/git-annex";

/// Longest directory of the branch that is read, in bytes: some 200,000 files, where git-annex makes at most 4096 directories.
pub(super) const LONGEST_TREE: u64 = 8 << 20;

/// The top tree of the branch, read. A branch of a million keys has 4096 entries here, too many to look through each time.
pub(super) struct Top {
    entries: HashMap<Box<[u8]>, Found>,
}

/// An entry of a tree.
#[derive(Clone, Copy)]
struct Found {
    id: ObjectId,
    mode: EntryMode,
}

/// The commit the branch is at.
pub(super) fn local(git: &gix::Repository) -> Result<Option<ObjectId>, BranchError> {
    let what = "read refs/heads/git-annex";
    let Some(reference) = git.try_find_reference(BRANCH).map_err(BranchError::git(what))? else { return Ok(None) };
    match reference.try_id() {
        Some(id) => Ok(Some(id.detach())),
        None => Err(BranchError::Git { what, why: "it names another reference".to_string() }),
    }
}

impl Top {
    pub(super) fn read(git: &gix::Repository, tree: ObjectId) -> Result<Self, BranchError> {
        let tree = object(git, tree, LONGEST_TREE)?;
        let mut entries = HashMap::new();
        for entry in TreeRefIter::from_bytes(&tree, git.object_hash()) {
            let entry = entry.map_err(BranchError::git("read a tree"))?;
            let found = Found { id: entry.oid.to_owned(), mode: entry.mode };
            entries.insert(Box::from(entry.filename.as_bytes()), found);
        }
        Ok(Self { entries })
    }

    /// The top tree of `commit`.
    pub(super) fn of_commit(git: &gix::Repository, commit: ObjectId) -> Result<Self, BranchError> {
        Self::read(git, tree_of(git, commit)?)
    }

    /// The bytes of `file`; `None` where there is no such file. Errors: also where it is longer than a log may be.
    pub(super) fn file(&self, git: &gix::Repository, file: &[u8]) -> Result<Option<Vec<u8>>, BranchError> {
        let first = file.split(|byte| *byte == b'/').next().unwrap_or_default();
        let rest = file.get(first.len() + 1..).unwrap_or_default();
        below(git, self.entries.get(first).copied(), rest, file)
    }
}

/// The bytes of `file` in `commit`, for a single look: nothing is kept of its trees. As [`Top::file`].
pub(super) fn file_in(git: &gix::Repository, commit: ObjectId, file: &[u8]) -> Result<Option<Vec<u8>>, BranchError> {
    let first = file.split(|byte| *byte == b'/').next().unwrap_or_default();
    let rest = file.get(first.len() + 1..).unwrap_or_default();
    let top = object(git, tree_of(git, commit)?, LONGEST_TREE)?;
    below(git, entry(git, &top, first)?, rest, file)
}

/// The bytes of `file`, which is `rest` below what was `found` of it.
fn below(
    git: &gix::Repository,
    mut found: Option<Found>,
    rest: &[u8],
    file: &[u8],
) -> Result<Option<Vec<u8>>, BranchError> {
    for part in rest.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        let Some(tree) = found.filter(|found| found.mode.is_tree()) else { return Ok(None) };
        found = entry(git, &object(git, tree.id, LONGEST_TREE)?, part)?;
    }
    let Some(found) = found.filter(|found| found.mode.is_blob()) else { return Ok(None) };
    let limit = Limit::of(file);
    let log = object(git, found.id, limit.bytes)?;
    if limit.allows(&log) { Ok(Some(log)) } else { Err(BranchError::too_long(file.escape_ascii(), log.len() as u64)) }
}

fn entry(git: &gix::Repository, tree: &[u8], name: &[u8]) -> Result<Option<Found>, BranchError> {
    for entry in TreeRefIter::from_bytes(tree, git.object_hash()) {
        let entry = entry.map_err(BranchError::git("read a tree"))?;
        if entry.filename.as_bytes() == name {
            return Ok(Some(Found { id: entry.oid.to_owned(), mode: entry.mode }));
        }
    }
    Ok(None)
}
