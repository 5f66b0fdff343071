//! Every line about a request says which request it is about, also one from a pool thread: a hook that fails is warned of there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::stdio_replay::product;
use testbed::annex::Repo;
use testbed::gateway::eventually;
use testbed::p2p::{CLIENT, Session};
use testbed::wire::{Wire, key_of};

/// A repository of which each file that is stored is warned of.
fn warned() -> Repo {
    let repo = Repo::new();
    repo.git(&["config", "annex.freezecontent-command", "exit 7 #"]).ok();
    repo
}

/// The requests that lines are about, in order; fails where a line is about none.
fn requests<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let number = |line: &str| line.split(" req=").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    lines.map(|line| number(line).unwrap_or_else(|| panic!("of no request: {line}"))).collect()
}

fn all_differ(requests: &[u64]) -> bool {
    requests.iter().collect::<BTreeSet<_>>().len() == requests.len()
}

#[test]
fn lines_of_the_http_server_say_which_request_they_are_about() {
    let wire = Wire::open(warned(), &[]);
    let contents: [&[u8]; 3] = [b"one", b"two", b"three"];
    for content in contents {
        assert_eq!(wire.put(&key_of(content), content).status, 200);
    }
    assert_eq!(wire.server.connect().ask(&wire.get(&key_of(b"two"))).status, 200);
    assert_eq!(wire.put(&key_of(b"four"), b"fuor").status, 200);
    let lines = |what: &str| wire.server.log().lines().filter(|line| line.starts_with(what)).count();
    eventually("all lines are read", || lines("put ") == 4 && lines("get ") == 1);
    let log = wire.server.log();
    let of = |what: &str| requests(log.lines().filter(|line| line.starts_with(what)));
    let (put, got, warned) = (of("put "), of("get "), of("warning "));
    assert!(all_differ(&[&put[..], &got[..]].concat()), "each has its own:\n{log}");
    assert!(put[..3].iter().all(|req| warned.contains(req)), "the hook that failed for each is warned of:\n{log}");
    assert!(warned.iter().all(|req| put.contains(req)), "and for nothing else:\n{log}");
    assert!(!log.lines().any(|line| line.starts_with("listening") && line.contains("req=")), "{log}");
}

#[test]
fn lines_of_p2pstdio_say_which_request_they_are_about() {
    let repo = warned();
    let uuid = repo.uuid();
    let said = tempfile::NamedTempFile::new().expect("a file");
    let mut command = product(&repo);
    command.args(["shell", "p2pstdio"]).arg(Path::new(&repo.dir())).args([CLIENT, "--uuid", &uuid]);
    let mut session = Session::warning(command, said.reopen().expect("the file"));
    assert_eq!(session.line(), Some(format!("AUTH-SUCCESS {uuid}")));
    assert_eq!(session.ask("VERSION 4"), "VERSION 4");
    assert!(session.put(&key_of(b"one"), b"one").starts_with("SUCCESS"));
    assert_eq!(session.put(&key_of(b"four"), b"fuor"), "FAILURE");
    assert!(session.put(&key_of(b"two"), b"two").starts_with("SUCCESS"));
    session.close();
    session.ended();
    let log = std::fs::read_to_string(said.path()).expect("text");
    let of = |what: &str| requests(log.lines().filter(|line| line.contains(what)));
    assert_eq!(of("verification of content failed"), [2], "{log}");
    let hooks = of("freezecontent");
    assert!(!hooks.is_empty() && hooks.iter().all(|req| [1, 3].contains(req)), "{log}");
    assert!(hooks.contains(&1) && hooks.contains(&3), "{log}");
}
