//! The branch whose tree is exported to a remote: `remote.NAME.annex-tracking-branch`.

use std::fmt;

use crate::annex::branch::{Branch, BranchError, GitId};

/// A branch, or a directory in it, that a remote is to hold. Displayed as it is written: `main`, `main:public/data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    reference: Vec<u8>,
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
        Some(Self { reference, below: below.to_vec() })
    }

    /// Whether it is in this branch, given as `refs/heads/NAME`.
    pub fn is_of(&self, reference: &[u8]) -> bool {
        self.reference == reference
    }

    /// The tree it is at now; `None` where there is no such branch or directory. Errors: it could not be read.
    pub fn tree(&self, branch: &Branch) -> Result<Option<GitId>, BranchError> {
        branch.tree_at(&self.reference, &self.below)
    }
}

impl fmt::Display for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = self.reference.strip_prefix(b"refs/heads/").unwrap_or(&self.reference);
        f.write_str(&String::from_utf8_lossy(branch))?;
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
            assert_eq!(tracking.to_string(), shown);
        }
        assert_eq!((Tracking::parse(b""), Tracking::parse(b":x")), (None, None));
    }
}
