//! Where files wait for their final names.
//!
//! Nothing that waits has a name that a file of the place could have. Keys lie in hashed directories, so those who wait for one
//! are below `tmp/`, as with git-annex's own type. A tree may have any name but `.git`, which git refuses, so there they are
//! below `.git/annex/`, beside what git-annex keeps in trees; directories that are left empty go.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::place::{Place, RACES, lock};
use super::put::Stage;
use crate::sys::chance;

/// Where files are staged among keys. Earlier versions staged here in trees too.
const KEYS: &str = "tmp";

/// Where they are staged in a tree: directory by directory.
const TREE: [&str; 3] = [".git", "annex", "stream-tmp"];

/// How the names of staged files begin that outlive the process.
const LASTING: &str = "stream-upload-";

impl Place {
    fn staging(&self) -> PathBuf {
        staging(&self.root, self.tree)
    }

    /// A file in the root's file system to write an object into, without a name where the file system can do without.
    pub(super) fn stage(&self) -> io::Result<Stage> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&*self.root, flags, Mode::from_raw_mode(0o444)) {
            Ok(fd) => Ok(Stage { file: fd.into(), name: None, written: 0, resumption: None }),
            // NFS, FUSE and old kernels have no nameless files.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                self.stage_named()
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn stage_named(&self) -> io::Result<Stage> {
        let path = self.staging().join(unique());
        let file =
            self.in_staging(|| File::options().read(true).write(true).create_new(true).mode(0o444).open(&path))?;
        Ok(Stage { file, name: Some(path), written: 0, resumption: None })
    }

    /// A file in the root's file system that outlives the process, with the name by which it is found again. Nobody else has
    /// it open for as long as it is open here, whatever threads do. `None` where the file system cannot promise that.
    pub(super) fn stage_lasting(&self) -> io::Result<Option<(File, OsString)>> {
        let name = OsString::from(format!("{LASTING}{:016x}", chance()));
        let path = self.staging().join(&name);
        let file = self.in_staging(|| File::options().read(true).write(true).create_new(true).open(&path))?;
        if lock(&file).is_err() {
            self.let_go(&path)?;
            return Ok(None);
        }
        Ok(Some((file, name)))
    }

    /// Where the staged file with this name is. `None` where this is no such name.
    pub(super) fn lasting(&self, name: &[u8]) -> Option<PathBuf> {
        let digits = name.strip_prefix(LASTING.as_bytes())?;
        if digits.len() != 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let name = OsStr::from_bytes(name);
        let (new, old) = (self.staging().join(name), self.root.join(KEYS).join(name));
        // Somebody wrote down that this name is ours; nobody else finds so many digits.
        let is_old = self.tree && !is_file(&new) && is_dir(&self.root.join(KEYS)) && is_file(&old);
        Some(if is_old { old } else { new })
    }

    /// A name for a moment, in a directory that is there.
    pub(super) fn moment<T>(&self, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<PathBuf> {
        let path = self.staging().join(unique());
        self.in_staging(|| make(&path))?;
        Ok(path)
    }

    /// Removes a staged file, and what it leaves empty.
    pub(super) fn let_go(&self, staged: &Path) -> io::Result<()> {
        let removed = std::fs::remove_file(staged);
        self.tidy(staged);
        removed
    }

    /// Removes the directories of a tree that a staged file left empty.
    pub(super) fn tidy(&self, staged: &Path) {
        if self.tree {
            let above = staged.ancestors().skip(1).take_while(|dir| *dir != &*self.root);
            above.map(std::fs::remove_dir).take_while(Result::is_ok).for_each(drop);
        }
    }

    /// Runs `make`, which makes something in the directory of staged files, with that directory.
    fn in_staging<T>(&self, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        for _ in 1..RACES {
            make_staging(&self.root, self.tree)?;
            match make() {
                // Somebody removed the directory, which was empty at that moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                made => return made,
            }
        }
        make_staging(&self.root, self.tree)?;
        make()
    }
}

/// Creates the root where only itself is missing, writes a marker into it, reads it back and removes it.
/// In a tree nothing but its files stays.
pub(super) fn prove(root: &Path, tree: bool) -> io::Result<()> {
    match std::fs::create_dir(root) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let place = Place::root(root, tree);
    let text = b"git-annex-remote-stream was here";
    let write = |path: &Path| File::options().write(true).create_new(true).open(path)?.write_all(text);
    let marker = place.moment(write)?;
    let read = std::fs::read(&marker);
    place.let_go(&marker)?;
    if read? != text { Err(io::Error::other("what was written is not what is read")) } else { Ok(()) }
}

/// True where files are staged in this directory below the root.
pub(super) fn is_staging(dir: &[u8], tree: bool) -> bool {
    dir.split(|byte| *byte == b'/').eq(levels(tree).iter().map(|part| part.as_bytes()))
}

fn levels(tree: bool) -> &'static [&'static str] {
    if tree { &TREE } else { &[KEYS] }
}

fn staging(root: &Path, tree: bool) -> PathBuf {
    let mut dir = root.to_path_buf();
    dir.extend(levels(tree));
    dir
}

/// Makes the directory of staged files, and never the root: its drive may not be mounted. Errors: in a tree one on the way is a
/// symbolic link, which leads who knows where.
fn make_staging(root: &Path, tree: bool) -> io::Result<()> {
    let mut dir = root.to_path_buf();
    for part in levels(tree) {
        dir.push(part);
        match std::fs::create_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tree && is_in_the_way(&dir) => {
                let what = format!("{} is not a directory, but files are staged below it", dir.display());
                return Err(io::Error::other(what));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            // One above it was removed, being empty: whoever asked tries again.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            made => made?,
        }
    }
    Ok(())
}

/// Whether something else than a directory is there; what was removed since is not.
fn is_in_the_way(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_dir())
}

fn is_dir(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
}

/// A name that nobody else uses. Process ids and counts come again: in a container they always do.
fn unique() -> String {
    format!("stream-{:016x}{:016x}", chance(), chance())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn place(root: &Path, tree: bool) -> Place {
        Place::root(&Arc::from(root), tree)
    }

    #[test]
    fn staging_leaves_no_directory_in_a_tree() {
        let dir = tempfile::tempdir().expect("a directory");
        let tree = place(dir.path(), true);
        prove(dir.path(), true).expect("a place");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left of the proof");
        let (one, two) = (tree.stage_named().expect("staged"), tree.stage_named().expect("staged"));
        let (one, two) = (one.name.expect("a name"), two.name.expect("a name"));
        tree.let_go(&one).expect("removed");
        assert!(two.exists(), "the other waits on");
        tree.let_go(&two).expect("removed");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
        // What git-annex keeps there stays.
        std::fs::create_dir_all(dir.path().join(".git/annex/objects")).expect("made");
        let one = tree.stage_named().expect("staged").name.expect("a name");
        tree.let_go(&one).expect("removed");
        assert!(dir.path().join(".git/annex/objects").is_dir() && !dir.path().join(".git/annex/stream-tmp").exists());
    }

    #[test]
    fn a_link_in_a_tree_does_not_lead_staging_elsewhere() {
        let (dir, outside) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        for (link, within) in [(".git", ""), (".git/annex", ".git"), (".git/annex/stream-tmp", ".git/annex")] {
            let root = dir.path().join(link.replace('/', "-"));
            std::fs::create_dir_all(root.join(within)).expect("made");
            std::os::unix::fs::symlink(outside.path(), root.join(link)).expect("a link");
            let e = place(&root, true).stage_named().map(|_| ()).expect_err("refused");
            assert!(e.to_string().contains("is not a directory"), "{e}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).expect("listed").count(), 0);
    }

    #[test]
    fn what_an_earlier_version_staged_in_a_tree_is_found_by_its_name_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = b"stream-upload-0123456789abcdef";
        let (tree, keys) = (place(dir.path(), true), place(dir.path(), false));
        let old = dir.path().join("tmp/stream-upload-0123456789abcdef");
        assert!(tree.lasting(name).expect("a name").starts_with(dir.path().join(".git/annex")));
        std::fs::create_dir(dir.path().join("tmp")).expect("made");
        std::fs::write(&old, "x").expect("written");
        assert_eq!((tree.lasting(name), keys.lasting(name)), (Some(old.clone()), Some(old.clone())));
        std::fs::remove_file(&old).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", &old).expect("a link");
        assert_ne!(tree.lasting(name), Some(old), "a link is nobody's upload");
        for bad in ["stream-upload-", "stream-upload-0123456789abcde/", "x", "stream-upload-0123456789abcdef0"] {
            assert_eq!(tree.lasting(bad.as_bytes()), None, "{bad}");
        }
    }
}
