//! Lines that are ours alone: `--stream ...`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
    /// How full in percent a repository is from which on `fullybalanced` moves its files: annex.fullybalancedthreshhold.
    Threshold(u64),
    /// The preferred directory of a repository that there is.
    PreferredDir(Name, Name),
    /// A value of a field of a file's metadata that `metadata` cannot set: the file, the field, and the value.
    Metadata(Name, Name, Name),
    /// Everybody learns everything, connected or not.
    Known,
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
            [b"threshold", percent] => {
                let percent = std::str::from_utf8(percent).ok().and_then(|percent| percent.parse().ok());
                Self::Threshold(percent.ok_or_else(bad)?)
            }
            [b"preferreddir", repo, dir] => Self::PreferredDir((*repo).into(), plain(dir).ok_or_else(bad)?),
            [b"metadata", file, field, value] => {
                Self::Metadata((*file).into(), plain(field).ok_or_else(bad)?, plain(value).ok_or_else(bad)?)
            }
            [b"known"] => Self::Known,
            _ => return Err(bad()),
        })
    }
}

/// Any bytes as one word: base64 behind a `!` where they are none by themselves.
pub(super) fn word(bytes: &[u8]) -> Vec<u8> {
    let is_word = !bytes.is_empty() && !bytes.starts_with(b"!") && bytes.iter().all(u8::is_ascii_graphic);
    if is_word { bytes.to_vec() } else { format!("!{}", STANDARD.encode(bytes)).into_bytes() }
}

/// The bytes that such a word stands for.
fn plain(word: &[u8]) -> Option<Name> {
    match word {
        [b'!', coded @ ..] => STANDARD.decode(coded).ok().map(Name::from),
        _ => Some(word.into()),
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
