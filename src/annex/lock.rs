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
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
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
    /// # Errors
    ///
    /// Those of opening the file, such as a directory that is not there.
    pub fn try_lock(path: &Path, kind: LockKind, mode: u32) -> io::Result<Option<Self>> {
        let held = REGISTRY.at_rest(path);
        let mut held = match held {
            (mut held, true) => {
                if let Some(Slot::Held(entry)) = held.get_mut(path) {
                    if kind == LockKind::Exclusive || entry.kind == LockKind::Exclusive {
                        return Ok(None);
                    }
                    entry.holders += 1;
                }
                return Ok(Some(Self { path: path.to_path_buf(), kind }));
            }
            (held, false) => held,
        };
        let changing = Changing::begin(&mut held, path);
        drop(held);
        for _ in 0..REPLACED {
            let file = open(path, mode)?;
            if !lock(&file, kind)? {
                return Ok(None);
            }
            if is_at(&file, path)? {
                changing.end(Entry { file, kind, holders: 1 });
                return Ok(Some(Self { path: path.to_path_buf(), kind }));
            }
        }
        Ok(None)
    }

    /// Makes a shared lock exclusive without letting go of it. False, and still shared, where others hold it too.
    ///
    /// Two processes that both try are both told false; then let go, and [`try_lock`](Self::try_lock) afresh.
    pub fn try_upgrade(&mut self) -> io::Result<bool> {
        let (mut held, _) = REGISTRY.at_rest(&self.path);
        let Some((changing, mut entry)) = Changing::of(&mut held, &self.path) else { return Ok(false) };
        drop(held);
        let upgraded = if entry.holders > 1 { Ok(false) } else { lock(&entry.file, LockKind::Exclusive) };
        if let Ok(true) = upgraded {
            entry.kind = LockKind::Exclusive;
            self.kind = LockKind::Exclusive;
        }
        changing.end(entry);
        upgraded
    }

    /// Locks `path`, waiting up to `limit` for others to let go. Blocks the thread.
    ///
    /// # Errors
    ///
    /// `TimedOut` where they do not, and those of [`try_lock`](Self::try_lock).
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
        let (mut held, _) = REGISTRY.at_rest(&self.path);
        if let Some(Slot::Held(entry)) = held.get_mut(&self.path)
            && entry.holders > 1
        {
            entry.holders -= 1;
            return;
        }
        if let Some((changing, entry)) = Changing::of(&mut held, &self.path) {
            drop(held);
            // Closing the file is what unlocks it, and nobody may open it again before.
            drop(entry.file);
            drop(changing);
        }
    }
}

struct Entry {
    file: File,
    kind: LockKind,
    holders: usize,
}

/// What is known of a lock file.
enum Slot {
    Held(Entry),
    /// A thread opens, locks or closes it at this moment.
    Changing,
}

type Slots = HashMap<PathBuf, Slot>;

/// All lock files of this process. Not locked while a file is opened or closed: a disk that hangs stops those who want the
/// same file, and nobody else.
struct Registry {
    slots: LazyLock<Mutex<Slots>>,
    changed: Condvar,
}

static REGISTRY: Registry = Registry { slots: LazyLock::new(Mutex::default), changed: Condvar::new() };

impl Registry {
    /// All of them, at a moment when nobody changes `path`, and whether that is held.
    fn at_rest(&self, path: &Path) -> (MutexGuard<'_, Slots>, bool) {
        let mut slots = self.slots();
        loop {
            match slots.get(path) {
                None => return (slots, false),
                Some(Slot::Held(_)) => return (slots, true),
                Some(Slot::Changing) => slots = self.changed.wait(slots).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Slots are changed in one step, so a panic elsewhere leaves the table whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That this thread alone deals with a lock file. Nobody holds it when this is dropped.
struct Changing(Option<PathBuf>);

impl Changing {
    fn begin(slots: &mut Slots, path: &Path) -> Self {
        slots.insert(path.to_path_buf(), Slot::Changing);
        Self(Some(path.to_path_buf()))
    }

    /// The same for one that is held.
    fn of(slots: &mut Slots, path: &Path) -> Option<(Self, Entry)> {
        match slots.insert(path.to_path_buf(), Slot::Changing) {
            Some(Slot::Held(entry)) => Some((Self(Some(path.to_path_buf())), entry)),
            // Nobody holds it.
            None | Some(Slot::Changing) => {
                slots.remove(path);
                None
            }
        }
    }

    /// It is held from now on.
    fn end(mut self, entry: Entry) {
        if let Some(path) = self.0.take() {
            REGISTRY.slots().insert(path, Slot::Held(entry));
            REGISTRY.changed.notify_all();
        }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            REGISTRY.slots().remove(&path);
            REGISTRY.changed.notify_all();
        }
    }
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

    /// A lock file on a disk that hangs while it is opened.
    #[test]
    fn a_file_that_cannot_be_opened_yet_stops_nobody_who_wants_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let (pipe, other) = (dir.path().join("pipe"), dir.path().join("x.lck"));
        let other = try_lock(&other, Exclusive).expect("free");
        let hangs = REGISTRY.at_rest(&pipe).0;
        let changing = {
            let mut hangs = hangs;
            Changing::begin(&mut hangs, &pipe)
        };
        let waits = std::thread::spawn({
            let pipe = pipe.clone();
            move || try_lock(&pipe, Exclusive).is_some()
        });
        let path = other.path().to_path_buf();
        drop(other);
        assert!(try_lock(&path, Shared).is_some());
        assert!(!pipe.exists(), "whoever wants it waits");
        drop(changing);
        assert!(waits.join().expect("it ends"));
    }

    /// Many threads take turns on few files, and no two are in at once.
    #[test]
    fn of_many_threads_one_is_in() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        let dir = tempfile::tempdir().expect("a directory");
        let inside = [const { AtomicUsize::new(0) }; 2];
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (path, inside) = (dir.path().join(format!("{}.lck", n % 2)), &inside[n % 2]);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let lock = LockFile::wait(&path, Exclusive, 0o644, Duration::from_secs(60)).expect("in time");
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        inside.fetch_sub(1, SeqCst);
                        drop(lock);
                    }
                });
            }
        });
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
