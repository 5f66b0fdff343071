//! Trees that others write, imported by the real git-annex: from every kind of place the history is the one that git-annex's
//! own `directory` remote gives.

use testbed::annex::Repo;
use testbed::place::{Place, Whose, subject};

/// Files that are written, with their content, and files that are removed.
type Change = (&'static [(&'static str, &'static str)], &'static [&'static str]);

/// What others do to the tree between imports.
const CHANGES: &[Change] = &[
    (
        &[
            ("a", "one"),
            ("d/b", "two"),
            ("d/e/c", "three"),
            ("sp ace/f ile", "four"),
            ("ü+&%20", "five"),
            ("empty", ""),
            ("twin", "one"),
            ("tmp/kept", "six"),
        ],
        &[],
    ),
    (&[("a", "changed"), ("new/deep/er", "seven")], &["d/b"]),
    (&[("d/e/c", "THREE"), ("a", "one again")], &[]),
    (&[("d", "now a file")], &["d/e/c", "sp ace/f ile"]),
    (&[("d2/b", "two")], &["twin", "a"]),
];

/// Names and content of all files of a commit, keys included.
fn tree(repo: &Repo, commit: &str) -> String {
    repo.git(&["ls-tree", "-r", commit]).ok().stdout
}

fn history(place: Place, options: &[&str], prefix: &str) {
    let repo = Repo::new();
    repo.git(&["commit", "--quiet", "--allow-empty", "-m", "begin"]).ok();
    let theirs = Place::fs();
    // Somebody was there first.
    place.write(&format!("{prefix}before"), b"before");
    theirs.write("before", b"before");
    repo.initremote("theirs", &theirs, Whose::Theirs, &["importtree=yes"]).ok();
    repo.initremote("ours", &place, subject(), &[&["importtree=yes"], options].concat()).ok();
    let mut last = String::new();
    for (written, removed) in CHANGES {
        for name in *removed {
            place.delete(&format!("{prefix}{name}"));
            theirs.delete(name);
        }
        for place in &[&place, &theirs] {
            // What was a directory must be gone before it is a file.
            for dir in ["d/e", "d"] {
                place.remove_dir(&format!("{}{dir}", if std::ptr::eq(*place, &theirs) { "" } else { prefix }));
            }
        }
        for (name, content) in *written {
            place.write(&format!("{prefix}{name}"), content.as_bytes());
            theirs.write(name, content.as_bytes());
        }
        repo.annex(&["import", "--quiet", "main", "--from", "theirs"]).ok();
        repo.annex(&["import", "--quiet", "main", "--from", "ours"]).ok();
        let (ours, expected) = (tree(&repo, "ours/main"), tree(&repo, "theirs/main"));
        assert_eq!(ours, expected);
        assert_ne!(ours, last, "a change is noticed");
        last = ours;
        let commit = repo.git(&["rev-parse", "ours/main"]).ok().stdout;
        let again = repo.annex(&["import", "main", "--from", "ours"]).ok();
        assert!(!again.stdout.contains("import ours"), "nothing is fetched again: {again:?}");
        assert_eq!(repo.git(&["rev-parse", "ours/main"]).ok().stdout, commit, "nothing changed, so no commit");
    }
    repo.annex(&["fsck", "--quiet", "--from", "ours", "--fast", "--branch", "ours/main"]).ok();
    let commits = |branch: &str| repo.git(&["rev-list", "--count", branch]).ok().stdout;
    assert_eq!(commits("ours/main"), commits("theirs/main"), "as many commits");
    // What was imported comes again from there.
    repo.git(&["merge", "--quiet", "--allow-unrelated-histories", "-m", "merged", "ours/main"]).ok();
    repo.annex(&["drop", "--quiet", "--force", "."]).ok();
    repo.annex(&["get", "--quiet", "--from", "ours", "."]).ok();
    assert_eq!(repo.read("d").as_deref(), Some(&b"now a file"[..]));
    repo.annex(&["fsck", "--quiet"]).ok();
}

#[test]
fn a_directory_that_others_change() {
    history(Place::fs(), &[], "");
}

#[test]
fn a_bucket_of_seaweedfs_that_others_change() {
    history(Place::weed(), &["fileprefix=pre fix/"], "pre fix/");
}

#[test]
fn a_bucket_of_rclone_that_others_change() {
    history(Place::rclone_s3(), &[], "");
}

#[test]
fn a_webdav_folder_that_others_change() {
    history(Place::webdav(), &[], "");
}

#[test]
fn keys_are_made_of_files_in_a_directory_without_their_content() {
    let mut repo = Repo::new();
    repo.set("STREAM_IMPORTKEY", "yes");
    let place = Place::fs();
    place.write("a file", b"content");
    repo.initremote("ours", &place, Whose::Ours, &["importtree=yes"]).ok();
    repo.annex(&["import", "--quiet", "--no-content", "main", "--from", "ours"]).ok();
    repo.git(&["merge", "--quiet", "ours/main"]).ok();
    assert_eq!(repo.read("a file"), None, "its content is not here");
    let key = repo.annex(&["lookupkey", "a file"]).ok().stdout;
    assert!(key.starts_with("SHA256-s7--ed7002b439e9ac84"), "{key}");
    repo.annex(&["get", "--quiet", "a file"]).ok();
    assert_eq!(repo.read("a file").as_deref(), Some(&b"content"[..]));
}
