//! How full repositories are as a plan goes, and what moves in it.
//!
//! These are the numbers of `balance --dry-run`, and of whoever plays a plan through.

use std::collections::BTreeMap;

use super::moves::Moves;
use crate::name::Uuid;
use crate::wanted::Policy;

/// Bytes that repositories hold, as far as the plan has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    used: BTreeMap<Uuid, u64>,
    traffic: BTreeMap<Uuid, Traffic>,
}

/// What comes to a node, and what goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Contents that it gets.
    pub files_in: u64,
    /// Their bytes, as keys tell them.
    pub bytes_in: u64,
    /// Contents that it drops.
    pub files_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

impl Ledger {
    /// Of repositories that hold so many bytes; others hold nothing.
    pub fn new(used: BTreeMap<Uuid, u64>) -> Self {
        Self { used, traffic: BTreeMap::new() }
    }

    /// Bytes that `uuid` holds.
    pub fn used(&self, uuid: &Uuid) -> u64 {
        self.used.get(uuid).copied().unwrap_or(0)
    }

    /// Whether content of `size` bytes fits on `uuid`, which has it or not, within `maxsize`; and what is free there.
    pub fn room(&self, uuid: &Uuid, maxsize: Option<u64>, size: u64, has: bool) -> (bool, Option<u64>) {
        let Some(max) = maxsize else { return (true, None) };
        let used = self.used(uuid);
        let more = if has { 0 } else { size };
        (used.saturating_add(more) <= max, Some(max.saturating_sub(used)))
    }

    /// Content of `size` bytes moves so.
    pub fn carry(&mut self, policy: &Policy, moves: &Moves, size: u64) {
        for pick in &moves.to {
            self.stored(policy.uuid(pick.repo), size);
        }
        for repo in &moves.drops {
            self.dropped(policy.uuid(*repo), size);
        }
    }

    /// `uuid` gets content.
    pub fn stored(&mut self, uuid: &Uuid, size: u64) {
        let used = self.used.entry(uuid.clone()).or_default();
        *used = used.saturating_add(size);
        let traffic = self.traffic.entry(uuid.clone()).or_default();
        traffic.files_in += 1;
        traffic.bytes_in = traffic.bytes_in.saturating_add(size);
    }

    /// `uuid` drops content.
    pub fn dropped(&mut self, uuid: &Uuid, size: u64) {
        self.lost(uuid, size);
        let traffic = self.traffic.entry(uuid.clone()).or_default();
        traffic.files_out += 1;
        traffic.bytes_out = traffic.bytes_out.saturating_add(size);
    }

    /// `uuid` has not what it was recorded to have.
    pub fn lost(&mut self, uuid: &Uuid, size: u64) {
        let used = self.used.entry(uuid.clone()).or_default();
        *used = used.saturating_sub(size);
    }

    /// What comes to `uuid`, and what goes.
    pub fn traffic(&self, uuid: &Uuid) -> Traffic {
        self.traffic.get(uuid).copied().unwrap_or_default()
    }
}
