//! What the plan found besides what is to be moved.

use std::collections::{BTreeMap, BTreeSet};

use super::Lack;
use super::planner::{Planned, Planner};
use super::subject::Subject;
use crate::cluster::Stay;
use crate::name::Uuid;

/// Of all keys that were looked at.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) keys: u64,
    /// What stays on each node that does not want it.
    pub(super) stays: BTreeMap<Uuid, BTreeMap<Stay, u64>>,
    /// What each node wants and nobody gives it.
    pub(super) lacks: BTreeMap<Uuid, Lack>,
    /// Who is recorded as having some of that.
    pub(super) out_of_reach: BTreeSet<Uuid>,
    /// Keys of files of which no copy is recorded.
    pub(super) lost: u64,
}

impl Survey {
    /// Counts a key. True where no copy of it is recorded anywhere, and a file of the branch is it.
    pub(super) fn count(&mut self, planner: &Planner, subject: &Subject, planned: &Planned) -> bool {
        let uuid = |repo| planner.policy().uuid(repo).clone();
        for (repo, stay) in &planned.moves.stays {
            *self.stays.entry(uuid(*repo)).or_default().entry(*stay).or_default() += 1;
        }
        if planned.moves.lacks.is_empty() && subject.files.is_empty() {
            return false;
        }
        let mut holders = subject.log.holders().filter(|holder| !planner.is_dead(holder)).peekable();
        if holders.peek().is_none() {
            let is_lost = !subject.files.is_empty();
            self.lost += u64::from(is_lost);
            return is_lost;
        }
        if planned.moves.lacks.is_empty() {
            return false;
        }
        self.out_of_reach.extend(holders);
        for repo in &planned.moves.lacks {
            let lack = self.lacks.entry(uuid(*repo)).or_default();
            lack.files += 1;
            lack.bytes = lack.bytes.saturating_add(subject.key.size().unwrap_or(0));
        }
        false
    }
}
