use std::path::Path as File;

use super::*;
use crate::annex::export::db::ExportLock;
use crate::annex::export::plan::Place;
use crate::annex::export::tree::exportable;
use crate::annex::repository::tests::{git, make};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A repository, and a remote that is a map.
struct Lab {
    dir: tempfile::TempDir,
    repository: Repository,
    remote: Uuid,
    holds: BTreeMap<Vec<u8>, Key>,
    /// How often content was stored that the remote did not hold.
    stored: usize,
    /// How often nobody could tell what a name holds without reading it.
    digested: usize,
}

fn key(name: &str) -> Key {
    Key::parse(format!("SHA256-s1--{name}").as_bytes()).expect("a key")
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let remote = Uuid::parse(b"x").expect("a uuid");
        Self { dir, repository, remote, holds: BTreeMap::new(), stored: 0, digested: 0 }
    }

    /// A tree of pointer files; a content that begins with a dot is plain.
    fn tree(&self, files: &[(&str, &str)]) -> GitId {
        let dir = self.dir.path();
        git(dir, &["read-tree", "--empty"]);
        for (path, content) in files {
            let text = match content.strip_prefix('.') {
                Some(plain) => plain.to_string(),
                None => format!("/annex/objects/{}\n", key(content)),
            };
            std::fs::write(dir.join("scratch"), text).expect("written");
            let blob = git(dir, &["hash-object", "-w", "scratch"]);
            git(dir, &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        }
        let tree = GitId::parse(git(dir, &["write-tree"]).as_bytes()).expect("an id");
        exportable(self.repository.branch(), tree, None).unwrap_or_else(|e| panic!("{e}")).tree
    }

    fn db(&self) -> (ExportDb, ExportLock) {
        let db = ExportDb::open(self.repository.annex_dir(), &self.remote).unwrap_or_else(|e| panic!("{e}"));
        let lock = db.lock(LIMIT).unwrap_or_else(|e| panic!("{e}"));
        (db, lock)
    }

    /// Exports `tree` and stops after `most` steps, the last of them without a note of it. Returns the steps.
    fn export(&mut self, tree: GitId, most: usize) -> Vec<Step> {
        let (mut db, lock) = self.db();
        let mut work = Work::of(&self.repository, &mut db, &self.remote, tree, false).unwrap_or_else(|e| panic!("{e}"));
        for name in work.questions().map(<[u8]>::to_vec).collect::<Vec<_>>() {
            let found = if self.holds.contains_key(&name) { Found::Present(None) } else { Found::Absent };
            work.answer(&name, found);
        }
        let unknown: Vec<Vec<u8>> = work.unknown().map(|(name, _)| name.to_vec()).collect();
        for name in unknown {
            self.digested += 1;
            work.answer(&name, Found::Verified(self.holds[&name].clone()));
        }
        db.note(&lock, &work.notes()).and_then(|()| db.settle()).unwrap_or_else(|e| panic!("{e}"));
        record::mark(&self.repository, &self.remote, tree).expect("marked");
        record::begin(&self.repository, &self.remote, tree).unwrap_or_else(|e| panic!("{e}"));
        let steps = work.steps();
        for (nth, step) in steps.iter().take(most).enumerate() {
            let notes = self.act(step);
            if *step == Step::Settle {
                self.complete(&work, &mut db);
            }
            if nth + 1 < most {
                db.note(&lock, &notes).unwrap_or_else(|e| panic!("{e}"));
            }
        }
        if most > steps.len() {
            self.complete(&work, &mut db);
            record::unmark(&self.repository, &self.remote).expect("unmarked");
        }
        steps
    }

    fn complete(&self, work: &Work, db: &mut ExportDb) {
        record::complete(&self.repository, &self.remote, work.tree, work.over().clone())
            .unwrap_or_else(|e| panic!("{e}"));
        work.finish(&self.repository, db).unwrap_or_else(|e| panic!("{e}"));
    }

    fn act(&mut self, step: &Step) -> Vec<Note> {
        let mut notes = step.notes();
        if let Step::NeedKey { key, to } = step {
            assert!(!self.holds.values().any(|held| held == key), "{key} is there already");
            self.stored += 1;
            notes = to.iter().map(|name| Note { name: name.clone(), key: key.clone(), holds: true }).collect();
        }
        for note in &notes {
            if note.holds {
                assert!(self.holds.insert(note.name.clone(), note.key.clone()).is_none(), "written over");
            } else {
                assert_eq!(self.holds.remove(&note.name).as_ref(), Some(&note.key), "another content was there");
            }
        }
        if let Step::Remove { key: None, at: Place::Tree(path), .. } = step {
            self.holds.remove(path);
        }
        notes
    }

    fn files(&self) -> Vec<String> {
        let inside = self.holds.iter().filter(|(name, _)| !name.starts_with(b".git/"));
        let show = |(name, key): (&Vec<u8>, &Key)| format!("{}={}", name.escape_ascii(), key.name().escape_ascii());
        inside.map(show).collect()
    }
}

#[test]
fn an_export_is_noted_as_a_whole_and_the_next_finds_nothing_to_do() {
    let mut lab = Lab::new();
    let tree = lab.tree(&[("a", "1"), ("d/b", "2"), ("twin", "1"), ("plain", ".text")]);
    lab.export(tree, usize::MAX);
    assert_eq!(lab.holds.len(), 4);
    assert!(lab.export(tree, usize::MAX).is_empty());
    let (db, _lock) = lab.db();
    assert_eq!(db.tree().expect("readable"), Some(tree));
    assert_eq!(db.in_tree(&key("1")).expect("readable"), [b"a".to_vec(), b"twin".to_vec()]);
    assert_eq!(db.holding(&key("2")).expect("readable"), [b"d/b".to_vec()]);
    let log = record::exports(&lab.repository).expect("readable");
    let own = log.exported(lab.repository.uuid(), &lab.remote).expect("it is there");
    assert_eq!((own.tree, own.incomplete.len()), (tree, 0));
    assert_eq!(record::marked(&lab.repository, &lab.remote).expect("readable"), None);
}

/// Content of the remote alone, through trees that exchange it, with every export but the last cut: at each step of each.
#[test]
fn exports_that_are_cut_one_after_another_lose_nothing() {
    let mut lab = Lab::new();
    let trees = [
        lab.tree(&[("a", "1"), ("b", "2"), ("c", "3"), ("p", ".p"), ("q", ".q")]),
        lab.tree(&[("a", "2"), ("b", "1"), ("c/c", "3"), ("p", ".q"), ("q", ".p")]),
        lab.tree(&[("a", "3"), ("b", "1"), ("c", "2"), ("p", ".p"), ("e", "1")]),
        lab.tree(&[("a", "1"), ("b", "3"), ("d", "2"), ("q", ".q")]),
    ];
    let blob = git(lab.dir.path(), &["rev-parse", &format!("{}:q", trees[3])]);
    let mut longest = (0, 0);
    for first in 1.. {
        for second in (1 + first % 3..).step_by(3) {
            lab.remote = Uuid::parse(format!("x{first}-{second}").as_bytes()).expect("a uuid");
            (lab.holds, lab.stored) = (BTreeMap::new(), 0);
            lab.export(trees[0], usize::MAX);
            let stored = lab.stored;
            let steps = (lab.export(trees[1], first).len(), lab.export(trees[2], second).len());
            longest = (longest.0.max(steps.0), longest.1.max(steps.1));
            lab.export(trees[3], usize::MAX);
            let who = format!("cut after {first} and {second} steps");
            assert_eq!(lab.files(), ["a=1".to_string(), "b=3".into(), "d=2".into(), format!("q={blob}")], "{who}");
            assert_eq!(lab.stored, stored, "{who}: what the remote holds is stored again");
            assert!(lab.export(trees[3], usize::MAX).is_empty(), "{who}");
            assert_eq!(lab.digested, 0, "{who}: what is there is known without reading it");
            if second > steps.1 {
                break;
            }
        }
        if first > longest.0 {
            break;
        }
    }
    assert!(longest.0 > 5 && longest.1 > 5, "{longest:?}");
}

#[test]
fn a_lost_database_is_made_anew_by_looking() {
    let mut lab = Lab::new();
    let tree = lab.tree(&[("a", "1"), ("d/b", "2"), ("p", ".p")]);
    lab.export(tree, usize::MAX);
    std::fs::remove_dir_all(lab.repository.annex_dir().join("export")).expect("removed");
    assert!(lab.export(tree, usize::MAX).is_empty(), "all is there");
    let next = lab.tree(&[("b", "1"), ("d/b", "2"), ("p", ".p")]);
    std::fs::remove_dir_all(lab.repository.annex_dir().join("export")).expect("removed");
    lab.export(next, usize::MAX);
    assert_eq!((lab.files().len(), lab.stored), (3, 2), "{:?}", lab.holds);
}

#[test]
fn what_another_gateway_exported_is_replaced() {
    let mut lab = Lab::new();
    let (ours, theirs) = (lab.tree(&[("a", "1"), ("b", "2")]), lab.tree(&[("a", "3"), ("c", "2")]));
    lab.export(ours, usize::MAX);
    lab.repository.branch().graft(theirs).expect("kept");
    let line = format!("99999999999s other:x {theirs}\n");
    let edit = crate::annex::branch::Edit::new(super::super::log::EXPORT_LOG.to_vec(), move |log| {
        Some([log, line.as_bytes()].concat())
    });
    lab.repository.branch().change(vec![edit]).expect("recorded");
    // What they did, of which nothing is noted here.
    lab.holds = BTreeMap::from([(b"a".to_vec(), key("3")), (b"c".to_vec(), key("2"))]);
    let next = lab.tree(&[("a", "3"), ("d", "2")]);
    let stored = lab.stored;
    let (mut db, _lock) = lab.db();
    let work = Work::of(&lab.repository, &mut db, &lab.remote, next, true).unwrap_or_else(|e| panic!("{e}"));
    let asked: Vec<&[u8]> = work.questions().collect();
    for name in ["a", "b", "c", "d"] {
        assert!(asked.contains(&name.as_bytes()), "{name} is looked at");
    }
    drop((db, _lock));
    lab.export(next, usize::MAX);
    let log = record::exports(&lab.repository).expect("readable");
    assert_eq!(log.trees(&lab.remote), BTreeSet::from([next]), "the conflict is resolved");
    assert_eq!(lab.files(), ["a=3", "d=2"]);
    assert_eq!((lab.stored, lab.digested), (stored, 1), "a alone may be either's");
    assert!(File::new(lab.repository.annex_dir()).join("export/x/exportdb/db").exists());
}

/// Nothing but a digest tells contents of one length apart.
#[test]
fn what_may_be_the_only_copy_of_something_is_put_aside_and_not_removed() {
    let worm = |n: u8| Key::parse(format!("WORM-s1-m1--{n}").as_bytes()).expect("a key");
    let digest = |n: u8| Key::parse(format!("SHA256-s1--{}", format!("{n:02x}").repeat(32)).as_bytes()).expect("a key");
    let blob = super::super::tree::git_key(GitId::EMPTY_TREE);
    let told = |noted: Option<Key>, candidates: &[Key], is_foreign| {
        let path =
            Path { noted, candidates: candidates.iter().cloned().collect(), unsure: true, wants: Some(digest(9)) };
        let mut work = Work {
            tree: GitId::EMPTY_TREE,
            known: GitId::EMPTY_TREE,
            over: BTreeSet::new(),
            is_foreign,
            paths: BTreeMap::from([(b"a".to_vec(), path)]),
            keys: BTreeSet::new(),
            questions: BTreeMap::from([(b"a".to_vec(), Some(Found::Present(Some(1))))]),
        };
        work.presume();
        let step = work.steps().into_iter().next().expect("it is in the way");
        match step {
            Step::Rename { key, .. } => key.to_string(),
            Step::SetAside { .. } => "aside".to_string(),
            Step::Remove { kept_at: None, .. } => "removed".to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(Some(worm(1)), &[worm(2)], false), worm(1).to_string(), "noted here");
    assert_eq!(told(Some(worm(1)), &[worm(2)], true), "aside", "noted before somebody else came");
    assert_eq!(told(None, &[worm(1), worm(2)], false), "aside");
    assert_eq!(told(None, &[worm(1), digest(1)], false), worm(1).to_string(), "it was read, and is not the other's");
    assert_eq!(told(None, &[digest(1), digest(2)], false), "removed", "it was read, and is of neither");
    assert_eq!(told(None, &[worm(1), blob.clone()], false), "aside");
    assert_eq!(told(None, &[blob, digest(1), digest(2)], true), "removed", "git holds it");
}
