//! Everything that is configured about preferred content, compiled once.

use std::collections::{BTreeMap, HashMap};

use super::ast::{Expression, Name};
use super::balanced::Balancer;
use super::compile::{Compiler, Problem};
use super::plan::Plan;
use super::repos::{Repo, RepoSet};
use super::trust::Trust;
use super::warn::ParseError;
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
    index: HashMap<Uuid, Repo>,
    /// Each group's name, members and balancer.
    pub(in crate::wanted) groups: Vec<Group>,
    names: BTreeMap<Name, usize>,
    pub(in crate::wanted) dead: RepoSet,
    pub(in crate::wanted) untrusted: RepoSet,
    pub(in crate::wanted) numcopies: i64,
    pub(in crate::wanted) threshold: u64,
    pub(in crate::wanted) rebalance: bool,
    pub(in crate::wanted) configuration: Configuration,
    problems: Vec<Problem>,
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
    /// Compiles what is configured. An expression that does not parse stands for `present`, as in git-annex, and is one of
    /// the [`problems`](Self::problems).
    pub fn new(mut configuration: Configuration) -> Self {
        configuration.repositories.retain(|repository| !is_cluster(&repository.uuid));
        for repository in &mut configuration.repositories {
            repository.groups.sort();
            repository.groups.dedup();
        }
        let repositories = &configuration.repositories;
        let with = |trust: Trust| -> RepoSet {
            let found = repositories.iter().enumerate().filter(|(_, repository)| repository.trust == trust);
            found.map(|(at, _)| Repo(at)).collect()
        };
        let mut names: BTreeMap<Name, Vec<Repo>> = BTreeMap::new();
        for (at, repository) in repositories.iter().enumerate() {
            for group in &repository.groups {
                names.entry(group.clone()).or_default().push(Repo(at));
            }
        }
        let groups = names.values().map(|members| Group {
            members: members.iter().copied().collect(),
            balancer: Balancer::new(members.iter().map(|repo| (*repo, &repositories[repo.0].uuid)).collect()),
        });
        let mut policy = Self {
            index: repositories.iter().enumerate().map(|(at, found)| (found.uuid.clone(), Repo(at))).collect(),
            dead: with(Trust::Dead),
            untrusted: with(Trust::Untrusted),
            groups: groups.collect(),
            names: names.into_keys().zip(0..).collect(),
            members: Vec::new(),
            numcopies: i64::try_from(configuration.numcopies.unwrap_or(1).max(1)).unwrap_or(i64::MAX),
            threshold: configuration.threshold.unwrap_or(90),
            rebalance: configuration.rebalance,
            problems: Vec::new(),
            configuration,
        };
        let mut compiler = Compiler::new(&policy);
        let members = policy.configuration.repositories.iter().map(|repository| compiler.member(repository)).collect();
        let problems = compiler.into_problems();
        (policy.members, policy.problems) = (members, problems);
        policy
    }

    /// Compiles another expression, as it would stand for a repository of this policy.
    ///
    /// # Errors
    /// Of a `groupwanted` expression that it needs and that does not parse.
    pub fn compile(&self, repo: Repo, expression: &Expression) -> Result<Plan, ParseError> {
        Compiler::new(self).plan(&self.configuration.repositories[repo.0], &[expression])
    }

    /// The same without what is configured for the repository: `standard` and `groupwanted` match, as in git annex
    /// matchexpression. Source: recorded.
    pub fn compile_alone(&self, repo: Repo, expression: &Expression) -> Plan {
        let plan = Compiler::alone(self).plan(&self.configuration.repositories[repo.0], &[expression]);
        plan.expect("what fails is an expression that these two stand for")
    }

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

    /// The members of a group; `None` where it has none.
    pub fn group(&self, name: &[u8]) -> Option<&RepoSet> {
        self.names.get(name).map(|at| &self.groups[*at].members)
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
pub(in crate::wanted) fn is_cluster(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    bytes.len() == 36 && bytes.starts_with(b"ac") && bytes.get(14) == Some(&b'8')
}
