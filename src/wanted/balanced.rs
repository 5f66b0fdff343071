//! Which members of a group a key is balanced to.
//!
//! Each key has a number, and each member a place in the order of uuids; the members that have room are counted through
//! from the number on. The number is an HMAC-SHA256 whose secret are the uuids of all members, so that it is another in
//! each group. Source: git-annex's design page, and tables recorded from git-annex.

use std::cmp::Ordering;

use sha2::{Digest, Sha256};

use super::repos::{Repo, RepoSet};
use crate::name::{Key, Uuid};

/// The members of a group, and the keyed states of its HMAC.
#[derive(Debug, Clone)]
pub(in crate::wanted) struct Balancer {
    /// By uuid, ascending. Of any trust, dead ones too.
    members: Vec<Repo>,
    inner: Sha256,
    outer: Sha256,
}

/// How full a member is.
#[derive(Debug, Clone, Copy)]
pub(in crate::wanted) struct Fill {
    /// Bytes that it may hold. `None` where no maximum is recorded.
    pub max: Option<u64>,
    /// Bytes that are recorded of it.
    pub used: u64,
    /// Whether the key is recorded there.
    pub has: bool,
}

impl Balancer {
    pub fn new(mut members: Vec<(Repo, &Uuid)>) -> Self {
        const BLOCK: usize = 64;
        members.sort_by_key(|(_, uuid)| *uuid);
        let mut secret: Vec<u8> = members.iter().flat_map(|(_, uuid)| uuid.as_bytes()).copied().collect();
        if secret.len() > BLOCK {
            secret = Sha256::digest(&secret).to_vec();
        }
        secret.resize(BLOCK, 0);
        let keyed = |mask: u8| Sha256::new_with_prefix(secret.iter().map(|byte| byte ^ mask).collect::<Vec<u8>>());
        Self { members: members.into_iter().map(|(repo, _)| repo).collect(), inner: keyed(0x36), outer: keyed(0x5c) }
    }

    pub fn members(&self) -> &[Repo] {
        &self.members
    }

    /// The number of a key in this group, 256 bits from the most significant byte on.
    pub fn number(&self, key: &Key) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(key.as_bytes()).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }

    /// `count` of the members in `candidates`, by the number of a key: one after another from its remainder on.
    pub fn by_number(&self, candidates: &RepoSet, number: &[u8; 32], count: i64) -> RepoSet {
        let total = self.members.iter().filter(|member| candidates.contains(**member)).count();
        if total == 0 {
            return RepoSet::new();
        }
        let modulo = |value: u64| value % total as u64;
        let start = number.chunks(4).fold(0, |rest: u64, word| {
            let word = word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            // Both fit: there are less than 2^32 members.
            modulo(rest << 32 | word)
        });
        let count = usize::try_from(count).unwrap_or(0).min(total);
        let mut picks = RepoSet::new();
        let members = || self.members.iter().filter(|member| candidates.contains(**member));
        let start = usize::try_from(start).unwrap_or(0);
        members().chain(members()).skip(start).take(count).for_each(|member| {
            picks.insert(*member);
        });
        picks
    }

    /// `count` of the members in `candidates` that have the largest part of their room free; of those alike, the one with
    /// the greatest uuid. Those without a maximum, or with one of 0, are never chosen.
    pub fn by_size(&self, candidates: &RepoSet, size: u64, fills: &[Fill], count: i64) -> RepoSet {
        let mut free: Vec<(Repo, f64)> = Vec::with_capacity(self.members.len());
        for (member, fill) in self.members.iter().zip(fills) {
            if let Some(max) = fill.max.filter(|max| *max > 0 && candidates.contains(*member)) {
                free.push((*member, (max as f64 - fill.without(size) as f64) / max as f64));
            }
        }
        // Stable, and from the greatest uuid on: of those alike it stays the first.
        free.reverse();
        free.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
        free.iter().take(usize::try_from(count).unwrap_or(0)).map(|(member, _)| *member).collect()
    }
}

impl Fill {
    /// Bytes used but for a copy of the key that is there already.
    fn without(self, size: u64) -> u64 {
        if self.has { self.used.saturating_sub(size) } else { self.used }
    }

    /// Whether the key fits; one that fits exactly does, and so one without a size where the maximum is 0.
    pub fn fits(self, size: u64) -> bool {
        self.max.is_none_or(|max| self.without(size).saturating_add(size) <= max)
    }

    /// Whether so many percent of it are used, its copy of the key among them. One that may hold nothing never is: recorded.
    pub fn is_full(self, percent: u64) -> bool {
        let share = u128::from(self.used) * 100;
        self.max.is_some_and(|max| max > 0 && share >= u128::from(percent) * u128::from(max))
    }
}
