use std::collections::BTreeMap;

use super::*;
use crate::annex::branch::Edit;
use crate::annex::log::metadata_file;
use crate::annex::repository::Repository;
use crate::annex::repository::tests::{git, make};

fn scratch(settings: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    for (name, value) in settings {
        git(dir.path(), &["config", name, value]);
    }
    let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    (dir, repository)
}

fn key(n: usize) -> Key {
    Key::parse(format!("SHA256E-s{n}--x{n}").as_bytes()).expect("a key")
}

fn write(repository: &Repository, files: &[(Vec<u8>, &str)]) {
    let edit = |(file, log): &(Vec<u8>, &str)| {
        let log = log.as_bytes().to_vec();
        Edit::new(file.clone(), move |_| Some(log))
    };
    repository.branch().change(files.iter().map(edit).collect()).unwrap_or_else(|e| panic!("{e}"));
}

fn commit(repository: &Repository) -> Option<GitId> {
    repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
    repository.branch().tip().unwrap_or_else(|e| panic!("{e}"))
}

/// What a walk gives, in its order: key, old and new. It is cut after each `cut` logs and begun anew where it was.
fn walked(
    repository: &Repository,
    old: Option<GitId>,
    new: Option<GitId>,
    cut: usize,
) -> Vec<(String, String, String)> {
    let (mut all, mut after) = (Vec::new(), Vec::new());
    loop {
        let (mut taken, from) = (0, after.clone());
        let found = repository.branch().location_changes(old, new, &from, &mut |change| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            all.push((change.key.to_string(), text(change.old), text(change.new)));
            after = change.file.to_vec();
            taken += 1;
            if taken == cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if found.unwrap_or_else(|(_, e)| panic!("{e}")).is_whole {
            return all;
        }
    }
}

#[test]
fn it_is_told_which_keys_have_metadata() {
    for (settings, hashing) in
        [(&[][..], LogHashing::TwoLevels), (&[("annex.tune.branchhash1", "true")][..], LogHashing::OneLevel)]
    {
        let (_dir, repository) = scratch(settings);
        let branch = repository.branch();
        let mut files: Vec<_> = (0..60).map(|n| (location_file(&key(n), hashing), "5s 1 a\n")).collect();
        files.extend([7, 8].map(|n| (metadata_file(&key(n), hashing), "5s tag +x\n")));
        // Other files of the key, before and after it.
        files.push(([&location_file(&key(9), hashing)[..], b".cnk"].concat(), "5s uuid:1 1\n"));
        files.push(([&location_file(&key(9), hashing)[..], b".web"].concat(), "5s 1 http://x\n"));
        write(&repository, &files);
        assert_eq!(branch.waiting_metadata().unwrap_or_else(|e| panic!("{e}")), HashSet::from([key(7), key(8)]));
        let old = commit(&repository);
        assert!(branch.waiting_metadata().unwrap_or_else(|e| panic!("{e}")).is_empty());
        let told = |old, new| {
            let mut told = BTreeMap::new();
            let walked = branch.location_changes(old, new, b"", &mut |change| {
                told.insert(change.key.clone(), change.has_metadata);
                ControlFlow::Continue(())
            });
            walked.unwrap_or_else(|(_, e)| panic!("{e}"));
            told
        };
        let all = told(None, old);
        assert_eq!(all, (0..60).map(|n| (key(n), Some(n == 7 || n == 8))).collect());
        write(&repository, &[(location_file(&key(7), hashing), "6s 0 a\n")]);
        // What did not change is not looked at, and nothing is said of it.
        assert!(told(old, commit(&repository)).values().all(|told| told.is_none() || *told == Some(true)));
    }
}

#[test]
fn each_log_that_differs_is_given_once_wherever_a_walk_was_cut() {
    for (settings, hashing) in
        [(&[][..], LogHashing::TwoLevels), (&[("annex.tune.branchhash1", "true")][..], LogHashing::OneLevel)]
    {
        let (_dir, repository) = scratch(settings);
        let file = |n| location_file(&key(n), hashing);
        let first: Vec<_> = (0..60).map(|n| (file(n), "5s 1 a\n")).collect();
        write(&repository, &first);
        let old = commit(&repository);
        let mut second: Vec<_> = (40..50).map(|n| (file(n), "6s 0 a\n")).collect();
        second.extend((60..75).map(|n| (file(n), "5s 1 b\n")));
        write(&repository, &second);
        let new = commit(&repository);
        for (from, to, expected) in [
            (None, old, (0..60).map(|n| (key(n).to_string(), "", "5s 1 a\n")).collect::<Vec<_>>()),
            (
                old,
                new,
                (40..50)
                    .map(|n| (key(n).to_string(), "5s 1 a\n", "6s 0 a\n"))
                    .chain((60..75).map(|n| (key(n).to_string(), "", "5s 1 b\n")))
                    .collect(),
            ),
            (
                new,
                old,
                (40..50)
                    .map(|n| (key(n).to_string(), "6s 0 a\n", "5s 1 a\n"))
                    .chain((60..75).map(|n| (key(n).to_string(), "5s 1 b\n", "")))
                    .collect(),
            ),
            (new, new, Vec::new()),
            (None, None, Vec::new()),
        ] {
            let whole = walked(&repository, from, to, usize::MAX);
            for cut in [1, 2, 7, 59, 60, 61] {
                assert_eq!(walked(&repository, from, to, cut), whole, "cut after {cut}");
            }
            let found: BTreeMap<_, _> = whole.iter().map(|(key, old, new)| (key.clone(), (old, new))).collect();
            assert_eq!(found.len(), whole.len(), "none twice");
            let expected: BTreeMap<_, _> =
                expected.into_iter().map(|(key, old, new)| (key, (old.to_string(), new.to_string()))).collect();
            assert!(
                found
                    .iter()
                    .map(|(key, (old, new))| (key, (old.as_str(), new.as_str())))
                    .eq(expected.iter().map(|(key, (old, new))| (key, (old.as_str(), new.as_str()))))
            );
        }
    }
}

/// Recorded: git-annex does not count these either, where there is no log in the right place.
#[test]
fn what_git_annex_would_not_look_at_is_passed_over() {
    let (_dir, repository) = scratch(&[]);
    let right = location_file(&key(1), LogHashing::TwoLevels);
    let wrong =
        ["000/111/SHA256E-s2--x2.log", "000/SHA256E-s3--x3.log", "abc/def/nokey.log", "uuid.log", "a/b/c/d.log"];
    let mut files: Vec<_> = wrong.iter().map(|file| (file.as_bytes().to_vec(), "5s 1 a\n")).collect();
    files.push((right.clone(), "5s 1 a\n"));
    files.push(([right.as_slice(), b".web"].concat(), "5s 1 http://x\n"));
    write(&repository, &files);
    let waiting = |repository: &Repository| {
        let mut found = Vec::new();
        let listed = repository.branch().waiting_locations(&mut |waiting| {
            found.push(waiting.key.to_string());
            Ok(())
        });
        listed.unwrap_or_else(|e| panic!("{e}"));
        found
    };
    assert_eq!(waiting(&repository), [key(1).to_string()]);
    let tip = commit(&repository);
    assert_eq!(walked(&repository, None, tip, 1).len(), 1);
    assert!(waiting(&repository).is_empty());
}

#[test]
fn what_waits_in_either_journal_is_laid_over_a_commit() {
    let (dir, repository) = scratch(&[]);
    let file = |n| location_file(&key(n), LogHashing::TwoLevels);
    write(&repository, &[(file(1), "5s 1 a\n"), (file(2), "5s 1 a\n")]);
    let at = commit(&repository);
    write(&repository, &[(file(2), "6s 0 a\n"), (file(3), "5s 1 b\n")]);
    let private = |n| Edit::new(file(n), move |have| Some([have, b"7s 1 p\n"].concat())).private();
    repository.branch().change(vec![private(1), private(2)]).unwrap_or_else(|e| panic!("{e}"));
    let mut found = BTreeMap::new();
    let listed = repository.branch().waiting_locations(&mut |waiting| {
        let (was, is) = repository.branch().log_at(at, &waiting.file)?;
        let text = |log: Vec<u8>| String::from_utf8(log).expect("text");
        let in_which = waiting.versions.map(|version| version.is_some());
        assert!(found.insert(waiting.key.to_string(), (text(was), text(is), in_which)).is_none(), "none twice");
        Ok(())
    });
    listed.unwrap_or_else(|e| panic!("{e}"));
    let row = |was: &str, is: &str, in_which| (was.to_string(), is.to_string(), in_which);
    assert_eq!(
        found,
        BTreeMap::from([
            (key(1).to_string(), row("5s 1 a\n", "5s 1 a\n7s 1 p\n", [false, true])),
            (key(2).to_string(), row("5s 1 a\n", "6s 0 a\n7s 1 p\n", [true, true])),
            (key(3).to_string(), row("", "5s 1 b\n", [true, false])),
        ])
    );
    assert!(dir.path().join(".git/annex/journal-private").exists());
}

#[test]
fn which_commit_cannot_be_read_is_told() {
    let (dir, repository) = scratch(&[]);
    write(&repository, &[(location_file(&key(1), LogHashing::TwoLevels), "5s 1 a\n")]);
    let tip = commit(&repository);
    let gone = GitId::parse(b"0123456789012345678901234567890123456789");
    for (old, new, side) in [(gone, tip, Side::Old), (tip, gone, Side::New)] {
        let failed = repository.branch().location_changes(old, new, b"", &mut |_| ControlFlow::Continue(()));
        assert_eq!(failed.expect_err("it is not there").0, side);
    }
    // A commit whose tree is there and a directory of it is not.
    let blob = location_file(&key(1), LogHashing::TwoLevels);
    let directory = String::from_utf8(blob[..3].to_vec()).expect("text");
    let tree = git(dir.path(), &["rev-parse", &format!("git-annex:{directory}")]);
    let entry = format!("040000 tree {}\t{directory}", tree.replace(['0', '1', '2'], "f"));
    std::fs::write(dir.path().join("entry"), entry + "\n").expect("written");
    let script = "git commit-tree -m x $(git mktree --missing <entry)";
    let done = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(dir.path())
        .env("GIT_AUTHOR_NAME", "T")
        .env("GIT_AUTHOR_EMAIL", "t@e")
        .env("GIT_COMMITTER_NAME", "T")
        .env("GIT_COMMITTER_EMAIL", "t@e")
        .output()
        .expect("sh runs");
    let broken = GitId::parse(done.stdout.trim_ascii());
    assert!(broken.is_some(), "{}", String::from_utf8_lossy(&done.stderr));
    for (old, new, side) in [(broken, tip, Side::Old), (tip, broken, Side::New)] {
        let failed = repository.branch().location_changes(old, new, b"", &mut |_| ControlFlow::Continue(()));
        assert_eq!(failed.expect_err("it is not there").0, side);
    }
}
