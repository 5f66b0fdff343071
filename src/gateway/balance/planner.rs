//! The plan, key by key: what is recorded, joined with what nodes want and how they are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Plea;
use super::subject::Subject;
use crate::annex::log::remote::RemoteLog;
use crate::annex::log::{MINCOPIES_LOG, Presence, REMOTE_LOG, single};
use crate::annex::repository::Attributes;
use crate::cluster::{Copies, Ledger, Moves, Node, Traffic, moves};
use crate::gateway::node::Member;
use crate::gateway::wanted::{Counted, FactSource, KeyFacts, PolicyLogs, Sizes, copies};
use crate::gateway::{Failure, LocalRepository};
use crate::name::Uuid;
use crate::wanted::{Fact, Policy, Repo, Trust, Unknown};

/// What is the same for all keys. Shared by threads.
pub(super) struct Planner {
    home: Arc<LocalRepository>,
    policy: Policy,
    mincopies: u64,
    nodes: Vec<(Repo, Arc<Member>, Condition)>,
    ledger: Arc<Mutex<Ledger>>,
}

/// How a node is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Whether it answered.
    pub(super) is_up: bool,
    is_drained: bool,
    /// Whether it is a remote of this repository.
    is_ours: bool,
    /// Whether a copy there can be made sure of: no special remote behind another gateway, whose own `balance` may drop it.
    pub(super) is_sure: bool,
}

/// What is planned for a key.
pub(super) struct Planned {
    pub(super) moves: Moves,
    pub(super) copies: Copies,
}

impl Planner {
    /// Of `nodes`, of which those in `down` cannot be reached. Blocks.
    pub(super) fn new(
        home: &Arc<LocalRepository>,
        nodes: &[Arc<Member>],
        down: &[Uuid],
        plea: &Plea,
    ) -> Result<Self, Failure> {
        let repository = home.repository();
        let failed = |e: &dyn std::fmt::Display| Failure::internal(format!("read what repositories want: {e}"));
        let logs = PolicyLogs::read(repository).map_err(|e| failed(&e))?;
        let policy = Policy::new(logs.configuration(plea.rebalance));
        let mincopies = repository.branch().read(MINCOPIES_LOG).map_err(|e| failed(&e))?;
        let mincopies = single(&mincopies, copies).unwrap_or(1);
        let special = RemoteLog::parse(&repository.branch().read(REMOTE_LOG).map_err(|e| failed(&e))?);
        let with_repo = nodes.iter().filter_map(|node| Some((policy.repo(node.uuid())?, Arc::clone(node))));
        let nodes = with_repo.map(|(repo, node)| {
            let is_up = node.remote.way.is_ok() && !down.contains(node.uuid());
            let is_drained = plea.drain.contains(node.uuid());
            let is_ours = node.remote.gateway.is_none();
            let is_sure = is_ours || special.config(node.uuid()).is_none();
            (repo, node, Condition { is_up, is_drained, is_ours, is_sure })
        });
        let nodes = nodes.collect();
        let counted = Counted::new(repository);
        let limited = policy.repos().filter(|repo| policy.settings(*repo).maxsize.is_some());
        let used = limited.map(|repo| policy.uuid(repo)).map(|uuid| Ok((uuid.clone(), counted.used(uuid)?)));
        let used: Result<BTreeMap<Uuid, u64>, String> = used.collect();
        let used = used.map_err(|e| Failure::internal(format!("count how full repositories are: {e}")))?;
        let ledger = Arc::new(Mutex::new(Ledger::new(used)));
        Ok(Self { home: Arc::clone(home), policy, mincopies, nodes, ledger })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How full repositories are, with all that is planned.
    pub(super) fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.ledger)
    }

    /// The same as it is for `subject` now, where `counted` was planned of it before.
    pub(super) fn ledger_without(&self, subject: &Subject, counted: &Moves) -> Arc<Mutex<Ledger>> {
        let mut ledger = locked(&self.ledger).clone();
        let (has, size) = (|uuid: &Uuid| subject.log.presence(uuid) == Some(Presence::Present), size(subject));
        for pick in &counted.to {
            let uuid = self.policy.uuid(pick.repo);
            if !has(uuid) {
                ledger.lost(uuid, size);
            }
        }
        for repo in &counted.drops {
            let uuid = self.policy.uuid(*repo);
            if has(uuid) {
                ledger.stored(uuid, size);
            }
        }
        Arc::new(Mutex::new(ledger))
    }

    /// Counts what is planned of a key.
    pub(super) fn carry(&self, subject: &Subject, moves: &Moves) {
        locked(&self.ledger).carry(&self.policy, moves, size(subject));
    }

    /// `uuid` has not what was recorded.
    pub(super) fn lost(&self, uuid: &Uuid, subject: &Subject) {
        locked(&self.ledger).lost(uuid, size(subject));
    }

    /// What is planned to come to `uuid`, and to go.
    pub(super) fn traffic(&self, uuid: &Uuid) -> Traffic {
        locked(&self.ledger).traffic(uuid)
    }

    /// The node that is `repo`.
    pub(super) fn node(&self, repo: Repo) -> Option<&Arc<Member>> {
        self.nodes.iter().find(|(known, ..)| *known == repo).map(|(_, node, _)| node)
    }

    /// Nodes that are not dead and are recorded as having it, and how each is.
    pub(super) fn holders<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = (&'a Arc<Member>, Condition)> {
        let has = |uuid: &Uuid| subject.log.presence(uuid) == Some(Presence::Present);
        let alive = self.nodes.iter().filter(|(repo, ..)| self.policy.settings(*repo).trust != Trust::Dead);
        alive.filter(move |(_, node, _)| has(node.uuid())).map(|(_, node, condition)| (node, *condition))
    }

    /// Whether it is recorded to be lost for good.
    pub(super) fn is_dead(&self, uuid: &Uuid) -> bool {
        self.policy.repo(uuid).is_some_and(|repo| self.policy.settings(repo).trust == Trust::Dead)
    }

    /// Whether a copy there counts.
    pub(super) fn is_relied_on(&self, uuid: &Uuid) -> bool {
        self.policy.repo(uuid).is_none_or(|repo| self.policy.settings(repo).trust > Trust::Untrusted)
    }

    /// Repositories that are no nodes, and whose copies count without a look: those that are trusted.
    pub(super) fn trusted(&self, subject: &Subject) -> u64 {
        let is_node = |uuid: &Uuid| self.nodes.iter().any(|(_, node, _)| node.uuid() == uuid);
        let is_trusted = |uuid: &Uuid| {
            let repo = self.policy.repo(uuid);
            repo.is_some_and(|repo| self.policy.settings(repo).trust == Trust::Trusted)
        };
        let own = self.home.uuid();
        subject.log.holders().filter(|uuid| uuid != own && !is_node(uuid) && is_trusted(uuid)).count() as u64
    }

    /// What is to be done about a key. Blocks.
    pub(super) fn plan(&self, tools: &Tools<'_>, subject: &Subject) -> Result<Planned, Unknown> {
        let of = |file: Option<Vec<u8>>| tools.source.about(subject.key.clone(), file).held_by(subject.log.holders());
        let facts: Vec<KeyFacts<'_>> = match &subject.files[..] {
            [] => vec![of(None)],
            files => files.iter().map(|file| of(Some(file.clone()))).collect(),
        };
        let questions: Vec<_> = facts.iter().map(|facts| self.policy.about(facts)).collect();
        let (mut numcopies, mut mincopies) = (1, self.mincopies);
        for question in &questions {
            numcopies = numcopies.max(u64::try_from(question.numcopies()?).unwrap_or(1));
        }
        for file in &subject.files {
            mincopies = mincopies.max(tools.mincopies(file)?.unwrap_or(0));
        }
        let own = self.home.uuid();
        let is_here = subject.log.presence(own) == Some(Presence::Present);
        let elsewhere = self.trusted(subject) + u64::from(is_here && self.is_relied_on(own));
        let copies = Copies { needed: numcopies.max(mincopies), numcopies, elsewhere, is_source: is_here };
        let size = size(subject);
        let ledger = locked(&tools.ledger);
        let node = |(repo, node, condition): &(Repo, Arc<Member>, Condition)| {
            let has = subject.log.presence(node.uuid()) == Some(Presence::Present);
            let (fits, room) = ledger.room(node.uuid(), self.policy.settings(*repo).maxsize, size, has);
            let Condition { is_up, is_drained, is_ours, is_sure } = *condition;
            let (cost, is_writable) = (node.total_cost(), node.remote.is_writable);
            Node { repo: *repo, cost, has, fits, room, is_up, is_writable, is_drained, is_ours, is_sure }
        };
        let nodes: Vec<Node> = self.nodes.iter().map(node).collect();
        // Facts ask it too.
        drop(ledger);
        let moves = moves(&questions[..], &subject.key, &nodes, copies)?;
        Ok(Planned { moves, copies })
    }

    /// What facts are read with, on one thread; repositories are as full as `ledger` says.
    pub(super) fn with_tools<T>(&self, ledger: Arc<Mutex<Ledger>>, work: impl FnOnce(&Tools<'_>) -> T) -> T {
        let sizes = OfLedger(Arc::clone(&ledger));
        let source = FactSource::new(self.home.repository(), &sizes);
        let mincopies = RefCell::new(Attributes::new(self.home.repository(), "annex.mincopies"));
        work(&Tools { source: &source, mincopies, ledger })
    }
}

/// What facts are read with.
pub(super) struct Tools<'a> {
    source: &'a FactSource<'a>,
    mincopies: RefCell<Attributes<'a>>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Tools<'_> {
    fn mincopies(&self, file: &[u8]) -> Result<Option<u64>, Unknown> {
        let value = self.mincopies.borrow_mut().value(file);
        let value = value.map_err(|why| Unknown::new(Fact::NumCopies, why))?;
        Ok(value.and_then(|value| copies(&value)))
    }
}

/// How full repositories are as the plan goes.
struct OfLedger(Arc<Mutex<Ledger>>);

impl Sizes for OfLedger {
    fn used(&self, uuid: &Uuid) -> Result<u64, String> {
        Ok(locked(&self.0).used(uuid))
    }
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the content, as the key tells them.
fn size(subject: &Subject) -> u64 {
    subject.key.size().unwrap_or(0)
}
