//! Searching directories on disk for repositories. None is opened here.
//!
//! Links are followed, and where they lie is remembered: a link that somebody can push may not lead anywhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// How deep repositories are looked for below a directory.
const DEPTH: usize = 8;

/// Most links on the way to one place, as with the kernel.
const LINKS: usize = 40;

/// A place, and how it was come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Real {
    /// Its path without links.
    pub(super) path: PathBuf,
    /// The directories, without links, that hold the links on the way to it.
    pub(super) links: Vec<PathBuf>,
}

/// A repository that was come upon.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Its path below the directory, as a URL names it.
    pub(super) name: Vec<u8>,
    pub(super) real: Real,
}

/// Finds the repositories below `directory`, in order of their names, none within another. Blocks.
pub(super) fn walk(directory: &Path) -> Vec<Sighting> {
    let mut found = Vec::new();
    let Ok(path) = directory.canonicalize() else { return found };
    if is_repository(&path) {
        // What is below it came by push.
        tracing::warn!(
            "{} is a repository itself, so nothing below it is served: give it without --directory, or the directory above it",
            directory.display()
        );
        return found;
    }
    descend(&Real { path, links: Vec::new() }, &[], DEPTH, &mut Vec::new(), &mut found);
    found
}

fn descend(at: &Real, name: &[u8], depth: usize, above: &mut Vec<PathBuf>, found: &mut Vec<Sighting>) {
    let Ok(entries) = std::fs::read_dir(&at.path) else { return };
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir() || t.is_symlink()))
        .map(|e| (e.file_name(), e.file_type().is_ok_and(|t| t.is_symlink())))
        .collect();
    // Which of two with the same uuid is served must not change from walk to walk.
    names.sort();
    above.push(at.path.clone());
    for (entry, is_link) in names {
        let real = if is_link {
            let Ok(Some(Real { path, links })) = follow(&at.path, &entry) else { continue };
            Real { path, links: at.links.iter().cloned().chain(links).collect() }
        } else {
            Real { path: at.path.join(&entry), links: at.links.clone() }
        };
        let mut name = name.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(entry.as_bytes());
        if is_repository(&real.path) {
            found.push(Sighting { name, real });
        } else if depth > 0 && !above.contains(&real.path) {
            descend(&real, &name, depth - 1, above, found);
        }
    }
    above.pop();
}

/// Where the link `name` in the directory `at`, a path without links, leads in the end; none where that is no directory.
fn follow(at: &Path, name: &OsStr) -> io::Result<Option<Real>> {
    let (mut path, mut links) = (at.to_path_buf(), Vec::new());
    let mut left: VecDeque<OsString> = [name.to_os_string()].into();
    while let Some(part) = left.pop_front() {
        if part == ".." {
            path.pop();
            continue;
        }
        let next = path.join(&part);
        if !std::fs::symlink_metadata(&next)?.file_type().is_symlink() {
            path = next;
            continue;
        }
        if links.len() == LINKS {
            return Ok(None);
        }
        links.push(path.clone());
        let target = std::fs::read_link(&next)?;
        if target.is_absolute() {
            path = PathBuf::from("/");
        }
        for part in target.components().rev() {
            if let Component::ParentDir | Component::Normal(_) = part {
                left.push_front(part.as_os_str().to_os_string());
            }
        }
    }
    Ok(path.is_dir().then_some(Real { path, links }))
}

/// Whether git would take `path` for a repository, looked at in passing. Rather too often than too seldom: nothing is
/// looked for below one.
pub(super) fn is_repository(path: &Path) -> bool {
    std::fs::symlink_metadata(path.join(".git")).is_ok()
        || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn bare(path: PathBuf) {
        std::fs::create_dir_all(path.join("objects")).expect("a directory");
        std::fs::write(path.join("HEAD"), "ref: refs/heads/main\n").expect("a file");
    }

    #[test]
    fn repositories_are_found_in_order_through_links_and_never_inside_another() {
        let top = tempfile::tempdir().expect("a directory");
        let top = top.path().canonicalize().expect("it is there");
        let at = |name: &str| top.join(name);
        for path in ["srv/b.git", "srv/org/a", "srv/b.git/inner", "disk/far/c", "srv/org/a/x/y"] {
            bare(at(path));
        }
        std::fs::create_dir_all(at("srv/tree/.git")).expect("a directory");
        bare(at("srv/tree/pushed"));
        for (target, link) in [
            ("../disk", "srv/disk2"),
            ("disk2/far/./c", "srv/by-way"),
            (".", "srv/loop"),
            ("../../srv", "srv/org/up"),
            ("nowhere", "srv/dangling"),
            ("self", "srv/self"),
            ("../disk/../disk/far/c", "srv/winding"),
        ] {
            symlink(target, at(link)).expect("a link");
        }
        symlink(at("disk/far/c"), at("srv/zz")).expect("a link");
        let found = walk(&at("srv"));
        let named: Vec<_> = found
            .iter()
            .filter(|sighting| !sighting.name.starts_with(b"org/up") && !sighting.name.starts_with(b"loop"))
            .map(|sighting| {
                let below = |path: &PathBuf| path.strip_prefix(&top).expect("below").display().to_string();
                let links: Vec<_> = sighting.real.links.iter().map(below).collect();
                (String::from_utf8_lossy(&sighting.name).into_owned(), below(&sighting.real.path), links.join(" "))
            })
            .collect();
        let expected = [
            ("b.git", "srv/b.git", ""),
            ("by-way", "disk/far/c", "srv srv"),
            ("disk2/far/c", "disk/far/c", "srv"),
            ("org/a", "srv/org/a", ""),
            ("tree", "srv/tree", ""),
            ("winding", "disk/far/c", "srv"),
            ("zz", "disk/far/c", "srv"),
        ];
        assert_eq!(named, expected.map(|(name, path, links)| (name.into(), path.into(), links.into())));
        for sighting in &found {
            assert_eq!(sighting.real.path.canonicalize().expect("there"), sighting.real.path);
        }
        assert!(walk(&at("srv/tree")).is_empty(), "nothing below a repository");
    }
}
