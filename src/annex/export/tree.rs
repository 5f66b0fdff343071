//! The files of a tree as they are exported: each a path and the key of its content.

use std::collections::BTreeMap;

use super::names::TEMPORARY;
use crate::annex::branch::{Branch, BranchError};
use crate::annex::git::object::{FileKind, GitId, TreeFile};
use crate::name::Key;

pub use super::exportable::Exportable;
pub use super::pointer::{LONGEST_POINTER, blob_of, git_key, pointed_to};

/// What becomes of a path from one exported tree to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, with slashes.
    pub path: Vec<u8>,
    /// The key of what was there.
    pub old: Option<Key>,
    /// The key of what shall be there.
    pub new: Option<Key>,
}

/// What of `whole` is exported. Reads the links that differ from `known`, if that is given; else all of the tree's.
///
/// # Errors
///
/// `whole` could not be read, or a tree without what is left out not be written.
pub fn exportable(branch: &Branch, whole: GitId, known: Option<&Exportable>) -> Result<Exportable, BranchError> {
    let mut left_out = known.map(|known| known.left_out.clone()).unwrap_or_default();
    let changes = match branch.tree_changes(known.map(|known| known.whole), Some(whole)) {
        Err(e @ (BranchError::TooMuch(_) | BranchError::ForHook(_))) => return Err(e),
        // After a forced push git need not keep it.
        Err(_) if known.is_some() => return exportable(branch, whole, None),
        changes => changes?,
    };
    for change in changes {
        left_out.remove(&change.path);
        let Some(file) = change.new else { continue };
        let may = may_be_exported(&change.path)
            && match file.kind {
                FileKind::Plain | FileKind::Executable => true,
                FileKind::Link => key_of(branch, file)?.is_some(),
                FileKind::Submodule => false,
            };
        if !may {
            left_out.insert(change.path, file);
        }
    }
    let tree = branch.tree_without(whole, &left_out.keys().cloned().collect())?;
    Ok(Exportable { whole, tree, left_out })
}

/// What of `known` is left out for what it is, and not only because a remote does not tell its name from another. Reads the
/// links among it.
pub fn left_out_for_good(branch: &Branch, mut known: Exportable) -> Result<Exportable, BranchError> {
    let mut kept = BTreeMap::new();
    for (path, file) in known.left_out {
        if !may_be_exported(&path) || key_of(branch, file)?.is_none() {
            kept.insert(path, file);
        }
    }
    known.left_out = kept;
    Ok(known)
}

/// The same tree without more of its files.
pub fn without(
    branch: &Branch,
    mut what: Exportable,
    more: BTreeMap<Vec<u8>, TreeFile>,
) -> Result<Exportable, BranchError> {
    what.left_out.extend(more);
    what.tree = branch.tree_without(what.whole, &what.left_out.keys().cloned().collect())?;
    Ok(what)
}

/// The files of a tree.
pub fn files(branch: &Branch, tree: GitId) -> Result<BTreeMap<Vec<u8>, TreeFile>, BranchError> {
    let all = branch.tree_changes(None, Some(tree))?;
    Ok(all.into_iter().filter_map(|change| Some((change.path, change.new?))).collect())
}

/// What differs between two trees, sorted by path; all of `new` where there is no `old`. Files that changed in mode only are
/// left out. About 250 bytes for each change, of which there are a million in the first export of a million files.
///
/// # Errors
///
/// One of them could not be read.
pub fn changes(branch: &Branch, old: Option<GitId>, new: Option<GitId>) -> Result<Vec<Change>, BranchError> {
    let key = |file: Option<TreeFile>| file.map_or(Ok(None), |file| key_of(branch, file));
    let mut found = Vec::new();
    for change in branch.tree_changes(old, new)? {
        let (old, new) = (key(change.old)?, key(change.new)?);
        if old != new && may_be_exported(&change.path) {
            found.push(Change { path: change.path, old, new });
        }
    }
    Ok(found)
}

/// The key `file` is exported under. `None` for what is not exported.
fn key_of(branch: &Branch, file: TreeFile) -> Result<Option<Key>, BranchError> {
    let plain = match file.kind {
        FileKind::Submodule => return Ok(None),
        FileKind::Link => None,
        FileKind::Plain | FileKind::Executable => Some(git_key(file.id)),
    };
    if branch.blob_len(file.id)? > LONGEST_POINTER {
        return Ok(plain);
    }
    Ok(pointed_to(&branch.blob(file.id, LONGEST_POINTER)?, file.kind).or(plain))
}

/// The key that a file of a tree stands for; `None` for a file of git, and for what cannot be exported.
///
/// # Errors
///
/// It cannot be read.
pub fn annexed(branch: &Branch, file: TreeFile) -> Result<Option<Key>, BranchError> {
    Ok(key_of(branch, file)?.filter(|key| blob_of(key).is_none()))
}

/// Whether a store may be given this path: git refuses to make others, but anybody can write a tree by hand.
fn may_be_exported(path: &[u8]) -> bool {
    let part =
        |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git") && !part.contains(&0);
    path.split(|byte| *byte == b'/').all(part) && !path.starts_with(TEMPORARY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_place_are_not_exported() {
        for (path, may) in [
            ("a", true),
            ("a/b..c/...", true),
            (".gitmodules", true),
            ("../a", false),
            ("a/..", false),
            ("a//b", false),
            ("./a", false),
            (".git/annex/objects/x", false),
            ("a/.GIT/b", false),
            (".git-annex-tmp-content-SHA256--x", false),
            ("a/.git-annex-tmp-content-SHA256--x", true),
        ] {
            assert_eq!(may_be_exported(path.as_bytes()), may, "{path}");
        }
    }
}
