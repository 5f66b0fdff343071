mod hostile;
mod stale;

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::annex::log::Presence;
use crate::annex::repository::Repository;
use crate::annex::repository::tests::{git, make};
use crate::name::Uuid;

fn open(dir: &Path) -> Repository {
    Repository::open(dir).unwrap_or_else(|e| panic!("{e}"))
}

fn scratch() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    let repository = open(dir.path());
    (dir, repository)
}

fn put(file: &str, log: &str) -> Edit {
    let log = log.as_bytes().to_vec();
    Edit::new(file.as_bytes().to_vec(), move |_| Some(log))
}

fn append(file: &str, line: &'static str) -> Edit {
    Edit::new(file.as_bytes().to_vec(), move |have| Some([have, line.as_bytes()].concat()))
}

fn read(repository: &Repository, file: &str) -> String {
    String::from_utf8(repository.branch().read(file.as_bytes()).expect("it can be read")).expect("text")
}

/// Commits one file on top of `parent` and makes the reference `name` of it, by git itself.
fn commit_elsewhere(dir: &Path, name: &str, parent: Option<&str>, file: &str, log: &str) -> String {
    std::fs::write(dir.join("scratch"), log).expect("written");
    let blob = git(dir, &["hash-object", "-w", "scratch"]);
    let index = dir.join(".git/scratch-index");
    let _ = std::fs::remove_file(&index);
    let with = |words: &[&str]| {
        let mut command = std::process::Command::new("git");
        let done = command.current_dir(dir).env("GIT_INDEX_FILE", &index).args(words).output().expect("git runs");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_string()
    };
    if let Some(parent) = parent {
        with(&["read-tree", parent]);
    }
    with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{file}")]);
    let tree = with(&["write-tree"]);
    let parents: Vec<&str> = parent.into_iter().flat_map(|parent| ["-p", parent]).collect();
    let commit = git(dir, &[&["commit-tree", "-m", "x", &tree], parents.as_slice()].concat());
    git(dir, &["update-ref", name, &commit]);
    commit
}

#[test]
fn what_is_changed_is_read_from_the_journal_and_then_from_the_branch() {
    let (dir, repository) = scratch();
    let branch = repository.branch();
    assert_eq!(read(&repository, "aaa/bbb/K.log"), "");
    assert_eq!(branch.commit("update").expect("nothing to do"), None);
    branch
        .change(vec![put("aaa/bbb/K.log", "1\n"), append("aaa/bbb/K.log", "2\n"), put("uuid.log", "u\n")])
        .expect("made");
    assert_eq!(read(&repository, "aaa/bbb/K.log"), "1\n2\n");
    let first = branch.commit("update").expect("committed").expect("something to commit");
    assert_eq!(git(dir.path(), &["rev-parse", "git-annex"]), first.to_string());
    assert_eq!(read(&repository, "aaa/bbb/K.log"), "1\n2\n");
    assert_eq!((read(&repository, "aaa/bbb"), read(&repository, "uuid.log/x")), (String::new(), String::new()));
    assert!(std::fs::read_dir(dir.path().join(".git/annex/journal")).expect("made").next().is_none());
    branch.change(vec![append("aaa/bbb/K.log", "3\n"), put("aaa/ccc/L.log", "l\n")]).expect("made");
    branch.commit("update").expect("committed").expect("something to commit");
    assert_eq!(read(&repository, "aaa/bbb/K.log"), "1\n2\n3\n");
    assert_eq!(read(&repository, "uuid.log"), "u\n");
    assert_eq!(
        git(dir.path(), &["log", "--format=%an %ae %cn %ce %s%b|%p", "-1", "git-annex"]),
        format!("T t@e T t@e update|{}", &first.to_string()[..7])
    );
    assert_eq!(
        git(dir.path(), &["ls-tree", "-r", "--name-only", "git-annex"]),
        "aaa/bbb/K.log\naaa/ccc/L.log\nuuid.log"
    );
    git(dir.path(), &["fsck", "--strict"]);
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![Edit::new(b"a.log".to_vec(), |_| None)]).expect("made");
    assert!(!dir.path().join(".git/annex/journal/a.log").exists());
}

#[test]
fn private_changes_are_read_here_and_never_committed() {
    let (dir, repository) = scratch();
    let branch = repository.branch();
    branch.change(vec![put("a.log", "1\n"), append("a.log", "2\n").private()]).expect("made");
    // The public file is not written yet when the private one is read, as edits of two files are two files.
    assert_eq!(read(&repository, "a.log"), "1\n2\n");
    branch.change(vec![append("a.log", "3\n")]).expect("made");
    branch.commit("update").expect("committed");
    assert_eq!(git(dir.path(), &["show", "git-annex:a.log"]), "1\n3");
    assert_eq!(read(&repository, "a.log"), "1\n2\n3\n");
}

#[test]
fn a_branch_that_others_move_is_read_anew() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    assert_eq!(read(&repository, "a.log"), "1\n");
    commit_elsewhere(dir.path(), "refs/heads/git-annex", Some("git-annex"), "b.log", "2\n");
    assert_eq!(read(&repository, "b.log"), "2\n");
    git(dir.path(), &["gc", "--quiet", "--prune=now"]);
    assert_eq!((read(&repository, "a.log"), read(&repository, "b.log")), ("1\n".into(), "2\n".into()));
    repository.branch().change(vec![append("b.log", "3\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    assert_eq!(git(dir.path(), &["show", "git-annex:b.log"]), "2\n3");
}

#[test]
fn lines_pushed_to_the_branch_while_the_journal_waits_are_kept() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("aaa/bbb/K.log", "5s 1 a\n5s 1 b\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    repository.branch().change(vec![put("aaa/bbb/K.log", "6s 0 a\n5s 1 b\n")]).expect("made");
    let log = "5s 1 a\n7s 0 b\n7s 1 c\n";
    commit_elsewhere(dir.path(), "refs/heads/git-annex", Some("git-annex"), "aaa/bbb/K.log", log);
    repository.branch().commit("update").expect("committed");
    assert_eq!(read(&repository, "aaa/bbb/K.log"), "6s 0 a\n7s 0 b\n7s 1 c\n");
}

/// The same of a log that is no location log; git-annex takes the journal's version as it is.
#[test]
fn lines_of_any_log_pushed_while_the_journal_waits_are_kept_and_read() {
    let (dir, repository) = scratch();
    let branch = repository.branch();
    branch.change(vec![put("uuid.log", "a old timestamp=5s\n"), put("x/K.log.rmet", "5s a:V +1\n")]).expect("made");
    branch.commit("update").expect("committed");
    branch.change(vec![put("uuid.log", "a new timestamp=9s\n"), append("x/K.log.rmet", "9s a:V +2\n")]).expect("made");
    let pushed = "a old timestamp=5s\nb pushed timestamp=7s\n";
    let first = commit_elsewhere(dir.path(), "refs/heads/git-annex", Some("git-annex"), "uuid.log", pushed);
    commit_elsewhere(dir.path(), "refs/heads/git-annex", Some(&first), "x/K.log.rmet", "5s a:V +1\n6s b:V +3\n");
    let both = "a new timestamp=9s\nb pushed timestamp=7s\n";
    assert_eq!(read(&repository, "uuid.log"), both, "before it is committed");
    branch.change(vec![append("uuid.log", "c more timestamp=8s\n")]).expect("made");
    branch.commit("update").expect("committed");
    assert_eq!(read(&repository, "uuid.log"), format!("{both}c more timestamp=8s\n"));
    assert_eq!(read(&repository, "x/K.log.rmet"), "5s a:V +1\n6s b:V +3\n9s a:V +2\n");
}

#[test]
fn arrived_branches_count_before_and_after_they_are_merged() {
    let (dir, repository) = scratch();
    let branch = repository.branch();
    branch.change(vec![put("a.log", "5 b\n")]).expect("made");
    branch.commit("update").expect("committed");
    let base = git(dir.path(), &["rev-parse", "git-annex"]);
    commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", Some(&base), "a.log", "5 b\n4 o\n");
    commit_elsewhere(dir.path(), "refs/heads/synced/git-annex", Some(&base), "x/y.log", "s\n");
    commit_elsewhere(dir.path(), "refs/remotes/o/main", Some(&base), "z.log", "no\n");
    branch.change(vec![append("a.log", "6 c\n")]).expect("made");
    let repository = open(dir.path());
    let branch = repository.branch();
    assert_eq!(read(&repository, "a.log"), "4 o\n5 b\n6 c\n");
    assert_eq!((read(&repository, "x/y.log"), read(&repository, "z.log")), ("s\n".into(), String::new()));
    let report = branch.merge_arrived().expect("merged");
    assert_eq!(report.merged, [&b"refs/heads/synced/git-annex"[..], b"refs/remotes/o/git-annex"]);
    assert!(report.skipped.is_empty());
    let log = git(dir.path(), &["log", "-1", "--format=%s|%P", "git-annex"]);
    let of = |name: &str| git(dir.path(), &["rev-parse", name]);
    let parents = [base, of("synced/git-annex"), of("o/git-annex")].join(" ");
    assert_eq!(log, format!("merging synced/git-annex o/git-annex into git-annex|{parents}"));
    assert_eq!(git(dir.path(), &["show", "refs/heads/git-annex:a.log"]), "4 o\n5 b\n6 c");
    assert_eq!(read(&repository, "a.log"), "4 o\n5 b\n6 c\n");
    assert_eq!(branch.merge_arrived().expect("nothing to do"), MergeReport::default());
    git(dir.path(), &["fsck", "--strict"]);
}

#[test]
fn a_branch_ahead_of_ours_is_moved_to() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    let theirs = commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", Some("refs/heads/git-annex"), "b.log", "2\n");
    let repository = open(dir.path());
    let report = repository.branch().merge_arrived().expect("merged");
    assert_eq!(report.commit.map(|commit| commit.to_string()), Some(theirs.clone()));
    assert_eq!(git(dir.path(), &["rev-parse", "refs/heads/git-annex"]), theirs);
}

/// As git-annex refuses them: recorded. It merges none then, and we all others.
#[test]
fn branches_of_repositories_that_are_tuned_otherwise_are_left_alone_and_all_others_merged() {
    let tuned = "u-2 fromList [OneLevelBranchHash] timestamp=1s\n";
    for (ours, tuning, plain) in [(None, true, false), (Some("branchhash1"), false, true)] {
        let (dir, _) = scratch();
        if let Some(name) = ours {
            git(dir.path(), &["config", &format!("annex.tune.{name}"), "true"]);
        }
        let repository = open(dir.path());
        repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
        repository.branch().commit("update").expect("committed");
        commit_elsewhere(dir.path(), "refs/heads/synced/git-annex", None, "difference.log", tuned);
        commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", None, "b.log", "2\n");
        // Another process, which has not looked yet.
        let repository = open(dir.path());
        let branch = repository.branch();
        assert_eq!(read(&repository, "b.log"), if plain { "" } else { "2\n" }, "{ours:?}: read before it is merged");
        let report = branch.merge_arrived().expect("looked at");
        let (skipped, merged) = match tuning {
            true => ("refs/heads/synced/git-annex", "refs/remotes/o/git-annex"),
            false => ("refs/remotes/o/git-annex", "refs/heads/synced/git-annex"),
        };
        assert_eq!(report.skipped, [(skipped.as_bytes().to_vec(), SkipReason::TunedOtherwise)], "{ours:?}");
        assert_eq!(report.merged, [merged.as_bytes().to_vec()], "{ours:?}");
        assert_eq!(read(&repository, "difference.log"), if tuning { "" } else { tuned }, "{ours:?}");
        assert!(!branch.has_arrivals().expect("looked at"), "{ours:?}");
    }
}

#[test]
fn a_branch_with_logs_elsewhere_than_git_config_says_is_not_served() {
    let (dir, _) = scratch();
    commit_elsewhere(
        dir.path(),
        "refs/heads/git-annex",
        None,
        "difference.log",
        "u fromList [OneLevelBranchHash] timestamp=1s\n",
    );
    let refused = Repository::open(dir.path()).err().expect("it is refused").to_string();
    assert!(refused.contains("git config annex.tune.branchhash1 true"), "{refused}");
    git(dir.path(), &["config", "annex.tune.branchhash1", "true"]);
    open(dir.path());
}

#[test]
fn rewritten_branches_are_left_alone_and_reported() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", None, "transitions.log", "ForgetGitHistory 1795388394s\n");
    let before = git(dir.path(), &["rev-parse", "refs/heads/git-annex"]);
    let repository = open(dir.path());
    let report = repository.branch().merge_arrived().expect("looked at");
    assert_eq!(report.skipped, [(b"refs/remotes/o/git-annex".to_vec(), SkipReason::Rewritten)]);
    assert_eq!((report.merged.len(), report.commit), (0, None));
    assert_eq!(git(dir.path(), &["rev-parse", "refs/heads/git-annex"]), before);
    assert_eq!(read(&repository, "transitions.log"), "");
}

#[test]
fn merging_can_be_switched_off() {
    let (dir, _) = scratch();
    commit_elsewhere(dir.path(), "refs/remotes/o/git-annex", None, "a.log", "1\n");
    assert_eq!(read(&open(dir.path()), "a.log"), "1\n");
    git(dir.path(), &["config", "annex.merge-annex-branches", "false"]);
    let repository = open(dir.path());
    assert_eq!(read(&repository, "a.log"), "");
    assert_eq!(repository.branch().merge_arrived().expect("nothing to do"), MergeReport::default());
}

#[test]
fn a_shared_repository_stays_writable_for_its_group() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _) = scratch();
    git(dir.path(), &["config", "core.sharedRepository", "group"]);
    let repository = open(dir.path());
    let mode = |path: &str| {
        let path = dir.path().join(".git").join(path);
        std::fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o7777
    };
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    assert_eq!(mode("annex/journal/a.log") & 0o660, 0o660);
    let commit = repository.branch().commit("update").expect("committed").expect("something to commit").to_string();
    assert_eq!(mode(&format!("objects/{}", &commit[..2])) & 0o2770, 0o2770);
    assert_eq!(mode("refs/heads/git-annex") & 0o660, 0o660);
}

#[test]
fn a_commit_needs_no_identity() {
    let (dir, _) = scratch();
    git(dir.path(), &["config", "--unset", "user.email"]);
    let repository = open(dir.path());
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed").expect("something to commit");
    let who = git(dir.path(), &["log", "-1", "--format=%ce", "git-annex"]);
    assert!(who.contains('@'), "{who}");
    git(dir.path(), &["fsck", "--strict"]);
}

#[test]
fn the_message_can_be_chosen() {
    let (dir, _) = scratch();
    git(dir.path(), &["config", "annex.commitmessage", "by the server"]);
    let repository = open(dir.path());
    repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    assert_eq!(git(dir.path(), &["log", "-1", "--format=%s", "git-annex"]), "by the server");
}

#[test]
fn damage_is_an_error_and_not_an_empty_log() {
    let (dir, repository) = scratch();
    repository.branch().change(vec![put("aaa/bbb/K.log", "1\n")]).expect("made");
    repository.branch().commit("update").expect("committed");
    let tree = git(dir.path(), &["rev-parse", "git-annex:aaa/bbb"]);
    let object = dir.path().join(".git/objects").join(&tree[..2]).join(&tree[2..]);
    std::fs::remove_file(object).expect("it is loose");
    let repository = open(dir.path());
    let key = crate::name::Key::parse(b"WORM--x").expect("a key");
    assert!(repository.branch().read(b"aaa/bbb/K.log").is_err());
    assert_eq!(repository.branch().locations(&key).expect("elsewhere").holders().count(), 0);
}

#[test]
#[ignore = "a measurement: run it alone, with --nocapture"]
fn ten_thousand_records_and_their_commit() {
    let (dir, repository) = scratch();
    let uuid = Uuid::parse(b"00000000-0000-4000-8000-000000000001").expect("a uuid");
    let edits = (0..10_000).map(|n| {
        let key = crate::name::Key::parse(format!("SHA256E-s1024--{n:064x}").as_bytes()).expect("a key");
        let uuid = uuid.clone();
        Edit::new(location_file(&key, LogHashing::TwoLevels), move |log| {
            let mut log = LocationLog::parse(log);
            log.set(&uuid, Presence::Present, 5).then(|| log.to_bytes())
        })
    });
    let start = Instant::now();
    repository.branch().change(edits.collect()).expect("made");
    let changed = start.elapsed();
    repository.branch().commit("update").expect("committed");
    println!("changed in {changed:?}, committed in {:?}", start.elapsed() - changed);
    git(dir.path(), &["fsck", "--strict"]);
}
