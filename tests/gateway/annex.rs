//! Real git-annex clients of remotes that only the gateway can reach, over both wires.

use testbed::annex::{Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, NAME, Proxy, SEEN};
use testbed::ssh::Ssh;

/// A test on every kind of remote.
macro_rules! on_every_remote {
    ($test:ident) => {
        everywhere!(
            Proxy,
            $test {
                fs: Behind::Special(Place::fs(), Whose::Ours),
                directory: Behind::Special(Place::fs(), Whose::Theirs),
                seaweedfs: Behind::Special(Place::weed(), Whose::Ours),
                s3_of_git_annex: Behind::Special(Place::weed(), Whose::Theirs),
                rclone_s3: Behind::Special(Place::rclone_s3(), Whose::Ours),
                webdav: Behind::Special(Place::webdav(), Whose::Ours),
                path: Behind::Path(Repo::new()),
                ssh: Behind::ssh(),
                http: Behind::http(),
            }
        );
    };
}

on_every_remote!(testremote);
on_every_remote!(there_and_back);

/// What git-annex examines with a url at which nobody listens, and which fails for its own remotes of git too.
const UNAVAILABLE: [&str; 4] = ["removeKey", "storeKey", "checkPresent", "retrieveKeyFile"];

fn testremote(_: &Proxy, client: &Repo) {
    let whole = std::env::var("STREAM_TEST_WHOLE").is_ok_and(|it| it == "yes");
    let words: &[&str] = if whole { &["testremote", SEEN] } else { &["testremote", "--fast", SEEN] };
    let done = client.annex_within(words, std::time::Duration::from_secs(900));
    let (mut group, mut passed, mut failed) = ("", 0, Vec::new());
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
    let let_off = |(group, name): &(&str, &str)| *group == "unavailable remote" && UNAVAILABLE.contains(name);
    failed.retain(|failed| !let_off(failed));
    assert!(failed.is_empty() && passed >= 100, "{passed} passed, not {failed:?}: {}", done.all());
}

/// Store, look, fetch, drop and move, eight at a time; the gateway's own record agrees at each step.
fn there_and_back(proxy: &Proxy, client: &Repo) {
    let names: Vec<String> = (0..12).map(|n| format!("dir/file {n} %[x]&.dat")).collect();
    std::fs::create_dir(client.dir().join("dir")).expect("a directory");
    let bytes = |n: usize| content(n as u64, n * 100_000);
    for (n, name) in names.iter().enumerate() {
        std::fs::write(client.dir().join(name), bytes(n)).expect("a file");
    }
    client.annex(&["add", "--quiet"]).ok();
    let keys: Vec<String> =
        names.iter().map(|name| client.annex(&["lookupkey", name]).ok().stdout.trim().to_string()).collect();
    client.annex(&["copy", "--quiet", "-J8", "--to", SEEN]).ok();
    eventually("the gateway records what came", || keys.iter().all(|key| proxy.records(key)));
    client.annex(&["drop", "--quiet", "-J8"]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()), "nothing is left here");
    client.annex(&["get", "--quiet", "-J8", "--from", SEEN]).ok();
    for (n, name) in names.iter().enumerate() {
        assert!(client.read(name) == Some(bytes(n)), "{name}");
    }
    client.annex(&["fsck", "--quiet", "-J4", "--from", SEEN]).ok();
    client.annex(&["drop", "--quiet", "-J8", "--from", SEEN]).ok();
    eventually("the gateway records what went", || !keys.iter().any(|key| proxy.records(key)));
    client.annex(&["move", "--quiet", "-J8", "--to", SEEN]).ok();
    assert!(names.iter().all(|name| client.read(name).is_none()), "nothing is left here");
    client.annex(&["move", "--quiet", "-J8", "--from", SEEN]).ok();
    assert!(names.iter().all(|name| client.read(name).is_some()), "all is back");
    // What is dropped there while only another repository has it needs a lock on that, and a clock here.
    client.annex(&["copy", "--quiet", "--to", SEEN, &names[3]]).ok();
    client.annex(&["move", "--quiet", "--to", "origin", &names[3]]).ok();
    client.annex(&["drop", "--quiet", "--from", SEEN, &names[3]]).ok();
    client.annex(&["get", "--quiet", &names[3]]).ok();
    // git misses what is committed while it looks, which the gateway may do at any time.
    eventually("git finds nothing wrong", || proxy.repo.git(&["fsck", "--strict"]).status.success());
    // The real git-annex of the gateway finds the content where it is recorded to be.
    client.annex(&["copy", "--quiet", "--to", SEEN, &names[3]]).ok();
    eventually("the gateway records what came", || proxy.records(&keys[3]));
    proxy.repo.annex(&["fsck", "--quiet", "--from", NAME, "--key", &keys[3]]).ok();
}
