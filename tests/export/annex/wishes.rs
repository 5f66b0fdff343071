//! A remote that has preferred content gets the files that match it, as `git annex export` does it, and whoever pushes hears of
//! the others.

use std::collections::BTreeSet;
use std::path::Path;

use testbed::annex::Repo;
use testbed::place::{Place, Whose};
use testbed::proxy::stream;
use testbed::tracked::{NAME, SEEN, Tracked, Wire};

const LEN: usize = 500;

/// Another remote of the client's, to which git-annex exports the same.
const CONTROL: &str = "control";

fn named(files: impl Iterator<Item = Vec<u8>>) -> BTreeSet<String> {
    let names = files.map(|name| String::from_utf8(name).expect("a name of this test"));
    names.filter(|name| !name.starts_with(".git/")).collect()
}

/// What git-annex exports of the same tree to a remote that wants the same.
fn of_git_annex(client: &Repo, store: &Path, wish: &str) -> BTreeSet<String> {
    client.annex(&["wanted", CONTROL, wish]).ok();
    client.annex(&["export", "--quiet", "--to", CONTROL, "HEAD"]).ok();
    named(testbed::place::files_below(store).into_keys())
}

#[test]
fn what_the_remote_does_not_want_is_left_out_as_git_annex_leaves_it_out() {
    let mut gateway = Tracked::new(Whose::Ours, Place::fs(), Whose::Ours, "main", Wire::Http);
    gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    let client = gateway.client();
    for (name, nth) in [("one.mp3", 1), ("two.txt", 2), ("deep/three.mp3", 3), ("deep/four.txt", 4)] {
        client.add(name, nth, LEN);
    }
    std::fs::write(client.dir().join("plain"), b"a file of git").expect("written");
    client.git(&["add", "--all"]).ok();
    client.git(&["commit", "--quiet", "-m", "files"]).ok();
    gateway.push(&client);
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    let store = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", store.path().display());
    let tree = ["exporttree=yes", "annexobjects=yes", "encryption=none"];
    let made = [&["initremote", CONTROL, "type=directory", &directory][..], &tree].concat();
    client.annex(&made).ok();
    let wishes = [
        "include=*.mp3",
        "include=deep/*",
        "include=one.mp3 or largerthan=1kb",
        "exclude=*.mp3",
        "smallerthan=499 or include=two.txt",
        "nothing",
        "not present",
        "standard",
        "anything",
    ];
    for wish in wishes {
        gateway.repo.annex(&["wanted", NAME, wish]).ok();
        let done = stream(&gateway.repo, &["post-receive", "--json"]).ok();
        let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        let files = named(gateway.place.files().into_keys());
        assert_eq!(files, of_git_annex(&client, store.path(), wish), "{wish}: {}", done.all());
        let all = ["deep/four.txt", "deep/three.mp3", "one.mp3", "two.txt"];
        let left: Vec<&str> = all.into_iter().filter(|name| !files.contains(*name)).collect();
        assert_eq!(told[0]["unwanted"], serde_json::json!(left), "{wish}: {told}");
        assert!(files.contains("plain"), "{wish}: files of git are wanted");
    }
    client.annex(&["fsck", "--quiet", "--from", SEEN]).ok();
}
