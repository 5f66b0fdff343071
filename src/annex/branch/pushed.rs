//! Taking in a git-annex branch that was pushed by somebody who may only add to ours.
//!
//! Merging trusts history: a branch that holds ours may be moved to, whatever it left out on the way. Here nothing is left out: all
//! lines of ours stay, and those that were pushed are added, as git-annex unites two branches that parted.

use gix::ObjectId;

use super::ancestry::{MOST_COMMITS, holds};
use super::arrived::{Judged, SkipReason};
use super::commit::{MOST_FILES, Onto};
use super::unite::Unite;
use super::{Branch, GitId, tip};
use crate::annex::git::error::BranchError;
use crate::annex::git::id::object_id;
use crate::annex::git::pack::PackWriter;
use crate::annex::git::read;

/// What became of a branch that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Its lines are part of ours, but for those of so many files that would be too large.
    United {
        /// Files that stay as they are in ours.
        left: usize,
    },
    /// It is left alone.
    Skipped(SkipReason),
}

/// How often it is tried while others move the branch.
const TRIES: usize = 5;

impl Branch {
    /// Adds the lines of the commit `new` to ours, and makes it part of its history.
    ///
    /// # Errors
    ///
    /// Nothing was moved.
    pub fn add_pushed(&self, new: GitId) -> Result<Added, BranchError> {
        let git = self.git();
        let commit = object_id(&git, new)?;
        let packer = PackWriter::of(&git);
        let stop = || false;
        let mut unite = Unite::new(&packer, &stop);
        for attempt in 1.. {
            let at = tip::local(&git)?;
            if let Some(at) = at
                && holds(&git, at, commit, &mut MOST_COMMITS.clone(), &stop)? == Some(true)
            {
                return Ok(Added::United { left: 0 });
            }
            let judged = Judged::of(&git, commit);
            if let Some(why) = judged.skip(&self.transitions(&git, at)?, &self.tunings()) {
                return Ok(Added::Skipped(why));
            }
            let theirs = read::tree_of(&git, commit)?;
            let ours = at.map(|at| read::tree_of(&git, at)).transpose()?;
            let tree = match ours {
                Some(ours) => unite.trees(ours, theirs)?,
                None if unite.is_fit(None, theirs)? => theirs,
                None => return Ok(Added::Skipped(SkipReason::TooLarge)),
            };
            packer.flush()?;
            let (_writing, lock) = self.alone()?;
            if tip::local(&git)? != at && attempt < TRIES {
                continue;
            }
            let files = self.journal.list(MOST_FILES, &[])?;
            let laid = self.with_journal(&packer, Some(tree), files, Onto::Merged)?;
            let moved_on = at.map_or(Ok(Some(true)), |at| holds(&git, commit, at, &mut MOST_COMMITS.clone(), &stop))?;
            let next = if laid.tree == theirs && moved_on == Some(true) {
                commit
            } else {
                let parents: Vec<ObjectId> = at.into_iter().chain([commit]).collect();
                self.commit_tree(&packer, laid.tree, &parents, "merging a push into git-annex")?
            };
            packer.flush()?;
            if self.move_branch(&git, &lock, at, next, attempt)? {
                self.journal.remove(&lock, laid.files.iter().map(Vec::as_slice))?;
                self.arrivals().know_merged([commit]);
                let left = unite.left();
                if left.count > 0 {
                    tracing::warn!(
                        "not all of the git-annex branch was taken: too large to be united with ours: {left}"
                    );
                }
                return Ok(Added::United { left: left.count });
            }
        }
        Err(BranchError::Busy)
    }
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rewritten => "it was rewritten (git annex forget), and that of the server was not",
            Self::NotRewritten => "that of the server was rewritten (git annex forget), and it was not",
            Self::Unreadable => "it cannot be read",
            Self::TooLarge => "there is more in it than can be recorded",
            Self::TunedOtherwise => "its repositories have other annex.tune settings",
        })
    }
}
