//! Which nodes of a cluster an upload goes to.

use std::cmp::Reverse;

use super::draw::lot;
use super::wishes::Wishes;
use crate::name::Key;
use crate::wanted::{Assumed, Repo, RepoSet, Trust, Unknown};

/// A node that may take an upload: one that is up, verified and not read-only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Who it is, in the policy of the question.
    pub repo: Repo,
    /// What it costs to reach it; less is better. Source: `annex-cost`.
    pub cost: f64,
    /// Whether it is recorded as having the content.
    pub has: bool,
    /// Whether the content fits there: within its maxsize, beside uploads that are under way.
    pub fits: bool,
    /// Bytes that are free there within its maxsize; `None` where it has none.
    pub room: Option<u64>,
}

/// A node that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Who it is.
    pub repo: Repo,
    /// What it was chosen for.
    pub why: Why,
}

/// What a node is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It wants the content, or is required to have it.
    Wanted,
    /// No node wants the content, and numcopies asks for so many copies.
    NumCopies,
}

/// Where an upload goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// To these nodes, of which there is at least one, in the order in which they were chosen.
    Put(Vec<Pick>),
    /// Nowhere: no other node wants it, and these are recorded as having it. Best first.
    Has(Vec<Repo>),
    /// No node has it, and it fits nowhere.
    NoRoom,
}

/// Chooses the nodes that an upload of `key` goes to. The order of `candidates` does not matter.
///
/// Nodes where it fits, that do not have it and that are not dead are asked one after another whether they want it: the
/// cheapest first, those that cost the same in an order drawn from the key. Each is asked as if those chosen before had it
/// already, and all are asked again until a round adds nobody. Where nobody wants it, it stays where it is recorded; recorded
/// nowhere, it goes to as many as `numcopies` says, but one at least: those with the most room.
///
/// So archive nodes (`not copies=archive:1`) get one copy and share the load, and `lackingcopies` gets as many as lack.
///
/// # Errors
/// [`Unknown`] where the answer of a node depends on a fact that cannot be told.
pub fn place<W: Wishes + ?Sized>(
    wishes: &W,
    key: &Key,
    candidates: &[Candidate],
    numcopies: u64,
) -> Result<Placement, Unknown> {
    place_on(wishes, &ranked(wishes, key, candidates), &Assumed::default(), numcopies)
}

/// `candidates` that are not dead, each once, in the order in which they are asked about `key`.
pub(super) fn ranked<W: Wishes + ?Sized>(wishes: &W, key: &Key, candidates: &[Candidate]) -> Vec<Candidate> {
    let policy = wishes.policy();
    let alive = candidates.iter().filter(|candidate| policy.settings(candidate.repo).trust != Trust::Dead);
    let mut ranked: Vec<(&Candidate, [u8; 32])> =
        alive.map(|candidate| (candidate, lot(key, policy.uuid(candidate.repo)))).collect();
    ranked.sort_by(|(a, lot_of_a), (b, lot_of_b)| a.cost.total_cmp(&b.cost).then_with(|| lot_of_a.cmp(lot_of_b)));
    let mut seen = RepoSet::new();
    let mut ranked: Vec<Candidate> = ranked.into_iter().map(|(candidate, _)| *candidate).collect();
    ranked.retain(|candidate| seen.insert(candidate.repo));
    ranked
}

/// The same on candidates that are [`ranked`]. What is `assumed` holds beside what they have.
pub(super) fn place_on<W: Wishes + ?Sized>(
    wishes: &W,
    ranked: &[Candidate],
    assumed: &Assumed,
    numcopies: u64,
) -> Result<Placement, Unknown> {
    let has: Vec<Repo> = ranked.iter().filter(|candidate| candidate.has).map(|candidate| candidate.repo).collect();
    let mut open: Vec<&Candidate> = ranked.iter().filter(|candidate| !candidate.has && candidate.fits).collect();
    let picks = wanting(wishes, &has, assumed, &mut open)?;
    if !picks.is_empty() {
        return Ok(Placement::Put(picks));
    }
    if !has.is_empty() {
        return Ok(Placement::Has(has));
    }
    // Stable: of those with as much room, the order of before.
    open.sort_by_key(|candidate| Reverse(candidate.room.unwrap_or(u64::MAX)));
    open.truncate(usize::try_from(numcopies.max(1)).unwrap_or(usize::MAX));
    let picks: Vec<Pick> = open.iter().map(|candidate| Pick { repo: candidate.repo, why: Why::NumCopies }).collect();
    Ok(if picks.is_empty() { Placement::NoRoom } else { Placement::Put(picks) })
}

/// Those of `open` that want it, taken out of there.
fn wanting<W: Wishes + ?Sized>(
    wishes: &W,
    has: &[Repo],
    assumed: &Assumed,
    open: &mut Vec<&Candidate>,
) -> Result<Vec<Pick>, Unknown> {
    let mut assumed = assumed.clone();
    has.iter().for_each(|repo| {
        assumed.has.insert(*repo);
    });
    let mut picks = Vec::new();
    // One that was chosen may be what another waits for, as with `copies=archive:1`.
    let mut before = None;
    while before.replace(picks.len()) != Some(picks.len()) {
        let mut left = Vec::with_capacity(open.len());
        for candidate in open.drain(..) {
            if wishes.wants(candidate.repo, &assumed)? {
                assumed.has.insert(candidate.repo);
                picks.push(Pick { repo: candidate.repo, why: Why::Wanted });
            } else {
                left.push(candidate);
            }
        }
        *open = left;
    }
    Ok(picks)
}
