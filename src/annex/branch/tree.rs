//! Trees of files, and content of git, by the handles of a branch; see `src/annex/git/tree.rs`.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::{Branch, whole};
use crate::annex::git::error::BranchError;
use crate::annex::git::id::object_id;
use crate::annex::git::object::{GitId, TreeFile};
use crate::annex::git::read;
use crate::annex::git::tree::{EachFile, Room, TreeChange, changes, each_file, file_of, tree_without};

impl Branch {
    /// What differs between two trees, sorted by path; all of `new` where there is no `old`. Trees that are the same are not
    /// read. About 150 bytes for each change, with the path.
    ///
    /// # Errors
    ///
    /// A tree is not there, or is no tree anybody made: deeper than 512, or with more changes than there is
    /// [`room`](Self::room) for.
    pub fn tree_changes(&self, old: Option<GitId>, new: Option<GitId>) -> Result<Vec<TreeChange>, BranchError> {
        let git = self.git();
        let id = |tree: Option<GitId>| {
            tree.filter(|tree| *tree != GitId::EMPTY_TREE).map(|tree| object_id(&git, tree)).transpose()
        };
        let (old, new) = (id(old)?, id(new)?);
        let room = self.room();
        if room == Room::SERVER && *whole(&self.too_much) == Some((old, new)) {
            return Err(self.too_much());
        }
        let changes = changes(&git, old, new, room);
        if let Err(BranchError::TooMuch(_) | BranchError::TooLong { .. }) = changes {
            *whole(&self.too_much) = Some((old, new));
            return Err(self.too_much());
        }
        changes
    }

    /// The file at `path` in the commit that `reference` is at, such as `HEAD`. `None` where there is no such commit or file.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn tree_file(&self, reference: &[u8], path: &[u8]) -> Result<Option<TreeFile>, BranchError> {
        let git = self.git();
        let commit = read::commit_at(&git, reference)?;
        commit.map_or(Ok(None), |commit| file_of(&git, commit, path, self.room()))
    }

    /// Gives each file of `tree` to `each`, by its path from the top, without holding them all.
    ///
    /// # Errors
    ///
    /// A tree is not there, or is no tree anybody made; or those of `each`.
    pub fn each_file(&self, tree: GitId, each: &mut EachFile<'_>) -> Result<(), BranchError> {
        if tree == GitId::EMPTY_TREE {
            return Ok(());
        }
        let git = self.git();
        each_file(&git, object_id(&git, tree)?, &mut Vec::new(), (0, self.room().directory), each)
    }

    /// From now on trees are worked out that differ in very much: nobody else waits for this process.
    pub fn take_all(&self) {
        self.takes_all.store(true, Ordering::Relaxed);
    }

    /// How much two trees may differ in.
    pub fn room(&self) -> Room {
        if self.takes_all.load(Ordering::Relaxed) { Room::ALONE } else { Room::SERVER }
    }

    /// Why trees are not worked out that differ in more, or are too many.
    pub fn too_much(&self) -> BranchError {
        match self.room() {
            Room::SERVER => {
                BranchError::ForHook("the tree changed in more files than a server takes in beside its work")
            }
            _ => BranchError::TooMuch("the tree holds more files than can be"),
        }
    }

    /// The length in bytes of the content `id`.
    pub fn blob_len(&self, id: GitId) -> Result<u64, BranchError> {
        let git = self.git();
        read::len(&git, object_id(&git, id)?)
    }

    /// The content `id`, held in memory.
    ///
    /// # Errors
    ///
    /// Also where it is longer than `most` bytes.
    pub fn blob(&self, id: GitId, most: u64) -> Result<Vec<u8>, BranchError> {
        let git = self.git();
        let object = object_id(&git, id)?;
        let len = read::len(&git, object)?;
        if len > most {
            return Err(BranchError::too_long(id, len));
        }
        if let Ok(content) = read::object(&git, object, most) {
            return Ok(content);
        }
        // Content is longer than logs are, and may be packed as a difference from a version that is longer still.
        read::object(&self.roomy_git(len)?, object, most)
    }

    /// A tree like `tree` without the files `paths`; directories stay although they may be empty then, as git-annex leaves
    /// them. Made where it is not there yet.
    pub fn tree_without(&self, tree: GitId, paths: &BTreeSet<Vec<u8>>) -> Result<GitId, BranchError> {
        if paths.is_empty() {
            return Ok(tree);
        }
        tree_without(&self.git(), tree, paths, self.room())
    }
}

#[cfg(test)]
mod tests;
