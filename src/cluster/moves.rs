//! What is to be moved so that the nodes of a cluster have what they want: for each key, who gets it, and who drops it.
//!
//! ```text
//! nodes that lack it: place() --> copies      (a node that is drained counts as if it had lost what it has)
//! nodes that have it: keeps() --> drops       (the dearest first, while enough copies are left)
//!        ^                          |
//!        +---- until nothing changes
//! ```
//!
//! What is planned is carried out copies first. The end is a state of rest: planned anew from there, nothing is to be done.

use std::cmp::Reverse;

use super::place::{Candidate, Pick, Placement, Why, place_on, ranked};
use super::wishes::Wishes;
use crate::name::Key;
use crate::wanted::{Assumed, Repo, RepoSet, Trust, Unknown};

/// A node, and how it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Who it is, in the policy of the question.
    pub repo: Repo,
    /// What it costs to reach it; less is better. Source: `annex-cost`.
    pub cost: f64,
    /// Whether it is recorded as having the content.
    pub has: bool,
    /// Whether the content fits there, within its maxsize.
    pub fits: bool,
    /// Bytes that are free there within its maxsize; `None` where it has none.
    pub room: Option<u64>,
    /// Whether it can be reached, as far as is known. The copy of one that cannot counts for nothing.
    pub is_up: bool,
    /// Whether content may be stored there and removed.
    pub is_writable: bool,
    /// Whether it is to be emptied: it wants nothing.
    pub is_drained: bool,
    /// Whether it may be told to drop what it has. What is behind another gateway is dropped there.
    pub is_ours: bool,
    /// Whether a copy there can be made sure of while another is dropped: by a lock, or since nobody else drops it meanwhile.
    pub is_sure: bool,
}

impl Node {
    fn may_drop(&self) -> bool {
        self.is_up && self.is_writable && self.is_ours
    }
}

/// Copies that have to be there, and those that are no node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Copies that are to be left, at least 1: the greater one of numcopies and mincopies.
    pub needed: u64,
    /// numcopies alone: what nobody wants goes to so many nodes.
    pub numcopies: u64,
    /// Copies elsewhere that can be relied on.
    pub elsewhere: u64,
    /// Whether content can be had from elsewhere too.
    pub is_source: bool,
}

/// What is to be done about one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Who gets it, in the order in which they were chosen.
    pub to: Vec<Pick>,
    /// Who drops it then, in that order.
    pub drops: Vec<Repo>,
    /// Who should drop it and does not, and why.
    pub stays: Vec<(Repo, Stay)>,
    /// Who wants it and does not get it, since it cannot be had from anybody.
    pub lacks: Vec<Repo>,
}

/// Why a node does not drop what it does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stay {
    /// It is required to have it.
    Required,
    /// numcopies or mincopies would not be kept.
    Copies,
    /// No other node has it.
    Last,
    /// Nothing may be removed there.
    ReadOnly,
    /// It cannot be reached.
    Down,
    /// It is behind another gateway, whose task that is.
    Elsewhere,
    /// Nodes would pass it on to each other for ever, as their wishes are.
    Unsettled,
}

impl Moves {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.to.is_empty() && self.drops.is_empty()
    }
}

/// Plans what is to be done about `key`. The order of `nodes` does not matter.
///
/// Nodes get what they want and lack, as [`place`](super::place()) says; then those that do not want to keep it drop it, as long
/// as [`Copies::needed`] are left and another node has it. A node of which nothing is configured keeps what it has. One that is
/// drained gets nothing, and drops what it is not required to have: where too few copies would be left, others get it, those with
/// the most room. The dead are left alone.
///
/// # Errors
/// [`Unknown`] where an answer depends on a fact that cannot be told: nothing is to be done about this key then.
pub fn moves<W: Wishes + ?Sized>(wishes: &W, key: &Key, nodes: &[Node], copies: Copies) -> Result<Moves, Unknown> {
    let plan = Plan::new(wishes, key, nodes, copies);
    let mut state = plan.begin();
    let mut first = None;
    // A wish may depend on what others have, and change with it; this comes to rest at once as a rule.
    for _ in 0..=2 * plan.ranked.len() + 1 {
        let mut next = state.clone();
        plan.copy(&mut next)?;
        first.get_or_insert_with(|| next.clone());
        plan.drop(&mut next)?;
        let is_at_rest = next.same(&state);
        state = next;
        if is_at_rest {
            return plan.end(state);
        }
    }
    // Nodes that would pass it on for ever: they get it, and nobody drops it.
    let first = first.unwrap_or_else(|| plan.begin());
    let stays = plan.unsettled(&first)?;
    let mut to = first.to;
    to.retain(|pick| plan.can_be_had && !plan.has(pick.repo));
    Ok(Moves { to, drops: Vec::new(), stays, lacks: plan.lacks()? })
}

struct Plan<'a, W: ?Sized> {
    wishes: &'a W,
    copies: Copies,
    /// The nodes that are not dead, as they are asked.
    ranked: Vec<Node>,
    can_be_had: bool,
}

/// Who has it, as the plan goes.
#[derive(Clone)]
struct State {
    has: RepoSet,
    lost: RepoSet,
    to: Vec<Pick>,
    drops: Vec<Repo>,
}

impl State {
    fn same(&self, other: &Self) -> bool {
        self.has == other.has && self.lost == other.lost
    }
}

impl<'a, W: Wishes + ?Sized> Plan<'a, W> {
    fn new(wishes: &'a W, key: &Key, nodes: &[Node], copies: Copies) -> Self {
        let candidates: Vec<Candidate> = nodes.iter().map(|node| candidate(node, node.has)).collect();
        let order = ranked(wishes, key, &candidates);
        let find = |candidate: &Candidate| nodes.iter().find(|node| node.repo == candidate.repo).copied();
        let ranked: Vec<Node> = order.iter().filter_map(find).collect();
        let can_be_had = copies.is_source || ranked.iter().any(|node| node.has && node.is_up);
        Self { wishes, copies, ranked, can_be_had }
    }

    fn begin(&self) -> State {
        let has = self.ranked.iter().filter(|node| node.has).map(|node| node.repo).collect();
        State { has, lost: RepoSet::new(), to: Vec::new(), drops: Vec::new() }
    }

    fn has(&self, repo: Repo) -> bool {
        self.ranked.iter().any(|node| node.repo == repo && node.has)
    }

    /// Drained nodes that are to lose what they have, as things are in a state.
    fn drained(&self, state: &State) -> Result<RepoSet, Unknown> {
        let assumed = Assumed { has: state.has.clone(), lost: state.lost.clone() };
        let mut drained = RepoSet::new();
        for node in self.ranked.iter().filter(|node| node.is_drained && node.may_drop()) {
            // Also what is required only as things are before anything moved.
            let is_required = |assumed: &Assumed| self.wishes.requires(node.repo, assumed);
            if state.has.contains(node.repo) && !is_required(Assumed::NOTHING)? && !is_required(&assumed)? {
                drained.insert(node.repo);
            }
        }
        Ok(drained)
    }

    /// What is assumed in a state: who is drained has lost it already.
    fn assumed(state: &State, drained: &RepoSet) -> Assumed {
        let mut assumed = Assumed { has: state.has.clone(), lost: state.lost.clone() };
        drained.iter().for_each(|repo| {
            assumed.has.remove(repo);
            assumed.lost.insert(repo);
        });
        assumed
    }

    /// Whether a copy on `node` is one that can be relied on.
    fn counts(&self, node: &Node) -> bool {
        node.is_up && node.is_sure && self.wishes.policy().settings(node.repo).trust > Trust::Untrusted
    }

    /// Copies that can be relied on, without those in `less`.
    fn counted(&self, state: &State, less: &dyn Fn(Repo) -> bool) -> u64 {
        let nodes = self.ranked.iter().filter(|node| state.has.contains(node.repo) && self.counts(node));
        self.copies.elsewhere.saturating_add(nodes.filter(|node| !less(node.repo)).count() as u64)
    }

    /// Adds who gets it.
    fn copy(&self, state: &mut State) -> Result<(), Unknown> {
        if !self.can_be_had {
            return Ok(());
        }
        let drained = self.drained(state)?;
        let is_left = |repo: Repo| state.has.contains(repo) && !drained.contains(repo);
        let candidates: Vec<Candidate> = self.ranked.iter().map(|node| candidate(node, is_left(node.repo))).collect();
        let mut picks =
            match place_on(self.wishes, &candidates, &Self::assumed(state, &drained), self.copies.numcopies)? {
                Placement::Put(picks) => picks,
                Placement::Has(_) | Placement::NoRoom => Vec::new(),
            };
        // What no node has at all is an upload that nobody made: only who wants it gets it.
        if drained.is_empty() && state.has.is_empty() {
            picks.retain(|pick| pick.why == Why::Wanted);
        }
        picks.retain(|pick| !state.has.contains(pick.repo));
        self.add(state, picks);
        let more = self.for_drained(state, &drained);
        self.add(state, more);
        Ok(())
    }

    /// Who would get it if anybody could give it.
    fn lacks(&self) -> Result<Vec<Repo>, Unknown> {
        if self.can_be_had {
            return Ok(Vec::new());
        }
        let candidates: Vec<Candidate> = self.ranked.iter().map(|node| candidate(node, node.has)).collect();
        let state = self.begin();
        let placed =
            place_on(self.wishes, &candidates, &Self::assumed(&state, &RepoSet::new()), self.copies.numcopies)?;
        let Placement::Put(picks) = placed else { return Ok(Vec::new()) };
        let wanted = picks.into_iter().filter(|pick| pick.why == Why::Wanted && !self.has(pick.repo));
        Ok(wanted.map(|pick| pick.repo).collect())
    }

    fn add(&self, state: &mut State, picks: Vec<Pick>) {
        for pick in picks {
            state.has.insert(pick.repo);
            state.lost.remove(pick.repo);
            state.drops.retain(|repo| *repo != pick.repo);
            if !self.has(pick.repo) {
                state.to.push(pick);
            }
        }
    }

    /// Who else gets it, so that what is drained leaves copies enough: those with the most room.
    fn for_drained(&self, state: &State, drained: &RepoSet) -> Vec<Pick> {
        let lacking = self.copies.needed.saturating_sub(self.counted(state, &|repo| drained.contains(repo)));
        if lacking == 0 || drained.is_empty() {
            return Vec::new();
        }
        let takes = |node: &&Node| candidate(node, false).fits && !state.has.contains(node.repo) && self.counts(node);
        let mut open: Vec<&Node> = self.ranked.iter().filter(takes).collect();
        open.sort_by_key(|node| Reverse(node.room.unwrap_or(u64::MAX)));
        open.truncate(usize::try_from(lacking).unwrap_or(usize::MAX));
        // Where not one of them could drop it then, nobody needs more copies.
        let all = self.counted(state, &|_| false).saturating_add(open.len() as u64);
        if all.saturating_sub(1) < self.copies.needed {
            return Vec::new();
        }
        open.iter().map(|node| Pick { repo: node.repo, why: Why::NumCopies }).collect()
    }

    /// Takes out who drops it: those asked last are the first to.
    fn drop(&self, state: &mut State) -> Result<(), Unknown> {
        let mut before = None;
        while before.replace(state.has.len()) != Some(state.has.len()) {
            let (drained, others): (Vec<&Node>, Vec<&Node>) =
                self.ranked.iter().rev().partition(|node| node.is_drained);
            for node in drained.into_iter().chain(others) {
                let is_there = state.has.contains(node.repo);
                if is_there && self.stay(node, state).is_none() && self.lets_go(node, state)? {
                    state.has.remove(node.repo);
                    state.lost.insert(node.repo);
                    // Who would get it only to drop it gets it not.
                    match self.has(node.repo) {
                        true => state.drops.push(node.repo),
                        false => state.to.retain(|pick| pick.repo != node.repo),
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a node does not want to keep it.
    fn lets_go(&self, node: &Node, state: &State) -> Result<bool, Unknown> {
        let drained = self.drained(state)?;
        if node.is_drained {
            return Ok(drained.contains(node.repo));
        }
        // It wants all there is.
        if !self.wishes.policy().is_configured(node.repo) {
            return Ok(false);
        }
        self.wishes.keeps(node.repo, &Self::assumed(state, &drained)).map(|keeps| !keeps)
    }

    /// Why a node may not drop it, wanted or not.
    fn stay(&self, node: &Node, state: &State) -> Option<Stay> {
        let others = self.counted(state, &|repo| repo == node.repo);
        let is_other =
            |other: &Node| other.is_up && other.is_sure && other.repo != node.repo && state.has.contains(other.repo);
        match () {
            () if !node.is_up => Some(Stay::Down),
            () if !node.is_ours => Some(Stay::Elsewhere),
            () if !node.is_writable => Some(Stay::ReadOnly),
            () if others < self.copies.needed => Some(Stay::Copies),
            () if !self.ranked.iter().any(is_other) => Some(Stay::Last),
            () => None,
        }
    }

    /// Why drained nodes keep it where nobody drops it.
    fn unsettled(&self, state: &State) -> Result<Vec<(Repo, Stay)>, Unknown> {
        let mut stays = Vec::new();
        for node in self.ranked.iter().filter(|node| node.has && node.is_drained) {
            let stay = match node.may_drop() && !self.lets_go(node, state)? {
                true => Stay::Required,
                false => self.stay(node, state).unwrap_or(Stay::Unsettled),
            };
            stays.push((node.repo, stay));
        }
        Ok(stays)
    }

    fn end(&self, state: State) -> Result<Moves, Unknown> {
        let mut stays = Vec::new();
        for node in self.ranked.iter().filter(|node| node.has && state.has.contains(node.repo)) {
            if node.is_drained && node.may_drop() && !self.lets_go(node, &state)? {
                stays.push((node.repo, Stay::Required));
            } else if let Some(stay) = self.stay(node, &state)
                && (node.is_drained || self.lets_go(node, &state)?)
            {
                stays.push((node.repo, stay));
            }
        }
        let mut to = state.to;
        to.retain(|pick| state.has.contains(pick.repo));
        Ok(Moves { to, drops: state.drops, stays, lacks: self.lacks()? })
    }
}

/// A node as one that may take content. One that has it is asked no more.
fn candidate(node: &Node, has: bool) -> Candidate {
    let takes = node.is_up && node.is_writable && !node.is_drained;
    Candidate { repo: node.repo, cost: node.cost, has, fits: node.fits && takes, room: node.room }
}

#[cfg(test)]
mod tests;
