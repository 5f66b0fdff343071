//! git over the same address: the real git and git-annex, with nothing but a url.

use testbed::annex::{Repo, content};
use testbed::clients::{object, write_program};
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::tracked::{Tracked, Wire};
use testbed::wire::CLIENT;

use crate::site::Site;

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
    assert!(!site.object_of(&key).exists());
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
    assert!(!site.object_of(&key).exists());
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
