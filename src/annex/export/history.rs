//! Earlier exports to a remote, by whom, and how far they came: from export.log, the mark, and the database.

use std::collections::BTreeSet;

use super::db::ExportDb;
use super::error::WorkError;
use super::record;
use crate::annex::branch::GitId;
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// The exports that may have left something on the remote.
pub(super) struct History {
    /// The tree that the remote holds, as far as is recorded.
    pub(super) known: GitId,
    /// The tree that the database says its keys are of.
    pub(super) noted: Option<GitId>,
    /// All trees that were exported, or begun.
    pub(super) over: BTreeSet<GitId>,
    /// Those that were begun and have not ended, by anybody.
    incomplete: BTreeSet<GitId>,
    /// Those of them that were begun here.
    own_incomplete: Vec<GitId>,
    /// How many trees are recorded to have been exported.
    recorded: usize,
    /// Trees that others elsewhere exported, for sure.
    pub(super) others: BTreeSet<GitId>,
    /// Trees of which nothing that is noted here tells.
    pub(super) foreign: BTreeSet<GitId>,
    is_marked: bool,
    /// What was put where nothing is noted came from the export of this tree, which was begun last: all was noted before that one,
    /// and the database was not lost since.
    pub(super) sure: Option<GitId>,
    /// Somebody else exported what the remote holds, and said so in our line too; or git-annex was killed when it had just done
    /// so here.
    pub(super) is_old: bool,
}

impl History {
    pub(super) fn of(repository: &Repository, db: &ExportDb, remote: &Uuid) -> Result<Self, WorkError> {
        let log = record::exports(repository)?;
        let marked = record::marked(repository, remote).map_err(WorkError::Mark)?;
        let own = log.exported(repository.uuid(), remote);
        let last = own.map(|own| *own.incomplete.first().unwrap_or(&own.tree));
        let known = log.held(repository.uuid(), remote);
        let noted = db.tree()?;
        let is_sure = |marked: &GitId| Some(*marked) == last && *marked != GitId::EMPTY_TREE && noted.is_some();
        let sure = marked.filter(is_sure);
        let mut others = log.of_others(repository.uuid(), remote);
        others.remove(&known);
        // An export by git-annex that was cut here has told the database of its tree already.
        let is_own = own.is_some_and(|own| noted.is_some_and(|noted| own.incomplete.contains(&noted)));
        let is_told = noted == Some(known);
        let mut foreign = others.clone();
        if !is_told && sure.is_none() {
            foreign.extend(noted.into_iter().chain([known]));
        }
        let (mut over, incomplete) = (log.trees(remote), log.incomplete(remote));
        let recorded = over.len();
        over.extend(&incomplete);
        Ok(Self {
            known,
            noted,
            over,
            incomplete,
            own_incomplete: own.map(|own| own.incomplete.clone()).unwrap_or_default(),
            recorded,
            others,
            foreign,
            is_marked: marked.is_some(),
            sure,
            is_old: !is_told && sure.is_none() && !is_own,
        })
    }

    /// Whether the database tells the keys of what the remote holds.
    pub(super) fn is_told(&self) -> bool {
        self.noted == Some(self.known)
    }

    /// The database tells of a tree that is older than what the remote holds, or newer.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_old && self.noted.is_some()
    }

    /// All exports have come to their end, and the remote holds one tree: nothing of any other is left.
    pub(super) fn is_at_rest(&self) -> bool {
        self.incomplete.is_empty() && !self.is_marked && self.recorded == 1
    }

    /// Something may be between two names.
    pub(super) fn was_cut(&self) -> bool {
        self.is_ahead() || self.is_marked || !self.incomplete.is_empty()
    }

    /// Whether content of `tree` may have been put there by an export that was begun here and of whose end nothing is known.
    pub(super) fn was_begun_here(&self, tree: GitId) -> bool {
        self.own_incomplete.contains(&tree) || self.is_ahead() && tree == self.known
    }

    /// Whether content of `tree` may be where nothing is noted.
    pub(super) fn may_have_put(&self, tree: GitId) -> bool {
        self.sure.is_none_or(|sure| sure == tree) || self.foreign.contains(&tree)
    }

    /// All trees of which content may be on the remote.
    pub(super) fn trees(&self) -> BTreeSet<GitId> {
        self.over.iter().chain(&self.foreign).copied().chain([self.known]).collect()
    }
}
