//! What an expression asks beside where content is: terms that answer the same for a file for ever, and balanced choices.

use std::collections::BTreeSet;

use super::ast::Name;
use super::plan::{Step, Test};
use super::policy::Policy;
use super::repos::Repo;
use crate::name::Key;

/// A term whose answer does not depend on where content is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fixed {
    /// The term as it is written.
    pub word: Name,
    /// What it asks for.
    pub kind: FixedKind,
}

/// What such a term asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FixedKind {
    /// Always the same: `anything`, `include=*`.
    Always(bool),
    /// `include=`: a glob that the name matches.
    Include,
    /// `exclude=`: one that it does not match.
    Exclude,
    /// Whether the content is larger than so many bytes.
    Larger(i128),
    /// Whether it is smaller.
    Smaller(i128),
    /// Whether the key has this backend.
    Backend,
    /// `securehash`: whether the backend is one of a secure hash.
    SecureHash,
    /// `metadata=`.
    Metadata,
    /// `inpreferreddir`.
    PreferredDir,
    /// Something else: urls, whether it is unused, its MIME type.
    Other,
}

/// A balanced choice that an expression asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Balancing {
    /// The number of the group, for [`Facts::ranking`](super::Facts::ranking).
    pub group: usize,
    /// By free room, and not by the number of the key.
    pub by_size: bool,
}

impl Test {
    /// What it asks for, where that does not depend on where content is.
    pub(in crate::wanted) fn fixed(&self, word: &Name) -> Option<Fixed> {
        let kind = match self {
            Self::Constant(answer) => FixedKind::Always(*answer),
            Self::Include(_) if **word == *b"include=*" => FixedKind::Always(true),
            Self::Exclude(_) if **word == *b"exclude=*" => FixedKind::Always(false),
            Self::Include(_) => FixedKind::Include,
            Self::Exclude(_) => FixedKind::Exclude,
            Self::LargerThan(bytes) => FixedKind::Larger(*bytes),
            Self::SmallerThan(bytes) => FixedKind::Smaller(*bytes),
            Self::InBackend(_) => FixedKind::Backend,
            Self::Metadata { .. } => FixedKind::Metadata,
            Self::InPreferredDir => FixedKind::PreferredDir,
            Self::SecureHash => FixedKind::SecureHash,
            Self::Url(_) | Self::Unused | Self::Mime(..) => FixedKind::Other,
            Self::Copies { .. }
            | Self::LackingCopies { .. }
            | Self::InAllGroup(_)
            | Self::OnlyInGroup(_)
            | Self::Present
            | Self::Balanced { .. } => return None,
        };
        Some(Fixed { word: word.clone(), kind })
    }
}

impl Policy {
    /// The terms of all expressions whose answers do not depend on where content is, each once.
    pub fn fixed_terms(&self) -> BTreeSet<Fixed> {
        let mut found = BTreeSet::new();
        self.each_test(&mut |test, word| found.extend(test.fixed(word)));
        found
    }

    /// The balanced choices that expressions ask for, each once.
    pub fn balancings(&self) -> BTreeSet<Balancing> {
        let mut found = BTreeSet::new();
        self.each_test(&mut |test, _| {
            if let Test::Balanced { how, group: Some(group), .. } = test {
                found.insert(Balancing { group: *group, by_size: how.by_size });
            }
        });
        found
    }

    /// The members of the group with this number, by uuid, and whether one of them has a maximum size.
    pub fn members_of(&self, group: usize) -> (&[Repo], bool) {
        let members = self.groups[group].balancer.members();
        (members, members.iter().any(|member| self.members[member.0].maxsize.is_some()))
    }

    /// The members of a group in the order in which `key` is balanced to them while all have room.
    pub fn rotation(&self, group: usize, key: &Key) -> Vec<Repo> {
        let balancer = &self.groups[group].balancer;
        let members = balancer.members();
        let first = balancer.by_number(&members.iter().copied().collect(), &balancer.number(key), 1);
        let at = members.iter().position(|member| first.contains(*member)).unwrap_or(0);
        members[at..].iter().chain(&members[..at]).copied().collect()
    }

    fn each_test(&self, each: &mut dyn FnMut(&Test, &Name)) {
        for member in &self.members {
            for plan in [&member.wants, &member.requires].into_iter().flatten() {
                walk(&plan.root, each);
            }
        }
    }
}

fn walk(step: &Step, each: &mut dyn FnMut(&Test, &Name)) {
    match step {
        Step::Test(test, word) => each(test, word),
        Step::Not(inner) | Step::Expanded(_, inner) => walk(inner, each),
        Step::Sequence(list) => list.iter().for_each(|(_, step)| walk(step, each)),
    }
}
