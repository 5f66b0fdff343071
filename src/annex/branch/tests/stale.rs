//! Lock files that somebody left who was killed between making them and putting them in their place.

use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

struct Lab {
    dir: tempfile::TempDir,
    repository: Repository,
}

impl Lab {
    /// With something to commit.
    fn new() -> Self {
        let (dir, repository) = scratch();
        repository.branch().change(vec![put("a.log", "1\n")]).expect("made");
        repository.branch().commit("update").expect("committed");
        repository.branch().change(vec![append("a.log", "2\n")]).expect("made");
        Self { dir, repository }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(".git").join(name)
    }

    /// Leaves a lock file of this age.
    fn leave(&self, name: &str, content: &str, age: Duration) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        let file = File::options().write(true).open(&path).expect("it is there");
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).expect("set");
        path
    }

    fn commits(&self) -> bool {
        let committed = self.repository.branch().commit("update").is_ok();
        let waits = self.path("annex/journal/a.log").exists();
        assert_eq!(committed, !waits, "what is not committed stays in the journal");
        committed
    }
}

const REFERENCE: &str = "refs/heads/git-annex.lock";
const PACKED: &str = "packed-refs.lock";

#[test]
fn what_one_of_us_left_is_removed_at_once() {
    let lab = Lab::new();
    let lock = lab.leave(REFERENCE, &format!("{}\n", "7".repeat(40)), Duration::ZERO);
    // As it was noted before the lock was made.
    fs::write(lab.path("annex/stream/moving"), format!("{}\n", "7".repeat(40))).expect("written");
    assert!(lab.commits());
    assert!(!lock.exists() && !lab.path("annex/stream/moving").exists());
    for dir in ["annex/stream", "annex/othertmp"] {
        assert_eq!(fs::read_dir(lab.path(dir)).expect("there").count(), 0, "nothing is left in {dir}");
    }
}

#[test]
fn what_git_holds_is_waited_for() {
    for (note, content) in [(Some("7"), "8"), (Some(""), ""), (None, "8")] {
        let lab = Lab::new();
        let lock = lab.leave(REFERENCE, &content.repeat(40), Duration::ZERO);
        if let Some(note) = note {
            fs::write(lab.path("annex/stream/moving"), note.repeat(40)).expect("written");
        }
        assert!(!lab.commits());
        assert!(lock.exists());
        fs::remove_file(lock).expect("git is done");
        assert!(lab.commits());
    }
}

#[test]
fn old_locks_that_nobody_has_open_are_removed() {
    for name in [REFERENCE, PACKED] {
        let lab = Lab::new();
        git(lab.dir.path(), &["pack-refs", "--all"]);
        let lock = lab.leave(name, "", HOUR);
        let held = File::open(&lock).expect("it is there");
        assert!(!lab.commits(), "{name}: somebody has it open");
        assert!(lock.exists());
        drop(held);
        assert!(lab.commits(), "{name}");
        assert!(!lock.exists());
    }
}

/// The library locks the packed references too, and writes nothing there.
#[test]
fn an_empty_lock_is_that_of_the_one_who_was_killed_once_it_is_older_than_a_moment() {
    for name in [REFERENCE, PACKED] {
        let lab = Lab::new();
        git(lab.dir.path(), &["pack-refs", "--all"]);
        let lock = lab.leave(name, "", Duration::from_secs(5));
        assert!(!lab.commits(), "{name}: nobody was killed");
        fs::write(lab.path("annex/stream/moving"), "7".repeat(40)).expect("written");
        fs::write(&lock, "8").expect("written");
        assert!(!lab.commits(), "{name}: it is another's");
        assert!(lab.path("annex/stream/moving").exists(), "{name}: it is known still that one was killed");
        let lock = lab.leave(name, "", Duration::from_secs(5));
        let held = File::open(&lock).expect("it is there");
        assert!(!lab.commits(), "{name}: somebody has it open");
        drop(held);
        assert!(lab.commits(), "{name}");
        assert!(!lock.exists() && !lab.path("annex/stream/moving").exists());
    }
}

/// The note of one that was killed is not the only thing it leaves.
#[test]
fn objects_on_their_way_are_swept_up_after_a_day() {
    let lab = Lab::new();
    let (old, new) = (lab.leave("objects/.tmpAbCdEf", "x", 48 * HOUR), lab.leave("objects/.tmpGhIjKl", "x", HOUR));
    let kept = lab.leave("objects/.tmpfile", "x", 48 * HOUR);
    assert!(lab.commits());
    assert!(old.exists(), "only after somebody was killed");
    fs::write(lab.path("annex/stream/moving"), "").expect("written");
    lab.repository.branch().change(vec![append("a.log", "3\n")]).expect("made");
    assert!(lab.commits());
    assert!(!old.exists() && new.exists() && kept.exists());
}
