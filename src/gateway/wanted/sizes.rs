//! How full repositories are: the seam to whatever counts them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::annex::log::{LocationLog, key_of_location_file};
use crate::annex::repository::Repository;
use crate::annex::sizes;
use crate::name::Uuid;

/// How many bytes of annexed content are recorded for a repository.
pub trait Sizes {
    /// Those of `uuid`; 0 where none is recorded.
    ///
    /// # Errors
    /// In a line, why that is not known.
    fn used(&self, uuid: &Uuid) -> Result<u64, String>;
}

/// Nobody counted.
pub struct NotCounted;

/// Those of a repository's [database of sizes](sizes), brought forward when they are first asked for. Whoever may not write there
/// counts all location logs: seconds for a million keys.
pub struct Counted {
    repository: Arc<Repository>,
    sums: OnceCell<Result<HashMap<Uuid, u64>, String>>,
}

impl Sizes for NotCounted {
    fn used(&self, _: &Uuid) -> Result<u64, String> {
        Err("it was not counted".to_string())
    }
}

impl Counted {
    /// Of the repositories that `repository` knows.
    pub fn new(repository: &Arc<Repository>) -> Self {
        Self { repository: Arc::clone(repository), sums: OnceCell::new() }
    }

    fn sums(&self) -> Result<HashMap<Uuid, u64>, String> {
        match sizes::Sizes::new(Arc::clone(&self.repository)).recorded() {
            Ok(recorded) => Ok(recorded.into_iter().map(|(uuid, amount)| (uuid, amount.clamped())).collect()),
            Err(e) => {
                tracing::debug!("{e}");
                self.count()
            }
        }
    }

    fn count(&self) -> Result<HashMap<Uuid, u64>, String> {
        let branch = self.repository.branch();
        let mut sums: HashMap<Uuid, u64> = HashMap::new();
        for file in branch.files_of_keys().map_err(|e| e.to_string())? {
            let Some(size) = key_of_location_file(&file).and_then(|key| key.size()) else { continue };
            for holder in LocationLog::parse(&branch.read(&file).map_err(|e| e.to_string())?).holders() {
                let sum = sums.entry(holder).or_default();
                *sum = sum.saturating_add(size);
            }
        }
        Ok(sums)
    }
}

impl Sizes for Counted {
    fn used(&self, uuid: &Uuid) -> Result<u64, String> {
        let sums = self.sums.get_or_init(|| self.sums()).as_ref().map_err(Clone::clone)?;
        Ok(sums.get(uuid).copied().unwrap_or(0))
    }
}
