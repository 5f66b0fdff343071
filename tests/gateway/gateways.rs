//! Several gateways of one cluster: where content goes and which way, what is answered, lines that are cut and mended, circles.

use testbed::annex::{Repo, content};
use testbed::gateways::{By, Gateways, Nodes};
use testbed::place::Whose;
use testbed::wire::key_of;

const OURS: By = By::Ssh(Whose::Ours);
const THEIRS: By = By::Ssh(Whose::Theirs);

/// Two gateways that reach each other.
fn two(kinds: [By; 2], nodes: Nodes) -> Gateways {
    Gateways::new(&kinds, nodes, &[(0, 1), (1, 0)])
}

fn some(seed: u64) -> (String, Vec<u8>) {
    let body = content(seed, 200_000);
    (key_of(&body), body)
}

fn success(all: &Gateways, names: &[&str]) -> String {
    format!("SUCCESS-PLUS {}", all.falling(names))
}

/// What is answered, without the uuid of the cluster that git-annex tells with those of nodes, and in our order.
fn told(all: &Gateways, answer: &str) -> String {
    let mut words = answer.split(' ');
    let first = words.next().unwrap_or_default();
    let mut uuids: Vec<&str> = words.filter(|uuid| *uuid != all.uuid).collect();
    uuids.sort_unstable();
    uuids.reverse();
    format!("{first} {}", uuids.join(" "))
}

macro_rules! both_lines {
    ($test:ident) => {
        mod $test {
            #[test]
            fn over_ssh() {
                super::super::gateways::$test(super::two([super::OURS, super::OURS], super::Nodes::Directories));
            }
            #[test]
            fn over_http() {
                super::super::gateways::$test(super::two(
                    [super::By::Http, super::By::Http],
                    super::Nodes::Directories,
                ));
            }
        }
    };
}

both_lines!(content_goes_to_nodes_of_both);
both_lines!(a_line_is_cut_and_mended);

fn content_goes_to_nodes_of_both(all: Gateways) {
    let everywhere = ["a0", "a1", "b0", "b1"];
    let (key, body) = some(1);
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &everywhere));
    assert_eq!(all.places(&key), everywhere);
    assert_eq!(all.recorded(0, &key), everywhere, "what the other answered is recorded here");
    assert_eq!(all.recorded(1, &key), ["b0", "b1"]);
    if !all.said(0, 1).is_empty() {
        assert_eq!(all.crossings(0, 1), 1, "{}", all.said(0, 1));
        let bypass = format!("BYPASS {}\n", all.sites[0].repo.uuid());
        assert!(all.said(0, 1).contains(&bypass), "{}", all.said(0, 1));
    }
    // The other knows half of it, and finds the rest.
    assert_eq!(all.ask(1, &format!("CHECKPRESENT {key}")), "SUCCESS");
    let have = all.put(1, &[], &key, &body);
    assert!(have.starts_with("ALREADY-HAVE-PLUS ") && all.falling(&["a0", "a1"]).contains(&have[18..]), "{have}");
    assert_eq!(all.recorded(1, &key).len(), 3, "it told of one");
    assert_eq!(all.get(0, &key), Some(body));
    assert_eq!(all.ask(1, &format!("REMOVE {key}")), success(&all, &everywhere));
    assert!(all.places(&key).is_empty() && all.recorded(1, &key).is_empty());
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {key}")), "FAILURE", "the nodes say so, whatever is recorded");
    assert!(all.recorded(0, &key).is_empty(), "which sets the log right");

    // Content that no log of this gateway knows.
    let (key, body) = some(2);
    assert_eq!(all.put(1, &[0], &key, &body), success(&all, &["b0", "b1"]), "the other gateway is left out");
    assert_eq!(all.ask_without(0, &[1], &format!("CHECKPRESENT {key}")), "FAILURE");
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {key}")), "SUCCESS");
    assert_eq!(all.get(0, &key), Some(body.clone()));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {}", some(3).0)), "FAILURE");
    assert_eq!(all.ask(0, &format!("REMOVE {key}")), success(&all, &everywhere));

    // One node alone behind the line is sent it under its own uuid.
    for name in ["a0", "a1", "b1"] {
        all.sites[0].repo.annex(&["wanted", &all.node(name).1, "nothing"]).ok();
    }
    all.forget();
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &["b0"]));
    assert_eq!((all.places(&key), all.recorded(0, &key)), (vec!["b0"], vec!["b0"]));
    let mut session = all.session(0, &all.node("b0").1);
    assert_eq!(session.ask(&format!("CHECKPRESENT {key}")), "SUCCESS");
    let now: u64 =
        session.ask("GETTIMESTAMP").strip_prefix("TIMESTAMP ").and_then(|at| at.parse().ok()).expect("a time");
    assert_eq!(session.ask(&format!("REMOVE-BEFORE {} {key}", now + 100)), "SUCCESS");
    session.close();
    session.ended();
    assert!(all.places(&key).is_empty() && all.recorded(0, &key).is_empty());

    // With a clock of its own behind the line.
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &["b0"]));
    let mut session = all.session(0, &all.uuid);
    let now: u64 =
        session.ask("GETTIMESTAMP").strip_prefix("TIMESTAMP ").and_then(|at| at.parse().ok()).expect("a time");
    assert!(session.ask(&format!("REMOVE-BEFORE {} {key}", now.saturating_sub(5))).starts_with("FAILURE"));
    assert_eq!(all.places(&key), ["b0"]);
    assert_eq!(session.ask(&format!("REMOVE-BEFORE {} {key}", now + 100)), success(&all, &everywhere));
    session.close();
    session.ended();
    assert!(all.places(&key).is_empty());
}

fn a_line_is_cut_and_mended(mut all: Gateways) {
    let everywhere = ["a0", "a1", "b0", "b1"];
    let [(old, body), (new, other), (far, third)] = [some(11), some(12), some(13)];
    assert_eq!(all.put(0, &[], &old, &body), success(&all, &everywhere));
    assert_eq!(all.put(1, &[0], &far, &third), success(&all, &["b0", "b1"]));
    all.cut(0, 1, true);
    assert_eq!(all.put(0, &[], &new, &other), success(&all, &["a0", "a1"]), "the nodes there are down, and no more");
    assert_eq!(all.recorded(0, &new), ["a0", "a1"]);
    assert_eq!(all.get(0, &old), Some(body));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {old}")), "SUCCESS");
    let unknown = all.ask(0, &format!("CHECKPRESENT {far}"));
    assert!(unknown.starts_with("ERROR "), "it may be there: {unknown}");
    assert_eq!(all.get(0, &far), None);
    assert_eq!(all.ask(0, &format!("REMOVE {new}")), success(&all, &["a0", "a1"]), "it never was there");
    assert_eq!(all.ask(0, &format!("REMOVE {old}")), format!("FAILURE-PLUS {}", all.falling(&["a0", "a1"])));
    assert_eq!(all.recorded(0, &old), ["b0", "b1"], "what could not be asked is not said to be gone");
    all.cut(0, 1, false);
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {far}")), "SUCCESS");
    assert_eq!(all.get(0, &far), Some(third));
    assert_eq!(all.ask(0, &format!("REMOVE {old}")), success(&all, &everywhere));
    assert_eq!(all.put(0, &[], &new, &other), success(&all, &everywhere));
    all.meet();
    for at in 0..2 {
        assert_eq!(all.recorded(at, &new), everywhere);
        assert_eq!(all.recorded(at, &far), ["b0", "b1"]);
        assert!(all.recorded(at, &old).is_empty());
    }
}

/// The real git-annex is the other gateway. Its nodes are repositories: with a special remote it answers no REMOVE-BEFORE.
#[test]
fn the_other_gateway_is_git_annex() {
    let mut all = two([OURS, THEIRS], Nodes::Repositories);
    let everywhere = ["a0", "a1", "b0", "b1"];
    let (key, body) = some(21);
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &everywhere));
    assert_eq!((all.places(&key), all.recorded(0, &key)), (everywhere.to_vec(), everywhere.to_vec()));
    assert_eq!(all.recorded(1, &key), ["b0", "b1"]);
    assert_eq!(all.crossings(0, 1), 1, "{}", all.said(0, 1));
    assert_eq!(all.crossings(1, 0), 0, "it does not come back");
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {key}")), "SUCCESS");
    assert_eq!(all.get(0, &key), Some(body.clone()));
    let mut session = all.session(0, &all.uuid);
    let now: u64 =
        session.ask("GETTIMESTAMP").strip_prefix("TIMESTAMP ").and_then(|at| at.parse().ok()).expect("a time");
    assert_eq!(session.ask(&format!("REMOVE-BEFORE {} {key}", now + 100)), success(&all, &everywhere));
    session.close();
    session.ended();
    assert!(all.places(&key).is_empty() && all.recorded(0, &key).is_empty());
    // Its log knows it, and ours does not.
    let (far, third) = some(22);
    assert_eq!(told(&all, &all.put(1, &[0], &far, &third)), success(&all, &["b0", "b1"]));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {far}")), "SUCCESS");
    assert_eq!(all.get(0, &far), Some(third));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {}", some(3).0)), "FAILURE");
    all.cut(0, 1, true);
    let (new, other) = some(23);
    assert_eq!(all.put(0, &[], &new, &other), success(&all, &["a0", "a1"]));
    assert!(all.ask(0, &format!("CHECKPRESENT {far}")).starts_with("ERROR "));
    all.cut(0, 1, false);
    assert_eq!(all.ask(0, &format!("REMOVE {far}")), success(&all, &everywhere));
    all.meet();
    for at in 0..2 {
        assert_eq!(all.recorded(at, &new), ["a0", "a1"]);
        assert!(all.recorded(at, &far).is_empty() && all.recorded(at, &key).is_empty());
    }
}

/// Clients come to the real git-annex, which comes to ours.
#[test]
fn git_annex_is_the_first_gateway() {
    let all = two([THEIRS, OURS], Nodes::Repositories);
    let everywhere = ["a0", "a1", "b0", "b1"];
    let (key, body) = some(31);
    assert_eq!(told(&all, &all.put(0, &[], &key, &body)), success(&all, &everywhere));
    assert_eq!(all.places(&key), everywhere);
    assert_eq!(all.recorded(1, &key), ["b0", "b1"]);
    assert_eq!(all.crossings(1, 0), 0, "it does not come back");
    assert_eq!(all.get(0, &key), Some(body));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {key}")), "SUCCESS");
    assert_eq!(told(&all, &all.ask(0, &format!("REMOVE {key}"))), success(&all, &everywhere));
    assert!(all.places(&key).is_empty());
    all.meet();
    assert!(all.recorded(0, &key).is_empty() && all.recorded(1, &key).is_empty());
}

/// All three reach each other, so that there are circles of two and of three.
#[test]
fn three_gateways_in_circles_send_content_over_each_line_once() {
    let mut all = Gateways::new(&[OURS; 3], Nodes::Directories, &[(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]);
    let everywhere = ["a0", "a1", "b0", "b1", "c0", "c1"];
    let (key, body) = some(41);
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &everywhere));
    assert_eq!((all.places(&key), all.recorded(0, &key)), (everywhere.to_vec(), everywhere.to_vec()));
    let crossed: Vec<usize> =
        [(0, 1), (0, 2), (1, 2), (2, 1), (1, 0), (2, 0)].iter().map(|(from, to)| all.crossings(*from, *to)).collect();
    assert_eq!(crossed, [1, 1, 0, 0, 0, 0]);
    assert_eq!(all.ask(2, &format!("REMOVE {key}")), success(&all, &everywhere));
    assert!(all.places(&key).is_empty());
    // Known to one only; then over another, since the line to it is cut.
    let (far, third) = some(42);
    assert_eq!(all.put(2, &[0, 1], &far, &third), success(&all, &["c0", "c1"]));
    all.cut(0, 2, true);
    all.forget();
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {far}")), "SUCCESS");
    assert_eq!(all.get(0, &far), Some(third));
    assert_eq!(all.ask(0, &format!("CHECKPRESENT {}", some(3).0)), "FAILURE", "everybody was asked");
    // Another, since this gateway still takes the first for what the others have: nobody asked it since.
    let (key, body) = some(43);
    all.forget();
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &everywhere));
    assert_eq!((all.crossings(0, 1), all.crossings(1, 2)), (1, 1), "by way of the other");
    assert_eq!(all.ask(0, &format!("REMOVE {key}")), success(&all, &everywhere));
    all.cut(1, 2, true);
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &["a0", "a1", "b0", "b1"]));
    assert!(all.ask(0, &format!("CHECKPRESENT {far}")).starts_with("ERROR "), "nobody reaches it");
    all.cut(1, 2, false);
    all.cut(0, 2, false);
    all.meet();
    for at in 0..3 {
        assert_eq!(all.recorded(at, &key), ["a0", "a1", "b0", "b1"]);
        assert_eq!(all.recorded(at, &far), ["c0", "c1"]);
    }
}

/// In a row: the last is two gateways away.
#[test]
fn nodes_behind_two_gateways_are_reached() {
    let all = Gateways::new(&[OURS; 3], Nodes::Directories, &[(0, 1), (1, 0), (1, 2), (2, 1)]);
    let everywhere = ["a0", "a1", "b0", "b1", "c0", "c1"];
    let (key, body) = some(51);
    assert_eq!(all.put(0, &[], &key, &body), success(&all, &everywhere));
    assert_eq!((all.crossings(0, 1), all.crossings(1, 2), all.crossings(2, 1)), (1, 1, 0));
    assert_eq!(all.recorded(0, &key), everywhere);
    let mut session = all.session(0, &all.node("c1").1);
    assert_eq!(session.ask(&format!("CHECKPRESENT {key}")), "SUCCESS");
    assert_eq!(session.ask(&format!("REMOVE {key}")), "SUCCESS");
    session.close();
    session.ended();
    assert_eq!(all.places(&key), ["a0", "a1", "b0", "b1", "c0"]);
    assert_eq!(all.ask(0, &format!("REMOVE {key}")), success(&all, &everywhere));
    assert!(all.places(&key).is_empty());
}

/// A real client of the first of two gateways.
#[test]
fn clients_use_nodes_of_both_gateways() {
    let all = two([By::Http, By::Http], Nodes::Directories);
    let server = all.sites[0].server().expect("it is served");
    let settings =
        [("remote.origin.annexUrl", &*server.url()), ("remote.origin.annex-uuid", &all.sites[0].repo.uuid())];
    let client = Repo::clone_with(&all.sites[0].repo, &settings, |_| {});
    let keys: Vec<String> = (0..4).map(|nth| client.add(&format!("file{nth}"), 60 + nth, 50_000)).collect();
    let to = "origin-myc";
    client.annex(&["copy", "--quiet", "-J4", "--to", to]).ok();
    let everywhere = ["a0", "a1", "b0", "b1"];
    let where_it_is = client.annex(&["whereis", "file1"]).ok().stdout;
    assert!(everywhere.iter().all(|name| where_it_is.contains(&all.node(name).1)), "{where_it_is}");
    client.annex(&["drop", "--quiet", "-J4"]).ok();
    client.annex(&["get", "--quiet", "-J4", "--from", to]).ok();
    assert_eq!(client.read("file3"), Some(content(63, 50_000)));
    client.annex(&["fsck", "--quiet", "--from", to]).ok();
    // From a node behind the other gateway, and from all of them.
    client.annex(&["drop", "--quiet", "--from", "origin-b-b1", "file0"]).ok();
    assert_eq!(all.places(&keys[0]), ["a0", "a1", "b0"]);
    client.annex(&["drop", "--quiet", "-J4", "--from", to]).ok();
    assert!(keys.iter().all(|key| all.places(key).is_empty()));
    client.annex(&["move", "--quiet", "--to", to]).ok();
    assert!(keys.iter().all(|key| all.places(key) == everywhere));
    all.meet();
    for (at, key) in (0..2).flat_map(|at| keys.iter().map(move |key| (at, key))) {
        assert_eq!(all.recorded(at, key), everywhere);
    }
}
