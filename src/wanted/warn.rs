//! Oddities of an expression that git-annex accepts, errors that it refuses, and where they are.

use std::fmt;
use std::ops::Range;

/// Longest expression taken, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// How deep an expression may be nested.
pub(super) const DEEPEST: usize = 200;

/// Something odd in an expression that git-annex takes all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The bytes of the expression it is about; empty at its end where something is missing.
    pub at: Range<usize>,
    /// What is odd.
    pub what: Oddity,
}

/// What may be odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// `and`, `or` or `not` without what it is about, which counts as a match.
    MissingOperand,
    /// `and` or `or` right after an operator: it becomes a pair of its own with a match on its left.
    DoubledOperator,
    /// `and` or `or` with nothing on its left, where a match is put.
    LeadingOperator,
    /// A parenthesis that is never closed.
    Unclosed,
    /// A closing parenthesis that closes nothing, and is passed over.
    SurplusClose,
    /// A parenthesis inside another one, without `and` or `or` before it: it does not group.
    NotGrouped,
    /// `and` and `or` side by side: neither binds stronger, so `a or b and c` is `(a or b) and c`.
    MixedOperators,
    /// The glob is one that git-annex stops at when it comes to use it.
    BadGlob,
    /// An empty group, backend, glob or metadata value, which is the name of nothing.
    Empty,
    /// Something after the number that is passed over.
    AfterNumber,
    /// A number of copies below one, which everything or nothing has.
    NoCopies,
    /// A group limit that limits nothing.
    NoLimit,
    /// `present` or one like it below an odd number of negations: git-annex never uses such an expression.
    Unstable,
}

/// Why an expression does not parse. git-annex refuses it too, but for [`Fault::TooLong`] and [`Fault::TooDeep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The bytes of the expression it is about.
    pub at: Range<usize>,
    /// What is wrong there.
    pub fault: Fault,
}

/// What may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A word that is no term.
    UnknownTerm(Box<[u8]>),
    /// The term that has a malformed number.
    BadNumber(&'static str),
    /// The term that has a malformed value.
    BadValue(&'static str),
    /// A size that is none.
    BadSize,
    /// Not a name of a metadata field.
    BadField(Box<[u8]>),
    /// More than [`Expression::LONGEST`](super::Expression::LONGEST) bytes.
    TooLong,
    /// Nested deeper than [`Expression::DEEPEST`](super::Expression::DEEPEST).
    TooDeep,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingOperand => "nothing to apply this to, which counts as a match",
            Self::DoubledOperator => "an operator right after another; the left side that is missing counts as a match",
            Self::LeadingOperator => "nothing on the left, which counts as a match",
            Self::Unclosed => "this parenthesis is not closed",
            Self::SurplusClose => "this parenthesis closes nothing",
            Self::NotGrouped => "without `and` or `or` before it, a parenthesis inside another does not group",
            Self::MixedOperators => "`and` and `or` bind alike, from the left; parentheses would make it clear",
            Self::BadGlob => "git-annex stops with an error at this glob",
            Self::Empty => "an empty name",
            Self::AfterNumber => "what follows the number is passed over",
            Self::NoCopies => "a number below one",
            Self::NoLimit => "a group limit without a group",
            Self::Unstable => "negated, this makes the whole expression unstable, and git-annex never uses it",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at.start + 1, self.what)
    }
}

/// In git-annex's words where it has some.
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::UnknownTerm(word) => write!(f, "near \"{}\"", word.escape_ascii()),
            Fault::BadNumber(term) => write!(f, "bad number for {term}"),
            Fault::BadValue(term) => write!(f, "bad value for {term}"),
            Fault::BadSize => f.write_str("bad size"),
            Fault::BadField(name) => write!(f, "Illegal metadata field name, \"{}\"", name.escape_ascii()),
            Fault::TooLong => write!(f, "longer than {LONGEST} bytes"),
            Fault::TooDeep => write!(f, "nested deeper than {DEEPEST}"),
        }
    }
}

impl std::error::Error for ParseError {}
