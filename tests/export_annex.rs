//! Exports shared with the real git-annex: what it makes of a tree, our plan makes too; and either goes on where the other
//! stopped.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use git_annex_remote_stream::annex::branch::{Edit, GitId};
use git_annex_remote_stream::annex::export::db::{ExportDb, Note};
use git_annex_remote_stream::annex::export::look::Found;
use git_annex_remote_stream::annex::export::plan::{Place, Step};
use git_annex_remote_stream::annex::export::record;
use git_annex_remote_stream::annex::export::tree::exportable;
use git_annex_remote_stream::annex::export::work::Work;
use git_annex_remote_stream::annex::layout;
use git_annex_remote_stream::annex::log::{LocationLog, Presence, location_file};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::name::{Key, Uuid};
use support::annex::{LIMIT, Repo};
use support::run::run;

/// Commits, one after another, as scripts; each is what changes in the work tree.
const SEASON: &[&str] = &[
    "mkdir -p d/e; echo a>a; echo b>d/b; echo c>d/e/c; cp a twin; cp d/b d/btwin; echo x>x.sh; chmod +x x.sh",
    // Non-annexed files, links of other kinds, odd names, an empty file.
    "printf plain>plain.txt; printf '#!'>run; chmod +x run; : >empty; git -c annex.largefiles=nothing annex add -q plain.txt run empty
     ln -s nowhere dangling; mkdir -p only/deep; ln -s x only/deep/link; echo n1>'s p a c e'; echo n2>\"$(printf 'new\\nline')\"
     echo n3>\"$(printf 'b\\377d')\"; echo n4>'-dash'; echo n5>\"quo'te\\\"s\"; mkdir -p 'ä/ö'; echo n6>'ä/ö/ü'",
    "git mv a z; git mv d/e moved; git mv plain.txt plain2.txt",
    // Two that swap, and three in a ring; also of plain files.
    "git mv z t; git mv d/b z; git mv t d/b; git mv x.sh t; git mv twin x.sh; git mv moved/c twin; git mv t moved/c
     git mv plain2.txt t; git mv run plain2.txt; git mv t run",
    // A file becomes a directory and a directory a file.
    "git rm -q z; mkdir z; echo in>z/in; git rm -rq d; echo d>d",
    "git rm -q empty 's p a c e'; chmod +x plain2.txt; echo changed>twin2; git mv twin2 twin -f 2>/dev/null || true; cp twin d2",
    "git rm -rq z; echo again>z; mkdir -p d3; cp twin d3/1; cp twin d3/2; cp d d3/3; git mv d d3/4",
    // What left the tree comes back.
    "git checkout -q HEAD~3 -- d; git rm -q dangling; echo five>d/five",
    "git rm -rq .; echo last>last",
    "git checkout -q HEAD~2 -- .",
];

/// A repository with a season of commits ahead of it.
struct Lab {
    repo: Repo,
    places: tempfile::TempDir,
}

impl Lab {
    fn new(remotes: &[&str]) -> Lab {
        let (repo, places) = (Repo::new(), tempfile::tempdir().expect("a directory"));
        for (name, value) in [("user.name", "T"), ("user.email", "t@example.org"), ("annex.thin", "false")] {
            repo.git(&["config", name, value]).ok();
        }
        for name in remotes {
            let dir = places.path().join(name);
            fs::create_dir(&dir).expect("a directory");
            let dir = format!("directory={}", dir.display());
            let words = ["exporttree=yes", "annexobjects=yes", "encryption=none", "type=directory", &dir];
            repo.annex(&[&["initremote", name], &words[..]].concat()).ok();
        }
        Lab { repo, places }
    }

    fn commit(&self, script: &str) {
        let script = format!("set -e\n{script}\ngit annex add -q .\ngit commit -qm x");
        let mut command = self.repo.command(Path::new("sh"));
        run(command.arg("-c").arg(&script), LIMIT).ok();
    }

    fn dir(&self, remote: &str) -> PathBuf {
        self.places.path().join(remote)
    }

    fn uuid(&self, remote: &str) -> Uuid {
        let name = format!("remote.{remote}.annex-uuid");
        let uuid = self.repo.git(&["config", &name]).ok().stdout;
        Uuid::parse(uuid.trim().as_bytes()).expect("a uuid")
    }

    fn repository(&self) -> Repository {
        Repository::open(&self.repo.dir()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The files of the remote's tree, without those outside it.
    fn tree(&self, remote: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let top = self.dir(remote);
        let mut files = BTreeMap::new();
        let mut dirs = vec![top.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(&top).expect("below it").to_path_buf();
                // git-annex 10.20261026 leaves its own temporary file beside a name that is no UTF-8, now and then.
                if name == Path::new(".git") || name.extension().is_some_and(|ending| ending == "tmp") {
                    continue;
                }
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.insert(name, fs::read(path).expect("a file"));
                }
            }
        }
        files
    }

    /// What git-annex says on its export of main, but for the lines of progress.
    #[track_caller]
    fn theirs(&self, remote: &str) -> String {
        self.repo.annex(&["export", "main", "--to", remote]).ok().stdout.replace("(recording state in git...)", "")
    }

    /// Our export of main to a directory; of its steps only `most`. Returns how many there were.
    fn ours(&self, remote: &str, most: usize) -> usize {
        self.ours_below(remote, b"", most)
    }

    /// The same of a directory in main.
    fn ours_below(&self, remote: &str, below: &[u8], most: usize) -> usize {
        let repository = self.repository();
        let (uuid, top) = (self.uuid(remote), self.dir(remote));
        let branch = repository.branch();
        let tree = branch.tree_at(b"refs/heads/main", below).expect("readable").expect("there is one");
        let known = record::remembered(&repository, &uuid);
        let what = exportable(branch, tree, known.as_ref()).unwrap_or_else(|e| panic!("{e}"));
        let mut db = ExportDb::open(repository.annex_dir(), &uuid).unwrap_or_else(|e| panic!("{e}"));
        let lock = db.lock(LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let mut work = Work::of(&repository, &mut db, &uuid, what.tree, false).unwrap_or_else(|e| panic!("{e}"));
        let questions: Vec<Vec<u8>> = work.questions().map(<[u8]>::to_vec).collect();
        for name in questions {
            let found = match fs::symlink_metadata(at(&top, &name)) {
                Ok(found) if found.is_file() => Found::Present(Some(found.len())),
                _ => Found::Absent,
            };
            work.answer(&name, found);
        }
        db.note(&lock, &work.notes()).and_then(|()| db.settle()).unwrap_or_else(|e| panic!("{e}"));
        record::remember(&repository, &uuid, &what).expect("written");
        record::mark(&repository, &uuid, what.tree).expect("marked");
        record::begin(&repository, &uuid, what.tree).unwrap_or_else(|e| panic!("{e}"));
        let steps = work.steps();
        let complete = |db: &mut ExportDb| {
            record::complete(&repository, &uuid, what.tree, work.over().clone()).unwrap_or_else(|e| panic!("{e}"));
            work.finish(&repository, db).unwrap_or_else(|e| panic!("{e}"));
        };
        for step in steps.iter().take(most) {
            let mut notes = step.notes();
            match step {
                Step::Settle => {
                    db.settle().unwrap_or_else(|e| panic!("{e}"));
                    complete(&mut db);
                }
                Step::NeedKey { key, to } => {
                    let content = local(&repository, key);
                    for name in to.iter().filter(|_| content.is_some()) {
                        put(&at(&top, name), content.as_deref().unwrap_or_default());
                        notes.push(Note { name: name.clone(), key: key.clone(), holds: true });
                    }
                    if content.is_some() {
                        present(&repository, &uuid, key);
                    }
                }
                step => act(&repository, &top, step),
            }
            db.note(&lock, &notes).unwrap_or_else(|e| panic!("{e}"));
        }
        if most >= steps.len() {
            complete(&mut db);
            db.settle().unwrap_or_else(|e| panic!("{e}"));
            record::unmark(&repository, &uuid).expect("unmarked");
        }
        steps.len()
    }
}

fn at(top: &Path, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    top.join(std::ffi::OsStr::from_bytes(name))
}

fn put(path: &Path, content: &[u8]) {
    assert!(fs::symlink_metadata(path).is_err(), "{} is written over", path.display());
    fs::create_dir_all(path.parent().expect("below the top")).expect("its directory");
    fs::write(path, content).expect("written");
}

fn act(repository: &Repository, top: &Path, step: &Step) {
    let place = |place: &Place, key: &Key| at(top, &place.name(key));
    match step {
        Step::Rename { key, from, to } => {
            let (from, to) = (place(from, key), place(to, key));
            assert!(fs::symlink_metadata(&to).is_err(), "{} is written over", to.display());
            fs::create_dir_all(to.parent().expect("below the top")).expect("its directory");
            fs::rename(from, to).expect("renamed");
        }
        Step::Copy { key, from, to } => put(&place(to, key), &fs::read(place(from, key)).expect("it is there")),
        Step::StoreBlob { blob, to, .. } => {
            put(&at(top, to), &repository.branch().blob(*blob, 1 << 20).unwrap_or_else(|e| panic!("{e}")));
        }
        Step::Remove { key: Some(key), at, .. } => fs::remove_file(place(at, key)).expect("removed"),
        Step::Remove { key: None, at: Place::Tree(path), .. } => fs::remove_file(at(top, path)).expect("removed"),
        Step::RemoveEmptyDirectory { path } => drop(fs::remove_dir(at(top, path))),
        other => panic!("{other:?}"),
    }
}

/// The content of `key` in the repository itself.
fn local(repository: &Repository, key: &Key) -> Option<Vec<u8>> {
    let places = layout::objects_candidates(key.as_bytes(), layout::Hashing::default());
    places.iter().find_map(|place| fs::read(at(repository.annex_dir(), place)).ok())
}

/// Records that the remote has `key`, as the gateway does of anything stored.
fn present(repository: &Repository, uuid: &Uuid, key: &Key) {
    let who = uuid.clone();
    let edit = Edit::new(location_file(key), move |log| {
        let mut log = LocationLog::parse(log);
        log.set(&who, Presence::Present, 1).then(|| log.to_bytes())
    });
    repository.branch().change(vec![edit]).and_then(|()| repository.branch().commit("update")).expect("recorded");
}

#[test]
fn each_commit_of_a_season_gives_the_tree_that_git_annex_gives() {
    let lab = Lab::new(&["theirs", "ours"]);
    for (nth, script) in SEASON.iter().enumerate() {
        lab.commit(script);
        lab.theirs("theirs");
        lab.ours("ours", usize::MAX);
        assert_eq!(lab.tree("ours"), lab.tree("theirs"), "commit {nth}");
        assert_eq!(lab.theirs("ours").trim(), "", "commit {nth}: nothing is left to do for git-annex");
        assert_eq!(lab.tree("ours"), lab.tree("theirs"), "commit {nth}, after git-annex looked at it");
        lab.repo.annex(&["fsck", "--quiet", "--from", "ours"]).ok();
    }
    lab.repo.annex(&["fsck", "--quiet", "--all", "--from", "ours"]).ok();
    lab.repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn git_annex_and_we_export_in_turns() {
    let lab = Lab::new(&["theirs", "both"]);
    for (nth, script) in SEASON.iter().enumerate() {
        lab.commit(script);
        lab.theirs("theirs");
        if nth % 2 == 0 {
            lab.theirs("both");
        } else {
            lab.ours("both", usize::MAX);
        }
        assert_eq!(lab.tree("both"), lab.tree("theirs"), "commit {nth}");
        let steps = lab.ours("both", usize::MAX);
        assert_eq!(steps, 0, "commit {nth}: nothing is left to do for us");
        lab.repo.annex(&["fsck", "--quiet", "--from", "both"]).ok();
    }
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
    lab.ours("x", usize::MAX);
    // The other gateway knows nothing of our next tree, nor we of its.
    let other = Repo::clone_of(&lab.repo);
    other.annex(&["merge", "--quiet"]).ok();
    let shown = other.annex(&["enableremote", "x", &format!("directory={}", lab.dir("x").display())]).ok().all();
    let id = shown.split("--safe ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("how to verify it");
    other.annex(&["verifyremote", "x", "--safe", id]).ok();
    other.annex(&["get", "--quiet", "."]).ok();
    fs::write(other.dir().join("theirs"), "longer content").expect("written");
    other.git(&["mv", "a", "c"]).ok();
    other.annex(&["add", "--quiet", "."]).ok();
    other.git(&["commit", "--quiet", "-m", "x"]).ok();
    lab.commit("git mv a theirs; echo new>new");
    lab.ours("x", usize::MAX);
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
