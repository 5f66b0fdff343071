//! git-annex branches of others that arrived by fetch or push: which there are, and what they hold.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gix::ObjectId;
use gix::bstr::ByteSlice;

use super::Branch;
use super::ancestry::{MOST_COMMITS, holds};
use super::tip;
use crate::annex::git::error::BranchError;
use crate::annex::log::union::union;
use crate::annex::log::{DIFFERENCE_LOG, Limit, TRANSITIONS_LOG, Tunings};

/// Why a branch that arrived is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// It was rewritten, as by `git annex forget`, and ours was not.
    Rewritten,
    /// Ours was rewritten and it was not; merging it would bring back what was forgotten.
    NotRewritten,
    /// It is no commit, or cannot be read.
    Unreadable,
    /// There is more in it than anybody could have recorded.
    TooLarge,
    /// Its repositories are tuned otherwise than ours, so it tells of keys where nobody here looks.
    TunedOtherwise,
}

/// A branch that arrived and is not part of ours.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) name: Vec<u8>,
    pub(super) commit: ObjectId,
    pub(super) skip: Option<SkipReason>,
}

/// What is known of such branches.
#[derive(Default)]
pub(super) struct Arrivals {
    /// When the references were listed last, and how long that took.
    checked: Option<(Instant, Duration)>,
    /// Commits known to be part of ours; they stay so.
    pub(super) merged: HashSet<ObjectId>,
    /// Commits known to be no part of one that ours was at.
    apart: Option<(ObjectId, HashSet<ObjectId>)>,
    judged: HashMap<ObjectId, Judged>,
    waiting: Arc<Vec<Arrived>>,
}

/// What a commit was found to be.
#[derive(Clone)]
pub(super) struct Judged {
    transitions: Arc<BTreeSet<Vec<u8>>>,
    tunings: Arc<Tunings>,
    /// Why it is not merged, and until when that is not tried again.
    refused: Option<(SkipReason, Instant)>,
    /// That it is left alone was told.
    is_told: bool,
}

/// How long a look at the references is good for. Listing them for every reading would be slow.
const FRESH: Duration = Duration::from_secs(1);

/// Where there are so many references that listing them takes long, it is done in this part of the time.
const SHARE: u32 = 10;

/// Most branches that are merged at once. Until they are, each costs every reading a look into it; further ones come next.
pub(super) const MOST_WAITING: usize = 16;

/// Most commits that something is remembered of. A pusher may make any number.
const MOST_KNOWN: usize = 100_000;

/// How long a branch is left alone that could not be read.
const UNREADABLE: Duration = Duration::from_secs(60);

/// How long one is left alone that is too large.
const TOO_LARGE: Duration = Duration::from_secs(3600);

impl Branch {
    /// Branches whose lines count but are not part of ours yet, as of a moment ago.
    pub(super) fn waiting(&self, git: &gix::Repository) -> Result<Arc<Vec<Arrived>>, BranchError> {
        let known = {
            let arrivals = self.arrivals();
            let fresh = arrivals.checked.is_some_and(|(at, took)| at.elapsed() < FRESH.max(took * SHARE));
            fresh.then(|| Arc::clone(&arrivals.waiting))
        };
        known.map_or_else(|| self.look(git), Ok)
    }

    /// Whether [`merge_arrived`](Self::merge_arrived) has something to do.
    pub fn has_arrivals(&self) -> Result<bool, BranchError> {
        Ok(self.look(&self.git())?.iter().any(|arrived| arrived.skip.is_none()))
    }

    /// `log` with the lines of `file` in branches that wait to be merged. As when they are merged, what is too long to be read
    /// there changes nothing where there is a log here; where there is none, nobody can tell.
    pub(super) fn with_waiting(
        &self,
        git: &gix::Repository,
        file: &[u8],
        mut log: Vec<u8>,
    ) -> Result<Vec<u8>, BranchError> {
        for arrived in self.waiting(git)?.iter().filter(|arrived| arrived.skip.is_none()) {
            let limit = Limit::of(file);
            match tip::file_in(git, arrived.commit, file) {
                Ok(Some(theirs)) => {
                    let both = union(&log, &theirs);
                    if limit.allows(&both) {
                        log = both;
                    }
                }
                Ok(None) => {}
                Err(BranchError::TooLong { .. }) if !log.is_empty() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(log)
    }

    /// Looks at all references again.
    pub(super) fn look(&self, git: &gix::Repository) -> Result<Arc<Vec<Arrived>>, BranchError> {
        let start = Instant::now();
        let mut waiting: Vec<Arrived> = Vec::new();
        if self.config.get().bool("annex.merge-annex-branches") != Some(false) {
            let at = tip::local(git)?;
            let (ours, tuned) = (self.transitions(git, at)?, self.tunings());
            let (mut most, mut mergeable) = (MOST_COMMITS, 0);
            for (name, commit) in references(git)? {
                if mergeable >= MOST_WAITING || waiting.len() >= MOST_KNOWN {
                    break;
                }
                if self.arrivals().merged.contains(&commit) {
                    continue;
                }
                match self.is_part(git, at, commit, &mut most)? {
                    Some(true) => {
                        self.arrivals().know_merged([commit]);
                        continue;
                    }
                    Some(false) => {}
                    // The next look comes to it.
                    None => continue,
                }
                let judged = self.arrivals().judged.get(&commit).filter(|judged| judged.is_valid()).cloned();
                let judged = judged.unwrap_or_else(|| Judged::of(git, commit));
                let skip = judged.skip(&ours, &tuned);
                mergeable += usize::from(skip.is_none());
                waiting.push(Arrived { name, commit, skip });
                self.arrivals().judge(commit, judged);
            }
        }
        for arrived in &waiting {
            self.tell(arrived);
        }
        let waiting = Arc::new(waiting);
        let mut arrivals = self.arrivals();
        arrivals.waiting = Arc::clone(&waiting);
        arrivals.checked = Some((Instant::now(), start.elapsed()));
        Ok(waiting)
    }

    /// Whether `commit` is part of what ours is at. `None` where too much was looked at to tell.
    fn is_part(
        &self,
        git: &gix::Repository,
        at: Option<ObjectId>,
        commit: ObjectId,
        most: &mut usize,
    ) -> Result<Option<bool>, BranchError> {
        let Some(at) = at else { return Ok(Some(false)) };
        if self.arrivals().is_apart(at, commit) {
            return Ok(Some(false));
        }
        let is_part = holds(git, at, commit, most, &|| false)?;
        if is_part == Some(false) {
            self.arrivals().know_apart(at, commit);
        }
        Ok(is_part)
    }

    /// Leaves a branch alone from now on.
    pub(super) fn refuse(&self, commit: ObjectId, why: SkipReason) {
        let mut arrivals = self.arrivals();
        let mut judged = arrivals.judged.get(&commit).cloned().unwrap_or_else(|| Judged::refused(why));
        judged.refuse(why);
        arrivals.judge(commit, judged);
    }

    /// Says once that a branch is left alone, and what to do about it.
    fn tell(&self, arrived: &Arrived) {
        let Some(why) = arrived.skip else { return };
        let mut arrivals = self.arrivals();
        let Some(judged) = arrivals.judged.get_mut(&arrived.commit).filter(|judged| !judged.is_told) else { return };
        judged.is_told = true;
        let theirs = Arc::clone(&judged.tunings);
        drop(arrivals);
        let (name, commit) = (arrived.name.as_bstr(), arrived.commit);
        let tuned;
        let (words, advice) = match why {
            SkipReason::Rewritten => {
                ("it was rewritten, as by git annex forget", "git annex sync here does the same to ours")
            }
            SkipReason::NotRewritten => (
                "ours was rewritten, as by git annex forget, and it was not",
                "git annex sync in the clone it came from",
            ),
            SkipReason::Unreadable => ("it cannot be read", "git fsck here tells why"),
            SkipReason::TooLarge => {
                ("there is more in it than anybody could have recorded", "find out who pushed it, and delete it")
            }
            SkipReason::TunedOtherwise => {
                tuned = format!("its repositories have {theirs}, and this one has {}, for good", self.tunings());
                (
                    tuned.as_str(),
                    "make the clone it came from anew from this repository; or this one anew, with the same settings in git \
                     config before anything is in it",
                )
            }
        };
        tracing::warn!(annex = %self.journal.annex_dir().display(), "{name} ({commit}) is not merged: {words}; {advice}");
    }

    pub(super) fn transitions(
        &self,
        git: &gix::Repository,
        at: Option<ObjectId>,
    ) -> Result<BTreeSet<Vec<u8>>, BranchError> {
        Ok(lines(&self.own(git, at, TRANSITIONS_LOG)?))
    }
}

impl Arrivals {
    /// The next look lists the references again.
    pub(super) fn forget(&mut self) {
        self.checked = None;
    }

    pub(super) fn know_merged(&mut self, commits: impl IntoIterator<Item = ObjectId>) {
        if self.merged.len() >= MOST_KNOWN {
            self.merged.clear();
        }
        for commit in commits {
            self.judged.remove(&commit);
            self.merged.insert(commit);
        }
    }

    fn is_apart(&self, at: ObjectId, commit: ObjectId) -> bool {
        self.apart.as_ref().is_some_and(|(of, apart)| *of == at && apart.contains(&commit))
    }

    fn know_apart(&mut self, at: ObjectId, commit: ObjectId) {
        match &mut self.apart {
            Some((of, apart)) if *of == at && apart.len() < MOST_KNOWN => drop(apart.insert(commit)),
            apart => *apart = Some((at, HashSet::from([commit]))),
        }
    }

    /// Ours was at `at`, and is at `commit` now, whose only parent that is: nothing else became part of it.
    pub(super) fn moved_on(&mut self, at: Option<ObjectId>, commit: ObjectId) {
        if let Some((of, _)) = self.apart.as_mut().filter(|(of, _)| Some(*of) == at) {
            *of = commit;
        }
    }

    fn judge(&mut self, commit: ObjectId, judged: Judged) {
        if self.judged.len() >= MOST_KNOWN {
            self.judged.clear();
        }
        self.judged.insert(commit, judged);
    }
}

impl Judged {
    pub(super) fn of(git: &gix::Repository, commit: ObjectId) -> Self {
        let read = |file| Ok(tip::file_in(git, commit, file)?.unwrap_or_default());
        match read(TRANSITIONS_LOG).and_then(|log| Ok((lines(&log), Tunings::parse(&read(DIFFERENCE_LOG)?)))) {
            Ok((transitions, tunings)) => {
                Self { transitions: Arc::new(transitions), tunings: Arc::new(tunings), refused: None, is_told: false }
            }
            Err(BranchError::TooLong { .. }) => Self::refused(SkipReason::TooLarge),
            Err(_) => Self::refused(SkipReason::Unreadable),
        }
    }

    fn refused(why: SkipReason) -> Self {
        let mut judged = Self { transitions: Arc::default(), tunings: Arc::default(), refused: None, is_told: false };
        judged.refuse(why);
        judged
    }

    fn refuse(&mut self, why: SkipReason) {
        let pause = if why == SkipReason::Unreadable { UNREADABLE } else { TOO_LARGE };
        self.refused = Some((why, Instant::now() + pause));
    }

    fn is_valid(&self) -> bool {
        self.refused.is_none_or(|(_, until)| Instant::now() < until)
    }

    pub(super) fn skip(&self, ours: &BTreeSet<Vec<u8>>, tuned: &Tunings) -> Option<SkipReason> {
        if let Some((why, _)) = self.refused {
            return Some(why);
        }
        // git-annex asks this of a branch before all else, and merges nothing then.
        if *self.tunings != *tuned {
            Some(SkipReason::TunedOtherwise)
        } else if !self.transitions.is_subset(ours) {
            Some(SkipReason::Rewritten)
        } else if *self.transitions != *ours {
            Some(SkipReason::NotRewritten)
        } else {
            None
        }
    }
}

/// All references named git-annex but ours, sorted by name.
pub(super) fn references(git: &gix::Repository) -> Result<Vec<(Vec<u8>, ObjectId)>, BranchError> {
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

fn lines(log: &[u8]) -> BTreeSet<Vec<u8>> {
    log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}
