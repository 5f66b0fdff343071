use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::annex::repository::tests::{git, make};

const LIMIT: Duration = Duration::from_secs(60);

fn scratch(config: RecorderConfig) -> (tempfile::TempDir, Arc<Repository>, Recorder) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    let repository = Arc::new(Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}")));
    let recorder = Recorder::start(Arc::clone(&repository), config).expect("a thread");
    (dir, repository, recorder)
}

/// Never commits by itself.
fn patient() -> RecorderConfig {
    RecorderConfig { idle: LIMIT * 10, latest: LIMIT * 10, ..RecorderConfig::default() }
}

fn key(name: &str) -> Key {
    Key::parse(format!("WORM--{name}").as_bytes()).expect("a key")
}

fn present(recorder: &Recorder, name: &str) -> Receiver<Result<(), Arc<BranchError>>> {
    let (done, told) = channel();
    let done = Box::new(move |result| done.send(result).expect("somebody waits"));
    recorder.record(key(name), Uuid::parse(b"u-1").expect("a uuid"), Presence::Present, Evidence::Done, done);
    told
}

fn told(from: &Receiver<Result<(), Arc<BranchError>>>) -> Result<(), Arc<BranchError>> {
    from.recv_timeout(LIMIT).expect("it is told")
}

fn commits(dir: &Path) -> usize {
    git(dir, &["for-each-ref", "--format=x", "refs/heads/git-annex"])
        .lines()
        .map(|_| git(dir, &["rev-list", "--count", "git-annex"]).parse::<usize>().expect("a number"))
        .sum()
}

#[test]
fn who_is_told_finds_it_in_the_journal() {
    let (dir, repository, recorder) = scratch(patient());
    assert!(told(&present(&recorder, "a")).is_ok());
    let holders: Vec<_> = repository.branch().locations(&key("a")).expect("readable").holders().collect();
    assert_eq!(holders.len(), 1);
    assert_eq!(commits(dir.path()), 0);
    recorder.shutdown().expect("committed");
    assert_eq!(commits(dir.path()), 1);
}

/// Another repository may have removed it and stored it again meanwhile, or the other way round, and its line be on its way here.
#[test]
fn what_was_done_gets_a_new_time_and_what_was_seen_does_not() {
    const OLD: u64 = 1_700_000_000;
    for presence in [Presence::Present, Presence::Missing] {
        let (_dir, repository, recorder) = scratch(patient());
        let uuid = Uuid::parse(b"u-1").expect("a uuid");
        let file = location_file(&key("a"), repository.branch().log_hashing());
        let old = {
            let mut log = LocationLog::default();
            assert!(log.set(&uuid, presence, OLD));
            log.to_bytes()
        };
        let first = old.clone();
        repository.branch().change(vec![Edit::new(file.clone(), move |_| Some(first))]).expect("written");
        let record = |evidence| {
            let (done, heard) = channel();
            let done = Box::new(move |result| done.send(result).expect("somebody waits"));
            recorder.record(key("a"), uuid.clone(), presence, evidence, done);
            assert!(told(&heard).is_ok());
            repository.branch().read(&file).expect("readable")
        };
        assert_eq!(record(Evidence::Seen), old, "{presence:?}");
        let new = record(Evidence::Done);
        assert_ne!(new, old, "{presence:?}");
        // What comes from elsewhere with a time in between says the opposite, and does not win.
        let opposite = if presence == Presence::Present { '0' } else { '1' };
        let mut merged = LocationLog::parse(format!("{}s {opposite} u-1\n", OLD + 5).as_bytes());
        assert!(merged.absorb(LocationLog::parse(&new)));
        assert_eq!(merged.presence(&uuid), Some(presence));
    }
}

#[test]
fn many_records_are_one_commit() {
    let (dir, repository, recorder) = scratch(patient());
    let waiting: Vec<_> = (0..500).map(|n| present(&recorder, &n.to_string())).collect();
    assert!(waiting.iter().all(|one| told(one).is_ok()));
    let (done, committed) = channel();
    recorder.commit(Box::new(move |result| done.send(result).expect("somebody waits")));
    assert!(told(&committed).is_ok());
    assert_eq!(commits(dir.path()), 1);
    for n in 0..500 {
        assert_eq!(repository.branch().locations(&key(&n.to_string())).expect("readable").holders().count(), 1);
    }
}

#[test]
fn a_pause_and_the_longest_wait_both_commit() {
    // Only where the longest wait is to commit are there no pauses.
    for (config, busy) in [
        (RecorderConfig { idle: Duration::from_millis(10), ..patient() }, false),
        (RecorderConfig { latest: Duration::from_millis(10), ..patient() }, true),
    ] {
        let (dir, _repository, recorder) = scratch(config);
        assert!(told(&present(&recorder, "a")).is_ok());
        let start = Instant::now();
        while commits(dir.path()) == 0 {
            assert!(start.elapsed() < LIMIT, "not committed: {config:?}");
            if busy {
                assert!(told(&present(&recorder, "a")).is_ok());
            }
        }
    }
}

#[test]
fn one_record_that_cannot_be_written_fails_alone() {
    let (dir, _repository, recorder) = scratch(patient());
    let (started, go) = channel::<()>();
    // Holds the recorder up, so that the next three wait together.
    recorder.commit(Box::new(move |_| assert!(go.recv().is_err())));
    let long = "x".repeat(300);
    let waiting: Vec<_> = ["a", &long, "b"].map(|name| present(&recorder, name)).into();
    drop(started);
    let told: Vec<bool> = waiting.iter().map(|one| told(one).is_ok()).collect();
    assert_eq!(told, [true, false, true]);
    recorder.shutdown().expect("committed");
    assert_eq!(git(dir.path(), &["ls-tree", "-r", "--name-only", "git-annex"]).lines().count(), 2);
}

#[test]
fn what_cannot_be_committed_stays_and_a_panic_stops_nobody() {
    let (dir, repository, recorder) = scratch(patient());
    recorder.record(
        key("p"),
        Uuid::parse(b"u-1").expect("a uuid"),
        Presence::Present,
        Evidence::Done,
        Box::new(|_| panic!("on purpose")),
    );
    assert!(told(&present(&recorder, "a")).is_ok());
    // A directory in the way of the reference.
    let obstacle = dir.path().join(".git/refs/heads/git-annex/in/the/way");
    std::fs::create_dir_all(&obstacle).expect("made");
    std::fs::write(obstacle.join("x"), "0000000000000000000000000000000000000000\n").expect("written");
    assert!(recorder.shutdown().is_err());
    assert_eq!(
        repository.branch().locations(&key("a")).expect("readable").holders().count(),
        1,
        "still in the journal"
    );
}

#[test]
fn committing_can_be_left_to_git_annex() {
    let (dir, _repository, _) = scratch(patient());
    git(dir.path(), &["config", "annex.alwayscommit", "false"]);
    let repository = Arc::new(Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}")));
    let recorder = Recorder::start(repository, patient()).expect("a thread");
    assert!(told(&present(&recorder, "a")).is_ok());
    recorder.shutdown().expect("nothing to do");
    assert_eq!(commits(dir.path()), 0);
}

/// Whoever looked may be told what was so before somebody stored or removed it.
#[test]
fn a_correction_counts_while_the_log_is_as_it_was_read() {
    let (_dir, repository, recorder) = scratch(patient());
    let uuid = Uuid::parse(b"u-1").expect("a uuid");
    let log = || repository.branch().locations(&key("a")).expect("readable");
    let correct = |presence, read| {
        let (done, corrected) = channel();
        let done = Box::new(move |result| done.send(result).expect("somebody waits"));
        recorder.correct(key("a"), uuid.clone(), presence, read, done);
        told(&corrected).expect("written");
    };
    let unread = log().line(&uuid);
    correct(Presence::Present, unread);
    assert_eq!(log().presence(&uuid), Some(Presence::Present));
    let read = log().line(&uuid);
    correct(Presence::Missing, unread);
    assert_eq!(log().line(&uuid), read, "it was read before it was recorded");
    assert!(told(&present(&recorder, "a")).is_ok());
    correct(Presence::Missing, read);
    assert_eq!(log().presence(&uuid), Some(Presence::Present), "it was stored anew since");
    correct(Presence::Missing, log().line(&uuid));
    assert_eq!(log().presence(&uuid), Some(Presence::Missing));
}
