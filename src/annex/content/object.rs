//! The file that holds an object, and its state.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::config::ContentConfig;
use crate::annex::layout;
use crate::name::Key;

/// What identifies the bytes of a file as long as nobody writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// An object that is there.
#[derive(Debug)]
pub struct Object {
    /// Where it is.
    pub path: PathBuf,
    /// Its state when it was looked at.
    pub state: State,
    /// Whether somebody may write to it, as a file that is unlocked with `annex.thin` can be.
    pub changeable: bool,
}

impl State {
    /// The state `metadata` tells of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// When the file was last touched, in seconds since the epoch.
    pub fn touched(&self) -> i64 {
        self.modified.0.max(self.changed.0)
    }
}

/// The places where `key` may lie, in the order to look. New content goes to the first.
pub fn places(config: &ContentConfig, key: &Key) -> [PathBuf; 2] {
    layout::objects_candidates(key.as_bytes(), config.hashing)
        .map(|path| config.annex_dir.join(OsStr::from_bytes(&path)))
}

/// Looks for the object of `key`. `Ok(None)` only where it is certain that there is none.
///
/// # Errors
///
/// Those of the system, `NotFound` where the whole annex is gone, and `InvalidData` for something that is no file.
pub fn find(config: &ContentConfig, key: &Key) -> io::Result<Option<Object>> {
    for path in places(config, key) {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) => return object(config, path, &metadata).map(Some),
            Err(e) if is_absence(&e) => {}
            Err(e) => return Err(e),
        }
    }
    not_gone(config).map(|()| None)
}

/// Looks for the object of `key` and opens it for reading. Answers and errors as for [`find`].
pub fn open(config: &ContentConfig, key: &Key) -> io::Result<Option<(Object, File)>> {
    for path in places(config, key) {
        match open_file(&path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                return Ok(Some((object(config, path, &metadata)?, file)));
            }
            Err(e) if is_absence(&e) => {}
            Err(e) => return Err(e),
        }
    }
    not_gone(config).map(|()| None)
}

/// Whether an error of the system says that there is no such file.
pub fn is_absence(e: &io::Error) -> bool {
    // A name too long for a file system is a name no file on it has.
    let code = e.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG))
}

fn open_file(path: &Path) -> io::Result<File> {
    let options = OFlags::NOFOLLOW | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(options.bits().cast_signed()).open(path)
}

fn object(config: &ContentConfig, path: PathBuf, metadata: &Metadata) -> io::Result<Object> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an object in the annex is not a regular file"));
    }
    let writable = metadata.mode() & 0o222 != 0 && !config.crippled;
    let changeable = writable || (config.thin && metadata.nlink() > 1);
    Ok(Object { path, state: State::of(metadata), changeable })
}

/// A disk that is not mounted has no annex at all: then nothing is known of what is on it.
fn not_gone(config: &ContentConfig) -> io::Result<()> {
    std::fs::metadata(&config.annex_dir).map(drop)
}
