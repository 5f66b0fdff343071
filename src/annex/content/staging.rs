//! Where content lies until it is whole: git-annex's own place when no other transfer has it, else one of ours.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::config::ContentConfig;
use super::modes;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::{fresh, layout};
use crate::name::{Key, Uuid};

/// A file to receive into, and what keeps others away from it.
#[derive(Debug)]
pub struct Staged {
    /// The file.
    pub path: PathBuf,
    /// Whether it is git-annex's own place for the key, where bytes are found again by the next transfer.
    pub resumable: bool,
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Transfer { _locks: TransferLocks },
    Private { _othertmp: LockFile },
}

/// The locks git-annex takes to receive a key: of all receivers, and of those from one repository.
#[derive(Debug)]
struct TransferLocks(Vec<LockFile>);

/// Longest wait for the clean-up of `othertmp`, which is all that ever holds its lock alone.
const CLEANUP: Duration = Duration::from_secs(10);

impl Staged {
    /// A place for content of `key` that comes from `from`. Never waits for another transfer of the key: where one is
    /// running, in whatever process, the place is private and starts empty.
    pub fn take(config: &ContentConfig, key: &Key, from: &Uuid) -> io::Result<Self> {
        if let Some(locks) = TransferLocks::take(config, key, from)? {
            let path = shared_place(config, key);
            modes::make_dirs(config, &config.annex_dir.join("tmp"))?;
            return Ok(Self { path, resumable: true, _held: Held::Transfer { _locks: locks } });
        }
        let dir = config.annex_dir.join("othertmp");
        let lock = lock_othertmp(config)?;
        modes::make_dirs(config, &dir)?;
        Ok(Self { path: dir.join(fresh::name("receive")?), resumable: false, _held: Held::Private { _othertmp: lock } })
    }

    /// Opens the file for reading and writing: a shared one where it is, or a new one; a private one is always new.
    pub fn open(&self) -> io::Result<File> {
        if !self.resumable {
            return OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
        }
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NOCTTY).bits().cast_signed())
                .open(&self.path)
        };
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                // Left by a process that died after taking write permission away and before moving it into place.
                std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o644))?;
                open()?
            }
            other => other?,
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a partial transfer is not a regular file"));
        }
        Ok(file)
    }

    /// Whether `file` is still what lies in this place. Locks keep others away from it; where a file system has none that
    /// hold, or somebody tidied up, what is there may be anything.
    pub fn holds(&self, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// Where transfers of `key` that can be resumed are staged, in all programs.
fn shared_place(config: &ContentConfig, key: &Key) -> PathBuf {
    config.annex_dir.join("tmp").join(OsStr::from_bytes(&layout::key_file(key.as_bytes())))
}

/// Bytes that a transfer of `key` would go on from, looked at in passing: nothing is locked or made.
pub fn partial_len(config: &ContentConfig, key: &Key) -> io::Result<u64> {
    match std::fs::symlink_metadata(shared_place(config, key)) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Ok(0),
        Err(e) if super::object::is_absence(&e) => Ok(0),
        Err(e) => Err(e),
    }
}

/// Bytes of unfinished transfers that can be resumed, but for those of `others`; `None` where there are more than `most`.
///
/// # Errors
///
/// They cannot be looked at.
pub fn unfinished(config: &ContentConfig, others: &HashSet<Key>, most: usize) -> io::Result<Option<u64>> {
    let others: HashSet<Vec<u8>> = others.iter().map(|key| layout::key_file(key.as_bytes())).collect();
    let entries = match std::fs::read_dir(config.annex_dir.join("tmp")) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(0)),
        Err(e) => return Err(e),
    };
    let (mut bytes, mut count) = (0u64, 0);
    for entry in entries {
        let entry = entry?;
        count += 1;
        if count > most {
            return Ok(None);
        }
        if others.contains(entry.file_name().as_bytes()) {
            continue;
        }
        match entry.metadata() {
            Ok(found) if found.is_file() => bytes = bytes.saturating_add(found.len()),
            // It was finished meanwhile.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(Some(bytes))
}

/// The right to use `othertmp`, while nobody cleans up there.
pub fn lock_othertmp(config: &ContentConfig) -> io::Result<LockFile> {
    let lock = LockFile::wait(&config.annex_dir.join("othertmp.lck"), LockKind::Shared, 0o666, CLEANUP)?;
    modes::share(config, lock.path(), false)?;
    Ok(lock)
}

impl TransferLocks {
    fn take(config: &ContentConfig, key: &Key, from: &Uuid) -> io::Result<Option<Self>> {
        let mut name = b"lck.".to_vec();
        name.extend_from_slice(&layout::key_file(key.as_bytes()));
        let name = OsStr::from_bytes(&name);
        let downloads = config.annex_dir.join("transfer/download");
        let mut locks = Self(Vec::with_capacity(2));
        for dir in [Some(downloads.join("lck")), dir_of(&downloads, from)].into_iter().flatten() {
            match try_lock(config, &dir, &dir.join(name))? {
                Some(lock) => locks.0.push(lock),
                None => return Ok(None),
            }
        }
        Ok(Some(locks))
    }
}

impl Drop for TransferLocks {
    fn drop(&mut self) {
        for lock in &self.0 {
            // While it is held, so that nobody's lock is removed but ours. Where it fails, an unlocked file stays behind.
            let _ = std::fs::remove_file(lock.path());
        }
    }
}

/// The directory for transfers from one repository. None for a uuid that is no name for one of its own.
fn dir_of(downloads: &Path, from: &Uuid) -> Option<PathBuf> {
    let name = from.as_bytes();
    let taken = matches!(name, b"." | b".." | b"lck") || name.contains(&b'/');
    (!taken).then(|| downloads.join(OsStr::from_bytes(name)))
}

fn try_lock(config: &ContentConfig, dir: &Path, path: &Path) -> io::Result<Option<LockFile>> {
    let lock = match LockFile::try_lock(path, LockKind::Exclusive, 0o666) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            modes::make_dirs(config, dir)?;
            LockFile::try_lock(path, LockKind::Exclusive, 0o666)?
        }
        other => other?,
    };
    if lock.is_some() {
        modes::share(config, path, false)?;
    }
    Ok(lock)
}
