//! Several repositories behind one server, some of which know the same remotes.

use std::path::Path;

use testbed::annex::{LIMIT, Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::http::post_head;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy, stream};
use testbed::run::run;
use testbed::wire::{CLIENT, key_of, length};

/// Two repositories that are proxies for one remote are told apart by their path. Without one, neither serves it: which of
/// their credentials and rights count would be a matter of luck.
#[test]
fn a_remote_of_two_repositories_is_served_by_path_only() {
    let one = Proxy::new(Behind::Special(Place::fs(), Whose::Theirs));
    let far = one.uuid();
    // The other knows the remote too, and somebody there forbade to write to it.
    let home = tempfile::tempdir().expect("a directory");
    let copy = |from: &Path, name: &str| {
        let to = home.path().join(name);
        run(std::process::Command::new("cp").arg("-a").arg(from).arg(&to), LIMIT).ok();
        to
    };
    copy(&one.repo.dir(), "one");
    let body = content(1, 100_000);
    let key = key_of(&body);
    let mut command = one.repo.command(product());
    command.args([
        "p2phttp",
        "--admin",
        "127.0.0.1:0",
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
        "--wideopen",
        "--directory",
    ]);
    let server = Gateway::start(command.arg(home.path()));
    let put = |prefix: &str| {
        let path = format!("{prefix}/git-annex/{far}/v4/put?clientuuid={CLIENT}&key={key}");
        let answer = server.connect().post(&path, &[&length(body.len())], &body);
        (answer.status, answer.text())
    };
    let present = |prefix: &str| {
        let path = format!("{prefix}/git-annex/{far}/v4/checkpresent?clientuuid={CLIENT}&key={key}");
        let answer = server.connect().post(&path, &[], b"");
        (answer.status, answer.text())
    };
    let yes = (200, r#"{"present":true}"#.to_string());
    let stored = (200, r#"{"plusuuids":[],"stored":true}"#.to_string());
    assert_eq!(put(""), stored, "while there is one, its uuid is enough");
    assert_eq!((present(""), present("/one")), (yes.clone(), yes.clone()));
    let two = copy(&one.repo.dir(), "two");
    let mut git = one.repo.command(Path::new("git"));
    run(git.arg("-C").arg(&two).args(["config", &format!("remote.{NAME}.annex-readonly"), "true"]), LIMIT).ok();
    eventually("the second one is found", || present("").0 == 404);
    assert_eq!((present("/one"), present("/two")), (yes.clone(), yes), "a path tells them apart");
    assert_eq!(put("/one"), stored);
    let (status, text) = put("/two");
    assert!(
        status >= 400 && text.contains("read-only"),
        "the rights of one are not those of the other: {status} {text}"
    );
    server.stop();
}

#[test]
fn a_running_server_learns_what_is_proxied_and_what_no_longer_is() {
    let proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    let far = proxy.uuid();
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let present = |uuid: &str| {
        let path = format!("/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key=SHA256-s1--x");
        server.connect().post(&path, &[], b"").status
    };
    assert_eq!(present(&far), 200);
    proxy.repo.git(&["config", &format!("remote.{NAME}.annex-proxy"), "false"]).ok();
    eventually("it is no longer served", || present(&far) == 404);
    let place = Place::fs();
    proxy.repo.initremote("late", &place, Whose::Theirs, &[]).ok();
    let late = proxy.repo.git(&["config", "remote.late.annex-uuid"]).ok().stdout.trim().to_string();
    proxy.repo.git(&["config", "remote.late.annex-proxy", "true"]).ok();
    assert_eq!(present(&late), 404, "not before others can know of it");
    stream(&proxy.repo, &["updateproxy"]).ok();
    eventually("the new one is served", || present(&late) == 200);
    server.stop();
}

/// git-annex holds its lock for as long as it likes, and what is proxied cannot be told before it lets go. The server has one
/// data thread, and its watchdog would tell.
#[test]
fn while_it_is_looked_up_what_is_proxied_all_else_goes_on() {
    let proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    let (own, far) = (proxy.repo.uuid(), proxy.uuid());
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet", "--cpus", "1"]);
    let path = |uuid: &str| format!("/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key=SHA256-s1--x");
    let ask = |uuid: &str| server.connect().post(&path(uuid), &[], b"").status;
    assert_eq!((ask(&own), ask(&far)), (200, 200));
    let lock = proxy.repo.dir().join(".git/annex/verified-remote.lck");
    let file = std::fs::File::options().create(true).append(true).read(true).open(&lock).expect("it can be made");
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("it is free");
    proxy.repo.git(&["config", &format!("remote.{NAME}.annex-cost"), "150"]).ok();
    let mut waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut client = server.connect();
            client.send(post_head(&path(&far), &[], 0));
            client
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(ask(&own), 200);
    }
    drop(file);
    for client in &mut waiting {
        // 500 where it took so long that the lock was not waited for.
        assert!(matches!(client.answer(false).status, 200 | 500), "in its turn");
    }
    server.stop();
}

/// Whatever cannot be served says so to whoever asks, and is neither present nor absent.
#[test]
fn a_remote_that_cannot_be_proxied_says_why() {
    let repo = Repo::new();
    repo.git(&["commit", "--quiet", "--allow-empty", "--message", "start"]).ok();
    let place = Place::fs();
    let words: Vec<String> = place.options(Whose::Theirs);
    let mut command = repo.annex_command(&["initremote", "odd", "encryption=none", "chunk=1MiB"]);
    run(command.args(words), LIMIT).ok();
    repo.git(&["config", "remote.odd.annex-proxy", "true"]).ok();
    stream(&repo, &["updateproxy"]).ok();
    let uuid = repo.git(&["config", "remote.odd.annex-uuid"]).ok().stdout.trim().to_string();
    let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
    let path = format!("/git-annex/{uuid}/v4/checkpresent?clientuuid={CLIENT}&key=SHA256-s1--x");
    let answer = server.connect().post(&path, &[], b"");
    assert!(answer.status >= 400 && answer.status != 404, "{}", answer.status);
    assert!(answer.text().contains("odd") && answer.text().contains("chunk"), "{}", answer.text());
    server.stop();
}
