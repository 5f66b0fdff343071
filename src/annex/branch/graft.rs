//! Keeping exported trees from git's garbage collection.
//!
//! A tree that only a log names would be collected, so the history of the branch names it: one commit with the tree in it
//! and one without it, of which no reference ever saw the first alone. Source: `internals`, export.log, and recorded.

use gix::ObjectId;
use gix::objs::tree::EntryKind;

use super::tip;
use super::{Branch, CommitId, GitId};
use crate::annex::git::error::BranchError;
use crate::annex::git::id::object_id;
use crate::annex::git::pack::PackWriter;
use crate::annex::git::read;

/// Where the tree lies in the first of the two commits.
const PLACE: &str = "export.tree";

impl Branch {
    /// Makes `tree` part of the history of the branch, which afterwards holds the same files as before.
    ///
    /// Waits for git-annex's lock, two minutes at most.
    ///
    /// # Errors
    ///
    /// The branch is as it was.
    pub fn graft(&self, tree: GitId) -> Result<CommitId, BranchError> {
        let _writing = self.writing();
        let lock = self.journal.lock()?;
        let git = self.git();
        let packer = PackWriter::of(&git);
        for attempt in 1.. {
            let at = tip::local(&git)?;
            let plain = match at {
                Some(at) => read::tree_of(&git, at)?,
                None => {
                    packer.write_object(gix::objs::Tree::empty()).map_err(BranchError::git("write a tree"))?.detach()
                }
            };
            let mut editor = packer.edit_tree(plain).map_err(BranchError::git("edit a tree"))?;
            editor.upsert(PLACE, EntryKind::Tree, object_id(&git, tree)?).map_err(BranchError::git("edit a tree"))?;
            let with = editor.write().map_err(BranchError::git("write a tree"))?.detach();
            let parents: Vec<ObjectId> = at.into_iter().collect();
            let first = self.write_commit(&packer, with, &parents, b"graft".to_vec())?;
            let second = self.write_commit(&packer, plain, &[first], b"graft cleanup".to_vec())?;
            packer.flush()?;
            if self.move_branch(&packer, &lock, at, second, attempt)? {
                return Ok(CommitId(second));
            }
        }
        Err(BranchError::Busy)
    }
}
