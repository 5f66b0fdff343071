//! One result of trying a store out.

use std::time::Instant;

use serde::Serialize;

use crate::Result;

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It works, or is so.
    Yes,
    /// It does not, and nothing here needs it.
    No,
    /// It does not, and the remote cannot be used like this.
    Failed,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was asked.
    pub what: &'static str,
    /// The answer.
    pub verdict: Verdict,
    /// In a few words: a figure, or what went wrong.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

impl Finding {
    /// A finding from the outcome of a trial; a failure becomes `otherwise`.
    pub fn of(what: &'static str, started: Instant, outcome: Result<String>, otherwise: Verdict) -> Self {
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (verdict, detail) = match outcome {
            Ok(detail) => (Verdict::Yes, detail),
            Err(e) => (otherwise, e.to_string()),
        };
        Self { what, verdict, detail, milliseconds }
    }
}
