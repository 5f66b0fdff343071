//! Problems of expressions, for whoever configured them.

use super::ast::Name;
use super::plan::Unstable;
use super::warn::{ParseError, Warning};
use crate::name::Uuid;

/// Something about an expression that whoever configured it should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose expression it is.
    pub of: Origin,
    /// What is the matter.
    pub what: Matter,
}

/// Where an expression is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// What a repository wants.
    Wanted(Uuid),
    /// What is required of a repository.
    Required(Uuid),
    /// What repositories with `groupwanted` in this group want.
    GroupWanted(Name),
}

/// What may be the matter with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// It does not parse: all that the repository wants and requires is `present` instead.
    Unparsed(ParseError),
    /// It parses, but has an oddity.
    Odd(Warning),
    /// All that the repository wants and requires never matches.
    Unstable(Unstable),
}
