//! Gateways in any shape, and what they pass on to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Leg, Line, Net, Offer, Routes, routes};
use crate::name::Uuid;

pub(in crate::cluster) fn uuid(name: &str) -> Uuid {
    Uuid::parse(name.as_bytes()).expect("a uuid")
}

pub(in crate::cluster) fn line(gateway: &str, cost: f64) -> Line {
    Line { gateway: uuid(gateway), cost, is_up: true, answer: None }
}

/// Gateways of the first five bytes: to whom each has lines, and which of three shared nodes it has. Then what is known: how often
/// it was told, which offers were lost, which lines are cut, and which nodes are chosen. What follows are offers of anybody.
///
/// Uploads and questions end, whatever is known. Where all is, each node gets content once, over each line once, and nobody who can
/// be reached is missed.
pub fn routes_of(data: &[u8]) {
    let Some((shape, rest)) = data.split_at_checked(5) else { return };
    let [many, rounds, lost, cut, picks, strangers @ ..] = rest else { return };
    let many = 2 + usize::from(many % 4);
    let bits = |byte: u8, limit: usize| (0..limit).filter(move |at| byte >> at & 1 == 1);
    let lines = |at: usize| {
        bits(shape[at], many).filter(move |to| *to != at).map(move |to| (to, 1 + (shape[at] >> 5) + to as u8 % 2))
    };
    // One that nobody else has, so that others know of it.
    let nodes = |at: usize| bits(shape[at] >> 5, 3).chain([100 + at]);
    let lines = (0..many).map(|at| lines(at).collect()).collect();
    let nodes = (0..many).map(|at| nodes(at).collect()).collect();
    // Long enough for a way through all of them: `G1-G2-G3-G4-n104`.
    let mut world = World::new(lines, nodes, usize::from(rounds % 8).min(6), 14);
    let is_known = rounds % 8 >= 6;
    let cut = bits(*cut, 8).map(|bit| (bit % many, (bit / 2 + 1) % many)).collect();

    if is_known {
        let reachable: BTreeSet<Uuid> = world
            .reachable(0, &BTreeSet::new())
            .into_iter()
            .flat_map(|at| world.nodes[at].iter().map(|at| node(*at)))
            .collect();
        let chosen = reachable.iter().enumerate().filter(|(at, _)| picks >> (at % 8) & 1 == 1);
        let chosen: Vec<Uuid> = chosen.map(|(_, node)| node.clone()).collect();
        let mut trace = Trace::default();
        world.upload(0, Some(&chosen), &[], &mut trace);
        assert!(chosen.iter().all(|node| trace.stored.contains(node)), "a node is left out");
        let mut trace = Trace::default();
        world.upload(0, None, &[], &mut trace);
        assert_eq!(trace.stored, reachable, "all that can be reached gets it");
    }
    let mut asked = Trace::default();
    if world.ask(0, &[], &cut, &mut asked) && is_known {
        assert_eq!(asked.gateways, world.reachable(0, &BTreeSet::new()), "somebody is missed");
    }
    assert_eq!(asked.gateways, world.reachable(0, &cut), "not all who can be reached are asked");

    // What a log of old tells, and what a stranger wrote into it.
    let kept =
        world.offers.iter().enumerate().filter(|(at, _)| lost >> (at % 8) & 1 == 0).map(|(_, offer)| offer.clone());
    let strange = strangers.split(|byte| *byte == 0).take(8).filter_map(|offer| {
        let [by, of, name @ ..] = offer else { return None };
        let (by, of) = (usize::from(*by) % many, usize::from(*of) % 8);
        Some(Offer { gateway: gateway(by), node: node(of), name: name.to_vec() })
    });
    world.know(kept.chain(strange).collect());
    let mut asked = Trace::default();
    world.ask(0, &[], &cut, &mut asked);
    assert_eq!(asked.gateways, world.reachable(0, &cut), "an old log hides somebody");
    world.upload_anyhow(0, &[], &mut Trace::default());
}

/// Gateways by number, with the lines and nodes that they have.
#[derive(Debug, Clone)]
pub(in crate::cluster) struct World {
    /// From each gateway: to whom, and what that costs.
    pub(in crate::cluster) lines: Vec<BTreeMap<usize, u8>>,
    pub(in crate::cluster) nodes: Vec<BTreeSet<usize>>,
    /// What each tells, by node and name.
    pub(in crate::cluster) offers: Vec<Offer>,
    /// What is known by them.
    net: Net,
}

pub(in crate::cluster) fn gateway(at: usize) -> Uuid {
    uuid(&format!("G{at}"))
}

pub(in crate::cluster) fn node(at: usize) -> Uuid {
    uuid(&format!("n{at}"))
}

impl World {
    /// As `updatecluster` records it, when it is run in turn as often as `rounds`. Names end to grow at `longest` bytes: they lead
    /// in circles.
    pub(in crate::cluster) fn new(
        lines: Vec<BTreeMap<usize, u8>>,
        nodes: Vec<BTreeSet<usize>>,
        rounds: usize,
        longest: usize,
    ) -> Self {
        let mut told: Vec<BTreeSet<(usize, String)>> = vec![BTreeSet::new(); lines.len()];
        for at in (0..lines.len()).cycle().take(rounds * lines.len()) {
            let own = nodes[at].iter().map(|node| (*node, format!("n{node}")));
            let behind = lines[at].keys().flat_map(|to| {
                let others = told[*to].iter().filter(|(node, name)| !nodes[at].contains(node) && name.len() < longest);
                others.map(|(node, name)| (*node, format!("G{to}-{name}"))).collect::<Vec<_>>()
            });
            told[at] = own.chain(behind).collect();
        }
        let offers = told.iter().enumerate().flat_map(|(at, told)| {
            told.iter().map(move |(of, name)| Offer {
                gateway: gateway(at),
                node: node(*of),
                name: name.clone().into(),
            })
        });
        let mut world = Self { lines, nodes, offers: Vec::new(), net: Net::default() };
        world.know(offers.collect());
        world
    }

    /// These offers are known from now on.
    pub(in crate::cluster) fn know(&mut self, offers: Vec<Offer>) {
        self.net = Net::new(&offers);
        self.offers = offers;
    }

    /// The routes from a gateway but for lines that failed, and where the lines lead.
    pub(in crate::cluster) fn routes(
        &self,
        at: usize,
        bypass: &[Uuid],
        failed: &BTreeSet<usize>,
    ) -> (Routes, Vec<usize>) {
        let own = self.nodes[at].iter().map(|at| node(*at)).collect();
        let usable = self.lines[at].iter().filter(|(to, _)| !failed.contains(to));
        let lines: Vec<Line> = usable.clone().map(|(to, cost)| line(&format!("G{to}"), f64::from(*cost))).collect();
        let to = usable.map(|(to, _)| *to).collect();
        (routes(&self.net, &gateway(at), &own, &lines, bypass), to)
    }

    /// An upload at gateway `at` to `picks`, or to all that it reaches, as every gateway does it.
    pub(in crate::cluster) fn upload(&self, at: usize, picks: Option<&[Uuid]>, bypass: &[Uuid], trace: &mut Trace) {
        trace.steps += 1;
        assert!(trace.steps <= 1000, "it ends");
        let (routes, to) = self.routes(at, bypass, &BTreeSet::new());
        let own = self.nodes[at].iter().map(|at| node(*at)).filter(|node| !bypass.contains(node));
        let far = (0..to.len()).flat_map(|line| routes.nodes(line).cloned().collect::<Vec<_>>());
        let all: Vec<Uuid> = own.chain(far).collect();
        let picks = picks.unwrap_or(&all);
        for leg in routes.legs(picks) {
            match leg {
                Leg::Own(node) => assert!(trace.stored.insert(node), "a node gets it twice"),
                Leg::One { line, node, bypass } => {
                    assert!(trace.crossed.insert((at, to[line])), "a line carries it twice");
                    self.upload(to[line], Some(&[node]), &bypass, trace);
                }
                Leg::Many { line, bypass, .. } => {
                    assert!(trace.crossed.insert((at, to[line])), "a line carries it twice");
                    self.upload(to[line], None, &bypass, trace);
                }
            }
        }
    }

    /// A question at gateway `at`: who is asked, and whether anybody could not be.
    pub(in crate::cluster) fn ask(
        &self,
        at: usize,
        bypass: &[Uuid],
        cut: &BTreeSet<(usize, usize)>,
        asked: &mut Trace,
    ) -> bool {
        asked.steps += 1;
        assert!(asked.steps <= 100_000, "it ends");
        asked.gateways.insert(at);
        let (mut failed, mut is_certain) = (BTreeSet::new(), true);
        loop {
            let (routes, to) = self.routes(at, bypass, &failed);
            let before = failed.len();
            for line in routes.lines() {
                if cut.contains(&(at, to[line])) {
                    failed.insert(to[line]);
                } else {
                    is_certain &= self.ask(to[line], &routes.bypass_of_question(), cut, asked);
                }
            }
            if failed.len() == before {
                let lines: Vec<Uuid> = routes.lines().map(|line| gateway(to[line])).collect();
                let bypass = [bypass, &[gateway(at)]].concat();
                let is_covered = |to: &usize| self.net.leads(&lines, &gateway(*to), &bypass);
                return is_certain && failed.iter().filter(|to| !bypass.contains(&gateway(**to))).all(is_covered);
            }
        }
    }

    /// The gateways that a request at `at` can get to over lines that are not cut.
    pub(in crate::cluster) fn reachable(&self, at: usize, cut: &BTreeSet<(usize, usize)>) -> BTreeSet<usize> {
        let (mut seen, mut waiting) = (BTreeSet::from([at]), vec![at]);
        while let Some(at) = waiting.pop() {
            for to in self.lines[at].keys().filter(|to| !cut.contains(&(at, **to))) {
                if seen.insert(*to) {
                    waiting.push(*to);
                }
            }
        }
        seen
    }

    /// As [`upload`](Self::upload), where logs are old: all that must hold is that it ends.
    pub(in crate::cluster) fn upload_anyhow(&self, at: usize, bypass: &[Uuid], trace: &mut Trace) {
        trace.steps += 1;
        assert!(trace.steps <= 10_000, "it ends");
        let (routes, to) = self.routes(at, bypass, &BTreeSet::new());
        for (line, to) in to.into_iter().enumerate() {
            if routes.nodes(line).next().is_some() {
                self.upload_anyhow(to, &routes.bypass_of_upload(line), trace);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::cluster) struct Trace {
    pub(in crate::cluster) steps: usize,
    pub(in crate::cluster) stored: BTreeSet<Uuid>,
    pub(in crate::cluster) crossed: BTreeSet<(usize, usize)>,
    pub(in crate::cluster) gateways: BTreeSet<usize>,
}
