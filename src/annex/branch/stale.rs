//! Lock files of git that were left by somebody who was killed: git and its library never remove them, so nobody could move
//! the branch any more.
//!
//! Whoever of us moves the branch holds git-annex's lock, and has noted before where to, so a lock file that says the same
//! was left by one of us who is gone. One that says nothing yet was too, if such a note was found and the file is older than a
//! moment: git's library locks the packed references for every move, and never writes that file. All others may be of git,
//! which knows nothing of git-annex's lock; one is left behind where it is older than anything takes that is done under it, and
//! no process has it open.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;

use super::journal::JournalLock;
use super::tip;
use crate::annex::fresh;

/// How old a lock of a reference is that was left behind. git holds one for a moment, and while a hook decides.
const OLD: Duration = Duration::from_secs(600);

/// How old an empty lock is that was left by one of us, once it is known that one of us was killed. git fills its own in less.
const MOMENT: Duration = Duration::from_secs(1);

/// How old a file is that was left on its way into the objects. git gc leaves younger ones for weeks, and these for ever.
const OLD_OBJECT: Duration = Duration::from_secs(24 * 3600);

/// Whether one of us was killed while it moved the branch.
#[derive(Clone, Copy)]
pub(super) struct Killed(bool);

/// What is left behind in one repository.
pub(super) struct Stale<'a> {
    annex_dir: &'a Path,
    git_dir: &'a Path,
}

impl<'a> Stale<'a> {
    /// `git_dir` is the one that holds the references.
    pub(super) fn of(annex_dir: &'a Path, git_dir: &'a Path) -> Self {
        Self { annex_dir, git_dir }
    }

    /// Notes that the branch is about to be moved to `commit`, and clears away what was left by one of us who noted the same
    /// and was killed. Where it cannot be noted, what is left is cleared away later, as that of others.
    pub(super) fn begin(&self, _lock: &JournalLock, commit: ObjectId) -> Killed {
        let note = self.note();
        let left = fs::read(&note);
        let killed = Killed(left.is_ok());
        if let Ok(left) = left {
            let lock = self.reference_lock();
            if let Ok(found) = Found::at(&lock)
                && !left.is_empty()
                && found.says(&left)
            {
                self.take_away(&lock, &found, "was left by one of us who was killed");
            }
            self.sweep_objects();
        }
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&note)?;
            writeln!(file, "{commit}")
        };
        let written = write().or_else(|e| {
            match e.kind() {
                io::ErrorKind::NotFound => fs::create_dir_all(self.annex_dir.join("stream"))?,
                // One that was left may be of another user.
                io::ErrorKind::AlreadyExists => fs::remove_file(&note)?,
                _ => return Err(e),
            }
            write()
        });
        if let Err(e) = written {
            tracing::debug!("{}: {e}", note.display());
        }
        killed
    }

    /// It was moved, or not.
    pub(super) fn end(&self, _lock: &JournalLock, killed: Killed) {
        // The next one has to know still.
        if killed.0 && self.locks().iter().any(|lock| lock.exists()) {
            return;
        }
        // One that stays makes the next look for what is not there.
        let _ = fs::remove_file(self.note());
    }

    /// Clears away old locks, and those that one of us left who was `killed`. True where there was one, so that it may be tried
    /// again.
    pub(super) fn clear(&self, _lock: &JournalLock, killed: Killed) -> bool {
        let mut any = false;
        for lock in self.locks() {
            let Ok(found) = Found::at(&lock) else { continue };
            let is_ours = killed.0 && found.meta.len() == 0 && self.is_old(&found, MOMENT);
            if is_ours && !found.is_open() {
                any |= self.take_away(&lock, &found, "was left by one of us who was killed");
                continue;
            }
            if self.is_old(&found, OLD) && !found.is_open() {
                let minutes = OLD.as_secs() / 60;
                any |=
                    self.take_away(&lock, &found, &format!("is older than {minutes} minutes and nobody has it open"));
            }
        }
        any
    }

    /// Removes what the library leaves of objects when it is killed, under names that git gc does not know.
    fn sweep_objects(&self) {
        let dir = self.git_dir.join("objects");
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_temporary = name.as_encoded_bytes().strip_prefix(b".tmp").is_some_and(|rest| rest.len() == 6);
            if !is_temporary {
                continue;
            }
            let Ok(found) = Found::at(&entry.path()) else { continue };
            if self.is_old(&found, OLD_OBJECT) && !found.is_open() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Between the look and this, somebody may have removed the file and another have made a new one. So it is moved aside, and
    /// put back where it is not the one that was looked at.
    fn take_away(&self, lock: &Path, found: &Found, why: &str) -> bool {
        let Ok(name) = fresh::name("lock") else { return false };
        let aside = self.temporary().join(name);
        if fs::create_dir_all(self.temporary()).and_then(|()| fs::rename(lock, &aside)).is_err() {
            return false;
        }
        let is_same = Found::at(&aside).is_ok_and(|moved| moved.is(found));
        if !is_same {
            // Fails where there is a newer one, whose holder got what it wanted.
            let _ = fs::hard_link(&aside, lock);
        }
        let _ = fs::remove_file(&aside);
        if is_same {
            tracing::warn!("removed {}: it {why}", lock.display());
        }
        is_same
    }

    /// By the clock of the disk, which on a network is not ours.
    fn is_old(&self, found: &Found, age: Duration) -> bool {
        let probe = fs::create_dir_all(self.temporary()).and_then(|()| fresh::create(&self.temporary(), "now", 0o600));
        let now = probe.and_then(|(path, file)| {
            let _ = fs::remove_file(path);
            file.metadata()?.modified()
        });
        match (now, found.meta.modified()) {
            (Ok(now), Ok(then)) => now.duration_since(then).is_ok_and(|past| past > age),
            _ => false,
        }
    }

    fn locks(&self) -> [PathBuf; 2] {
        [self.reference_lock(), self.git_dir.join("packed-refs.lock")]
    }

    fn reference_lock(&self) -> PathBuf {
        self.git_dir.join(format!("{}.lock", tip::BRANCH))
    }

    fn note(&self) -> PathBuf {
        self.annex_dir.join("stream/moving")
    }

    /// Whoever may write the journal may write here.
    fn temporary(&self) -> PathBuf {
        self.annex_dir.join("othertmp")
    }
}

/// A file that was looked at.
struct Found {
    meta: Metadata,
    start: Vec<u8>,
}

impl Found {
    fn at(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        if !meta.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut start = Vec::new();
        // Only what the file says needs its being read, and others' may not be ours to read.
        if let Ok(file) = File::open(path) {
            file.take(100).read_to_end(&mut start)?;
        }
        Ok(Self { meta, start })
    }

    fn says(&self, text: &[u8]) -> bool {
        self.start.trim_ascii() == text.trim_ascii()
    }

    fn is(&self, other: &Self) -> bool {
        let of = |found: &Self| (found.meta.dev(), found.meta.ino(), found.meta.mtime(), found.meta.mtime_nsec());
        of(self) == of(other)
    }

    /// Whether some process has it open, as far as that can be seen: not in other containers, nor on other computers.
    fn is_open(&self) -> bool {
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        processes.flatten().any(|process| {
            let files = fs::read_dir(process.path().join("fd"));
            files.into_iter().flatten().flatten().any(|file| {
                fs::metadata(file.path())
                    .is_ok_and(|open| (open.dev(), open.ino()) == (self.meta.dev(), self.meta.ino()))
            })
        })
    }
}
