//! Which commit of a branch of files counts: its own, or the one that was sent beside it.
//!
//! `git annex push` and `git annex sync` do not touch a branch that may be checked out on the other side: they push to
//! `synced/BRANCH`, and git-annex there is to merge it. Until it does, what was pushed is seen there only.

use gix::ObjectId;

use super::ancestry::{MOST_COMMITS, holds};
use super::{Branch, GitId};
use crate::annex::git::error::BranchError;
use crate::annex::git::read::commit_at;
use crate::annex::git::tree::below_of;

/// What a branch and its synced branch are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FollowedTree {
    /// The tree of the newer of the two, where one holds the other; else that of the branch. `None` where neither is there, or
    /// not the directory that was asked for.
    pub tree: Option<GitId>,
    /// Neither holds the other: somebody has to merge them.
    pub has_diverged: bool,
}

/// Two commits, and which of them counts.
pub(super) type Newer = ((ObjectId, ObjectId), Option<ObjectId>);

impl Branch {
    /// The tree that `reference`, such as `refs/heads/main`, is at, or `synced` beside it, whichever is newer; below the path
    /// `below` in it, unless that is empty.
    ///
    /// # Errors
    /// It could not be read.
    pub fn followed_tree(
        &self,
        reference: &[u8],
        synced: Option<&[u8]>,
        below: &[u8],
    ) -> Result<FollowedTree, BranchError> {
        let git = self.git();
        let own = commit_at(&git, reference)?;
        let synced = synced.map_or(Ok(None), |synced| commit_at(&git, synced))?;
        let (commit, has_diverged) = match (own, synced) {
            (Some(own), Some(synced)) => match self.newer(&git, own, synced) {
                Some(newer) => (Some(newer), false),
                None => (Some(own), true),
            },
            (own, synced) => (own.or(synced), false),
        };
        let tree = commit.map_or(Ok(None), |commit| below_of(&git, commit, below, self.room()))?;
        Ok(FollowedTree { tree, has_diverged })
    }

    /// Which of two commits holds the other. The last answer is kept, since a long history is slow to walk.
    fn newer(&self, git: &gix::Repository, own: ObjectId, synced: ObjectId) -> Option<ObjectId> {
        let asked = (own, synced);
        let known = *super::whole(&self.newer);
        if let Some((_, answer)) = known.filter(|(pair, _)| *pair == asked) {
            return answer;
        }
        let holds = |at, commit| matches!(holds(git, at, commit, &mut MOST_COMMITS.clone(), &|| false), Ok(Some(true)));
        let answer = if holds(own, synced) { Some(own) } else { holds(synced, own).then_some(synced) };
        *super::whole(&self.newer) = Some((asked, answer));
        answer
    }
}
