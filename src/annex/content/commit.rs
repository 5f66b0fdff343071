//! Moving complete content to its final place in the repository.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::config::ContentConfig;
use super::incoming::Incoming;
use super::{ContentError, hooks, modes, object};
use crate::annex::layout;
use crate::name::Key;

/// How often a move is tried again because a removal took the directory away, or something lay in the way.
const TRIES: usize = 16;

impl Incoming {
    /// Makes the first `len` bytes received the content of the key. Its digest has been checked by the caller.
    ///
    /// Success also where the content has come another way meanwhile.
    ///
    /// # Errors
    ///
    /// `WrongLength` where there are fewer bytes, or the key tells another length (the partial file is gone then),
    /// `DiskFull`, `Io`; after those it is kept.
    pub fn commit(mut self, len: u64) -> Result<(), ContentError> {
        let got = self.file.metadata().map_err(ContentError::io("look at the partial file"))?.len();
        let expected = self.key.content_len().unwrap_or(len);
        if got < len || expected != len {
            self.remove_partial();
            return Err(ContentError::WrongLength { expected, got: got.min(len) });
        }
        if got > len {
            self.truncate_to(len)?;
        }
        let content = self.content.clone();
        let config = content.config();
        modes::freeze_file(config, &self.file).map_err(ContentError::io("take write permission away"))?;
        let moved = self.settle();
        if moved.is_err() && !self.settled {
            // Best effort: whoever goes on with it can also do this.
            let _ = modes::thaw_file(config, &self.file);
        }
        moved
    }

    fn settle(&mut self) -> Result<(), ContentError> {
        let config = self.content.0.config.clone();
        if config.durable {
            self.file.sync_data().map_err(ContentError::io("sync the content"))?;
        }
        let [target, _] = object::places(&config, &self.key);
        let dir = target.parent().expect("an object lies in a directory");
        for _ in 0..TRIES {
            modes::make_dirs(&config, dir).map_err(ContentError::io("make the directory"))?;
            if !self.staged.holds(&self.file).map_err(ContentError::io("look at the partial file"))? {
                return Err(self.taken_away());
            }
            let moved = modes::in_thawed(&config, dir, || move_new(&self.staged.path, &target));
            match moved {
                Ok(()) => {
                    self.settled = true;
                    self.content.sync_dirs(dir).map_err(ContentError::io("sync the directory"))?;
                    hooks::freeze(&config, &target);
                    modes::freeze_dir(&config, dir)?;
                    return Ok(());
                }
                // A removal of the same key took the directory away again.
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.staged.path.exists() => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    if self.content.has_for_good(&self.key)? {
                        self.remove_partial();
                        modes::freeze_dir(&config, dir)?;
                        return Ok(());
                    }
                    self.set_aside(&target)?;
                }
                Err(e) => {
                    // Without content in it the directory is of no use.
                    let _ = std::fs::remove_dir(dir);
                    return Err(ContentError::io("move the content into place")(e));
                }
            }
        }
        Err(ContentError::Io { doing: "move the content into place", source: io::ErrorKind::ResourceBusy.into() })
    }

    /// Another file lies where this one was: nothing of it may be moved, or removed.
    fn taken_away(&mut self) -> ContentError {
        self.settled = true;
        let words = "another file is where it was received; do several computers share a disk without locks?";
        ContentError::Io { doing: "move the content into place", source: io::Error::other(words) }
    }

    /// Moves what lies where the content belongs to `bad/`, as git-annex's fsck does. It may be somebody's only copy of
    /// changes to an unlocked file.
    fn set_aside(&self, target: &Path) -> Result<(), ContentError> {
        set_aside(self.content.config(), &self.key, target).map(drop)
    }
}

/// Moves `target`, which is no content of `key`, to `bad/`; returns where it is. What was put there before stays.
pub(super) fn set_aside(config: &ContentConfig, key: &Key, target: &Path) -> Result<PathBuf, ContentError> {
    let failed = ContentError::io("set bad content aside");
    let bad = config.annex_dir.join("bad");
    modes::make_dirs(config, &bad).map_err(ContentError::io("make the directory for bad content"))?;
    let name = layout::key_file(key.as_bytes());
    for nth in 0..MOST_BAD {
        let mut name = name.clone();
        if nth > 0 {
            name.extend_from_slice(format!(".{nth}").as_bytes());
        }
        let aside = bad.join(OsStr::from_bytes(&name));
        match move_new(target, &aside) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => return Ok(aside),
        }
    }
    Err(failed(io::Error::other(format!("{} has too much of it already", bad.display()))))
}

/// Most files that are set aside for one key.
const MOST_BAD: usize = 100;

/// Renames, and fails with `AlreadyExists` rather than replace anything.
fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        other => return Ok(other?),
    }
    // A file system without that flag. A link does not replace either.
    match std::fs::hard_link(from, to) {
        Ok(()) => return std::fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
        Err(_) => {}
    }
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(e) => Err(e),
    }
}
