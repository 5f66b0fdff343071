//! Merging git-annex branches that came from elsewhere.
//!
//! What is merged was made by others, and may be as large as they like. So the work is done while nobody waits for it: the
//! trees are made one beside the branch, and only the move to the result is made under git-annex's lock.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, TryLockError};

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::ancestry::{MOST_COMMITS, holds};
use super::arrived::{Arrived, SkipReason};
use super::commit::{MOST_FILES, Onto};
use super::journal::JournalLock;
use super::unite::Unite;
use super::{Branch, CommitId, tip};
use crate::annex::git::error::BranchError;
use crate::annex::git::pack::PackWriter;
use crate::annex::git::read;

/// What [`Branch::merge_arrived`] did. Names are those of references, such as `refs/remotes/origin/git-annex`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MergeReport {
    /// What was merged, in the order of the parents of the commit.
    pub merged: Vec<Vec<u8>>,
    /// What was left alone, with the reason. Each is told once as a warning, too.
    pub skipped: Vec<(Vec<u8>, SkipReason)>,
    /// Files of merged branches that were too large to be united with ours, which stayed as they were.
    pub left: usize,
    /// The commit the branch is at after it, where it moved.
    pub commit: Option<CommitId>,
}

/// How often it is tried to make a commit of what the branch is at, while others move it.
const TRIES: usize = 5;

/// From this try on they are kept from it, as far as they mind git-annex's lock. Little is left to be done by then.
const ALONE: usize = 3;

/// What the branch shall be, made of what it was at `at`.
struct United<'a> {
    tree: Option<ObjectId>,
    merged: Vec<&'a Arrived>,
    /// It need only be moved there.
    forward: Option<ObjectId>,
}

impl Branch {
    /// Merges git-annex branches that came from elsewhere: all references below `refs/heads/` and `refs/remotes/` named
    /// `git-annex`. One of them that holds all others and ours is moved to; else all lines are united in one commit, as
    /// git-annex does it. Does nothing where `annex.merge-annex-branches` is false, where another thread merges, and once
    /// [`stop_merging`](Self::stop_merging) was called.
    ///
    /// Takes as long as much has arrived, at most the time for some 50 million files, and nobody else waits for it. A branch
    /// that cannot be merged is left alone, and so is a file that is too large, which stays as it is in ours.
    ///
    /// # Errors
    ///
    /// Nothing was moved.
    pub fn merge_arrived(&self) -> Result<MergeReport, BranchError> {
        let _alone = match self.merging.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(MergeReport::default()),
        };
        let begun = self.stops.load(Ordering::Relaxed);
        let stop = || self.stops.load(Ordering::Relaxed) != begun;
        let mut report = MergeReport::default();
        let merged = self.try_merge(&mut report, &stop);
        self.arrivals().forget();
        match merged {
            Ok(()) | Err(BranchError::Stopped) => Ok(report),
            Err(e) => Err(e),
        }
    }

    /// Whether a merge is under way.
    pub fn is_merging(&self) -> bool {
        matches!(self.merging.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Ends merges that are under way, shortly and without a commit: what arrived is merged another time.
    pub fn stop_merging(&self) {
        self.stops.fetch_add(1, Ordering::Relaxed);
    }

    fn try_merge(&self, report: &mut MergeReport, stop: &dyn Fn() -> bool) -> Result<(), BranchError> {
        let git = self.git();
        let packer = PackWriter::of(&git);
        let mut unite = Unite::new(&packer, stop);
        for attempt in 1.. {
            let waiting = self.look(&git)?;
            report.skipped = skipped(&waiting);
            let new: Vec<&Arrived> = waiting.iter().filter(|arrived| arrived.skip.is_none()).collect();
            if new.is_empty() {
                return Ok(());
            }
            let early = (attempt >= ALONE).then(|| self.alone()).transpose()?;
            let at = tip::local(&git)?;
            let United { tree, merged, forward } = self.unite(&packer, &mut unite, at, new, stop)?;
            packer.flush()?;
            let (_writing, lock) = early.map_or_else(|| self.alone(), Ok)?;
            if stop() {
                return Err(BranchError::Stopped);
            }
            if tip::local(&git)? != at && attempt < TRIES || merged.is_empty() {
                continue;
            }
            let files = self.journal.list(MOST_FILES, &[])?;
            let (commit, files) = match forward {
                Some(commit) if files.is_empty() => {
                    (self.move_branch(&git, &lock, at, commit, attempt)?.then_some(commit), files)
                }
                // What the journal got meanwhile is to be united with it.
                Some(_) if attempt < ALONE => continue,
                _ => {
                    let laid = self.with_journal(&packer, tree, files, Onto::Merged)?;
                    let parents: Vec<ObjectId> = at.into_iter().chain(merged.iter().map(|new| new.commit)).collect();
                    let names: Vec<_> = merged.iter().map(|new| short(&new.name).to_str_lossy().into_owned()).collect();
                    let message = format!("merging {} into git-annex", names.join(" "));
                    let commit = self.commit_tree(&packer, laid.tree, &parents, &message)?;
                    (self.move_branch(&git, &lock, at, commit, attempt)?.then_some(commit), laid.files)
                }
            };
            if let Some(commit) = commit {
                self.journal.remove(&lock, files.iter().map(Vec::as_slice))?;
                self.arrivals().know_merged(merged.iter().map(|new| new.commit));
                report.merged = merged.iter().map(|new| new.name.clone()).collect();
                report.skipped = skipped(&self.look(&git)?);
                report.left = self.tell_large(&mut unite, &report.merged);
                report.commit = Some(CommitId(commit));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes one tree of what the branch is at and of all of `new` that can be taken; leaves the others alone from now on.
    fn unite<'b>(
        &self,
        git: &gix::Repository,
        unite: &mut Unite<'_>,
        at: Option<ObjectId>,
        new: Vec<&'b Arrived>,
        stop: &dyn Fn() -> bool,
    ) -> Result<United<'b>, BranchError> {
        let ours = at.map(|at| read::tree_of(git, at)).transpose()?;
        if self.journal.list(1, &[])?.is_empty()
            && let Some(commit) = fast_forward(git, at, &new, &mut MOST_COMMITS.clone(), stop)?
        {
            let theirs = read::tree_of(git, commit)?;
            match unite.is_fit(ours, theirs) {
                Ok(true) => return Ok(United { tree: Some(theirs), merged: new, forward: Some(commit) }),
                Err(BranchError::Stopped) => return Err(BranchError::Stopped),
                // It is united with ours then, as far as it can be.
                Ok(false) | Err(_) => {}
            }
        }
        let (mut tree, mut merged) = (ours, Vec::new());
        for arrived in new {
            let theirs = read::tree_of(git, arrived.commit);
            let united = theirs.and_then(|theirs| match tree {
                Some(ours) => unite.trees(ours, theirs),
                None => match unite.is_fit(None, theirs)? {
                    true => Ok(theirs),
                    false => Err(BranchError::TooMuch("the top directory is too long")),
                },
            });
            match united {
                Ok(united) => {
                    tree = Some(united);
                    merged.push(arrived);
                }
                Err(BranchError::Stopped) => return Err(BranchError::Stopped),
                Err(e) => {
                    tracing::warn!("{} ({}) cannot be merged: {e}", arrived.name.as_bstr(), arrived.commit);
                    let too_large = matches!(e, BranchError::TooMuch(_) | BranchError::TooLong { .. });
                    let why = if too_large { SkipReason::TooLarge } else { SkipReason::Unreadable };
                    self.refuse(arrived.commit, why);
                }
            }
        }
        Ok(United { tree, merged, forward: None })
    }

    pub(super) fn alone(&self) -> Result<(MutexGuard<'_, ()>, JournalLock), BranchError> {
        Ok((self.writing(), self.journal.lock()?))
    }

    fn tell_large(&self, unite: &mut Unite<'_>, merged: &[Vec<u8>]) -> usize {
        let left = unite.left();
        if left.count > 0 {
            let names: Vec<_> = merged.iter().map(|name| name.to_str_lossy().into_owned()).collect();
            tracing::warn!(
                annex = %self.journal.annex_dir().display(),
                "{} merged, but not all of it: too large to be united with ours, which stay as they are: {left}; see \"Logs that \
                 are too long\" in docs/server.md",
                names.join(", ")
            );
        }
        left.count
    }
}

/// The one of `new` that holds `at` and all the others, as far as `most` commits tell, which is for all pairs of them together: long
/// histories that have nothing to do with each other would be walked once a pair, and others may wait for the lock meanwhile.
pub(super) fn fast_forward(
    git: &gix::Repository,
    at: Option<ObjectId>,
    new: &[&Arrived],
    most: &mut usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<ObjectId>, BranchError> {
    'candidates: for one in new {
        for other in at.into_iter().chain(new.iter().map(|new| new.commit)) {
            if holds(git, one.commit, other, most, stop)? != Some(true) {
                continue 'candidates;
            }
        }
        return Ok(Some(one.commit));
    }
    Ok(None)
}

fn short(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/remotes/")).unwrap_or(name)
}

fn skipped(waiting: &[Arrived]) -> Vec<(Vec<u8>, SkipReason)> {
    waiting.iter().filter_map(|arrived| Some((arrived.name.clone(), arrived.skip?))).collect()
}
