//! What repositories want: the logs and files of a served repository behind the evaluator of preferred content.
//!
//! ```text
//! logs of the git-annex branch --> Configuration --> Policy (kept while the logs stay the same)
//! location log, metadata, urls, .gitattributes, unused keys, sizes --> KeyFacts (each read when an answer depends on it)
//! ```
//!
//! Which file a term needs is told in `docs/semantics.md`. What cannot be read is an error, and never "not wanted".

mod configuration;
mod facts;
mod numbers;
mod policies;
mod sizes;
#[cfg(test)]
mod tests;
mod unused;

pub use configuration::PolicyLogs;
pub use facts::{FactSource, KeyFacts};
pub use numbers::copies;
pub use policies::Policies;
pub use sizes::{Counted, NotCounted, Sizes};
