//! Proof that files come to rest, or a sim that shows how they do not.
//!
//! Nothing is sampled. Files fall into finitely many [classes](class), by the answers of the terms that do not depend on where
//! content is. For each class, every set of repositories that may have a file in the beginning and every order of transfers and
//! drops is a [graph] of at most 4096 states, while everybody knows at once what happened. Up to four repositories are looked at
//! with [stale] knowledge too: pulls and pushes happen at any time, or never.
//!
//! ```text
//! Network --classes--> each: Graph --faults--> Path --witness--> a script that was run --shrink--> Refuted
//!                          no fault in any of them: Proved; something that stands in the way: Undecided
//! ```
//!
//! What is proved of a class holds for every file of it, for any number of files, as long as their choices do not depend on how
//! full repositories are; where they do, any fullness is looked at, but none that changes meanwhile.

mod class;
mod concrete;
mod depend;
mod graph;
mod odd;
mod shrink;
mod stale;
#[cfg(test)]
mod tests;
mod witness;

use super::network::Network;
use super::script::Placement;
use crate::wanted::{Expression, Policy};
use class::Class;
use graph::{Fault, Graph, Path};

pub use depend::{MOST_CIRCLES, Mutual, depend};
pub use graph::Fault as Wrong;
pub use odd::odd;
pub use witness::{configuration, sentence};

/// The most repositories whose every state is looked at.
pub const MOST: usize = 12;

/// The most repositories that are looked at with stale knowledge.
pub const MOST_STALE: usize = 4;

/// What is known of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing goes wrong.
    Proved(Proved),
    /// Something does.
    Refuted(Refuted),
    /// It cannot be told: what stood in the way.
    Undecided(String),
}

/// How much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proved {
    /// Classes of files.
    pub classes: usize,
    /// States of all of them.
    pub states: usize,
    /// The same with stale knowledge, where there are few repositories.
    pub stale: Option<Late>,
    /// Whether choices depend on how full repositories are, of which any fullness was looked at that does not change meanwhile.
    pub any_fullness: bool,
}

/// What comes of it that repositories do not know at once what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Late {
    /// It comes to rest always; so many states were looked at.
    Rests(usize),
    /// There is an order in which it goes on for ever, but at each moment it can still come to rest: so it does sooner or later,
    /// unless somebody arranges that order. A sim file that shows it.
    Eventually(usize, Vec<u8>),
    /// It cannot be told, for this reason.
    Undecided(String),
}

/// What is wrong, and how that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuted {
    /// What.
    pub fault: Wrong,
    /// In a sentence.
    pub why: String,
    /// A sim file that shows it, which was run.
    pub script: Vec<u8>,
}

/// Looks for what can go wrong in a network. Its files do not matter, and its placement is taken for
/// [`Placement::Stream`]: what git-annex's own commands do, not its sim.
pub fn prove(network: &Network) -> Verdict {
    let mut network = network.clone();
    network.placement = Placement::Stream;
    network.relink();
    // No sim file can have such an expression, so nothing could be shown either.
    if let Some(why) = odd::unparsed(&network) {
        return Verdict::Undecided(why);
    }
    network.groupwanted.retain(|_, text| Expression::parse(text).is_ok());
    match Case::new(&network) {
        Err(why) => Verdict::Undecided(why),
        Ok(case) => case.verdict(),
    }
}

/// What goes wrong in a network, in a sentence, while everybody knows at once what happened; `None` where nothing does, or where it
/// cannot be told by looking at no more than `most` states. It was run.
pub fn mention(network: &Network, most: usize) -> Option<String> {
    let mut network = network.clone();
    network.placement = Placement::Stream;
    network.relink();
    let case = Case::new(&network).ok()?;
    if case.classes.len().saturating_mul(1 << network.members.len()) > most {
        return None;
    }
    let mut found: Vec<Seen<'_>> = Vec::new();
    for class in &case.classes {
        let graph = Graph::new(&network, &case.policy, class).ok()?;
        found.extend(graph.faults(&network).into_iter().map(|path| Seen { class, path }));
    }
    found.sort_by_key(|seen| seen.path.fault);
    let shown = found.iter().find_map(|seen| witness::witness(&network, &case.policy, seen.class, &seen.path).ok())?;
    Some(first_line(&shown.script))
}

/// What a witness says of itself.
fn first_line(script: &[u8]) -> String {
    let first = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(first).trim_start_matches("# ").to_string()
}

/// What stale knowledge comes to.
enum Outcome {
    Late(Late),
    Wrong(Refuted),
    /// Something goes wrong, and was not shown: why.
    Unshown(String),
}

/// Faults that were found and could not be run.
fn unshown(doubts: &[String]) -> Option<String> {
    let (first, count) = (doubts.first()?, doubts.len());
    Some(format!("{count} faults were found in thought and not in a run; the first: {first}"))
}

/// A network and its classes.
struct Case<'a> {
    network: &'a Network,
    policy: Policy,
    classes: Vec<Class>,
}

/// What was found in a class.
struct Seen<'a> {
    class: &'a Class,
    path: Path,
}

impl<'a> Case<'a> {
    fn new(network: &'a Network) -> Result<Self, String> {
        let count = network.members.len();
        if count > MOST {
            return Err(format!("there are {count} repositories, and at most {MOST} are looked at"));
        }
        let policy = Policy::new(network.configuration());
        if network.rebalance && !policy.balancings().is_empty() {
            return Err("rebalance is on: balanced choices depend on how full repositories are as they change".into());
        }
        let dirs: Vec<_> = network.members.iter().map(|member| &member.preferreddir).collect();
        let has_dirs = policy.fixed_terms().iter().any(|term| term.kind == crate::wanted::FixedKind::PreferredDir);
        if has_dirs && dirs.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err("inpreferreddir is another directory in another repository".to_string());
        }
        let classes = class::classes(&policy)?;
        Ok(Self { network, policy, classes })
    }

    fn verdict(&self) -> Verdict {
        let mut doubts: Vec<String> = Vec::new();
        let mut found: Vec<Seen<'_>> = Vec::new();
        let mut states = 0;
        for class in &self.classes {
            let graph = match Graph::new(self.network, &self.policy, class) {
                Ok(graph) => graph,
                Err(unknown) => return Verdict::Undecided(format!("it cannot be told who wants a file: {unknown}")),
            };
            states += 1 << self.network.members.len();
            found.extend(graph.faults(self.network).into_iter().map(|path| Seen { class, path }));
        }
        // The worst first, whichever class it is of.
        found.sort_by_key(|seen| seen.path.fault);
        for seen in &found {
            match self.refuted(seen) {
                Ok(refuted) => return Verdict::Refuted(refuted),
                Err(doubt) => doubts.push(doubt),
            }
        }
        if let Some(why) = unshown(&doubts) {
            return Verdict::Undecided(why);
        }
        let any_fullness = self.policy.balancings().iter().any(|of| self.policy.members_of(of.group).1);
        let mut proved = Proved { classes: self.classes.len(), states, stale: None, any_fullness };
        if self.network.members.len() <= MOST_STALE {
            match self.stale() {
                Outcome::Late(late) => proved.stale = Some(late),
                Outcome::Wrong(refuted) => return Verdict::Refuted(refuted),
                Outcome::Unshown(why) => return Verdict::Undecided(why),
            }
        }
        Verdict::Proved(proved)
    }

    /// What comes of stale knowledge, or what goes wrong with it. What cannot be told of one class hides nothing of the others.
    fn stale(&self) -> Outcome {
        let (mut states, mut eventually) = (0, None);
        let (mut doubts, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
        // What was looked at, and needs not be looked at again: classes often differ in what nobody there asks.
        let mut looked_at: Vec<stale::Table> = Vec::new();
        for class in &self.classes {
            let seen = match stale::Stale::new(self.network, &self.policy, class) {
                Ok(seen) => seen,
                Err(unknown) => {
                    open = open.or(Some(unknown.to_string()));
                    continue;
                }
            };
            if looked_at.iter().any(|table| seen.has_table(table)) {
                continue;
            }
            let script =
                |fault: Fault, steps: &stale::Steps| stale::script(self.network, &self.policy, class, &fault, steps);
            let is_done = match seen.explore() {
                Err(why) => {
                    open = open.or(Some(why));
                    true
                }
                Ok(stale::Explored::Rests(count)) => {
                    states += count;
                    true
                }
                Ok(stale::Explored::Eventually(count, steps)) => {
                    states += count;
                    if eventually.is_none() {
                        match script(Fault::Circle, &steps) {
                            Ok((script, _)) => eventually = Some(script),
                            Err(why) => {
                                let why = format!("there may be an order in which files never come to rest, but {why}");
                                open = open.or(Some(why));
                            }
                        }
                    }
                    eventually.is_some()
                }
                Ok(stale::Explored::Wrong(fault, steps)) => match script(fault, &steps) {
                    Ok((script, name)) => {
                        let what = sentence(self.network, &fault, &name);
                        let why = format!("{what}, where repositories do not know of it at once");
                        return Outcome::Wrong(Refuted { fault, why, script });
                    }
                    // Another class of the same table may have a file.
                    Err(why) => {
                        doubts.push(format!("{}: {why}", sentence(self.network, &fault, b"a file")));
                        false
                    }
                },
            };
            if is_done {
                looked_at.push(seen.table());
            }
        }
        match (unshown(&doubts), open, eventually) {
            (Some(why), ..) => Outcome::Unshown(format!("{why}, where repositories do not know of it at once")),
            (None, Some(why), _) => Outcome::Late(Late::Undecided(why)),
            (None, None, Some(script)) => Outcome::Late(Late::Eventually(states, script)),
            (None, None, None) => Outcome::Late(Late::Rests(states)),
        }
    }

    /// The smallest script that shows it.
    ///
    /// # Errors
    /// Why it could not be shown.
    fn refuted(&self, seen: &Seen<'_>) -> Result<Refuted, String> {
        let whole = witness::witness(self.network, &self.policy, seen.class, &seen.path);
        let whole = whole.map_err(|why| format!("{}: {why}", sentence(self.network, &seen.path.fault, b"a file")))?;
        let fault = seen.path.fault;
        let smallest = shrink::shrink(self.network, &mut |candidate| shown(candidate, fault).is_some());
        let (script, fault) = match shown(&smallest, fault) {
            Some((path, script)) => (script, path.fault),
            None => (whole.script, fault),
        };
        Ok(Refuted { fault, why: first_line(&script), script })
    }
}

/// A run in a network that shows a fault of this kind.
fn shown(network: &Network, fault: Fault) -> Option<(Path, Vec<u8>)> {
    let case = Case::new(network).ok()?;
    for class in &case.classes {
        let graph = Graph::new(network, &case.policy, class).ok()?;
        for path in graph.faults(network).into_iter().filter(|path| shrink::same(path.fault, fault)) {
            if let Ok(witness) = witness::witness(network, &case.policy, class, &path) {
                return Some((path, witness.script));
            }
        }
    }
    None
}
