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

impl Trust {
    /// The level as git-annex writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Semitrusted => "semitrusted",
            Self::Untrusted => "untrusted",
            Self::Dead => "dead",
        }
    }

    /// The level that is written so; `None` where it is none.
    pub fn of_word(word: &[u8]) -> Option<Self> {
        let all = [Self::Dead, Self::Untrusted, Self::Semitrusted, Self::Trusted];
        all.into_iter().find(|level| level.word().as_bytes() == word)
    }
}
