//! Work for the data thread.

use super::verdict::Asked;
use crate::proto::special::{FileName, Key};

/// What is to be done.
pub(super) enum Work {
    Prove { owner: String },
    Store { key: Key, at: At, file: FileName },
    Retrieve { key: Key, at: At, file: FileName },
    Check { key: Key, at: At },
    Remove { key: Key, at: At },
    Rename { key: Key, from: FileName, to: FileName },
    RemoveDirectory { directory: FileName },
    List,
    Import { name: FileName, file: FileName },
    MakeKey { name: FileName, size: u64 },
}

/// Where the content of a key is.
pub(super) enum At {
    /// Where its name says.
    Own,
    /// At this place in an exported tree.
    Exported(FileName),
    /// At this place in a tree that others write.
    Imported(FileName),
}

impl Work {
    /// The key it is about, where it is about one.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Work::Store { key, .. }
            | Work::Retrieve { key, .. }
            | Work::Check { key, .. }
            | Work::Remove { key, .. }
            | Work::Rename { key, .. } => Some(key),
            Work::Prove { .. }
            | Work::RemoveDirectory { .. }
            | Work::List
            | Work::Import { .. }
            | Work::MakeKey { .. } => None,
        }
    }

    /// Whether content moves.
    pub(super) fn moves(&self) -> bool {
        matches!(self, Work::Store { .. } | Work::Retrieve { .. } | Work::Import { .. })
    }

    pub(super) fn asked(&self) -> Asked {
        match self {
            Work::Prove { .. } => Asked::Ready,
            Work::Store { .. } | Work::Retrieve { .. } => Asked::Transfer,
            Work::Check { .. } => Asked::Presence,
            Work::Remove { .. } | Work::RemoveDirectory { .. } => Asked::Removal,
            Work::Rename { .. } | Work::List | Work::Import { .. } | Work::MakeKey { .. } => Asked::Tree,
        }
    }
}
