//! Where p2phttp listens and what it serves: TLS, a unix socket, and directories full of repositories.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use testbed::annex::{LIMIT, Repo, content};
use testbed::clients::{annexurl, client_of, object, write_program};
use testbed::gateway::{Gateway, SOON, eventually};
use testbed::run::{Done, run};
use testbed::servers::top;
use testbed::wire::{CLIENT, key_of, length};

/// The certificates that git-annex trusts: it has no setting for that.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

#[test]
fn git_annex_gets_and_puts_over_tls_and_logs_in() {
    let mut served = Repo::new();
    served.set("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "secret of alice");
    served.add("there", 1, 3_000_000);
    served.git(&["commit", "--quiet", "-m", "there"]).ok();
    let (certificate, key) = (tls("first.pem"), tls("first.key"));
    let flags = ["--certfile", &certificate, "--privatekeyfile", &key, "--authenv", "--unauth-readonly"];
    let server = Gateway::serve(&served, &flags);
    let client = client_of(&served, &server);
    annexurl(&client, "origin", &format!("annex+https://localhost:{}/git-annex/", server.port()));
    let Some(done) = trusting(&client, &certificate, &["get", "--quiet", "there"]) else { return };
    done.ok();
    assert_eq!(client.read("there"), Some(content(1, 3_000_000)));
    let added = client.add("added", 2, 3_000_000);
    let copy = ["copy", "--quiet", "--to", "origin", "added"];
    trusting(&client, &certificate, &copy).expect("as before").failed();
    let helper = client.dir().join(".git/helper");
    write_program(
        &helper,
        "#!/bin/sh\n[ \"$1\" = get ] && printf 'username=alice\\npassword=secret of alice\\n'\nexit 0\n",
    );
    client.git(&["config", "credential.helper", &helper.display().to_string()]).ok();
    trusting(&client, &certificate, &copy).expect("as before").ok();
    assert!(std::fs::read(object(&served, &added)).expect("it is there") == content(2, 3_000_000));
    trusting(&client, &certificate, &["drop", "--quiet", "there", "added"]).expect("as before").ok();
    let other = tls("second.pem");
    trusting(&client, &other, &["get", "--quiet", "there"]).expect("as before").failed();
    let log = server.log();
    assert!(log.contains("user=alice") && log.contains("lane=tls") && !log.contains("secret"), "{log}");
    server.stop();
}

#[test]
fn a_renewed_certificate_is_taken_over_without_a_restart() {
    let served = Repo::new();
    let key = served.add("f", 1, 2_000_000);
    let dir = tempfile::tempdir().expect("a directory");
    let place = |name: &str| dir.path().join(name).display().to_string();
    let install = |which: &str| {
        for kind in ["pem", "key"] {
            std::fs::copy(tls(&format!("{which}.{kind}")), place(kind)).expect("a copy");
        }
    };
    install("first");
    let server =
        Gateway::serve(&served, &["--certfile", &place("pem"), "--privatekeyfile", &place("key"), "--wideopen"]);
    let url = format!("https://localhost:{}/git-annex/{}/key/{key}", server.port(), served.uuid());
    let get = |trusted: &str| curl(&["--cacert", &tls(trusted), &url]);
    assert_eq!(get("first.pem").status.code(), Some(0));
    // What cannot be used changes nothing.
    std::fs::write(place("pem"), "half a certifica").expect("it is ours");
    server.signal(Signal::HUP);
    server.wait_for(|line| line.starts_with("reloaded error=").then_some(()));
    assert_eq!(get("first.pem").status.code(), Some(0));
    install("second");
    server.signal(Signal::HUP);
    eventually("the new one is in use", || get("second.pem").status.success());
    assert_ne!(get("first.pem").status.code(), Some(0));
    // Who speaks plainly, or stops halfway through the handshake, stops nobody.
    let mut plain = server.connect();
    plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    plain.rest();
    let mut half = server.connect();
    half.send(b"\x16\x03\x01\x02\x00\x01");
    assert_eq!(get("second.pem").status.code(), Some(0));
    drop(half);
    server.stop();
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_server() {
    let served = Repo::new();
    let key = served.add("f", 1, 2_000_000);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("annex.sock");
    let socket = path.display().to_string();
    let start = || Gateway::start(Gateway::command(&served).args(["--wideopen", "--quiet", "--socket", &socket]));
    let server = start();
    assert_eq!(server.address, socket);
    let base = format!("http://localhost/git-annex/{}", served.uuid());
    let got = dir.path().join("got");
    curl(&["--unix-socket", &socket, "-o", &got.display().to_string(), &format!("{base}/key/{key}")]).ok();
    assert!(std::fs::read(&got).expect("it is there") == content(1, 2_000_000));
    let new = key_of(&content(2, 2_000_000));
    std::fs::write(&got, content(2, 2_000_000)).expect("a file");
    let put = format!("{base}/v4/put?clientuuid={CLIENT}&key={new}");
    let data = format!("@{}", got.display());
    let said = curl(&["--unix-socket", &socket, "-H", &length(2_000_000), "--data-binary", &data, &put]).ok();
    assert_eq!(said.stdout, r#"{"plusuuids":[],"stored":true}"#);
    let second = run(Gateway::command(&served).args(["--wideopen", "--socket", &socket]), SOON).failed();
    assert!(second.stderr.contains("cannot listen on the socket"), "a socket in use is left alone: {}", second.stderr);
    // One that a killed server left behind is replaced.
    server.kill();
    assert!(path.exists());
    let server = start();
    curl(&["--unix-socket", &socket, "-o", &got.display().to_string(), &format!("{base}/key/{new}")]).ok();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn repositories_below_directories_are_found_by_prefix_and_by_uuid() {
    let root = tempfile::tempdir().expect("a directory");
    let home = Repo::new();
    let at = |name: &str| root.path().join(name);
    let place = |repo: &Repo, name: &str| {
        std::fs::create_dir_all(at(name).parent().expect("it is below")).expect("a directory");
        copy(&repo.dir(), &at(name));
    };
    let one = Repo::new();
    let shared = one.add("shared", 1, 1000);
    place(&one, "org/one");
    // A copy of a repository is the same to git-annex: it has the same uuid.
    let only_two = one.add("only-two", 2, 1000);
    place(&one, "org/two");
    let bare = Repo::bare();
    place(&bare, "org/bare.git");
    let root_flag = root.path().display().to_string();
    let mut command = Gateway::command(&home);
    let server = Gateway::start(command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--wideopen",
        "--quiet",
        "--directory",
        &root_flag,
    ]));
    let present = |prefix: &str, uuid: &str, key: &str| {
        let path = format!("{prefix}/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key={key}");
        let answer = server.connect().post(&path, &[], b"");
        (answer.status, answer.text().contains("true"))
    };
    let (uuid, of_bare) = (one.uuid(), bare.uuid());
    assert_eq!(present("/org/one", &uuid, &shared), (200, true));
    assert_eq!(present("/org/one", &uuid, &only_two), (200, false), "the other one's content is not borrowed");
    assert_eq!(present("/org/two", &uuid, &only_two), (200, true));
    assert_eq!(present("", &uuid, &shared), (200, true), "by uuid alone it is the first of them");
    assert_eq!(present("", &uuid, &only_two), (200, false));
    assert_eq!(present("/org/bare", &of_bare, &shared), (200, false), "the .git may be left out");
    assert_eq!(present("/org/bare.git", &of_bare, &shared), (200, false));
    assert_eq!(present("/org/bare", &uuid, &shared), (404, false), "a prefix and another's uuid do not go together");
    for prefix in ["/org/three", "/org", "/org/one/..", "/org/%2e%2e/org/one", "//org/one", "/org/one/.git"] {
        assert_eq!(present(prefix, &uuid, &shared), (404, false), "{prefix}");
    }
    // What is removed in one stays in the other.
    let path = format!("/org/two/git-annex/{uuid}/v4/remove?clientuuid={CLIENT}&key={shared}");
    assert!(server.connect().post(&path, &[], b"").text().contains("\"removed\":true"));
    assert_eq!((present("/org/one", &uuid, &shared).1, present("/org/two", &uuid, &shared).1), (true, false));
    // A real client, by prefix.
    let client = Repo::clone_of(&one);
    client.git(&["config", "remote.origin.annex-uuid", &uuid]).ok();
    annexurl(&client, "origin", &format!("annex+http://{}/org/two", server.address));
    let mine = client.add("mine", 3, 1000);
    client.annex(&["copy", "--quiet", "--to", "origin", "mine"]).ok();
    assert_eq!((present("/org/one", &uuid, &mine).1, present("/org/two", &uuid, &mine).1), (false, true));
    // They come and go while it runs.
    let late = Repo::new();
    assert_eq!(present("", &late.uuid(), &shared).0, 404);
    place(&late, "deep/er/late");
    assert_eq!(present("/deep/er/late", &late.uuid(), &shared), (200, false), "by prefix at once");
    assert_eq!(present("", &late.uuid(), &shared), (200, false), "and by uuid");
    // Another one in its place is another one.
    let other = Repo::new();
    remove(&at("deep"));
    place(&other, "deep/er/late");
    assert_eq!(present("/deep/er/late", &other.uuid(), &shared), (200, false));
    assert_eq!(present("/deep/er/late", &late.uuid(), &shared).0, 404);
    remove(&at("deep"));
    place(&late, "deep/er/late");
    assert_eq!(present("", &late.uuid(), &shared), (200, false));
    remove(&at("deep"));
    assert_eq!(present("/deep/er/late", &late.uuid(), &shared).0, 404);
    assert_eq!(present("", &late.uuid(), &shared).0, 404);
    server.stop();
    // All that was recorded is in each one's own branch.
    let log = |name: &str, key: &str| {
        let mut command = home.command(Path::new("git"));
        run(command.arg("-C").arg(at(name)).args(["grep", "-h", "", "git-annex", "--", &format!("*{key}.log")]), LIMIT)
    };
    assert!(log("org/two", &shared).stdout.contains(&format!("0 {uuid}")), "{:?}", log("org/two", &shared));
    assert!(log("org/two", &mine).stdout.contains(&format!("1 {uuid}")));
    assert!(!log("org/one", &mine).status.success());
    remove(&at("org"));
}

/// A bare repository is nothing but files, which can be pushed into a work tree; and its configuration names commands.
#[test]
fn nothing_that_was_pushed_into_a_work_tree_is_served() {
    let (root, home, photos, evil) =
        (tempfile::tempdir().expect("a directory"), Repo::new(), Repo::new(), Repo::bare());
    let at = |name: &str| root.path().join(name);
    let ran = at("ran");
    std::fs::create_dir(at("srv")).expect("a directory");
    copy(&photos.dir(), &at("srv/photos"));
    let body = content(1, 100);
    let key = key_of(&body);
    evil.git(&["config", "annex.freezecontent-command", &format!("touch {}; : %path", ran.display())]).ok();
    copy(&evil.dir(), &at("srv/photos/x"));
    std::os::unix::fs::symlink("photos/x", at("srv/link")).expect("a link");
    copy(&evil.dir(), &at("elsewhere"));
    std::os::unix::fs::symlink("../elsewhere", at("srv/wanted")).expect("a link");
    let mut command = Gateway::command(&home);
    let root_flag = at("srv").display().to_string();
    let server =
        Gateway::start(command.args(["--bind", "127.0.0.1", "--port", "0", "--wideopen", "--directory", &root_flag]));
    let put = |prefix: &str, uuid: &str| {
        let path = format!("{prefix}/git-annex/{uuid}/v4/put?clientuuid={CLIENT}&key={key}");
        server.connect().post(&path, &[&length(body.len())], &body).status
    };
    let uuid = evil.uuid();
    for prefix in ["/photos/x", "/link", "/photos/../photos/x", "/photos%2fx", "/photos/x/.", "/photos/.git"] {
        assert_eq!(put(prefix, &uuid), 404, "{prefix}");
    }
    assert!(!ran.exists(), "nothing of it ran");
    assert_eq!(put("/photos", &photos.uuid()), 200);
    // An admin made this one, and it is found by uuid too.
    assert_eq!((put("/wanted", &uuid), put("", &uuid)), (200, 200));
    assert!(ran.exists(), "the test would have seen it");
    server.wait_for(|line| line.contains("lies inside the repository").then_some(()));
    server.stop();
    remove(root.path());
    std::fs::create_dir(root.path()).expect("it is ours");
}

/// Whoever gave another directory than they meant learns it, and what is made later is found.
#[test]
fn a_server_of_nothing_says_so() {
    let (root, home) = (tempfile::tempdir().expect("a directory"), Repo::new());
    let root_flag = root.path().display().to_string();
    let mut command = Gateway::command(&home);
    let flags = ["--bind", "127.0.0.1", "--port", "0", "--wideopen", "--quiet", "--directory", &root_flag];
    let server = Gateway::start(command.args(flags));
    server.wait_for(|line| (line.starts_with("empty ") && line.contains(&root_flag)).then_some(()));
    let at = root.path().join("new.git");
    copy(&Repo::bare().dir(), &at);
    let uuid = home.git(&["-C", &at.display().to_string(), "config", "annex.uuid"]).ok().stdout;
    let path = format!("/git-annex/{}/v4/gettimestamp?clientuuid={CLIENT}", uuid.trim());
    assert_eq!(server.connect().post(&path, &[], b"").status, 200);
}

/// A walk takes its time, and those who ask meanwhile wait for it.
#[test]
fn who_asks_while_the_directories_are_looked_through_is_not_told_that_nothing_is_there() {
    let (root, home, first) = (tempfile::tempdir().expect("a directory"), Repo::new(), Repo::bare());
    let uuid = |n: usize| format!("{n:08}-0000-4000-8000-000000000000");
    const MANY: usize = 40;
    for n in 0..MANY {
        let at = root.path().join(format!("r{n}.git"));
        copy(&first.dir(), &at);
        let config = std::fs::read_to_string(at.join("config")).expect("it has one");
        std::fs::write(at.join("config"), config.replace(&first.uuid(), &uuid(n))).expect("it is ours");
    }
    let mut command = Gateway::command(&home);
    let root_flag = root.path().display().to_string();
    let server = Gateway::start(command.args([
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--wideopen",
        "--quiet",
        "--directory",
        &root_flag,
    ]));
    let present = |uuid: &str| {
        let path = format!("/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key=SHA256-s1--x");
        server.connect().post(&path, &[], b"").status
    };
    let all_at_once = || {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|n| scope.spawn(move || present(&uuid(n * 13 % MANY)))).collect();
            asked.into_iter().map(|asked| asked.join().expect("answered")).collect::<Vec<_>>()
        })
    };
    // 503 on a machine where it takes more than 30 s.
    let found = |statuses: Vec<u16>| statuses.iter().all(|status| matches!(status, 200 | 503));
    assert!(found(all_at_once()), "at the start");
    for _ in 0..2 {
        server.signal(Signal::HUP);
        assert!(found(all_at_once()), "whenever it is told to look again");
    }
    assert_eq!(present("not-a-repository-here"), 404);
    server.stop();
}

/// `git annex WORDS` in a world where nothing is trusted but one certificate. None, and a word about it, where that
/// world cannot be made.
#[track_caller]
fn trusting(client: &Repo, certificate: &str, words: &[&str]) -> Option<Done> {
    const SCRIPT: &str = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;
    let world = |script: &[&str]| {
        let mut command = client.command(Path::new("unshare"));
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]).args(script);
        command
    };
    if !Path::new(TRUSTED).exists() || !run(&mut world(&["mount -t tmpfs tmpfs /mnt"]), LIMIT).status.success() {
        eprintln!(
            "NOT TESTED: git-annex over TLS, which needs {TRUSTED} and user namespaces to put another in its place"
        );
        return None;
    }
    let mut command = world(&[SCRIPT, "sh", certificate, TRUSTED]);
    Some(run(command.arg(client.annex_command(&[]).get_program()).args(words), LIMIT))
}

fn tls(name: &str) -> String {
    top().join("testdata/tls").join(name).display().to_string()
}

fn curl(words: &[&str]) -> Done {
    run(Command::new("curl").args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(words), LIMIT)
}

fn copy(from: &Path, to: &PathBuf) {
    run(Command::new("cp").arg("-a").arg(from).arg(to), LIMIT).ok();
}

/// Objects are in directories that are not writable.
fn remove(path: &Path) {
    run(Command::new("chmod").args(["-R", "u+w"]).arg(path), LIMIT).ok();
    std::fs::remove_dir_all(path).expect("it is ours");
}
