//! Lock files as git-annex uses them: whole-file POSIX record locks, shared or exclusive.
//!
//! Such a lock belongs to the process and is gone as soon as *any* descriptor of the file is closed in it. So every lock of
//! this process goes through one registry here: a file is opened once, its holders are counted, and it is closed when the
//! last one lets go. Nothing else may open a lock file. Source: recorded in traces of git-annex 10.20261026 (fcntl
//! F_SETLK and F_SETLKW, start 0, length 0; no flock, no OFD locks).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A lock that is held until it is dropped.
#[derive(Debug)]
#[must_use = "a lock that is dropped is let go"]
pub struct LockFile {
    path: PathBuf,
    kind: LockKind,
}

/// How a file is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Any number of holders, in any process.
    Shared,
    /// One holder.
    Exclusive,
}

/// How long [`LockFile::wait`] pauses between two tries. Another process cannot tell us that it is done.
const PAUSE: Duration = Duration::from_millis(2);

/// The longest of those pauses, in the end.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often [`LockFile::try_lock`] opens a file anew that was removed or replaced before it was locked.
const REPLACED: usize = 16;

impl LockFile {
    /// Locks `path`, making the file with `mode` where there is none. `None` where somebody else is in the way: another
    /// process, or another holder in this one.
    ///
    /// Errors: those of opening the file, such as a directory that is not there.
    pub fn try_lock(path: &Path, kind: LockKind, mode: u32) -> io::Result<Option<Self>> {
        let mut held = held();
        if let Some(entry) = held.get_mut(path) {
            if kind == LockKind::Exclusive || entry.kind == LockKind::Exclusive {
                return Ok(None);
            }
            entry.holders += 1;
            return Ok(Some(Self { path: path.to_path_buf(), kind }));
        }
        for _ in 0..REPLACED {
            let file = open(path, mode)?;
            if !lock(&file, kind)? {
                return Ok(None);
            }
            if is_at(&file, path)? {
                held.insert(path.to_path_buf(), Entry { file, kind, holders: 1 });
                return Ok(Some(Self { path: path.to_path_buf(), kind }));
            }
        }
        Ok(None)
    }

    /// Makes a shared lock exclusive without letting go of it. False, and still shared, where others hold it too.
    ///
    /// Two processes that both try are both told false; then let go, and [`try_lock`](Self::try_lock) afresh.
    pub fn try_upgrade(&mut self) -> io::Result<bool> {
        let mut held = held();
        let Some(entry) = held.get_mut(&self.path) else { return Ok(false) };
        if entry.holders > 1 || !lock(&entry.file, LockKind::Exclusive)? {
            return Ok(false);
        }
        entry.kind = LockKind::Exclusive;
        self.kind = LockKind::Exclusive;
        Ok(true)
    }

    /// Locks `path`, waiting up to `limit` for others to let go. Blocks the thread.
    ///
    /// Errors: `TimedOut` where they do not, and those of [`try_lock`](Self::try_lock).
    pub fn wait(path: &Path, kind: LockKind, mode: u32, limit: Duration) -> io::Result<Self> {
        let start = Instant::now();
        let mut pause = PAUSE;
        loop {
            if let Some(lock) = Self::try_lock(path, kind, mode)? {
                return Ok(lock);
            }
            if start.elapsed() >= limit {
                let text = format!("{} is locked by another process for {} s", path.display(), limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others may hold it too.
    pub fn kind(&self) -> LockKind {
        self.kind
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let mut held = held();
        if let Some(entry) = held.get_mut(&self.path) {
            entry.holders -= 1;
            if entry.holders == 0 {
                // Closing the file is what unlocks it.
                held.remove(&self.path);
            }
        }
    }
}

struct Entry {
    file: File,
    kind: LockKind,
    holders: usize,
}

fn held() -> MutexGuard<'static, HashMap<PathBuf, Entry>> {
    static HELD: OnceLock<Mutex<HashMap<PathBuf, Entry>>> = OnceLock::new();
    // Entries are changed in one step, so a panic elsewhere leaves the table whole.
    HELD.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the lock, or turns the one that is held into it. False where another process is in the way.
fn lock(file: &File, kind: LockKind) -> io::Result<bool> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::fcntl_lock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether `path` is still the file that was opened. git-annex removes lock files while it holds them, so the lock one
/// gets next may be on a file that nobody else will ever open.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn open(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use LockKind::{Exclusive, Shared};

    fn try_lock(path: &Path, kind: LockKind) -> Option<LockFile> {
        LockFile::try_lock(path, kind, 0o644).expect("the file can be opened")
    }

    /// Whether another process can lock `path`, asked of python's `fcntl`, which uses the same calls as git-annex.
    fn others_can(path: &Path, kind: LockKind) -> bool {
        let flag = if kind == Shared { "LOCK_SH" } else { "LOCK_EX" };
        let code = format!(
            "import fcntl,sys\nf=open(sys.argv[1],'r+')\ntry:\n fcntl.lockf(f,fcntl.{flag}|fcntl.LOCK_NB)\nexcept OSError:\n sys.exit(7)"
        );
        let status = std::process::Command::new("python3").arg("-c").arg(code).arg(path).status().expect("python3");
        assert!(matches!(status.code(), Some(0 | 7)), "{status}");
        status.success()
    }

    #[test]
    fn shared_holders_go_together_and_exclusive_ones_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.lck");
        let one = try_lock(&path, Shared).expect("free");
        let two = try_lock(&path, Shared).expect("shared");
        assert!(try_lock(&path, Exclusive).is_none());
        assert!(others_can(&path, Shared) && !others_can(&path, Exclusive));
        drop(one);
        assert!(!others_can(&path, Exclusive), "the second holder is still there");
        drop(two);
        assert!(others_can(&path, Exclusive));
        let alone = try_lock(&path, Exclusive).expect("free again");
        assert!(try_lock(&path, Shared).is_none() && try_lock(&path, Exclusive).is_none());
        assert!(!others_can(&path, Shared));
        drop(alone);
        assert!(others_can(&path, Exclusive));
    }

    #[test]
    fn a_lock_becomes_exclusive_only_for_its_last_holder() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.lck");
        let mut one = try_lock(&path, Shared).expect("free");
        let two = try_lock(&path, Shared).expect("shared");
        assert!(!one.try_upgrade().expect("asked"));
        assert!(others_can(&path, Shared));
        drop(two);
        assert!(one.try_upgrade().expect("asked"));
        assert_eq!(one.kind(), Exclusive);
        assert!(!others_can(&path, Shared));
    }

    #[test]
    fn a_file_that_was_removed_under_its_lock_is_made_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.lck");
        let stale = open(&path, 0o644).expect("a file");
        std::fs::remove_file(&path).expect("removed");
        assert!(!is_at(&stale, &path).expect("asked"));
        let lock = try_lock(&path, Exclusive).expect("free");
        assert!(path.exists() && !is_at(&stale, &path).expect("asked"));
        assert!(!others_can(&path, Shared));
        drop(lock);
    }

    #[test]
    fn waiting_has_an_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.lck");
        let held = try_lock(&path, Exclusive).expect("free");
        let e = LockFile::wait(&path, Exclusive, 0o644, Duration::from_millis(10)).expect_err("it is held");
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert_eq!(LockFile::wait(&path, Shared, 0o644, Duration::ZERO).expect("free").kind(), Shared);
        assert!(LockFile::try_lock(&dir.path().join("no/x"), Shared, 0o644).is_err());
    }
}
