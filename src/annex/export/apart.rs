//! Names of a tree that a remote does not distinguish: which of them it gets.
//!
//! Where a remote takes two names for one, a file would replace another unseen. Directories are names too. A name that it holds stays and others that are one
//! with it are refused; where it holds none, all of them are. What it holds under two such names nobody can tell, so that is not
//! touched. A name that leaves is let go first, and the one that it is in the way of waits for the next pass.

use std::collections::{BTreeMap, BTreeSet};

use super::names::directories;

/// What becomes of names that a remote does not tell apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    /// Names that are refused, each with one that it is not told from.
    pub refused: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Names that can be filled once others have left.
    pub waiting: BTreeSet<Vec<u8>>,
    /// Names that are not to be touched.
    pub left_alone: BTreeSet<Vec<u8>>,
}

/// Names that fold to one.
#[derive(Default)]
struct Group<'a> {
    wanted: BTreeSet<&'a [u8]>,
    held: BTreeSet<&'a [u8]>,
}

/// Of the names `wanted` of a tree: those that a remote which holds `held`, or may, cannot have beside others, as `fold` makes
/// names of it one. Memory grows with the names.
pub fn apart<'a>(
    wanted: impl IntoIterator<Item = &'a [u8]>,
    held: impl IntoIterator<Item = &'a [u8]>,
    fold: impl Fn(&[u8]) -> Vec<u8>,
) -> Apart {
    let wanted: Vec<&[u8]> = wanted.into_iter().collect();
    let held: Vec<&[u8]> = held.into_iter().collect();
    let mut apart = Apart::default();
    apart.directories(&wanted, &held, &fold);
    let mut groups: BTreeMap<Vec<u8>, Group<'a>> = BTreeMap::new();
    for name in wanted.iter().copied().filter(|name| !apart.is_out(name)) {
        groups.entry(fold(name)).or_default().wanted.insert(name);
    }
    for name in held {
        groups.entry(fold(name)).or_default().held.insert(name);
    }
    for group in groups.values() {
        apart.files(group);
    }
    for (folded, group) in &groups {
        let below = [folded, &b"/"[..]].concat();
        let inside: Vec<&Group<'_>> =
            groups.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below)).map(|(_, g)| g).collect();
        if !inside.is_empty() {
            apart.directory(group, &inside);
        }
    }
    apart
}

impl Apart {
    /// Whether there is nothing to do about any name.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.waiting.is_empty() && self.left_alone.is_empty()
    }

    fn is_out(&self, name: &[u8]) -> bool {
        self.refused.contains_key(name) || self.waiting.contains(name)
    }

    /// Directories that are spelled in several ways: one spelling stays, and files below the others are refused.
    fn directories(&mut self, wanted: &[&[u8]], held: &[&[u8]], fold: impl Fn(&[u8]) -> Vec<u8>) {
        /// Whether files of the tree are below a spelling, and files that are held.
        type Spellings<'a> = BTreeMap<&'a [u8], (bool, bool)>;
        let mut dirs: BTreeMap<Vec<u8>, Spellings<'_>> = BTreeMap::new();
        for (names, is_held) in [(wanted, false), (held, true)] {
            let mut before: &[u8] = b"";
            for name in names {
                // Sorted names come directory by directory.
                for dir in directories(name)
                    .take_while(|dir| !(before.starts_with(dir) && before[dir.len()..].starts_with(b"/")))
                {
                    let seen = dirs.entry(fold(dir)).or_default().entry(dir).or_default();
                    if is_held { seen.1 = true } else { seen.0 = true }
                }
                before = name;
            }
        }
        let mut out: BTreeMap<&[u8], Option<Vec<u8>>> = BTreeMap::new();
        for spellings in dirs.values().filter(|spellings| spellings.len() > 1) {
            let held: Vec<&[u8]> = spellings.iter().filter(|(_, seen)| seen.1).map(|(dir, _)| *dir).collect();
            let wanted: Vec<&[u8]> = spellings.iter().filter(|(_, seen)| seen.0).map(|(dir, _)| *dir).collect();
            let stays = held.iter().find(|dir| wanted.contains(dir)).or(held.first()).or(wanted.first());
            let Some(stays) = stays.copied() else { continue };
            // Nothing of the tree is below the spelling that is there: the first other one comes when it has left.
            let comes = wanted.first().copied().filter(|_| !wanted.contains(&stays) && held.len() == 1);
            for dir in wanted.iter().chain(&held).copied().filter(|dir| *dir != stays) {
                let other = if comes == Some(dir) { None } else { Some([comes.unwrap_or(stays), b"/"].concat()) };
                out.insert(dir, other);
            }
        }
        if out.is_empty() {
            return;
        }
        let find =
            |name: &[u8]| directories(name).filter_map(|dir| out.get(dir)).max_by_key(|other| other.is_some()).cloned();
        for name in held {
            if let Some(Some(_)) = find(name) {
                self.left_alone.insert(name.to_vec());
            }
        }
        for name in wanted {
            match find(name) {
                Some(Some(other)) => self.refuse(name, &other),
                Some(None) => {
                    self.waiting.insert(name.to_vec());
                }
                None => {}
            }
        }
    }

    fn files(&mut self, group: &Group<'_>) {
        let all: BTreeSet<&[u8]> = group.wanted.union(&group.held).copied().collect();
        if all.len() < 2 {
            return;
        }
        if group.held.len() > 1 {
            self.left_alone.extend(all.iter().map(|name| name.to_vec()));
        }
        let stays = group.held.first().copied().filter(|_| group.held.len() == 1);
        let is_alone = group.wanted.len() == 1;
        for name in &group.wanted {
            match stays {
                Some(stays) if stays == *name => {}
                // It leaves, and nothing else comes.
                Some(_) if is_alone => {
                    self.waiting.insert(name.to_vec());
                }
                _ => {
                    let other = stays.filter(|stays| group.wanted.contains(stays));
                    let other = other.or_else(|| all.iter().copied().find(|other| other != name));
                    self.refuse(name, other.unwrap_or_default());
                }
            }
        }
    }

    /// A file whose name is that of a directory, but for what is folded.
    fn directory(&mut self, file: &Group<'_>, inside: &[&Group<'_>]) {
        let wanted: Vec<&[u8]> = inside.iter().flat_map(|group| group.wanted.iter().copied()).collect();
        let held: Vec<&[u8]> = inside.iter().flat_map(|group| group.held.iter().copied()).collect();
        for name in file.wanted.union(&file.held) {
            // git has no file and directory of one name, and what was there of an earlier tree leaves first in any case.
            let other = |below: &&&[u8]| !directories(below).any(|dir| dir == *name);
            let is_wanted = file.wanted.contains(name) && !self.refused.contains_key(*name);
            let comes: Vec<&[u8]> =
                wanted.iter().filter(other).copied().filter(|n| !self.refused.contains_key(*n)).collect();
            let stays = held.iter().filter(other).find(|below| wanted.contains(below));
            let leaves = held.iter().filter(other).any(|below| !wanted.contains(below));
            match (is_wanted, file.held.contains(name)) {
                (true, true) if stays.is_some() => {
                    self.left_alone.insert(name.to_vec());
                    self.refuse(name, stays.copied().unwrap_or_default());
                }
                (true, true) => comes.iter().for_each(|below| self.refuse(below, name)),
                (true, false) => match (comes.first(), leaves) {
                    (Some(below), _) => self.refuse(name, below),
                    (None, true) => {
                        self.waiting.insert(name.to_vec());
                    }
                    (None, false) => {}
                },
                (false, true) => {
                    let new = comes.iter().filter(|below| !held.contains(below));
                    self.waiting.extend(new.map(|below| below.to_vec()));
                }
                (false, false) => {}
            }
        }
    }

    fn refuse(&mut self, name: &[u8], other: &[u8]) {
        self.waiting.remove(name);
        self.refused.insert(name.to_vec(), other.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(wanted: &str, held: &str) -> String {
        let (wanted, held): (Vec<_>, Vec<_>) = (wanted.split_whitespace().collect(), held.split_whitespace().collect());
        let apart = apart(wanted.iter().map(|n| n.as_bytes()), held.iter().map(|n| n.as_bytes()), |name| {
            name.to_ascii_lowercase()
        });
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let refused = apart.refused.iter().map(|(name, other)| format!("{}!{}", text(name), text(other)));
        let waiting = apart.waiting.iter().map(|name| format!("{}~", text(name)));
        let alone = apart.left_alone.iter().map(|name| format!("{}.", text(name)));
        refused.chain(waiting).chain(alone).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn of_names_that_are_one_the_held_one_stays_and_the_others_are_refused() {
        for (wanted, held, expected) in [
            ("a b c/d", "", ""),
            ("a b", "a c", ""),
            ("a A b", "", "A!a a!A"),
            ("a A b", "a b", "A!a"),
            ("a A AA Aa", "AA", "A!a Aa!AA a!A"),
            // One leaves, and the other comes.
            ("A", "a", "A~"),
            ("A b", "a b", "A~"),
            // Both were put there before anybody knew: nobody can tell what is there.
            ("a A", "a A", "A!a a!A A. a."),
            ("A", "a A", "A!a A. a."),
            ("", "a A", "A. a."),
            // A directory has one spelling.
            ("a/x A/y", "", "a/x!A/"),
            ("a/x A/x", "", "a/x!A/"),
            ("a/x A/x", "a/x", "A/x!a/"),
            ("A/x A/y", "a/x", "A/x~ A/y~"),
            ("A/x AA/y Aa/y", "a/x AA/y", "Aa/y!AA/ A/x~"),
            ("b/a/x b/A/y", "b/A/y", "b/a/x!b/A/"),
            ("a/x", "a/x A/y", "A/y."),
            // A file and a directory.
            ("A a/x a/y", "", "A!a/x"),
            ("A a/x a/y", "A", "a/x!A a/y!A"),
            ("A a/x a/y", "a/x", "A!a/x"),
            ("A a/x", "A a/x", "A!a/x A."),
            ("a/x", "A", "a/x~"),
            ("A", "a/x", "A~"),
            // git's own matter.
            ("a/x", "a", ""),
            ("a", "a/x", ""),
            ("b/A b/a/x/y", "", "b/A!b/a/x/y"),
        ] {
            assert_eq!(told(wanted, held), expected, "{wanted:?} over {held:?}");
        }
    }

    proptest::proptest! {
        /// What is exported in the end has no two names that are one, and what a pass touches is never two of them.
        #[test]
        fn no_pass_has_two_names_that_are_one(
            wanted in proptest::collection::btree_set("[aA](/[bB](/[cC])?)?", 0..6),
            held in proptest::collection::btree_set("[aA](/[bB](/[cC])?)?", 0..3),
        ) {
            // What git can have in one tree.
            let git = |names: &BTreeSet<String>| names.iter().all(|name| {
                !names.iter().any(|other| other.starts_with(&format!("{name}/")))
            });
            proptest::prop_assume!(git(&wanted));
            let bytes = |names: &BTreeSet<String>| names.iter().map(|n| n.clone().into_bytes()).collect::<Vec<_>>();
            let (wanted, held) = (bytes(&wanted), bytes(&held));
            let made = apart(wanted.iter().map(Vec::as_slice), held.iter().map(Vec::as_slice), |n| n.to_ascii_lowercase());
            let kept: Vec<&Vec<u8>> = wanted
                .iter()
                .filter(|n| !made.refused.contains_key(*n) && !made.waiting.contains(*n) && !made.left_alone.contains(*n))
                .collect();
            for one in &kept {
                for two in kept.iter().filter(|two| two != &one) {
                    let (a, b) = (one.to_ascii_lowercase(), two.to_ascii_lowercase());
                    proptest::prop_assert_ne!(&a, &b);
                    proptest::prop_assert!(!b.starts_with(&[&a[..], b"/"].concat()), "{} {}", a.escape_ascii(), b.escape_ascii());
                    for one in directories(one) {
                        for two in directories(two).filter(|two| two.eq_ignore_ascii_case(one)) {
                            proptest::prop_assert_eq!(one, two);
                        }
                    }
                }
            }
        }
    }
}
