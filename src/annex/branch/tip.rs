//! Files of the branch as they were committed: one commit, and what its trees hold.

use std::collections::HashMap;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::TreeRefIter;
use gix::objs::tree::EntryMode;

use super::Branch;
use super::error::BranchError;

/// The reference of the branch.
pub(super) const BRANCH: &str = "refs/heads/git-annex";

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

/// The top tree of `commit`.
pub(super) fn tree_of(git: &gix::Repository, commit: ObjectId) -> Result<ObjectId, BranchError> {
    let commit = git.find_commit(commit).map_err(BranchError::git("read a commit"))?;
    Ok(commit.tree_id().map_err(BranchError::git("read a commit"))?.detach())
}

impl Top {
    pub(super) fn read(git: &gix::Repository, tree: ObjectId) -> Result<Self, BranchError> {
        let tree = object(git, tree)?;
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

    /// The bytes of `file`; `None` where there is no such file.
    pub(super) fn file(&self, git: &gix::Repository, file: &[u8]) -> Result<Option<Vec<u8>>, BranchError> {
        let mut parts = file.split(|byte| *byte == b'/');
        let mut found = parts.next().and_then(|first| self.entries.get(first).copied());
        for part in parts {
            let Some(tree) = found.filter(|found| found.mode.is_tree()) else { return Ok(None) };
            found = entry(git, &object(git, tree.id)?, part)?;
        }
        found.filter(|found| found.mode.is_blob()).map(|found| object(git, found.id)).transpose()
    }
}

/// The bytes of an object that is a log or a tree. Errors: also where it is not there, since its name was found.
pub(super) fn object(git: &gix::Repository, id: ObjectId) -> Result<Vec<u8>, BranchError> {
    let len = git.find_header(id).map_err(BranchError::git("find an object"))?.size();
    if len > Branch::LONGEST_LOG {
        return Err(BranchError::TooLong { what: id.to_string(), len });
    }
    let mut object = git.find_object(id).map_err(BranchError::git("read an object"))?;
    Ok(std::mem::take(&mut object.data))
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
