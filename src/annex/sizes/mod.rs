//! How much each repository holds, and room reserved for uploads in progress.
//!
//! Sizes are sums over the location logs of the git-annex branch, each key with the size that its name tells, as git-annex
//! counts them. The sums of one commit are kept in a [database](db) of our own; what changed since is found by comparing
//! trees, and what waits in the journals is added with each look. git-annex's own database is left alone.
//!
//! Room for an upload is [reserved](Sizes::reserve) in the same transaction in which its place is chosen, and all processes
//! on the repository see it. It counts until the upload has ended and the location log tells what became of it:
//!
//! ```text
//!  reserve ──> under way ──> ended ──────────────────> forgotten
//!                │            ^   the sums are of a later commit
//!                └────────────┘
//!        recorded, given up, or its process is gone
//! ```
//!
//! A look at the logs is good for a choice while the sums are of the same commit: only uploads that had ended before the look
//! are told by the logs alone, all others count as uploads where the logs do not tell of them.

mod amount;
mod count;
mod db;
mod error;
mod owner;
mod reserve;
mod tables;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use amount::Amount;
pub use error::SizesError;
pub use reserve::{Reservation, Usage};

use super::lock::{LockFile, LockKind};
use super::repository::Repository;
use crate::name::Uuid;
use count::{BATCH, Batch};
use db::Db;
use reserve::Desk;
use tables::Table;

/// The sizes of the repositories that one repository knows of. One for all threads of a process. What it does takes the disk,
/// so it belongs on pool threads.
pub struct Sizes {
    repository: Arc<Repository>,
    desk: Mutex<Desk>,
    batch: usize,
    counter: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

/// How often a look is taken that others disturb.
const TRIES: usize = 100;

/// Pause between two looks at whether another process has counted.
const PAUSE: Duration = Duration::from_millis(20);

impl Sizes {
    /// Those that `repository` knows of. Nothing is read yet.
    pub fn new(repository: Arc<Repository>) -> Self {
        let desk = Mutex::new(Desk::new(Db::new(Self::dir(&repository))));
        Self { repository, desk, batch: BATCH, counter: Mutex::default(), stop: Arc::default() }
    }

    /// The same, counted in batches of `batch` logs.
    #[cfg(test)]
    fn in_batches(repository: Arc<Repository>, batch: usize) -> Self {
        let mut sizes = Self::new(repository);
        sizes.batch = batch;
        sizes
    }

    /// Where they are kept.
    fn dir(repository: &Repository) -> PathBuf {
        repository.db_dir().join("stream/sizes")
    }

    /// Counts until the sums are of the commit that the branch is at. The first time that takes as long as the branch is large;
    /// what was counted is kept when it is ended or killed, and the next goes on from there. Of several processes one counts.
    /// `stop` is asked for each log.
    ///
    /// # Errors
    ///
    /// [`SizesError::Stopped`] where `stop` said so; else what could not be read or written.
    pub fn count(&self, stop: &dyn Fn() -> bool) -> Result<(), SizesError> {
        count(&self.repository, self.batch, stop)
    }

    /// Does the same on a thread of its own, unless it is counting already. It ends when this is dropped.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn count_in_background(&self) -> Result<(), SizesError> {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if counter.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        let (repository, batch, stop) = (Arc::clone(&self.repository), self.batch, Arc::clone(&self.stop));
        let work = move || match count(&repository, batch, &|| stop.load(Ordering::Relaxed)) {
            Ok(()) | Err(SizesError::Stopped) => {}
            Err(e) => tracing::warn!("{}: {e}", repository.path().display()),
        };
        let thread = std::thread::Builder::new().name("sizes".to_string()).spawn(work);
        *counter = Some(thread.map_err(SizesError::io("start a thread for", self.repository.path()))?);
        Ok(())
    }

    /// What each repository is recorded to hold now, as `git annex maxsize` says it, by uuid: those with a key alone. Branches
    /// that arrived from elsewhere count once they are merged. What was not counted yet is counted before.
    ///
    /// # Errors
    ///
    /// That is unknown.
    pub fn recorded(&self) -> Result<BTreeMap<Uuid, Amount>, SizesError> {
        for _ in 0..TRIES {
            self.count(&|| false)?;
            let mut desk = self.desk();
            let Some(state) = desk.look(self.branch(), false)? else { continue };
            let sums = desk.db().with(&mut |db| {
                // Both are read at one moment.
                let read = db.transaction()?;
                Ok((tables::state(&read)?, tables::amounts(&read, Table::Sum)?))
            })?;
            if let (now, mut sums) = sums
                && now.turn == state.turn
            {
                desk.waiting().sum().iter().for_each(|(uuid, amount)| sums.add(uuid, amount));
                return Ok(sums
                    .iter()
                    .filter(|(_, amount)| amount.keys > 0)
                    .map(|(uuid, amount)| (uuid.clone(), amount))
                    .collect());
            }
        }
        Err(SizesError::Busy)
    }

    fn branch(&self) -> &super::branch::Branch {
        self.repository.branch()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // What a panic left undone there is found out from the database.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sizes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Counts in batches of `batch` logs.
fn count(repository: &Repository, batch: usize, stop: &dyn Fn() -> bool) -> Result<(), SizesError> {
    // A connection of its own: choices go on beside it.
    let mut db = Db::new(Sizes::dir(repository));
    let mut alone: Option<LockFile> = None;
    loop {
        match count::step(&mut db, repository.branch(), batch, stop)? {
            Batch::Arrived(_) => return Ok(()),
            Batch::More if alone.is_some() => {}
            Batch::More => {
                let path = db.dir().join("count.lck");
                alone = LockFile::try_lock(&path, LockKind::Exclusive, 0o666).map_err(SizesError::io("lock", &path))?;
                if alone.is_none() {
                    if stop() {
                        return Err(SizesError::Stopped);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}
