//! Names of which a look does not tell what they hold.
//!
//! Content of a key with a digest is known once it is read. Of other keys, of the same length, nobody can tell; so what may be
//! the only copy of one of them is never removed.

use super::look::Found;
use super::names;
use super::plan::{Holds, Place, Step};
use super::tree::blob_of;
use super::work::Work;
use crate::annex::backend::Verification;
use crate::name::Key;

impl Work {
    /// Names that hold something of which the answers do not tell what it is, and the keys it may be of. Somebody may read it
    /// and answer [`Found::Verified`]; then [`presume`](Self::presume).
    pub fn unknown(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &Key>)> {
        let unknown = self.paths.iter().filter(|(name, path)| self.holds(name, path) == Some(Holds::Unknown));
        unknown.map(|(name, path)| (name.as_slice(), path.candidates.iter().chain(&path.noted)))
    }

    /// What is still unknown is of no key that has a digest. Takes it for what is noted, where that was noted here; or for the
    /// only key that is left.
    pub fn presume(&mut self) {
        let presumed: Vec<(Vec<u8>, Key)> = self
            .paths
            .iter()
            .filter(|(name, path)| self.holds(name, path) == Some(Holds::Unknown))
            .filter_map(|(name, path)| {
                let left = self.undigested(name);
                let noted = path.noted.as_ref().filter(|noted| !self.is_foreign && left.contains(noted));
                let only = || if let [only] = left[..] { Some(only) } else { None };
                Some((name.clone(), noted.or_else(only)?.clone()))
            })
            .collect();
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
