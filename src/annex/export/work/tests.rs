use std::path::Path as File;

use super::*;
use crate::annex::export::db::{ExportLock, LockedDb};
use crate::annex::export::stage::Survey;
use crate::annex::export::tree::{Exportable, exportable};
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
    /// At how many names the last export could not tell what they hold without reading it.
    digested: usize,
}

/// One without a digest where the name begins with a tilde.
fn key(name: &str) -> Key {
    let backend = if name.starts_with('~') { "WORM-s1-m1" } else { "SHA256-s1" };
    Key::parse(format!("{backend}--{name}").as_bytes()).expect("a key")
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
        let (db, lock) = self.db();
        let mut book = LockedDb { db, lock };
        let mut survey = Survey::of(&self.repository, &mut book, &self.remote, tree).unwrap_or_else(|e| panic!("{e}"));
        let work = survey.work();
        for name in work.questions().map(<[u8]>::to_vec).collect::<Vec<_>>() {
            let found = if self.holds.contains_key(&name) { Found::Present(None) } else { Found::Absent };
            work.answer(&name, found);
        }
        work.take_over(&self.holds.values().cloned().collect());
        let unknown: Vec<Vec<u8>> = work.unknown().map(|(name, _)| name.to_vec()).collect();
        self.digested = unknown.len();
        for name in unknown {
            work.answer(&name, Found::Verified(self.holds[&name].clone()));
        }
        let what = Exportable { whole: tree, tree, left_out: BTreeMap::new() };
        let noted = survey.note(&mut book).unwrap_or_else(|e| panic!("{e}"));
        let begun = noted.begin(&self.repository, &what).unwrap_or_else(|e| panic!("{e}"));
        let steps = begun.steps().to_vec();
        for (nth, step) in steps.iter().take(most).enumerate() {
            let notes = self.act(step);
            if *step == Step::Settle {
                begun.completion().run(&self.repository, &mut book).unwrap_or_else(|e| panic!("{e}"));
            }
            if nth + 1 < most {
                book.db.note(&book.lock, &notes).unwrap_or_else(|e| panic!("{e}"));
            }
        }
        if most > steps.len() {
            begun.end(&self.repository, &mut book).unwrap_or_else(|e| panic!("{e}"));
        }
        steps
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
        if let Step::SetAside { path } = step {
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
            let digested = lab.digested;
            let who = format!("cut after {first} and {second} steps");
            assert_eq!(lab.files(), ["a=1".to_string(), "b=3".into(), "d=2".into(), format!("q={blob}")], "{who}");
            assert_eq!(lab.stored, stored, "{who}: what the remote holds is stored again");
            assert!(lab.export(trees[3], usize::MAX).is_empty(), "{who}");
            assert!(digested <= 1, "{who}: the last step alone is not noted");
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
    let edit = crate::annex::branch::Edit::new(crate::annex::log::export::EXPORT_LOG.to_vec(), move |log| {
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

/// git-annex says that a tree is exported before it makes the database tell it.
#[test]
fn what_was_noted_on_the_way_to_a_tree_is_sure_though_the_database_tells_the_one_before() {
    let mut lab = Lab::new();
    let before = lab.tree(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let after = lab.tree(&[("a", "2"), ("b", "1"), ("d", "3")]);
    lab.export(before, usize::MAX);
    lab.export(after, usize::MAX);
    let told = changes(lab.repository.branch(), None, Some(before)).unwrap_or_else(|e| panic!("{e}"));
    for next in [after, lab.tree(&[("a", "3"), ("b", "1"), ("e", "2")])] {
        let (mut db, _lock) = lab.db();
        db.replace_tree(&told).and_then(|()| db.set_tree(before, &[])).unwrap_or_else(|e| panic!("{e}"));
        drop((db, _lock));
        lab.export(next, usize::MAX);
        assert_eq!((lab.digested, lab.stored), (0, 3), "what is there is known without reading it");
    }
    assert_eq!(lab.files(), ["a=3", "b=1", "e=2"]);
}

/// git-annex was killed before it noted its last move, and had said already that the tree is exported.
#[test]
fn the_last_move_to_a_tree_that_was_said_to_be_exported_is_known() {
    let mut lab = Lab::new();
    let (before, after) = (lab.tree(&[("a", "~1"), ("b", "~2")]), lab.tree(&[("a", "~2"), ("b", "~1")]));
    lab.export(before, usize::MAX);
    lab.export(after, usize::MAX);
    let (mut db, lock) = lab.db();
    let told = changes(lab.repository.branch(), None, Some(before)).unwrap_or_else(|e| panic!("{e}"));
    db.replace_tree(&told).and_then(|()| db.set_tree(before, &[])).unwrap_or_else(|e| panic!("{e}"));
    let note = |name: &[u8], holds| Note { name: name.to_vec(), key: key("~1"), holds };
    db.note(&lock, &[note(b"b", false), note(&names::temporary(&key("~1")), true)]).unwrap_or_else(|e| panic!("{e}"));
    drop((db, lock));
    let (mut db, _lock) = lab.db();
    let mut work = Work::of(&lab.repository, &mut db, &lab.remote, after, false).unwrap_or_else(|e| panic!("{e}"));
    for name in work.questions().map(<[u8]>::to_vec).collect::<Vec<_>>() {
        work.answer(&name, if lab.holds.contains_key(&name) { Found::Present(None) } else { Found::Absent });
    }
    work.presume(&BTreeSet::new());
    let noted: Vec<_> = work.notes().into_iter().map(|note| (note.name, note.key, note.holds)).collect();
    assert_eq!(noted, [(b"b".to_vec(), key("~1"), true), (names::temporary(&key("~1")), key("~1"), false)]);
    assert!(work.steps().is_empty(), "it is as it shall be");
}

/// git-annex was killed between its first move to a temporary name and the note of it. Names are looked at for the tree before, of
/// which each key has its own name there, as far as is noted; with what moves, and with what is swapped.
#[test]
fn what_git_annex_moved_first_is_looked_for_where_it_moves_it() {
    for after in [[("a", "2"), ("b", "1")], [("c", "1"), ("d", "2")], [("b", "1"), ("c", "2")]] {
        let mut lab = Lab::new();
        let (before, after) = (lab.tree(&[("a", "1"), ("b", "2")]), lab.tree(&after));
        lab.export(before, usize::MAX);
        lab.repository.branch().graft(after).expect("kept");
        record::begin(&lab.repository, &lab.remote, after).expect("recorded");
        let (mut db, _lock) = lab.db();
        let work = Work::of(&lab.repository, &mut db, &lab.remote, before, false).unwrap_or_else(|e| panic!("{e}"));
        let asked: BTreeSet<&[u8]> = work.questions().collect();
        for moved in ["1", "2"] {
            assert!(asked.contains(&*names::temporary(&key(moved))), "{moved}: {after}");
        }
    }
}

/// Somebody else exported, and said so in our line too; here somebody began to look at that, and was killed.
#[test]
fn what_is_noted_stays_unsure_until_it_was_looked_at() {
    let mut lab = Lab::new();
    let (ours, theirs) = (lab.tree(&[("a", "1"), ("b", "2")]), lab.tree(&[("a", "2"), ("b", "1")]));
    lab.export(ours, usize::MAX);
    lab.repository.branch().graft(theirs).expect("kept");
    record::begin(&lab.repository, &lab.remote, theirs).expect("recorded");
    record::complete(&lab.repository, &lab.remote, theirs, BTreeSet::from([ours])).expect("recorded");
    lab.holds = BTreeMap::from([(b"a".to_vec(), key("2")), (b"b".to_vec(), key("1"))]);
    for _ in 0..2 {
        let (mut db, _lock) = lab.db();
        let work = Work::of(&lab.repository, &mut db, &lab.remote, ours, false).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(work.questions().filter(|name| name.len() == 1).count(), 2, "both are looked at");
    }
    lab.export(ours, usize::MAX);
    assert_eq!((lab.files(), lab.digested), (vec!["a=1".into(), "b=2".into()], 2));
}

/// What lies at each name by the work alone, where keys have no digest.
fn presumed(lab: &Lab, tree: GitId) -> Vec<String> {
    let (mut db, _lock) = lab.db();
    let mut work = Work::of(&lab.repository, &mut db, &lab.remote, tree, false).unwrap_or_else(|e| panic!("{e}"));
    for name in work.questions().map(<[u8]>::to_vec).collect::<Vec<_>>() {
        work.answer(&name, if lab.holds.contains_key(&name) { Found::Present(None) } else { Found::Absent });
    }
    let recorded = lab.holds.values().cloned().collect();
    work.take_over(&recorded);
    work.presume(&recorded);
    let held = |(name, path): (&Vec<u8>, &Path)| match work.holds(name, path) {
        Some(Holds::Key(key)) => Some(format!("{}={}", name.escape_ascii(), key.name().escape_ascii())),
        Some(Holds::Unknown) => Some(format!("{}=?", name.escape_ascii())),
        None => None,
    };
    work.paths.iter().filter_map(held).collect()
}

/// Another gateway has swapped two contents that no digest tells apart, and came to its end: nothing of the tree before is left.
#[test]
fn what_the_last_tree_has_is_there_once_all_exports_have_ended() {
    let mut lab = Lab::new();
    let (ours, theirs) = (lab.tree(&[("a", "~1"), ("b", "~2")]), lab.tree(&[("a", "~2"), ("b", "~1")]));
    lab.export(ours, usize::MAX);
    lab.repository.branch().graft(theirs).expect("kept");
    record::begin(&lab.repository, &lab.remote, theirs).expect("recorded");
    lab.holds = BTreeMap::from([(b"a".to_vec(), key("~2")), (b"b".to_vec(), key("~1"))]);
    record::complete(&lab.repository, &lab.remote, theirs, BTreeSet::from([ours])).expect("recorded");
    assert_eq!(presumed(&lab, ours), ["a=~2", "b=~1"]);
    // Content that was removed since is not what lies there.
    lab.holds.insert(b"a".to_vec(), key("3"));
    assert_eq!(presumed(&lab, ours), ["a=?", "b=~1"]);
}

/// Work on these paths, without a repository.
fn answered(paths: BTreeMap<Vec<u8>, Path>, has_others: bool) -> Work {
    Work {
        tree: GitId::EMPTY_TREE,
        known: GitId::EMPTY_TREE,
        over: BTreeSet::new(),
        is_foreign: has_others,
        has_others,
        paths,
        keys: BTreeSet::new(),
        noted_temporary: BTreeSet::new(),
        seen_temporary: BTreeSet::new(),
        questions: BTreeMap::new(),
    }
}

/// Nothing but a digest tells contents of one length apart.
#[test]
fn what_is_not_proven_is_put_aside_and_not_removed() {
    let worm = |n: u8| Key::parse(format!("WORM-s1-m1--{n}").as_bytes()).expect("a key");
    let digest = |n: u8| Key::parse(format!("SHA256-s1--{}", format!("{n:02x}").repeat(32)).as_bytes()).expect("a key");
    let blob = super::super::tree::git_key(GitId::EMPTY_TREE);
    let told = |noted: Option<Key>, candidates: &[Key], is_foreign, recorded: &[Key], found| {
        let candidates = candidates.iter().cloned().collect();
        let path = Path { noted, candidates, unsure: true, wants: Some(digest(9)), ..Path::default() };
        let mut work = answered(BTreeMap::from([(b"a".to_vec(), path)]), is_foreign);
        work.questions.insert(b"a".to_vec(), Some(found));
        work.questions.insert(names::object(&worm(8)), Some(Found::Present(Some(1))));
        work.presume(&recorded.iter().cloned().collect());
        let step = work.steps().into_iter().next().expect("it is in the way");
        match step {
            Step::Rename { key, .. } => key.to_string(),
            Step::SetAside { .. } => "aside".to_string(),
            other => panic!("{other:?}"),
        }
    };
    let there = || Found::Present(Some(1));
    let (one, name) = ([worm(1)], worm(1).to_string());
    assert_eq!(told(Some(worm(1)), &[worm(2)], false, &[], there()), name, "noted here");
    assert_eq!(told(Some(worm(1)), &[worm(2)], true, &one, there()), "aside", "noted before somebody else came");
    assert_eq!(told(None, &[worm(1), worm(2)], false, &one, there()), "aside");
    assert_eq!(told(None, &[worm(1), digest(1)], false, &one, there()), name, "read, and not the other's");
    assert_eq!(told(None, &[worm(1), digest(1)], false, &[], there()), "aside", "nobody ever stored it");
    assert_eq!(told(None, &[worm(8)], false, &[worm(8)], there()), "aside", "there is a better one");
    assert_eq!(told(None, &[digest(1), digest(2)], false, &[digest(1)], there()), "aside", "a length proves nothing");
    assert_eq!(told(None, &[digest(1)], false, &[], Found::Other), "aside", "it was read, and is of neither");
    assert_eq!(told(None, &[digest(1)], false, &[], Found::Verified(digest(1))), digest(1).to_string());
    assert_eq!(told(None, &[worm(1), blob.clone()], false, &one, there()), name, "read, and no file of git");
    assert_eq!(told(None, &[blob, digest(1)], true, &[], there()), "aside");
}

/// A name where a key must be goes before one where it only may be, by its length: those would be taken for two files of one key
/// that differ, and both put aside.
#[test]
fn what_must_be_at_one_name_is_not_presumed_at_another() {
    let worm = |n: u8| Key::parse(format!("WORM-s1-m1--{n}").as_bytes()).expect("a key");
    let digest = Key::parse(format!("SHA256-s1--{}", "09".repeat(32)).as_bytes()).expect("a key");
    let told = |must_be: Option<Key>| {
        let path = |last| Path {
            candidates: BTreeSet::from([worm(1), digest.clone()]),
            unsure: true,
            last,
            ..Path::default()
        };
        let names = [(b"tmp".to_vec(), path(must_be)), (b"G".to_vec(), path(Some(digest.clone())))];
        let mut work = answered(BTreeMap::from(names), true);
        for name in [&b"tmp"[..], b"G"] {
            work.questions.insert(name.to_vec(), Some(Found::Present(Some(1))));
        }
        let recorded = BTreeSet::from([worm(1)]);
        let doubles = work.doubles(&recorded).into_values().flatten().count();
        work.presume(&recorded);
        let held = |name: &[u8]| match work.holds(name, &work.paths[name]) {
            Some(Holds::Key(key)) => Some(key),
            _ => None,
        };
        (doubles, held(b"tmp"), held(b"G"))
    };
    assert_eq!(told(Some(worm(1))), (0, Some(worm(1)), None));
    assert_eq!(told(None), (2, Some(worm(1)), Some(worm(1))), "somebody compares them before");
}

/// git-annex was killed between a move from its temporary name and the note of it.
#[test]
fn what_git_annex_moved_on_is_where_its_export_wants_it_if_it_can_be_nowhere_else() {
    let worm = |n: u8| Key::parse(format!("WORM-s1-m1--{n}").as_bytes()).expect("a key");
    // Names with what was begun to be put there, and whether they are found; temporary names that are noted, and found.
    let told = |names: &[(&str, u8, bool)], temporaries: &[(u8, bool)], has_others| {
        let mut work = answered(BTreeMap::new(), has_others);
        let found = |found| Some(if found { Found::Present(Some(1)) } else { Found::Absent });
        for (name, begun, is_there) in names {
            let path = Path {
                candidates: BTreeSet::from([worm(1), worm(2)]),
                begun: BTreeSet::from([worm(*begun)]),
                wants: Some(worm(*begun)),
                ..Path::default()
            };
            work.paths.insert(name.as_bytes().to_vec(), path);
            work.questions.insert(name.as_bytes().to_vec(), found(*is_there));
        }
        for (key, is_there) in temporaries {
            work.questions.insert(names::temporary(&worm(*key)), found(*is_there));
            work.noted_temporary.insert(worm(*key));
        }
        work.presume(&BTreeSet::new());
        let notes = work.notes().into_iter();
        let show = |note: Note| {
            let name = String::from_utf8_lossy(&note.name).replace(".git-annex-tmp-content-WORM-s1-m1--", "temporary ");
            format!("{name}: {}{}", if note.holds { "" } else { "not " }, note.key.name().escape_ascii())
        };
        notes.map(show).collect::<Vec<_>>()
    };
    let (there, gone) = (true, false);
    assert_eq!(
        told(&[("a", 2, gone), ("b", 1, there)], &[(1, gone), (2, there)], false),
        ["b: 1", "temporary 1: not 1"],
        "killed after the first move"
    );
    assert_eq!(told(&[("a", 2, gone), ("b", 1, there)], &[(1, there), (2, there)], false), [""; 0], "nothing tells it");
    assert_eq!(
        told(&[("a", 2, there), ("b", 1, gone)], &[(1, gone)], false),
        ["temporary 1: not 1"],
        "not wanted there"
    );
    assert_eq!(
        told(&[("a", 2, gone), ("b", 1, there)], &[(1, gone)], true),
        ["temporary 1: not 1"],
        "others were here"
    );
    let lost = [("a", 2, there), ("b", 1, there)];
    let said = ["temporary 1: not 1", "temporary 2: not 2"];
    assert_eq!(told(&lost, &[(1, gone), (2, gone)], false), said, "the disk lost both moves");
    assert_eq!(told(&lost, &[(1, gone)], false), said[..1], "the disk lost one");
}
