//! Explains an answer, term by term.

use std::fmt;

use super::ast::{Joint, Name};
use super::eval::{decides, join};
use super::facts::{Assumed, Facts, Unknown};
use super::plan::Unstable;
use super::plan::{Plan, Step};
use super::question::Question;
use super::repos::Repo;

/// The answer of a plan, and what it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Whether it matches. Never, where the expression is unstable.
    pub answer: Result<bool, Unknown>,
    /// The term that makes it unstable, where there is one.
    pub unstable: Option<Unstable>,
    /// What the parts answered.
    pub tree: Part,
}

/// A part of an expression, and what it answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A term as it is written.
    Term {
        /// The word.
        word: Name,
        /// What it answered.
        answer: Answer,
    },
    /// `not`, and what is negated.
    Not(Box<Part>),
    /// Operands with what joins each to all on its left; the first is joined to a match.
    Sequence(Vec<(Joint, Part)>),
    /// `standard` or `groupwanted`, and what it stands for.
    Expanded {
        /// The word.
        word: Name,
        /// What it stands for.
        into: Box<Part>,
    },
}

/// What a term answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It matches.
    Yes,
    /// It does not.
    No,
    /// That cannot be told.
    Unknown(Unknown),
    /// The answer was known without it.
    NotNeeded,
}

impl<F: Facts + ?Sized> Question<'_, F> {
    /// What a plan of this policy answers for a repository, and why.
    pub fn explain(&self, plan: &Plan, repo: Repo, assumed: &Assumed) -> Explanation {
        let (tree, answer) = self.part(&plan.root, repo, assumed);
        let answer = if plan.unstable.is_some() { Ok(false) } else { answer };
        Explanation { answer, unstable: plan.unstable.clone(), tree }
    }

    /// Why a repository [`wants`](Question::wants) the key or not. `None` where nothing is configured for it.
    pub fn explain_wants(&self, repo: Repo, assumed: &Assumed) -> Option<Explanation> {
        self.policy.members[repo.0].wants.as_ref().map(|plan| self.explain(plan, repo, assumed))
    }

    /// Why a repository [`keeps`](Question::keeps) the key or not. `None` where nothing is configured for it.
    pub fn explain_keeps(&self, repo: Repo, assumed: &Assumed) -> Option<Explanation> {
        let mut assumed = assumed.clone();
        assumed.lost.insert(repo);
        self.explain_wants(repo, &assumed)
    }

    fn part(&self, step: &Step, repo: Repo, assumed: &Assumed) -> (Part, Result<bool, Unknown>) {
        match step {
            Step::Test(test, word) => {
                let answer = self.test(test, repo, assumed);
                let told = match &answer {
                    Ok(true) => Answer::Yes,
                    Ok(false) => Answer::No,
                    Err(unknown) => Answer::Unknown(unknown.clone()),
                };
                (Part::Term { word: word.clone(), answer: told }, answer)
            }
            Step::Not(inner) => {
                let (part, answer) = self.part(inner, repo, assumed);
                (Part::Not(Box::new(part)), answer.map(|matches| !matches))
            }
            Step::Expanded(word, inner) => {
                let (into, answer) = self.part(inner, repo, assumed);
                (Part::Expanded { word: word.clone(), into: Box::new(into) }, answer)
            }
            Step::Sequence(list) => {
                let (mut parts, mut left) = (Vec::with_capacity(list.len()), Ok(true));
                for (joint, step) in list {
                    if decides(&left, *joint) {
                        parts.push((*joint, not_needed(step)));
                        continue;
                    }
                    let (part, right) = self.part(step, repo, assumed);
                    parts.push((*joint, part));
                    left = join(left, *joint, right);
                }
                (Part::Sequence(parts), left)
            }
        }
    }
}

fn not_needed(step: &Step) -> Part {
    match step {
        Step::Test(_, word) => Part::Term { word: word.clone(), answer: Answer::NotNeeded },
        Step::Not(inner) => Part::Not(Box::new(not_needed(inner))),
        Step::Sequence(list) => Part::Sequence(list.iter().map(|(joint, step)| (*joint, not_needed(step))).collect()),
        Step::Expanded(word, inner) => Part::Expanded { word: word.clone(), into: Box::new(not_needed(inner)) },
    }
}

impl Answer {
    /// Whether it is the answer, whatever is joined to it.
    pub fn decides(&self, joint: Joint) -> bool {
        matches!((joint, self), (Joint::And, Self::No) | (Joint::Or, Self::Yes))
    }

    /// The answer of all that stands left together with that of `part`, which was asked only where it matters.
    pub fn joined(self, joint: Joint, part: &Part) -> Self {
        if self.decides(joint) {
            return self;
        }
        let right = part.answer();
        if !right.decides(joint) && matches!(self, Self::Unknown(_)) { self } else { right }
    }
}

impl Part {
    /// What the terms below answer together, where they were asked; that an expression may be unstable is not looked at.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Term { answer, .. } => answer.clone(),
            Self::Not(inner) => match inner.answer() {
                Answer::Yes => Answer::No,
                Answer::No => Answer::Yes,
                other => other,
            },
            Self::Expanded { into, .. } => into.answer(),
            Self::Sequence(list) => list.iter().fold(Answer::Yes, |left, (joint, part)| left.joined(*joint, part)),
        }
    }

    /// Whether any term below was asked.
    fn was_needed(&self) -> bool {
        match self {
            Self::Term { answer, .. } => *answer != Answer::NotNeeded,
            Self::Not(inner) => inner.was_needed(),
            Self::Sequence(list) => list.iter().any(|(_, part)| part.was_needed()),
            Self::Expanded { into, .. } => into.was_needed(),
        }
    }

    /// What a parenthesis around one operand is about.
    fn unwrapped(&self) -> &Self {
        match self {
            Self::Sequence(list) => match &list[..] {
                [(Joint::And, only)] => only.unwrapped(),
                _ => self,
            },
            Self::Expanded { into, .. } => into.unwrapped(),
            _ => self,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, place: Place) -> fmt::Result {
        match self.unwrapped() {
            Self::Term { word, answer } => {
                let answer = match answer {
                    Answer::Yes => "TRUE",
                    Answer::No => "FALSE",
                    Answer::Unknown(_) | Answer::NotNeeded => "UNKNOWN",
                };
                write!(f, "{}[{answer}]", word.escape_ascii())
            }
            Self::Not(inner) => {
                let wraps = place == Place::InSequence && !matches!(inner.unwrapped(), Self::Term { .. });
                f.write_str(if wraps { "( not " } else { "not " })?;
                inner.write(f, Place::Negated)?;
                f.write_str(if wraps { " )" } else { "" })
            }
            Self::Expanded { .. } => Ok(()),
            Self::Sequence(list) => {
                let needed = list.iter().filter(|(_, part)| part.was_needed());
                if place != Place::Outermost {
                    f.write_str("( ")?;
                }
                for (at, (joint, part)) in needed.enumerate() {
                    match (at, joint) {
                        (0, _) => {}
                        (_, Joint::And) => f.write_str(" and ")?,
                        (_, Joint::Or) => f.write_str(" or ")?,
                    }
                    part.write(f, Place::InSequence)?;
                }
                if place == Place::Outermost { Ok(()) } else { f.write_str(" )") }
            }
        }
    }
}

/// Where a part stands, which says how it is parenthesised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outermost,
    InSequence,
    Negated,
}

/// As git-annex's `--explain` has it, but for operands that are missing: terms that were not needed are left out, `standard` and
/// `groupwanted` are expanded.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Place::Outermost)
    }
}
