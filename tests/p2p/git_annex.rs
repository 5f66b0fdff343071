//! git over the same address: the real git and git-annex, with nothing but a url.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testbed::annex::{Repo, content};
use testbed::clients::{object, write_program};
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::tracked::{Tracked, Wire};
use testbed::wire::CLIENT;

use crate::site::Site;

const NOBODY: &str = "0000000000000000000000000000000000000000";

#[test]
fn a_clone_needs_no_setting() {
    let site = Site::serving(&["--authenv-http", "--unauth-readonly"]);
    let first = site.clone("alice", "photos.git");
    let key = first.add("one", 1, 300_000);
    first.git(&["commit", "--quiet", "-m", "one"]).ok();
    first.annex(&["push"]).ok();
    let second = site.clone("", "photos.git");
    second.annex(&["get", "--quiet", "one"]).ok();
    assert_eq!(second.read("one"), Some(content(1, 300_000)));
    assert!(second.annex(&["whereis", "one"]).ok().stdout.contains("the server"));
    // Who may not store may not push either, and is told so.
    second.add("two", 2, 1000);
    second.git(&["commit", "--quiet", "-m", "two"]).ok();
    second.annex(&["push"]).failed();
    // The password that git knows is that of git-annex, too.
    let third = site.clone("alice", "photos");
    third.add("three", 3, 100_000);
    third.git(&["commit", "--quiet", "-m", "three"]).ok();
    third.annex(&["sync", "--content"]).ok();
    first.annex(&["sync", "--content"]).ok();
    assert_eq!(first.read("three"), Some(content(3, 100_000)));
    first.annex(&["drop", "--quiet", "--from", "origin", "one"]).ok();
    assert!(site.git("photos.git", &["fsck", "--strict", "--no-dangling"]).is_empty());
    assert!(!object_of(&site, &key).exists());
    let log = site.server().log();
    assert!(log.contains("op=push") && log.contains("user=alice") && !log.contains("pw of"), "{log}");
}

/// What distributions have: a git-annex of 2025, beside one of today.
#[test]
fn a_git_annex_of_2025_needs_no_setting_either() {
    let site = Site::serving(&["--authenv-http", "--unauth-readonly"]);
    let older = testbed::servers::older();
    let first = site.clone_with(&older, "alice", "photos.git");
    let annex = |repo: &Repo, words: &[&str]| repo.git(&[&["annex"], words].concat());
    let version = annex(&first, &["version", "--raw"]).ok().stdout;
    assert!(version.starts_with("10.2025"), "{version}");
    std::fs::write(first.dir().join("one"), content(1, 300_000)).expect("a file");
    annex(&first, &["add", "--quiet", "one"]).ok();
    let key = annex(&first, &["lookupkey", "one"]).ok().stdout.trim().to_string();
    first.git(&["commit", "--quiet", "-m", "one"]).ok();
    annex(&first, &["push"]).ok();
    // With a lock on the server, and back again.
    annex(&first, &["drop", "--quiet", "one"]).ok();
    annex(&first, &["get", "--quiet", "one"]).ok();
    let today = site.clone("alice", "photos.git");
    today.annex(&["get", "--quiet", "one"]).ok();
    assert_eq!(today.read("one"), Some(content(1, 300_000)));
    let reader = site.clone_with(&older, "", "photos.git");
    annex(&reader, &["get", "--quiet", "one"]).ok();
    assert_eq!(reader.read("one"), Some(content(1, 300_000)));
    annex(&first, &["drop", "--quiet", "--from", "origin", "one"]).ok();
    assert!(!object_of(&site, &key).exists());
}

fn object_of(site: &Site, key: &str) -> PathBuf {
    let hash = site.git("photos.git", &["annex", "examinekey", "--format", "${hashdirlower}", key]);
    site.at("photos.git/annex/objects").join(hash).join(key).join(key)
}

/// Of the real configuration nothing is told, and of the files of a repository none is sent.
#[test]
fn the_configuration_is_made_for_the_purpose() {
    let site = Site::serving(&["--authenv-http", "--unauth-readonly"]);
    site.git("photos.git", &["config", "remote.x.url", "https://secret@example.org/"]);
    let uuid = site.git("photos.git", &["config", "annex.uuid"]);
    let server = site.server();
    let ask = |head: &str| server.connect().ask(&format!("{head}\r\n\r\n"));
    for name in ["/photos.git", "/photos"] {
        let answer = ask(&format!("GET {name}/config HTTP/1.1\r\nHost: annex.example.org"));
        let url = format!("annex+http://annex.example.org:80{name}");
        let expected = format!(
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[annex]\n\tuuid = \"{uuid}\"\n\turl = \"{url}\"\n"
        );
        assert_eq!((answer.status, answer.text()), (200, expected));
    }
    for (head, status) in [
        ("GET /photos.git/config HTTP/1.1\r\nHost: a\"b", 400),
        ("GET /photos.git/config HTTP/1.0", 400),
        ("GET /photos.git/HEAD HTTP/1.1\r\nHost: h", 404),
        ("GET /photos.git/objects/info/packs HTTP/1.1\r\nHost: h", 404),
        ("GET /photos.git/annex/config HTTP/1.1\r\nHost: h", 404),
        ("GET /photos.git/.git/config HTTP/1.1\r\nHost: h", 404),
        ("GET /none/config HTTP/1.1\r\nHost: h", 404),
        ("GET /../photos.git/config HTTP/1.1\r\nHost: h", 404),
        ("GET /photos.git/info/refs HTTP/1.1\r\nHost: h", 403),
        ("GET /photos.git/info/refs?service=git-upload-archive HTTP/1.1\r\nHost: h", 403),
    ] {
        assert_eq!(ask(head).status, status, "{head}");
    }
}

#[test]
fn who_may_only_append_neither_deletes_nor_rewrites() {
    let site = Site::serving(&["--authenv-http"]);
    let alice = site.clone("alice", "photos.git");
    alice.add("one", 1, 1000);
    alice.git(&["commit", "--quiet", "-m", "one"]).ok();
    alice.git(&["tag", "v1"]).ok();
    alice.annex(&["push"]).ok();
    alice.git(&["push", "--quiet", "origin", "v1", "main:other"]).ok();
    let robot = site.clone("robot", "photos.git");
    let refs = || site.git("photos.git", &["for-each-ref", "--format=%(refname) %(objectname)"]);
    // What only adds is taken.
    let key = robot.add("two", 2, 100_000);
    robot.git(&["commit", "--quiet", "-m", "two"]).ok();
    robot.annex(&["push"]).ok();
    assert!(object_of(&site, &key).exists());
    robot.git(&["tag", "v2"]).ok();
    robot.git(&["push", "--quiet", "origin", "v2", "main:new"]).ok();
    assert_eq!(site.git("photos.git", &["rev-parse", "main"]), robot.git(&["rev-parse", "main"]).ok().stdout.trim());
    // What takes away is not, whatever it is called.
    robot.git(&["commit", "--quiet", "--amend", "-m", "another two"]).ok();
    let before = refs();
    for words in [
        &["+main:main"][..],
        &[":other"],
        &["+main:v1"],
        &["+main:refs/tags/v1"],
        &[":refs/tags/v1"],
        &["main:refs/notes/x"],
        &["main:refs/replace/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &["git-annex:refs/remotes/x/git-annex"],
        &[":git-annex"],
        &["+main~1:main", "main:newest"],
    ] {
        let pushed = robot.git(&[&["push", "--atomic", "origin"], words].concat());
        assert!(!pushed.status.success(), "{words:?}: {}", pushed.all());
        assert_eq!(refs(), before, "{words:?}: {}", pushed.all());
    }
    // A commit that git would take for one that holds the old one.
    let (old, new) = (site.git("photos.git", &["rev-parse", "main"]), robot.git(&["rev-parse", "main"]).ok().stdout);
    site.git("photos.git", &["fetch", "--quiet", &robot.dir().display().to_string(), "main:refs/kept/x"]);
    site.git("photos.git", &["replace", "--graft", new.trim(), &old]);
    let before = refs();
    robot.git(&["push", "origin", "+main:main"]).failed();
    assert_eq!(refs(), before);
    // Alice may.
    alice.git(&["push", "--quiet", "origin", "+main~0:main", ":other"]).ok();
    assert!(site.git("photos.git", &["fsck", "--strict", "--connectivity-only", "--no-dangling"]).is_empty());
}

/// A branch that holds ours, and in which lines are missing, is what git would move to.
#[test]
fn who_may_only_append_adds_lines_to_the_git_annex_branch_and_takes_none_away() {
    let site = Site::serving(&["--authenv-http"]);
    let alice = site.clone("alice", "photos.git");
    let key = alice.add("one", 1, 1000);
    alice.git(&["commit", "--quiet", "-m", "one"]).ok();
    alice.annex(&["push"]).ok();
    site.git("photos.git", &["update-ref", "-d", "refs/heads/synced/git-annex"]);
    let robot = site.clone("robot", "photos.git");
    let evil = |name: &str| {
        let git = |words: &[&str]| robot.git(words).ok().stdout.trim().to_string();
        std::fs::write(robot.dir().join(".git/line"), "1000000000s 1 11111111-1111-4111-8111-111111111111\n")
            .expect("a file");
        let blob = git(&["hash-object", "-w", ".git/line"]);
        std::fs::write(robot.dir().join(".git/entry"), format!("100644 blob {blob}\t{name}\n")).expect("a file");
        let tree = {
            let mut mktree = robot.command(Path::new("git"));
            mktree.arg("mktree").stdin(std::fs::File::open(robot.dir().join(".git/entry")).expect("it is there"));
            String::from_utf8(mktree.output().expect("git runs").stdout).expect("an id").trim().to_string()
        };
        git(&["commit-tree", &tree, "-p", "origin/git-annex", "-m", "evil"])
    };
    let logs = || site.git("photos.git", &["grep", "-h", "", "git-annex"]);
    let (before, server) = (logs(), site.git("photos.git", &["config", "annex.uuid"]));
    let commit = evil("SHA256-s1--added.log");
    for to in ["git-annex", "synced/git-annex", "x/git-annex"] {
        robot.git(&["push", "--force", "origin", &format!("{commit}:refs/heads/{to}")]).ok();
        let after = logs();
        for line in before.lines() {
            assert!(after.contains(line), "{to}: {line} is missing in {after}");
        }
        assert!(after.contains("1000000000s 1 11111111"), "{to}: {after}");
        assert_eq!(
            site.git("photos.git", &["for-each-ref", "refs/heads/synced/git-annex", "refs/heads/x"]),
            "",
            "{to}"
        );
    }
    assert!(before.contains(&server));
    assert_eq!(site.git("photos.git", &["merge-base", "--is-ancestor", &commit, "git-annex"]), "");
    // What was there is known to whoever asks.
    let bob = site.clone("alice", "photos.git");
    assert!(bob.annex(&["whereis", "--key", &key]).ok().stdout.contains("the server"));
    // Alice may move to such a branch, as over ssh.
    alice.git(&["fetch", "--quiet"]).ok();
    assert!(site.git("photos.git", &["fsck", "--strict", "--connectivity-only", "--no-dangling"]).is_empty());
    // One of a repository that is tuned otherwise is refused, and why.
    let tuned = evil("difference.log");
    let said = robot.git(&["push", "--force", "origin", &format!("{tuned}:refs/heads/git-annex")]);
    assert!(said.status.success() || said.stderr.contains("rejected"), "{}", said.all());
    let log = site.server().log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Each role against each request of git's, over plain HTTP and by hand.
#[test]
fn each_role_may_do_what_the_table_says() {
    let mut site = Site::new();
    site.make("photos.git");
    let requests = [
        "GET /photos.git/config",
        "GET /photos.git/info/refs?service=git-upload-pack",
        "POST /photos.git/git-upload-pack",
        "GET /photos.git/info/refs?service=git-receive-pack",
        "POST /photos.git/git-receive-pack",
        "GET /none.git/config",
        "GET /none.git/info/refs?service=git-receive-pack",
    ];
    // alice, bob (readonly), robot (appendonly), nobody, a wrong password.
    let headers = [
        "Authorization: Basic YWxpY2U6cHcgb2YgYWxpY2U=\r\n",
        "Authorization: Basic Ym9iOnB3IG9mIGJvYg==\r\n",
        "Authorization: Basic cm9ib3Q6cHcgb2Ygcm9ib3Q=\r\n",
        "",
        "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n",
    ];
    let table: [(&[&str], [[u16; 7]; 5]); 3] = [
        (
            &["--authenv-http"],
            [
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 403, 403, 404, 403],
                [200, 200, 200, 200, 200, 404, 404],
                [401, 401, 401, 401, 401, 401, 401],
                [401, 401, 401, 401, 401, 401, 401],
            ],
        ),
        (
            &["--authenv-http", "--unauth-readonly"],
            [
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 403, 403, 404, 403],
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 401, 401, 404, 401],
                [200, 200, 200, 403, 403, 404, 403],
            ],
        ),
        (
            &["--authenv-http", "--unauth-appendonly"],
            [
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 403, 403, 404, 403],
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 200, 200, 404, 404],
                [200, 200, 200, 200, 200, 404, 404],
            ],
        ),
    ];
    for (flags, rows) in table {
        site.start(flags);
        for (header, row) in headers.iter().zip(rows) {
            let got = requests.map(|request| {
                let service = request.rsplit('/').next().unwrap_or_default();
                let more = match request.starts_with("POST") {
                    true => format!("Content-Type: application/x-{service}-request\r\nContent-Length: 4\r\n\r\n0000"),
                    false => "\r\n".to_string(),
                };
                site.server().connect().ask(&format!("{request} HTTP/1.1\r\nHost: h\r\n{header}{more}")).status
            });
            assert_eq!(got, row, "{flags:?} {header}");
        }
        site.server.take().expect("it runs").stop();
    }
}

/// A page of another site has its reader's browser push.
#[test]
fn a_web_page_pushes_nothing() {
    let site = Site::open(&["--wideopen"]);
    let push = |more: &str| {
        let media = "Content-Type: application/x-git-receive-pack-request\r\n";
        let head = format!(
            "POST /photos.git/git-receive-pack HTTP/1.1\r\nHost: localhost\r\n{media}Content-Length: 4\r\n{more}\r\n0000"
        );
        site.server().connect().ask(&head).status
    };
    assert_eq!(push(""), 200);
    assert_eq!(push("Origin: https://evil.example\r\n"), 403);
    assert_eq!(push("Sec-Fetch-Site: cross-site\r\n"), 403);
    let media = "Content-Type: text/plain\r\nContent-Length: 4\r\n";
    let head = format!("POST /photos.git/git-receive-pack HTTP/1.1\r\nHost: localhost\r\n{media}\r\n0000");
    assert_eq!(site.server().connect().ask(&head).status, 415);
}

#[test]
fn hooks_run_and_are_heard_and_know_no_password() {
    let site = Site::serving(&["--authenv-http"]);
    let hook = |name: &str, script: &str| write_program(&site.at("photos.git/hooks").join(name), script);
    std::fs::create_dir_all(site.at("photos.git/hooks")).expect("a directory");
    hook("post-receive", "#!/bin/sh\necho \"hello $REMOTE_USER\"; env >env.txt; cat >pushed.txt\n");
    hook("pre-receive", "#!/bin/sh\nif grep -q refs/heads/forbidden; then echo 'not this one'; exit 1; fi\n");
    for who in ["alice", "robot"] {
        let clone = site.clone(who, "photos.git");
        clone.add(who, 1, 1000);
        clone.git(&["commit", "--quiet", "-m", who]).ok();
        let pushed = clone.git(&["push", "origin", "HEAD:main", "git-annex"]).ok();
        assert!(pushed.stderr.contains(&format!("remote: hello {who}")), "{}", pushed.stderr);
        let env = std::fs::read_to_string(site.at("photos.git/env.txt")).expect("it ran");
        assert!(!env.contains("pw of") && !env.contains("GIT_ANNEX_P2PHTTP") && env.contains("PATH="), "{env}");
        let refs = std::fs::read_to_string(site.at("photos.git/pushed.txt")).expect("it ran");
        assert!(refs.contains("refs/heads/main") && refs.contains("refs/heads/git-annex"), "{refs}");
        let refused = clone.git(&["push", "origin", "HEAD:forbidden", "git-annex"]).failed();
        assert!(refused.stderr.contains("not this one"), "{}", refused.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(std::env::temp_dir()).expect("it is there").flatten().collect();
    let ours = left.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with("git-annex-stream-hooks"));
    let pid = format!("{}", site.server().pid());
    assert!(ours.count() < 50, "directories of hooks are left behind ({pid})");
}

#[test]
fn every_version_of_the_protocol_and_every_framing_is_understood() {
    let site = Site::open(&["--wideopen"]);
    let first = site.clone("", "photos.git");
    // More than git sends in one piece, so that it comes in chunks.
    std::fs::write(first.dir().join("big"), content(5, 8_000_000)).expect("a file");
    first.git(&["add", "big"]).ok();
    commits(&first, 40);
    first.git(&["push", "--quiet", "origin", "HEAD:main"]).ok();
    first.git(&["-c", "http.postBuffer=100000000", "push", "--quiet", "origin", "HEAD:again"]).ok();
    for version in ["0", "1", "2"] {
        let setting = format!("protocol.version={version}");
        let clone = Repo::homeless();
        clone.git(&["-c", &setting, "clone", "--quiet", &site.url("", "photos.git"), "."]).ok();
        assert_eq!(clone.read("big"), Some(content(5, 8_000_000)), "{version}");
        // Many commits that are here already make a request that is compressed.
        commits(&clone, 60);
        first.git(&["commit", "--quiet", "--allow-empty", "-m", version]).ok();
        first.git(&["push", "--quiet", "origin", "HEAD:main"]).ok();
        clone.git(&["-c", &setting, "fetch", "--quiet"]).ok();
        let expect = ["-c", "http.expectContinue=true", "-c", "http.postBuffer=65536"];
        let words = ["push", "--quiet", "origin", &format!("HEAD:v{version}")];
        clone.git(&[&expect[..], &words].concat()).ok();
    }
    let shallow = Repo::homeless();
    shallow.git(&["clone", "--quiet", "--depth", "3", &site.url("", "photos.git"), "."]).ok();
    shallow.git(&["fetch", "--quiet", "--unshallow"]).ok();
    assert!(site.git("photos.git", &["fsck", "--strict", "--no-dangling"]).is_empty());
}

/// Makes so many commits, without what git-annex does for each.
fn commits(repo: &Repo, count: usize) {
    let words = ["-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "-m"];
    (0..count).for_each(|n| drop(repo.git(&[&words[..], &[&format!("commit {n}")]].concat()).ok()));
}

/// Whoever goes away in the middle leaves no program, no lock and no objects behind.
#[test]
fn a_client_that_vanishes_takes_git_with_it() {
    let site = Site::open(&["--wideopen"]);
    let running = || site.server().metric("git_processes");
    let head = |service: &str, length: u64| {
        format!(
            "POST /photos.git/{service} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-{service}-request\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let line = format!("{NOBODY} {} refs/heads/x\0report-status side-band-64k", "a".repeat(40));
    let packet = format!("{:04x}{line}0000PACK\0\0\0\x02\0\0\0\x05", line.len() + 4);
    for (service, body) in [("git-receive-pack", packet.as_str()), ("git-upload-pack", "0011command=fetch")] {
        let mut client = site.server().connect();
        client.send(head(service, 1 << 30));
        client.send(body);
        eventually("git runs", || running() == 1);
        client.vanish();
        eventually("git has ended", || running() == 0);
    }
    assert_eq!(site.git("photos.git", &["for-each-ref", "refs/heads/x"]), "");
    let is_quarantine = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("tmp_objdir");
    let quarantines = || {
        let objects = std::fs::read_dir(site.at("photos.git/objects")).expect("it is there").flatten();
        objects.filter(|entry| is_quarantine(&entry.file_name())).count()
    };
    eventually("what came is removed", || quarantines() == 0);
}

#[test]
fn more_than_the_limit_wait_and_are_told_to_come_back() {
    let site = Site::open(&["--wideopen", "--git-processes", "2"]);
    let mut slow = site.server().connect();
    slow.send("POST /photos.git/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n\r\n0");
    eventually("git runs", || site.server().metric("git_processes") == 1);
    // Strangers may have half of it.
    let refused = site
        .server()
        .connect()
        .ask("GET /photos.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.text().contains("--git-processes"), "{}", refused.text());
    let config = site.server().connect().ask("GET /photos.git/config HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(config.status, 200, "what needs no program is answered");
    slow.vanish();
    eventually("git has ended", || site.server().metric("git_processes") == 0);
    site.clone("", "photos.git");
}

/// One that sends nothing is given up, and its git with it.
#[test]
fn who_stalls_is_given_up() {
    let site = Site::open(&["--wideopen", "--timeout", "2"]);
    let mut slow = site.server().connect();
    slow.send("POST /photos.git/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n\r\n0");
    slow.rest();
    eventually("git has ended", || site.server().metric("git_processes") == 0);
    site.server().wait_for(|line| (line.starts_with("git ") && line.contains("nothing moved")).then_some(()));
}

/// Between two bytes of a client that crawls.
const CRAWL: Duration = Duration::from_millis(10);

/// One that sends a byte now and then keeps no program of git's. No client is as fast as is asked for here.
#[test]
fn who_crawls_is_given_up() {
    let site = Site::open(&["--wideopen", "--timeout", "1", "--git-min-rate", "1TiB"]);
    let cut_off = |op: &str| {
        let is_it = |line: &str| line.starts_with("git ") && line.contains(op) && line.contains("slower than");
        site.server().wait_for(|line| is_it(line).then_some(()));
        eventually("git has ended", || site.server().metric("git_processes") == 0);
    };
    let head = |service: &str, length: usize| {
        format!(
            "POST /photos.git/{service} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-{service}-request\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // Within the commands of a push, and behind them.
    let line = format!("{NOBODY} {} refs/heads/x\0report-status", "a".repeat(40));
    let mut packet = format!("{:04x}{line}0000PACK\0\0\0\x02\0\0\0\x05", line.len() + 4).into_bytes();
    // A blob of 4 GiB, stored as it is.
    packet.extend_from_slice(b"\xb0\x80\x80\x80\x7f\x78\x01\x00\xff\xff\x00\x00");
    for begun in [b"fff0", &packet[..]] {
        let mut slow = site.server().connect();
        slow.send(head("git-receive-pack", 1 << 40));
        slow.send(begun);
        while slow.try_send("a").is_ok() {
            std::thread::sleep(CRAWL);
        }
        cut_off("op=push");
    }
}

/// What a pusher puts into a repository is no repository.
#[test]
fn nothing_inside_a_repository_is_served_by_git() {
    let mut site = Site { home: Repo::homeless(), ..Site::new() };
    let tree = site.at("tree").display().to_string();
    site.home.git(&["init", "--quiet", "--initial-branch=main", &tree]).ok();
    site.home.git(&["-C", &tree, "annex", "init", "--quiet"]).ok();
    site.make("tree/evil.git");
    site.make("hidden/a.git");
    std::os::unix::fs::symlink(site.at("hidden/a.git"), site.at("tree/link.git")).expect("a link");
    site.start(&["--wideopen"]);
    let status = |path: &str| {
        let head = format!("GET {path}/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\n\r\n");
        site.server().connect().ask(&head).status
    };
    for (path, expected) in [
        ("/tree", 200),
        ("/hidden/a.git", 200),
        ("/tree/evil.git", 404),
        ("/tree/link.git", 404),
        ("/tree/.git", 404),
        ("/tree/%2egit", 404),
        ("/tree/../hidden/a.git", 404),
        ("/tree/%2e%2e/hidden/a.git", 404),
        ("/tree//evil.git", 404),
        ("", 404),
    ] {
        assert_eq!(status(path), expected, "{path}");
    }
}

/// A work tree on the server stays as it is, unless its own configuration says otherwise.
#[test]
fn one_repository_with_a_work_tree_is_cloned_without_a_path() {
    let served = Repo::new();
    served.add("one", 1, 1000);
    served.git(&["commit", "--quiet", "-m", "one"]).ok();
    let server = Gateway::serve(&served, &["--wideopen", "--git"]);
    let clone = Repo::homeless();
    clone.git(&["clone", "--quiet", &format!("http://{}/", server.address), "."]).ok();
    clone.git(&["config", "annex.security.allowed-ip-addresses", "127.0.0.1"]).ok();
    clone.annex(&["init", "--quiet"]).ok();
    clone.annex(&["get", "--quiet", "one"]).ok();
    let key = clone.add("two", 2, 1000);
    clone.git(&["commit", "--quiet", "-m", "two"]).ok();
    clone.annex(&["push"]).ok();
    assert!(object(&served, &key).exists());
    assert_eq!(served.read("two"), None, "what is checked out is not touched");
    clone.git(&["push", "origin", "main"]).failed();
    let head = "GET /git-annex/x/config HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.connect().ask(head).status, 404);
    let path = format!("/git-annex/{}/v4/checkpresent?clientuuid={CLIENT}&key={key}", served.uuid());
    assert!(server.connect().post(&path, &[], b"").text().contains("true"));
    server.stop();
}

#[test]
fn trees_follow_their_branch_without_a_hook_file() {
    let tracked = Tracked::new(Whose::Ours, Place::fs(), Whose::Ours, "main", Wire::Http);
    std::fs::remove_file(tracked.repo.dir().join("hooks/post-receive")).expect("the hook");
    let server = Gateway::serve(&tracked.repo, &["--wideopen", "--git"]);
    let client = tracked.client();
    client.git(&["config", "remote.origin.url", &format!("http://{}/", server.address)]).ok();
    client.add("one", 1, 1000);
    client.git(&["commit", "--quiet", "-m", "one"]).ok();
    client.annex(&["copy", "--quiet", "--to", "origin-tree", "one"]).ok();
    let pushed = client.git(&["push", "origin", "main"]).ok();
    assert!(pushed.stderr.contains("remote: export main to tree: ok"), "{}", pushed.stderr);
    assert_eq!(tracked.tree().get(&b"one"[..]), Some(&content(1, 1000)));
    client.git(&["mv", "one", "renamed"]).ok();
    client.git(&["commit", "--quiet", "-m", "renamed"]).ok();
    let pushed = client.git(&["push", "origin", "main"]).ok();
    assert!(pushed.stderr.contains("1 renamed"), "{}", pushed.stderr);
    assert_eq!(tracked.tree().get(&b"renamed"[..]), Some(&content(1, 1000)));
    server.stop();
}

#[test]
fn a_push_makes_a_repository_for_who_may() {
    let mut site = Site::new();
    site.make("photos.git");
    site.start(&["--authenv-http", "--unauth-readonly", "--create-on-push", "new/", "--create-limit", "3"]);
    let work = Repo::new();
    work.git(&["config", "annex.security.allowed-ip-addresses", "127.0.0.1"]).ok();
    work.add("one", 1, 1000);
    work.git(&["commit", "--quiet", "-m", "one"]).ok();
    let push = |user: &str, name: &str| work.git(&["push", &site.url(user, name), "main"]);
    for (user, name) in [
        ("bob", "new/a"),
        ("robot", "new/a"),
        ("", "new/a"),
        ("alice", "other/a"),
        ("alice", "new/.hidden"),
        ("alice", "photos.git/a"),
        ("alice", "new/../a"),
    ] {
        push(user, name).failed();
    }
    assert!(!site.at("new").exists());
    work.git(&["clone", "--quiet", &site.url("alice", "new/a"), "elsewhere"]).failed();
    assert!(!site.at("new").exists(), "only a push makes one");
    push("alice", "new/a").ok();
    assert_eq!(site.git("new/a.git", &["rev-parse", "HEAD"]), work.git(&["rev-parse", "main"]).ok().stdout.trim());
    assert!(site.git("new/a.git", &["show", "git-annex:uuid.log"]).contains("new/a.git timestamp="));
    // And all the rest goes there as if it had always been there.
    work.git(&["remote", "add", "origin", &site.url("alice", "new/a")]).ok();
    work.annex(&["push"]).ok();
    let clone = site.clone("", "new/a");
    clone.annex(&["get", "--quiet", "one"]).ok();
    assert_eq!(clone.read("one"), Some(content(1, 1000)));
    push("alice", "new/b/c.git").ok();
    let refused = push("alice", "new/d").failed();
    assert!(!site.at("new/d.git").exists(), "{}", refused.stderr);
    site.server().wait_for(|line| line.contains("as many as there may be").then_some(()));
    push("alice", "new/a").ok();
}

#[test]
fn changes_are_written_down() {
    let mut site = Site::new();
    site.make("photos.git");
    let file = site.home.dir().join("audit");
    site.start(&["--authenv-http", "--unauth-readonly", "--quiet", "--audit", &file.display().to_string()]);
    let clone = site.clone("alice", "photos.git");
    let key = clone.add("one", 1, 1000);
    clone.git(&["commit", "--quiet", "-m", "one"]).ok();
    clone.annex(&["push"]).ok();
    clone.annex(&["drop", "--quiet", "--from", "origin", "one"]).ok();
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the last is written", || lines().contains("\"event\":\"remove\""));
    let all = lines();
    for (event, more) in [("put", &*key), ("remove", &key), ("push", "")] {
        let is_it = |line: &&str| line.contains(&format!("\"event\":\"{event}\"")) && line.contains(more);
        let line = all.lines().find(is_it).unwrap_or_else(|| panic!("{event}: {all}"));
        for part in [
            "\"user\":\"alice\"",
            "\"address\":\"127.0.0.1\"",
            "\"repository\":\"photos.git\"",
            "\"status\":200",
            "\"agent\":\"git",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    assert!(!all.contains("checkpresent") && !all.contains("pw of"), "{all}");
}
