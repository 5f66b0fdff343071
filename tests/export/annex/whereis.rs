//! `git annex whereis` of content in a tree.

use testbed::annex::Repo;
use testbed::place::{Place, Whose};

/// What is said of `file` at the remote `ours`; nothing where no place is told.
fn told(repo: &Repo, words: &[&str]) -> String {
    let said = repo.annex(&[&["whereis"], words].concat()).ok().stdout;
    let line = said.lines().find_map(|line| line.trim().strip_prefix("ours: "));
    line.unwrap_or_default().to_string()
}

fn two_names(repo: &Repo) {
    repo.add("a b", 1, 100);
    repo.add("d/twin", 1, 100);
    repo.add("other", 2, 100);
    repo.git(&["commit", "--quiet", "-m", "files"]).ok();
    repo.annex(&["export", "--quiet", "main", "--to", "ours"]).ok();
}

#[test]
fn content_in_a_tree_is_where_people_find_it() {
    let (repo, place) = (Repo::new(), Place::fs());
    repo.initremote("ours", &place, Whose::Ours, &["exporttree=yes", "annexobjects=yes"]).ok();
    two_names(&repo);
    let at = |name: &str| place.path().join(name).display().to_string();
    assert_eq!(told(&repo, &["a b"]), format!("{}, {}", at("a b"), at("d/twin")));
    assert_eq!(told(&repo, &["other"]), at("other"));
    // A clone has no database of its own.
    repo.annex(&["sync", "--quiet", "--no-content", "--no-push", "--no-pull"]).ok();
    let clone = Repo::clone_of(&repo);
    clone.enableremote("ours", &place, &[]).ok();
    assert_eq!(told(&clone, &["d/twin"]), format!("{}, {}", at("a b"), at("d/twin")));
    // Moved, and beside the tree.
    repo.git(&["mv", "other", "moved"]).ok();
    repo.git(&["rm", "--quiet", "a b", "d/twin"]).ok();
    let key = repo.add("beside", 3, 100);
    repo.git(&["rm", "--quiet", "--cached", "beside"]).ok();
    repo.git(&["commit", "--quiet", "-m", "moved"]).ok();
    repo.annex(&["export", "--quiet", "main", "--to", "ours"]).ok();
    repo.annex(&["copy", "--quiet", "--to", "ours", "--key", &key]).ok();
    assert_eq!(told(&repo, &["moved"]), at("moved"));
    let beside = told(&repo, &["--key", &key]);
    assert!(std::path::Path::new(&beside).is_file(), "{beside:?} is not there");
}

#[test]
fn content_in_a_public_tree_has_an_address() {
    let (repo, place) = (Repo::new(), Place::weed());
    let more = ["exporttree=yes", "publicurl=https://data.example.org/set", "fileprefix=v1/"];
    repo.initremote("ours", &place, Whose::Ours, &more).ok();
    two_names(&repo);
    let url = "https://data.example.org/set/v1/";
    assert_eq!(told(&repo, &["a b"]), format!("{url}a%20b, {url}d/twin"));
    assert_eq!(told(&repo, &["other"]), format!("{url}other"));
}
