//! The database of an export, read by one request.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::annex::export::db::{DbError, ExportDb};
use crate::gateway::off_this_thread;
use crate::name::Uuid;

/// What one request reads the database by: opened at the first look, and once. Each look sees what was written before it, by
/// whomever. Used on pool threads.
#[derive(Clone, Default)]
pub(super) struct Reading(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept(Option<ExportDb>);

impl Reading {
    /// What `f` reads; `None` where nothing was exported to `remote` from here.
    pub(super) fn read<T>(
        &self,
        db_dir: &Path,
        remote: &Uuid,
        f: impl FnOnce(&ExportDb) -> Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0.is_none() {
            kept.0 = ExportDb::existing(db_dir, remote)?;
        }
        kept.0.as_ref().map(f).transpose()
    }
}

impl Drop for Kept {
    /// Whoever closes a database last may have to write.
    fn drop(&mut self) {
        if let Some(db) = self.0.take() {
            off_this_thread(db);
        }
    }
}
