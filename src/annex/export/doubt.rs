//! Paths whose content a look at them does not tell.
//!
//! Content of a key with a digest is known once it is read. Of other keys, of the same length, nobody can tell; so what may be
//! the only copy of one of them is never removed, and is not taken for it either where there is a better one.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Check;
use super::look::{Found, fits};
use super::names;
use super::plan::Holds;
use super::work::{Path, Work};
use crate::name::Key;

/// Keys of which it is known where they are.
struct KnownPlaces {
    /// They are at names, as far as is noted or was found.
    held: BTreeSet<Key>,
    /// They have no digest, and must be at names that hold something of their length, since nothing else was to be put there.
    must_be: BTreeSet<Key>,
}

impl Work {
    /// Names that hold something of which the answers do not tell what it is, and the keys it may be of, by its length.
    /// Somebody may read it and answer [`Found::Verified`] or [`Found::Other`]; then [`presume`](Self::presume).
    pub fn unknown(&self) -> impl Iterator<Item = (&[u8], BTreeSet<&Key>)> {
        self.unresolved().map(|(name, path)| (name.as_slice(), self.fitting(name, path)))
    }

    fn unresolved(&self) -> impl Iterator<Item = (&Vec<u8>, &Path)> {
        self.paths.iter().filter(|(name, path)| self.holds(name, path) == Some(Holds::Unknown))
    }

    /// Keys of which [`take_over`](Self::take_over) and [`presume`](Self::presume) ask whether the remote is recorded to have
    /// them.
    pub fn doubted(&self) -> BTreeSet<Key> {
        let at = |(name, _): (&[u8], BTreeSet<&Key>)| {
            let was = if self.is_foreign { one(&self.was(name)) } else { None };
            let last = self.paths.get(name).and_then(|path| path.last.clone());
            [was, one(&self.undigested(name)), last]
        };
        self.unknown().flat_map(at).flatten().collect()
    }

    /// Keys without a digest that [`take_over`](Self::take_over) or [`presume`](Self::presume) would find at several names of
    /// which no note tells, with those names. Where the files differ, at most one of them is the key's, and nothing tells which:
    /// somebody compares them before, and answers [`Found::Other`].
    pub fn doubles(&self, recorded: &BTreeSet<Key>) -> BTreeMap<Key, Vec<Vec<u8>>> {
        let mut names: BTreeMap<Key, Vec<Vec<u8>>> = BTreeMap::new();
        let known = self.known_places();
        for (name, path) in self.unresolved() {
            if let Some(key) = self.last(path, &self.undigested(name), recorded, &known) {
                names.entry(key).or_default().push(name.clone());
            }
        }
        names.retain(|_, names| names.len() > 1);
        names
    }

    /// Others exported here, or the database was lost: takes a name for what a tree that was exported has there, where nothing
    /// else can be there by its length, the remote is `recorded` to have that, and has it nowhere else. To read all of a remote
    /// would take days. What is noted is no proof, so nothing is removed for it, and no upload is refused.
    pub fn take_over(&mut self, recorded: &BTreeSet<Key>) {
        if !self.is_foreign {
            return;
        }
        let last = |name: &[u8]| one(&self.was(name)).filter(|key| recorded.contains(key));
        let known = self.known_places();
        let found = self.unknown().filter_map(|(name, _)| Some((name.to_vec(), last(name)?)));
        let found: Vec<(Vec<u8>, Key)> = found.filter(|(_, key)| !self.is_elsewhere(&known, key)).collect();
        for (name, key) in found {
            self.answer(&name, Found::Verified(key));
        }
    }

    /// What is still unknown is of no key that has a digest. Takes it for what is noted, where that was noted here; or for
    /// what was just moved there; or for what must be there for all that is known, or else the only key that is left, where
    /// the remote is `recorded` to have that and has it nowhere else.
    pub fn presume(&mut self, recorded: &BTreeSet<Key>) {
        let unknown: Vec<(&Vec<u8>, &Path, Vec<&Key>)> =
            self.unresolved().map(|(name, path)| (name, path, self.undigested(name))).collect();
        // git-annex notes each move before it begins another, but may say meanwhile that all is exported. What it noted to have
        // put at a temporary name that is empty now was moved on, to where its export wants it; if it can be nowhere else, as
        // it can where the disk lost moves.
        let mut moved: BTreeMap<&[u8], Vec<&Key>> = BTreeMap::new();
        for key in self.noted_temporary.iter().filter(|key| !self.has_others && self.is_absent(&names::temporary(key)))
        {
            let mut at = unknown.iter().filter(|(_, _, left)| left.contains(&key));
            if let (Some((name, path, _)), None) = (at.next(), at.next())
                && path.begun.contains(key)
            {
                moved.entry(name).or_default().push(key);
            }
        }
        let known = self.known_places();
        let presume = |(name, path, left): &(&Vec<u8>, &Path, Vec<&Key>)| {
            let noted = path.noted.as_ref().filter(|noted| !self.is_foreign && left.contains(noted));
            let moved = || moved.get(name.as_slice()).and_then(|keys| one(keys));
            let last = || self.last(path, left, recorded, &known);
            Some(((*name).clone(), noted.cloned().or_else(moved).or_else(last)?))
        };
        let presumed: Vec<(Vec<u8>, Key)> = unknown.iter().filter_map(presume).collect();
        for (name, key) in presumed {
            self.answer(&name, Found::Verified(key));
        }
    }

    /// What must be at `path` for all that is known, or else the only key that is `left`, unless that must be at another name;
    /// where the remote is `recorded` to have it and has it nowhere else.
    fn last(&self, path: &Path, left: &[&Key], recorded: &BTreeSet<Key>, known: &KnownPlaces) -> Option<Key> {
        let must_be = path.last.clone().filter(|key| left.contains(&key));
        let last = must_be.or_else(|| one(left).filter(|key| !known.must_be.contains(key)));
        last.filter(|key| recorded.contains(key) && !self.is_elsewhere(known, key))
    }

    fn known_places(&self) -> KnownPlaces {
        let held = |(name, path): (&Vec<u8>, &Path)| match self.holds(name, path) {
            Some(Holds::Key(key)) => Some(key),
            _ => None,
        };
        let must_be =
            |(name, path): (&Vec<u8>, &Path)| path.last.clone().filter(|key| self.undigested(name).contains(&key));
        KnownPlaces {
            held: self.paths.iter().filter_map(held).collect(),
            must_be: self.unresolved().filter_map(must_be).collect(),
        }
    }

    fn is_elsewhere(&self, known: &KnownPlaces, key: &Key) -> bool {
        let outside = [names::object(key), names::temporary(key)];
        known.held.contains(key) || outside.iter().any(|name| self.may_be(name, key))
    }

    /// The keys whose content may be at `name`, by its length.
    fn fitting<'a>(&'a self, name: &[u8], path: &'a Path) -> BTreeSet<&'a Key> {
        let Some(Some(Found::Present(len))) = self.questions.get(name) else { return BTreeSet::new() };
        let all = path.candidates.iter().chain(&path.noted).chain(&path.wants);
        all.filter(|key| fits(key, *len)).collect()
    }

    /// Those of them that were put there before, for all that is known.
    fn was(&self, name: &[u8]) -> Vec<&Key> {
        let Some(path) = self.paths.get(name) else { return Vec::new() };
        let was = |key: &&Key| path.candidates.contains(*key) || path.noted.as_ref() == Some(*key);
        self.fitting(name, path).into_iter().filter(was).collect()
    }

    /// Those of these that nothing proves.
    fn undigested(&self, name: &[u8]) -> Vec<&Key> {
        self.was(name).into_iter().filter(|key| !Check::is_known(key)).collect()
    }
}

fn one(keys: &[&Key]) -> Option<Key> {
    if let [key] = *keys { Some(key.clone()) } else { None }
}
