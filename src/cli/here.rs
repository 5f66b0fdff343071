//! The repository that a command is run in.

use std::path::{Path, PathBuf};

use crate::annex::repository::{OpenError, Repository};

/// The repository of the current directory, or of one above it; that of `GIT_DIR` where it is set, as git does.
///
/// git runs hooks with `GIT_DIR=.` in the `.git` directory of a repository with a work tree, and with the path of the
/// directory of its own in a linked work tree and in a submodule.
///
/// # Errors
/// In a sentence, with the way out.
pub(super) fn repository() -> Result<Repository, String> {
    if let Some(git_dir) = std::env::var_os("GIT_DIR").filter(|value| !value.is_empty()) {
        return named(Path::new(&git_dir));
    }
    let here = std::env::current_dir().map_err(|e| format!("the current directory: {e}"))?;
    above(&here)
}

/// The repository at `git_dir`. What a relative path is called tells git more than the path: `.` may be a `.git`.
fn named(git_dir: &Path) -> Result<Repository, String> {
    let whole = git_dir.canonicalize().map_err(|e| format!("GIT_DIR {}: {e}", git_dir.display()))?;
    Repository::open(&whole).map_err(|e| e.to_string())
}

fn above(here: &Path) -> Result<Repository, String> {
    // A path that is given without its ending `.git` opens too, which is nothing to look for in every parent.
    let top = here.ancestors().find(|dir| dir.join(".git").exists() || dir.join("HEAD").exists());
    let top: PathBuf =
        top.ok_or_else(|| format!("{}: not in a git repository; cd to one of git-annex", here.display()))?.into();
    Repository::open(&top).map_err(|e: OpenError| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::make;

    #[test]
    fn a_repository_is_found_from_below_and_its_absence_told() {
        let top = tempfile::tempdir().expect("a directory");
        make(&top.path().join("r"), &[]);
        let below = top.path().join("r/a/b");
        std::fs::create_dir_all(&below).expect("a directory");
        assert_eq!(above(&below).expect("found").uuid().as_bytes(), b"u-1");
        assert!(above(&top.path().join("r/.git/annex")).is_ok());
        let none = above(Path::new("/proc/self")).err().expect("no repository");
        assert!(none.contains("not in a git repository"), "{none}");
    }
}
