//! Everything that can happen to a file of one class, while everybody knows at once what happened.
//!
//! A state is who has the file; an arrow is a transfer or a drop. Every start is looked at, so the graph has a state for each set
//! of repositories.

use std::collections::VecDeque;

use super::class::{Class, OfClass};
use crate::name::Key;
use crate::sim::look::{Deed, Sight};
use crate::sim::network::Network;
use crate::sim::script::Name;
use crate::wanted::{Assumed, Policy, Trust, Unknown};

/// Who has a file: a bit for each repository.
pub type State = u16;

/// Something that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Who has the file then.
    pub to: State,
    /// Who does it.
    pub actor: usize,
    /// What.
    pub deed: Deed,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The last copy is dropped.
    Loss,
    /// It never comes to rest.
    Circle,
    /// It ends with fewer copies than numcopies, or mincopies, although there were as many.
    Copies,
    /// A repository does not get what it is required to have.
    Required(usize),
    /// A repository gets what it dropped.
    Again(usize),
}

/// How that comes: from a start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// What is wrong.
    pub fault: Fault,
    /// Who has it in the beginning.
    pub start: State,
    /// What happens then.
    pub arrows: Vec<Edge>,
}

/// The arrows from each state.
pub struct Graph {
    arrows: Vec<Vec<Edge>>,
    /// Who is required to have it in each state, and has it not.
    missing: Vec<State>,
}

impl Graph {
    /// That of a class, for 12 repositories at most.
    ///
    /// # Errors
    /// [`Unknown`] where it cannot be told who wants a file.
    pub fn new(network: &Network, policy: &Policy, class: &Class) -> Result<Self, Unknown> {
        let count = network.members.len();
        let key = Key::parse(b"SHA256E-s1--x").expect("a key");
        let name = Name::from(&b"f"[..]);
        let mut graph = Self { arrows: vec![Vec::new(); 1 << count], missing: vec![0; 1 << count] };
        let mut deeds = Vec::new();
        for state in 1..1usize << count {
            let facts = OfClass { class, holders: [state as u64], key: &key, name: &name };
            let question = policy.about(&facts);
            let has = |repo: usize| state >> repo & 1 != 0;
            let sight = Sight { network, sees: &has, has: &has };
            for actor in (0..count).filter(|actor| !network.members[*actor].is_special) {
                deeds.clear();
                sight.deeds(&question, actor, &|_| true, &mut deeds)?;
                for deed in &deeds {
                    let repo = deed.target(network, actor);
                    let to = (state ^ 1 << repo) as State;
                    let arrows = &mut graph.arrows[state];
                    if !arrows.iter().any(|arrow| arrow.to == to) {
                        arrows.push(Edge { to, actor, deed: *deed });
                    }
                }
            }
            for repo in policy.repos().filter(|repo| !has(repo.index())) {
                if question.requires(repo, Assumed::NOTHING)? {
                    graph.missing[state] |= 1 << repo.index();
                }
            }
        }
        Ok(graph)
    }

    /// What can be done in a state.
    pub fn arrows(&self, state: State) -> &[Edge] {
        &self.arrows[usize::from(state)]
    }

    /// What is wrong, of each kind once.
    pub fn faults(&self, network: &Network) -> Vec<Path> {
        let mut found = Vec::new();
        found.extend(self.loss());
        let Some(order) = self.order() else {
            found.extend(self.circle());
            return found;
        };
        found.extend(self.copies(network, &order));
        found.extend(self.required(network, &order));
        found.extend(self.again(&order));
        found
    }

    fn states(&self) -> impl Iterator<Item = State> + use<> {
        1..=(self.arrows.len() - 1) as State
    }

    fn loss(&self) -> Option<Path> {
        self.states().find_map(|start| {
            let last = self.arrows(start).iter().find(|arrow| arrow.to == 0)?;
            Some(Path { fault: Fault::Loss, start, arrows: vec![*last] })
        })
    }

    /// The states, each behind those that it leads to; `None` where there is a circle.
    fn order(&self) -> Option<Vec<State>> {
        let mut incoming = vec![0u32; self.arrows.len()];
        self.arrows.iter().flatten().for_each(|arrow| incoming[usize::from(arrow.to)] += 1);
        let mut open: Vec<State> =
            (0..self.arrows.len() as State).filter(|at| incoming[usize::from(*at)] == 0).collect();
        // Of 2^16 states the count would not fit, but there are 2^12 at most.
        let mut order = Vec::with_capacity(self.arrows.len());
        while let Some(state) = open.pop() {
            order.push(state);
            for arrow in self.arrows(state) {
                let left = &mut incoming[usize::from(arrow.to)];
                *left -= 1;
                if *left == 0 {
                    open.push(arrow.to);
                }
            }
        }
        order.reverse();
        (order.len() == self.arrows.len()).then_some(order)
    }

    /// The shortest circle.
    fn circle(&self) -> Option<Path> {
        let mut shortest: Option<Path> = None;
        for start in self.states() {
            let longest = shortest.as_ref().map_or(usize::MAX, |path| path.arrows.len() - 1);
            if let Some(arrows) = self.way(start, longest, &|state| state == start) {
                shortest = Some(Path { fault: Fault::Circle, start, arrows });
            }
        }
        shortest
    }

    /// The shortest way from a state, of one arrow at least, to one that is looked for.
    fn way(&self, start: State, longest: usize, is_end: &dyn Fn(State) -> bool) -> Option<Vec<Edge>> {
        let mut before: Vec<Option<(State, Edge)>> = vec![None; self.arrows.len()];
        let mut open = VecDeque::from([(start, 0)]);
        while let Some((state, length)) = open.pop_front() {
            if length >= longest {
                return None;
            }
            for arrow in self.arrows(state) {
                if before[usize::from(arrow.to)].is_none() {
                    before[usize::from(arrow.to)] = Some((state, *arrow));
                    if is_end(arrow.to) {
                        return Some(trail(&before, start, arrow.to));
                    }
                    open.push_back((arrow.to, length + 1));
                }
            }
        }
        None
    }

    /// The shortest way to a state, which may be none at all.
    fn way_to(&self, start: State, is_end: &dyn Fn(State) -> bool) -> Vec<Edge> {
        if is_end(start) { Vec::new() } else { self.way(start, usize::MAX, is_end).unwrap_or_default() }
    }

    fn is_rest(&self, state: State) -> bool {
        self.arrows(state).is_empty()
    }

    fn copies(&self, network: &Network, order: &[State]) -> Option<Path> {
        let relied: State = (0..network.members.len())
            .filter(|repo| network.members[*repo].trust > Trust::Untrusted)
            .fold(0, |set, repo| set | 1 << repo);
        let needed = network.needed();
        let enough = |state: State| (state & relied).count_ones() as usize >= needed;
        let (mut can_have, mut can_end_with_less) = (vec![false; order.len()], vec![false; order.len()]);
        for state in order {
            let at = usize::from(*state);
            let next = || self.arrows(*state).iter().map(|arrow| usize::from(arrow.to));
            can_have[at] = enough(*state) || next().any(|to| can_have[to]);
            can_end_with_less[at] =
                if self.is_rest(*state) { !enough(*state) } else { next().any(|to| can_end_with_less[to]) };
        }
        // Of starts that are as bad, the one with the fewest copies shows it best.
        let bad = |start: &State| can_have[usize::from(*start)] && can_end_with_less[usize::from(*start)];
        let start = self.states().filter(bad).min_by_key(|state| state.count_ones())?;
        let arrows = self.way_to(start, &|state| self.is_rest(state) && !enough(state));
        Some(Path { fault: Fault::Copies, start, arrows })
    }

    fn required(&self, network: &Network, order: &[State]) -> Option<Path> {
        let reaches = |state: State, repo: usize| {
            let mut known = state;
            let mut before = 0;
            while known != before {
                before = known;
                for from in 0..network.members.len() {
                    for link in network.links(from) {
                        if (known >> from | known >> link.to) & 1 != 0 {
                            known |= 1 << from | 1 << link.to;
                        }
                    }
                }
            }
            known >> repo & 1 != 0
        };
        let rests = order.iter().filter(|state| **state != 0 && self.is_rest(**state));
        let (start, repo) = rests.copied().find_map(|state| {
            let missing = self.missing[usize::from(state)];
            let repo = (0..network.members.len()).find(|repo| missing >> repo & 1 != 0 && reaches(state, *repo))?;
            Some((state, repo))
        })?;
        Some(Path { fault: Fault::Required(repo), start, arrows: Vec::new() })
    }

    fn again(&self, order: &[State]) -> Option<Path> {
        let mut gets: Vec<State> = vec![0; order.len()];
        for state in order {
            let later = self.arrows(*state).iter().map(|arrow| gets[usize::from(arrow.to)] | arrow.to & !state);
            gets[usize::from(*state)] = later.fold(0, |all, one| all | one);
        }
        for start in self.states() {
            for arrow in self.arrows(start) {
                let dropped = start & !arrow.to;
                if gets[usize::from(arrow.to)] & dropped != 0 {
                    let rest = self.way_to(arrow.to, &|state| state & dropped != 0);
                    let arrows = std::iter::once(*arrow).chain(rest).collect();
                    return Some(Path { fault: Fault::Again(dropped.trailing_zeros() as usize), start, arrows });
                }
            }
        }
        None
    }
}

fn trail(before: &[Option<(State, Edge)>], start: State, end: State) -> Vec<Edge> {
    let (mut trail, mut at) = (Vec::new(), end);
    while let Some((from, arrow)) = before[usize::from(at)] {
        trail.push(arrow);
        at = from;
        if at == start {
            break;
        }
    }
    trail.reverse();
    trail
}
