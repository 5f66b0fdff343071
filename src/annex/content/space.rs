//! Room on the disk: what is free, and what has been promised to content that is on its way.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::ContentError;

/// Content on its way in this process, so that transfers side by side do not each count on the same room.
#[derive(Debug, Default, Clone)]
pub struct Promises(Arc<Mutex<Vec<Expected>>>);

/// Room that is kept for one transfer until this is dropped.
#[derive(Debug)]
pub struct Promise {
    promises: Promises,
    file: Arc<File>,
}

#[derive(Debug, Clone)]
struct Expected {
    file: Arc<File>,
    len: u64,
}

impl Promises {
    /// Keeps room on the disk of `dir` for `file` to become `len` bytes long, while `reserve` bytes stay free.
    ///
    /// # Errors
    ///
    /// [`ContentError::Reserve`] where there is not that much.
    pub fn keep(&self, dir: &Path, file: &Arc<File>, len: u64, reserve: u64) -> Result<Promise, ContentError> {
        let wanted = Expected { file: Arc::clone(file), len };
        let need = wanted.missing();
        // Added first, so that of two at the same moment that find room for one the later sees the other.
        let before = {
            let mut expected = self.lock();
            let before = expected.clone();
            expected.push(wanted);
            before
        };
        let promise = Promise { promises: self.clone(), file: Arc::clone(file) };
        room(&before, dir, need, reserve).map(|()| promise)
    }

    /// Whether there is room for `need` more bytes on the disk of `dir` now.
    ///
    /// # Errors
    ///
    /// As [`keep`](Self::keep).
    pub fn check(&self, dir: &Path, need: u64, reserve: u64) -> Result<(), ContentError> {
        let expected = self.lock().clone();
        room(&expected, dir, need, reserve)
    }

    /// Not to be held while the disk is asked: a disk that hangs would stop whoever drops a promise.
    fn lock(&self) -> MutexGuard<'_, Vec<Expected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.promises.lock().retain(|expected| !Arc::ptr_eq(&expected.file, &self.file));
    }
}

impl Expected {
    fn missing(&self) -> u64 {
        // Blocks, not length: bytes may be written out of order.
        let taken = self.file.metadata().map_or(0, |metadata| metadata.blocks().saturating_mul(512));
        self.len.saturating_sub(taken)
    }
}

fn room(expected: &[Expected], dir: &Path, need: u64, reserve: u64) -> Result<(), ContentError> {
    let promised: u64 = expected.iter().map(Expected::missing).fold(0, u64::saturating_add);
    let free = free(dir).map_err(ContentError::io("look for free space"))?.saturating_sub(promised);
    // What needs no room is let in on the fullest disk: a transfer that only has to be completed.
    if need > 0 && need.saturating_add(reserve) > free {
        return Err(ContentError::Reserve { need, free, reserve });
    }
    Ok(())
}

/// Bytes an ordinary user may still write to the disk `dir` is on.
fn free(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_side_by_side_do_not_count_on_the_same_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name| Arc::new(File::create(dir.path().join(name)).expect("a file"));
        let (promises, half) = (Promises::default(), free(dir.path()).expect("its disk") / 2 + (64 << 20));
        let first = promises.keep(dir.path(), &file("a"), half, 0).expect("there is room for one");
        let refused = promises.keep(dir.path(), &file("b"), half, 0).expect_err("not for two");
        assert!(matches!(refused, ContentError::Reserve { need, reserve: 0, .. } if need == half), "{refused}");
        drop(first);
        let _second = promises.keep(dir.path(), &file("b"), half, 0).expect("the first has gone");
        let refused = promises.keep(dir.path(), &file("c"), 1, u64::MAX).expect_err("all is reserved");
        assert!(refused.to_string().contains(&u64::MAX.to_string()), "{refused}");
        let _nothing = promises.keep(dir.path(), &file("d"), 0, u64::MAX).expect("it needs nothing");
    }
}
