//! Content that outlives a power cut, so that a client may be told that it is here and drop its own.
//!
//! A file lasts when it is synced itself, and so is each directory that got a new entry on the way to it. Who made those
//! entries may not have synced them yet, or never does: git-annex, a server in another container, or one that was killed
//! between the rename and the sync. So all that was made lately is synced, by whomever it was made.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{Content, ContentConfig, object};
use crate::name::Key;

/// After this time every file system has written by itself what was made; they say 5 s to 5 minutes.
const LATELY: Duration = Duration::from_secs(600);

/// Directories that are known to last at most. Beyond it all are forgotten, which costs some syncs more.
const MOST: usize = 10_000;

/// Directories whose own entry is known to last.
#[derive(Debug, Default)]
pub struct Lasting(Mutex<HashSet<Made>>);

/// What identifies a directory: device, inode and when it was made.
type Made = (u32, u32, u64, i64, u32);

impl Lasting {
    /// Makes what lies in `dir` last: syncs it, and the directories above it that got an entry on the way here.
    fn sync_dirs(&self, config: &ContentConfig, dir: &Path) -> io::Result<()> {
        sync_dir(dir)?;
        let (mut dir, mut synced) = (dir, Vec::new());
        // What is above the annex was there before this program was.
        while let Some(above) = dir.parent().filter(|_| dir.starts_with(&config.annex_dir)) {
            // One that is older lies in none that is younger.
            let Some(made) = made_lately(dir, now())?.filter(|made| !self.known().contains(made)) else { break };
            sync_dir(above)?;
            synced.push(made);
            dir = above;
        }
        // Only now: where one fails, those below it have to be done again too.
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.extend(synced);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// Makes the entries of an object in `dir` last. One that is gone went with the object.
    pub(super) fn sync_dirs(&self, dir: &Path) -> io::Result<()> {
        if self.config().durable { self.0.lasting.sync_dirs(self.config(), dir) } else { Ok(()) }
    }

    /// Makes the content of `key` last, which somebody else may have put here a moment ago. False where it is gone.
    ///
    /// # Errors
    ///
    /// It could not be done, so nobody may be told that the content is here for good.
    pub fn make_lasting(&self, key: &Key) -> io::Result<bool> {
        let Some((object, file)) = object::open(self.config(), key)? else { return Ok(false) };
        if self.config().durable {
            synced(&object.path);
            file.sync_data()?;
        }
        if let Some(dir) = object.path.parent() {
            self.sync_dirs(dir)?;
        }
        Ok(true)
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    synced(dir);
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        // Some file systems cannot sync a directory.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(()),
        other => other,
    }
}

/// What identifies a directory that may have been made so lately that its entry does not last. `None` where it is older, or
/// gone.
fn made_lately(dir: &Path, now: Duration) -> io::Result<Option<Made>> {
    let told = match statx(CWD, dir, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME | StatxFlags::INO) {
        Ok(told) => told,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let time = told.stx_btime;
    let made = (told.stx_dev_major, told.stx_dev_minor, told.stx_ino, time.tv_sec, time.tv_nsec);
    if told.stx_mask & StatxFlags::BTIME.bits() == 0 {
        // Nobody knows when.
        return Ok(Some(made));
    }
    let age = now.as_secs().checked_sub(u64::try_from(time.tv_sec).unwrap_or(0));
    Ok(age.is_none_or(|age| age <= LATELY.as_secs()).then_some(made))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(not(test))]
fn synced(_: &Path) {}

#[cfg(test)]
fn synced(path: &Path) {
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_path_buf()));
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use super::*;

    thread_local! {
        pub static SYNCED: RefCell<Vec<PathBuf>> = RefCell::default();
    }

    /// What was synced on this thread since the last call.
    pub fn synced() -> Vec<PathBuf> {
        SYNCED.take()
    }

    #[test]
    fn directories_that_were_made_long_ago_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let later = |by: Duration| made_lately(dir.path(), now() + by).expect("it can be told").is_some();
        assert!(later(Duration::ZERO), "it was made now");
        let told = statx(CWD, dir.path(), AtFlags::empty(), StatxFlags::BTIME).expect("it is there");
        if told.stx_mask & StatxFlags::BTIME.bits() != 0 {
            assert!(!later(LATELY * 2));
            assert!(made_lately(dir.path(), Duration::ZERO).expect("told").is_some(), "the clock was set back");
        }
        assert!(made_lately(&dir.path().join("gone"), now()).expect("it can be told").is_none());
    }
}
