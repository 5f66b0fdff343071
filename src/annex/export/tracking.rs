//! The branch whose tree is exported to a remote: `remote.NAME.annex-tracking-branch`.

use std::fmt;

use crate::annex::branch::{Branch, BranchError, FollowedTree, GitId};

/// A branch, or a directory in it, that a remote is to hold. Displayed as it is written: `main`, `main:public/data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    reference: Vec<u8>,
    /// Where `git annex push` and `git annex sync` put the branch, lest they change what is checked out.
    synced: Option<Vec<u8>>,
    below: Vec<u8>,
}

impl Tracking {
    /// Reads `branch` or `branch:directory`, as git names things in a branch. `None` where no branch is named.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let colon = value.iter().position(|byte| *byte == b':');
        let (branch, below) = colon.map_or((value, &b""[..]), |at| (&value[..at], &value[at + 1..]));
        let mut reference = branch.to_vec();
        if branch.is_empty() {
            return None;
        }
        if !branch.starts_with(b"refs/") {
            reference.splice(..0, *b"refs/heads/");
        }
        let synced = reference.strip_prefix(b"refs/heads/").map(|name| [b"refs/heads/synced/", name].concat());
        Some(Self { reference, synced, below: below.to_vec() })
    }

    /// Whether it is in this branch, given as `refs/heads/NAME`. A branch is also pushed by a push to its `synced/NAME`.
    pub fn is_of(&self, reference: &[u8]) -> bool {
        self.reference == reference || self.synced.as_deref() == Some(reference)
    }

    /// The tree it is at now; `None` where there is no such branch or directory.
    ///
    /// # Errors
    /// It could not be read.
    pub fn tree(&self, branch: &Branch) -> Result<Option<GitId>, BranchError> {
        Ok(self.followed(branch)?.tree)
    }

    /// Whether what was synced and the branch itself have to be merged by somebody.
    ///
    /// # Errors
    /// It could not be read.
    pub fn has_diverged(&self, branch: &Branch) -> Result<bool, BranchError> {
        Ok(self.followed(branch)?.has_diverged)
    }

    /// The branch, without the directory in it.
    pub fn branch(&self) -> String {
        String::from_utf8_lossy(self.reference.strip_prefix(b"refs/heads/").unwrap_or(&self.reference)).into_owned()
    }

    fn followed(&self, branch: &Branch) -> Result<FollowedTree, BranchError> {
        branch.followed_tree(&self.reference, self.synced.as_deref(), &self.below)
    }
}

impl fmt::Display for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.branch())?;
        if self.below.is_empty() { Ok(()) } else { write!(f, ":{}", String::from_utf8_lossy(&self.below)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_or_a_directory_in_it_is_tracked() {
        for (value, reference, shown) in [
            ("main", "refs/heads/main", "main"),
            ("a/b", "refs/heads/a/b", "a/b"),
            ("main:pub/x", "refs/heads/main", "main:pub/x"),
            ("refs/heads/main:", "refs/heads/main", "main"),
            ("refs/tags/v1", "refs/tags/v1", "refs/tags/v1"),
        ] {
            let tracking = Tracking::parse(value.as_bytes()).expect(value);
            assert!(tracking.is_of(reference.as_bytes()), "{value}");
            let synced = reference.strip_prefix("refs/heads/").map(|name| format!("refs/heads/synced/{name}"));
            assert!(synced.is_none_or(|synced| tracking.is_of(synced.as_bytes())), "{value}");
            assert!(!tracking.is_of(b"refs/heads/synced"), "{value}");
            assert_eq!(tracking.to_string(), shown);
        }
        assert_eq!((Tracking::parse(b""), Tracking::parse(b":x")), (None, None));
    }
}
