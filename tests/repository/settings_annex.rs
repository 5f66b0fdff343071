//! Settings of git-annex that a server heeds, and repositories as people make them: theirs and ours.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testbed::annex::{Repo, content};
use testbed::clients::{client_of, object};
use testbed::gateway::{Gateway, eventually};
use testbed::p2p::{CLIENT, Session};
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy, SEEN};
use testbed::servers::peers;
use testbed::ssh::Ssh;
use testbed::tracked::{self, Tracked, Wire};

/// git-annex-shell of ours or theirs.
fn session(whose: Whose, repo: &Repo, uuid: &str) -> Session {
    let mut command = match whose {
        Whose::Ours => repo.command(product()),
        Whose::Theirs => repo.command(&peers().join("git-annex-shell")),
    };
    command.arg0("git-annex-shell").arg("p2pstdio").arg(repo.dir()).args([CLIENT, "--uuid", uuid]);
    Session::of(command)
}

/// Where content is once its removal was asked for: whether that was done, here, in the trashbin, and recorded of both.
fn trashed(whose: Whose, case: &str) -> [bool; 5] {
    let (repo, place) = (Repo::new(), Place::fs());
    repo.initremote("bin", &place, Whose::Theirs, &[]).ok();
    let key = repo.add("f", 1, 3_000_000);
    let bin = match case {
        "no such remote" => "nosuch",
        "no name" => "",
        _ => "bin",
    };
    repo.git(&["config", "annex.trashbin", bin]).ok();
    let away = place.path().with_extension("away");
    match case {
        "out of reach" => fs::rename(place.path(), &away).expect("moved"),
        "read-only" => drop(repo.git(&["config", "remote.bin.annex-readonly", "true"]).ok()),
        "there already" => drop(repo.annex(&["copy", "--quiet", "--to", "bin", "f"]).ok()),
        _ => {}
    }
    let uuid = repo.uuid();
    let mut session = session(whose, &repo, &uuid);
    assert_eq!(session.line(), Some(format!("AUTH-SUCCESS {uuid}")));
    assert_eq!(session.ask("VERSION 4"), "VERSION 4");
    let line = if case == "too late" { format!("REMOVE-BEFORE 0 {key}") } else { format!("REMOVE {key}") };
    session.send(format!("{line}\n").as_bytes());
    // git-annex leaves without an answer where the content has to stay.
    let done = session.line().as_deref() == Some("SUCCESS");
    drop(session);
    if case == "out of reach" {
        fs::rename(&away, place.path()).expect("moved");
    }
    let bin = repo.git(&["config", "remote.bin.annex-uuid"]).ok().stdout.trim().to_string();
    repo.annex(&["merge", "--quiet"]).ok();
    let recorded = |uuid: &str| repo.annex(&["readpresentkey", &key, uuid]).status.code() == Some(0);
    let in_bin = place.files().values().any(|found| *found == content(1, 3_000_000));
    [done, object(&repo, &key).exists(), in_bin, recorded(&uuid), recorded(&bin)]
}

#[test]
fn what_is_removed_goes_to_the_trashbin_first_and_stays_where_it_cannot() {
    let gone = [true, false, true, false, true];
    let stays = [false, true, false, true, false];
    for (case, expected) in [
        ("", gone),
        ("there already", gone),
        ("out of reach", stays),
        ("read-only", stays),
        ("no such remote", stays),
        ("no name", stays),
        ("too late", stays),
    ] {
        assert_eq!(trashed(Whose::Theirs, case), expected, "theirs: {case}");
        assert_eq!(trashed(Whose::Ours, case), expected, "ours: {case}");
    }
}

#[test]
fn the_trashbin_is_filled_over_http_and_is_any_kind_of_remote() {
    for (place, whose) in [(Place::fs(), Whose::Ours), (Place::weed(), Whose::Ours)] {
        let repo = Repo::new();
        repo.initremote("bin", &place, whose, &[]).ok();
        let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
        let client = client_of(&repo, &server);
        let key = client.add("f", 1, 20_000_000);
        client.annex(&["copy", "--quiet", "--to", "origin", "f"]).ok();
        // Set while it is served, and not told.
        repo.git(&["config", "annex.trashbin", "nosuch"]).ok();
        client.annex(&["drop", "--quiet", "--from", "origin", "f"]).failed();
        assert!(object(&repo, &key).exists(), "it stays");
        repo.git(&["config", "annex.trashbin", "bin"]).ok();
        client.annex(&["drop", "--quiet", "--from", "origin", "f"]).ok();
        assert!(!object(&repo, &key).exists(), "it is gone");
        assert!(place.files().values().any(|found| *found == content(1, 20_000_000)), "and in the trashbin");
        server.stop();
        let there = repo.annex(&["findkeys", "--in", "bin"]).ok().stdout;
        assert_eq!(there.trim(), key);
        repo.annex(&["fsck", "--quiet", "--from", "bin", "--key", &key]).ok();
    }
}

/// As soon as an included or the user's own file says so.
#[test]
fn a_remote_is_read_only_by_any_file_of_git_config_at_once() {
    let mut proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    let home = tempfile::tempdir().expect("a directory");
    let (included, global) = (home.path().join("included"), home.path().join("global"));
    fs::write(&global, "").expect("written");
    proxy.repo.git(&["config", "include.path", &included.display().to_string()]).ok();
    proxy.repo.set("GIT_CONFIG_GLOBAL", global.display().to_string());
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let client = proxy.client(&server);
    client.add("f", 1, 1000);
    client.annex(&["copy", "--quiet", "--to", SEEN, "f"]).ok();
    for file in [&included, &global] {
        fs::write(file, format!("[remote \"{NAME}\"]\n\tannex-readonly = true\n")).expect("written");
        client.annex(&["drop", "--quiet", "--from", SEEN, "f"]).failed();
        fs::write(file, "").expect("written");
        client.annex(&["drop", "--quiet", "--from", SEEN, "f"]).ok();
        client.annex(&["copy", "--quiet", "--to", SEEN, "f"]).ok();
    }
    server.stop();
}

/// A limit is met, however fast the machine is.
#[test]
fn content_of_a_proxied_remote_moves_no_faster_than_it_may() {
    for behind in [
        Behind::Special(Place::fs(), Whose::Ours),
        Behind::Special(Place::weed(), Whose::Ours),
        Behind::Path(Repo::new()),
    ] {
        let proxy = Proxy::new(behind);
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let client = proxy.client(&server);
        client.add("f", 1, 400_000);
        // The first quarter of a second's is free: 3.75 seconds' worth is not.
        let slow = Duration::from_millis(3_700);
        let timed = |words: &[&str]| {
            let start = Instant::now();
            client.annex(words).ok();
            start.elapsed()
        };
        proxy.repo.git(&["config", "annex.bwlimit", "100kB"]).ok();
        let took = timed(&["copy", "--quiet", "--to", SEEN, "f"]);
        assert!(took >= slow, "up in {took:?}");
        client.annex(&["drop", "--quiet", "f"]).ok();
        proxy.repo.git(&["config", &format!("remote.{NAME}.annex-bwlimit-upload"), "100MB"]).ok();
        let took = timed(&["get", "--quiet", "f"]);
        assert!(took >= slow, "down in {took:?}");
        assert_eq!(client.read("f"), Some(content(1, 400_000)));
        server.stop();
    }
}

/// git-annex leaves this to the program. Two remotes, so that it matters what they are called.
#[test]
fn content_of_a_special_remote_moves_no_faster_than_it_may() {
    for place in [Place::fs(), Place::weed(), Place::webdav()] {
        let repo = Repo::new();
        repo.initremote("slow", &place, Whose::Ours, &[]).ok();
        let other = Place::fs();
        repo.initremote("quick", &other, Whose::Ours, &[]).ok();
        repo.add("f", 1, 400_000);
        let slow = Duration::from_millis(3_700);
        let timed = |words: &[&str]| {
            let start = Instant::now();
            repo.annex(words).ok();
            start.elapsed()
        };
        repo.git(&["config", "annex.bwlimit", "100kB"]).ok();
        repo.git(&["config", "remote.quick.annex-bwlimit", "1GB"]).ok();
        let took = timed(&["copy", "--quiet", "--to", "slow", "f"]);
        assert!(took >= slow, "up in {took:?}");
        let quick = timed(&["copy", "--quiet", "--to", "quick", "f"]);
        repo.annex(&["drop", "--quiet", "f"]).ok();
        let took = timed(&["get", "--quiet", "--from", "slow", "f"]);
        assert!(took >= slow, "down in {took:?}");
        assert!(quick < took, "to the other in {quick:?}");
        assert_eq!(repo.read("f"), Some(content(1, 400_000)));
    }
}

fn disk_of(proxy: &Proxy) -> PathBuf {
    match &proxy.behind {
        Behind::Special(place, _) => place.path(),
        Behind::Path(repo) => repo.dir(),
        _ => unreachable!("it is on this computer"),
    }
}

/// The disk of `proxy` is there only while its start command is in force. Returns the file that says what was run.
fn mounted(proxy: &Proxy) -> PathBuf {
    let disk = disk_of(proxy);
    let log = proxy.repo.dir().with_file_name("log");
    let (on, off) = (disk.display().to_string(), disk.with_extension("off").display().to_string());
    for (name, line) in [
        ("annex-start-command", format!("mv '{off}' '{on}' && echo start >>'{}'", log.display())),
        ("annex-stop-command", format!("mv '{on}' '{off}' && echo stop >>'{}'", log.display())),
    ] {
        proxy.repo.git(&["config", &format!("remote.{NAME}.{name}"), &line]).ok();
    }
    fs::rename(on, off).expect("moved");
    log
}

/// It is there to be removed.
fn unmounted(proxy: &Proxy) {
    fs::rename(disk_of(proxy).with_extension("off"), disk_of(proxy)).expect("it was stopped");
}

fn behinds() -> [Behind; 2] {
    [Behind::Special(Place::fs(), Whose::Ours), Behind::Path(Repo::new())]
}

#[test]
fn a_remote_is_started_before_it_is_used_and_stopped_after_over_stdio() {
    for behind in behinds() {
        let (proxy, ssh) = (Proxy::new(behind), Ssh::new());
        let client = proxy.client_by(&ssh);
        let log = mounted(&proxy);
        client.add("f", 1, 100_000);
        client.annex(&["copy", "--quiet", "--to", SEEN, "f"]).ok();
        client.annex(&["drop", "--quiet", "f"]).ok();
        client.annex(&["get", "--quiet", "f"]).ok();
        let said = || fs::read_to_string(&log).unwrap_or_default();
        // git-annex does not wait for the end of what it runs on the other side.
        eventually("it is stopped", || said().ends_with("stop\n"));
        let said = said();
        assert!(said.lines().zip(["start", "stop"].into_iter().cycle()).all(|(line, wanted)| line == wanted), "{said}");
        unmounted(&proxy);
    }
}

#[test]
fn a_remote_is_started_before_it_is_used_and_stopped_after_over_http() {
    for behind in behinds() {
        let proxy = Proxy::new(behind);
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let client = proxy.client(&server);
        let log = mounted(&proxy);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        client.add("f", 1, 100_000);
        client.annex(&["copy", "--quiet", "--to", SEEN, "f"]).ok();
        client.annex(&["drop", "--quiet", "f"]).ok();
        client.annex(&["get", "--quiet", "f"]).ok();
        eventually("it is stopped while the server goes on", || said() == "start\nstop\n");
        client.annex(&["fsck", "--quiet", "--from", SEEN, "f"]).ok();
        server.stop();
        assert_eq!(said(), "start\nstop\nstart\nstop\n");
        unmounted(&proxy);
    }
}

#[test]
fn a_remote_that_does_not_start_is_not_used() {
    let proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen"]);
    let client = proxy.client(&server);
    proxy.repo.git(&["config", &format!("remote.{NAME}.annex-start-command"), "exit 3"]).ok();
    client.add("f", 1, 1000);
    client.annex(&["copy", "--quiet", "--to", SEEN, "f"]).failed();
    let Behind::Special(place, _) = &proxy.behind else { unreachable!("it is one") };
    assert!(place.files().is_empty(), "{:?}", place.names());
    assert!(server.log().contains("annex-start-command of remote far: exit status: 3"), "{}", server.log());
    server.stop();
}

/// Content both ways, the server's record, and what the client pushed, merged by us.
fn there_and_back(server: &Repo, client: &Repo) {
    let names: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    let keys: Vec<String> = names.iter().zip(0..).map(|(name, n)| client.add(name, n, 50_000)).collect();
    client.git(&["commit", "--quiet", "--message", "x"]).ok();
    client.annex(&["copy", "--quiet", "-J2", "--to", "origin"]).ok();
    client.annex(&["drop", "--quiet"]).ok();
    client.annex(&["get", "--quiet", "-J2"]).ok();
    for (name, n) in names.iter().zip(0..) {
        assert_eq!(client.read(name), Some(content(n, 50_000)), "{name}");
    }
    client.git(&["push", "--quiet", &server.dir().display().to_string(), "git-annex:synced/git-annex"]).ok();
    client.annex(&["drop", "--quiet", "--from", "origin", "f0"]).ok();
    let git = |words: &[&str]| server.git(words).status.success();
    eventually("what was pushed is merged", || git(&["merge-base", "--is-ancestor", "synced/git-annex", "git-annex"]));
    server.annex(&["merge", "--quiet"]).ok();
    let here = server.annex(&["findkeys", "--in", "here"]).ok().stdout;
    let mut here: Vec<&str> = here.lines().collect();
    here.sort_unstable();
    let mut expected: Vec<&str> = keys[1..].iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(here, expected);
    server.annex(&["fsck", "--quiet", "--all"]).ok();
    server.git(&["fsck", "--strict"]).ok();
}

#[test]
fn repositories_of_sha256_are_served_over_http() {
    for bare in [false, true] {
        let repo = Repo::sha256(bare);
        let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
        there_and_back(&repo, &client_of(&repo, &server));
        server.stop();
    }
}

#[test]
fn repositories_of_sha256_are_served_over_ssh() {
    for bare in [false, true] {
        let (repo, ssh) = (Repo::sha256(bare), Ssh::new());
        let settings = [("remote.origin.url", &*Ssh::url(&repo)), ("remote.origin.annex-uuid", &*repo.uuid())];
        let client = Repo::clone_with(&repo, &settings, |client| ssh.lead(client));
        there_and_back(&repo, &client);
    }
}

#[test]
fn a_tree_follows_a_branch_in_a_repository_of_sha256() {
    for wire in [Wire::Ssh, Wire::Http] {
        let mut gateway = Tracked::of(Repo::sha256(true), Whose::Ours, Place::fs(), Whose::Ours, "main", wire);
        let client = gateway.client();
        let act = |script: &str| {
            let mut command = client.command(Path::new("sh"));
            let script = format!("set -e\n{script}\ngit add -A; git commit -qm x");
            testbed::run::run(command.arg("-c").arg(script), testbed::annex::LIMIT).ok();
        };
        act(
            "mkdir d; echo a >a; echo b >d/b; git annex add -q .; echo plain >plain; git -c annex.largefiles=nothing add plain",
        );
        client.annex(&["copy", "--quiet", "--to", tracked::SEEN]).ok();
        gateway.push(&client);
        let names = |gateway: &Tracked| -> Vec<String> {
            gateway.tree().keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        };
        eventually("the tree is there", || names(&gateway) == ["a", "d/b", "plain"]);
        act("git mv a c; git rm -q d/b; git annex drop -q --force c");
        gateway.push(&client);
        eventually("it follows", || names(&gateway) == ["c", "plain"]);
        client.annex(&["get", "--quiet", "c"]).ok();
        assert_eq!(client.read("c").as_deref(), Some(&b"a\n"[..]));
        tracked::examine(&gateway, "main");
        gateway.repo.git(&["fsck", "--strict"]).ok();
    }
}

/// The first push initialises it, and then it is like any other; git-annex comes to it later.
#[test]
fn a_new_repository_on_a_server_without_git_annex_is_made_one_of_its_own_by_the_first_push() {
    for format in ["sha1", "sha256"] {
        let (server, ssh) = (Repo::untouched(), Ssh::new());
        if format == "sha256" {
            fs::remove_dir_all(server.dir()).expect("removed");
            fs::create_dir(server.dir()).expect("made");
            server.git(&["init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", "."]).ok();
        }
        let mut client = if format == "sha1" { Repo::new() } else { Repo::sha256(false) };
        ssh.lead(&mut client);
        ssh.leave_out_git_annex(&mut client);
        client.git(&["remote", "add", "origin", &Ssh::url(&server)]).ok();
        let key = client.add("f", 1, 100_000);
        client.git(&["commit", "--quiet", "--message", "x"]).ok();
        client.annex(&["push", "--quiet", "origin"]).ok();
        let uuid = server.uuid();
        assert_eq!(client.git(&["config", "remote.origin.annex-uuid"]).ok().stdout.trim(), uuid, "{format}");
        assert_eq!(server.git(&["config", "annex.version"]).ok().stdout.trim(), "10");
        let log = server.git(&["show", "git-annex:uuid.log"]).ok().stdout;
        let path = server.dir().display().to_string();
        assert!(log.lines().any(|line| line.starts_with(&format!("{uuid} ")) && line.contains(&path)), "{log}");
        client.annex(&["copy", "--quiet", "--to", "origin", "f"]).ok();
        client.annex(&["drop", "--quiet", "f"]).ok();
        client.annex(&["get", "--quiet", "f"]).ok();
        assert_eq!(client.read("f"), Some(content(1, 100_000)));
        // What git-annex there finds.
        server.annex(&["fsck", "--quiet", "--all"]).ok();
        assert_eq!(server.annex(&["findkeys", "--in", "here"]).ok().stdout.trim(), key);
        assert_eq!(server.uuid(), uuid);
        server.git(&["fsck", "--strict"]).ok();
        let described = client.annex(&["info", "--fast", "origin"]).ok().stdout;
        assert!(described.contains(&uuid), "{described}");
    }
}
