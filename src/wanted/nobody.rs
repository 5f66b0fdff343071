//! Terms of expressions that ask for what is not there: a group that nobody is in, most often a misspelt one.

use std::collections::BTreeSet;

use super::ast::{Counted, Expression, GroupLimit, Name, Picks, Term};
use super::groups::standard;
use super::policy::{Policy, Repository};
use super::problem::Origin;
use super::repos::Repo;

/// A term that asks for what is not there. git-annex takes it without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nobody {
    /// Whose expression it is.
    pub of: Origin,
    /// The term as it is written; empty where it is the expression as a whole.
    pub term: Name,
    /// What is not there.
    pub what: Absent,
}

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// Nobody is in this group.
    Members {
        /// Its name.
        group: Name,
        /// What the term always answers therefore, where that is the same for every file.
        answer: Option<bool>,
    },
    /// `standard` of a repository that is in no standard group, or in several: it stands for `present`.
    Standard {
        /// In several.
        several: bool,
    },
    /// `groupwanted` of a repository that is in no group that has an expression, or in several: it stands for `present`.
    GroupWanted {
        /// In several.
        several: bool,
    },
    /// `groupwanted` in the expression of a group: it stands for `present`.
    Nested,
}

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Members { group, answer } => {
                let so = match answer {
                    None => "",
                    Some(true) => ", so it always matches",
                    Some(false) => ", so it never matches",
                };
                write!(f, "nobody is in the group {}{so}", group.escape_ascii())
            }
            Self::Standard { several: false } => f.write_str("in no standard group, this stands for `present`"),
            Self::Standard { several: true } => f.write_str("in several standard groups, this stands for `present`"),
            Self::GroupWanted { several: false } => {
                f.write_str("in no group that has a groupwanted expression, this stands for `present`")
            }
            Self::GroupWanted { several: true } => {
                f.write_str("in several groups that have a groupwanted expression, this stands for `present`")
            }
            Self::Nested => f.write_str("in the expression of a group, this stands for `present`"),
        }
    }
}

impl Policy {
    /// Terms that ask for what is not there, each once, in the order of the groups and repositories.
    pub fn nobody(&self) -> Vec<Nobody> {
        let mut found = Vec::new();
        let groups: Vec<(&Name, Expression)> = self
            .configuration
            .groupwanted
            .iter()
            .filter_map(|(group, text)| Some((group, Expression::parse(text).ok()?)))
            .collect();
        for (group, expression) in groups.iter().filter(|(_, expression)| !expression.is_empty()) {
            let of = Origin::GroupWanted((*group).clone());
            if self.group(group).is_none() {
                let what = Absent::Members { group: (*group).clone(), answer: None };
                found.push(Nobody { of: of.clone(), term: Name::default(), what });
            }
            self.each_absent(expression, &mut |term, what| found.push(Nobody { of: of.clone(), term, what }));
            for placed in expression.terms.iter().filter(|placed| matches!(placed.term, Term::GroupWanted)) {
                let term = expression.text[placed.at.clone()].into();
                found.push(Nobody { of: of.clone(), term, what: Absent::Nested });
            }
        }
        for repository in &self.configuration.repositories {
            let uuid = &repository.uuid;
            for (of, text) in [
                (Origin::Wanted(uuid.clone()), &repository.wanted),
                (Origin::Required(uuid.clone()), &repository.required),
            ] {
                let Some(Ok(expression)) = text.as_deref().map(Expression::parse) else { continue };
                let mut tell = |term, what| found.push(Nobody { of: of.clone(), term, what });
                self.each_absent(&expression, &mut tell);
                self.each_unresolved(repository, &expression, &mut tell);
            }
        }
        let mut told = Vec::new();
        found.retain(|one| {
            let is_new = !told.contains(one);
            if is_new {
                told.push(one.clone());
            }
            is_new
        });
        found
    }

    /// Repositories of which an expression that they need does not parse: all that they want and require is `present`.
    pub fn unparsed(&self) -> impl Iterator<Item = Repo> {
        self.members.iter().enumerate().filter(|(_, member)| member.is_unparsed).map(|(at, _)| Repo(at))
    }

    /// Groups that terms name and nobody is in.
    fn each_absent(&self, expression: &Expression, tell: &mut dyn FnMut(Name, Absent)) {
        for placed in &expression.terms {
            for (group, answer) in named(&placed.term) {
                // An empty name is an oddity of its own.
                if !group.is_empty() && self.group(group).is_none() {
                    let term = expression.text[placed.at.clone()].into();
                    tell(term, Absent::Members { group: group.clone(), answer });
                }
            }
        }
    }

    /// `standard` and `groupwanted` that stand for nothing in a repository, also `standard` in what `groupwanted` stands for.
    fn each_unresolved(&self, repository: &Repository, expression: &Expression, tell: &mut dyn FnMut(Name, Absent)) {
        let has = |of: &Expression, is: fn(&Term) -> bool| of.terms.iter().any(|placed| is(&placed.term));
        let is_standard: fn(&Term) -> bool = |term| matches!(term, Term::Standard);
        let mut asks_standard = has(expression, is_standard);
        if has(expression, |term| matches!(term, Term::GroupWanted)) {
            let groups: BTreeSet<&Name> = repository.groups.iter().collect();
            let set = self.configuration.groupwanted.iter().filter(|(group, _)| groups.contains(group));
            let parsed = set.map(|(_, text)| Expression::parse(text));
            let all: Vec<_> = parsed.filter(|found| !found.as_ref().is_ok_and(Expression::is_empty)).collect();
            match &all[..] {
                [Ok(only)] => asks_standard |= has(only, is_standard),
                // That it does not parse is told.
                [Err(_)] => {}
                several => {
                    tell(b"groupwanted"[..].into(), Absent::GroupWanted { several: !several.is_empty() });
                }
            }
        }
        let count = repository.groups.iter().filter(|group| standard(group).is_some()).count();
        if asks_standard && count != 1 {
            tell(b"standard"[..].into(), Absent::Standard { several: count > 1 });
        }
    }
}

/// Groups that a term names, and what it always answers where nobody is in it.
fn named(term: &Term) -> Vec<(&Name, Option<bool>)> {
    match term {
        Term::Copies { of: Counted::Group(group), least } => vec![(group, (*least > 0).then_some(false))],
        Term::LackingCopies { of: Counted::Group(group), .. } => vec![(group, None)],
        Term::Copies { of: Counted::Limit(limit), .. } | Term::LackingCopies { of: Counted::Limit(limit), .. } => {
            limited(limit)
        }
        Term::InAllGroup(group) => vec![(group, Some(true))],
        Term::OnlyInGroup(group) => vec![(group, Some(false))],
        Term::Balanced { how, group, picks } => {
            let mut all = match picks {
                Picks::Number(_) => Vec::new(),
                Picks::LackingCopies(limit) => limited(limit),
            };
            // Those that are not `fully` hold on to what is there.
            all.insert(0, (group, how.fully.then_some(false)));
            all
        }
        _ => Vec::new(),
    }
}

fn limited(limit: &GroupLimit) -> Vec<(&Name, Option<bool>)> {
    limit.included.iter().chain(&limit.excluded).map(|group| (group, None)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Configuration, Trust};
    use super::*;
    use crate::name::Uuid;

    fn told(groups: &[&str], groupwanted: &[(&str, &str)], wanted: &str) -> Vec<String> {
        let uuid =
            |last: u8| Uuid::parse(format!("00000000-0000-4000-8000-00000000000{last}").as_bytes()).expect("one");
        let names = |all: &[&str]| all.iter().map(|group| Name::from(group.as_bytes())).collect();
        let mut one = Repository::new(uuid(1));
        (one.groups, one.wanted) = (names(groups), Some(wanted.as_bytes().into()));
        let mut other = Repository::new(uuid(2));
        (other.groups, other.trust) = (names(&["disks", "odd"]), Trust::Untrusted);
        let set = |(group, text): &(&str, &str)| (Name::from(group.as_bytes()), Box::from(text.as_bytes()));
        let policy = Policy::new(Configuration {
            repositories: vec![one, other],
            groupwanted: groupwanted.iter().map(set).collect(),
            ..Configuration::default()
        });
        let show = |nobody: &Nobody| {
            let of = match &nobody.of {
                Origin::GroupWanted(group) => format!("[{}] ", group.escape_ascii()),
                _ => String::new(),
            };
            format!("{of}{}: {}", nobody.term.escape_ascii(), nobody.what)
        };
        policy.nobody().iter().map(show).collect()
    }

    #[test]
    fn a_misspelt_group_is_told() {
        const NOBODY: &str = "nobody is in the group diks";
        let never = |term: &str| vec![format!("{term}: {NOBODY}, so it never matches")];
        let only = |term: &str| vec![format!("{term}: {NOBODY}")];
        for (wanted, expected) in [
            ("balanced=disks:2", vec![]),
            ("copies=disks:1 or inallgroup=odd or onlyingroup=disks", vec![]),
            ("balanced=diks:2", only("balanced=diks:2")),
            ("sizebalanced=diks:lackingcopies", only("sizebalanced=diks:lackingcopies")),
            ("fullybalanced=diks", never("fullybalanced=diks")),
            ("fullysizebalanced=disks:lackingcopies=diks", only("fullysizebalanced=disks:lackingcopies=diks")),
            ("present or not copies=diks:1", never("copies=diks:1")),
            ("copies=diks:0", only("copies=diks:0")),
            ("copies=disks+diks=1", only("copies=disks+diks=1")),
            ("copies=disks-diks=1", only("copies=disks-diks=1")),
            // Trust levels are no groups, but only `copies` knows them.
            ("copies=semitrusted:1 or copies=untrusted+:1", vec![]),
            ("lackingcopies=diks:1", only("lackingcopies=diks:1")),
            ("approxlackingcopies=diks=1", only("approxlackingcopies=diks=1")),
            ("inallgroup=diks", vec![format!("inallgroup=diks: {NOBODY}, so it always matches")]),
            ("onlyingroup=diks", never("onlyingroup=diks")),
            // Once, however often it is asked.
            ("onlyingroup=diks or onlyingroup=diks", never("onlyingroup=diks")),
            // An oddity of its own, and no expression.
            ("inallgroup=", vec![]),
            ("copies=diks:1 and foo", vec![]),
        ] {
            assert_eq!(told(&["disks"], &[], wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_told() {
        let groupwanted =
            |which| format!("groupwanted: in {which} a groupwanted expression, this stands for `present`");
        let standard = |which| format!("standard: in {which}, this stands for `present`");
        let (none, several) = ("no group that has", "several groups that have");
        let set = [("disks", "anything"), ("odd", "standard")];
        for (groups, set, wanted, expected) in [
            (&["disks"][..], &set[..1], "groupwanted", vec![]),
            (&["disks"], &[], "groupwanted", vec![groupwanted(none)]),
            (&["disks"], &[("disks", "")], "groupwanted", vec![groupwanted(none)]),
            (&["disks", "odd"], &set[..], "groupwanted", vec![groupwanted(several)]),
            (&["disks"], &set[..], "standard", vec![standard("no standard group")]),
            (&["backup"], &set[..], "standard", vec![]),
            (&["backup", "client"], &set[..], "standard", vec![standard("several standard groups")]),
            (&["odd"], &set[..], "groupwanted", vec![standard("no standard group")]),
            (&["odd", "client"], &set[..], "groupwanted", vec![]),
            // Groups that standard expressions ask for need not be there.
            (&["client"], &[], "standard", vec![]),
            (&["disks"], &[("diks", "anything")], "anything", vec!["[diks] : nobody is in the group diks".into()]),
            (
                &["disks"],
                &[("disks", "copies=diks:1 or groupwanted")],
                "groupwanted",
                vec![
                    "[disks] copies=diks:1: nobody is in the group diks, so it never matches".into(),
                    "[disks] groupwanted: in the expression of a group, this stands for `present`".into(),
                ],
            ),
        ] {
            assert_eq!(told(groups, set, wanted), expected, "{groups:?} {set:?} {wanted}");
        }
    }
}
