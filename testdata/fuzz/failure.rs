//! Failures, as uploads make them. The program's own know of git-annex branches and stores.

use std::fmt;
use std::io;

#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    Refused,
    Full,
    Busy,
    Broken,
}

impl Failure {
    pub fn new(kind: FailureKind, words: String) -> Self {
        Self { kind, words }
    }
    pub fn busy(what: &str) -> Self {
        Self::new(FailureKind::Busy, what.to_string())
    }
    pub fn internal(words: String) -> Self {
        Self::new(FailureKind::Broken, words)
    }
    pub fn refused(words: String) -> Self {
        Self::new(FailureKind::Refused, words)
    }
    pub fn io(doing: &str, error: &io::Error) -> Self {
        Self::internal(format!("{doing}: {error}"))
    }
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
