//! An expression compiled for one repository of a policy.

use super::ast::{Balance, Comparison, Joint, Name};
use super::facts::Mime;
use super::glob::Glob;
use super::repos::RepoSet;
use super::size::Bytes;

/// An expression ready to be decided: `standard` and `groupwanted` are expanded, groups are sets.
///
/// Made by [`Policy::compile`](super::Policy::compile), and of use with that policy alone.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(in crate::wanted) root: Step,
    pub(in crate::wanted) unstable: Option<Unstable>,
}

impl Plan {
    /// The term for which git-annex never uses the expression, where there is one.
    pub fn unstable(&self) -> Option<&Unstable> {
        self.unstable.as_ref()
    }

    /// What stands for an expression that does not parse. Source: recorded.
    pub(in crate::wanted) fn present() -> Self {
        Self { root: Step::Test(Test::Present, b"present"[..].into()), unstable: None }
    }
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Step {
    /// With the word that it was.
    Test(Test, Name),
    Not(Box<Step>),
    /// As [`Node::Sequence`](super::ast::Node).
    Sequence(Vec<(Joint, Step)>),
    /// `standard` or `groupwanted`, and what it stands for.
    Expanded(Name, Box<Step>),
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Test {
    Constant(bool),
    Include(Glob),
    Exclude(Glob),
    Copies {
        of: Mask,
        least: i64,
    },
    LackingCopies {
        of: Mask,
        least: i64,
        approximately: bool,
    },
    InBackend(Name),
    SecureHash,
    InAllGroup(RepoSet),
    OnlyInGroup(RepoSet),
    SmallerThan(Bytes),
    LargerThan(Bytes),
    Metadata {
        field: Name,
        value: Wanted,
    },
    Url(Glob),
    Present,
    InPreferredDir,
    Unused,
    Mime(Mime, Glob),
    /// Of the group with this number; of none that has members where it has none.
    Balanced {
        how: Balance,
        group: Option<usize>,
        picks: Count,
    },
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Wanted {
    Like(Glob),
    /// With the number that the text is, where it is one.
    Compared(Comparison, Name, Option<f64>),
}

/// Which copies count.
#[derive(Debug, Clone)]
pub(in crate::wanted) struct Mask {
    pub repos: RepoSet,
    /// Those of repositories that the policy does not know: they are semitrusted and in no group.
    pub strangers: bool,
}

#[derive(Debug, Clone)]
pub(in crate::wanted) enum Count {
    Number(i64),
    /// What numcopies lacks when these copies count.
    Lacking(Mask),
}

/// The term that makes an expression unstable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unstable {
    /// The term as it is written: `present`, `balanced=archive:2`.
    pub term: Name,
    /// `standard` or `groupwanted`, where the term is in what that stands for.
    pub inside: Option<Name>,
}
