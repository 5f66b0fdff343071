//! One key's question: what is known of it, asked once, and who wants it.

use std::cell::{OnceCell, RefCell};

use super::balanced::Number;
use super::facts::{Assumed, Facts, Unknown};
use super::plan::Plan;
use super::policy::{Policy, is_cluster};
use super::repos::{Repo, RepoSet};
use crate::name::Uuid;

/// A key that repositories of a policy may want.
///
/// A fact is asked for when an answer first depends on it, and not again: make one question for one key, and ask it about
/// as many repositories and assumptions as need be.
pub struct Question<'a, F: Facts + ?Sized> {
    pub(in crate::wanted) policy: &'a Policy,
    pub(in crate::wanted) facts: &'a F,
    holders: OnceCell<Result<Holders, Unknown>>,
    numcopies: OnceCell<Result<i64, Unknown>>,
    size: OnceCell<Result<Option<u64>, Unknown>>,
    /// The key's number in each group that was asked for.
    pub(in crate::wanted) numbers: RefCell<Vec<(usize, Number)>>,
    /// Members of a group that were picked, by what they were picked for.
    pub(in crate::wanted) picked: RefCell<Vec<(Choice, RepoSet)>>,
}

/// What members of a group were picked for: group, by size or not, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wanted) struct Choice {
    pub group: usize,
    pub by_size: bool,
    pub count: i64,
}

/// Who is recorded to have the content.
#[derive(Debug, Clone, Default)]
pub(in crate::wanted) struct Holders {
    /// Dead ones too.
    pub recorded: RepoSet,
    /// All but the dead.
    pub alive: RepoSet,
    /// How many the policy does not know.
    pub strangers: usize,
}

impl Policy {
    /// A question about the key that `facts` are of.
    pub fn about<'a, F: Facts + ?Sized>(&'a self, facts: &'a F) -> Question<'a, F> {
        Question {
            policy: self,
            facts,
            holders: OnceCell::new(),
            numcopies: OnceCell::new(),
            size: OnceCell::new(),
            numbers: RefCell::default(),
            picked: RefCell::default(),
        }
    }
}

impl<'a, F: Facts + ?Sized> Question<'a, F> {
    /// The policy that it is asked of.
    pub fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Whether a repository wants the content, or is required to have it: `--want-get-by`. Where nothing is configured, it
    /// does; see [`Policy::is_configured`].
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    pub fn wants(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        self.policy.members[repo.0].wants.as_ref().map_or(Ok(true), |plan| self.matches(plan, repo, assumed))
    }

    /// Whether a repository wants to keep what it has, or must: not `--want-drop-by`. Its own copy does not count for that;
    /// where nothing is configured, it does not.
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    pub fn keeps(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        let plan = self.policy.members[repo.0].wants.as_ref();
        plan.map_or(Ok(false), |plan| self.without_own(plan, repo, assumed))
    }

    /// Whether a repository is required to keep what it has, without what is wanted. Its own copy does not count.
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    pub fn requires(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        let plan = self.policy.members[repo.0].requires.as_ref();
        plan.map_or(Ok(false), |plan| self.without_own(plan, repo, assumed))
    }

    /// Whether a plan of this policy matches for a repository; an unstable one never does.
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    pub fn matches(&self, plan: &Plan, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        if plan.unstable.is_some() { Ok(false) } else { self.step(&plan.root, repo, assumed) }
    }

    fn without_own(&self, plan: &Plan, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        if assumed.lost.contains(repo) {
            return self.matches(plan, repo, assumed);
        }
        let mut assumed = assumed.clone();
        assumed.lost.insert(repo);
        self.matches(plan, repo, &assumed)
    }

    pub(in crate::wanted) fn holders(&self) -> Result<&Holders, Unknown> {
        let found = self.holders.get_or_init(|| {
            let (mut holders, mut strangers) = (Holders::default(), Vec::<Uuid>::new());
            if let Some(recorded) = self.facts.numbered_holders() {
                holders.alive = recorded.clone();
                holders.alive.subtract(&self.policy.dead);
                holders.recorded = recorded;
                return Ok(holders);
            }
            self.facts.holders(&mut |uuid| match self.policy.repo(uuid) {
                Some(repo) => {
                    holders.recorded.insert(repo);
                }
                None if is_cluster(uuid) || strangers.contains(uuid) => {}
                None => strangers.push(uuid.clone()),
            })?;
            holders.alive = holders.recorded.clone();
            holders.alive.subtract(&self.policy.dead);
            holders.strangers = strangers.len();
            Ok(holders)
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// Copies that numcopies demands of the file: of .gitattributes or what is configured, but one at least.
    ///
    /// # Errors
    /// [`Unknown`] where .gitattributes cannot be told.
    pub fn numcopies(&self) -> Result<i64, Unknown> {
        let found = self.numcopies.get_or_init(|| {
            let of_file = self.facts.numcopies()?;
            let wanted = of_file.map(|wanted| i64::try_from(wanted.max(1)).unwrap_or(i64::MAX));
            Ok(wanted.unwrap_or(self.policy.numcopies))
        });
        found.clone()
    }

    pub(in crate::wanted) fn size(&self) -> Result<Option<u64>, Unknown> {
        self.size.get_or_init(|| self.facts.size()).clone()
    }
}
