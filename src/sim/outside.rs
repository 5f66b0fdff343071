//! What a sim needs of the world: a person to tell, and the repository that it is run in.

use super::files::Fields;
use super::script::{Name, Problem};
use crate::name::{Key, Uuid};
use crate::wanted::Trust;

/// Asked while commands are run.
pub trait Outside {
    /// Tells a sentence to the person, as git-annex does: after an empty line, and indented.
    fn say(&mut self, sentence: &str);

    /// The repository that is called so here, for `use NAME CALLED`.
    ///
    /// # Errors
    /// There is none.
    fn used(&mut self, name: &[u8], called: &[u8]) -> Result<Used, Problem>;

    /// Annexed files of the work tree that an expression matches, for `addtree`.
    ///
    /// # Errors
    /// They cannot be listed.
    fn tree(&mut self, expression: &[u8]) -> Result<Vec<Found>, Problem>;
}

/// A sim that is run nowhere: nobody listens, and there are no repositories or files but its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Outside for Nowhere {
    fn say(&mut self, _: &str) {}

    fn used(&mut self, _: &[u8], _: &[u8]) -> Result<Used, Problem> {
        Err(Problem("`use` needs a repository, and there is none here".to_string()))
    }

    fn tree(&mut self, _: &[u8]) -> Result<Vec<Found>, Problem> {
        Err(Problem("`addtree` needs a repository, and there is none here".to_string()))
    }
}

/// A repository that there is, as it is configured.
#[derive(Debug, Clone)]
pub struct Used {
    /// Who it is.
    pub uuid: Uuid,
    /// Whether it is a special remote.
    pub is_special: bool,
    /// How far it is trusted.
    pub trust: Trust,
    /// Its groups.
    pub groups: Vec<Name>,
    /// Its preferred content; empty where none is set.
    pub wanted: Name,
    /// Its required content; empty where none is set.
    pub required: Name,
    /// Bytes that it may hold.
    pub maxsize: Option<u64>,
    /// For `inpreferreddir`.
    pub preferreddir: Option<Name>,
    /// What `groupwanted` stands for in its groups.
    pub groupwanted: Vec<(Name, Name)>,
}

/// An annexed file.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub file: Name,
    /// Its key.
    pub key: Key,
    /// The metadata of the key.
    pub metadata: Fields,
}
