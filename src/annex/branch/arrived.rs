//! git-annex branches of others that came by fetch or push, and their merging.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::TreeRefIter;
use gix::objs::tree::{Entry, EntryKind};

use super::commit::Onto;
use super::error::BranchError;
use super::journal::{Which, is_component};
use super::pack::Workshop;
use super::tip::{self, Top};
use super::{Branch, CommitId};
use crate::annex::log::TRANSITIONS_LOG;
use crate::annex::log::union::union;

/// What [`Branch::merge_arrived`] did. Names are those of references, such as `refs/remotes/origin/git-annex`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MergeReport {
    /// What was merged, in the order of the parents of the commit.
    pub merged: Vec<Vec<u8>>,
    /// What was left alone, with the reason. git-annex itself can merge these.
    pub skipped: Vec<(Vec<u8>, SkipReason)>,
    /// The commit the branch is at after it, where it moved.
    pub commit: Option<CommitId>,
}

/// Why a branch that arrived is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// It was rewritten, as by `git annex forget`, and ours was not.
    Rewritten,
    /// Ours was rewritten and it was not; merging it would bring back what was forgotten.
    NotRewritten,
    /// It is no commit, or cannot be read.
    Unreadable,
}

/// A branch that arrived and is not part of ours.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) name: Vec<u8>,
    pub(super) commit: ObjectId,
    skip: Option<SkipReason>,
}

/// What is known of such branches.
#[derive(Default)]
pub(super) struct Arrivals {
    checked: Option<Instant>,
    /// Commits known to be part of ours; they stay so.
    merged: HashSet<ObjectId>,
    waiting: Arc<Vec<Arrived>>,
}

/// How long a look at the references is good for. Listing them for every reading would be slow.
const FRESH: Duration = Duration::from_secs(1);

/// Deepest tree that is merged. Real branches have three levels.
const DEEPEST: usize = 16;

impl Branch {
    /// Merges git-annex branches that came from elsewhere: all references below `refs/heads/` and `refs/remotes/` named
    /// `git-annex`. One of them that holds all others and ours is moved to; else all lines are united in one commit, as
    /// git-annex does it. Does nothing where `annex.merge-annex-branches` is false.
    ///
    /// Errors: nothing was moved.
    pub fn merge_arrived(&self) -> Result<MergeReport, BranchError> {
        let _turn = self.turn();
        let git = self.git();
        let mut report = MergeReport::default();
        if self.look(&git)?.iter().all(|arrived| arrived.skip.is_some()) {
            report.skipped = skipped(&self.look(&git)?);
            return Ok(report);
        }
        let lock = self.journal.lock()?;
        let workshop = Workshop::of(&git);
        for attempt in 1.. {
            let waiting = self.look(&git)?;
            report.skipped = skipped(&waiting);
            let new: Vec<&Arrived> = waiting.iter().filter(|arrived| arrived.skip.is_none()).collect();
            if new.is_empty() {
                break;
            }
            let at = tip::local(&git)?;
            let files = self.journal.list(usize::MAX)?;
            let forward = if files.is_empty() { fast_forward(&git, at, &new)? } else { None };
            let commit = match forward {
                Some(commit) => self.move_branch(&git, at, commit, attempt)?.then_some(commit),
                None => {
                    let mut tree = at.map(|at| tip::tree_of(&git, at)).transpose()?;
                    for arrived in &new {
                        let theirs = tip::tree_of(&git, arrived.commit)?;
                        tree = Some(tree.map_or(Ok(theirs), |ours| union_trees(&workshop, ours, theirs, 0))?);
                    }
                    let tree = self.with_journal(&workshop, tree, &files, Onto::Merged)?;
                    let parents: Vec<ObjectId> = at.into_iter().chain(new.iter().map(|new| new.commit)).collect();
                    let names: Vec<_> = new.iter().map(|new| short(&new.name).to_str_lossy().into_owned()).collect();
                    let message = format!("merging {} into git-annex", names.join(" "));
                    self.advance(&workshop, at, tree, &parents, &message, attempt)?
                }
            };
            if let Some(commit) = commit {
                self.journal.remove(&lock, files.iter().map(Vec::as_slice))?;
                self.arrivals().merged.extend(new.iter().map(|new| new.commit));
                report.merged = new.iter().map(|new| new.name.clone()).collect();
                report.commit = Some(CommitId(commit));
                break;
            }
        }
        self.arrivals().checked = None;
        Ok(report)
    }

    /// Branches whose lines count but are not part of ours yet, as of at most [`FRESH`] ago.
    pub(super) fn waiting(&self, git: &gix::Repository) -> Result<Arc<Vec<Arrived>>, BranchError> {
        let known = {
            let arrivals = self.arrivals();
            let fresh = arrivals.checked.is_some_and(|at| at.elapsed() < FRESH);
            fresh.then(|| Arc::clone(&arrivals.waiting))
        };
        known.map_or_else(|| self.look(git), Ok)
    }

    /// `log` with the lines of `file` in branches that wait to be merged.
    pub(super) fn with_waiting(
        &self,
        git: &gix::Repository,
        file: &[u8],
        mut log: Vec<u8>,
    ) -> Result<Vec<u8>, BranchError> {
        for arrived in self.waiting(git)?.iter().filter(|arrived| arrived.skip.is_none()) {
            if let Some(theirs) = Top::of_commit(git, arrived.commit)?.file(git, file)? {
                log = union(&log, &theirs);
            }
        }
        Ok(log)
    }

    /// Looks at all references again.
    fn look(&self, git: &gix::Repository) -> Result<Arc<Vec<Arrived>>, BranchError> {
        let mut waiting = Vec::new();
        let merged = self.arrivals().merged.clone();
        let mut found = Vec::new();
        if self.config.get().bool("annex.merge-annex-branches") != Some(false) {
            let at = tip::local(git)?;
            let ours = self.transitions(git, at)?;
            for (name, commit) in references(git)? {
                if merged.contains(&commit) {
                    continue;
                }
                if at.is_some_and(|at| holds(git, at, commit)) {
                    found.push(commit);
                    continue;
                }
                let skip = match theirs(git, commit) {
                    Err(_) => Some(SkipReason::Unreadable),
                    Ok(theirs) if !theirs.is_subset(&ours) => Some(SkipReason::Rewritten),
                    Ok(theirs) if theirs != ours => Some(SkipReason::NotRewritten),
                    Ok(_) => None,
                };
                waiting.push(Arrived { name, commit, skip });
            }
        }
        let waiting = Arc::new(waiting);
        let mut arrivals = self.arrivals();
        arrivals.merged.extend(found);
        arrivals.waiting = Arc::clone(&waiting);
        arrivals.checked = Some(Instant::now());
        Ok(waiting)
    }

    fn transitions(&self, git: &gix::Repository, at: Option<ObjectId>) -> Result<BTreeSet<Vec<u8>>, BranchError> {
        if let Some(log) = self.journal.read(Which::Public, TRANSITIONS_LOG)? {
            return Ok(lines(&log));
        }
        let Some(at) = at else { return Ok(BTreeSet::new()) };
        Ok(lines(&self.top(git, at)?.file(git, TRANSITIONS_LOG)?.unwrap_or_default()))
    }
}

/// All references named git-annex but ours, sorted by name.
fn references(git: &gix::Repository) -> Result<Vec<(Vec<u8>, ObjectId)>, BranchError> {
    let what = "list references";
    let platform = git.references().map_err(BranchError::git(what))?;
    let mut found = Vec::new();
    for prefix in ["refs/heads/", "refs/remotes/"] {
        for reference in platform.prefixed(prefix).map_err(BranchError::git(what))? {
            // A broken reference elsewhere must not hide the others.
            let Ok(reference) = reference else { continue };
            let name = reference.name().as_bstr();
            if name.ends_with(b"/git-annex") && name != tip::BRANCH {
                found.extend(reference.try_id().map(|id| (name.to_vec(), id.detach())));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether `commit` is part of the history of `at`. What cannot be read is no part of it.
pub(super) fn holds(git: &gix::Repository, at: ObjectId, commit: ObjectId) -> bool {
    at == commit || git.merge_base(at, commit).is_ok_and(|base| base.is_some_and(|base| base == commit))
}

fn theirs(git: &gix::Repository, commit: ObjectId) -> Result<BTreeSet<Vec<u8>>, BranchError> {
    Ok(lines(&Top::of_commit(git, commit)?.file(git, TRANSITIONS_LOG)?.unwrap_or_default()))
}

fn lines(log: &[u8]) -> BTreeSet<Vec<u8>> {
    log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The one of `new` that holds `at` and all the others.
fn fast_forward(
    git: &gix::Repository,
    at: Option<ObjectId>,
    new: &[&Arrived],
) -> Result<Option<ObjectId>, BranchError> {
    let all = || at.into_iter().chain(new.iter().map(|new| new.commit));
    Ok(new.iter().map(|new| new.commit).find(|one| all().all(|other| holds(git, *one, other))))
}

fn short(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"refs/heads/").or_else(|| name.strip_prefix(b"refs/remotes/")).unwrap_or(name)
}

fn skipped(waiting: &[Arrived]) -> Vec<(Vec<u8>, SkipReason)> {
    waiting.iter().filter_map(|arrived| Some((arrived.name.clone(), arrived.skip?))).collect()
}

/// A tree with all files of both; files in both have the lines of both. Subtrees that are the same are not read.
fn union_trees(git: &Workshop<'_>, ours: ObjectId, theirs: ObjectId, depth: usize) -> Result<ObjectId, BranchError> {
    if ours == theirs || depth > DEEPEST {
        return Ok(ours);
    }
    let mut entries: HashMap<Vec<u8>, Entry> = HashMap::new();
    for entry in TreeRefIter::from_bytes(&tip::object(git, ours)?, git.object_hash()) {
        let entry = entry.map_err(BranchError::git("read a tree"))?;
        entries.insert(entry.filename.to_vec(), entry.into());
    }
    for entry in TreeRefIter::from_bytes(&tip::object(git, theirs)?, git.object_hash()) {
        let entry = entry.map_err(BranchError::git("read a tree"))?;
        let (name, oid) = (entry.filename.to_vec(), entry.oid.to_owned());
        // Links and submodules are nothing that git-annex records.
        if !is_component(&name) || !(entry.mode.is_blob() || entry.mode.is_tree()) {
            continue;
        }
        match entries.get_mut(&name) {
            None => {
                entries.insert(name, entry.into());
            }
            Some(have) if have.mode.is_tree() && entry.mode.is_tree() => {
                have.oid = union_trees(git, have.oid, oid, depth + 1)?;
            }
            Some(have) if have.mode.is_blob() && entry.mode.is_blob() && have.oid != oid => {
                let log = union(&tip::object(git, have.oid)?, &tip::object(git, oid)?);
                have.oid = git.write_blob(&log).map_err(BranchError::git("write a log"))?.detach();
                have.mode = EntryKind::Blob.into();
            }
            Some(_) => {}
        }
    }
    git.flush_if_full()?;
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.sort_unstable();
    let tree = gix::objs::Tree { entries };
    Ok(git.write_object(&tree).map_err(BranchError::git("write a tree"))?.detach())
}
