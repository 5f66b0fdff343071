//! Tables of what moves, and what holds for every plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Copies, Moves, Node, Stay, moves};
use crate::cluster::fuzz::check_moves;
use crate::cluster::{Ledger, Traffic};
use crate::name::Uuid;
use crate::wanted::tests::Chance;
use crate::wanted::tests::world::{World, uuid};
use crate::wanted::{Policy, Repo};

fn name(uuid: &Uuid) -> String {
    format!("d{}", uuid.to_string()[33..].parse::<u32>().unwrap_or(0))
}

/// Copies as the world has them: those of trusted strangers to the cluster count elsewhere.
fn copies(needed: u64) -> Copies {
    Copies { needed, numcopies: needed, elsewhere: 0, is_source: false }
}

/// All repositories of a world but the asking one, up and writable.
fn nodes(world: &World, policy: &Policy) -> Vec<Node> {
    let of = policy.repos().filter(|repo| *policy.uuid(*repo) != uuid("own"));
    of.map(|repo| Node {
        repo,
        cost: 100.0,
        has: world.has(policy.uuid(repo)),
        fits: true,
        room: None,
        is_up: true,
        is_writable: true,
        is_drained: false,
        is_ours: true,
        is_sure: true,
    })
    .collect()
}

/// `+d1 +d2 -d3 d4=Copies d5?`: who gets it, who drops it, who should and does not, who wants it and nobody gives it.
fn told(policy: &Policy, moves: &Moves) -> String {
    let called = |repo: &Repo| name(policy.uuid(*repo));
    let to: BTreeSet<String> = moves.to.iter().map(|pick| format!("+{}", called(&pick.repo))).collect();
    let drops: BTreeSet<String> = moves.drops.iter().map(|repo| format!("-{}", called(repo))).collect();
    let stays: BTreeSet<String> = moves.stays.iter().map(|(repo, stay)| format!("{}={stay:?}", called(repo))).collect();
    let lacks: BTreeSet<String> = moves.lacks.iter().map(|repo| format!("{}?", called(repo))).collect();
    to.into_iter().chain(drops).chain(stays).chain(lacks).collect::<Vec<_>>().join(" ")
}

/// The moves of a world, after `change` was made to each node.
fn planned(block: &str, copies: Copies, change: impl Fn(&str, &mut Node)) -> String {
    let world = World::read(block);
    let policy = Policy::new(world.configuration.clone());
    let mut nodes = nodes(&world, &policy);
    nodes.iter_mut().for_each(|node| change(&name(policy.uuid(node.repo)), node));
    let question = policy.about(&world);
    let found = moves(&question, &world.key, &nodes, copies).expect("all is told");
    nodes.reverse();
    assert_eq!(moves(&question, &world.key, &nodes, copies).as_ref(), Ok(&found), "the order of nodes matters");
    // The same key under two names, neither of which is another: the same answer.
    let twice = [policy.about(&world), policy.about(&world)];
    assert_eq!(moves(&twice[..], &world.key, &nodes, copies).as_ref(), Ok(&found));
    told(&policy, &found)
}

const THREE: &str = "repo d1\nrepo d2\nrepo d3\nkey SHA256-s100--x\nfile f.mp3\n";

#[test]
fn nodes_get_what_they_want_and_drop_what_they_do_not() {
    let of = |d1: &str, d2: &str, d3: &str, more: &str| {
        format!("{THREE}wanted d1 {d1}\nwanted d2 {d2}\nwanted d3 {d3}\n{more}")
    };
    for (what, world, needed, expected) in [
        ("nothing to do", of("anything", "nothing", "nothing", "has d1"), 1, ""),
        ("who wants it gets it, who does not drops it", of("anything", "nothing", "nothing", "has d2"), 1, "+d1 -d2"),
        ("not below numcopies", of("anything", "nothing", "nothing", "has d2"), 2, "+d1 d2=Copies"),
        ("as many as are needed stay", of("anything", "nothing", "nothing", "has d2 d3"), 2, "+d1 -d2 d3=Copies"),
        ("the last copy stays", of("nothing", "nothing", "nothing", "has d2"), 0, "d2=Last"),
        ("what is required stays", of("anything", "nothing", "nothing", "required d2 anything\nhas d2"), 1, "+d1"),
        ("an expression of the name counts", of("include=*.mp3", "exclude=*.mp3", "nothing", "has d2"), 1, "+d1 -d2"),
        ("nobody has it", of("anything", "nothing", "nothing", ""), 1, "d1?"),
        ("copies elsewhere are no source of ours", of("anything", "nothing", "nothing", "has d9"), 1, "d1?"),
    ] {
        let found = planned(&world, copies(needed), |_, _| {});
        // Which of two goes is drawn from the key.
        assert_eq!(found.replace("-d3 d2=", "-d2 d3="), expected, "{what}");
    }
    let unset = format!("{THREE}has d1");
    assert_eq!(planned(&unset, copies(1), |_, _| {}), "+d2 +d3", "who has no wishes wants all, and keeps it");
    let archives =
        "repo d1 groups=archive\nrepo d2 groups=archive\nwanted d1 standard\nwanted d2 standard\nkey SHA256-s1--x\n";
    let found = planned(&format!("{archives}has d1 d2"), copies(1), |name, node| {
        node.cost = if name == "d1" { 100.0 } else { 200.0 };
    });
    assert_eq!(found, "-d2", "of two archives the dearer one lets go");
    let source = Copies { is_source: true, ..copies(1) };
    assert_eq!(planned(&format!("{THREE}wanted d1 nothing\nwanted d2 nothing"), source, |_, _| {}), "+d3", "from here");
}

#[test]
fn what_cannot_be_reached_or_relied_on_is_no_copy() {
    let world = format!("{THREE}wanted d1 nothing\nwanted d2 anything\nwanted d3 anything\nhas d1 d2");
    let with = |change: &dyn Fn(&str, &mut Node)| planned(&world, copies(1), change);
    assert_eq!(with(&|_, _| {}), "+d3 -d1");
    assert_eq!(with(&|name, node| node.is_up = name != "d2"), "+d3 -d1");
    assert_eq!(with(&|name, node| node.is_up = name == "d1"), "d1=Copies", "both others are down");
    assert_eq!(with(&|_, node| node.is_writable = false), "d1=ReadOnly");
    assert_eq!(with(&|name, node| node.is_up = name != "d1"), "+d3 d1=Down");
    assert_eq!(with(&|_, node| node.is_up = false), "d1=Down");
    assert_eq!(with(&|name, node| node.fits = name != "d3"), "-d1", "it does not fit on d3");
    let untrusted = world.replace("repo d2\n", "repo d2 trust=0\n");
    assert_eq!(planned(&untrusted, copies(1), |name, node| node.fits = name != "d3"), "d1=Copies");
    let dead = world.replace("repo d2\n", "repo d2 trust=X\n");
    assert_eq!(planned(&dead, copies(1), |_, _| {}), "+d3 -d1", "the dead are left alone");
    let elsewhere = Copies { elsewhere: 1, ..copies(2) };
    assert_eq!(planned(&world, elsewhere, |name, node| node.fits = name != "d3"), "-d1");
}

#[test]
fn what_is_behind_another_gateway_is_filled_and_never_told_to_drop() {
    let of =
        |d1: &str, d2: &str, has: &str| format!("{THREE}wanted d1 {d1}\nwanted d2 {d2}\nwanted d3 nothing\nhas {has}");
    // d2 is a repository there, or a special remote.
    let with = |world: &str, is_sure: bool| {
        planned(world, copies(1), |name, node| {
            if name == "d2" {
                (node.is_ours, node.is_sure) = (false, is_sure);
            }
        })
    };
    for (what, world, locked, unlocked) in [
        ("it gets what it wants", of("nothing", "anything", "d1"), "+d2 -d1", "+d2 d1=Copies"),
        ("it gives what others want", of("anything", "nothing", "d2"), "+d1 d2=Elsewhere", "+d1 d2=Elsewhere"),
        ("what it has counts where it can be locked", of("nothing", "anything", "d1 d2"), "-d1", "d1=Copies"),
    ] {
        assert_eq!((with(&world, true).as_str(), with(&world, false).as_str()), (locked, unlocked), "{what}");
    }
    let drained = planned(&of("anything", "anything", "d1 d2"), copies(1), |name, node| {
        (node.is_ours, node.is_drained) = (name != "d2", name == "d2");
    });
    assert_eq!(drained, "d2=Elsewhere");
}

#[test]
fn a_node_that_is_drained_is_emptied_where_that_can_be() {
    let drain = |name: &str, node: &mut Node| node.is_drained = name == "d1";
    for (what, more, needed, expected) in [
        ("who wants it has it", "wanted d2 anything\nwanted d3 nothing\nhas d1 d2", 1, "-d1"),
        ("who waits for the copy gets it", "wanted d2 not copies=1\nwanted d3 nothing\nhas d1", 1, "+d2 -d1"),
        ("nobody wants it, and it is kept", "wanted d2 nothing\nwanted d3 nothing\nhas d1", 2, "+d2 +d3 -d1"),
        ("copies that lack are made", "wanted d2 nothing\nwanted d3 nothing\nhas d1 d2", 2, "+d3 -d1 d2=Copies"),
        ("or it stays", "wanted d2 nothing\nwanted d3 nothing\nhas d1 d2", 3, "d1=Copies d2=Copies"),
        (
            "what it must have stays",
            "required d1 anything\nwanted d2 nothing\nwanted d3 nothing\nhas d1 d2",
            1,
            "d1=Required",
        ),
        ("it gets nothing", "wanted d2 anything\nwanted d3 nothing\nhas d2", 1, ""),
    ] {
        let found = planned(&format!("{THREE}wanted d1 anything\n{more}"), copies(needed), drain);
        assert_eq!(found, expected.replace("d1=Required", "-d2 d1=Required"), "{what}");
    }
    let full = |name: &str, node: &mut Node| (node.is_drained, node.fits) = (name == "d1", false);
    let nobody = format!("{THREE}wanted d1 anything\nwanted d2 nothing\nwanted d3 nothing\nhas d1");
    assert_eq!(planned(&nobody, copies(1), full), "d1=Copies", "it fits nowhere");
    let balanced = "repo d1 groups=g\nrepo d2 groups=g\nrepo d3 groups=g\nkey SHA256-s100--x\nhas d1\n\
                    wanted d1 balanced=g\nwanted d2 balanced=g\nwanted d3 balanced=g\n";
    let found = planned(balanced, copies(1), drain);
    assert!(found.ends_with(" -d1") && found.starts_with('+'), "{found}");
}

#[test]
fn what_is_balanced_moves_only_when_it_is_rebalanced() {
    let of = |at: usize, more: &str| {
        format!(
            "repo d1 groups=g\nrepo d2 groups=g\nrepo d3 groups=g\nkey SHA256-s100--{at}\nhas d1\n\
             wanted d1 balanced=g\nwanted d2 balanced=g\nwanted d3 balanced=g\n{more}"
        )
    };
    let mut moved = 0;
    for at in 0..60 {
        assert_eq!(planned(&of(at, ""), copies(1), |_, _| {}), "");
        let found = planned(&of(at, "rebalance"), copies(1), |_, _| {});
        assert!(["", "+d2 -d1", "+d3 -d1"].contains(&&*found), "{found}");
        moved += usize::from(!found.is_empty());
    }
    assert!((20..60).contains(&moved), "two of three keys move: {moved}");
}

#[test]
fn a_ledger_counts_what_moves() {
    let world = World::read(&format!("{THREE}wanted d1 anything\nwanted d2 nothing\nwanted d3 nothing\nhas d2"));
    let policy = Policy::new(world.configuration.clone());
    let found = moves(&policy.about(&world), &world.key, &nodes(&world, &policy), copies(1)).expect("all is told");
    let mut ledger = Ledger::new([(uuid("d2"), 150)].into_iter().collect());
    assert_eq!(ledger.room(&uuid("d2"), Some(200), 100, false), (false, Some(50)));
    assert_eq!(ledger.room(&uuid("d2"), Some(150), 100, true), (true, Some(0)));
    assert_eq!(ledger.room(&uuid("d2"), None, 100, false), (true, None));
    ledger.carry(&policy, &found, 100);
    assert_eq!((ledger.used(&uuid("d1")), ledger.used(&uuid("d2"))), (100, 50));
    assert_eq!(ledger.traffic(&uuid("d1")), Traffic { files_in: 1, bytes_in: 100, ..Traffic::default() });
    assert_eq!(ledger.traffic(&uuid("d2")), Traffic { files_out: 1, bytes_out: 100, ..Traffic::default() });
    ledger.lost(&uuid("d1"), 500);
    assert_eq!((ledger.used(&uuid("d1")), ledger.traffic(&uuid("d1")).files_out), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_plan_loses_nothing_and_comes_to_rest(seed in 1u64.., needed in 1u64..4, numcopies in 1u64..4, elsewhere in 0u64..2) {
        let mut chance = Chance(seed);
        let mut world = chance.world();
        let policy = Policy::new(world.configuration.clone());
        let mut all = nodes(&world, &policy);
        for node in &mut all {
            node.cost = [100.0, 100.0, 200.0][chance.below(3)];
            node.fits = chance.below(5) > 0;
            node.room = [None, Some(100), Some(500)][chance.below(3)];
            node.is_up = chance.below(8) > 0;
            node.is_writable = chance.below(8) > 0;
            node.is_drained = chance.below(5) == 0;
            node.is_ours = chance.below(4) > 0;
            node.is_sure = node.is_ours || chance.below(2) > 0;
        }
        let needed = needed.max(numcopies);
        let copies = Copies { needed, numcopies, elsewhere, is_source: false };
        let question = policy.about(&world);
        let found = moves(&question, &world.key, &all, copies).expect("all is told");

        let after = check_moves(&policy, &question, &all, copies, &found);

        // Carried out, and looked at anew.
        let has = |now: &&Node| now.has;
        let of_nodes = |uuid: &Uuid| all.iter().any(|node| policy.uuid(node.repo) == uuid);
        world.holders.retain(|holder| !of_nodes(holder));
        world.holders.extend(after.iter().filter(has).map(|now| policy.uuid(now.repo).clone()));
        let again = moves(&policy.about(&world), &world.key, &after, copies).expect("all is told");
        // What is required may depend on copies, and end with the first of them: then the next run goes on.
        let ends = found.stays.iter().any(|(_, stay)| *stay == Stay::Required);
        prop_assert!(ends || again.is_empty(), "{} and then {}", told(&policy, &found), told(&policy, &again));
    }
}

#[test]
fn reasons_are_in_the_order_in_which_they_are_told() {
    assert!(Stay::Required < Stay::Copies && Stay::Copies < Stay::Last && Stay::ReadOnly < Stay::Down);
}
