//! What one piece of work may read. Trees can hold themselves, so that a few KiB of them are more files than there are atoms.

use super::error::BranchError;

/// How much is left to be read, and whether to go on at all.
pub(in crate::annex) struct Allowance<'a> {
    entries: u64,
    bytes: u64,
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Allowance<'a> {
    /// `entries` of trees and `bytes` of trees and files; an end before that once `stop` says so.
    pub(in crate::annex) fn new(entries: u64, bytes: u64, stop: &'a dyn Fn() -> bool) -> Self {
        Self { entries, bytes, stop }
    }

    /// Takes off what was read. Errors: it was more than was left, or it is time to stop.
    pub(in crate::annex) fn read(&mut self, entries: usize, bytes: usize) -> Result<(), BranchError> {
        if (self.stop)() {
            return Err(BranchError::Stopped);
        }
        let left = |have: u64, read: usize| have.checked_sub(read as u64);
        match (left(self.entries, entries), left(self.bytes, bytes)) {
            (Some(entries), Some(bytes)) => (self.entries, self.bytes) = (entries, bytes),
            _ => return Err(BranchError::TooMuch("trees hold more files than are read at once")),
        }
        Ok(())
    }
}
