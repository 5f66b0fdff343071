//! From expressions to plans: groups become sets, `standard` and `groupwanted` what they stand for.

use std::collections::BTreeMap;

use super::ast::{Counted, Expression, GroupLimit, Joint, Name, Node, Picks, Term, Value};
use super::balanced::Balancer;
use super::groups::standard;
use super::number;
use super::plan::{Count, Mask, Plan, Step, Test, Wanted};
use super::policy::{Configuration, Group, Member, Policy, Repository, is_cluster};
use super::problem::{Matter, Origin, Problem};
use super::repos::{Repo, RepoSet};
use super::stable::unstable;
use super::trust::Trust;
use super::warn::ParseError;

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
}

pub(in crate::wanted) struct Compiler<'a> {
    policy: &'a Policy,
    groupwanted: Vec<(&'a Name, Result<Expression, ParseError>)>,
    problems: Vec<Problem>,
    /// Whether `standard` and `groupwanted` stand for themselves.
    alone: bool,
}

impl<'a> Compiler<'a> {
    pub fn alone(policy: &'a Policy) -> Self {
        Self { policy, groupwanted: Vec::new(), problems: Vec::new(), alone: true }
    }

    pub fn new(policy: &'a Policy) -> Self {
        let mut compiler = Self { policy, groupwanted: Vec::new(), problems: Vec::new(), alone: false };
        for (group, text) in &policy.configuration.groupwanted {
            let place = Origin::GroupWanted(group.clone());
            let expression = compiler.parse(&place, text);
            if !expression.as_ref().is_ok_and(Expression::is_empty) {
                compiler.groupwanted.push((group, expression));
            }
        }
        compiler
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A repository with its expressions. What is required is wanted too: the two are one expression, which does not parse
    /// where one of them does not, and is unstable where one of them is. Source: recorded.
    pub fn member(&mut self, repository: &Repository) -> Member {
        let uuid = &repository.uuid;
        let mut read = |place: &Origin, text: &Option<Box<[u8]>>| {
            let expression = text.as_deref().map(|text| self.parse(place, text));
            expression.filter(|found| !found.as_ref().is_ok_and(Expression::is_empty))
        };
        let wanted = read(&Origin::Wanted(uuid.clone()), &repository.wanted);
        let required = read(&Origin::Required(uuid.clone()), &repository.required);
        let compiled = |of: &[&Option<Result<Expression, ParseError>>]| {
            let set: Vec<_> = of.iter().filter_map(|found| found.as_ref()).collect();
            let parsed: Result<Vec<_>, _> = set.iter().map(|found| found.as_ref().map_err(Clone::clone)).collect();
            let plan = parsed.and_then(|parsed| self.plan(repository, &parsed));
            (!set.is_empty()).then_some(plan)
        };
        let (wants, requires) = (compiled(&[&wanted, &required]), compiled(&[&required]));
        let is_unparsed = matches!(wants, Some(Err(_)));
        let or_present = |plan: Result<Plan, ParseError>| plan.unwrap_or_else(|_| Plan::present());
        let (wants, requires) = (wants.map(or_present), requires.map(or_present));
        if let Some(unstable) = wants.as_ref().and_then(Plan::unstable) {
            let own = requires.as_ref().and_then(Plan::unstable) == Some(unstable);
            let of = if own { Origin::Required(uuid.clone()) } else { Origin::Wanted(uuid.clone()) };
            self.problems.push(Problem { of, what: Matter::Unstable(unstable.clone()) });
        }
        Member {
            uuid: uuid.clone(),
            maxsize: repository.maxsize,
            // An empty name is no directory's: recorded.
            preferreddir: repository.preferreddir.clone().unwrap_or_else(|| b"public"[..].into()),
            wants,
            requires,
            is_unparsed,
        }
    }

    /// One plan that matches where one of the expressions does.
    ///
    /// # Errors
    /// Of a `groupwanted` expression that is needed.
    pub fn plan(&self, repository: &Repository, any: &[&Expression]) -> Result<Plan, ParseError> {
        let mut steps = any.iter().map(|found| self.node(found, &found.root, repository, false));
        let root = match (steps.next(), steps.next()) {
            (Some(only), None) => only?,
            (Some(first), Some(second)) => Step::Sequence(vec![(Joint::And, first?), (Joint::Or, second?)]),
            (None, _) => Step::Test(Test::Constant(false), b"nothing"[..].into()),
        };
        let unstable = unstable(&root, false);
        Ok(Plan { root, unstable })
    }

    fn parse(&mut self, place: &Origin, text: &[u8]) -> Result<Expression, ParseError> {
        let expression = Expression::parse(text);
        let matters = match &expression {
            Ok(expression) => expression.warnings().iter().cloned().map(Matter::Odd).collect(),
            Err(error) => vec![Matter::Unparsed(error.clone())],
        };
        self.problems.extend(matters.into_iter().map(|what| Problem { of: place.clone(), what }));
        expression
    }

    fn node(
        &self,
        expression: &Expression,
        node: &Node,
        repository: &Repository,
        in_group: bool,
    ) -> Result<Step, ParseError> {
        Ok(match node {
            Node::Term(at) => {
                let placed = &expression.terms[*at];
                let word: Name = expression.text[placed.at.clone()].into();
                match &placed.term {
                    Term::Standard | Term::GroupWanted if self.alone => Step::Test(Test::Constant(true), word),
                    Term::Standard => Step::Expanded(word, Box::new(self.standard(repository)?)),
                    Term::GroupWanted if in_group => Step::Expanded(word, Box::new(unresolved())),
                    Term::GroupWanted => Step::Expanded(word, Box::new(self.groupwanted(repository)?)),
                    term => Step::Test(self.test(term), word),
                }
            }
            Node::Not(inner) => Step::Not(Box::new(self.node(expression, inner, repository, in_group)?)),
            Node::Sequence(list) => {
                let steps = list.iter();
                let steps = steps.map(|(joint, node)| Ok((*joint, self.node(expression, node, repository, in_group)?)));
                Step::Sequence(steps.collect::<Result<_, ParseError>>()?)
            }
        })
    }

    /// The expression of the one standard group that the repository is in.
    fn standard(&self, repository: &Repository) -> Result<Step, ParseError> {
        let mut found = repository.groups.iter().filter_map(|group| standard(group));
        let (Some(text), None) = (found.next(), found.next()) else { return Ok(unresolved()) };
        let expression = Expression::parse(text.as_bytes())?;
        self.node(&expression, &expression.root, repository, true)
    }

    /// The expression of the one group with an expression that the repository is in.
    fn groupwanted(&self, repository: &Repository) -> Result<Step, ParseError> {
        let mut found = self.groupwanted.iter().filter(|(group, _)| repository.groups.contains(group));
        let (Some((_, expression)), None) = (found.next(), found.next()) else { return Ok(unresolved()) };
        let expression = expression.as_ref().map_err(Clone::clone)?;
        self.node(expression, &expression.root, repository, true)
    }

    fn test(&self, term: &Term) -> Test {
        match term {
            Term::Anything => Test::Constant(true),
            Term::Nothing => Test::Constant(false),
            Term::Include(glob) => Test::Include(glob.clone()),
            Term::Exclude(glob) => Test::Exclude(glob.clone()),
            Term::Copies { of, least } => Test::Copies { of: self.mask(of), least: *least },
            Term::LackingCopies { of, least, approximately } => {
                Test::LackingCopies { of: self.trusted(of), least: *least, approximately: *approximately }
            }
            Term::InBackend(name) => Test::InBackend(name.clone()),
            Term::SecureHash => Test::SecureHash,
            Term::InAllGroup(group) => Test::InAllGroup(self.members(group)),
            Term::OnlyInGroup(group) => Test::OnlyInGroup(self.members(group)),
            Term::SmallerThan(bytes) => Test::SmallerThan(*bytes),
            Term::LargerThan(bytes) => Test::LargerThan(*bytes),
            Term::Metadata { field, value } => Test::Metadata {
                field: field.clone(),
                value: match value {
                    Value::Like(glob) => Wanted::Like(glob.clone()),
                    Value::Compared(how, with) => Wanted::Compared(*how, with.clone(), number::all(with)),
                },
            },
            Term::Url(glob) => Test::Url(glob.clone()),
            Term::Present | Term::Standard | Term::GroupWanted => Test::Present,
            Term::InPreferredDir => Test::InPreferredDir,
            Term::Unused => Test::Unused,
            Term::Mime(what, glob) => Test::Mime(*what, glob.clone()),
            Term::Balanced { how, group, picks } => self.balanced(*how, group, picks),
        }
    }

    fn balanced(&self, how: super::ast::Balance, group: &Name, picks: &Picks) -> Test {
        let count = match picks {
            Picks::Number(count) => Count::Number(*count),
            Picks::LackingCopies(limit) => {
                let mut mask = self.trusted(&Counted::Limit(limit.clone()));
                mask.repos.subtract(&self.members(group));
                Count::Lacking(mask)
            }
        };
        Test::Balanced { how, group: self.policy.group_number(group), picks: count }
    }

    fn members(&self, group: &[u8]) -> RepoSet {
        self.policy.group(group).cloned().unwrap_or_default()
    }

    fn mask(&self, of: &Counted) -> Mask {
        let all = || self.every(|_| true);
        match of {
            Counted::All => Mask { repos: all(), strangers: true },
            Counted::Group(group) => Mask { repos: self.members(group), strangers: false },
            Counted::Trust { level, or_higher } => {
                let is = |trust: Trust| trust == *level || *or_higher && trust > *level;
                Mask { repos: self.every(|repository| is(repository.trust)), strangers: is(Trust::Semitrusted) }
            }
            Counted::Limit(GroupLimit { included, excluded }) => {
                let mut repos = if included.is_empty() { all() } else { RepoSet::new() };
                included.iter().for_each(|group| repos.add(&self.members(group)));
                excluded.iter().for_each(|group| repos.subtract(&self.members(group)));
                Mask { repos, strangers: included.is_empty() }
            }
        }
    }

    /// The same without untrusted repositories, whose copies are none for numcopies.
    fn trusted(&self, of: &Counted) -> Mask {
        let mut mask = self.mask(of);
        mask.repos.subtract(&self.policy.untrusted);
        mask
    }

    fn every(&self, is: impl Fn(&Repository) -> bool) -> RepoSet {
        let all = self.policy.configuration.repositories.iter().enumerate();
        all.filter(|(_, repository)| is(repository)).map(|(at, _)| Repo(at)).collect()
    }
}

/// What `standard` and `groupwanted` stand for where they stand for nothing. Source: recorded.
fn unresolved() -> Step {
    Step::Test(Test::Present, b"present"[..].into())
}
