//! Real git-annex clients with our git-annex-shell behind a pretend ssh.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use testbed::annex::{Repo, content};
use testbed::gateway::eventually;
use testbed::run::run;
use testbed::ssh::Ssh;

/// A client with these remotes, by way of `ssh`.
fn client_of(ssh: &Ssh, remotes: &[(&str, &Repo)]) -> Repo {
    let mut client = Repo::new();
    ssh.lead(&mut client);
    for (name, server) in remotes {
        client.git(&["remote", "add", name, &Ssh::url(server)]).ok();
    }
    client
}

/// Where the remote is seen to be, and that it was our git-annex-shell which said so.
fn meet(ssh: &Ssh, client: &Repo, name: &str, server: &Repo) {
    client.annex(&["info", "--fast", "--quiet", name]).ok();
    let known = client.git(&["config", &format!("remote.{name}.annex-uuid")]).ok().stdout;
    assert_eq!(known.trim(), server.uuid());
    assert!(ssh.calls().iter().any(|call| call.starts_with("git-annex-shell 'configlist'")), "{:?}", ssh.calls());
}

/// What is in git-annex's `unavailable remote` group and fails for its own program behind ssh as well: the test makes a
/// remote unavailable by a change to its config that a server named by a path does not notice.
const UNAVAILABLE: [&str; 4] = ["removeKey", "storeKey", "checkPresent", "retrieveKeyFile"];

fn testremote(server: &Repo) {
    let ssh = Ssh::new();
    let client = client_of(&ssh, &[("origin", server)]);
    meet(&ssh, &client, "origin", server);
    let done = client.annex(&["testremote", "origin"]);
    let (mut group, mut failed) = (String::new(), Vec::new());
    for line in done.stdout.lines() {
        match line.strip_prefix("  ") {
            Some(name) if !name.starts_with(' ') => group = name.to_string(),
            Some(test) if test.contains(" FAIL") => {
                failed.push(format!("{group}: {}", test.trim().split(':').next().unwrap_or_default()));
            }
            _ => {}
        }
    }
    assert_eq!(failed, UNAVAILABLE.map(|test| format!("unavailable remote: {test}")), "{}", done.stdout);
    assert!(done.stdout.contains("4 out of 573 tests failed"), "{}", done.all());
    assert!(ssh.calls().iter().any(|call| call.contains("p2pstdio")));
}

#[test]
fn testremote_passes_on_a_bare_repository() {
    testremote(&Repo::bare());
}

#[test]
fn testremote_passes_on_a_repository_with_a_work_tree() {
    testremote(&Repo::new());
}

/// Whether the location log of the server's branch has the key.
fn recorded(server: &Repo, key: &str) -> bool {
    let (log, uuid) = (server.git(&["grep", "-a", "-h", "", "git-annex", "--", &format!("*{key}.log")]), server.uuid());
    log.stdout.lines().any(|line| line.split_once(' ').is_some_and(|(_, rest)| rest == format!("1 {uuid}")))
}

fn files_go_there_and_back(server: &Repo) {
    let ssh = Ssh::new();
    let client = client_of(&ssh, &[("origin", server)]);
    meet(&ssh, &client, "origin", server);
    let names: Vec<String> = (0..40).map(|n| format!("dir/file {n} %[x]&.dat")).collect();
    for (n, name) in names.iter().enumerate() {
        let path = client.dir().join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("a directory");
        std::fs::write(path, content(n as u64, 1 + n * 997)).expect("written");
    }
    client.annex(&["add", "--quiet"]).ok();
    client.git(&["commit", "--quiet", "-m", "files"]).ok();
    let key = client.annex(&["lookupkey", &names[7]]).ok().stdout.trim().to_string();
    client.annex(&["copy", "-J8", "--to", "origin", "--quiet"]).ok();
    assert!(recorded(server, &key), "committed at the end of the connection");
    client.annex(&["copy", "-J8", "--to", "origin", "--fast", "--quiet"]).ok();
    // Locked over the wire while it is dropped here.
    client.annex(&["drop", "-J8", "--quiet"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()));
    client.annex(&["get", "-J8", "--quiet"]).ok();
    for (n, name) in names.iter().enumerate() {
        assert!(client.read(name) == Some(content(n as u64, 1 + n * 997)), "{name}");
    }
    client.annex(&["fsck", "--from", "origin", "-J4", "--quiet"]).ok();
    client.annex(&["drop", "--from", "origin", "--quiet"]).ok();
    assert!(!recorded(server, &key));
    client.annex(&["move", "--to", "origin", "--quiet"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()));
    assert!(recorded(server, &key));
    client.annex(&["move", "--from", "origin", "-J4", "--quiet"]).ok();
    assert!(client.read(&names[39]) == Some(content(39, 1 + 39 * 997)));
    assert!(!recorded(server, &key));
    server.annex(&["fsck", "--quiet", "--key", &key]);
    server.git(&["fsck", "--strict"]).ok();
}

#[test]
fn files_go_to_a_bare_repository_and_back() {
    files_go_there_and_back(&Repo::bare());
}

#[test]
fn files_go_to_a_repository_with_a_work_tree_and_back() {
    files_go_there_and_back(&Repo::new());
}

#[test]
fn content_is_dropped_from_one_server_while_it_is_locked_on_another() {
    let (ssh, one, other) = (Ssh::new(), Repo::bare(), Repo::new());
    let client = client_of(&ssh, &[("one", &one), ("other", &other)]);
    let key = client.add("file", 1, 1000);
    client.annex(&["copy", "--to", "one", "--quiet"]).ok();
    client.annex(&["copy", "--to", "other", "--quiet"]).ok();
    client.annex(&["drop", "--quiet", "file"]).ok();
    client.annex(&["numcopies", "--quiet", "2"]).ok();
    client.annex(&["drop", "--from", "one", "--quiet"]).failed();
    client.annex(&["numcopies", "--quiet", "1"]).ok();
    ssh.forget();
    let mut keeping = client.annex_command(&["drop", "--from", "one", "--quiet"]);
    keeping.env("PRETEND_KEEP", "yes");
    run(&mut keeping, testbed::annex::LIMIT).ok();
    let said = ssh.said();
    let asked = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((asked("LOCKCONTENT "), asked("UNLOCKCONTENT"), asked("REMOVE-BEFORE ")), (1, 1, 1), "{said}");
    assert!(!recorded(&one, &key) && recorded(&other, &key));
    // The last copy stays.
    client.annex(&["drop", "--from", "other", "--quiet"]).failed();
    // A copy that is only believed to be there cannot be locked.
    client.annex(&["get", "--quiet", "file"]).ok();
    client.annex(&["copy", "--to", "one", "--quiet"]).ok();
    client.annex(&["drop", "--quiet", "file"]).ok();
    other.annex(&["drop", "--force", "--quiet", "--key", &key]).ok();
    client.annex(&["drop", "--from", "one", "--quiet"]).failed();
    assert!(recorded(&one, &key));
}

#[test]
fn content_that_rotted_on_the_server_is_found_by_fsck() {
    let (ssh, server) = (Ssh::new(), Repo::bare());
    let client = client_of(&ssh, &[("origin", &server)]);
    let key = client.add("file", 1, 5000);
    client.annex(&["copy", "--to", "origin", "--quiet"]).ok();
    client.annex(&["fsck", "--from", "origin", "--quiet"]).ok();
    let object = server.annex(&["contentlocation", &key]).ok().stdout;
    let path = server.dir().join(object.trim_end());
    let mut bytes = content(1, 5000);
    bytes[2500] ^= 1;
    let mode = |bits| std::fs::set_permissions(&path, Permissions::from_mode(bits)).expect("ours");
    mode(0o644);
    std::fs::write(&path, bytes).expect("written");
    mode(0o444);
    let said = client.annex(&["fsck", "--from", "origin"]).failed().all();
    assert!(said.contains("Verification of content failed"), "{said}");
    // What is bad there can be replaced from here.
    client.annex(&["drop", "--from", "origin", "--quiet"]).ok();
    assert!(!path.exists() && !recorded(&server, &key));
    client.annex(&["copy", "--to", "origin", "--quiet"]).ok();
    client.annex(&["fsck", "--from", "origin", "--quiet"]).ok();
}

/// Who is killed.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}

const LARGE: usize = 24 << 20;
const ALLOWED: &str = "9000000";

/// Starts `words`, which stall after some megabytes, kills one side, and does them again. Returns what was said.
fn broken_off(ssh: &Ssh, client: &Repo, words: &[&str], valve: &str, side: Side) {
    ssh.forget();
    let mut command = client.annex_command(words);
    command.env(valve, ALLOWED).args(["--quiet"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().expect("it starts");
    ssh.wait_stalled();
    match side {
        Side::Client => running.kill().expect("it is running"),
        Side::Server => ssh.kill_server(),
    }
    ssh.open();
    // Where the server was killed the client itself may go on with a new one; either way it ends.
    eventually("the client ends", || running.try_wait().expect("our child").is_some());
    let mut again = client.annex_command(words);
    run(again.env("PRETEND_KEEP", "yes").arg("--quiet"), testbed::annex::LIMIT).ok();
}

fn upload_goes_on(side: Side) {
    let (ssh, server) = (Ssh::new(), Repo::bare());
    let client = client_of(&ssh, &[("origin", &server)]);
    let key = client.add("file", 1, LARGE);
    broken_off(&ssh, &client, &["copy", "--to", "origin"], "PRETEND_IN", side);
    assert!(recorded(&server, &key));
    let offers: Vec<u64> =
        ssh.answered().lines().filter_map(|line| line.strip_prefix("PUT-FROM ")?.parse().ok()).collect();
    assert_eq!(offers.len(), 2, "{offers:?}");
    assert!(offers[0] == 0 && offers[1] > 1 << 20, "{offers:?}");
    server.annex(&["fsck", "--quiet", "--key", &key]).ok();
}

#[test]
fn an_upload_goes_on_where_the_server_was_killed() {
    upload_goes_on(Side::Server);
}

#[test]
fn an_upload_goes_on_where_the_client_was_killed() {
    upload_goes_on(Side::Client);
}

fn download_goes_on(side: Side) {
    let (ssh, server) = (Ssh::new(), Repo::bare());
    let client = client_of(&ssh, &[("origin", &server)]);
    client.add("file", 1, LARGE);
    client.annex(&["move", "--to", "origin", "--quiet"]).ok();
    broken_off(&ssh, &client, &["get", "file"], "PRETEND_OUT", side);
    assert!(client.read("file") == Some(content(1, LARGE)));
    let offsets: Vec<u64> =
        ssh.said().lines().filter_map(|line| line.strip_prefix("GET ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(offsets.len(), 2, "{offsets:?}");
    assert!(offsets[0] == 0 && offsets[1] > 1 << 20, "{offsets:?}");
}

#[test]
fn a_download_goes_on_where_the_server_was_killed() {
    download_goes_on(Side::Server);
}

#[test]
fn a_download_goes_on_where_the_client_was_killed() {
    download_goes_on(Side::Client);
}

#[test]
fn names_and_keys_are_bytes() {
    let (ssh, server) = (Ssh::new(), Repo::bare());
    let client = client_of(&ssh, &[("origin", &server)]);
    let names: [&[u8]; 4] = [b"latin \xe9 1.dat", b"\xff\xfe.bin", "ünï 見.txt".as_bytes(), b"tab\tand %25 & 'quote'"];
    for (n, name) in names.iter().enumerate() {
        std::fs::write(client.dir().join(OsStr::from_bytes(name)), content(n as u64, 100)).expect("written");
    }
    // Keys with the names in them.
    client.annex(&["add", "--quiet", "--backend", "WORM"]).ok();
    client.git(&["commit", "--quiet", "-m", "names"]).ok();
    client.annex(&["move", "--to", "origin", "--quiet"]).ok();
    assert!(names.iter().all(|name| !client.dir().join(OsStr::from_bytes(name)).exists()));
    client.annex(&["fsck", "--from", "origin", "--quiet"]).ok();
    client.annex(&["get", "--quiet"]).ok();
    for (n, name) in names.iter().enumerate() {
        let bytes = std::fs::read(client.dir().join(OsStr::from_bytes(name))).expect("it is here");
        assert!(bytes == content(n as u64, 100), "{}", name.escape_ascii());
    }
    server.annex(&["fsck", "--quiet", "--all"]).ok();
    server.git(&["fsck", "--strict"]).ok();
}

/// `git annex WORDS` in `client`, with what an administrator set on the server. The command comes as sshd hands it over to
/// a shell that is forced.
fn with(client: &Repo, setting: &str, words: &[&str]) -> testbed::run::Done {
    let (name, value) = setting.split_once('=').expect("NAME=VALUE");
    let mut command = client.annex_command(words);
    run(command.env("PRETEND_FORCED", "yes").env(name, value), testbed::annex::LIMIT)
}

#[test]
fn what_the_administrator_forbids_is_forbidden() {
    let (ssh, server, elsewhere) = (Ssh::new(), Repo::bare(), Repo::bare());
    let client = client_of(&ssh, &[("origin", &server)]);
    meet(&ssh, &client, "origin", &server);
    client.add("one", 1, 1000);
    client.add("two", 2, 1000);
    client.git(&["commit", "--quiet", "-m", "files"]).ok();
    let own = format!("GIT_ANNEX_SHELL_DIRECTORY={}", server.dir().display());
    let others = format!("GIT_ANNEX_SHELL_DIRECTORY={}", elsewhere.dir().display());
    with(&client, &others, &["copy", "one", "--to", "origin"]).failed();
    with(&client, &own, &["copy", "one", "--to", "origin"]).ok();

    const READ: &str = "GIT_ANNEX_SHELL_READONLY=1";
    with(&client, READ, &["copy", "two", "--to", "origin"]).failed();
    with(&client, READ, &["drop", "one", "--from", "origin"]).failed();
    with(&client, READ, &["drop", "one"]).ok();
    with(&client, READ, &["get", "one"]).ok();

    const APPEND: &str = "GIT_ANNEX_SHELL_APPENDONLY=1";
    with(&client, APPEND, &["copy", "two", "--to", "origin"]).ok();
    let refused = with(&client, APPEND, &["drop", "two", "--from", "origin"]).failed().all();
    assert!(refused.contains("this repository is append-only; removal denied"), "{refused}");

    const LIMITED: &str = "GIT_ANNEX_SHELL_LIMITED=1";
    with(&client, LIMITED, &["drop", "two", "--from", "origin"]).ok();
    let push = |setting: &str| {
        let (name, value) = setting.split_once('=').expect("NAME=VALUE");
        let mut push = client.command("git".as_ref());
        push.args(["push", "origin", "git-annex:synced/git-annex"]).env("PRETEND_FORCED", "yes").env(name, value);
        run(&mut push, testbed::annex::LIMIT)
    };
    let refused = push(LIMITED).failed().all();
    assert!(refused.contains("Action blocked by GIT_ANNEX_SHELL_LIMITED"), "{refused}");
    push(&others).failed();
    push(&own).ok();
}

#[test]
fn a_new_server_is_initialised_by_its_first_client() {
    let (ssh, server) = (Ssh::new(), Repo::bare());
    server.git(&["config", "--remove-section", "annex"]).ok();
    let client = client_of(&ssh, &[("origin", &server)]);
    client.add("file", 1, 1000);
    client.git(&["commit", "--quiet", "-m", "file"]).ok();
    client.git(&["push", "--quiet", "origin", "main"]).ok();
    client.git(&["fetch", "--quiet", "origin"]).ok();
    client.annex(&["copy", "--to", "origin", "--quiet"]).ok();
    assert_eq!(server.uuid().len(), 36, "{}", server.uuid());
}
