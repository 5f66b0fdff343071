//! Making a repository at a path where there is none, for somebody who pushes there.
//!
//! What is made lies in the first of the served directories, in no repository, and behind no link. It is made under another name,
//! with all it needs, and then has its own: whoever looks finds nothing, or a repository that can be used.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::walk::is_repository;
use crate::annex::fresh;
use crate::annex::program::run;
use crate::annex::repository::Repository;

/// Deepest path that is made: as deep as repositories are looked for.
const DEPTH: usize = 8;

/// Longest part of a path, in bytes.
const LONGEST: usize = 100;

/// Longest time that `git init` may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The path of a new repository that is called `name`, below a directory; none where it cannot be called that.
pub(super) fn path_of(name: &[u8]) -> Option<PathBuf> {
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    let plain = |part: &&[u8]| {
        let byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        part.first().is_some_and(u8::is_ascii_alphanumeric) && part.len() <= LONGEST && part.iter().all(byte)
    };
    if parts.len() > DEPTH || !parts.iter().all(plain) {
        return None;
    }
    // Nothing can be made below a repository, and its name tells which directory is one.
    let (last, above) = parts.split_last()?;
    if above.iter().any(|part| part.ends_with(b".git")) || *last == b".git" {
        return None;
    }
    let mut path: PathBuf = above.iter().map(|part| OsStr::from_bytes(part)).collect();
    let last = last.strip_suffix(b".git").unwrap_or(last);
    path.push(OsStr::from_bytes(&[last, b".git"].concat()));
    Some(path)
}

/// Why no repository is made.
#[derive(Debug)]
pub(super) enum NotMade {
    /// There must be none.
    Refused(&'static str),
    /// It did not work.
    Failed(String),
}

/// Makes a bare repository of git-annex's at `path` below `root`, by `git`, a command with a clean environment. Blocks.
///
/// # Errors
///
/// Why not. It is no error that it is there already.
pub(super) fn make(root: &Path, path: &Path, mut git: Command) -> Result<(), NotMade> {
    let failed = |e: std::io::Error| NotMade::Failed(e.to_string());
    let root = root.canonicalize().map_err(failed)?;
    let target = root.join(path);
    let mut at = root.clone();
    if is_repository(&at) {
        return Err(NotMade::Refused("the served directory is a repository itself"));
    }
    for part in path.parent().into_iter().flat_map(Path::iter) {
        at.push(part);
        match std::fs::create_dir(&at) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(NotMade::Failed(format!("make a directory: {e}"))),
        }
        // A link leads elsewhere, and what is in a repository was pushed.
        let kind = std::fs::symlink_metadata(&at).map_err(failed)?.file_type();
        if !kind.is_dir() || is_repository(&at) {
            return Err(NotMade::Refused("nothing is made behind a link, or in a repository"));
        }
    }
    if std::fs::symlink_metadata(&target).is_ok() {
        return Ok(());
    }
    let name = fresh::name(".new").map_err(failed)?;
    let made = at.join(name);
    let done = (|| -> Result<(), String> {
        std::fs::create_dir(&made).map_err(|e| format!("make a directory: {e}"))?;
        git.args(["init", "--quiet", "--bare", "--initial-branch=main", "--template=", "."]);
        run(&mut git, &made, LIMIT).map_err(|e| format!("git init: {e}"))?;
        Repository::initialise_as(&made, &target).map_err(|e| e.to_string())?;
        match std::fs::rename(&made, &target) {
            // Another was sooner.
            Err(_) if is_repository(&target) => Ok(()),
            renamed => renamed.map_err(|e| format!("give it its name: {e}")),
        }
    })();
    // Of what has its name nothing is left here.
    let _ = std::fs::remove_dir_all(&made);
    done.map_err(NotMade::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_repository_is_called_as_a_url_can_name_it() {
        for (name, path) in [
            ("photos", Some("photos.git")),
            ("photos.git", Some("photos.git")),
            ("org/team-1/photos_2.x", Some("org/team-1/photos_2.x.git")),
            ("", None),
            (".git", None),
            ("a/.git", None),
            ("a.git/b", None),
            ("../a", None),
            ("a/../b", None),
            (".hidden", None),
            ("-a", None),
            ("a b", None),
            ("a\n", None),
            ("a//b", None),
            ("1/2/3/4/5/6/7/8", Some("1/2/3/4/5/6/7/8.git")),
            ("1/2/3/4/5/6/7/8/9", None),
        ] {
            assert_eq!(path_of(name.as_bytes()).as_deref(), path.map(Path::new), "{name}");
        }
        assert_eq!(path_of(&[b'x'; 101]), None);
    }

    #[test]
    fn it_is_made_whole_and_never_behind_a_link_or_in_a_repository() {
        let top = tempfile::tempdir().expect("a directory");
        let root = top.path().join("srv");
        std::fs::create_dir(&root).expect("a directory");
        let git = || Command::new("git");
        let path = |name: &str| path_of(name.as_bytes()).expect("it can be called that");
        make(&root, &path("org/photos"), git()).expect("made");
        let made = Repository::open(&root.join("org/photos.git")).unwrap_or_else(|e| panic!("{e}"));
        assert!(made.is_bare());
        make(&root, &path("org/photos"), git()).expect("it is there");
        let again = Repository::open(&root.join("org/photos.git")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(made.uuid(), again.uuid(), "it stays what it is");
        std::fs::create_dir(top.path().join("out")).expect("a directory");
        std::os::unix::fs::symlink("../out", root.join("link")).expect("a link");
        crate::annex::repository::tests::make(&root.join("tree"), &[]);
        for name in ["link/x", "tree/x", "tree/deep/x"] {
            make(&root, &path(name), git()).expect_err(name);
        }
        assert_eq!(std::fs::read_dir(top.path().join("out")).expect("it is there").count(), 0);
        assert!(!root.join("tree/x.git").exists() && !root.join("tree/deep").exists());
        let left = std::fs::read_dir(root.join("org")).expect("it is there").count();
        assert_eq!(left, 1, "nothing else is left");
    }
}
