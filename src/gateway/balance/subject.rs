//! The keys that are recorded anywhere, one after the other.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::names::Names;
use crate::annex::branch::{Branch, BranchError};
use crate::annex::log::LocationLog;
use crate::annex::repository::Repository;
use crate::name::Key;

/// A key, what it is known as, and where it is recorded to be.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The key.
    pub key: Key,
    /// The files that it is known as.
    pub files: Vec<Vec<u8>>,
    /// Where it is recorded to be.
    pub log: LocationLog,
    /// Whether it may have metadata.
    pub may_have_metadata: bool,
}

impl Subject {
    /// The same, where it is recorded to be now. Blocks.
    pub fn again(&self, branch: &Branch) -> Result<Self, BranchError> {
        Ok(Self { log: branch.locations(&self.key)?, ..self.clone() })
    }
}

/// Gives each key of the branch to `each`, in an order that is always the same but for what waits in the journal, until it breaks
/// off. Holds one log, and the names of those that wait. Blocks.
pub fn subjects(
    repository: &Repository,
    names: &Names,
    each: &mut dyn FnMut(Subject) -> ControlFlow<()>,
) -> Result<(), BranchError> {
    let branch = repository.branch();
    // First what waits: what is committed meanwhile is met in the branch.
    let mut waiting = HashSet::new();
    branch.waiting_locations(&mut |found| {
        waiting.insert(found.key);
        Ok(())
    })?;
    let metadata = branch.waiting_metadata()?;
    let mut failed = None;
    let mut give = |key: &Key, log: Option<&[u8]>, has_metadata: Option<bool>| {
        // What is stored on a chunked remote is not recorded as a chunk.
        if key.is_chunk() {
            return ControlFlow::Continue(());
        }
        let log = match log {
            Some(log) => Ok(LocationLog::parse(log)),
            None => branch.locations(key),
        };
        match log {
            Ok(log) => {
                let may_have_metadata = has_metadata.unwrap_or(true) || metadata.contains(key);
                each(Subject { key: key.clone(), files: names.of(key), log, may_have_metadata })
            }
            Err(e) => {
                failed = Some(e);
                ControlFlow::Break(())
            }
        }
    };
    let tip = branch.tip()?;
    let walked = branch.location_changes(None, tip, b"", &mut |found| {
        let waits = waiting.remove(found.key);
        give(found.key, (!waits).then_some(found.new), found.has_metadata)
    });
    if walked.map_err(|(_, e)| e)?.is_whole {
        for key in &waiting {
            if give(key, None, None).is_break() {
                break;
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
