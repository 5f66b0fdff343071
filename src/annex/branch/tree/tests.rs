use super::*;
use crate::annex::git::FileKind;
use crate::annex::repository::Repository;
use crate::annex::repository::tests::{git, make};

fn scratch() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    let script = "mkdir -p d/e only; echo a>a; echo b>d/b; echo c>d/e/c; ln -s x only/link; chmod +x a; git add .; git commit -qm 1";
    let done = std::process::Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).status();
    assert!(done.expect("sh runs").success());
    let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    (dir, repository)
}

fn id(dir: &tempfile::TempDir, name: &str) -> GitId {
    GitId::parse(git(dir.path(), &["rev-parse", name]).as_bytes()).expect("an id")
}

fn shown(changes: &[TreeChange]) -> Vec<String> {
    let sign = |change: &TreeChange| match (change.old, change.new) {
        (Some(_), Some(_)) => '*',
        (Some(_), None) => '-',
        _ => '+',
    };
    changes.iter().map(|change| format!("{}{}", sign(change), change.path.escape_ascii())).collect()
}

/// Git follows five; a person may have made two that name each other.
#[test]
fn references_that_name_each_other_are_an_error() {
    let (dir, repository) = scratch();
    git(dir.path(), &["symbolic-ref", "HEAD", "refs/heads/there"]);
    git(dir.path(), &["symbolic-ref", "refs/heads/there", "refs/heads/back"]);
    git(dir.path(), &["symbolic-ref", "refs/heads/back", "refs/heads/there"]);
    let found = repository.branch().followed_tree(b"HEAD", None, b"").map(|found| found.tree);
    let why = found.expect_err("it has no end").to_string();
    assert!(why.contains("each one names another"), "{why}");
}

/// A synced branch counts from when it is newer until the branch has caught up; where they have diverged, the branch counts.
#[test]
fn the_newer_of_a_branch_and_its_synced_branch_is_followed() {
    let (dir, repository) = scratch();
    let follow = |reference: &str| {
        let found = repository.branch().followed_tree(reference.as_bytes(), Some(b"refs/heads/synced/main"), b"");
        let found = found.unwrap_or_else(|e| panic!("{e}"));
        (found.tree, found.has_diverged)
    };
    let main = Some(id(&dir, "main^{tree}"));
    let git = |words: &[&str]| git(dir.path(), words).trim().to_string();
    let tree = git(&["rev-parse", "main:d"]);
    let commit = |parents: &[&str]| {
        let parents = parents.iter().flat_map(|parent| ["-p", parent]);
        let words = ["commit-tree", "-m", "m"].into_iter().chain(parents).chain([&*tree]);
        git(&words.collect::<Vec<_>>())
    };
    let synced = |commit: &str| git(&["update-ref", "refs/heads/synced/main", commit]);
    assert_eq!(follow("refs/heads/main"), (main, false), "there is none");
    synced("main");
    assert_eq!(follow("refs/heads/main"), (main, false), "they are at one commit");
    let newer = commit(&["main"]);
    synced(&newer);
    let of_newer = Some(id(&dir, "main:d"));
    assert_eq!(follow("refs/heads/main"), (of_newer, false), "it was pushed, and nobody has merged it");
    assert_eq!(follow("refs/heads/no"), (of_newer, false), "the branch itself is not there yet");
    let merged = commit(&[&newer]);
    git(&["update-ref", "refs/heads/main", &merged]);
    assert_eq!(follow("refs/heads/main"), (of_newer, false), "merged");
    synced(&commit(&[]));
    git(&["update-ref", "refs/heads/main", &newer]);
    assert_eq!(follow("refs/heads/main"), (of_newer, true), "they have nothing in common");
}

#[test]
fn branches_and_directories_in_them_are_found() {
    let (dir, repository) = scratch();
    let at = |reference: &str, below: &str| {
        let found = repository.branch().followed_tree(reference.as_bytes(), None, below.as_bytes());
        found.unwrap_or_else(|e| panic!("{e}")).tree
    };
    assert_eq!(at("refs/heads/main", ""), Some(id(&dir, "main^{tree}")));
    for below in ["d/e", "d/e/", "/d//e"] {
        assert_eq!(at("refs/heads/main", below), Some(id(&dir, "main:d/e")), "{below}");
    }
    git(dir.path(), &["symbolic-ref", "HEAD", "refs/heads/main"]);
    assert_eq!(at("HEAD", "d/e"), Some(id(&dir, "main:d/e")));
    // As in a bare repository that nobody has pushed a branch of that name to.
    git(dir.path(), &["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    for (reference, below) in
        [("refs/heads/main", "no"), ("refs/heads/main", "a"), ("refs/heads/no", ""), ("HEAD", ""), ("HEAD", "a")]
    {
        assert_eq!(at(reference, below), None, "{reference}:{below}");
    }
}

#[test]
fn what_differs_between_trees_is_told_by_path() {
    let (dir, repository) = scratch();
    let one = id(&dir, "main^{tree}");
    let script = "git mv d/b b; rm -r d/e; echo e>d/e; chmod -x a; git add -A; git commit -qm 2";
    let done = std::process::Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).status();
    assert!(done.expect("sh runs").success());
    let two = id(&dir, "main^{tree}");
    let changes = |old, new| repository.branch().tree_changes(old, new).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(&changes(Some(one), Some(two))), ["*a", "+b", "-d/b", "+d/e", "-d/e/c"]);
    assert_eq!(shown(&changes(Some(two), None)), ["-a", "-b", "-d/e", "-only/link"]);
    assert_eq!(changes(None, Some(one)), changes(Some(GitId::EMPTY_TREE), Some(one)));
    assert!(changes(Some(one), Some(one)).is_empty());
    let kinds: Vec<FileKind> = changes(None, Some(one)).iter().filter_map(|c| c.new).map(|file| file.kind).collect();
    assert_eq!(kinds, [FileKind::Executable, FileKind::Plain, FileKind::Plain, FileKind::Link]);
    let blob = id(&dir, "main:d/e");
    assert_eq!(repository.branch().blob(blob, 2).expect("short enough"), b"e\n");
    assert!(repository.branch().blob(blob, 1).is_err());
    assert!(repository.branch().tree_changes(None, Some(blob)).is_err(), "a file is no tree");
}

#[test]
fn a_tree_without_files_keeps_their_directories() {
    let (dir, repository) = scratch();
    let whole = id(&dir, "main^{tree}");
    let without = |paths: &[&str]| {
        let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        repository.branch().tree_without(whole, &paths).unwrap_or_else(|e| panic!("{e}"))
    };
    assert_eq!(without(&[]), whole);
    let made = without(&["only/link", "d/b"]);
    let listed = git(dir.path(), &["ls-tree", "-r", "-t", "--name-only", &made.to_string()]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["a", "d", "d/e", "d/e/c", "only"]);
}

#[test]
fn a_grafted_tree_outlives_a_garbage_collection() {
    let (dir, repository) = scratch();
    let made = repository.branch().tree_without(id(&dir, "main^{tree}"), &BTreeSet::from([b"a".to_vec()]));
    let made = made.unwrap_or_else(|e| panic!("{e}"));
    let put = crate::annex::branch::Edit::new(b"uuid.log".to_vec(), |_| Some(b"u\n".to_vec()));
    repository.branch().change(vec![put]).and_then(|()| repository.branch().commit("update")).expect("committed");
    let before = id(&dir, "git-annex^{tree}");
    repository.branch().graft(made).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(id(&dir, "git-annex^{tree}"), before, "the branch holds what it held");
    assert_eq!(id(&dir, "git-annex~1:export.tree"), made);
    assert_eq!(git(dir.path(), &["log", "--format=%s", "git-annex"]), "graft cleanup\ngraft\nupdate");
    git(dir.path(), &["reflog", "expire", "--expire=now", "--all"]);
    git(dir.path(), &["gc", "--quiet", "--prune=now"]);
    git(dir.path(), &["cat-file", "-e", &made.to_string()]);
    git(dir.path(), &["fsck", "--strict"]);
}

/// A tree of some hundred bytes with as many files as ten to the power of `levels`.
fn bomb(dir: &tempfile::TempDir, levels: usize, leaf: &str) -> GitId {
    let mut entry = leaf.to_string();
    for _ in 0..levels {
        let lines: String = (0..10).map(|n| format!("{entry}\\t{n}\\n")).collect();
        let script = format!("printf '{lines}' | git mktree");
        let done = std::process::Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).output();
        let made = String::from_utf8(done.expect("sh runs").stdout).expect("text");
        entry = format!("040000 tree {}", made.trim());
    }
    GitId::parse(&entry.as_bytes()[12..]).expect("an id")
}

#[test]
fn a_server_leaves_trees_that_hold_themselves_to_the_hook() {
    let (dir, repository) = scratch();
    let blob = git(dir.path(), &["rev-parse", "main:a"]);
    let empty = GitId::EMPTY_TREE.to_string();
    git(dir.path(), &["hash-object", "-w", "-t", "tree", "/dev/null"]);
    for leaf in [format!("100644 blob {blob}"), format!("040000 tree {empty}")] {
        let tree = bomb(&dir, 12, &leaf);
        for _ in 0..2 {
            let told = repository.branch().tree_changes(None, Some(tree)).expect_err("it is too much").to_string();
            assert!(told.contains("git-annex-remote-stream post-receive"), "{told}");
        }
    }
    let tree = bomb(&dir, 2, &format!("100644 blob {blob}"));
    assert_eq!(repository.branch().tree_changes(None, Some(tree)).expect("few enough").len(), 100);
    assert_eq!(repository.branch().room(), Room::SERVER);
    repository.branch().take_all();
    assert_eq!(repository.branch().room(), Room::ALONE);
}
