//! git over the same address: who may do what.

use std::path::Path;

use testbed::annex::{Repo, content};

use crate::site::Site;

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
    assert!(site.object_of(&key).exists());
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
