//! Why sizes are unknown, or room could not be reserved.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::annex::branch::BranchError;

/// A failure that leaves what repositories hold unknown. Shown on one line.
#[derive(Debug)]
pub enum SizesError {
    /// What is recorded could not be read.
    Branch(BranchError),
    /// The database could not be read or written.
    Db {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A file beside the database could not be used.
    Io {
        /// What was tried: `read`, `lock`, ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They are being counted, which takes a while.
    Counting,
    /// What is recorded changed each time it was looked at.
    Busy,
    /// Whoever counts was told to end.
    Stopped,
}

impl SizesError {
    pub(super) fn db(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Db { path: path.to_path_buf(), source }
    }

    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_path_buf(), source }
    }

    /// Whether the disk is full, which is worth telling a client.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Branch(e) => e.is_full(),
            Self::Db { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Counting | Self::Busy | Self::Stopped => false,
        }
    }
}

impl From<BranchError> for SizesError {
    fn from(e: BranchError) -> Self {
        match e {
            BranchError::Stopped => Self::Stopped,
            e => Self::Branch(e),
        }
    }
}

impl fmt::Display for SizesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(e) => e.fmt(f),
            Self::Db { path, source } => write!(
                f,
                "sizes of repositories: {}: {source}; the database can be deleted while nothing runs here, and is then counted \
                 anew",
                path.display()
            ),
            Self::Io { what, path, source } => {
                write!(f, "sizes of repositories: {what} {}: {source}", path.display())
            }
            Self::Counting => f.write_str("sizes of repositories: they are being counted; try again in a minute"),
            Self::Busy => f.write_str("sizes of repositories: the git-annex branch kept changing; try again"),
            Self::Stopped => f.write_str("sizes of repositories: counting was ended before it was done"),
        }
    }
}

impl std::error::Error for SizesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Branch(e) => Some(e),
            Self::Db { source, .. } => Some(source),
            Self::Io { source, .. } => Some(source),
            Self::Counting | Self::Busy | Self::Stopped => None,
        }
    }
}
