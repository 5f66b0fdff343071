//! Who a reservation belongs to: a process, as long as it has its lock file.
//!
//! The number of a process says nothing: another container has the same, and another process gets it. The system lets go of a
//! lock whatever a process ends by, so who can take it knows for sure that the other is gone.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::SizesError;
use crate::annex::fresh;
use crate::annex::lock::{LockFile, LockKind};

/// This process, as others see it.
pub(super) struct Owner {
    name: String,
    lock: LockFile,
}

/// A process that is gone. Nobody else deals with what it left until this is dropped.
pub(super) struct Gone(LockFile);

/// What names of lock files begin with.
const PREFIX: &str = "owner";

impl Owner {
    /// Takes a lock file that nobody else has, below `dir`.
    pub(super) fn new(dir: &Path) -> Result<Self, SizesError> {
        let dir = folder(dir);
        fs::create_dir_all(&dir).map_err(SizesError::io("make", &dir))?;
        loop {
            let name = fresh::name(PREFIX).map_err(SizesError::io("make", &dir))?;
            let path = dir.join(&name);
            let lock = LockFile::try_lock(&path, LockKind::Exclusive, 0o666).map_err(SizesError::io("lock", &path))?;
            if let Some(lock) = lock {
                return Ok(Self { name, lock });
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // One that stays is taken for gone, and removed then.
        let _ = fs::remove_file(self.lock.path());
    }
}

impl Gone {
    /// The owners that have a lock file. One that was killed leaves its own.
    pub(super) fn all(dir: &Path) -> BTreeSet<String> {
        let Ok(files) = fs::read_dir(folder(dir)) else { return BTreeSet::new() };
        let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
        names.filter(|name| is_name(name)).collect()
    }

    /// Whether the owner `name` is gone. `None` where it is not, or where somebody else deals with that.
    pub(super) fn look(dir: &Path, name: &str) -> Result<Option<Self>, SizesError> {
        let dir = folder(dir);
        if !is_name(name) {
            return Err(SizesError::io("look for an owner of uploads in", &dir)(io::ErrorKind::InvalidData.into()));
        }
        let path = dir.join(name);
        fs::create_dir_all(&dir).map_err(SizesError::io("make", &dir))?;
        let lock = LockFile::try_lock(&path, LockKind::Exclusive, 0o666).map_err(SizesError::io("lock", &path))?;
        Ok(lock.map(Self))
    }

    /// What it left is dealt with.
    pub(super) fn forget(self) {
        let _ = fs::remove_file(self.0.path());
    }
}

fn folder(dir: &Path) -> PathBuf {
    dir.join("owners")
}

fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.'));
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_there_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        let owner = Owner::new(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let name = owner.name().to_string();
        let look = |name: &str| Gone::look(dir.path(), name).unwrap_or_else(|e| panic!("{e}"));
        assert!(look(&name).is_none());
        assert_eq!(Gone::all(dir.path()), [name.clone()].into());
        drop(owner);
        assert!(Gone::all(dir.path()).is_empty(), "its file is gone too");
        let gone = look(&name).expect("it is gone");
        assert!(look(&name).is_none(), "one at a time deals with it");
        gone.forget();
        assert!(!folder(dir.path()).join(&name).exists());
        assert!(Gone::look(dir.path(), "../x").is_err(), "no name is a path");
    }
}
