//! Which upload of this process owns which ledger.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A path that nobody else in this process has, until this is dropped.
#[derive(Debug)]
pub(super) struct Claim(PathBuf);

impl Claim {
    /// `None` where somebody has it.
    pub(super) fn take(path: &Path) -> Option<Self> {
        claimed().insert(path.to_path_buf()).then(|| Self(path.to_path_buf()))
    }

    /// Whether somebody in this process has it.
    pub(super) fn is_taken(path: &Path) -> bool {
        claimed().contains(path)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        claimed().remove(&self.0);
    }
}

fn claimed() -> MutexGuard<'static, HashSet<PathBuf>> {
    static CLAIMED: OnceLock<Mutex<HashSet<PathBuf>>> = OnceLock::new();
    // Each change is one step, so a panic elsewhere leaves the set whole.
    CLAIMED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}
