use proptest::prelude::*;

use super::*;
use crate::annex::export::look::{Found, resolve};
use crate::annex::export::names::TEMPORARY;

fn key(n: usize) -> Key {
    let text = match n {
        0..5 => format!("SHA256-s{}--k{n}", n % 2),
        _ => format!("GIT--{n:040}"),
    };
    Key::parse(text.as_bytes()).expect("a key")
}

type Files = BTreeMap<Vec<u8>, Key>;

fn files(list: &[(&str, usize)]) -> Files {
    list.iter().map(|(path, n)| (path.as_bytes().to_vec(), key(*n))).collect()
}

/// A store with directories, and what is noted of its names.
#[derive(Debug, Clone, Default)]
struct Remote {
    holds: Files,
    directories: BTreeSet<Vec<u8>>,
    rows: Files,
    /// Changes of `rows` that are not on the disk, in order.
    unsaved: Vec<(Vec<u8>, Option<Key>)>,
    stored: usize,
    stored_blobs: usize,
}

impl Remote {
    fn put(&mut self, name: Vec<u8>, key: Key) {
        assert!(!self.holds.contains_key(&name), "{} is written over", name.escape_ascii());
        assert!(!self.directories.contains(&name), "{} is a directory", name.escape_ascii());
        for directory in directories(&name) {
            assert!(!self.holds.contains_key(directory), "{} is no directory", directory.escape_ascii());
            self.directories.insert(directory.to_vec());
        }
        self.unsaved.push((name.clone(), Some(key.clone())));
        self.holds.insert(name, key);
    }

    fn take(&mut self, name: &[u8]) -> Key {
        self.unsaved.push((name.to_vec(), None));
        self.holds.remove(name).unwrap_or_else(|| panic!("{} is not there", name.escape_ascii()))
    }

    fn save(&mut self, many: usize) {
        for (name, key) in self.unsaved.drain(..).take(many) {
            match key {
                Some(key) => self.rows.insert(name, key),
                None => self.rows.remove(&name),
            };
        }
    }

    /// Does a step; of one with two halves perhaps the first alone.
    fn run(&mut self, step: &Step, whole: bool, local: &BTreeSet<Key>) {
        match step {
            Step::Rename { key, from, to } => {
                assert_eq!(self.holds.get(&from.name(key)), Some(key));
                self.put(to.name(key), key.clone());
                if whole {
                    self.take(&from.name(key));
                }
            }
            Step::Copy { key, from, to } => {
                if self.holds.get(&from.name(key)) == Some(key) {
                    self.put(to.name(key), key.clone());
                } else {
                    panic!("{} has nothing to copy", from.name(key).escape_ascii());
                }
            }
            Step::StoreBlob { key, to, .. } => {
                self.stored_blobs += 1;
                self.put(to.clone(), key.clone());
            }
            Step::NeedKey { key, to } if local.contains(key) => {
                self.stored += 1;
                let many = if whole { to.len() } else { 1 };
                to.iter().take(many).for_each(|to| self.put(to.clone(), key.clone()));
            }
            Step::NeedKey { .. } => {}
            Step::Remove { key, at, kept_at } => {
                assert_eq!(self.take(&at.name(key)), *key);
                if let Some(kept_at) = kept_at {
                    assert_eq!(self.holds.get(&kept_at.name(key)), Some(key), "it is not kept");
                } else {
                    assert!(blob_of(key).is_some(), "{key} is removed for good");
                }
            }
            Step::RemoveEmptyDirectory { path } => {
                let below = [path.as_slice(), b"/"].concat();
                let used = self.holds.keys().chain(&self.directories).any(|name| name.starts_with(&below));
                if !used {
                    self.directories.remove(path);
                }
            }
            Step::SetAside { .. } => panic!("nothing is unknown here"),
            Step::Settle => self.save(usize::MAX),
        }
    }

    fn elsewhere(&self) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        for (name, key) in &self.holds {
            if name.starts_with(TEMPORARY) {
                elsewhere.temporaries.insert(key.clone());
            } else if name.starts_with(b".git/") {
                elsewhere.objects.insert(key.clone());
            }
        }
        elsewhere
    }

    fn tree(&self) -> Files {
        let inside = |name: &[u8]| !name.starts_with(TEMPORARY) && !name.starts_with(b".git/");
        self.holds.iter().filter(|(name, _)| inside(name)).map(|(name, key)| (name.clone(), key.clone())).collect()
    }

    /// Plans for `new`, knowing what is there from `rows`, a look at each name, and a reading of those of which nothing is
    /// noted.
    fn plan(&self, new: &Files, paths: &BTreeSet<Vec<u8>>) -> Vec<Step> {
        let name = |path: &Vec<u8>| {
            let found = match (self.holds.get(path), self.rows.get(path)) {
                (None, _) => Found::Absent,
                (Some(_), Some(_)) => Found::Present(None),
                (Some(key), None) => Found::Verified(key.clone()),
            };
            let holds = resolve(self.rows.get(path), found);
            let truth = self.holds.get(path).cloned().map(Holds::Key);
            assert_eq!(holds, truth, "{} is taken for something else", path.escape_ascii());
            Name { path: path.clone(), holds, wants: new.get(path).cloned() }
        };
        let names: Vec<Name> = paths.iter().map(name).collect();
        plan(&names, &self.elsewhere())
    }

    fn note_all(&mut self) {
        self.rows = self.holds.clone();
        self.unsaved.clear();
    }
}

fn paths_of<'a>(trees: impl IntoIterator<Item = &'a Files>) -> BTreeSet<Vec<u8>> {
    trees.into_iter().flat_map(|tree| tree.keys().cloned()).collect()
}

/// Goes from one tree to another and returns the remote and its steps.
fn export(old: &Files, new: &Files) -> (Remote, Vec<Step>) {
    let mut remote = Remote::default();
    old.iter().for_each(|(path, key)| remote.put(path.clone(), key.clone()));
    remote.note_all();
    let steps = remote.plan(new, &paths_of([old, new]));
    steps.iter().for_each(|step| remote.run(step, true, &BTreeSet::new()));
    (remote, steps)
}

#[test]
fn a_rename_is_one_step_and_its_directory_goes() {
    let (remote, steps) = export(&files(&[("d/e/a", 1)]), &files(&[("b/a", 1)]));
    let [
        Step::Rename { .. },
        Step::RemoveEmptyDirectory { path: inner },
        Step::RemoveEmptyDirectory { path: outer },
        Step::Settle,
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!((&inner[..], &outer[..]), (&b"d/e"[..], &b"d"[..]));
    assert_eq!(remote.directories, BTreeSet::from([b"b".to_vec()]));
}

#[test]
fn files_that_swap_names_never_leave_the_remote() {
    for (one, two) in [(1, 2), (5, 6)] {
        let (old, new) = (files(&[("a", one), ("b", two)]), files(&[("a", two), ("b", one)]));
        let (remote, steps) = export(&old, &new);
        assert_eq!(remote.holds, new);
        assert_eq!((remote.stored, remote.stored_blobs, steps.len()), (0, 0, 5), "{steps:?}");
        assert!(matches!(&steps[0], Step::Rename { to, .. } if *to == Place::Object), "{steps:?}");
        assert_eq!(steps[2], Step::Settle);
    }
}

#[test]
fn a_key_that_leaves_the_tree_is_kept_outside_it_once() {
    let (remote, steps) = export(&files(&[("a", 1), ("b", 1), ("c", 5)]), &files(&[]));
    assert_eq!(remote.holds, Files::from([(names::object(&key(1)), key(1))]));
    assert_eq!(steps.len(), 4, "{steps:?}");
    let (remote, steps) = export(&files(&[("a", 1), ("b", 1)]), &files(&[("b", 1)]));
    assert_eq!(remote.holds, files(&[("b", 1)]), "the twin is enough");
    assert!(matches!(&steps[..], [Step::Remove { kept_at: Some(_), .. }, Step::Settle]), "{steps:?}");
}

#[test]
fn files_and_directories_change_into_each_other() {
    let (one, two) = (files(&[("a", 1), ("b", 2)]), files(&[("a/x/y", 1), ("b/z", 1), ("c", 2)]));
    for (old, new) in [(&one, &two), (&two, &one)] {
        assert_eq!(export(old, new).0.tree(), *new);
    }
}

#[test]
fn what_nobody_can_tell_is_put_aside_and_nothing_is_made_of_it() {
    let unknown = |path: &str, wants: Option<usize>| Name {
        path: path.as_bytes().to_vec(),
        holds: Some(Holds::Unknown),
        wants: wants.map(key),
    };
    let steps = plan(&[unknown("a", Some(1)), unknown("b", None)], &Elsewhere::default());
    let shapes: Vec<&str> = steps
        .iter()
        .map(|step| match step {
            Step::SetAside { .. } => "aside",
            Step::Settle => "settle",
            Step::NeedKey { .. } => "need",
            _ => "other",
        })
        .collect();
    assert_eq!(shapes, ["aside", "aside", "settle", "need"]);
}

/// Where a store takes both for one name, the file would be removed with its old name, or be in its own way.
#[test]
fn a_name_that_changes_its_case_alone_goes_by_way_of_its_object() {
    for (old, new) in [("a", "A"), ("d/\u{e9}", "d/e\u{301}")] {
        let (remote, steps) = export(&files(&[(old, 1)]), &files(&[(new, 1)]));
        assert_eq!(remote.tree(), files(&[(new, 1)]));
        assert!(matches!(&steps[0], Step::Rename { to: Place::Object, .. }), "{steps:?}");
    }
}

#[test]
fn a_thousand_renames_and_twins_move_no_content() {
    let mut old = Files::new();
    for n in 0..1000 {
        let key = Key::parse(format!("SHA256-s9--{n}").as_bytes()).expect("a key");
        old.insert(format!("d{}/{n}", n % 10).into_bytes(), key);
    }
    let renamed = old.iter().enumerate().map(|(n, (path, key))| match n % 3 {
        0 => ([b"new/", path.as_slice()].concat(), key.clone()),
        1 => (path.clone(), old.values().nth((n + 3) % 1000).expect("there are so many").clone()),
        _ => (path.clone(), key.clone()),
    });
    let twins = old.iter().map(|(path, key)| ([b"twin/", path.as_slice()].concat(), key.clone()));
    let new: Files = renamed.chain(twins).collect();
    let (remote, _) = export(&old, &new);
    assert_eq!(remote.tree(), new);
    assert_eq!(remote.stored, 0);
}

const PATHS: [&str; 10] = ["a", "a/x", "a/y/z", "b", "b/x", "c", "d/a", "d/b", "d/e/f", "e"];

/// A tree: a path that is a directory to another is none of its files.
fn tree() -> impl Strategy<Value = Files> {
    prop::collection::vec((0..PATHS.len(), 0..7usize), 0..8).prop_map(|list| {
        let mut files = Files::new();
        for (path, n) in list {
            let path = PATHS[path].as_bytes();
            let names: BTreeSet<&[u8]> = files.keys().map(Vec::as_slice).collect();
            if !is_in_the_way(path, &names) {
                files.insert(path.to_vec(), key(n));
            }
        }
        files
    })
}

/// An export: its tree, what is at hand to store, where it is cut, whether in the middle of a step, and how many of the
/// notes that were not settled are lost.
fn attempt() -> impl Strategy<Value = (Files, BTreeSet<Key>, Option<usize>, bool, usize)> {
    let local = prop::collection::btree_set((0..5usize).prop_map(key), 0..5);
    (tree(), local, prop::option::of(0..12usize), any::<bool>(), 0..6usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_tree_follows_any_other_wherever_exports_are_cut(season in prop::collection::vec(attempt(), 1..7)) {
        let mut remote = Remote::default();
        let all: BTreeSet<Vec<u8>> = PATHS.iter().map(|path| path.as_bytes().to_vec()).collect();
        let mut known: BTreeSet<Key> = BTreeSet::new();
        for (new, local, cut, halfway, saved) in season {
            // git-annex was cut, too: it leaves content at a temporary name.
            if saved == 5 && let Some((name, key)) = remote.tree().into_iter().next()
                && !remote.holds.contains_key(&names::temporary(&key))
            {
                remote.take(&name);
                remote.put(names::temporary(&key), key);
                remote.save(usize::MAX);
            }
            let steps = remote.plan(&new, &all);
            // What a look found is noted before anything is done.
            remote.note_all();
            let held: BTreeSet<Key> = remote.holds.values().cloned().collect();
            for step in &steps {
                match step {
                    Step::NeedKey { key, .. } | Step::StoreBlob { key, .. } => prop_assert!(!held.contains(key)),
                    _ => {}
                }
            }
            let end = cut.unwrap_or(usize::MAX);
            for (nth, step) in steps.iter().enumerate() {
                if nth == end && halfway {
                    remote.run(step, false, &local);
                }
                if nth >= end {
                    break;
                }
                remote.run(step, true, &local);
                known.extend(remote.holds.values().filter(|key| blob_of(key).is_none()).cloned());
                for key in &known {
                    prop_assert!(remote.holds.values().any(|held| held == key), "{key} is lost");
                }
            }
            if cut.is_some_and(|cut| cut < steps.len()) {
                let many = remote.unsaved.len().saturating_sub(saved);
                remote.save(many);
                continue;
            }
            remote.save(usize::MAX);
            let mut wanted = new.clone();
            wanted.retain(|_, key| remote.holds.values().any(|held| held == key));
            prop_assert_eq!(remote.tree(), wanted);
            let litter = |(name, key): (&Vec<u8>, &Key)| !new.contains_key(name) && blob_of(key).is_some();
            prop_assert!(!remote.holds.iter().any(litter), "{:?}", remote.holds);
            prop_assert!(!remote.holds.keys().any(|name| name.starts_with(TEMPORARY)));
            let again = remote.plan(&new, &all);
            let idle = |step: &Step| matches!(step, Step::NeedKey { .. } | Step::RemoveEmptyDirectory { .. } | Step::Settle);
            prop_assert!(again.iter().all(idle), "{again:?}");
        }
    }
}
