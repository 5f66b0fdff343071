//! What clients were told, and what that makes wrong.
//!
//! Each copy of a key is looked at for itself. Clients here do not ask numcopies before they remove: that is about several
//! copies, and the promise is about each.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::{Ask, NODES, Node, Server, What};
use testbed::way::Outcome;

/// What a client was told of a copy last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That it is not there, or nothing.
    Never,
    /// That it was stored.
    Stored,
    /// That it is there.
    Seen,
    /// That it was removed.
    Gone,
    /// A request failed, so either may be.
    Unknown,
}

impl Told {
    pub fn is_there(self) -> bool {
        matches!(self, Told::Stored | Told::Seen)
    }
}

/// A copy of a key.
#[derive(Clone, Debug)]
pub struct Copy {
    pub told: Told,
    /// Names at which a stranger destroyed this content, with what he put there.
    pub hands: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Content that is said to be there is nowhere.
    Lost,
    /// It is said not to be there.
    Denied,
    /// Something else is served for it.
    Wrong,
    /// It cannot be read, though nobody is in the way any more.
    Unread,
    /// The location log does not have it.
    Unrecorded,
    /// It was removed, and is there.
    Kept,
    /// It was removed after the time that the client set.
    Late,
    /// A stranger's file that stood for nothing is gone.
    Stranger,
    /// Exports go on failing.
    Unhealed,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub class: Class,
    /// Number of the operation after which it was found.
    pub after: usize,
    pub words: String,
}

pub struct Model {
    pub copies: BTreeMap<(Node, usize), Copy>,
    /// What strangers wrote, as long as it lies there.
    pub strangers: BTreeMap<(Node, Vec<u8>), Vec<u8>>,
    /// What they put where nothing was, wherever it lies by now.
    pub added: BTreeMap<(Node, Vec<u8>), Vec<u8>>,
    /// All that they ever wrote, also where it was moved since.
    pub written: BTreeSet<Vec<u8>>,
    /// Copies that a stranger's hand was ever at.
    pub reached: BTreeSet<(Node, usize)>,
    /// Whether a server has not heard of what the other did to the tree.
    pub stale: [bool; 2],
    pub findings: Vec<Finding>,
    /// The operation that is done now.
    pub at: usize,
    /// Keys by number: name and content.
    pub keys: Vec<(String, Vec<u8>)>,
}

impl Model {
    pub fn new(keys: Vec<(String, Vec<u8>)>) -> Model {
        let nothing = Copy { told: Told::Never, hands: BTreeMap::new() };
        let all = NODES.iter().flat_map(|node| (0..keys.len()).map(move |key| (*node, key)));
        Model {
            copies: all.map(|copy| (copy, nothing.clone())).collect(),
            strangers: BTreeMap::new(),
            added: BTreeMap::new(),
            written: BTreeSet::new(),
            reached: BTreeSet::new(),
            stale: [false; 2],
            findings: Vec::new(),
            at: 0,
            keys,
        }
    }

    pub fn find(&mut self, class: Class, words: String) {
        self.findings.push(Finding { class, after: self.at, words });
    }

    /// It is wrong, and told once.
    pub fn find_of(&mut self, class: Class, node: Node, key: usize, words: &str) {
        let copy = self.copy(node, key);
        let told = std::mem::replace(&mut copy.told, Told::Unknown);
        let name = self.keys[key].0.clone();
        self.find(class, format!("{node:?} {key} {name} (told {told:?}): {words}"));
    }

    pub fn copy(&mut self, node: Node, key: usize) -> &mut Copy {
        self.copies.get_mut(&(node, key)).expect("all are there")
    }

    pub fn is_stale(&self, node: Node, server: Server) -> bool {
        node == Node::Tree && self.stale[server as usize]
    }

    /// Something was done to the tree by way of `server`.
    pub fn changed_by(&mut self, server: Server) {
        self.stale[1 - server as usize] = true;
    }

    /// A client heard this, with nobody else at it.
    pub fn heard(&mut self, ask: &Ask, outcome: &Outcome) {
        match ask.what {
            What::Put => self.stored(ask, outcome),
            What::Remove => self.removed(ask, outcome, false),
            What::RemoveBefore { is_past } => self.removed(ask, outcome, is_past),
            What::Get | What::Check => self.read(ask, outcome, false),
        }
    }

    /// Clients heard these, all at once.
    pub fn heard_together(&mut self, heard: &[(Ask, Outcome)]) {
        let servers: BTreeSet<Server> =
            heard.iter().filter(|(ask, _)| ask.node == Node::Tree).map(|(ask, _)| ask.via.server()).collect();
        if servers.len() > 1 {
            self.stale = [true; 2];
        }
        let is_put = |ask: &Ask| ask.what == What::Put;
        let is_removal = |ask: &Ask| matches!(ask.what, What::Remove | What::RemoveBefore { .. });
        for (ask, outcome) in heard {
            let same = || heard.iter().filter(|(other, _)| (other.node, other.key) == (ask.node, ask.key));
            let may_be_gone = same().any(|(other, outcome)| is_removal(other) && *outcome != Outcome::No);
            let puts = same().filter(|(other, _)| is_put(other)).count();
            match ask.what {
                What::Get | What::Check => self.read(ask, outcome, may_be_gone || puts > 0),
                _ if may_be_gone && puts > 0 => self.copy(ask.node, ask.key).told = Told::Unknown,
                _ if is_removal(ask)
                    && same().any(|(other, outcome)| is_removal(other) && *outcome == Outcome::Yes) =>
                {
                    self.copy(ask.node, ask.key).told = Told::Gone;
                }
                _ if is_put(ask) && same().any(|(other, outcome)| is_put(other) && *outcome == Outcome::Yes) => {
                    self.stored(ask, &Outcome::Yes);
                }
                _ => self.heard(ask, outcome),
            }
        }
    }

    fn stored(&mut self, ask: &Ask, outcome: &Outcome) {
        let copy = self.copy(ask.node, ask.key);
        match outcome {
            // What a stranger put there may pass for it.
            Outcome::Yes if copy.hands.is_empty() => copy.told = Told::Stored,
            Outcome::Yes => {}
            _ if copy.told.is_there() => {}
            _ => copy.told = Told::Unknown,
        }
    }

    fn removed(&mut self, ask: &Ask, outcome: &Outcome, is_past: bool) {
        let is_stale = self.is_stale(ask.node, ask.via.server());
        let copy = self.copy(ask.node, ask.key);
        let was_there = copy.told.is_there() && copy.hands.is_empty() && !is_stale;
        match outcome {
            Outcome::Yes if is_past && was_there => {
                self.find_of(Class::Late, ask.node, ask.key, "removed after the limit");
            }
            Outcome::Yes => copy.told = if is_stale { Told::Unknown } else { Told::Gone },
            Outcome::Failed(_) if copy.told.is_there() => copy.told = Told::Unknown,
            _ => {}
        }
    }

    /// `in_doubt`: others may have stored or removed it meanwhile.
    pub fn read(&mut self, ask: &Ask, outcome: &Outcome, in_doubt: bool) {
        let Ask { node, key, .. } = *ask;
        if self.is_stale(node, ask.via.server()) {
            return;
        }
        let right = self.keys[key].1.clone();
        let is_only = self.is_only(&right);
        let copy = self.copy(node, key);
        let (told, untouched) = (copy.told, copy.hands.is_empty());
        match outcome {
            Outcome::Content(got) if *got != right => {
                // What a stranger put in its place is served until somebody reads it, also where it was moved since: by a gateway
                // that never saw ours there. Clients see by the digest.
                let may_be = self.written.contains(got) && self.reached.contains(&(node, key));
                if !may_be {
                    let whose = self.whose(got);
                    self.find_of(Class::Wrong, node, key, &format!("{ask:?} gives {whose}"));
                }
            }
            // An answer without a body is "no" to most.
            Outcome::No if ask.what == What::Get && right.is_empty() => {}
            _ if in_doubt => {}
            Outcome::Yes | Outcome::Content(_) => match told {
                Told::Gone if node != Node::Tree && untouched => {
                    self.find_of(Class::Kept, node, key, &format!("{ask:?} finds what was removed"));
                }
                Told::Unknown | Told::Never | Told::Gone if untouched => copy.told = Told::Seen,
                _ => {}
            },
            Outcome::No => match told {
                // It was seen in a file of another key.
                Told::Seen if !is_only => copy.told = Told::Never,
                Told::Stored | Told::Seen if untouched => {
                    self.find_of(Class::Denied, node, key, &format!("{ask:?} finds nothing"));
                }
                Told::Unknown => copy.told = Told::Never,
                _ => {}
            },
            Outcome::Failed(_) => {}
        }
    }

    /// Whether no two keys have this content.
    fn is_only(&self, content: &[u8]) -> bool {
        self.keys.iter().filter(|(_, body)| body == content).count() == 1
    }

    /// Whose content that is.
    pub fn whose(&self, content: &[u8]) -> String {
        let of_key = self.keys.iter().find(|(_, body)| body == content).map(|(name, _)| name.clone());
        let stranger = || {
            let mut all = self.strangers.iter().filter(|(_, written)| *written == content);
            all.next().map(|((node, name), _)| format!("a stranger's at {node:?} {}", name.escape_ascii()))
        };
        let other = || match self.written.contains(content) {
            true => format!("{} bytes of a stranger, who put them elsewhere", content.len()),
            false => format!("{} bytes of nobody", content.len()),
        };
        let plain = || super::trees::plain().iter().any(|plain| plain == content).then(|| "a file of git".to_string());
        of_key.or_else(stranger).or_else(plain).unwrap_or_else(other)
    }

    /// A stranger's hand was at `name`, where the store held `files`. He answers for that copy and no other.
    pub fn touched(&mut self, node: Node, files: &BTreeMap<Vec<u8>, Vec<u8>>, name: &[u8], now: Option<&[u8]>) {
        let place = (node, name.to_vec());
        let was = files.get(name);
        // A stranger may destroy what strangers put there, wherever that lies.
        let before = self.added.len();
        self.added.retain(|(at, _), written| *at != node || Some(&*written) != was);
        let was_added = self.added.len() < before;
        self.strangers.remove(&place);
        if let Some(now) = now {
            self.written.insert(now.to_vec());
            self.strangers.insert(place.clone(), now.to_vec());
            if was.is_none() || was_added {
                self.added.insert(place, now.to_vec());
            }
        }
        let Some(was) = was else { return };
        let of_keys: Vec<usize> = (0..self.keys.len()).filter(|key| self.keys[*key].1 == *was).collect();
        for key in of_keys {
            // Files with its bytes may be another key's.
            let others = if self.is_only(was) { self.others(node, files, name, key) } else { 0 };
            self.reached.insert((node, key));
            let copy = self.copy(node, key);
            copy.hands.insert(name.to_vec(), now.map(<[u8]>::to_vec));
            if others == 0 && copy.told.is_there() {
                copy.told = Told::Unknown;
            }
        }
    }

    /// Files but `name` that hold the content of `key`, and that no stranger wrote. What he wrote for another key may have been
    /// moved since, and goes when that key is removed: where he wrote this content at all, it counts at the key's own place alone.
    fn others(&self, node: Node, files: &BTreeMap<Vec<u8>, Vec<u8>>, name: &[u8], key: usize) -> usize {
        let (of_key, content) = &self.keys[key];
        let own = format!("/{of_key}");
        let is_ours = |other: &[u8]| !self.written.contains(content) || other.ends_with(own.as_bytes());
        let same = files.iter().filter(|(other, held)| other.as_slice() != name && *held == content);
        same.filter(|(other, held)| is_ours(other) && self.strangers.get(&(node, other.to_vec())) != Some(*held))
            .count()
    }
}
