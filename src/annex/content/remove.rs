//! Removing content, under its lock.

use std::fs::File;
use std::io;
use std::path::Path;

use super::commit::set_aside;
use super::hold::MOMENT;
use super::proven::feed;
use super::retention::{self, LockPaths};
use super::{Content, ContentError, hooks, modes, object};
use crate::annex::backend::Verification;
use crate::annex::lock::{LockFile, LockKind};
use crate::name::Key;

impl Content {
    /// Removes the content of `key`. Success where there is none, without asking anything.
    ///
    /// `still` is asked with the lock held, immediately before content is erased or removed: false where the time until which
    /// the client may have the content removed is over.
    ///
    /// # Errors
    /// `Locked`, `TooLate`, `OldVersion`, `Io`: the content is still here. `Hook` where the content could not be erased as the
    /// user wants it: it is here where its digest proves it; else what is left of it is in `bad/`.
    pub fn remove(&self, key: &Key, still: impl Fn() -> bool) -> Result<(), ContentError> {
        let config = self.config();
        let looking = ContentError::io("look for the content");
        let Some(object) = object::find(config, key).map_err(&looking)? else { return Ok(()) };
        // Somebody's changes to an unlocked file: no content of the key, and perhaps the only copy.
        if object.changeable && !self.present(key).map_err(&looking)? {
            return Ok(());
        }
        if !config.lock_files {
            return Err(ContentError::OldVersion);
        }
        for path in object::places(config, key) {
            match std::fs::symlink_metadata(&path) {
                Ok(_) => self.remove_at(key, &path, &still)?,
                Err(e) if object::is_absence(&e) => {}
                Err(e) => return Err(looking(e)),
            }
        }
        Ok(())
    }

    fn remove_at(&self, key: &Key, path: &Path, still: &impl Fn() -> bool) -> Result<(), ContentError> {
        let config = self.config();
        let paths = LockPaths::of(path);
        let taken =
            modes::in_thawed(config, &paths.dir, || LockFile::wait(&paths.lock, LockKind::Exclusive, 0o666, MOMENT));
        let lock = match taken {
            Ok(lock) => lock,
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                modes::freeze_dir(config, &paths.dir)?;
                return Err(ContentError::Locked);
            }
            // Somebody else removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(ContentError::io("lock the content")(e)),
        };
        let done = self.remove_locked(key, path, &paths, still);
        match &done {
            Ok(()) => {
                let cleaned = modes::in_thawed(config, &paths.dir, || paths.remove());
                drop(lock);
                match cleaned {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(ContentError::io("remove the lock of the content")(e));
                    }
                    _ => modes::remove_dirs(&config.annex_dir.join("objects"), &paths.dir),
                }
            }
            Err(_) => {
                // A lock file that stays does no harm.
                let _ = modes::in_thawed(config, &paths.dir, || paths.remove());
                drop(lock);
                modes::freeze_dir(config, &paths.dir)?;
            }
        }
        done
    }

    fn remove_locked(
        &self,
        key: &Key,
        path: &Path,
        paths: &LockPaths,
        still: &impl Fn() -> bool,
    ) -> Result<(), ContentError> {
        let config = self.config();
        if retention::is_retained(paths).map_err(ContentError::io("read how long to keep the content"))? {
            return Err(ContentError::Locked);
        }
        if !still() {
            return Err(ContentError::TooLate);
        }
        hooks::thaw(config, path);
        // Programs of the user's may have taken their time. What was erased is no content any more.
        let done = self.erase(key, path, still).and_then(|erased| {
            let removed = modes::in_thawed(config, &paths.dir, || match erased || still() {
                true => std::fs::remove_file(path).map(|()| true),
                false => Ok(false),
            });
            match removed {
                Ok(false) => Err(ContentError::TooLate),
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(ContentError::io("remove the content")(e)),
                _ => Ok(()),
            }
        });
        if matches!(done, Err(ContentError::TooLate)) {
            hooks::freeze(config, path);
        }
        done
    }

    /// Runs what the user wants content erased with, which may have to write to it. False where there is nothing.
    fn erase(&self, key: &Key, path: &Path, still: &impl Fn() -> bool) -> Result<bool, ContentError> {
        let config = self.config();
        if !hooks::is_erasing(config) {
            return Ok(false);
        }
        if !still() {
            return Err(ContentError::TooLate);
        }
        let file = File::open(path).map_err(ContentError::io("open the content"))?;
        modes::thaw_file(config, &file).map_err(ContentError::io("make the content writable"))?;
        let Err(failed) = hooks::erase(config, path) else { return Ok(true) };
        // It may have got halfway: what is left must not count as a copy.
        if is_proven(key, &file) {
            modes::freeze_file(config, &file).map_err(ContentError::io("protect the content"))?;
            return Err(failed);
        }
        let dir = LockPaths::of(path).dir;
        let aside = modes::in_thawed(config, &dir, || set_aside(config, key, path).map_err(io::Error::other));
        let aside = aside.map_err(ContentError::io("set half erased content aside"))?;
        Err(match failed {
            ContentError::Hook { name, detail } => {
                let aside = aside.display();
                ContentError::Hook { name, detail: format!("{detail}; the rest of the content is now {aside}") }
            }
            other => other,
        })
    }
}

/// Whether a file is for sure the content of `key`.
fn is_proven(key: &Key, file: &File) -> bool {
    let Verification::Digest(mut verifier) = Verification::for_key(key) else { return false };
    let len = file.metadata().map(|found| found.len());
    len.is_ok_and(|len| feed(file, len, &mut verifier).unwrap_or(false)) && verifier.finish()
}
