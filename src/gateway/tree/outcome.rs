//! The outcome of a step of an export.

use std::collections::BTreeSet;

use super::export::Exported;
use crate::annex::export::db::Note;

/// What a step did.
pub(super) struct Told {
    pub(super) notes: Vec<Note>,
    pub(super) did: Exported,
    /// Names that were left out, since somebody left there what is not to be moved.
    pub(super) blocked: BTreeSet<Vec<u8>>,
}

impl Told {
    pub(super) fn of(notes: Vec<Note>, did: Exported) -> Self {
        Self { notes, did, blocked: BTreeSet::new() }
    }

    /// Nothing, since the store keeps another file under so many names.
    pub(super) fn refused(impossible: usize) -> Self {
        Self::of(Vec::new(), Exported { impossible, ..Exported::default() })
    }
}
