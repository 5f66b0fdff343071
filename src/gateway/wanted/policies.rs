//! A repository's policy, compiled once and kept until its logs change.

use std::sync::{Arc, Mutex, PoisonError};

use super::PolicyLogs;
use crate::annex::branch::BranchError;
use crate::annex::repository::Repository;
use crate::wanted::Policy;

/// The last policy, and the logs it was made of.
#[derive(Debug, Default)]
pub struct Policies {
    last: Mutex<Option<(PolicyLogs, Arc<Policy>)>>,
    rebalance: bool,
}

impl Policies {
    /// With `--rebalance`, or without.
    pub fn new(rebalance: bool) -> Self {
        Self { last: Mutex::default(), rebalance }
    }

    /// The policy of `repository` as it is now. Reads ten logs, and compiles them where one of them changed; whoever decides
    /// about many keys at once asks for it once.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn current(&self, repository: &Repository) -> Result<Arc<Policy>, BranchError> {
        // By their bytes: times of files do not tell two changes within a tick of the clock.
        let logs = PolicyLogs::read(repository)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, policy)) = last.as_ref()
            && *of == logs
        {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(Policy::new(logs.configuration(self.rebalance)));
        *last = Some((logs, Arc::clone(&policy)));
        Ok(policy)
    }
}
