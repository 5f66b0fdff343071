//! Plans of moves.

use super::super::{Copies, Moves, Node, Stay, Wishes, moves};
use crate::name::Uuid;
use crate::wanted::fuzz::situation;
use crate::wanted::{Assumed, Facts, Policy, Trust};

/// The first byte tells of copies, the next four say how four nodes are, and four more what fits there; the rest is a situation of
/// `wanted::fuzz`. No plan goes below the copies that are needed, and it ends at rest: planned anew once it is carried out, nothing
/// is to be done.
pub fn moves_of(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(9) else { return };
    let Some((policy, facts)) = situation(rest) else { return };
    let Ok(key) = facts.key().cloned() else { return };
    let mut holders: Vec<Uuid> = Vec::new();
    if facts.holders(&mut |uuid| holders.push(uuid.clone())).is_err() {
        return;
    }
    let numcopies = 1 + u64::from(head[0] & 3);
    let copies = Copies {
        needed: numcopies + u64::from(head[0] >> 2 & 1),
        numcopies,
        elsewhere: u64::from(head[0] >> 3 & 3),
        is_source: head[0] & 0x80 != 0,
    };
    let nodes = policy.repos().zip(head[1..5].iter().zip(&head[5..])).map(|(repo, (how, room))| Node {
        repo,
        cost: f64::from(how >> 6) * 100.0,
        has: holders.contains(policy.uuid(repo)),
        fits: room & 1 != 0,
        room: (room & 2 != 0).then_some(u64::from(room >> 2)),
        is_up: how & 1 != 0,
        is_writable: how & 2 != 0,
        is_drained: how & 0x0c == 0x0c,
        is_ours: how & 0x10 == 0,
        is_sure: how & 0x20 == 0,
    });
    let nodes: Vec<Node> = nodes.collect();
    let question = policy.about(&facts);
    let backwards: Vec<Node> = nodes.iter().rev().copied().collect();
    let Ok(found) = moves(&question, &key, &nodes, copies) else { return };
    assert_eq!(moves(&question, &key, &backwards, copies).as_ref(), Ok(&found), "the order of nodes matters");
    let after = check(&policy, &question, &nodes, copies, &found);

    let has = after.iter().filter(|node| node.has).map(|node| policy.uuid(node.repo).clone());
    let now = facts.with_holders(has.collect());
    let again = moves(&policy.about(&now), &key, &after, copies);
    // What is required may depend on copies, and end with the first of them: then the next run goes on.
    let ends = found.stays.iter().any(|(_, stay)| *stay == Stay::Required);
    assert!(ends || again.as_ref().is_ok_and(Moves::is_empty), "{found:?}, and then {again:?}");
}

/// What holds for every plan; the nodes as they are once it is carried out.
pub(in crate::cluster) fn check<W: Wishes + ?Sized>(
    policy: &Policy,
    wishes: &W,
    all: &[Node],
    copies: Copies,
    found: &Moves,
) -> Vec<Node> {
    let trust = |node: &Node| policy.settings(node.repo).trust;
    let is_copy = |node: &&Node| node.has && node.is_up && trust(node) != Trust::Dead;
    let counts = |node: &&Node| is_copy(node) && node.is_sure && trust(node) > Trust::Untrusted;
    let after = carried(all, found);
    let left = after.iter().filter(counts).count() as u64 + copies.elsewhere;
    for (node, now) in all.iter().zip(&after) {
        let gets = found.to.iter().filter(|pick| pick.repo == node.repo).count();
        let drops = found.drops.iter().filter(|repo| **repo == node.repo).count();
        assert!(gets + drops <= 1, "it moves twice");
        if gets == 1 {
            assert!(
                !node.has && node.fits && node.is_up && node.is_writable && !node.is_drained,
                "it may not be sent there"
            );
            assert!(trust(node) != Trust::Dead, "it goes to the dead");
        }
        if drops == 1 {
            assert!(
                node.has && node.is_up && node.is_writable && node.is_ours && trust(node) != Trust::Dead,
                "it may not be dropped there"
            );
            if node.is_drained {
                assert!(wishes.requires(node.repo, Assumed::NOTHING) == Ok(false), "it is required");
            }
            assert!(left >= copies.needed, "{left} of {} copies are left", copies.needed);
            assert!(after.iter().any(|node| node.is_sure && is_copy(&node)), "nobody has it");
        }
        if !node.is_drained && !policy.is_configured(node.repo) {
            assert!(!node.has || now.has, "it wants all");
        }
    }
    if !found.lacks.is_empty() {
        assert!(!copies.is_source && !all.iter().any(|node| is_copy(&node)), "it can be had");
    }
    if !found.to.is_empty() {
        assert!(copies.is_source || all.iter().any(|node| is_copy(&node)), "it comes from nowhere");
    }
    // Drained nodes are empty, or it is told why not.
    for node in after.iter().filter(|node| node.is_drained && node.has && trust(node) != Trust::Dead) {
        assert!(found.stays.iter().any(|(repo, _)| *repo == node.repo), "it stays without a reason");
    }
    after
}

/// Whoever has it after the moves.
fn carried(nodes: &[Node], found: &Moves) -> Vec<Node> {
    let after = |node: &Node| {
        let gets = found.to.iter().any(|pick| pick.repo == node.repo);
        Node { has: (node.has || gets) && !found.drops.contains(&node.repo), ..*node }
    };
    nodes.iter().map(after).collect()
}
