//! Exports shared with the real git-annex: what it makes of a tree, our plan makes too; and either goes on where the other
//! stopped.

mod lab;
use std::collections::BTreeSet;
use std::fs;

use git_annex_remote_stream::annex::branch::GitId;
use git_annex_remote_stream::annex::export::record;
use lab::Lab;
use testbed::annex::{LIMIT, Repo};
use testbed::place::Place;
use testbed::run::run;
use testbed::season::{self, act};

/// The season, of which a directory takes all.
fn season() -> Vec<(&'static str, String)> {
    season::steps(&Place::fs(), "", &[])
}

#[test]
fn each_commit_of_a_season_gives_the_tree_that_git_annex_gives() {
    let lab = Lab::new(&["theirs", "ours"]);
    for (what, script) in season() {
        act(&lab.repo, &script);
        lab.theirs("theirs");
        lab.ours("ours", usize::MAX);
        assert_eq!(lab.tree("ours"), lab.tree("theirs"), "{what}");
        assert_eq!(lab.theirs("ours").trim(), "", "{what}: nothing is left to do for git-annex");
        assert_eq!(lab.tree("ours"), lab.tree("theirs"), "{what}, after git-annex looked at it");
    }
    lab.repo.annex(&["fsck", "--quiet", "--all", "--from", "ours"]).ok();
    lab.repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn git_annex_and_we_export_in_turns() {
    in_turns(Lab::new(&["theirs", "both"]));
}

#[test]
fn git_annex_and_we_export_in_turns_in_a_repository_of_sha256() {
    in_turns(Lab::of(Repo::sha256(false), &["theirs", "both"]));
}

fn in_turns(lab: Lab) {
    for (nth, (what, script)) in season().into_iter().enumerate() {
        act(&lab.repo, &script);
        lab.theirs("theirs");
        if nth % 2 == 0 {
            lab.theirs("both");
        } else {
            lab.ours("both", usize::MAX);
        }
        assert_eq!(lab.tree("both"), lab.tree("theirs"), "{what}");
        let steps = lab.ours("both", usize::MAX);
        assert_eq!(steps, 0, "{what}: nothing is left to do for us");
    }
    lab.repo.annex(&["fsck", "--quiet", "--all", "--from", "both"]).ok();
}

#[test]
fn a_key_of_the_exported_tree_is_not_dropped_and_others_are() {
    let lab = Lab::new(&["x"]);
    lab.commit("echo a>a; echo b>b");
    lab.ours("x", usize::MAX);
    let refused = lab.repo.annex(&["drop", "--force", "--from", "x", "a"]).failed();
    assert!(refused.all().contains("part of the exported tree"), "{}", refused.all());
    let key = lab.repo.annex(&["lookupkey", "a"]).ok().stdout.trim().to_string();
    lab.commit("git rm -q a");
    lab.ours("x", usize::MAX);
    lab.repo.annex(&["fsck", "--quiet", "--from", "x", "--key", &key]).ok();
    lab.repo.annex(&["drop", "--force", "--from", "x", "--key", &key]).ok();
    assert_eq!(lab.tree("x").len(), 1);
}

#[test]
fn an_incomplete_tree_is_completed_by_either() {
    for ours in [false, true] {
        let lab = Lab::new(&["x"]);
        lab.commit("echo a>a; cp a twin; echo b>b");
        let kept = lab.places.path().join("kept");
        fs::copy(lab.repo.dir().join("a"), &kept).expect("copied");
        lab.repo.annex(&["drop", "--force", "a"]).ok();
        lab.ours("x", usize::MAX);
        assert_eq!(lab.tree("x").len(), 1);
        let key = lab.repo.annex(&["lookupkey", "a"]).ok().stdout.trim().to_string();
        lab.repo.annex(&["setkey", &key, &kept.display().to_string()]).ok();
        if ours {
            lab.ours("x", usize::MAX);
        } else {
            lab.theirs("x");
        }
        assert_eq!(lab.tree("x").len(), 3, "ours {ours}");
        assert_eq!(lab.theirs("x").trim(), "");
    }
}

#[test]
fn a_subdirectory_is_exported_and_pushing_finds_nothing_to_do() {
    let lab = Lab::new(&["x"]);
    lab.commit("mkdir -p sub/d; echo a>sub/d/a; echo b>b; ln -s nowhere sub/link");
    lab.repo.git(&["config", "remote.x.annex-tracking-branch", "main:sub"]).ok();
    lab.ours_below("x", b"sub", usize::MAX);
    let before = lab.tree("x");
    assert_eq!(before.keys().map(|path| path.display().to_string()).collect::<Vec<_>>(), ["d/a"]);
    let said = lab.repo.annex(&["push", "x"]).ok().all();
    assert!(!said.contains("export x") && !said.contains("rename x"), "{said}");
    assert_eq!(lab.tree("x"), before);
    lab.commit("git mv sub/d/a sub/c");
    assert!(lab.repo.annex(&["push", "x"]).ok().all().contains("rename x"));
    assert_eq!(lab.ours_below("x", b"sub", usize::MAX), 0);
}

/// With no copy but the remote's, cut after each step in turn; then either goes on.
#[test]
fn an_export_that_was_cut_is_finished_by_either_and_loses_nothing() {
    let mut cut = 0;
    loop {
        for ours in [true, false] {
            let lab = Lab::new(&["x"]);
            lab.commit("echo a>a; echo b>b; echo c>c; cp c ctwin; echo gone>gone; printf p>p; printf q>q; git -c annex.largefiles=nothing annex add -q p q");
            lab.ours("x", usize::MAX);
            lab.repo.annex(&["drop", "--quiet", "--force", "."]).ok();
            lab.commit(
                "git mv a t; git mv b a; git mv t b; git mv c d; git rm -q gone; git mv p t; git mv q p; git mv t q",
            );
            let steps = lab.ours("x", cut);
            if cut > steps {
                return;
            }
            if ours {
                lab.ours("x", usize::MAX);
            } else {
                lab.repo.annex(&["export", "--quiet", "main", "--to", "x"]);
                lab.repo.annex(&["export", "--quiet", "main", "--to", "x"]).ok();
            }
            let tree = lab.tree("x");
            let told: Vec<String> = tree
                .iter()
                .map(|(path, content)| format!("{}={}", path.display(), String::from_utf8_lossy(content).trim()))
                .collect();
            let who = format!("cut after {cut} steps, ours {ours}");
            assert_eq!(told, ["a=b", "b=a", "ctwin=c", "d=c", "p=q", "q=p"], "{who}");
            // The remote alone counts as no copy to fsck, since exports are not trusted.
            lab.repo.annex(&["get", "--quiet", "--all"]).ok();
            lab.repo.annex(&["fsck", "--quiet", "--all", "--from", "x"]).ok();
        }
        cut += 1;
    }
}

/// git-annex is killed while files that swap names wait at its temporary names, with no copy but the remote's.
#[test]
fn an_export_of_git_annex_that_was_killed_is_finished_by_us() {
    for waiting in [1, 7, 20, 39] {
        let lab = Lab::new(&["x"]);
        lab.commit("for i in $(seq 20); do echo a$i>a$i; echo b$i>b$i; done");
        lab.theirs("x");
        lab.repo.annex(&["drop", "--quiet", "--force", "."]).ok();
        lab.commit("for i in $(seq 20); do git mv a$i t; git mv b$i a$i; git mv t b$i; done");
        let mut exporting =
            lab.repo.annex_command(&["export", "--quiet", "main", "--to", "x"]).spawn().expect("started");
        let temporary = || {
            let names = fs::read_dir(lab.dir("x")).expect("a directory").flatten().map(|entry| entry.file_name());
            names.filter(|name| name.to_string_lossy().starts_with(".git-annex-tmp-content-")).count()
        };
        while temporary() < waiting && exporting.try_wait().expect("asked").is_none() {}
        exporting.kill().expect("killed");
        exporting.wait().expect("it ended");
        lab.ours("x", usize::MAX);
        let tree = lab.tree("x");
        assert_eq!(tree.len(), 40, "killed with {waiting} waiting: {:?}", tree.keys());
        for (path, content) in tree {
            let name = path.display().to_string();
            let other = if name.starts_with('a') { name.replace('a', "b") } else { name.replace('b', "a") };
            assert_eq!(String::from_utf8_lossy(&content).trim(), other, "killed with {waiting} waiting");
        }
        assert_eq!(lab.theirs("x").trim(), "");
        lab.repo.annex(&["get", "--quiet", "."]).ok();
    }
}

#[test]
fn a_conflict_of_two_gateways_is_resolved_as_git_annex_resolves_it() {
    let lab = Lab::new(&["x"]);
    lab.commit("echo a>a; echo b>b");
    // Long ago: git-annex writes that our tree was replaced with a time one second after ours.
    let mut first = lab.repo.annex_command(&["export", "--quiet", "main", "--to", "x"]);
    run(first.env("GIT_ANNEX_VECTOR_CLOCK", "1"), LIMIT).ok();
    // The other gateway knows nothing of our next tree, nor we of its.
    let mut other = Repo::clone_of(&lab.repo);
    other.annex(&["merge", "--quiet"]).ok();
    let shown = other.annex(&["enableremote", "x", &format!("directory={}", lab.dir("x").display())]).ok().all();
    other.verify("x", &shown);
    other.annex(&["get", "--quiet", "."]).ok();
    fs::write(other.dir().join("theirs"), "longer content").expect("written");
    other.git(&["mv", "a", "c"]).ok();
    other.annex(&["add", "--quiet", "."]).ok();
    other.git(&["commit", "--quiet", "-m", "x"]).ok();
    lab.commit("git mv a theirs; echo new>new");
    lab.ours("x", usize::MAX);
    // It records that our tree was replaced too, which must not be newer than what we recorded meanwhile.
    other.set("GIT_ANNEX_VECTOR_CLOCK", "1");
    other.annex(&["export", "--quiet", "main", "--to", "x"]).ok();
    let url = other.dir().display().to_string();
    lab.repo.git(&["fetch", "--quiet", &url, "refs/heads/git-annex:refs/remotes/other/git-annex"]).ok();
    lab.repository().branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"));
    let log = record::exports(&lab.repository()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(log.trees(&lab.uuid("x")).len(), 2, "{}", String::from_utf8_lossy(&log.to_bytes()));
    lab.ours("x", usize::MAX);
    let tree = lab.tree("x");
    let told: Vec<String> = tree
        .iter()
        .map(|(path, content)| format!("{}={}", path.display(), String::from_utf8_lossy(content).trim()))
        .collect();
    assert_eq!(told, ["b=b", "new=new", "theirs=a"]);
    let log = record::exports(&lab.repository()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(log.trees(&lab.uuid("x")).len(), 1, "{}", String::from_utf8_lossy(&log.to_bytes()));
    assert_eq!(lab.theirs("x").trim(), "");
}

#[test]
fn what_is_recorded_of_exports_is_what_git_annex_records() {
    let lab = Lab::new(&["theirs", "ours"]);
    lab.commit("echo a>a; ln -s nowhere link");
    lab.theirs("theirs");
    lab.ours("ours", usize::MAX);
    let log = lab.repo.git(&["show", "refs/heads/git-annex:export.log"]).ok().stdout;
    let trees: BTreeSet<&str> = log
        .lines()
        .map(|line| line.split_once(' ').expect("a time").1)
        .map(|line| line.split_once(' ').expect("a pair").1)
        .collect();
    assert_eq!((log.lines().count(), trees.len()), (2, 1), "{log}");
    let subjects = lab.repo.git(&["log", "--format=%s", "refs/heads/git-annex"]).ok().stdout;
    assert_eq!(subjects.lines().filter(|line| line.starts_with("graft")).count(), 4, "{subjects}");
    let list = |remote: &str| {
        let name = lab.uuid(remote).to_string();
        fs::read_to_string(lab.repo.dir().join(".git/annex/export.ex").join(name)).expect("a list")
    };
    assert_eq!(list("ours"), list("theirs"));
    lab.repo.git(&["reflog", "expire", "--expire=now", "--all"]).ok();
    lab.repo.git(&["gc", "--quiet", "--prune=now"]).ok();
    for tree in trees {
        lab.repo.git(&["cat-file", "-e", tree]).ok();
        assert!(GitId::parse(tree.as_bytes()).is_some());
    }
}
