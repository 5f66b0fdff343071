use super::*;
use crate::annex::repository::tests::{git, make};

/// A repository with a remote `x`, uuid `d1`, of type directory, and one `ro` which is read-only.
struct Place {
    dir: tempfile::TempDir,
    repository: Repository,
}

const KEY: &str = "WORM-s5--x";

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let store = dir.path().join("store");
        std::fs::create_dir(&store).expect("a directory");
        for (name, value) in [
            ("remote.x.annex-uuid", "d1"),
            ("remote.x.annex-directory", &store.display().to_string()),
            ("remote.ro.annex-uuid", "d2"),
            ("remote.ro.annex-directory", &store.display().to_string()),
            ("remote.ro.annex-readonly", "true"),
        ] {
            git(dir.path(), &["config", name, value]);
        }
        let log = "d1 encryption=none type=directory timestamp=1s\nd2 encryption=none type=directory timestamp=1s\n";
        std::fs::create_dir_all(dir.path().join(".git/annex/journal")).expect("a directory");
        for name in ["journal/remote.log", "verified-remote.log"] {
            std::fs::write(dir.path().join(".git/annex").join(name), log).expect("written");
        }
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        Self { dir, repository }
    }

    fn ledgers(&self) -> Ledgers {
        Ledgers::new(self.repository.annex_dir())
    }

    /// Begins an upload and leaves it.
    fn begin(&self, remote: &str, key: &str) {
        drop(self.hold(remote, key));
    }

    fn hold(&self, remote: &str, key: &str) -> crate::annex::unfinished::Ledger {
        let (remote, key) =
            (Uuid::parse(remote.as_bytes()).expect("a uuid"), Key::parse(key.as_bytes()).expect("a key"));
        let Ok(Taken::Free(mut ledger)) = self.ledgers().take(&remote, &key) else { panic!("{key} is not free") };
        ledger.begin(b"object", 5, b"token", 1).expect("begun");
        ledger
    }

    fn sweep(&self, how: Sweep) -> Vec<(String, Fate)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let context = Context::default();
        let told = std::cell::RefCell::new(Vec::new());
        let far = |done, all| told.borrow_mut().push((done, all));
        let swept = runtime.block_on(sweep(&self.repository, how, |_| None, &context, &far)).expect("read");
        let all = swept.len();
        assert_eq!(
            told.take(),
            (0..all).map(|done| (done, all)).collect::<Vec<_>>(),
            "each is told before it is seen to"
        );
        swept
            .into_iter()
            .map(|leftover| {
                let whose = leftover.upload.map_or("?".into(), |upload| {
                    upload.remote.map_or("gone".into(), |name| String::from_utf8_lossy(&name).into_owned())
                });
                (whose, leftover.fate)
            })
            .collect()
    }

    fn remembered(&self) -> usize {
        self.ledgers().list().expect("listed").len()
    }
}

const ALL: Sweep = Sweep { older_than: Duration::ZERO, dry_run: false, force: false };
const WEEK: Sweep = Sweep { older_than: Duration::from_secs(604_800), ..ALL };
const FORCE: Sweep = Sweep { force: true, ..ALL };

#[test]
fn what_is_young_or_only_looked_at_or_under_way_is_left_alone() {
    let place = Place::new();
    assert!(place.sweep(ALL).is_empty());
    place.begin("d1", KEY);
    assert_eq!(place.sweep(WEEK), [("x".to_string(), Fate::Kept)]);
    assert_eq!(place.sweep(Sweep { dry_run: true, ..FORCE }), [("x".to_string(), Fate::Due)]);
    let held = place.hold("d1", KEY);
    assert_eq!(place.sweep(FORCE), [("x".to_string(), Fate::UnderWay)]);
    drop(held);
    assert_eq!(place.remembered(), 1);
}

#[test]
fn what_cannot_be_undone_is_forgotten_only_by_force() {
    for (remote, whose, says) in [("d9", "gone", "its remote is gone"), ("d2", "ro", "remote ro is read-only")] {
        let place = Place::new();
        place.begin(remote, KEY);
        let stays = place.sweep(ALL);
        let [(name, Fate::Stays(why))] = &stays[..] else { panic!("{stays:?}") };
        assert!(name == whose && why.contains(says), "{stays:?}");
        assert_eq!(place.remembered(), 1);
        assert_eq!(place.sweep(FORCE), [(whose.to_string(), Fate::Forgotten)]);
        assert_eq!(place.remembered(), 0);
    }
}

#[test]
fn a_ledger_that_makes_no_sense_is_told_and_removed_by_force() {
    let place = Place::new();
    place.begin("d1", KEY);
    let uploads = place.repository.annex_dir().join("stream/uploads");
    for entry in std::fs::read_dir(&uploads).expect("made") {
        std::fs::write(entry.expect("an entry").path(), "junk").expect("written");
    }
    assert_eq!(place.sweep(WEEK), [("?".to_string(), Fate::Kept)]);
    assert!(matches!(&place.sweep(ALL)[..], [(_, Fate::Stays(why))] if why.contains("--force")));
    assert_eq!(place.sweep(FORCE), [("?".to_string(), Fate::Forgotten)]);
    assert_eq!(place.remembered(), 0);
    assert!(place.dir.path().join("store").exists());
}

/// Files below `dir`, whatever they are called.
fn files(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).expect("it can be read").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn an_upload_that_was_left_is_undone_and_leaves_nothing() {
    const LEN: u64 = 64 << 20;
    let place = Place::new();
    let directory = place.dir.path().join("store");
    let mut options = remotes::options::Options::new();
    options.set("directory", directory.display().to_string());
    let context = Context { reserve: 0, ..Context::default() };
    let object = ObjectName::new(b"aaa/bbb/K/K").expect("a name");
    let begun = remotes::sys::run(false, async {
        let store = remotes::registry::open("fs", &options, &context)?;
        let mut put = remotes::put_stream(&*store, &object, LEN).await?;
        put.write(vec![7; 1 << 20].into()).await?;
        let resumption = put.resumption();
        put.suspend().await?;
        remotes::Result::Ok(resumption)
    });
    let resumption = begun.expect("a runtime").expect("begun").expect("it can be resumed");
    assert!(files(&directory) > 0, "something is staged");
    {
        let mut ledger = place.hold("d1", KEY);
        ledger.begin(object.as_bytes(), LEN, &resumption.token, resumption.step).expect("begun");
    }
    assert_eq!(place.sweep(WEEK), [("x".to_string(), Fate::Kept)]);
    assert_eq!(place.sweep(ALL), [("x".to_string(), Fate::Undone)]);
    assert_eq!((files(&directory), place.remembered()), (0, 0));
}
