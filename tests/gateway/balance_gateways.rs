//! `balance` where nodes are behind another gateway: they are filled and read from, and their own gateway drops what they have.

use std::time::Duration;

use testbed::annex::content;
use testbed::gateways::{By, Gateways, Nodes};
use testbed::place::Whose;
use testbed::product;
use testbed::run::{Done, run};
use testbed::wire::key_of;

fn two(by: By, nodes: Nodes) -> Gateways {
    Gateways::new(&[by, by], nodes, &[(0, 1), (1, 0)])
}

fn balance(all: &Gateways, at: usize, words: &[&str]) -> Done {
    let mut command = all.sites[at].repo.command(product());
    run(command.args(["balance", "myc"]).args(words), Duration::from_secs(120))
}

/// Those who want all; the others want nothing.
fn wanted(all: &Gateways, by: &[&str]) {
    for name in ["a0", "a1", "b0", "b1"] {
        let wish = if by.contains(&name) { "anything" } else { "nothing" };
        all.sites[0].repo.annex(&["wanted", "--quiet", &all.node(name).1, wish]).ok();
    }
    all.meet();
}

fn put(all: &Gateways, seed: u64, on: &str) -> (String, Vec<u8>) {
    wanted(all, &[on]);
    let body = content(seed, 300_000);
    let key = key_of(&body);
    let done = all.put(0, &[], &key, &body);
    assert!(done.contains(&all.node(on).1), "{done}");
    assert_eq!(all.places(&key), [on]);
    (key, body)
}

#[test]
fn repositories_are_locked_while_the_copy_here_is_dropped() {
    let all = two(By::Ssh(Whose::Ours), Nodes::Repositories);
    let (key, body) = put(&all, 1, "a0");
    wanted(&all, &["b1"]);
    let would = balance(&all, 0, &["--dry-run"]).ok();
    assert!(
        would.stdout.contains("b1: in 1 file") && would.stdout.contains("a0: in nothing, out 1 file"),
        "{}",
        would.all()
    );
    assert_eq!(all.places(&key), ["a0"]);
    balance(&all, 0, &[]).ok();
    assert_eq!((all.places(&key), all.recorded(0, &key)), (vec!["b1"], vec!["b1"]));
    assert_eq!(all.get(0, &key), Some(body.clone()));
    // From there.
    wanted(&all, &["a1"]);
    let done = balance(&all, 0, &[]).ok();
    assert!(done.stdout.contains("not wanted and kept: 1 for its own gateway to drop"), "{}", done.all());
    assert_eq!(all.places(&key), ["a1", "b1"]);
    // Which does so.
    all.meet();
    balance(&all, 1, &[]).ok();
    assert_eq!((all.places(&key), all.get(1, &key)), (vec!["a1"], Some(body)));
    let done = balance(&all, 0, &["--drain", &all.node("b1").1]).failed();
    assert!(done.stderr.contains("drain it there"), "{}", done.all());
}

#[test]
fn special_remotes_there_are_filled_and_do_not_count() {
    let all = two(By::Http, Nodes::Directories);
    let (key, body) = put(&all, 2, "a0");
    wanted(&all, &["b0", "b1"]);
    let done = balance(&all, 0, &[]).ok();
    assert_eq!(all.places(&key), ["a0", "b0", "b1"]);
    assert!(done.stdout.contains("not wanted and kept: 1 for numcopies"), "{}", done.all());
    let again = balance(&all, 0, &["--json"]).ok();
    assert_eq!(again.stdout.lines().count(), 1, "{}", again.all());
    assert_eq!(all.get(1, &key), Some(body));
    // What is gone there is found out from here, and brought there again.
    let gone = &all.node("b1").2;
    for entry in std::fs::read_dir(gone).expect("a directory").flatten() {
        let _ = run(std::process::Command::new("chmod").args(["-R", "u+w"]).arg(entry.path()), Duration::from_secs(20));
        let _ = std::fs::remove_dir_all(entry.path());
    }
    assert_eq!(all.places(&key), ["a0", "b0"]);
    balance(&all, 0, &["--check"]).ok();
    assert_eq!(all.places(&key), ["a0", "b0", "b1"]);
}

#[test]
fn a_gateway_that_is_away_is_left_alone() {
    let mut all = two(By::Ssh(Whose::Ours), Nodes::Directories);
    let (key, _) = put(&all, 3, "b0");
    wanted(&all, &["a1"]);
    all.cut(0, 1, true);
    let done = balance(&all, 0, &[]).failed();
    assert!(done.stdout.contains("b0: left alone, it cannot be reached"), "{}", done.all());
    assert!(done.stdout.contains("a1: in nothing, out nothing; lacking 1 file"), "{}", done.all());
    assert!(done.stdout.contains("what nodes lack is recorded only of b0"), "{}", done.all());
    assert_eq!(all.recorded(0, &key), ["b0"]);
    all.cut(0, 1, false);
    balance(&all, 0, &[]).ok();
    assert_eq!(all.places(&key), ["a1", "b0"]);
}
