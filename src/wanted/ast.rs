//! An expression as parsed, before it is about any repository.

use std::ops::Range;

use super::facts::Mime;
use super::glob::Glob;
use super::size::Bytes;
use super::warn::Warning;

/// A preferred content expression as it is written.
///
/// Made by [`Expression::parse`]; [`Policy`](super::Policy) compiles it for a repository.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(in crate::wanted) text: Box<[u8]>,
    pub(in crate::wanted) root: Node,
    pub(in crate::wanted) terms: Vec<Placed>,
    pub(in crate::wanted) warnings: Vec<Warning>,
}

/// A term and the bytes of the expression it stands at.
#[derive(Debug, Clone)]
pub(in crate::wanted) struct Placed {
    pub term: Term,
    pub at: Range<usize>,
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Node {
    /// Index into [`Expression::terms`].
    Term(usize),
    Not(Box<Node>),
    /// Folded from the left, beginning with a match: an expression of any length is no deeper for it.
    Sequence(Vec<(Joint, Node)>),
}

/// How an operand is joined with what stands left of it. Both bind alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// Both must match.
    And,
    /// One must match.
    Or,
}

impl Expression {
    /// The expression as it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is odd in it, although git-annex takes it.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether nothing is said, which git-annex takes for an expression that is not set.
    pub fn is_empty(&self) -> bool {
        matches!(&self.root, Node::Sequence(list) if list.is_empty())
    }
}

/// A name of a group, of a metadata field or of a backend.
pub(in crate::wanted) type Name = Box<[u8]>;

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Term {
    Anything,
    Nothing,
    Include(Glob),
    Exclude(Glob),
    Copies { of: Counted, least: i64 },
    LackingCopies { of: Counted, least: i64, approximately: bool },
    InBackend(Name),
    SecureHash,
    InAllGroup(Name),
    OnlyInGroup(Name),
    SmallerThan(Bytes),
    LargerThan(Bytes),
    Metadata { field: Name, value: Value },
    Url(Glob),
    Present,
    InPreferredDir,
    Standard,
    GroupWanted,
    Unused,
    Mime(Mime, Glob),
    Balanced { how: Balance, group: Name, picks: Picks },
}

/// Which repositories' copies count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::wanted) enum Counted {
    All,
    Trust { level: super::Trust, or_higher: bool },
    Group(Name),
    Limit(GroupLimit),
}

/// `backup+archive-offsite`: in any of the first (where there are none: in any or none), and in none of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::wanted) struct GroupLimit {
    pub included: Vec<Name>,
    pub excluded: Vec<Name>,
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Value {
    Like(Glob),
    Compared(Comparison, Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wanted) enum Comparison {
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

/// `balanced=`, `fullybalanced=`, `sizebalanced=` and `fullysizebalanced=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wanted) struct Balance {
    pub fully: bool,
    pub by_size: bool,
}

/// How many members of the group are to hold the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::wanted) enum Picks {
    Number(i64),
    /// As many as numcopies lacks outside the group, of copies that the limit lets count.
    LackingCopies(GroupLimit),
}
