//! Why the branch could not be read or written.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// A failure that leaves what is recorded unknown, or unchanged. Shown on one line.
#[derive(Debug)]
pub enum BranchError {
    /// A file of the journal, or a lock, could not be used.
    Io {
        /// What was tried: `read`, `lock`, ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// git's objects or references could not be read or written.
    Git {
        /// What was tried.
        what: &'static str,
        /// What the library said.
        why: String,
    },
    /// A log, a tree or a commit is longer than is read of such, so that what it says is unknown.
    TooLong {
        /// Where it is: a file of the branch, or an object.
        what: String,
        /// Its length in bytes.
        len: u64,
    },
    /// Trees hold more than is read at once: what it was.
    TooMuch(&'static str),
    /// Trees differ in more files than a server works out: the same, and what to do.
    ForHook(&'static str),
    /// The branch was moved by others each time it was to be moved.
    Busy,
    /// Whoever records has ended, or was told to.
    Stopped,
}

impl BranchError {
    pub(in crate::annex) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_path_buf(), source }
    }

    pub(in crate::annex) fn git<E: std::error::Error + 'static>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |e| Self::Git { what, why: one_line(&e) }
    }

    pub(in crate::annex) fn too_long(what: impl fmt::Display, len: u64) -> Self {
        Self::TooLong { what: what.to_string(), len }
    }

    /// Whether the disk is full, which is worth telling a client.
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, path, source } => write!(f, "git-annex branch: {what} {}: {source}", path.display()),
            Self::Git { what, why } => write!(f, "git-annex branch: {what}: {why}"),
            Self::TooLong { what, len } => write!(
                f,
                "git-annex branch: {what} has {len} bytes or too many words, more than is read of it, so what it says is \
                 unknown; a pusher has caused this: see \"Logs that are too long\" in docs/server.md"
            ),
            Self::TooMuch(what) => {
                write!(f, "git-annex branch: {what}; the pusher meant harm, or was mistaken")
            }
            Self::ForHook(what) => write!(
                f,
                "{what}; run in the repository, or by git's hook: git-annex-remote-stream post-receive </dev/null"
            ),
            Self::Busy => f.write_str("git-annex branch: others kept moving it; try again"),
            Self::Stopped => f.write_str("git-annex branch: it was ended before that was done"),
        }
    }
}

impl std::error::Error for BranchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What an error of git's says, with its causes, on one line.
pub(in crate::annex) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let words: Vec<String> = error.to_string().split_whitespace().map(str::to_string).collect();
        let text = words.join(" ");
        if !text.is_empty() && !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}
