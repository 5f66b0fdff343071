//! How far a repository is trusted.

/// git-annex's trust levels, from the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Trust {
    /// Gone for good: what is recorded of it does not count.
    Dead,
    /// May lose content without a word.
    Untrusted,
    /// Says what it has, and is asked.
    #[default]
    Semitrusted,
    /// Is believed.
    Trusted,
}
