//! Lines that are ours alone: `--stream ...`.

use std::fmt;

use super::name::Name;
use super::problem::Problem;
use crate::name::{Key, Uuid};

/// What git-annex takes for a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// The uuid of the repository that gets this name later on: balanced choices depend on it.
    Uuid(Name, Uuid),
    /// The key of the file that is added under this name later on.
    Key(Name, Key),
    /// Whose placement is simulated from here on.
    Placement(Placement),
    /// The number of the random algorithm that the sim was made with.
    Random(u32),
}

/// Whose placement is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Placement {
    /// That of `git annex sim`: copies of any trust count, `include=` sees names with `../../../../` before them, and chains of
    /// connections are read as it reads them.
    #[default]
    GitAnnex,
    /// What git-annex's own commands and this program do: copies count by trust, names are as they are, and chains are read as
    /// they are written.
    Stream,
}

/// What the lines begin with.
pub(super) const MARK: &[u8] = b"--stream";

impl Stream {
    /// Reads the words behind `--stream`.
    pub(super) fn parse(words: &[&[u8]]) -> Result<Self, Problem> {
        let bad = || Problem(format!("malformed line of ours: --stream {}", words.join(&b' ').escape_ascii()));
        Ok(match words {
            [b"uuid", name, uuid] => Self::Uuid((*name).into(), Uuid::parse(uuid).map_err(|_| bad())?),
            [b"key", name, key] => Self::Key((*name).into(), Key::parse(key).map_err(|_| bad())?),
            [b"placement", b"git-annex"] => Self::Placement(Placement::GitAnnex),
            [b"placement", b"stream"] => Self::Placement(Placement::Stream),
            [b"random", number] => {
                let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
                Self::Random(number.ok_or_else(bad)?)
            }
            _ => return Err(bad()),
        })
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitAnnex => "git-annex",
            Self::Stream => "stream",
        })
    }
}
