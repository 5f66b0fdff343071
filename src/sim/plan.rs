//! What an upkeep of all repositories would move: the same plan as that of `balance`, for every file of a sim.
//!
//! Each file is planned by itself, one after the other in the order in which they were added, with repositories as full as the plan
//! has made them.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::look::Known;
use super::script::Problem;
use super::world::{World, undecided};
use crate::cluster::{Copies, Ledger, Moves, Node, Traffic, moves};
use crate::wanted::{Policy, Trust};

/// What a plan comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// By repository: what comes to it, what goes, and how full it is then.
    pub repositories: Vec<Filled>,
    /// Files, and their bytes, that would go from the first repository to the second. Where several have a file, the one with the
    /// least number that is reached sends it.
    pub flows: BTreeMap<(usize, usize), (u64, u64)>,
    /// Files of which no repository that is not dead has a copy, before and after.
    pub lost: u64,
    /// Files with fewer copies than numcopies or mincopies demand, afterwards.
    pub lacking: u64,
    /// All files.
    pub files: u64,
}

/// How a repository ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// What comes and goes.
    pub traffic: Traffic,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// Who takes part in a plan.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Nodes, and what each costs.
    pub nodes: Vec<(usize, f64)>,
    /// The gateway, which content can be had from too, where it is no node.
    pub gateway: Option<usize>,
}

impl Part {
    /// Everybody, as nodes of one cluster that all cost the same.
    pub fn all(world: &World) -> Self {
        Self { nodes: (0..world.network.members.len()).map(|repo| (repo, 100.0)).collect(), gateway: None }
    }

    fn is_node(&self, repo: usize) -> bool {
        self.nodes.iter().any(|(node, _)| *node == repo)
    }
}

/// Plans it. The dead do not take part.
///
/// # Errors
/// It cannot be told who wants a file.
pub fn plan(world: &mut World, part: &Part) -> Result<Planned, Problem> {
    world.compile();
    let world = &*world;
    let (look, count) = (world.look(), world.network.members.len());
    let policy: &Policy = look.policy;
    let held = |repo: usize| world.knowledge.used(repo)[repo];
    let used = world.network.members.iter().enumerate().map(|(repo, member)| (member.uuid.clone(), held(repo)));
    let mut ledger = Ledger::new(used.collect());
    let needed = world.network.needed() as u64;
    let numcopies = u64::try_from(world.network.numcopies.unwrap_or(1).max(1)).unwrap_or(1);
    let mut planned = Planned { repositories: vec![Filled::default(); count], ..Planned::default() };
    let mut has = vec![false; count];
    for file in world.files.current() {
        planned.files += 1;
        let size = world.files.size(file);
        let mut row = [0u64; super::network::Network::MOST / 64];
        for repo in 0..count {
            has[repo] = world.knowledge.has(repo, file);
            row[repo / 64] |= u64::from(has[repo]) << (repo % 64);
        }
        let full: Vec<u64> = world.network.members.iter().map(|member| ledger.used(&member.uuid)).collect();
        let reads_sizes = Cell::new(false);
        let facts = Known::with(&look, file, &row[..count.div_ceil(64)], &full, &reads_sizes);
        let question = policy.about(&facts);
        let nodes: Vec<Node> = part
            .nodes
            .iter()
            .filter_map(|(at, cost)| {
                let (repo, member, has) = (policy.numbered(*at)?, &world.network.members[*at], has[*at]);
                let (fits, room) = ledger.room(&member.uuid, member.maxsize, size, has);
                Some(Node {
                    repo,
                    cost: *cost,
                    has,
                    fits,
                    room,
                    is_up: true,
                    is_writable: true,
                    is_drained: false,
                    is_ours: true,
                    is_sure: true,
                })
            })
            .collect();
        let trust = |repo: usize| world.network.members[repo].trust;
        let is_source = part.gateway.is_some_and(|repo| has[repo]);
        let is_trusted = |repo: &usize| {
            has[*repo] && !part.is_node(*repo) && part.gateway != Some(*repo) && trust(*repo) == Trust::Trusted
        };
        let elsewhere = (0..count).filter(is_trusted).count() as u64
            + u64::from(part.gateway.is_some_and(|repo| has[repo] && trust(repo) > Trust::Untrusted));
        let copies = Copies { needed, numcopies, elsewhere, is_source };
        let moves = moves(&question, world.files.key(file), &nodes, copies).map_err(|unknown| undecided(&unknown))?;
        ledger.carry(policy, &moves, size);
        flow(world, &moves, &has, size, &mut planned);
        for pick in &moves.to {
            has[pick.repo.index()] = true;
        }
        for repo in &moves.drops {
            has[repo.index()] = false;
        }
        let alive = |repo: &usize| has[*repo] && world.network.members[*repo].trust != Trust::Dead;
        let relied = |repo: &usize| has[*repo] && world.network.members[*repo].trust > Trust::Untrusted;
        planned.lost += u64::from((0..count).filter(alive).count() == 0);
        planned.lacking += u64::from(((0..count).filter(relied).count() as u64) < needed);
    }
    for (repo, member) in world.network.members.iter().enumerate() {
        let traffic = ledger.traffic(&member.uuid);
        planned.repositories[repo] = Filled { traffic, before: held(repo), after: ledger.used(&member.uuid) };
    }
    Ok(planned)
}

/// Who sends it to whom.
fn flow(world: &World, moves: &Moves, has: &[bool], size: u64, planned: &mut Planned) {
    let source = (0..has.len()).find(|repo| has[*repo] && world.network.members[*repo].trust != Trust::Dead);
    for pick in &moves.to {
        if let Some(source) = source {
            let flow = planned.flows.entry((source, pick.repo.index())).or_default();
            *flow = (flow.0 + 1, flow.1.saturating_add(size));
        }
    }
}
