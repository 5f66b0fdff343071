//! Tables of ways, and what holds for gateways in any shape.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fuzz::route::{Trace, World, line, node, uuid};
use super::{Leg, Line, Net, Offer, routes};
use crate::name::Uuid;

/// `A: n1 B-n2` a line: what a gateway calls nodes. The node is what stands behind the last dash.
fn net(text: &str) -> Net {
    let offer = |gateway: &str, name: &str| Offer {
        gateway: uuid(gateway),
        node: uuid(name.rsplit('-').next().expect("a name")),
        name: name.as_bytes().to_vec(),
    };
    let offers = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(gateway, names)| names.split(' ').map(|name| offer(gateway.trim(), name)).collect::<Vec<_>>());
    Net::new(&offers.collect::<Vec<_>>())
}

fn set(names: &str) -> BTreeSet<Uuid> {
    names.split_whitespace().map(uuid).collect()
}

fn names<'a>(uuids: impl IntoIterator<Item = &'a Uuid>) -> String {
    uuids.into_iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ")
}

/// `own n1`, `one B n2 without A`, `many C n3 n4 without A B`.
fn told(legs: &[Leg], lines: &[Line]) -> Vec<String> {
    let of = |line: &usize| &lines[*line].gateway;
    let told = legs.iter().map(|leg| match leg {
        Leg::Own(node) => format!("own {node}"),
        Leg::One { line, node, bypass } => format!("one {} {node} without {}", of(line), names(bypass)),
        Leg::Many { line, nodes, bypass } => format!("many {} {} without {}", of(line), names(nodes), names(bypass)),
    });
    told.collect()
}

/// Two gateways on both sides of A, that reach each other and D: as real git-annex records them, names through circles included.
const DIAMOND: &str = "A: a1 B-b1 B-b2 C-c1 B-D-d1 C-D-d1 B-C-c1 C-B-b1 C-A-B-b1
B: b1 b2 A-a1 C-c1 D-d1 A-C-c1 A-C-D-d1
C: c1 A-a1 B-b1 B-b2 D-d1
D: d1 B-b1 C-c1 B-A-a1";

#[test]
fn content_goes_over_as_few_lines_as_there_are_and_over_each_once() {
    let lines = [line("B", 200.0), line("C", 200.0)];
    for (what, picks, bypass, legs) in [
        ("own nodes alone", "a1", "", &["own a1"][..]),
        ("one behind a gateway", "a1 b1", "", &["own a1", "one B b1 without A C"]),
        ("several behind it", "b1 b2", "", &["many B b1 b2 without A C"]),
        ("several behind two", "b1 b2 c1", "", &["many B b1 b2 without A C", "one C c1 without A B D"]),
        (
            "one gateway further is shared out to one",
            "b1 d1 c1",
            "",
            &["many B b1 d1 without A C", "one C c1 without A B D"],
        ),
        ("not back to where it came from", "b1 d1", "C", &["many B b1 d1 without A C"]),
        ("by the other way", "c1 d1", "B", &["many C c1 d1 without A B"]),
    ] {
        let bypass: Vec<Uuid> = set(bypass).into_iter().collect();
        let picks: Vec<Uuid> = picks.split(' ').map(uuid).collect();
        let routes = routes(&net(DIAMOND), &uuid("A"), &set("a1"), &lines, &bypass);
        assert_eq!(told(&routes.legs(&picks), &lines), legs, "{what}");
    }
}

#[test]
fn the_nearer_way_is_taken() {
    let up = |gateway, cost| line(gateway, cost);
    let down = |gateway, cost| Line { is_up: false, ..line(gateway, cost) };
    let measured = |gateway, micros| Line { answer: Some(micros), ..line(gateway, 200.0) };
    for (what, lines, by, hops) in [
        ("equal: the first", [up("B", 200.0), up("C", 200.0)], 0, 2),
        ("the cheaper line", [up("B", 200.0), up("C", 150.0)], 1, 2),
        ("the one that is up", [down("B", 100.0), up("C", 200.0)], 1, 2),
        ("the one that answers sooner", [measured("B", 90), measured("C", 10)], 1, 2),
        ("a line of its own", [up("B", 200.0), up("D", 200.05)], 1, 1),
        ("a hop is less than a dear line", [up("B", 200.0), up("D", 201.0)], 0, 2),
    ] {
        let routes = routes(&net(DIAMOND), &uuid("A"), &set("a1"), &lines, &[]);
        let route = routes.node(&uuid("d1")).unwrap_or_else(|| panic!("{what}: it is reached"));
        assert_eq!((route.line, route.hops), (by, hops), "{what}");
        assert_eq!(routes.node(&uuid("a1")), None, "its own node is no further than here");
    }
}

#[test]
fn nodes_that_two_gateways_have_are_reached_by_one() {
    // n is a disk of both; m is a disk of A and B.
    let net = net("A: m a1 B-b1 B-n C-n\nB: m n b1\nC: n c1");
    let lines = [line("B", 200.0), line("C", 100.0)];
    let routes = routes(&net, &uuid("A"), &set("m a1"), &lines, &[]);
    assert_eq!(routes.node(&uuid("n")).map(|route| route.line), Some(1));
    let picks: Vec<Uuid> = ["m", "b1", "n", "c1"].map(uuid).to_vec();
    let legs = ["own m", "one B b1 without A C m n", "many C n c1 without A B"];
    assert_eq!(told(&routes.legs(&picks), &lines), legs);
}

#[test]
fn questions_leave_out_who_is_asked_anyway_and_nobody_else() {
    let lines = [line("B", 200.0), line("C", 200.0)];
    let routes = routes(&net(DIAMOND), &uuid("A"), &set("a1"), &lines, &[uuid("X")]);
    assert_eq!(names(&routes.bypass_of_question()), "A B C X");
    // Where B cannot be reached from here, C may ask it.
    let routes = super::routes(&net(DIAMOND), &uuid("A"), &set("a1"), &lines[1..], &[uuid("X")]);
    assert_eq!(names(&routes.bypass_of_question()), "A C X");
    let leads = |net: &Net, from: &str, bypass: &str| {
        let [from, bypass] = [from, bypass].map(|names| set(names).into_iter().collect::<Vec<_>>());
        net.leads(&from, &uuid("B"), &bypass)
    };
    assert!(leads(&net(DIAMOND), "C", "A") && leads(&net(DIAMOND), "B", "") && leads(&net(DIAMOND), "D", "A C"));
    assert!(!leads(&net(DIAMOND), "", "") && !leads(&net(DIAMOND), "B", "B") && !leads(&net_of_two(), "C", "A"));
}

fn net_of_two() -> Net {
    net("A: a1 B-b1 C-c1\nB: b1 A-a1\nC: c1 A-a1 A-B-b1")
}

#[test]
fn names_with_dashes_are_read_as_far_as_others_have_them() {
    for (what, offers, hops) in [
        ("the dash of a node", "B: my-disk\nC: other", 1),
        ("behind a remote", "B: C-my-disk\nC: my-disk", 2),
        ("behind a remote with a dash", "B: to-c-x\nC: x", 2),
        ("the end of a name that nobody has", "B: C-x\nC: y", 1),
        ("the longest of two", "B: C-D-x\nC: D-x\nD: x", 3),
        ("most of what is called so decides", "B: C-x C-y\nC: x y\nD: x", 2),
    ] {
        let offer = |gateway: &str, name: &str| {
            let node = if name.ends_with('y') { "y" } else { "n" };
            Offer { gateway: uuid(gateway), node: uuid(node), name: name.into() }
        };
        let offers = offers.lines().filter_map(|line| line.split_once(": "));
        let offers = offers.flat_map(|(gateway, names)| names.split(' ').map(move |name| offer(gateway, name)));
        let net = Net::new(&offers.collect::<Vec<_>>());
        let routes = routes(&net, &uuid("A"), &BTreeSet::new(), &[line("B", 1.0)], &[]);
        assert_eq!(routes.node(&uuid("n")).map(|route| route.hops), Some(hops), "{what}");
    }
    let offer = |gateway: &str, name: Vec<u8>| Offer { gateway: uuid(gateway), node: uuid("n"), name };
    let long = Net::new(&[offer("B", vec![b'-'; 1 << 15]), offer("C", vec![b'-'; 1 << 10])]);
    assert_eq!(long, Net::new(&[offer("B", b"x".to_vec()), offer("C", b"y".to_vec())]), "only so many are looked at");
}

/// Some gateways, each with lines to some others and nodes of its own, of which some are another's, too.
fn worlds() -> impl Strategy<Value = World> {
    (2usize..6).prop_flat_map(|many| {
        let of_one =
            (prop::collection::btree_map(0..many, 1u8..9, 0..many), prop::collection::btree_set(0usize..8, 0..3));
        (prop::collection::vec(of_one, many), 4usize..6).prop_map(|(all, rounds)| {
            let (mut lines, mut nodes): (Vec<BTreeMap<usize, u8>>, Vec<BTreeSet<usize>>) = all.into_iter().unzip();
            for (at, (lines, nodes)) in lines.iter_mut().zip(&mut nodes).enumerate() {
                lines.remove(&at);
                // One that nobody else has, so that others know of it.
                nodes.insert(100 + at);
            }
            World::new(lines, nodes, rounds, 30)
        })
    })
}

fn cuts() -> impl Strategy<Value = BTreeSet<(usize, usize)>> {
    prop::collection::btree_set((0usize..6, 0usize..6), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Also nodes that several gateways have, and lines in circles.
    #[test]
    fn each_node_that_is_chosen_gets_content_once_and_no_line_carries_it_twice(world in worlds(), picks in any::<u32>()) {
        let none = BTreeSet::new();
        let (routes, to) = world.routes(0, &[], &BTreeSet::new());
        let reachable: BTreeSet<Uuid> = world
            .reachable(0, &none)
            .into_iter()
            .flat_map(|at| world.nodes[at].iter().map(|at| node(*at)))
            .collect();
        let far = (0..to.len()).flat_map(|line| routes.nodes(line).cloned().collect::<Vec<_>>());
        let known: BTreeSet<Uuid> = world.nodes[0].iter().map(|at| node(*at)).chain(far).collect();
        prop_assert_eq!(&known, &reachable, "all that can be reached is, and nothing else");
        let picks: Vec<Uuid> =
            known.into_iter().enumerate().filter(|(at, _)| picks >> (at % 32) & 1 == 1).map(|(_, node)| node).collect();
        let mut trace = Trace::default();
        world.upload(0, Some(&picks), &[], &mut trace);
        for pick in &picks {
            prop_assert!(trace.stored.contains(pick), "{} is left out", pick);
        }
        let mut trace = Trace::default();
        world.upload(0, None, &[], &mut trace);
        prop_assert_eq!(trace.stored, reachable);
    }

    /// Whatever lines are cut, and however old the logs are.
    #[test]
    fn questions_end_and_reach_every_gateway_that_can_be_reached(world in worlds(), cut in cuts(), known in any::<u64>()) {
        let mut world = world;
        let mut asked = Trace::default();
        if world.ask(0, &[], &cut, &mut asked) {
            prop_assert_eq!(&asked.gateways, &world.reachable(0, &BTreeSet::new()), "nobody is missed");
        }
        prop_assert_eq!(&asked.gateways, &world.reachable(0, &cut));
        let kept = world.offers.iter().enumerate().filter(|(at, _)| known >> ((at + 1) % 64) & 1 == 1);
        let kept = kept.map(|(_, offer)| offer.clone()).collect();
        world.know(kept);
        let mut asked = Trace::default();
        world.ask(0, &[], &cut, &mut asked);
        prop_assert_eq!(&asked.gateways, &world.reachable(0, &cut));
        let mut asked = Trace::default();
        prop_assert!(world.ask(0, &[], &BTreeSet::new(), &mut asked), "no line is cut");
        world.upload_anyhow(0, &[], &mut Trace::default());
    }
}
