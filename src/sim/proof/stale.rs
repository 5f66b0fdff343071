//! Everything that can happen to a file of one class in up to four repositories, while pulls and pushes happen at any time or
//! never.
//!
//! Of each repository it matters who has heard of its newest change, who only of the one before, and so on: changes alternate
//! between having the file and not, so that an age tells what somebody takes for true. Ages that nobody is at are left out, which
//! leaves finitely many states.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::class::{Class, OfClass};
use super::concrete::concrete;
use super::graph::Fault;
use super::witness::{configuration, sentence};
use crate::name::Key;
use crate::sim::log::log;
use crate::sim::look::{Deed, Kind, Sight};
use crate::sim::network::Network;
use crate::sim::outside::Nowhere;
use crate::sim::random::mix;
use crate::sim::run::{begin, run};
use crate::sim::script::{Action, Command, Line, Name};
use crate::wanted::{Policy, Unknown};

/// The most states of a class that are looked at.
const MOST: usize = 300_000;

/// Repositories at most.
const REPOS: usize = 4;

/// What came out.
pub enum Explored {
    /// It comes to rest always; so many states were looked at.
    Rests(usize),
    /// Something goes wrong, this way.
    Wrong(Fault, Steps),
    /// It may go on for ever, but at each moment it can still come to rest: it does not go on for ever by chance.
    Eventually(usize, Steps),
}

/// A start and what happens then.
pub struct Steps {
    /// Who has the file.
    start: u8,
    /// Whether everybody knows that.
    is_known: bool,
    steps: Vec<Step>,
    /// Where a circle begins, by the number of the step.
    circle: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The first learns what the second knows.
    Learn(usize, usize),
    /// Somebody does something.
    Do(usize, Deed),
}

/// Who has it, and how old what each repository knows of each one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    has: u8,
    ages: [[u8; REPOS]; REPOS],
}

impl Hash for State {
    fn hash<H: Hasher>(&self, into: &mut H) {
        // Three bits for each age, which are a few at most.
        let packed = self.ages.iter().flatten().fold(u64::from(self.has), |bits, age| bits << 3 | u64::from(*age));
        into.write_u64(packed);
    }
}

/// Scatters a number. Nobody chooses states so that they collide, and there are hundreds of thousands.
#[derive(Default)]
struct Scatter(u64);

impl Hasher for Scatter {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = mix(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What each repository can do: by actor, what it takes for true, and what is so. All that happens to a class follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(Vec<Vec<Deed>>);

impl Table {
    fn at(actor: usize, view: u8, has: u8) -> usize {
        (actor << (2 * REPOS)) | (usize::from(view) << REPOS) | usize::from(has)
    }
}

/// A class, with what each repository can do whatever it takes for true.
pub struct Stale<'a> {
    network: &'a Network,
    count: usize,
    deeds: Table,
    pairs: Vec<(usize, usize)>,
}

impl<'a> Stale<'a> {
    /// That of a class.
    ///
    /// # Errors
    /// [`Unknown`] where it cannot be told who wants a file.
    pub fn new(network: &'a Network, policy: &Policy, class: &Class) -> Result<Self, Unknown> {
        let count = network.members.len();
        let (key, name) = (Key::parse(b"SHA256E-s1--x").expect("a key"), Name::from(&b"f"[..]));
        let mut deeds = Table(vec![Vec::new(); Table::at(REPOS, 0, 0)]);
        for view in 0..1u8 << count {
            let facts = OfClass { class, holders: [u64::from(view)], key: &key, name: &name };
            let question = policy.about(&facts);
            for has in 0..1u8 << count {
                let sight = Sight { network, sees: &|repo| view >> repo & 1 != 0, has: &|repo| has >> repo & 1 != 0 };
                for actor in (0..count).filter(|actor| !network.members[*actor].is_special) {
                    // What it has itself it knows.
                    if (view ^ has) >> actor & 1 != 0 {
                        continue;
                    }
                    let mut found = Vec::new();
                    sight.deeds(&question, actor, &|_| true, &mut found)?;
                    deeds.0[Table::at(actor, view, has)] = found;
                }
            }
        }
        let mut pairs = Vec::new();
        for repo in 0..count {
            for link in network.links(repo).iter().filter(|link| !link.is_node && link.to != repo) {
                pairs.extend([(repo, link.to), (link.to, repo)]);
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        Ok(Self { network, count, deeds, pairs })
    }

    /// Two classes of the same network with the same table come to the same.
    pub fn table(self) -> Table {
        self.deeds
    }

    /// The same, to look at.
    pub fn has_table(&self, table: &Table) -> bool {
        self.deeds == *table
    }

    /// Looks at all states.
    ///
    /// # Errors
    /// There are too many.
    pub fn explore(&self) -> Result<Explored, String> {
        let mut index: HashMap<State, usize, BuildHasherDefault<Scatter>> = HashMap::default();
        let mut states: Vec<(State, Option<(usize, Step)>)> = Vec::new();
        let mut arrows: Vec<Vec<(usize, Step)>> = Vec::new();
        for has in 1..1u8 << self.count {
            for start in [self.start(has, true), self.start(has, false)] {
                index.entry(start).or_insert_with(|| {
                    states.push((start, None));
                    states.len() - 1
                });
            }
        }
        let mut at = 0;
        while at < states.len() {
            let mut out = Vec::new();
            for (step, next) in self.next(states[at].0) {
                let to = *index.entry(next).or_insert_with(|| {
                    states.push((next, Some((at, step))));
                    states.len() - 1
                });
                if next.has == 0 {
                    return Ok(Explored::Wrong(Fault::Loss, self.steps(&states, to, &[])));
                }
                out.push((to, step));
            }
            arrows.push(out);
            if states.len() > MOST {
                return Err(format!("a class has more than {MOST} states with stale knowledge"));
            }
            at += 1;
        }
        // Those from where it never comes to rest, if there are any.
        let restless = restless(&arrows);
        let within = |from: usize| -> Vec<(usize, Step)> {
            if !restless[from] {
                return Vec::new();
            }
            arrows[from].iter().copied().filter(|(to, _)| restless[*to]).collect()
        };
        if let Some((entry, steps)) = circle(&(0..arrows.len()).map(within).collect::<Vec<_>>()) {
            return Ok(Explored::Wrong(Fault::Circle, self.steps(&states, entry, &steps)));
        }
        Ok(match circle(&arrows) {
            Some((entry, steps)) => Explored::Eventually(states.len(), self.steps(&states, entry, &steps)),
            None => Explored::Rests(states.len()),
        })
    }

    /// Everybody knows who has it, or only who has it knows that.
    fn start(&self, has: u8, is_known: bool) -> State {
        let mut state = State { has, ages: [[0; REPOS]; REPOS] };
        if !is_known {
            for viewer in 0..self.count {
                for repo in (0..self.count).filter(|repo| *repo != viewer && has >> repo & 1 != 0) {
                    state.ages[viewer][repo] = 1;
                }
            }
        }
        state
    }

    fn steps(&self, states: &[(State, Option<(usize, Step)>)], end: usize, circle: &[Step]) -> Steps {
        let (mut at, mut steps) = (end, Vec::new());
        while let Some((before, step)) = states[at].1 {
            steps.push(step);
            at = before;
        }
        steps.reverse();
        let begins = steps.len();
        steps.extend_from_slice(circle);
        let start = states[at].0;
        Steps { start: start.has, is_known: start == self.start(start.has, true), steps, circle: begins }
    }

    fn view(&self, state: &State, viewer: usize) -> u8 {
        (0..self.count).fold(0, |view, repo| {
            let takes = state.has >> repo & 1 ^ state.ages[viewer][repo] & 1;
            view | takes << repo
        })
    }

    fn next(&self, state: State) -> Vec<(Step, State)> {
        let mut all = Vec::new();
        for (viewer, of) in &self.pairs {
            let mut next = state;
            for repo in 0..self.count {
                next.ages[*viewer][repo] = state.ages[*viewer][repo].min(state.ages[*of][repo]);
            }
            self.tidy(&mut next);
            if next != state {
                all.push((Step::Learn(*viewer, *of), next));
            }
        }
        for actor in 0..self.count {
            for deed in &self.deeds.0[Table::at(actor, self.view(&state, actor), state.has)] {
                let mut next = state;
                let to = deed.target(self.network, actor);
                let link = self.network.links(actor).get(deed.link);
                let is_of_remote = matches!(deed.kind, Kind::Send | Kind::DropFrom);
                let name = link.filter(|link| is_of_remote && link.is_node).map(|link| &link.name);
                let present = u8::from(matches!(deed.kind, Kind::Get | Kind::Send));
                if state.has >> to & 1 != present {
                    next.has ^= 1 << to;
                    (0..self.count).filter(|viewer| *viewer != to).for_each(|viewer| next.ages[viewer][to] += 1);
                }
                next.ages[actor][to] = 0;
                if let Some(name) = name {
                    self.network.connected_to(name).for_each(|viewer| next.ages[viewer][to] = 0);
                }
                self.tidy(&mut next);
                if next != state {
                    all.push((Step::Do(actor, *deed), next));
                }
            }
        }
        all
    }

    /// Ages without gaps. Two that say the same, and between which nobody is, are one.
    fn tidy(&self, state: &mut State) {
        for repo in 0..self.count {
            let mut levels: Vec<u8> = (0..self.count).map(|viewer| state.ages[viewer][repo]).collect();
            levels[repo] = 0;
            levels.sort_unstable();
            levels.dedup();
            let mut now = [0u8; 8];
            let mut last = 0;
            for level in levels {
                if (level ^ last) & 1 != 0 {
                    last += 1;
                }
                now[usize::from(level) % 8] = last;
            }
            for viewer in (0..self.count).filter(|viewer| *viewer != repo) {
                state.ages[viewer][repo] = now[usize::from(state.ages[viewer][repo]) % 8];
            }
            state.ages[repo][repo] = 0;
        }
    }
}

/// States from which none is reached where nothing is left to do.
fn restless(arrows: &[Vec<(usize, Step)>]) -> Vec<bool> {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); arrows.len()];
    for (from, out) in arrows.iter().enumerate() {
        out.iter().for_each(|(to, _)| before[*to].push(from));
    }
    let mut open: Vec<usize> = (0..arrows.len()).filter(|at| arrows[*at].is_empty()).collect();
    let mut restless = vec![true; arrows.len()];
    open.iter().for_each(|at| restless[*at] = false);
    while let Some(at) = open.pop() {
        for from in &before[at] {
            if std::mem::take(&mut restless[*from]) {
                open.push(*from);
            }
        }
    }
    restless
}

/// A circle, and where it is entered.
fn circle(arrows: &[Vec<(usize, Step)>]) -> Option<(usize, Vec<Step>)> {
    // 0: not seen; 1: on the way; 2: done.
    let mut seen = vec![0u8; arrows.len()];
    for start in 0..arrows.len() {
        if seen[start] != 0 {
            continue;
        }
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        seen[start] = 1;
        while let Some((at, tried)) = way.last().copied() {
            let Some((to, step)) = arrows[at].get(tried) else {
                seen[at] = 2;
                way.pop();
                continue;
            };
            way.last_mut().expect("it was there").1 += 1;
            match seen[*to] {
                0 => {
                    seen[*to] = 1;
                    way.push((*to, 0));
                }
                1 => {
                    let begin = way.iter().position(|(state, _)| state == to)?;
                    let mut steps: Vec<Step> =
                        way[begin..way.len() - 1].iter().map(|(state, tried)| arrows[*state][tried - 1].1).collect();
                    steps.push(*step);
                    return Some((*to, steps));
                }
                _ => {}
            }
        }
    }
    None
}

/// A sim file that shows it, and the name of its file. It was run.
///
/// # Errors
/// In a phrase: why it could not be run.
pub fn script(
    network: &Network,
    policy: &Policy,
    class: &Class,
    fault: &Fault,
    found: &Steps,
) -> Result<(Vec<u8>, Name), String> {
    let file = concrete(network, policy, class)?;
    let mut lines = configuration(network);
    lines.push(Line::Stream(crate::sim::script::Stream::Key(file.name.clone(), file.key.clone())));
    let name = |repo: usize| network.members[repo].name.clone();
    let holders = (0..network.members.len()).filter(|repo| found.start >> repo & 1 != 0).map(name).collect();
    lines.push(Line::Command(Command::Add { file: file.name.clone(), size: class.bytes(), repos: holders }));
    lines.extend(file.changes.iter().map(|change| Line::Command(Command::Metadata(file.name.clone(), change.clone()))));
    let act = |repo: usize, action: Action| Line::Command(Command::Action(vec![(name(repo), action)]));
    // There or back, whichever way there is a connection.
    let learn = |viewer: usize, of: usize| {
        let link = |from: usize, to: usize| {
            network.links(from).iter().find(|link| link.to == to && !link.is_node).map(|link| link.name.clone())
        };
        match (link(viewer, of), link(of, viewer)) {
            (Some(remote), _) => Ok(act(viewer, Action::GitPull(remote))),
            (None, Some(remote)) => Ok(act(of, Action::GitPush(remote))),
            (None, None) => Err("two that are not connected".to_string()),
        }
    };
    if found.is_known {
        for _ in 0..network.members.len() {
            for viewer in 0..network.members.len() {
                for of in 0..network.members.len() {
                    if let (true, Ok(line)) = (viewer != of, learn(viewer, of)) {
                        lines.push(line);
                    }
                }
            }
        }
    }
    let mut world = begin(lines.first(), 1);
    let play =
        |world: &mut crate::sim::world::World, line: &Line| run(world, line, &mut Nowhere).map_err(|e| e.to_string());
    lines.iter().try_for_each(|line| play(&mut world, line))?;
    let at = world.files.find(&file.name).ok_or("the file was not added")?;
    let count = network.members.len();
    let has = |world: &crate::sim::world::World| -> Vec<bool> {
        (0..count).map(|repo| world.knowledge.has(repo, at)).collect()
    };
    let mut entered = has(&world);
    for (number, step) in found.steps.iter().enumerate() {
        if number == found.circle {
            entered = has(&world);
            play(&mut world, &Line::Comment(Name::from(&b"# from here on again and again"[..])))?;
        }
        let line = match step {
            Step::Learn(viewer, of) => learn(*viewer, *of)?,
            Step::Do(actor, deed) => {
                let remote = || network.links(*actor)[deed.link].name.clone();
                act(
                    *actor,
                    match deed.kind {
                        Kind::Get => Action::GetWanted(remote()),
                        Kind::Send => Action::SendWanted(remote()),
                        Kind::Drop => Action::DropUnwanted,
                        Kind::DropFrom => Action::DropUnwantedFrom(remote()),
                    },
                )
            }
        };
        play(&mut world, &line)?;
    }
    let ends = has(&world);
    let is_shown = match fault {
        Fault::Loss => !ends.contains(&true),
        _ => ends == entered && found.steps.len() > found.circle,
    };
    if !is_shown {
        return Err("what was found with stale knowledge did not show in a run".to_string());
    }
    let head = format!("# {}, where repositories do not know of it at once\n", sentence(network, fault, &file.name));
    Ok(([head.as_bytes(), &log(&world)].concat(), file.name))
}
