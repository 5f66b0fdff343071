//! What somebody who may only push can put on branches that are merged, and what must come of it: nothing, for the others.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::annex::branch::ancestry::{MOST_COMMITS, holds};
use crate::annex::branch::arrived::Arrived;
use crate::annex::branch::merge::fast_forward;
use crate::annex::branch::unite::Unite;
use crate::annex::git::pack::PackWriter;
use crate::annex::log::Limit;

/// What git says to `words` when it is given `input`.
fn feed(dir: &Path, words: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("git");
    command.current_dir(dir).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("git runs");
    child.stdin.take().expect("piped").write_all(input).expect("taken");
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{words:?}");
    String::from_utf8_lossy(&done.stdout).trim_end().to_string()
}

fn commit_tree(dir: &Path, name: &str, tree: &str, parent: Option<&str>) -> String {
    let parents: Vec<&str> = parent.into_iter().flat_map(|parent| ["-p", parent]).collect();
    let commit = git(dir, &[&["commit-tree", "-m", "x", tree], parents.as_slice()].concat());
    git(dir, &["update-ref", name, &commit]);
    commit
}

/// A tree of `levels` directories, each ten times the one below it: as many files as ten to that power.
fn bomb(dir: &Path, levels: usize, leaf: &str) -> String {
    let mut entry = format!("100644 blob {}", feed(dir, &["hash-object", "-w", "--stdin"], leaf.as_bytes()));
    for _ in 0..levels {
        let lines: String = (0..10).map(|n| format!("{entry}\t{n}\n")).collect();
        entry = format!("040000 tree {}", feed(dir, &["mktree"], lines.as_bytes()));
    }
    entry.rsplit(' ').next().expect("an id").to_string()
}

fn with_one_file() -> (tempfile::TempDir, Repository, String) {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("a.log", "1s a\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    let base = git(dir.path(), &["rev-parse", "git-annex"]);
    (dir, repository, base)
}

fn merge(repository: &Repository) -> MergeReport {
    repository.branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"))
}

/// Something is recorded, as somebody else would, and it is in the branch.
fn others_go_on(dir: &Path, repository: &Repository) {
    repository.branch().change(vec![append("other.log", "1s other\n")]).expect("made");
    repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
    assert!(git(dir, &["show", "refs/heads/git-annex:other.log"]).contains("1s other"));
}

#[test]
fn trees_that_hold_themselves_are_united_as_fast_as_they_were_made() {
    let (dir, repository, base) = with_one_file();
    for (name, leaf) in [("x", "1s 1 x\n"), ("y", "2s 1 y\n")] {
        let top = format!("040000 tree {}\tbomb\n", bomb(dir.path(), 12, leaf));
        let tree = feed(dir.path(), &["mktree"], top.as_bytes());
        commit_tree(dir.path(), &format!("refs/heads/{name}/git-annex"), &tree, Some(&base));
    }
    assert_eq!(merge(&repository).merged.len(), 2);
    let leaf = format!("bomb{}", "/3".repeat(12));
    assert_eq!(git(dir.path(), &["show", &format!("refs/heads/git-annex:{leaf}")]), "1s 1 x\n2s 1 y");
    assert_eq!(read(&repository, "a.log"), "1s a\n");
    others_go_on(dir.path(), &repository);
}

#[test]
fn a_log_that_is_too_long_stays_as_it_is_and_all_else_is_merged() {
    for long in ["\n".repeat((4 << 20) + 1), "a ".repeat(200_001)] {
        let (dir, repository, base) = with_one_file();
        let first =
            commit_elsewhere(dir.path(), "refs/heads/synced/git-annex", Some(&base), "a.log", &format!("1s a\n{long}"));
        commit_elsewhere(dir.path(), "refs/heads/synced/git-annex", Some(&first), "b.log", "1s b\n");
        repository.branch().change(vec![append("a.log", "2s mine\n")]).expect("made");
        repository.branch().commit("update").expect("committed");
        let report = merge(&repository);
        assert_eq!((report.merged.len(), report.left, report.skipped.len()), (1, 1, 0));
        assert_eq!(git(dir.path(), &["show", "refs/heads/git-annex:a.log"]), "1s a\n2s mine");
        assert_eq!(read(&repository, "b.log"), "1s b\n");
        assert_eq!(merge(&repository), MergeReport::default(), "it is merged, once");
        others_go_on(dir.path(), &repository);
    }
}

#[test]
fn a_branch_ahead_of_ours_is_not_moved_to_where_a_log_in_it_is_too_long() {
    let (dir, repository, base) = with_one_file();
    commit_elsewhere(dir.path(), "refs/heads/synced/git-annex", Some(&base), "a.log", &"\n".repeat((4 << 20) + 1));
    assert_eq!(merge(&repository).left, 1);
    assert_eq!(read(&repository, "a.log"), "1s a\n");
}

/// Each of two may be read, and what they are together may not.
#[test]
fn two_logs_that_are_too_long_together_stay_apart() {
    let (dir, repository, base) = with_one_file();
    let lines = |from: usize| -> String { (from..from + 60_000).map(|n| format!("{n:040}\n")).collect() };
    for (name, from) in [("x", 0), ("y", 60_000)] {
        commit_elsewhere(dir.path(), &format!("refs/heads/{name}/git-annex"), Some(&base), "b.log", &lines(from));
    }
    assert_eq!(merge(&repository).left, 1);
    assert_eq!(read(&repository, "b.log"), lines(0), "all of the first, and nothing of the second");
}

#[test]
fn a_log_that_nobody_can_read_is_unknown_and_never_empty() {
    let (dir, repository, base) = with_one_file();
    let key = crate::name::Key::parse(b"WORM--x").expect("a key");
    let file = String::from_utf8(location_file(&key, repository.branch().log_hashing())).expect("text");
    commit_elsewhere(dir.path(), "refs/heads/git-annex", Some(&base), &file, &"\n".repeat((1 << 20) + 1));
    let told = |repository: &Repository| repository.branch().locations(&key).expect_err("unknown").to_string();
    assert!(told(&repository).contains("more than is read of it"), "{}", told(&repository));
    // The same where it is not merged yet, and there is none here.
    let (dir, _, base) = with_one_file();
    commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", Some(&base), &file, &"\n".repeat((1 << 20) + 1));
    let repository = open(dir.path());
    assert!(told(&repository).contains("more than is read of it"));
    merge(&repository);
    assert!(told(&repository).contains("more than is read of it"));
    others_go_on(dir.path(), &repository);
    let refused = repository.branch().change(vec![append(&file, "1s 1 x\n")]);
    assert!(refused.is_err(), "what it held must not be replaced");
}

#[test]
fn what_cannot_be_committed_stays_in_the_journal_and_keeps_nothing_else_there() {
    let (dir, repository, base) = with_one_file();
    repository.branch().change(vec![append("a.log", "2s mine\n"), put("b.log", "1s b\n")]).expect("made");
    commit_elsewhere(dir.path(), "refs/heads/git-annex", Some(&base), "a.log", &"\n".repeat((4 << 20) + 1));
    let journal = dir.path().join(".git/annex/journal");
    for _ in 0..2 {
        repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((journal.join("a.log").exists(), journal.join("b.log").exists()), (true, false));
    }
    assert_eq!(git(dir.path(), &["show", "refs/heads/git-annex:b.log"]), "1s b");
    // An admin put the branch back.
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &base]);
    repository.branch().commit("update").expect("committed");
    assert_eq!(git(dir.path(), &["show", "refs/heads/git-annex:a.log"]), "1s a\n2s mine");
}

#[test]
fn nothing_is_written_that_could_not_be_read_again() {
    let (_dir, repository, _) = with_one_file();
    let long = "x".repeat(usize::try_from(Limit::OTHER.bytes).expect("small") + 1);
    assert!(repository.branch().change(vec![put("a.log", &long)]).is_err());
    assert_eq!(read(&repository, "a.log"), "1s a\n");
}

#[test]
fn branches_that_cannot_be_taken_are_named_and_the_others_merged() {
    let (dir, repository, base) = with_one_file();
    commit_elsewhere(dir.path(), "refs/heads/z/git-annex", Some(&base), "z.log", "1s z\n");
    // Of a tree that is not there, and of more words than any commit has.
    let person = "T <t@e> 1 +0000";
    let lost = format!("tree {}\nauthor {person}\ncommitter {person}\n\nx\n", "1".repeat(40));
    let tree = git(dir.path(), &["rev-parse", &format!("{base}^{{tree}}")]);
    let wordy = format!("tree {tree}\nauthor {person}\ncommitter {person}\n\n{}\n", "x".repeat(1 << 20));
    for (name, commit) in [("lost", lost), ("wordy", wordy)] {
        let words = ["hash-object", "-w", "-t", "commit", "--literally", "--stdin"];
        let commit = feed(dir.path(), &words, commit.as_bytes());
        std::fs::create_dir_all(dir.path().join(".git/refs/heads").join(name)).expect("made");
        std::fs::write(dir.path().join(".git/refs/heads").join(name).join("git-annex"), commit + "\n")
            .expect("written");
    }
    let report = merge(&repository);
    let skipped = [
        (b"refs/heads/lost/git-annex".to_vec(), SkipReason::Unreadable),
        (b"refs/heads/wordy/git-annex".to_vec(), SkipReason::TooLarge),
    ];
    assert_eq!((report.merged, report.skipped), (vec![b"refs/heads/z/git-annex".to_vec()], skipped.to_vec()));
    assert_eq!(read(&repository, "z.log"), "1s z\n");
    others_go_on(dir.path(), &repository);
}

/// What is merged into ours must not make ours unreadable, bit by bit.
#[test]
fn our_directories_stay_readable_whatever_is_merged() {
    let (dir, repository, base) = with_one_file();
    let blob = feed(dir.path(), &["hash-object", "-w", "--stdin"], b"1s x\n");
    let lines: String = (0..20_000).map(|n| format!("100644 blob {blob}\t{n:0230}\n")).collect();
    let tree = feed(dir.path(), &["mktree"], lines.as_bytes());
    commit_tree(dir.path(), "refs/heads/x/git-annex", &tree, Some(&base));
    let report = merge(&repository);
    assert_eq!((report.left, read(&repository, "a.log")), (1, "1s a\n".to_string()));
    others_go_on(dir.path(), &repository);
    // Nor is it what ours begins with.
    let (dir, repository) = scratch();
    let tree = feed(dir.path(), &["hash-object", "-w", "--stdin"], b"1s x\n");
    let lines: String = (0..40_000).map(|n| format!("100644 blob {tree}\t{n:0230}\n")).collect();
    let tree = feed(dir.path(), &["mktree"], lines.as_bytes());
    commit_tree(dir.path(), "refs/heads/x/git-annex", &tree, None);
    assert_eq!(merge(&repository).skipped, [(b"refs/heads/x/git-annex".to_vec(), SkipReason::TooLarge)]);
    others_go_on(dir.path(), &repository);
}

#[test]
fn merging_ends_when_it_is_told_to_and_nothing_moves() {
    let (dir, _, base) = with_one_file();
    let other = commit_elsewhere(dir.path(), "refs/heads/x/git-annex", Some(&base), "b.log", "1s b\n");
    let plain = gix::open(dir.path()).expect("it opens");
    let packer = PackWriter::of(&plain);
    let id = |name: String| plain.rev_parse_single(name.as_str()).expect("an object").detach();
    let trees = (id(format!("{base}^{{tree}}")), id(format!("{other}^{{tree}}")));
    let mut unite = Unite::new(&packer, &|| true);
    assert!(matches!(unite.trees(trees.0, trees.1), Err(BranchError::Stopped)));
    let told = holds(&plain, id(other.clone()), id(base.clone()), &mut MOST_COMMITS.clone(), &|| true);
    assert!(matches!(told, Err(BranchError::Stopped)));
    assert_eq!(git(dir.path(), &["rev-parse", "refs/heads/git-annex"]), base);
}

/// Whoever pushed something large keeps nobody else waiting.
#[test]
fn records_are_committed_while_a_merge_goes_on() {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use crate::annex::recorder::{Evidence, Recorder, RecorderConfig};

    let (dir, repository, base) = with_one_file();
    commit_elsewhere(dir.path(), "refs/heads/x/git-annex", Some(&base), "b.log", "1s b\n");
    let repository = Arc::new(repository);
    let recorder = Recorder::start(Arc::clone(&repository), RecorderConfig::default()).expect("a thread");
    let key = crate::name::Key::parse(b"WORM--x").expect("a key");
    let file = String::from_utf8(location_file(&key, repository.branch().log_hashing())).expect("text");
    let commit = || {
        let (done, told) = channel();
        recorder.commit(Box::new(move |committed| done.send(committed).expect("somebody waits")));
        told.recv().expect("it is told").unwrap_or_else(|e| panic!("{e}"));
    };
    let going_on = repository.branch().merging.lock().expect("nobody merges");
    assert!(repository.branch().is_merging());
    let (done, told) = channel();
    let done = Box::new(move |recorded| done.send(recorded).expect("somebody waits"));
    recorder.record(key, Uuid::parse(b"u-1").expect("a uuid"), Presence::Present, Evidence::Done, done);
    told.recv().expect("it is told").unwrap_or_else(|e| panic!("{e}"));
    commit();
    let files = || git(dir.path(), &["ls-tree", "-r", "--name-only", "refs/heads/git-annex"]);
    assert_eq!(files(), format!("{file}\na.log"), "that is committed, and nothing is merged yet");
    drop(going_on);
    commit();
    assert_eq!(files(), format!("{file}\na.log\nb.log"));
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn more_branches_than_are_merged_at_once_come_one_after_another() {
    let (dir, repository, base) = with_one_file();
    for n in 0..20 {
        commit_elsewhere(dir.path(), &format!("refs/heads/x{n}/git-annex"), Some(&base), &format!("{n}.log"), "1s x\n");
    }
    let merged: Vec<usize> = (0..3).map(|_| merge(&repository).merged.len()).collect();
    assert_eq!(merged, [16, 4, 0]);
    assert_eq!((read(&repository, "0.log"), read(&repository, "19.log")), ("1s x\n".into(), "1s x\n".into()));
}

/// Histories of strangers are as long as they like, and each is asked of each.
#[test]
fn all_pairs_of_branches_that_arrived_are_walked_within_one_limit() {
    let (dir, repository, base) = with_one_file();
    let mut tips = Vec::new();
    for n in 0..4 {
        let name = format!("refs/heads/x{n}/git-annex");
        let mut at = None;
        for step in 0..4 {
            at = Some(commit_elsewhere(dir.path(), &name, at.as_deref(), "x.log", &format!("{step}s x{n}\n")));
        }
        tips.push(at.expect("a commit"));
    }
    let id = |text: &str| gix::ObjectId::from_hex(text.as_bytes()).expect("an id");
    let git = repository.branch().git();
    let arrived = |tip: &String| Arrived { name: b"refs/heads/x/git-annex".to_vec(), commit: id(tip), skip: None };
    let arrived: Vec<Arrived> = tips.iter().map(arrived).collect();
    let of = |most: &mut usize| {
        fast_forward(&git, Some(id(&base)), &arrived.iter().collect::<Vec<_>>(), most, &|| false).expect("read")
    };
    let mut most = MOST_COMMITS;
    assert_eq!(of(&mut most), None);
    let cost = MOST_COMMITS - most;
    let mut short = cost / 2;
    assert_eq!((of(&mut short), short), (None, 0), "it ends where the limit is, of {cost}");
}

mod history {
    use proptest::prelude::*;

    use super::*;

    fn commit(git: &PackWriter<'_>, parents: &[gix::ObjectId], seconds: i64) -> gix::ObjectId {
        let time = gix::date::Time { seconds, offset: 0 };
        let person = gix::actor::Signature { name: "T".into(), email: "t@e".into(), time };
        let commit = gix::objs::Commit {
            tree: git.empty_tree().id().detach(),
            parents: parents.iter().copied().collect(),
            author: person.clone(),
            committer: person,
            encoding: None,
            message: format!("{parents:?} {seconds}").into(),
            extra_headers: Vec::new(),
        };
        git.write_object(&commit).expect("in memory").detach()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn who_holds_whom_is_told_as_by_walking_everything(
            parents in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..24),
            coarse in 1..5i64,
        ) {
            let dir = tempfile::tempdir().expect("a directory");
            let plain = gix::init_bare(dir.path()).expect("made");
            let git = PackWriter::of(&plain);
            let (mut ids, mut above): (Vec<gix::ObjectId>, Vec<Vec<bool>>) = (Vec::new(), Vec::new());
            for (n, of) in parents.iter().enumerate() {
                let of: Vec<usize> = if n == 0 { Vec::new() } else { of.iter().map(|p| p.index(n)).collect() };
                let parents: Vec<_> = of.iter().map(|p| ids[*p]).collect();
                // Times may be the same, and never run backwards.
                let id = commit(&git, &parents, n as i64 / coarse);
                let mut held = vec![false; n + 1];
                held[n] = true;
                of.iter().for_each(|p| above[*p].iter().enumerate().for_each(|(m, is)| held[m] |= is));
                ids.push(id);
                above.push(held);
            }
            for (n, at) in ids.iter().enumerate() {
                for (m, commit) in ids.iter().enumerate() {
                    // The same parents at the same time are the same commit.
                    let expected = at == commit || (0..=n).any(|k| ids[k] == *commit && above[n].get(k) == Some(&true));
                    let told = holds(&git, *at, *commit, &mut MOST_COMMITS.clone(), &|| false).expect("nobody stops it");
                    prop_assert_eq!(told, Some(expected), "{} in {}", m, n);
                    let told = holds(&git, *at, *commit, &mut 3, &|| false).expect("nobody stops it");
                    prop_assert!(told.is_none_or(|told| told == expected), "with little room");
                }
            }
        }
    }
}

/// One that takes all there is leaves the others what they need.
#[test]
fn a_branch_that_is_too_much_is_left_alone_and_the_next_one_merged() {
    const MANY: usize = 40;
    let (dir, repository, base) = with_one_file();
    let trees = |of: &mut dyn FnMut(usize) -> String| -> Vec<String> {
        let batch: String = (0..MANY).map(|n| of(n) + "\n").collect();
        feed(dir.path(), &["mktree", "--batch"], batch.as_bytes()).lines().map(str::to_string).collect()
    };
    // Forty directories on either side, and a place where each of the one meets each of the other.
    for (name, is_by_row) in [("b", true), ("c", false)] {
        let blob = feed(dir.path(), &["hash-object", "-w", "--stdin"], b"1s x\n");
        let inner = trees(&mut |n| format!("100644 blob {blob}\t{name}{n}\n"));
        let cell = trees(&mut |n| format!("040000 tree {}\tx\n", inner[n]));
        let row = trees(&mut |row| {
            let cells = (0..MANY).map(|column| {
                let tree = if is_by_row { &cell[row] } else { &cell[column] };
                format!("040000 tree {tree}\t{column:03}\n")
            });
            cells.collect()
        });
        let top: String = row.iter().enumerate().map(|(n, tree)| format!("040000 tree {tree}\t{n:03}\n")).collect();
        let top = feed(dir.path(), &["mktree"], top.as_bytes());
        commit_tree(dir.path(), &format!("refs/heads/{name}/git-annex"), &top, Some(&base));
    }
    commit_elsewhere(dir.path(), "refs/heads/z/git-annex", Some(&base), "z.log", "1s z\n");
    let report = merge(&repository);
    assert_eq!(report.merged, [&b"refs/heads/b/git-annex"[..], b"refs/heads/z/git-annex"]);
    assert_eq!(report.skipped, [(b"refs/heads/c/git-annex".to_vec(), SkipReason::TooLarge)]);
    assert_eq!(read(&repository, "z.log"), "1s z\n");
    others_go_on(dir.path(), &repository);
}
