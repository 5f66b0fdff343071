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
    plan_each(world, part, &mut |_, _| ())
}

/// The same, and gives what is to be done about each file to `each`.
fn plan_each(world: &mut World, part: &Part, each: &mut dyn FnMut(u32, &Moves)) -> Result<Planned, Problem> {
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
        let mut row = [0u8; super::network::Network::MOST / 8];
        for repo in 0..count {
            has[repo] = world.knowledge.has(repo, file);
            row[repo / 8] |= u8::from(has[repo]) << (repo % 8);
        }
        let full: Vec<u64> = world.network.members.iter().map(|member| ledger.used(&member.uuid)).collect();
        let reads_sizes = Cell::new(false);
        let facts = Known::with(&look, file, &row[..count.div_ceil(8)], &full, &reads_sizes);
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
        each(file, &moves);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::proof::{Verdict, prove};
    use crate::sim::random::Generator;
    use crate::sim::script::{Arrow, Chain, Command, Line, Name};
    use crate::sim::{Nowhere, begin, guess, run};

    /// How often a plan is made and done until nothing is left to do; `None` where it goes on. No file is lost meanwhile.
    fn rounds(world: &mut World) -> Option<usize> {
        let part = Part::all(world);
        for round in 0..8 {
            let mut all: Vec<(u32, Vec<usize>, Vec<usize>)> = Vec::new();
            let planned = plan_each(world, &part, &mut |file, moves| {
                let to = moves.to.iter().map(|pick| pick.repo.index()).collect();
                all.push((file, to, moves.drops.iter().map(|repo| repo.index()).collect()));
            });
            assert_eq!(planned.expect("it can be told").lost, 0);
            if all.iter().all(|(_, to, drops)| to.is_empty() && drops.is_empty()) {
                return Some(round);
            }
            for (file, to, drops) in all {
                to.iter().for_each(|repo| world.note(*repo, *repo, file, true));
                drops.iter().for_each(|repo| world.note(*repo, *repo, file, false));
            }
        }
        None
    }

    /// What is proved of git-annex's transfers and drops in a network of which all are connected holds for what this program
    /// plans for it as a cluster: it comes to rest.
    #[test]
    fn no_placement_of_a_proved_network_goes_on_for_ever() {
        const TERMS: [&[u8]; 14] = [
            b"anything",
            b"nothing",
            b"present",
            b"include=*.x",
            b"largerthan=10kb",
            b"copies=1",
            b"copies=2",
            b"copies=g:1",
            b"copies=h:1",
            b"inallgroup=h",
            b"onlyingroup=g",
            b"lackingcopies=1",
            b"balanced=g:2",
            b"fullybalanced=h",
        ];
        let cases = std::env::var("STREAM_TEST_SIM_CASES").ok().and_then(|set| set.parse().ok()).unwrap_or(60i64);
        let terms: Vec<Name> = TERMS.iter().map(|term| Name::from(*term)).collect();
        let (mut proved, mut moved) = (0, 0);
        for case in 0..cases {
            let mut random = Generator::new(case);
            let mut lines = guess::network(&mut random, &terms, 3);
            let names: Vec<Name> = ["r0", "r1", "r2", "r3"].map(|name| name.as_bytes().into()).to_vec();
            let is_there = |name: &Name| {
                lines.iter().any(
                    |line| matches!(line, Line::Command(Command::Init(of) | Command::InitRemote(of)) if of == name),
                )
            };
            let names: Vec<Name> = names.into_iter().filter(is_there).collect();
            for b in &names[1..] {
                lines.push(Line::Command(Command::Connect(Chain {
                    first: names[0].clone(),
                    links: vec![(Arrow::Right, b.clone())],
                })));
            }
            let mut world = begin(lines.first(), 1);
            lines.iter().for_each(|line| run(&mut world, line, &mut Nowhere).expect("it runs"));
            if !matches!(prove(&world.network), Verdict::Proved(_)) {
                continue;
            }
            proved += 1;
            for _ in 0..4 {
                for line in guess::files(&mut random, &names)
                    .into_iter()
                    .filter(|line| matches!(line, Line::Command(Command::Add { .. })))
                {
                    run(&mut world, &line, &mut Nowhere).expect("it runs");
                }
                let found = rounds(&mut world);
                let shown: String = lines.iter().map(|line| format!("{line}\n")).collect();
                moved += found.unwrap_or_else(|| panic!("case {case} goes on for ever:\n{shown}"));
            }
        }
        assert!(proved * 5 > cases && moved > 0, "{proved} of {cases}, {moved} rounds");
    }
}
