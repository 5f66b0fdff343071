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
    /// A multiple of every number of members; `None` where that is no number of 64 bits: of more than 46.
    multiple: Option<u64>,
}

/// The number of a key, as far as it decides.
#[derive(Debug, Clone, Copy)]
pub(in crate::wanted) enum Number {
    /// What is left of it when the multiple of all numbers of members is taken away.
    Rest(u64),
    /// 256 bits from the most significant byte on.
    Whole([u8; 32]),
}

impl Number {
    /// What is left of it when `divisor` is taken away as often as it can be. The divisor is one of the numbers of members, or their multiple.
    fn modulo(&self, divisor: u64) -> u64 {
        match self {
            Self::Rest(rest) => rest % divisor,
            Self::Whole(bytes) => {
                let divisor = u128::from(divisor);
                let rest = bytes.chunks(4).fold(0, |rest: u128, word| {
                    let word = word.iter().fold(0, |word, byte| word << 8 | u128::from(*byte));
                    (rest << 32 | word) % divisor
                });
                // It is less than the divisor.
                rest as u64
            }
        }
    }
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
        let (inner, outer, multiple) = (keyed(0x36), keyed(0x5c), multiple(members.len()));
        Self { members: members.into_iter().map(|(repo, _)| repo).collect(), inner, outer, multiple }
    }

    pub fn members(&self) -> &[Repo] {
        &self.members
    }

    /// The number of a key in this group.
    pub fn number(&self, key: &Key) -> Number {
        let inner = self.inner.clone().chain_update(key.as_bytes()).finalize();
        let whole = Number::Whole(self.outer.clone().chain_update(inner).finalize().into());
        self.multiple.map_or(whole, |multiple| Number::Rest(whole.modulo(multiple)))
    }

    /// `count` of the members in `candidates`, by the number of a key: one after another from its remainder on.
    pub fn by_number(&self, candidates: &RepoSet, number: &Number, count: i64) -> RepoSet {
        let total = self.members.iter().filter(|member| candidates.contains(**member)).count();
        if total == 0 {
            return RepoSet::new();
        }
        let start = usize::try_from(number.modulo(total as u64)).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0).min(total);
        let mut picks = RepoSet::new();
        let members = || self.members.iter().filter(|member| candidates.contains(**member));
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

/// The least number that all from 1 to `count` divide.
fn multiple(count: usize) -> Option<u64> {
    (1..=count as u64).try_fold(1u64, |all, next| {
        let (mut a, mut b) = (all, next);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (all / a).checked_mul(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of 256 bits, as schools divide it.
    #[test]
    fn what_is_left_of_a_number_decides_as_the_number_does() {
        assert_eq!(
            (multiple(0), multiple(1), multiple(8), multiple(46)),
            (Some(1), Some(1), Some(840), Some(9_419_588_158_802_421_600))
        );
        assert_eq!(multiple(47), None);
        for seed in 0..50u8 {
            let bytes: [u8; 32] = Sha256::digest([seed]).into();
            let whole = Number::Whole(bytes);
            for of in [1usize, 2, 7, 8, 31, 46] {
                let rest = Number::Rest(whole.modulo(multiple(of).expect("it fits")));
                for divisor in 1..=of as u64 {
                    let plain = bytes.iter().fold(0, |rest, byte| (rest << 8 | u64::from(*byte)) % divisor);
                    assert_eq!((whole.modulo(divisor), rest.modulo(divisor)), (plain, plain), "{of} {divisor}");
                }
            }
        }
    }
}
