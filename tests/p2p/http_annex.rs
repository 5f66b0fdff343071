//! The real git-annex as a client of p2phttp.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use testbed::annex::{Repo, content};
use testbed::clients::{client_of, object, remote, write_program};
use testbed::gateway::{Gateway, eventually};

const MIB: usize = 1 << 20;

/// What git-annex examines with a url at which nobody listens, and which fails for its own remotes of git too.
const UNAVAILABLE: [&str; 3] = ["removeKey", "storeKey", "checkPresent"];

#[test]
fn testremote_passes_on_a_repository_with_a_work_tree() {
    testremote(Repo::new());
}

#[test]
fn testremote_passes_on_a_bare_repository() {
    testremote(Repo::bare());
}

fn testremote(served: Repo) {
    let server = Gateway::serve(&served, &["--wideopen", "--quiet"]);
    let client = client_of(&served, &server);
    let done = client.annex(&["testremote", "--fast", "origin"]);
    let mut group = "";
    let (mut passed, mut failed) = (0, Vec::new());
    for line in done.stdout.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") {
            group = line.trim();
        }
        match line.trim().split_once(':').map(|(name, result)| (name, result.trim())) {
            Some((_, result)) if result.starts_with("OK") => passed += 1,
            Some((name, result)) if result.starts_with("FAIL") => failed.push((group, name)),
            _ => {}
        }
    }
    assert_eq!(failed, UNAVAILABLE.map(|name| ("unavailable remote", name)), "{}", done.all());
    assert!(passed >= 100, "not all of it: {passed}\n{}", done.all());
    server.stop();
}

#[test]
fn files_go_both_ways_with_eight_jobs() {
    both_ways(Repo::new());
}

#[test]
fn files_go_both_ways_with_eight_jobs_on_a_bare_repository() {
    both_ways(Repo::bare());
}

fn both_ways(served: Repo) {
    let server = Gateway::serve(&served, &["--wideopen", "--quiet"]);
    let client = client_of(&served, &server);
    let names: Vec<String> = (0..40).map(|n| format!("f{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        std::fs::write(client.dir().join(name), content(n as u64, n * 20_000)).expect("a file");
    }
    client.annex(&["add", "--quiet"]).ok();
    client.annex(&["copy", "--quiet", "-J8", "--to", "origin"]).ok();
    client.annex(&["drop", "--quiet", "-J8"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()), "nothing is left here");
    client.annex(&["get", "--quiet", "-J8"]).ok();
    for (n, name) in names.iter().enumerate() {
        assert_eq!(client.read(name), Some(content(n as u64, n * 20_000)), "{name}");
    }
    client.annex(&["fsck", "--quiet", "-J4", "--from", "origin"]).ok();
    client.annex(&["drop", "--quiet", "-J8", "--from", "origin"]).ok();
    client.annex(&["move", "--quiet", "-J8", "--to", "origin"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()), "nothing is left here");
    client.annex(&["move", "--quiet", "-J8", "--from", "origin"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_some()), "all is back");
    // The server's own record agrees, seen by its own git-annex.
    client.annex(&["copy", "--quiet", "--to", "origin", "f1", "f2"]).ok();
    server.stop();
    let found = served.annex(&["findkeys", "--in", "here"]);
    let keys = ["f1", "f2"].map(|name| client.annex(&["lookupkey", name]).ok().stdout);
    let mut have: Vec<String> = found.ok().stdout.lines().map(|line| format!("{line}\n")).collect();
    have.sort();
    let mut keys = keys.to_vec();
    keys.sort();
    assert_eq!(have, keys);
    served.annex(&["fsck", "--quiet", "--key", keys[0].trim()]).ok();
    served.git(&["fsck", "--strict"]).ok();
}

#[test]
fn fsck_finds_content_that_rotted_on_the_server() {
    let served = Repo::new();
    let server = Gateway::serve(&served, &["--wideopen", "--quiet"]);
    let client = client_of(&served, &server);
    let key = client.add("f", 1, MIB);
    client.annex(&["copy", "--quiet", "--to", "origin", "f"]).ok();
    client.annex(&["fsck", "--quiet", "--from", "origin", "f"]).ok();
    let object = object(&served, &key);
    let mut rotten = content(1, MIB);
    rotten[MIB / 2] ^= 1;
    let set = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&object, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    set(0o644);
    std::fs::write(&object, &rotten).expect("it is ours");
    set(0o444);
    let found = client.annex(&["fsck", "--from", "origin", "f"]).failed();
    assert!(found.all().contains("Bad file content"), "{}", found.all());
    assert!(!object.exists(), "git-annex has it dropped from there");
    server.stop();
}

#[test]
fn content_is_dropped_while_another_server_has_its_copy_locked() {
    let (one, two) = (Repo::new(), Repo::bare());
    let servers = [Gateway::serve(&one, &["--wideopen"]), Gateway::serve(&two, &["--wideopen"])];
    let client = client_of(&one, &servers[0]);
    remote(&client, "two", &two, &servers[1].url());
    let key = client.add("f", 1, 10_000);
    client.annex(&["copy", "--quiet", "--to", "origin", "f"]).ok();
    client.annex(&["move", "--quiet", "--to", "two", "f"]).ok();
    // Of three it wants two, so the lock on one of them is not enough to drop the other.
    client.annex(&["numcopies", "--quiet", "2"]).ok();
    client.annex(&["drop", "--from", "origin", "f"]).failed();
    client.annex(&["numcopies", "--quiet", "1"]).ok();
    let counted = |server: &Gateway, op: &str| server.metric(&format!("requests_total{{op=\"{op}\"}}"));
    let before = counted(&servers[1], "lockcontent");
    client.annex(&["drop", "--quiet", "--from", "origin", "f"]).ok();
    assert_eq!(counted(&servers[1], "lockcontent"), before + 1, "the other one was locked");
    assert!(counted(&servers[1], "keeplocked") >= 1 && counted(&servers[0], "gettimestamp") >= 1);
    eventually("the lock is let go", || servers.iter().all(|server| server.metric("locks") == 0));
    assert!(!object(&one, &key).exists() && object(&two, &key).exists());
    // The last copy is not dropped, and one that is locked is not either.
    client.annex(&["drop", "--from", "two", "f"]).failed();
    client.annex(&["get", "--quiet", "f"]).ok();
    let dropped = client.annex(&["drop", "--quiet", "f"]);
    dropped.ok();
    assert!(object(&two, &key).exists() && client.read("f").is_none());
    servers.into_iter().for_each(Gateway::stop);
}

#[test]
fn users_log_in_and_may_do_what_they_may() {
    let mut served = Repo::new();
    for (name, password, permissions) in
        [("alice", "pw 1:ä", ""), ("bob", "pw2", "readonly"), ("carol", "pw3", "appendonly")]
    {
        served.set(&format!("GIT_ANNEX_P2PHTTP_PASSWORD_{name}"), password);
        if !permissions.is_empty() {
            served.set(&format!("GIT_ANNEX_P2PHTTP_PERMISSIONS_{name}"), permissions);
        }
    }
    let there = served.add("there", 1, 1000);
    served.git(&["commit", "--quiet", "-m", "there"]).ok();
    let server = Gateway::serve(&served, &["--authenv-http"]);
    let as_user = |name: &str, password: &str| {
        let client = client_of(&served, &server);
        let helper = client.dir().join(".git/helper");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = get ] && printf 'username=%s\\npassword=%s\\n' '{name}' '{password}'\nexit 0\n"
        );
        write_program(&helper, &script);
        client.git(&["config", "credential.helper", &helper.display().to_string()]).ok();
        client
    };
    let (alice, bob, carol, zed) =
        (as_user("alice", "pw 1:ä"), as_user("bob", "pw2"), as_user("carol", "pw3"), as_user("alice", "wrong"));
    for (name, client) in [("alice", &alice), ("bob", &bob), ("carol", &carol)] {
        client.annex(&["get", "--quiet", "there"]).ok();
        assert_eq!(client.read("there"), Some(content(1, 1000)), "{name}");
    }
    zed.annex(&["get", "there"]).failed();
    bob.add("of-bob", 2, 1000);
    bob.annex(&["copy", "--to", "origin", "of-bob"]).failed();
    bob.annex(&["drop", "--from", "origin", "there"]).failed();
    let of_carol = carol.add("of-carol", 3, 1000);
    carol.annex(&["copy", "--quiet", "--to", "origin", "of-carol"]).ok();
    carol.annex(&["drop", "--from", "origin", "of-carol"]).failed();
    assert!(object(&served, &of_carol).exists() && object(&served, &there).exists());
    let of_alice = alice.add("of-alice", 4, 1000);
    alice.annex(&["copy", "--quiet", "--to", "origin", "of-alice"]).ok();
    assert!(object(&served, &of_alice).exists());
    alice.annex(&["drop", "--quiet", "--from", "origin", "of-alice"]).ok();
    assert!(!object(&served, &of_alice).exists());
    let log = server.log();
    assert!(log.contains("user=carol") && log.contains("user=alice"), "{log}");
    assert!(!["pw2", "pw3", "pw 1"].iter().any(|secret| log.contains(secret)), "{log}");
    server.stop();
}

#[test]
fn names_that_are_no_text_go_both_ways() {
    let served = Repo::bare();
    let server = Gateway::serve(&served, &["--wideopen", "--quiet"]);
    let client = client_of(&served, &server);
    let names: [&[u8]; 7] =
        [b"caf\xe9", b"\xff\xfe", b"sp ace", b"new\nline", b"50%+;&=?#", b"[b]", "ünïcödé".as_bytes()];
    for backend in ["WORM", "SHA256E", "MD5"] {
        client.git(&["config", "annex.backend", backend]).ok();
        for (n, name) in names.iter().enumerate() {
            let name = [backend.as_bytes(), b".", *name, b".", *name].concat();
            std::fs::write(client.dir().join(OsStr::from_bytes(&name)), content(n as u64, 100 + n)).expect("a file");
        }
        client.annex(&["add", "--quiet"]).ok();
    }
    let files = || {
        let names = std::fs::read_dir(client.dir()).expect("it is ours").flatten().map(|entry| entry.path());
        names.filter(|path| path.file_name() != Some(OsStr::new(".git"))).collect::<Vec<PathBuf>>()
    };
    assert_eq!(files().len(), 21);
    client.annex(&["move", "--quiet", "--to", "origin"]).ok();
    assert!(files().iter().all(|path| !path.exists()), "all have moved");
    client.annex(&["fsck", "--quiet", "--from", "origin"]).ok();
    client.annex(&["get", "--quiet"]).ok();
    client.annex(&["drop", "--quiet", "--from", "origin"]).ok();
    for path in files() {
        assert!(path.exists(), "{} is back", path.display());
    }
    server.stop();
}
