//! The ways from one gateway of a cluster to the nodes behind others.
//!
//! ```text
//! Net (what proxy.log says of gateways) --\
//! Line (a gateway that is a remote here) ---- routes() --> the line to each node, and whom it is to leave out
//! bypass (whom a request came through) ---/
//! ```
//!
//! An upload goes over as few lines as there are, and over each once: gateways are shared out among the lines, each to the one
//! by which it is nearest, and a line is told to leave out all that are not its own. A question may reach a gateway twice, which
//! does no harm, so it leaves out no more than those that are asked anyway; nobody is missed because a log is old. A request
//! names all gateways it came through, so that it ends.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::order::HOP;
use crate::name::Uuid;

/// Which gateways of a cluster have which nodes, and which other gateways they reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Net {
    gateways: BTreeMap<Uuid, Gateway>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Gateway {
    nodes: BTreeSet<Uuid>,
    next: BTreeSet<Uuid>,
}

/// What a gateway tells of a node. Source: `proxy.log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who tells.
    pub gateway: Uuid,
    /// The node.
    pub node: Uuid,
    /// What it is called there: the name of a remote, or `REMOTE-NAME` where a remote calls it `NAME`.
    pub name: Vec<u8>,
}

/// A gateway of the cluster that is a remote of this repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The gateway's repository.
    pub gateway: Uuid,
    /// What it costs to reach it; less is better. Source: `annex-cost`.
    pub cost: f64,
    /// Whether it answers, as far as is known.
    pub is_up: bool,
    /// How long it takes to answer, in microseconds; `None` where that was not measured yet.
    pub answer: Option<u64>,
}

/// How a node behind another gateway is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    /// The place of the line among those that were given.
    pub line: usize,
    /// Gateways on the way, of which the first is that line's.
    pub hops: u32,
    /// What the line costs.
    pub cost: f64,
}

/// The routes of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes {
    home: Uuid,
    bypass: BTreeSet<Uuid>,
    /// The gateways that a request may go to.
    lines: Vec<Option<Uuid>>,
    /// By which line each gateway is nearest.
    gateways: BTreeMap<Uuid, usize>,
    nodes: BTreeMap<Uuid, Route>,
    /// For each line, nodes that it leads to and that are reached otherwise.
    others: Vec<BTreeSet<Uuid>>,
}

/// A part of an upload: what goes over one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leg {
    /// To a node that is a remote here.
    Own(Uuid),
    /// To one node behind a gateway, under its own uuid.
    One {
        /// The place of the line.
        line: usize,
        /// The node.
        node: Uuid,
        /// Whom the gateway is to leave out.
        bypass: Vec<Uuid>,
    },
    /// To several nodes behind a gateway, under the uuid of the cluster. The gateway chooses for itself.
    Many {
        /// The place of the line.
        line: usize,
        /// The nodes that were chosen here.
        nodes: Vec<Uuid>,
        /// Whom the gateway is to leave out: gateways, and nodes that get the content another way.
        bypass: Vec<Uuid>,
    },
}

/// Dashes in a name of which it is looked whether another gateway's name begins there: one for each gateway on the way, and those
/// in the names of remotes.
const DASHES: usize = 64;

impl Net {
    /// From what gateways tell of the nodes of one cluster. A node `B-n` of gateway A is behind a gateway that has it as `n`. Where
    /// several have, as with a store that two gateways use, it is the one that has most of what A calls `B-...`; of equals all.
    pub fn new(offers: &[Offer]) -> Self {
        let mut named: HashMap<(&Uuid, &[u8]), Vec<&Uuid>> = HashMap::new();
        for offer in offers {
            named.entry((&offer.node, &offer.name)).or_default().push(&offer.gateway);
        }
        let mut gateways: BTreeMap<Uuid, Gateway> = BTreeMap::new();
        let mut votes: BTreeMap<(&Uuid, &[u8]), BTreeMap<&Uuid, usize>> = BTreeMap::new();
        for offer in offers {
            let gateway = gateways.entry(offer.gateway.clone()).or_default();
            match next(offer, &named) {
                Some((remote, others)) => {
                    let votes = votes.entry((&offer.gateway, remote)).or_default();
                    others.into_iter().for_each(|other| *votes.entry(other).or_default() += 1);
                }
                None => drop(gateway.nodes.insert(offer.node.clone())),
            }
        }
        for ((gateway, _), votes) in votes {
            let most = votes.values().max().copied();
            let next = votes.into_iter().filter(|(_, has)| Some(*has) == most).map(|(other, _)| other.clone());
            gateways.entry(gateway.clone()).or_default().next.extend(next);
        }
        Self { gateways }
    }

    /// Whether one of `from` is the gateway `to`, or leads there without any of `bypass`: a question to them gets there, too.
    pub fn leads(&self, from: &[Uuid], to: &Uuid, bypass: &[Uuid]) -> bool {
        let mut waiting: Vec<&Uuid> = from.iter().filter(|gateway| !bypass.contains(gateway)).collect();
        let mut seen: BTreeSet<&Uuid> = waiting.iter().copied().collect();
        while let Some(gateway) = waiting.pop() {
            if gateway == to {
                return true;
            }
            let next = self.gateways.get(gateway).into_iter().flat_map(|gateway| &gateway.next);
            for next in next.filter(|next| !bypass.contains(next)) {
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        false
    }
}

/// What the gateway that makes `offer` calls the remote that the node is behind, and the gateways that have it by the rest of its
/// name. `None` where it has the node itself.
fn next<'a>(offer: &'a Offer, named: &HashMap<(&Uuid, &[u8]), Vec<&'a Uuid>>) -> Option<(&'a [u8], Vec<&'a Uuid>)> {
    let dashes = offer.name.iter().enumerate().filter(|(at, byte)| **byte == b'-' && *at > 0);
    dashes.take(DASHES).find_map(|(at, _)| {
        let others = named.get(&(&offer.node, &offer.name[at + 1..])).into_iter().flatten().copied();
        let others: Vec<&Uuid> = others.filter(|other| **other != offer.gateway).collect();
        (!others.is_empty()).then_some((&offer.name[..at], others))
    })
}

/// How far away something is by a line: what is up is nearer than what is not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Distance {
    is_down: bool,
    cost: f64,
    answer: u64,
    hops: u32,
    line: usize,
}

impl Eq for Distance {}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> Ordering {
        let total = |distance: &Self| distance.cost + f64::from(distance.hops) * HOP;
        let rest = |distance: &Self| (distance.answer, distance.hops, distance.line);
        let is_down = self.is_down.cmp(&other.is_down);
        is_down.then_with(|| total(self).total_cmp(&total(other))).then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// The routes from `home`, which has the nodes `own` itself, over `lines`. None goes through `home` or a gateway of `bypass`, or to
/// a node of `bypass`. Of two the nearer is taken: of lines that are up, by cost and hops, then by how fast they answer.
pub fn routes(net: &Net, home: &Uuid, own: &BTreeSet<Uuid>, lines: &[Line], bypass: &[Uuid]) -> Routes {
    let bypass: BTreeSet<Uuid> = bypass.iter().cloned().collect();
    let may_pass = |gateway: &Uuid| gateway != home && !bypass.contains(gateway);
    let mut heap = BinaryHeap::new();
    for (line, of) in lines.iter().enumerate().filter(|(_, of)| may_pass(&of.gateway)) {
        let (cost, answer) = (of.cost, of.answer.unwrap_or_default());
        heap.push(Reverse((Distance { is_down: !of.is_up, cost, answer, hops: 1, line }, &of.gateway)));
    }
    let mut reached: BTreeMap<&Uuid, Distance> = BTreeMap::new();
    while let Some(Reverse((distance, gateway))) = heap.pop() {
        if reached.contains_key(gateway) {
            continue;
        }
        reached.insert(gateway, distance);
        for next in net.gateways.get(gateway).into_iter().flat_map(|gateway| &gateway.next) {
            if may_pass(next) && !reached.contains_key(next) {
                heap.push(Reverse((Distance { hops: distance.hops + 1, ..distance }, next)));
            }
        }
    }
    let mut nearest: BTreeMap<&Uuid, Distance> = BTreeMap::new();
    let mut others: Vec<BTreeSet<Uuid>> = vec![BTreeSet::new(); lines.len()];
    let nodes_of = |gateway: &Uuid| net.gateways.get(gateway).map(|gateway| &gateway.nodes).into_iter().flatten();
    for (gateway, distance) in &reached {
        for node in nodes_of(gateway).filter(|node| !own.contains(node) && !bypass.contains(node)) {
            let known = nearest.entry(node).or_insert(*distance);
            *known = (*known).min(*distance);
        }
    }
    for (gateway, distance) in &reached {
        let here = |node: &&Uuid| nearest.get(*node).is_some_and(|nearest| nearest.line == distance.line);
        others[distance.line].extend(nodes_of(gateway).filter(|node| !here(node)).cloned());
    }
    let route = |distance: Distance| Route { line: distance.line, hops: distance.hops, cost: distance.cost };
    Routes {
        home: home.clone(),
        lines: lines.iter().map(|line| Some(&line.gateway).filter(|gateway| may_pass(gateway)).cloned()).collect(),
        gateways: reached.iter().map(|(gateway, distance)| ((*gateway).clone(), distance.line)).collect(),
        nodes: nearest.into_iter().map(|(node, distance)| (node.clone(), route(distance))).collect(),
        others,
        bypass,
    }
}

impl Routes {
    /// How `node` is reached; `None` where it is not, or is a remote here.
    pub fn node(&self, node: &Uuid) -> Option<Route> {
        self.nodes.get(node).copied()
    }

    /// The nodes that are reached over `line`.
    pub fn nodes(&self, line: usize) -> impl Iterator<Item = &Uuid> {
        self.nodes.iter().filter(move |(_, route)| route.line == line).map(|(node, _)| node)
    }

    /// The lines that a request may go over.
    pub fn lines(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().enumerate().filter(|(_, line)| line.is_some()).map(|(line, _)| line)
    }

    /// Whom an upload over `line` leaves out: whoever it came through, all gateways that are another line's, and nodes that are
    /// reached otherwise.
    pub fn bypass_of_upload(&self, line: usize) -> Vec<Uuid> {
        let elsewhere = self.gateways.iter().filter(|(_, by)| **by != line).map(|(gateway, _)| gateway);
        let all: BTreeSet<Uuid> = elsewhere.chain(&self.others[line]).cloned().chain(self.passed()).collect();
        all.into_iter().collect()
    }

    /// Whom a question leaves out, over whichever line: whoever it came through, and the gateways that are asked from here.
    pub fn bypass_of_question(&self) -> Vec<Uuid> {
        let all: BTreeSet<Uuid> = self.lines.iter().flatten().cloned().chain(self.passed()).collect();
        all.into_iter().collect()
    }

    /// The parts of an upload to `picks`: content crosses each line once, and each node gets it once.
    pub fn legs(&self, picks: &[Uuid]) -> Vec<Leg> {
        let mut legs = Vec::new();
        let mut behind: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
        for pick in picks {
            match self.node(pick) {
                Some(route) => behind.entry(route.line).or_default().push(pick.clone()),
                None => legs.push(Leg::Own(pick.clone())),
            }
        }
        for (line, mut nodes) in behind {
            let bypass = self.bypass_of_upload(line);
            legs.push(match (nodes.len(), nodes.pop()) {
                (1, Some(node)) => Leg::One { line, node, bypass },
                (_, last) => Leg::Many { line, nodes: nodes.into_iter().chain(last).collect(), bypass },
            });
        }
        legs
    }

    fn passed(&self) -> impl Iterator<Item = Uuid> {
        self.bypass.iter().chain([&self.home]).cloned()
    }
}
