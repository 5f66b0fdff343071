//! Content that is locked, so that it cannot be dropped.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::retention::LockPaths;
use super::{Content, ContentError, Inner, modes, object};
use crate::annex::lock::{LockFile, LockKind};
use crate::name::Key;

/// Keeps the content of a key here until it is dropped; and ten minutes longer if the process dies first.
#[derive(Debug)]
#[must_use = "a lock that is dropped is let go"]
pub struct ContentLock {
    inner: Arc<Inner>,
    paths: LockPaths,
    lock: Option<LockFile>,
    /// Whether a time has been written.
    retained: bool,
}

/// Longest wait for a lock that is held for a moment only, as when the last of others is let go.
pub(super) const MOMENT: Duration = Duration::from_millis(100);

/// How often the lock is tried again because a removal took the directory away.
const TRIES: usize = 16;

impl Content {
    /// Locks the content of `key`, so that neither git-annex nor [`remove`](Self::remove) takes it away. `None` where it is
    /// not here. Any number of locks on a key go together.
    ///
    /// # Errors
    ///
    /// `Locked` where it is being removed; `OldVersion`; `Io`.
    pub fn lock(&self, key: &Key) -> Result<Option<ContentLock>, ContentError> {
        let config = self.config();
        if !config.lock_files {
            return Err(ContentError::OldVersion);
        }
        for _ in 0..TRIES {
            if !self.present(key).map_err(ContentError::io("look for the content"))? {
                return Ok(None);
            }
            let Some(object) = object::find(config, key).map_err(ContentError::io("look for the content"))? else {
                continue;
            };
            let paths = LockPaths::of(&object.path);
            let taken =
                modes::in_thawed(config, &paths.dir, || LockFile::wait(&paths.lock, LockKind::Shared, 0o666, MOMENT));
            let lock = match taken {
                Ok(lock) => lock,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    modes::freeze_dir(config, &paths.dir)?;
                    return Err(ContentError::Locked);
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(ContentError::io("lock the content")(e)),
            };
            let mut held = ContentLock { inner: Arc::clone(&self.0), paths, lock: Some(lock), retained: false };
            // It may have gone, or been changed, before the lock was there. Dropping `held` cleans up.
            if !self.present(key).map_err(ContentError::io("look for the content"))? {
                return Ok(None);
            }
            modes::share(config, &held.paths.lock, false).map_err(ContentError::io("share the lock"))?;
            modes::in_thawed(config, &held.paths.dir, || self.0.retentions.retain(config, &held.paths))
                .map_err(ContentError::io("write how long to keep the content"))?;
            held.retained = true;
            modes::freeze_dir(config, &held.paths.dir)?;
            return Ok(Some(held));
        }
        Err(ContentError::Locked)
    }
}

impl ContentLock {
    /// Lets go, and leaves the content to be kept for what remains of the ten minutes: for a client that vanished.
    pub fn leave(mut self) {
        self.inner.retentions.leave(&self.paths);
        self.lock = None;
    }

    fn release(&mut self) -> io::Result<()> {
        let Some(mut lock) = self.lock.take() else { return Ok(()) };
        let (config, paths) = (&self.inner.config, &self.paths);
        if self.retained {
            modes::in_thawed(config, &paths.dir, || self.inner.retentions.release(config, paths))?;
        }
        let alone = if lock.try_upgrade()? {
            Some(lock)
        } else {
            // Others have it too. Of two that end at the same moment neither can upgrade, but the later one finds it free.
            drop(lock);
            LockFile::try_lock(&paths.lock, LockKind::Exclusive, 0o666)?
        };
        let removed = match &alone {
            Some(_) => modes::in_thawed(config, &paths.dir, || paths.remove()),
            None => Ok(()),
        };
        drop(alone);
        modes::freeze_dir(config, &paths.dir).map_err(io::Error::other)?;
        // Empty where the content went before the lock was there.
        modes::remove_dirs(&config.annex_dir.join("objects"), &paths.dir);
        removed
    }
}

impl Drop for ContentLock {
    fn drop(&mut self) {
        // What fails here leaves files that lapse in ten minutes.
        let _ = self.release();
    }
}
