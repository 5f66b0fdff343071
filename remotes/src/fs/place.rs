//! An object's path, and the system calls that put a file there and remove it.

use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::is_spelled;
use super::lasting::sync_dirs;
use crate::{NameError, ObjectName};

/// Longest name of a file or directory, in bytes.
const NAME_MAX: usize = 255;

/// How often a race with someone who removes the directories we make is run again.
pub(super) const RACES: usize = 16;

/// The path of an object.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) root: Arc<Path>,
    pub(super) file: PathBuf,
    /// The object's last directory is named as the object and is its alone.
    own_dir: bool,
    /// The name is one people gave: no directory is the object's own, and links are not followed.
    pub(super) tree: bool,
}

impl Place {
    pub(super) fn new(root: &Arc<Path>, object: &ObjectName, tree: bool) -> Result<Self, NameError> {
        let parts = object.components()?;
        let mut file = root.to_path_buf();
        file.extend(parts.iter().map(|p| OsStr::from_bytes(p)));
        let own_dir = !tree && matches!(parts.as_slice(), [.., dir, name] if dir == name);
        Ok(Self { root: Arc::clone(root), file, own_dir, tree })
    }

    /// The root itself, which is no object.
    pub(super) fn root(root: &Path, tree: bool) -> Self {
        Self { root: root.into(), file: root.to_path_buf(), own_dir: false, tree }
    }

    pub(super) fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(&self.root)
    }

    /// Makes the object last, whoever put it there. One that is gone is not there for anybody.
    pub(super) fn make_lasting(&self) -> io::Result<()> {
        match self.open().and_then(|file| file.sync_all()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => sync_dirs(&self.root, self.dir()),
        }
    }

    /// Whether a file system can have all names on the way to the object.
    pub(super) fn is_possible(&self) -> bool {
        let longest = self.file.iter().map(OsStr::len).max().unwrap_or(0);
        longest <= NAME_MAX
    }

    /// Bytes that are free on the root's disk, where the file system tells.
    pub(super) fn free(&self) -> Option<u64> {
        rustix::fs::statvfs(&*self.root).ok().map(|s| s.f_bavail.saturating_mul(s.f_frsize))
    }

    /// Makes a staged file the object: lasting before it is visible, and the directories lasting after it.
    pub(super) fn publish(&self, staged: &File, name: Option<&Path>) -> io::Result<()> {
        staged.sync_all()?;
        self.beneath()?;
        self.move_in(|| self.link(staged, name))
    }

    /// Runs `link`, which brings the file here, with the directories it needs, and makes it lasting.
    pub(super) fn move_in(&self, link: impl Fn() -> io::Result<()>) -> io::Result<()> {
        for race in 1.. {
            self.make_dirs()?;
            self.let_write()?;
            match link() {
                Ok(()) => break,
                // Someone removed another object, and with it the directory that was empty at that moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound && race < RACES => {}
                Err(e) => return Err(e),
            }
        }
        sync_dirs(&self.root, self.dir())?;
        self.protect()
    }

    /// Keeps files from coming into the object's own directory, and from going.
    fn protect(&self) -> io::Result<()> {
        if self.own_dir { set_mode(self.dir(), |m| m & !0o222) } else { Ok(()) }
    }

    /// Lets files come into the object's own directory, and go.
    pub(super) fn let_write(&self) -> io::Result<()> {
        if self.own_dir { set_mode(self.dir(), |m| m | 0o200) } else { Ok(()) }
    }

    fn link(&self, staged: &File, name: Option<&Path>) -> io::Result<()> {
        match name {
            Some(name) => self.take(name).inspect(|()| self.tidy(name)),
            None => match link_nameless(staged, &self.file) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    if self.tree {
                        self.may_replace()?;
                    }
                    let aside = self.moment(|aside| link_nameless(staged, aside))?;
                    let moved = std::fs::rename(&aside, &self.file).inspect_err(|_| {
                        let _ = std::fs::remove_file(&aside);
                    });
                    self.tidy(&aside);
                    moved
                }
                done => done,
            },
        }
    }

    /// Makes the directories above the file that are missing.
    fn make_dirs(&self) -> io::Result<()> {
        let missing: Vec<PathBuf> =
            self.dir().ancestors().take_while(|d| *d != &*self.root && !d.is_dir()).map(Path::to_path_buf).collect();
        let mut there = self.dir().ancestors().skip(missing.len()).take_while(|d| *d != &*self.root);
        if self.tree && !there.try_fold(true, |all, dir| Ok::<_, io::Error>(all && is_spelled(dir)?))? {
            return Err(self.twin());
        }
        for dir in missing.iter().rev() {
            match std::fs::create_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is said where something of another name is in the way.
    pub(super) fn twin(&self) -> io::Error {
        let name = self.file.strip_prefix(&self.root).unwrap_or(&self.file);
        io::Error::other(format!(
            "there is a file or directory whose name this file system does not tell from {}; it stays, and one of the two must be renamed",
            name.as_os_str().as_bytes().escape_ascii()
        ))
    }

    /// Removes the object and the directories that it leaves empty, if it `may` immediately before. False where not.
    pub(super) fn remove(&self, may: impl Fn() -> bool) -> io::Result<bool> {
        match self.beneath().and_then(|()| self.let_write()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            result => result?,
        }
        // A file that the system only takes for this one stays.
        if self.tree && std::fs::symlink_metadata(&self.file).is_ok() && !self.is_exact()? {
            return Ok(true);
        }
        if !may() {
            self.protect()?;
            return Ok(false);
        }
        match std::fs::remove_file(&self.file).map_err(|e| if self.tree { absent(e) } else { e }) {
            // A directory of that name is no file of that name.
            Err(_) if self.tree && std::fs::symlink_metadata(&self.file).is_ok_and(|meta| meta.is_dir()) => {}
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => self.prune(),
        }
        Ok(true)
    }

    /// Removes the directories above the file that are empty.
    pub(super) fn prune(&self) {
        // Not made lasting: an object that comes back after a power cut is one nobody counts on.
        for dir in self.dir().ancestors().take_while(|d| *d != &*self.root) {
            if std::fs::remove_dir(dir).is_err() && dir.is_dir() {
                break;
            }
        }
    }
}

/// Opens a staged file again and cuts it to `len` bytes. Errors: `NotFound` where it is gone or was never so long,
/// `WouldBlock` where somebody still has it open.
pub(super) fn reopen(path: &Path, len: u64) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    lock(&file)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() < len {
        return Err(io::ErrorKind::NotFound.into());
    }
    file.set_len(len)?;
    Ok(file)
}

/// A write that was given up may still be under way on a thread, which has the file open and so the lock.
pub(super) fn lock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
}

/// What tells this run of the system from those before, in which written bytes may have been lost.
pub(super) fn boot() -> Option<Vec<u8>> {
    std::fs::read("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim_ascii().to_vec()).filter(|id| !id.is_empty())
}

/// Changes whenever the content does, as far as a file system can tell.
pub(super) fn tag(meta: &Metadata) -> String {
    format!("{}.{}.{}.{}", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

fn set_mode(path: &Path, change: impl Fn(u32) -> u32) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    let wanted = change(mode);
    if wanted == mode { Ok(()) } else { std::fs::set_permissions(path, Permissions::from_mode(wanted)) }
}

fn link_nameless(file: &File, to: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
}

/// What lies below a file is not there.
pub(super) fn absent(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotADirectory { io::ErrorKind::NotFound.into() } else { error }
}
