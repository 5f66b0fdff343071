//! Why a request failed, as far as a client can act on it.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::annex::branch::BranchError;
use crate::annex::content::ContentError;

/// A request that failed: the kind decides the answer on each wire, the words are for people. One line, no secrets.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    words: String,
    is_answer: bool,
}

/// What a client can make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The content is locked, or was by somebody who is gone.
    Locked,
    /// The time until which it might be removed is over.
    TooLate,
    /// The repository takes no content of this kind.
    Refused,
    /// The disk is full, or what must stay free would be used.
    Full,
    /// No repository that may take it has room for it within its maxsize.
    NoRoom,
    /// Too much is going on; later may be better.
    Busy,
    /// It could not be done or told.
    Broken,
}

impl FailureKind {
    /// Every kind, for counters.
    pub const ALL: [Self; 7] =
        [Self::Locked, Self::TooLate, Self::Refused, Self::Full, Self::NoRoom, Self::Busy, Self::Broken];

    /// The word logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::TooLate => "too_late",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::NoRoom => "no_room",
            Self::Busy => "busy",
            Self::Broken => "broken",
        }
    }
}

impl Failure {
    /// Too much of `what` is going on.
    pub fn busy(what: &str) -> Self {
        Self { kind: FailureKind::Busy, words: format!("{what}; try again later"), is_answer: false }
    }

    /// Any other, in words for people: one line, no secrets.
    pub fn new(kind: FailureKind, words: String) -> Self {
        Self { kind, words, is_answer: false }
    }

    /// Something in the program itself went wrong.
    pub fn internal(words: String) -> Self {
        Self { kind: FailureKind::Broken, words, is_answer: false }
    }

    /// It is not done here, or not any more.
    pub fn refused(words: String) -> Self {
        Self { kind: FailureKind::Refused, words, is_answer: false }
    }

    /// The time until which content might be removed is over.
    pub fn too_late() -> Self {
        ContentError::TooLate.into()
    }

    /// A special remote failed; git-annex's words stand before its own.
    pub fn remote(error: &remotes::Error) -> Self {
        use remotes::Kind;
        let kind = match error.kind() {
            Kind::DiskFull | Kind::Reserve => FailureKind::Full,
            Kind::Throttled => FailureKind::Busy,
            Kind::TooLate => FailureKind::TooLate,
            Kind::ReadOnly | Kind::Unsupported | Kind::TooLarge | Kind::NoCredentials => FailureKind::Refused,
            _ => FailureKind::Broken,
        };
        Self { kind, words: format!("proxied special remote reports: {error}"), is_answer: false }
    }

    /// The system refused while `doing` something.
    pub fn io(doing: &str, error: &io::Error) -> Self {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let kind = if full { FailureKind::Full } else { FailureKind::Broken };
        Self { kind, words: format!("{doing}: {error}"), is_answer: false }
    }

    /// The same, where another repository said so: it was reached, whatever it could not do.
    pub fn answered(self) -> Self {
        Self { is_answer: true, ..self }
    }

    /// Whether it is what another repository answered.
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// What a client can make of it.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        let kind = match &error {
            ContentError::Locked => FailureKind::Locked,
            ContentError::TooLate => FailureKind::TooLate,
            ContentError::Insecure { .. } | ContentError::Unverifiable { .. } | ContentError::OldVersion => {
                FailureKind::Refused
            }
            ContentError::Reserve { .. } | ContentError::DiskFull => FailureKind::Full,
            ContentError::WrongLength { .. } | ContentError::Hook { .. } | ContentError::Io { .. } => {
                FailureKind::Broken
            }
        };
        Self { kind, words: error.to_string(), is_answer: false }
    }
}

impl From<Arc<BranchError>> for Failure {
    fn from(error: Arc<BranchError>) -> Self {
        let kind = if error.is_full() { FailureKind::Full } else { FailureKind::Broken };
        Self { kind, words: format!("record the location: {error}"), is_answer: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line: String = self.words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        f.write_str(&line)
    }
}

impl std::error::Error for Failure {}
