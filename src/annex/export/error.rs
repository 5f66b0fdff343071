//! Why the steps of an export could not be determined.

use std::{fmt, io};

use super::db::DbError;
use crate::annex::git::BranchError;

/// Why the work cannot be told. Shown on one line.
#[derive(Debug)]
pub enum WorkError {
    /// A tree or the log could not be read.
    Branch(BranchError),
    /// The database could not be read or written.
    Db(DbError),
    /// The mark could not be read.
    Mark(io::Error),
}

impl From<BranchError> for WorkError {
    fn from(e: BranchError) -> Self {
        Self::Branch(e)
    }
}

impl From<DbError> for WorkError {
    fn from(e: DbError) -> Self {
        Self::Db(e)
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(e) => e.fmt(f),
            Self::Db(e) => e.fmt(f),
            Self::Mark(e) => write!(f, "mark of an export: {e}"),
        }
    }
}

impl std::error::Error for WorkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Branch(e) => Some(e),
            Self::Db(e) => Some(e),
            Self::Mark(e) => Some(e),
        }
    }
}
