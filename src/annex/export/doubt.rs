//! Names of which a look does not tell what they hold.
//!
//! Content of a key with a digest is known once it is read. Of other keys, of the same length, nobody can tell; so what may be
//! the only copy of one of them is never removed.

use std::collections::BTreeMap;

use super::look::Found;
use super::names;
use super::plan::{Holds, Place, Step};
use super::tree::blob_of;
use super::work::{Path, Work};
use crate::annex::backend::Verification;
use crate::name::Key;

impl Work {
    /// Names that hold something of which the answers do not tell what it is, and the keys it may be of. Somebody may read it
    /// and answer [`Found::Verified`]; then [`presume`](Self::presume).
    pub fn unknown(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &Key>)> {
        let unknown = self.paths.iter().filter(|(name, path)| self.holds(name, path) == Some(Holds::Unknown));
        unknown.map(|(name, path)| (name.as_slice(), path.candidates.iter().chain(&path.noted)))
    }

    /// What is still unknown is of no key that has a digest. Takes it for what is noted, where that was noted here; or for
    /// what was just moved there; or for the only key that is left.
    pub fn presume(&mut self) {
        let unknown: Vec<(&Vec<u8>, &Path, Vec<&Key>)> = self
            .paths
            .iter()
            .filter(|(name, path)| self.holds(name, path) == Some(Holds::Unknown))
            .map(|(name, path)| (name, path, self.undigested(name)))
            .collect();
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
        let one = |keys: &[&Key]| if let [key] = *keys { Some(key.clone()) } else { None };
        let presume = |(name, path, left): &(&Vec<u8>, &Path, Vec<&Key>)| {
            let noted = path.noted.as_ref().filter(|noted| !self.is_foreign && left.contains(noted));
            let moved = || moved.get(name.as_slice()).and_then(|keys| one(keys));
            Some(((*name).clone(), noted.cloned().or_else(moved).or_else(|| one(left))?))
        };
        let presumed: Vec<(Vec<u8>, Key)> = unknown.iter().filter_map(presume).collect();
        for (name, key) in presumed {
            self.answer(&name, Found::Verified(key));
        }
    }

    /// Moves aside what a step would remove and what may be the only copy of something.
    pub(super) fn spare(&self, step: Step) -> Step {
        match step {
            // What git holds is stored again.
            Step::Remove { key: None, at: Place::Tree(path), .. }
                if self.undigested(&path).iter().any(|key| blob_of(key).is_none()) =>
            {
                Step::SetAside { to: names::aside(self.tree, &path), path }
            }
            step => step,
        }
    }

    /// The keys without a digest whose content may be at `name`, by its length.
    fn undigested(&self, name: &[u8]) -> Vec<&Key> {
        let (Some(path), Some(Some(Found::Present(len)))) = (self.paths.get(name), self.questions.get(name)) else {
            return Vec::new();
        };
        let fits = |key: &&Key| len.is_none() || key.content_len().is_none_or(|wanted| Some(wanted) == *len);
        let has_none = |key: &&Key| !matches!(Verification::for_key(key), Verification::Digest(_));
        let mut left: Vec<&Key> = path.candidates.iter().chain(&path.noted).filter(fits).filter(has_none).collect();
        left.sort_unstable();
        left.dedup();
        left
    }
}
