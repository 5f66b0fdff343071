//! Everything that is configured about preferred content, compiled once.

use std::collections::{BTreeMap, HashMap};

use super::ast::Name;
use super::balanced::Balancer;
use super::plan::Plan;
use super::problem::Problem;
use super::repos::{Repo, RepoSet};
use super::trust::Trust;
use crate::name::Uuid;

/// What is configured, as the logs of the git-annex branch have it.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Every repository that a log names, each once; clusters are passed over.
    pub repositories: Vec<Repository>,
    /// Expressions of groups: group-preferred-content.log.
    pub groupwanted: Vec<(Name, Box<[u8]>)>,
    /// numcopies.log, or what stands above it. Less than 1 is 1. Default 1.
    pub numcopies: Option<u64>,
    /// annex.fullybalancedthreshhold in percent. Default 90.
    pub threshold: Option<u64>,
    /// Whether `--rebalance` was given.
    pub rebalance: bool,
}

/// What is configured of a repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Who it is.
    pub uuid: Uuid,
    /// trust.log.
    pub trust: Trust,
    /// group.log.
    pub groups: Vec<Name>,
    /// preferred-content.log. `None` and an empty one are the same: all is wanted, all may be dropped.
    pub wanted: Option<Box<[u8]>>,
    /// required-content.log. `None` and an empty one are the same.
    pub required: Option<Box<[u8]>>,
    /// maxsize.log, in bytes; 0 is room for nothing.
    pub maxsize: Option<u64>,
    /// `preferreddir=` of remote.log. Default `public`.
    pub preferreddir: Option<Box<[u8]>>,
}

/// A [`Configuration`] compiled, which decides about keys: see [`Policy::about`].
///
/// mincopies has no part in it: no term asks for it. Source: recorded.
#[derive(Debug)]
pub struct Policy {
    pub(in crate::wanted) members: Vec<Member>,
    pub(in crate::wanted) index: HashMap<Uuid, Repo>,
    /// Each group's name, members and balancer.
    pub(in crate::wanted) groups: Vec<Group>,
    pub(in crate::wanted) names: BTreeMap<Name, usize>,
    pub(in crate::wanted) dead: RepoSet,
    pub(in crate::wanted) untrusted: RepoSet,
    pub(in crate::wanted) numcopies: i64,
    pub(in crate::wanted) threshold: u64,
    pub(in crate::wanted) rebalance: bool,
    pub(in crate::wanted) configuration: Configuration,
    pub(in crate::wanted) problems: Vec<Problem>,
}

#[derive(Debug)]
pub(in crate::wanted) struct Member {
    pub uuid: Uuid,
    pub maxsize: Option<u64>,
    pub preferreddir: Box<[u8]>,
    /// Wanted or required. `None` where neither is set.
    pub wants: Option<Plan>,
    /// Required alone.
    pub requires: Option<Plan>,
    /// Whether they are `present` because an expression does not parse.
    pub is_unparsed: bool,
}

#[derive(Debug)]
pub(in crate::wanted) struct Group {
    pub members: RepoSet,
    pub balancer: Balancer,
}

impl Repository {
    /// A semitrusted repository of which nothing else is configured.
    pub fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            trust: Trust::default(),
            groups: Vec::new(),
            wanted: None,
            required: None,
            maxsize: None,
            preferreddir: None,
        }
    }
}

impl Policy {
    /// Copies that are wanted of each key, at least 1.
    pub fn numcopies(&self) -> i64 {
        self.numcopies
    }

    /// Groups and what `groupwanted` stands for in them.
    pub fn groupwanted(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.configuration.groupwanted.iter().map(|(group, expression)| (&**group, &**expression))
    }

    /// What is configured of a repository.
    pub fn settings(&self, repo: Repo) -> &Repository {
        &self.configuration.repositories[repo.0]
    }

    /// The repository with this uuid.
    pub fn repo(&self, uuid: &Uuid) -> Option<Repo> {
        self.index.get(uuid).copied()
    }

    /// Who a repository is.
    pub fn uuid(&self, repo: Repo) -> &Uuid {
        &self.members[repo.0].uuid
    }

    /// Every repository there is.
    pub fn repos(&self) -> impl Iterator<Item = Repo> + use<> {
        (0..self.members.len()).map(Repo)
    }

    /// Whether anything is configured of what a repository wants or must have. Where nothing is, it
    /// [`wants`](super::Question::wants) everything, as for `git annex sync` and in a cluster; `--want-get-by` says no there.
    pub fn is_configured(&self, repo: Repo) -> bool {
        self.members[repo.0].wants.is_some()
    }

    /// The repository with this number, as [`Repo::index`] tells it.
    pub fn numbered(&self, number: usize) -> Option<Repo> {
        (number < self.members.len()).then_some(Repo(number))
    }

    /// The members of a group; `None` where it has none.
    pub fn group(&self, name: &[u8]) -> Option<&RepoSet> {
        self.names.get(name).map(|at| &self.groups[*at].members)
    }

    /// Whether it matters how full repositories are beyond whether something fits.
    pub fn reads_fullness(&self) -> bool {
        self.rebalance || self.balancings().iter().any(|balancing| balancing.by_size)
    }

    /// How many groups there are: their numbers are below it.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// What is wrong or odd in the expressions, in the order of the repositories.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(in crate::wanted) fn group_number(&self, name: &[u8]) -> Option<usize> {
        self.names.get(name).copied()
    }
}

/// Whether it is the uuid of a cluster, which holds nothing itself: version 8, and its first byte is 0xac.
pub fn is_cluster(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    bytes.len() == 36 && bytes.starts_with(b"ac") && bytes.get(14) == Some(&b'8')
}
