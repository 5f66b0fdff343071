//! Files that outlive a power cut: each directory that got a new entry on the way to one is synced.
//!
//! Who made a directory may not have synced its entry yet, or never does: git-annex, or a process that was killed. So all
//! that was made lately is synced, by whomever it was made.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// After so many seconds every file system has written by itself what was made; they say 5 s to 5 minutes.
const LATELY: u64 = 600;

/// Directories that are remembered at most. Beyond it all are forgotten, which costs some syncs more.
const MOST: usize = 10_000;

/// What identifies a directory: device, inode and when it was made.
type Made = (u32, u32, u64, i64, u32);

/// Makes the entry of what lies in `dir` last, and those of the directories above it, below `root`.
pub(super) fn sync_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    sync_dir(dir)?;
    let mut synced = Vec::new();
    for dir in dir.ancestors().take_while(|dir| *dir != root) {
        // One that is older lies in none that is younger.
        let Some(made) = made_lately(dir)?.filter(|made| !known(|known| known.contains(made))) else { break };
        if let Some(above) = dir.parent() {
            sync_dir(above)?;
        }
        synced.push(made);
    }
    // Only now: where one fails, those below it have to be done again too.
    known(|known| {
        if known.len() >= MOST {
            known.clear();
        }
        known.extend(synced);
    });
    Ok(())
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|dir| dir.sync_all()) {
        // Some file systems cannot sync a directory; one that is gone went with what was in it.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => Ok(()),
        result => result,
    }
}

/// Directories whose own entry is known to last.
fn known<T>(f: impl FnOnce(&mut HashSet<Made>) -> T) -> T {
    static KNOWN: OnceLock<Mutex<HashSet<Made>>> = OnceLock::new();
    f(&mut KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner))
}

/// `None` where the directory was made long ago, or is gone.
fn made_lately(dir: &Path) -> io::Result<Option<Made>> {
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = now.checked_sub(u64::try_from(time.tv_sec).unwrap_or(0));
    Ok(age.is_none_or(|age| age <= LATELY).then_some(made))
}
