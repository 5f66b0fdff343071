//! Why content could not be kept, locked or removed.

use std::fmt;
use std::io;

/// What went wrong with the content of one key. Shows on one line, without the path of the repository.
#[derive(Debug)]
pub enum ContentError {
    /// Somebody holds the content, or held it and died less than ten minutes ago.
    Locked,
    /// The repository has a version before 10, where content is locked in a way this program cannot.
    OldVersion,
    /// The time until which it might be removed has passed.
    TooLate,
    /// `annex.securehashesonly` is set and the key's hash is not secure.
    Insecure {
        /// The backend of the key.
        backend: String,
    },
    /// The key has a hash that this program cannot compute, so the content cannot be proven.
    Unverifiable {
        /// The backend of the key.
        backend: String,
    },
    /// The content would eat into `annex.diskreserve`.
    Reserve {
        /// Bytes that are still to come.
        need: u64,
        /// Bytes that are free on the disk and promised to nobody.
        free: u64,
        /// Bytes that have to stay free.
        reserve: u64,
    },
    /// The disk, or a quota, is full.
    DiskFull,
    /// Content of another length than the key tells, or than the caller does.
    WrongLength {
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// A program of the user's failed or took too long.
    Hook {
        /// Which one, such as `secure-erase-annex`.
        name: &'static str,
        /// How it ended.
        detail: String,
    },
    /// The system refused. Nothing is known of the content then.
    Io {
        /// What was tried, such as `open`.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl ContentError {
    /// For `map_err`: an error of the system while `doing` something. A full disk becomes [`DiskFull`](Self::DiskFull).
    pub fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io { doing, source },
        }
    }

    /// Whether another try, later, may go better.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Locked | Self::Reserve { .. } | Self::DiskFull | Self::Io { .. })
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("content is locked"),
            Self::OldVersion => f.write_str("content of repositories before version 10 can not be locked or removed"),
            Self::TooLate => f.write_str("the time to remove the content has passed"),
            Self::Insecure { backend } => {
                write!(f, "annex.securehashesonly forbids content of {backend} keys")
            }
            Self::Unverifiable { backend } => write!(f, "cannot verify content of {backend} keys"),
            Self::Reserve { need, free, reserve } => {
                write!(f, "not enough free space: {need} bytes to come, {free} free, {reserve} to be kept free")
            }
            Self::DiskFull => f.write_str("disk full"),
            Self::WrongLength { expected, got } => write!(f, "{got} bytes of content where {expected} belong"),
            Self::Hook { name, detail } => write!(f, "{name}: {detail}"),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for ContentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
