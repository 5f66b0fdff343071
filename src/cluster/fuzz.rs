//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that plain tests can run them too.
//!
//! They panic when a promise of the module is broken.

mod moves;
pub(super) mod route;

use std::collections::BTreeSet;

use super::{Candidate, Holder, Pick, Placement, Why, order, place as placed};
use crate::name::Key;
use crate::wanted::fuzz::situation;
use crate::wanted::{Facts, Policy, Repo, Trust};
#[cfg(test)]
pub(super) use moves::check as check_moves;
pub use moves::moves_of as moves;
pub use route::routes_of as routes;

/// The first byte is numcopies, the next four say how four nodes are; the rest is a situation of `wanted::fuzz`. A placement
/// does not depend on the order of the candidates, nobody is chosen who may not be, and who places it again adds nobody.
pub fn place(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(5) else { return };
    let Some((policy, facts)) = situation(rest) else { return };
    let (Ok(key), numcopies) = (facts.key(), u64::from(head[0])) else { return };
    let question = policy.about(&facts);
    let candidates: Vec<Candidate> =
        policy.repos().zip(&head[1..]).filter_map(|(repo, byte)| candidate(repo, *byte)).collect();
    ask(&policy, key, head);
    let backwards: Vec<Candidate> = candidates.iter().rev().copied().collect();
    let Ok(found) = placed(&question, key, &candidates, numcopies) else { return };
    assert_eq!(placed(&question, key, &backwards, numcopies).as_ref(), Ok(&found), "the order of candidates matters");
    check(&policy, &candidates, numcopies, &found);
    if let Placement::Put(picks) = &found
        && picks[0].why == Why::Wanted
    {
        let with = |mut candidate: Candidate| {
            candidate.has |= picks.iter().any(|pick| pick.repo == candidate.repo);
            candidate
        };
        let after: Vec<Candidate> = candidates.iter().copied().map(with).collect();
        let again = placed(&question, key, &after, numcopies);
        assert!(matches!(again, Ok(Placement::Has(_))), "placed again, it goes to {again:?}");
    }
}

/// Nobody who may not be chosen is, and nobody is passed over who must not be.
pub(super) fn check(policy: &Policy, candidates: &[Candidate], numcopies: u64, found: &Placement) {
    let alive = |candidate: &&Candidate| policy.settings(candidate.repo).trust != Trust::Dead;
    let has: BTreeSet<Repo> = candidates.iter().filter(alive).filter(|it| it.has).map(|it| it.repo).collect();
    let open: Vec<&Candidate> = candidates.iter().filter(alive).filter(|it| !it.has && it.fits).collect();
    match found {
        Placement::Put(picks) => {
            let chosen: BTreeSet<Repo> = picks.iter().map(|pick| pick.repo).collect();
            assert!(!picks.is_empty() && chosen.len() == picks.len(), "one is chosen twice");
            assert!(chosen.iter().all(|repo| open.iter().any(|it| it.repo == *repo)), "who may not be chosen is");
            let of = |why: Why| picks.iter().filter(move |Pick { why: other, .. }| *other == why).count();
            if of(Why::NumCopies) > 0 {
                let asked = usize::try_from(numcopies.max(1)).unwrap_or(usize::MAX);
                assert_eq!(
                    (of(Why::Wanted), of(Why::NumCopies)),
                    (0, open.len().min(asked)),
                    "numcopies is not heeded"
                );
                let room = |it: &Candidate| it.room.unwrap_or(u64::MAX);
                let chosen_room = open.iter().filter(|it| chosen.contains(&it.repo)).map(|it| room(it)).min();
                let others = open.iter().filter(|it| !chosen.contains(&it.repo)).map(|it| room(it)).max();
                assert!(chosen_room >= others, "who has more room is passed over");
                assert!(has.is_empty(), "what nobody wants is copied");
            }
        }
        Placement::Has(holders) => {
            assert!(!has.is_empty() && holders.iter().copied().collect::<BTreeSet<_>>() == has, "not who has it");
        }
        Placement::NoRoom => assert!(has.is_empty() && open.is_empty(), "there is room"),
    }
}

fn candidate(repo: Repo, byte: u8) -> Option<Candidate> {
    let bit = |at: u8| byte >> at & 1 != 0;
    bit(0).then_some(Candidate {
        repo,
        has: bit(1),
        fits: bit(2),
        cost: if bit(5) && bit(4) { f64::NAN } else { f64::from(byte >> 4 & 3) * 100.0 },
        room: (!bit(3)).then_some(u64::from(byte >> 6) * 500),
    })
}

/// Whom to ask is everybody, once, and nobody who is down comes before one who is up.
fn ask(policy: &Policy, key: &Key, nodes: &[u8]) {
    let holder = |(repo, byte): (Repo, &u8)| Holder {
        uuid: policy.uuid(repo).clone(),
        is_up: byte & 1 != 0,
        cost: if byte & 6 == 6 { f64::NAN } else { f64::from(byte >> 1 & 3) },
        hops: u32::from(byte >> 3 & 1),
        serving: u32::from(byte >> 4 & 3),
        speed: (byte >> 6 != 0).then_some(u64::from(byte >> 6)),
    };
    let holders: Vec<Holder> = policy.repos().zip(nodes).map(holder).collect();
    let places = order(key, &holders);
    assert_eq!(places.iter().copied().collect::<BTreeSet<_>>(), (0..holders.len()).collect(), "somebody is left out");
    assert!(places.iter().map(|at| !holders[*at].is_up).is_sorted(), "who is down is asked before one who is up");
    let backwards: Vec<Holder> = holders.iter().rev().cloned().collect();
    let same = order(key, &backwards).into_iter().map(|at| &backwards[at].uuid);
    assert!(same.eq(places.iter().map(|at| &holders[*at].uuid)), "the order of holders matters");
}
