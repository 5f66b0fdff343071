//! Which node to ask first for content.

use std::cmp::Reverse;

use super::draw::lot;
use crate::name::{Key, Uuid};

/// What being one gateway further away costs. So a node of a gateway costs a little more than the gateway itself, as with
/// git-annex.
pub const HOP: f64 = 0.1;

/// A node that may be asked for content.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Who it is.
    pub uuid: Uuid,
    /// Whether it answers, as far as is known.
    pub is_up: bool,
    /// What it costs to reach it, or the gateway that it is behind; less is better. Source: `annex-cost`.
    pub cost: f64,
    /// Gateways on the way to it; 0 for a node of this one.
    pub hops: u32,
    /// What it serves now: content on its way from it.
    pub serving: u32,
    /// How fast content came from it, in bytes a second; `None` where that was not measured yet.
    pub speed: Option<u64>,
}

/// The places of `holders` in the order in which to ask them for `key`: those that are up first, then by cost and hops, then by
/// what they serve, then by how fast they were, and those alike in an order drawn from the key. One that was never measured
/// comes before those that were, so that it is.
pub fn order(key: &Key, holders: &[Holder]) -> Vec<usize> {
    let mut places: Vec<(usize, [u8; 32])> = holders.iter().map(|holder| lot(key, &holder.uuid)).enumerate().collect();
    let cost = |holder: &Holder| holder.cost + f64::from(holder.hops) * HOP;
    places.sort_by(|(a, lot_of_a), (b, lot_of_b)| {
        let (a, b) = (&holders[*a], &holders[*b]);
        let rest = |holder: &Holder| (holder.serving, Reverse(holder.speed.unwrap_or(u64::MAX)));
        let is_down = (!a.is_up).cmp(&!b.is_up);
        is_down
            .then_with(|| cost(a).total_cmp(&cost(b)))
            .then_with(|| rest(a).cmp(&rest(b)))
            .then_with(|| lot_of_a.cmp(lot_of_b))
    });
    places.into_iter().map(|(place, _)| place).collect()
}
