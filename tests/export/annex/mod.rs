//! Trees exported by the real git-annex: the same on every kind of place as on git-annex's own `directory` remote, commit by
//! commit.

mod heals;
mod hooks;
mod pushed;
mod whereis;
mod wishes;

use std::path::Path;

use testbed::annex::{LIMIT, Repo};
use testbed::place::{Place, Whose};
use testbed::run::run;
use testbed::season::{self, Theirs};

fn shell(repo: &Repo, script: &str) {
    let mut command = repo.command(Path::new("sh"));
    run(command.arg("-euc").arg(script), LIMIT).ok();
}

/// The season exported from where it is made, to our special remote and to git-annex's own, of the branch or of `below`.
fn season(place: Place, options: &[&str], prefix: &str, below: &str, jobs: &str) {
    let repo = Repo::new();
    repo.git(&["config", "annex.dotfiles", "true"]).ok();
    let theirs = Theirs::new(&repo);
    repo.initremote("ours", &place, Whose::Ours, &[&["exporttree=yes"], options].concat()).ok();
    let tree = season::tracked(below);
    for (what, script) in season::steps(&place, below, &["external"]) {
        season::act(&repo, &script);
        let expected = theirs.export(&repo, &tree);
        let expected =
            expected.into_iter().map(|(name, content)| ([prefix.as_bytes(), &name].concat(), content)).collect();
        let said = repo.annex(&["export", jobs, &tree, "--to", "ours"]).ok();
        season::same(what, &place.files(), &expected, &said);
    }
    // Everything is there as it should be, and comes back from there alone.
    repo.annex(&["fsck", "--quiet", "--from", "ours"]).ok();
    repo.annex(&["drop", "--quiet", "--force", "."]).ok();
    repo.annex(&["get", "--quiet", "--from", "ours", "."]).ok();
    repo.annex(&["fsck", "--quiet"]).ok();
    if let Place::Fs(dir) = &place {
        no_empty_directories(dir.path());
    }
}

fn no_empty_directories(top: &Path) {
    let mut dirs = vec![top.to_path_buf()];
    while let Some(next) = dirs.pop() {
        let entries: Vec<_> = std::fs::read_dir(&next).expect("a directory").flatten().collect();
        assert!(!entries.is_empty(), "{} is empty and still there", next.display());
        dirs.extend(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
}

#[test]
fn a_season_of_commits_in_a_directory() {
    season(Place::fs(), &[], "", "", "-J1");
}

#[test]
fn a_season_of_commits_below_a_directory_of_the_branch_with_many_jobs() {
    season(Place::fs(), &[], "", "pub", "-J4");
}

#[test]
fn a_season_of_commits_on_seaweedfs() {
    season(Place::weed(), &["fileprefix=a b/"], "a b/", "", "-J1");
}

#[test]
fn a_season_of_commits_on_rclone_s3() {
    season(Place::rclone_s3(), &[], "", "", "-J4");
}

#[test]
fn a_season_of_commits_on_webdav() {
    season(Place::webdav(), &[], "", "", "-J1");
}

#[test]
fn annexobjects_come_and_go_as_the_tree_takes_them() {
    let repo = Repo::new();
    let (ours, theirs) = (Place::fs(), Place::fs());
    for (name, place, whose) in [("ours", &ours, Whose::Ours), ("theirs", &theirs, Whose::Theirs)] {
        repo.initremote(name, place, whose, &["exporttree=yes", "annexobjects=yes"]).ok();
    }
    let both = |what: &str, words: &[&str]| {
        for name in ["ours", "theirs"] {
            repo.annex(&[words, &[name]].concat()).ok();
        }
        assert_eq!(ours.files(), theirs.files(), "{what}");
    };
    repo.add("a", 1, 5000);
    repo.add("d/b", 2, 10);
    repo.git(&["commit", "--quiet", "-m", "one"]).ok();
    both("exported", &["export", "--quiet", "main", "--to"]);
    repo.add("c", 3, 10);
    both("stored beside the tree", &["copy", "--quiet", "c", "--to"]);
    repo.git(&["commit", "--quiet", "-m", "two"]).ok();
    both("taken into the tree", &["export", "--quiet", "main", "--to"]);
    repo.git(&["rm", "--quiet", "a"]).ok();
    repo.git(&["mv", "d/b", "e"]).ok();
    repo.git(&["commit", "--quiet", "-m", "three"]).ok();
    both("put back beside the tree", &["export", "--quiet", "main", "--to"]);
    both("checked", &["fsck", "--quiet", "--all", "--from"]);
    let refused = repo.annex(&["drop", "--force", "e", "--from", "ours"]).failed();
    assert!(refused.all().contains("part of the exported tree"), "{refused:?}");
}

/// Renames and second names of what is there already: the store does it all by itself.
#[test]
fn renames_and_duplicates_move_no_content() {
    let repo = Repo::new();
    let place = Place::weed();
    repo.initremote("ours", &place, Whose::Ours, &["exporttree=yes"]).ok();
    let files = 40;
    for n in 0..files {
        std::fs::create_dir_all(repo.dir().join("d")).expect("a directory");
        std::fs::write(repo.dir().join(format!("d/f{n}")), testbed::annex::content(n, 70_000)).expect("written");
    }
    repo.annex(&["add", "--quiet", "d"]).ok();
    repo.git(&["commit", "--quiet", "-m", "files"]).ok();
    let told = |said: &str, what: &str| {
        said.lines()
            .filter(|line| line.contains("--> ") && line.contains("DEBUG store ") && line.contains(what))
            .count()
    };
    let uploads = |said: &str| told(said, ", lane=") as u64;
    let first = repo.annex(&["export", "--debug", "main", "--to", "ours"]).ok();
    assert_eq!(uploads(&first.all()), files, "each was sent");
    // Every second one moves; each gets a second name deep down, and those that stay a third.
    shell(
        &repo,
        "mkdir -p twins/deep e
         for n in $(seq 0 39); do cp -P d/f$n twins/deep/t$n; done
         for n in $(seq 0 2 39); do git mv d/f$n e/f$n; done
         for n in $(seq 1 2 39); do cp -P d/f$n e/t$n; done
         git add -A; git annex fix --quiet; git add -A",
    );
    repo.git(&["commit", "--quiet", "-m", "renames and twins"]).ok();
    let second = repo.annex(&["export", "--debug", "main", "--to", "ours"]).ok().all();
    assert_eq!(uploads(&second), 0, "nothing was sent");
    assert_eq!(told(&second, "copied from"), 60, "the store copied");
    let found = place.files();
    assert_eq!(found.len(), 100);
    for n in 0..files {
        let moved = if n % 2 == 0 { "e" } else { "d" };
        for name in [format!("twins/deep/t{n}"), format!("{moved}/f{n}")] {
            assert!(found[name.as_bytes()] == testbed::annex::content(n, 70_000), "{name}");
        }
    }
    // A name that now has other content of the same length is not copied from.
    shell(
        &repo,
        "git mv e/f0 s; git mv e/f2 e/f0; git mv s e/f2; cp -P e/f0 c0; cp -P e/f2 c2; git add -A; git annex fix --quiet; git add -A",
    );
    repo.git(&["commit", "--quiet", "-m", "swapped"]).ok();
    repo.annex(&["export", "--quiet", "main", "--to", "ours"]).ok();
    let found = place.files();
    for (name, n) in [("e/f0", 2), ("e/f2", 0), ("c0", 2), ("c2", 0)] {
        assert!(found[name.as_bytes()] == testbed::annex::content(n, 70_000), "{name}");
    }
}
