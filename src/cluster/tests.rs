//! Tables of what goes where, and what holds for every cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::{Candidate, Holder, Pick, Placement, Why, fuzz, order, place};
use crate::name::{Key, Uuid};
use crate::wanted::tests::world::{World, uuid};
use crate::wanted::tests::{Chance, balanced};
use crate::wanted::{Policy, Repo, Unknown};

/// A node that may take it, costs 100 and has no maxsize; `has` as the world says.
fn candidate(world: &World, policy: &Policy, repo: Repo) -> Candidate {
    Candidate { repo, cost: 100.0, has: world.has(policy.uuid(repo)), fits: true, room: None }
}

/// Places the key of a world on all nodes but the asking repository, after `change` was made to each.
fn placed_with(world: &World, numcopies: u64, change: impl Fn(&str, &mut Candidate)) -> String {
    let policy = Policy::new(world.configuration.clone());
    let nodes = policy.repos().filter(|repo| *policy.uuid(*repo) != uuid("own"));
    let candidates = nodes.map(|repo| {
        let mut candidate = candidate(world, &policy, repo);
        change(&name(policy.uuid(repo)), &mut candidate);
        candidate
    });
    let candidates: Vec<Candidate> = candidates.collect();
    let found = place(&policy.about(world), &world.key, &candidates, numcopies).expect("all is told");
    fuzz::check(&policy, &candidates, numcopies, &found);
    told(&policy, &found)
}

fn placed(world: &World, numcopies: u64) -> String {
    placed_with(world, numcopies, |_, _| {})
}

/// `d1` of the uuid that is made of it.
fn name(uuid: &Uuid) -> String {
    format!("d{}", uuid.to_string()[33..].parse::<u32>().unwrap_or(0))
}

/// `put d1 d3`, `numcopies d2`, `has d1`, `no room`; the names sorted.
fn told(policy: &Policy, found: &Placement) -> String {
    let names = |repos: &mut dyn Iterator<Item = Repo>| {
        let names: BTreeSet<String> = repos.map(|repo| name(policy.uuid(repo))).collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    match found {
        Placement::Put(picks) => {
            let why = if picks[0].why == Why::Wanted { "put" } else { "numcopies" };
            format!("{why} {}", names(&mut picks.iter().map(|pick| pick.repo)))
        }
        Placement::Has(holders) => format!("has {}", names(&mut holders.iter().copied())),
        Placement::NoRoom => "no room".to_string(),
    }
}

/// Four nodes in group archive that want `wanted`; the key is number `at`.
fn four(wanted: &str, at: usize) -> World {
    let nodes: String = (1..=4).map(|node| format!("repo d{node} groups=archive\nwanted d{node} {wanted}\n")).collect();
    World::read(&format!("{nodes}key SHA256-s100--{at:04}\nfile f"))
}

#[test]
fn archive_nodes_get_one_copy_and_share_the_load() {
    for wanted in ["standard", "not copies=archive:1", "balanced=archive", "not copies=1"] {
        let mut load: BTreeMap<String, usize> = BTreeMap::new();
        for at in 0..400 {
            let mut world = four(wanted, at);
            let went = placed(&world, 1);
            let node = went.strip_prefix("put ").unwrap_or_else(|| panic!("{wanted}: {went}")).to_string();
            // Sent again, it stays where it is.
            world.holders.push(uuid(&node));
            assert_eq!(placed(&world, 1), format!("has {node}"), "{wanted}");
            *load.entry(node).or_default() += 1;
        }
        assert!(load.len() == 4 && load.values().all(|keys| *keys > 60), "{wanted}: {load:?}");
    }
}

#[test]
fn as_many_get_it_as_lack() {
    for (numcopies, wanted, holders, picks) in [
        (1, "lackingcopies=1", &[][..], 1),
        (3, "lackingcopies=1", &[], 3),
        (3, "approxlackingcopies=1", &["d1"], 2),
        (3, "lackingcopies=1", &["d1", "d99"], 1),
        (9, "lackingcopies=1", &[], 4),
        (3, "standard", &[], 3),
        (2, "not copies=archive:2", &[], 2),
        (1, "", &[], 4),
        (1, "anything", &["d2"], 3),
    ] {
        let mut world = four(wanted, 7);
        world.configuration.numcopies = Some(numcopies);
        world.holders = holders.iter().map(|name| uuid(name)).collect();
        let went = placed(&world, numcopies);
        assert_eq!(went.split(' ').count() - 1, picks, "{wanted}, {holders:?}: {went}");
        assert!(went.starts_with("put"), "{wanted}: {went}");
    }
}

/// By hand, from the rule.
#[test]
fn each_rule_of_placement_decides_where_it_should() {
    let of = |d1: &str, d2: &str, d3: &str, more: &str| {
        World::read(&format!(
            "repo d1\nrepo d2\nrepo d3\nwanted d1 {d1}\nwanted d2 {d2}\nwanted d3 {d3}\nkey SHA256-s100--x\nfile f.mp3\n{more}"
        ))
    };
    let none = of("nothing", "nothing", "nothing", "");
    for (what, world, went) in [
        ("the wishes count", of("include=*.mp3", "exclude=*.mp3", "nothing", ""), "put d1"),
        ("what is required counts", of("nothing", "nothing", "nothing", "required d2 include=*.mp3"), "put d2"),
        ("those that wait for another are asked again", of("copies=1", "anything", "copies=2", ""), "put d1 d2 d3"),
        ("what nobody wants goes to numcopies nodes", none.clone(), "numcopies d1 d2"),
        ("what nobody wants stays", of("nothing", "nothing", "nothing", "has d3"), "has d3"),
        ("a copy elsewhere is not one on a node", of("nothing", "nothing", "nothing", "has own"), "numcopies d1 d2"),
        ("who has it is not asked again", of("anything", "anything", "nothing", "has d1"), "put d2"),
    ] {
        let room = |name: &str, candidate: &mut Candidate| {
            candidate.room = Some(if name == "d3" { 200 } else { 900 });
        };
        assert_eq!(placed_with(&world, 2, room), went, "{what}");
    }
    let with = |world: &World, change: &dyn Fn(&str, &mut Candidate)| placed_with(world, 2, change);
    let full = |names: &'static [&str]| {
        move |name: &str, candidate: &mut Candidate| {
            candidate.fits = !names.contains(&name);
            candidate.room = Some(if candidate.fits { 300 } else { 0 });
        }
    };
    let wants = of("anything", "nothing", "nothing", "");
    assert_eq!(with(&wants, &full(&["d1"])), "numcopies d2 d3", "it goes where there is room, wanted or not");
    assert_eq!(with(&wants, &full(&["d1", "d2", "d3"])), "no room");
    assert_eq!(with(&none, &full(&["d1", "d2"])), "numcopies d3", "as many as there are");
    let has = of("anything", "nothing", "nothing", "has d3");
    assert_eq!(with(&has, &full(&["d1", "d2", "d3"])), "has d3", "a full node keeps what it has");
    let one = of("not copies=1", "not copies=1", "not copies=1", "");
    let costs = |name: &str, candidate: &mut Candidate| candidate.cost = if name == "d2" { 50.0 } else { 50.1 };
    assert_eq!(with(&one, &costs), "put d2", "the cheapest first");
    assert_eq!(placed_with(&none, 0, |_, _| {}).split(' ').count(), 2, "one copy at least");
    let dead = World::read("repo d1 trust=X\nrepo d2\nkey SHA256-s1--x\nhas d1");
    assert_eq!(placed(&dead, 1), "put d2", "what the dead have is lost, and they get nothing");
    assert_eq!(placed(&World::read("repo d1 trust=X\nkey SHA256-s1--x\nhas d1"), 1), "no room");
}

/// The cells of tables that git-annex answered: where some want it, those get it, and exactly those. Where there are copies in the
/// group already, they get no more than it asks for: `balanced` and `sizebalanced` want `not copies=G:N`, which git-annex asks of
/// each as if the others did not get it.
#[test]
fn balanced_nodes_get_what_git_annex_balances_to_them() {
    let (mut compared, mut equal) = (0, 0);
    balanced::each(|world, what, set_on, chosen| {
        let policy = Policy::new(world.configuration.clone());
        let repo = |at: &usize| policy.repo(&balanced::uuid(*at)).expect("a known repository");
        // All the room there is, as git-annex sees it in a cluster; balanced terms ask for it by themselves.
        let nodes = set_on.iter().map(|at| candidate(&world, &policy, repo(at)));
        let nodes: Vec<Candidate> = nodes.collect();
        let found = place(&policy.about(&world), &world.key, &nodes, 1).expect("all is told");
        let new: BTreeSet<Repo> = chosen.iter().map(repo).filter(|repo| !world.has(policy.uuid(*repo))).collect();
        match found {
            Placement::Put(picks) if picks[0].why == Why::Wanted => {
                let picks: BTreeSet<Repo> = picks.iter().map(|pick: &Pick| pick.repo).collect();
                assert!(picks.is_subset(&new) && !picks.is_empty(), "{what}: {picks:?}, not {new:?}");
                assert!(picks == new || !world.holders.is_empty(), "{what}: {picks:?}, not {new:?}");
                equal += usize::from(picks == new);
            }
            _ => assert!(new.is_empty(), "{what}: somebody wants it"),
        }
        compared += 1;
    });
    assert!(compared > 1000 && equal * 3 > compared * 2, "{equal} of {compared} keys");
}

#[test]
fn what_cannot_be_told_is_an_error_where_it_decides() {
    let data = |wanted: &[u8]| [&[1, 5, 5, 5, 5, 0, 1][..], wanted].concat();
    let place_of = |wanted: &[u8]| -> Result<Placement, Unknown> {
        let (policy, facts) = crate::wanted::fuzz::situation(&data(wanted)[5..]).expect("a situation");
        let world = World::new("SHA256-s100--x");
        let candidates: Vec<Candidate> = policy.repos().map(|repo| candidate(&world, &policy, repo)).collect();
        place(&policy.about(&facts), &world.key, &candidates, 1)
    };
    assert!(place_of(b"copies=1\0nothing\0nothing\0nothing").is_err(), "the location log is unreadable");
    assert!(place_of(b"anything\0nothing\0nothing\0nothing").is_ok(), "nothing depends on it");
}

#[test]
fn holders_are_asked_best_first() {
    let key = Key::parse(b"SHA256-s1--x").expect("a key");
    let holder = |at: u32, is_up, cost, hops, serving, speed| Holder {
        uuid: uuid(&format!("d{at}")),
        is_up,
        cost,
        hops,
        serving,
        speed,
    };
    for (better, worse) in [
        (holder(1, true, 900.0, 3, 9, Some(1)), holder(2, false, 0.0, 0, 0, Some(9))),
        (holder(1, true, 100.0, 3, 9, Some(1)), holder(2, true, 100.4, 0, 0, Some(9))),
        (holder(1, true, 200.0, 0, 9, Some(1)), holder(2, true, 200.0, 1, 0, Some(9))),
        (holder(1, true, 200.0, 1, 0, Some(1)), holder(2, true, 200.0, 1, 1, Some(9))),
        (holder(1, true, 200.0, 1, 1, Some(9)), holder(2, true, 200.0, 1, 1, Some(8))),
        (holder(1, true, 200.0, 1, 1, None), holder(2, true, 200.0, 1, 1, Some(u64::MAX - 1))),
    ] {
        assert_eq!(order(&key, &[better.clone(), worse.clone()]), [0, 1], "{better:?} {worse:?}");
        assert_eq!(order(&key, &[worse.clone(), better.clone()]), [1, 0], "{better:?} {worse:?}");
    }
    let alike: Vec<Holder> = (1..=4).map(|at| holder(at, true, 100.0, 0, 0, None)).collect();
    let mut first = [0; 4];
    for at in 0..400 {
        let key = Key::parse(format!("SHA256-s1--{at}").as_bytes()).expect("a key");
        first[order(&key, &alike)[0]] += 1;
    }
    assert!(first.iter().all(|keys| *keys > 60), "{first:?}");
    assert!(order(&key, &[]).is_empty());
}

#[test]
fn the_fuzz_targets_survive_their_seeds_and_small_changes() {
    let targets =
        [("cluster_moves", fuzz::moves as fn(&[u8])), ("cluster_place", fuzz::place), ("cluster_routes", fuzz::routes)];
    for (name, target) in targets {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus").join(name);
        let seeds: Vec<_> = std::fs::read_dir(directory).expect("the seeds are part of the source").collect();
        assert!(seeds.len() >= 4, "seeds are missing");
        for seed in seeds {
            let seed = std::fs::read(seed.expect("a readable directory").path()).expect("a readable seed");
            for at in 0..seed.len() {
                target(&seed[..at]);
                for byte in *b"\0\x01\x05\x0d\x45\x85\xff )" {
                    let mut input = seed.clone();
                    input[at] = byte;
                    target(&input);
                }
            }
            target(&seed);
        }
    }
}

proptest! {
    #[test]
    fn what_was_placed_is_placed_nowhere_else(seed in 1u64.., numcopies in 0u64..6) {
        let mut chance = Chance(seed);
        let world = chance.world();
        let policy = Policy::new(world.configuration.clone());
        let state = |repo| {
            let mut node = candidate(&world, &policy, repo);
            node.cost = [100.0, 100.0, 200.0][chance.below(3)];
            node.fits = chance.below(4) > 0;
            node.room = [None, Some(100), Some(500), Some(500)][chance.below(4)];
            node
        };
        let mut nodes: Vec<Candidate> = policy.repos().map(state).collect();
        let question = policy.about(&world);
        let found = place(&question, &world.key, &nodes, numcopies).expect("all is told");
        fuzz::check(&policy, &nodes, numcopies, &found);
        for _ in 0..3 {
            nodes.rotate_left(1);
            let again = place(&question, &world.key, &nodes, numcopies);
            prop_assert_eq!(again.as_ref(), Ok(&found));
        }
        if let Placement::Put(picks) = &found && picks[0].why == Why::Wanted {
            for node in &mut nodes {
                node.has |= picks.iter().any(|pick| pick.repo == node.repo);
            }
            let again = place(&question, &world.key, &nodes, numcopies).expect("all is told");
            prop_assert!(matches!(again, Placement::Has(_)), "{:?}", again);
        }
    }
}
