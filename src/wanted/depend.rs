//! On whose copies what a repository wants depends.

use super::ast::{Balance, Name};
use super::plan::{Count, Mask, Step, Test};
use super::policy::Policy;
use super::repos::{Repo, RepoSet};

/// A term whose answer for a repository changes by what others get or drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The term as it is written.
    pub term: Name,
    /// Whether it stands below an odd number of negations.
    pub is_negated: bool,
    /// The others.
    pub on: RepoSet,
    /// Whether less may be wanted where one of the others gets it. Where not, less may be wanted only where one drops it.
    pub is_against: bool,
}

impl Policy {
    /// What the answer to whether a repository wants something depends on, but for its own copy and for terms that answer the same
    /// for a file for ever. A term may be one that decides nothing beside the others of the expression.
    pub fn dependencies(&self, repo: Repo) -> Vec<Dependency> {
        let mut found = Vec::new();
        // One that is unstable is never used.
        if let Some(plan) = self.members[repo.0].wants.as_ref().filter(|plan| plan.unstable.is_none()) {
            self.depend(&plan.root, false, repo, &mut found);
        }
        found
    }

    fn depend(&self, step: &Step, is_negated: bool, repo: Repo, found: &mut Vec<Dependency>) {
        match step {
            Step::Not(inner) => self.depend(inner, !is_negated, repo, found),
            Step::Expanded(_, inner) => self.depend(inner, is_negated, repo, found),
            Step::Sequence(list) => list.iter().for_each(|(_, step)| self.depend(step, is_negated, repo, found)),
            Step::Test(test, word) => {
                let Some((mut on, grows)) = self.asked(test, repo) else { return };
                on.remove(repo);
                let one = Dependency {
                    term: word.clone(),
                    is_negated,
                    on,
                    is_against: grows.is_none_or(|more| more == is_negated),
                };
                if !one.on.is_empty() && !found.contains(&one) {
                    found.push(one);
                }
            }
        }
    }

    /// Whose copies a term asks for, and whether more of them let it match (`Some(true)`), or keep it from that, or can do both.
    fn asked(&self, test: &Test, repo: Repo) -> Option<(RepoSet, Option<bool>)> {
        let alive = |repos: &RepoSet| {
            let mut repos = repos.clone();
            repos.subtract(&self.dead);
            repos
        };
        Some(match test {
            Test::Copies { of: Mask { repos, strangers }, least } => {
                let repos = alive(repos);
                let most = i64::try_from(repos.len()).unwrap_or(i64::MAX);
                // Always so, or never.
                if *least < 1 || !strangers && most < *least {
                    return None;
                }
                (repos, Some(true))
            }
            Test::LackingCopies { of, .. } => (alive(&of.repos), Some(false)),
            // One who is dead counts for none, so not all of them can have it.
            Test::InAllGroup(members) if members.common(&self.dead) > 0 => return None,
            Test::InAllGroup(members) => (members.clone(), Some(true)),
            Test::OnlyInGroup(members) if members.is_empty() => return None,
            Test::OnlyInGroup(_) => (alive(&self.repos().collect()), None),
            Test::Balanced { how, group: Some(group), picks } if self.groups[*group].members.contains(repo) => {
                (self.rivals(*how, *group, picks), None)
            }
            _ => return None,
        })
    }

    /// Those whose copies a balanced choice counts, and those of which it asks whether there is room.
    fn rivals(&self, how: Balance, group: usize, picks: &Count) -> RepoSet {
        let members = &self.groups[group].members;
        let mut on = match how.fully || self.rebalance {
            false => members.clone(),
            true => members.iter().filter(|member| self.members[member.0].maxsize.is_some()).collect(),
        };
        if let Count::Lacking(mask) = picks {
            on.add(&mask.repos);
        }
        on.subtract(&self.dead);
        on
    }
}
