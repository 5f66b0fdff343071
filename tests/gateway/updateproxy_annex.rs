//! updateproxy, theirs and ours, in twin repositories; and what a client of git-annex's own makes of it.

use testbed::annex::{LIMIT, Repo};
use testbed::product;
use testbed::run::{Done, run};

/// What is done to git config before each turn, in order.
const TURNS: &[&[&[&str]]] = &[
    &[],
    &[&["remote.d1.annex-proxy", "true"]],
    &[],
    &[&["remote.d1.annex-proxy", "no"], &["remote.d2.annex-proxy", "1"], &["remote.far.annex-proxy", "TRUE"]],
    &[&["remote.tree.annex-proxy", "true"], &["remote.stranger.annex-proxy", "true"]],
    &[&["remote.both.annex-proxy", "true"], &["remote.d2.annex-ignore", "true"]],
    &[&["annex.cluster.myc", "ac033f93-51f0-8a24-837b-f45d6f2db388"], &["annex.cluster.bad", "not-a-cluster"]],
    &[&["remote.d1.annex-cluster-node", "myc"]],
    &[&["--unset", "annex.cluster.myc"], &["--unset", "remote.d1.annex-cluster-node"]],
    &[&["remote.d2.annex-verified", "manual"], &["remote.same.annex-proxy", "true"]],
    &[
        &["remote.d2.annex-proxy", "false"],
        &["remote.far.annex-proxy", "false"],
        &["remote.both.annex-proxy", "false"],
        &["--unset", "remote.same.annex-proxy"],
    ],
];

/// The same repository in two places, and its special remotes' directory.
fn twins() -> (Repo, Repo, tempfile::TempDir) {
    let (theirs, ours) = (Repo::new(), Repo::bare());
    let place = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", place.path().display());
    for (name, more) in [
        ("d1", &["encryption=none"][..]),
        ("d2", &["encryption=none"]),
        ("tree", &["encryption=none", "exporttree=yes"]),
        ("both", &["encryption=none", "exporttree=yes", "annexobjects=yes"]),
        ("same", &["--sameas=d1"]),
    ] {
        theirs.annex(&[&["initremote", name, "type=directory", &directory][..], more].concat()).ok();
    }
    for (name, value) in [
        ("remote.far.url", "ssh://nobody.invalid/x"),
        ("remote.far.annex-uuid", "00000000-0000-4000-8000-0000000000f2"),
        ("remote.stranger.url", "ssh://nobody.invalid/y"),
        // Without this git-annex would ask it who it is.
        ("remote.stranger.annex-ignore", "true"),
    ] {
        theirs.git(&["config", name, value]).ok();
    }
    std::fs::remove_dir_all(ours.dir()).expect("removed");
    let copied = std::process::Command::new("cp").arg("-a").arg(theirs.dir()).arg(ours.dir()).status();
    assert!(copied.expect("cp runs").success());
    (theirs, ours, place)
}

fn update(repo: &Repo) -> Done {
    run(repo.command(product()).arg("updateproxy"), LIMIT)
}

/// proxy.log, the seconds left out.
fn log(repo: &Repo) -> String {
    let log = repo.git(&["show", "git-annex:proxy.log"]).stdout;
    let line = |line: &str| match line.split_once("s ") {
        Some((time, rest)) if time.parse::<u64>().is_ok() => format!("TIMEs {rest}\n"),
        _ => panic!("{line:?}"),
    };
    log.lines().map(line).collect()
}

fn commits(repo: &Repo) -> String {
    repo.git(&["log", "--format=%s", "git-annex", "--", "proxy.log"]).ok().stdout
}

#[test]
fn ours_records_and_says_what_theirs_does() {
    let (theirs, ours, _place) = twins();
    for turn in TURNS {
        for words in *turn {
            theirs.git(&[&["config"], *words].concat()).ok();
            ours.git(&[&["config"], *words].concat()).ok();
        }
        let (their, our) = (theirs.annex(&["updateproxy"]).ok(), update(&ours).ok());
        assert_eq!(our.stdout, their.stdout, "{turn:?}");
        assert_eq!(our.stderr.is_empty(), their.stderr.is_empty(), "{turn:?}: {} {}", our.stderr, their.stderr);
        assert_eq!(log(&ours), log(&theirs), "{turn:?}");
        assert_eq!(commits(&ours), commits(&theirs), "{turn:?}");
    }
    assert!(log(&ours).ends_with(" \n"), "nothing is proxied in the end");
    // And each goes on from what the other left.
    for repo in [&theirs, &ours] {
        repo.git(&["config", "remote.d1.annex-proxy", "true"]).ok();
    }
    assert_eq!(update(&theirs).ok().stdout, "Started proxying for d1\n");
    assert_eq!(ours.annex(&["updateproxy"]).ok().stdout, "Started proxying for d1\n");
    assert_eq!(update(&ours).ok().stdout, "No proxy changes to record.\n");
    assert_eq!(theirs.annex(&["updateproxy"]).ok().stdout, "No proxy changes to record.\n");
    assert_eq!(log(&ours), log(&theirs));
}

/// Nobody is told of what is private. git-annex says "Started proxying" each time, and records nothing; ours says why.
#[test]
fn what_is_private_is_not_told_to_others() {
    let repo = Repo::new();
    let place = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", place.path().display());
    for (name, more) in [
        ("secret", &["--private", "encryption=none"][..]),
        ("d1", &["encryption=none"]),
        ("second", &["--sameas=d1", "--private"]),
    ] {
        repo.annex(&[&["initremote", name, "type=directory", &directory][..], more].concat()).ok();
    }
    for name in ["secret", "second"] {
        repo.git(&["config", &format!("remote.{name}.annex-proxy"), "true"]).ok();
    }
    let said = update(&repo).ok();
    assert_eq!(said.stdout, "Started proxying for second\n");
    assert!(said.stderr.contains("secret is not proxied: it is private"), "{}", said.stderr);
    let ours = log(&repo);
    let uuid = |name: &str| repo.git(&["config", &format!("remote.{name}.annex-uuid")]).ok().stdout.trim().to_string();
    assert!(ours.contains(&format!("{}:second", uuid("d1"))) && !ours.contains(&uuid("secret")), "{ours}");
    repo.annex(&["updateproxy"]).ok();
    assert_eq!(log(&repo), ours, "git-annex records the same");
}

#[test]
fn a_client_finds_the_proxied_remotes_after_a_fetch() {
    let (_theirs, ours, _place) = twins();
    let client = Repo::clone_of(&ours);
    let seen = || client.annex(&["info", "--fast"]).ok().stdout;
    client.git(&["config", "remote.origin.annex-uuid", &ours.uuid()]).ok();
    ours.git(&["config", "remote.d1.annex-proxy", "true"]).ok();
    update(&ours).ok();
    client.git(&["fetch", "--quiet", "origin"]).ok();
    client.annex(&["merge", "--quiet"]).ok();
    client.git(&["config", "remote.origin.url", "ssh://nobody.invalid/x"]).ok();
    assert!(seen().contains("[origin-d1]"), "{}", seen());
}

#[test]
fn it_works_from_below_and_says_where_it_does_not() {
    let repo = Repo::new();
    let below = repo.dir().join("below");
    std::fs::create_dir(&below).expect("a directory");
    let done = run(repo.command(product()).arg("updateproxy").current_dir(&below), LIMIT).ok();
    assert_eq!(done.stdout, "No proxy changes to record.\n");
    let nowhere = tempfile::tempdir().expect("a directory");
    let done = run(repo.command(product()).arg("updateproxy").current_dir(nowhere.path()), LIMIT).failed();
    assert!(done.stderr.contains("not in a git repository"), "{}", done.stderr);
    run(repo.command(product()).args(["updateproxy", "extra"]), LIMIT).failed();
}
