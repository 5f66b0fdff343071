mod cuts;
mod model;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::annex::branch::Edit;
use crate::annex::log::{LocationLog, LogHashing, Presence, location_file};
use crate::annex::repository::tests::{git, make};
use crate::name::Key;

/// A repository with nothing recorded in it.
pub(super) fn scratch() -> (tempfile::TempDir, Arc<Repository>) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    let repository = open(dir.path());
    (dir, repository)
}

pub(super) fn open(dir: &Path) -> Arc<Repository> {
    Arc::new(Repository::open(dir).unwrap_or_else(|e| panic!("{e}")))
}

pub(super) fn uuid(name: &str) -> Uuid {
    Uuid::parse(name.as_bytes()).expect("a uuid")
}

/// A key of `bytes` bytes.
pub(super) fn key(n: usize, bytes: u64) -> Key {
    Key::parse(format!("SHA256E-s{bytes}--x{n}").as_bytes()).expect("a key")
}

/// Records in the journal whether `of` has `key`.
pub(super) fn record(repository: &Repository, records: &[(&Key, &Uuid, Presence)]) {
    let edit = |(key, uuid, presence): &(&Key, &Uuid, Presence)| {
        let (uuid, presence) = ((*uuid).clone(), *presence);
        Edit::new(location_file(key, LogHashing::TwoLevels), move |log| {
            let mut log = LocationLog::parse(log);
            log.renew(&uuid, presence, 5);
            Some(log.to_bytes())
        })
    };
    repository.branch().change(records.iter().map(edit).collect()).unwrap_or_else(|e| panic!("{e}"));
}

pub(super) fn commit(repository: &Repository) {
    repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
}

/// What is recorded of `keys`, read log by log.
fn by_reading(repository: &Repository, keys: &[Key]) -> BTreeMap<Uuid, Amount> {
    let mut sums: BTreeMap<Uuid, Amount> = BTreeMap::new();
    for key in keys {
        for holder in repository.branch().locations(key).unwrap_or_else(|e| panic!("{e}")).holders() {
            let bytes = i128::from(key.size().unwrap_or_default());
            sums.entry(holder).or_default().add(Amount { bytes, keys: 1 });
        }
    }
    sums
}

pub(super) fn recorded(sizes: &Sizes) -> BTreeMap<Uuid, Amount> {
    sizes.recorded().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn sums_follow_the_branch_and_the_journal_wherever_they_go() {
    let (dir, repository) = scratch();
    let keys: Vec<Key> = (0..30).map(|n| key(n, 1 << (n % 20))).collect();
    let (a, b) = (uuid("a"), uuid("b"));
    let sizes = Sizes::in_batches(Arc::clone(&repository), 4);
    let check = |what: &str| {
        let read = by_reading(&repository, &keys);
        assert_eq!(recorded(&sizes), read, "{what}");
        assert_eq!(recorded(&Sizes::in_batches(Arc::clone(&repository), 3)), read, "{what}, anew");
        read
    };
    assert!(check("no branch").is_empty());
    record(&repository, &keys.iter().map(|key| (key, &a, Presence::Present)).collect::<Vec<_>>());
    check("all in the journal");
    commit(&repository);
    let first = git(dir.path(), &["rev-parse", "git-annex"]);
    check("all committed");
    record(&repository, &keys[5..15].iter().map(|key| (key, &b, Presence::Present)).collect::<Vec<_>>());
    check("both");
    record(&repository, &keys[..10].iter().map(|key| (key, &a, Presence::Missing)).collect::<Vec<_>>());
    check("journal over a commit");
    record(&repository, &keys[12..14].iter().map(|key| (key, &b, Presence::Dead)).collect::<Vec<_>>());
    check("the journal's own logs changed again");
    commit(&repository);
    let second = git(dir.path(), &["rev-parse", "git-annex"]);
    let at_second = check("two commits");
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &first]);
    assert_ne!(check("set back"), at_second);
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &second]);
    assert_eq!(check("set forward"), at_second);
    let tree = git(dir.path(), &["rev-parse", "git-annex^{tree}"]);
    let orphan = git(dir.path(), &["commit-tree", "-m", "forgotten", &tree]);
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &orphan]);
    assert_eq!(check("of no common history"), at_second);
    git(dir.path(), &["update-ref", "-d", "refs/heads/git-annex"]);
    assert!(check("no branch any more").is_empty());
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &second]);
    check("there again");
    let private = Edit::new(location_file(&keys[20], LogHashing::TwoLevels), |_| Some(b"9s 1 p\n".to_vec())).private();
    repository.branch().change(vec![private]).unwrap_or_else(|e| panic!("{e}"));
    let with_private = check("a private record");
    assert_eq!(with_private[&uuid("p")], Amount { bytes: 1, keys: 1 });
    // A commit that counting began from is gone, as after git annex forget.
    let empty = git(dir.path(), &["mktree", "--missing"]);
    let bare = git(dir.path(), &["commit-tree", "-m", "bare", &empty]);
    git(dir.path(), &["update-ref", "refs/heads/git-annex", &bare]);
    for words in [&["reflog", "expire", "--expire=all", "--all"][..], &["gc", "--quiet", "--prune=now"]] {
        git(dir.path(), words);
    }
    let gone = std::process::Command::new("git").args(["cat-file", "-e", &first]).current_dir(dir.path()).output();
    assert!(!gone.expect("git runs").status.success(), "{first} is still there");
    let after = open(dir.path());
    let sizes = Sizes::in_batches(Arc::clone(&after), 4);
    assert_eq!(recorded(&sizes), by_reading(&after, &keys));
}

#[test]
fn room_counts_what_is_recorded_and_what_is_under_way_once() {
    let (dir, repository) = scratch();
    let (a, b) = (uuid("a"), uuid("b"));
    let content = key(1, 40);
    record(&repository, &[(&key(2, 50), &a, Presence::Present)]);
    let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
    let other = Arc::new(Sizes::new(open(dir.path())));
    let both = [a.clone(), b.clone()];
    let room = |of: &Arc<Sizes>, key: &Key, bytes| of.usage(key, bytes, &both).unwrap_or_else(|e| panic!("{e}"));
    let used = |of: &Arc<Sizes>| [&a, &b].map(|uuid| room(of, &key(9, 1), 1).used(uuid));
    assert_eq!(used(&sizes), [Some(50), Some(0)]);
    assert_eq!(room(&sizes, &content, 40).used(&uuid("c")), None);
    for (max, fits) in [(90, true), (89, false), (0, false), (u64::MAX, true)] {
        assert_eq!(room(&sizes, &content, 40).fits(&a, max), fits, "{max}");
    }
    let choose = |which: &[&Uuid]| {
        let which: Vec<Uuid> = which.iter().map(|uuid| (*uuid).clone()).collect();
        move |_: &Usage| which.clone()
    };
    let reserve = |of: &Arc<Sizes>, which: &[&Uuid]| {
        of.reserve(&content, 40, &both, &mut choose(which)).unwrap_or_else(|e| panic!("{e}"))
    };
    let stranger = uuid("c");
    let mut first = reserve(&sizes, &[&a, &b, &stranger]);
    assert_eq!(first.chosen().collect::<Vec<_>>(), [&a, &b], "who is no candidate is not chosen");
    for of in [&sizes, &other] {
        assert_eq!(used(of), [Some(90), Some(40)], "every process sees it");
    }
    let seen = room(&other, &content, 40);
    assert!(seen.is_counted(&a) && seen.fits(&a, 90) && !seen.fits(&a, 89), "this key is part of that");
    let second = reserve(&other, &[&b]);
    assert_eq!(used(&sizes), [Some(90), Some(40)], "one of two uploads of one key counts");
    record(&repository, &[(&content, &a, Presence::Present)]);
    assert_eq!(used(&other), [Some(90), Some(40)], "recorded, and not ended yet");
    commit(&repository);
    assert_eq!(used(&other), [Some(90), Some(40)], "committed, and not ended yet");
    first.end(&a).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(used(&other), [Some(90), Some(40)], "ended");
    record(&repository, &[(&content, &a, Presence::Missing)]);
    assert_eq!(used(&sizes), [Some(50), Some(40)], "dropped again");
    drop(first);
    assert_eq!(used(&sizes), [Some(50), Some(40)], "the other upload to b is under way");
    drop(second);
    assert_eq!(used(&other), [Some(50), Some(0)], "given up");
    assert_eq!(recorded(&sizes)[&a], Amount { bytes: 50, keys: 1 });
}

#[test]
fn uploads_that_ended_do_not_pile_up_where_nothing_is_committed() {
    let (_dir, repository) = scratch();
    let sizes = Arc::new(Sizes::new(repository));
    let a = [uuid("a")];
    for n in 0..600 {
        drop(sizes.reserve(&key(n, 1), 1, &a, &mut |_| a.to_vec()).unwrap_or_else(|e| panic!("{e}")));
    }
    let left = sizes.desk().db().with(&mut |db| tables::uploads(db)).unwrap_or_else(|e| panic!("{e}")).len();
    assert!(left <= 300, "{left}");
    assert_eq!(sizes.usage(&key(0, 1), 1, &a).unwrap_or_else(|e| panic!("{e}")).used(&a[0]), Some(0));
}

#[test]
fn what_is_not_counted_yet_is_told_and_counted_beside() {
    let (_dir, repository) = scratch();
    let a = [uuid("a")];
    let keys: Vec<Key> = (0..9).map(|n| key(n, 1)).collect();
    record(&repository, &keys.iter().map(|key| (key, &a[0], Presence::Present)).collect::<Vec<_>>());
    commit(&repository);
    let sizes = Arc::new(Sizes::in_batches(Arc::clone(&repository), 2));
    let logs = std::cell::Cell::new(0);
    let stopped = sizes.count(&|| logs.replace(logs.get() + 1) == 5);
    assert!(matches!(stopped, Err(SizesError::Stopped)), "{stopped:?}");
    let mut choose = |_: &Usage| -> Vec<Uuid> { panic!("nobody knows how full they are") };
    let refused = sizes.reserve(&key(1, 1), 1, &a, &mut choose).err().expect("refused");
    assert!(matches!(refused, SizesError::Counting), "{refused}");
    let counter = sizes.counter.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it was begun");
    counter.join().expect("it ends");
    let room = sizes.usage(&key(10, 1), 1, &a).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(room.used(&a[0]), Some(9));
}
