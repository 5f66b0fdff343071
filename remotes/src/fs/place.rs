//! Where an object's file lies, and the system calls that bring it there and take it away.

use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{NameError, ObjectName};

/// Directory in the root where files are staged that have to have a name; git-annex's directory remotes use the same.
const STAGE: &str = "tmp";

/// How often a race with someone who removes the directories we make is run again.
const RACES: usize = 16;

/// The path of an object.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) root: Arc<Path>,
    pub(super) file: PathBuf,
    /// The object's last directory is named as the object and is its alone.
    own_dir: bool,
}

impl Place {
    pub(super) fn new(root: &Arc<Path>, object: &ObjectName) -> Result<Self, NameError> {
        let parts = object.components()?;
        let mut file = root.to_path_buf();
        file.extend(parts.iter().map(|p| OsStr::from_bytes(p)));
        let own_dir = matches!(parts.as_slice(), [.., dir, name] if dir == name);
        Ok(Self { root: Arc::clone(root), file, own_dir })
    }

    fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(&self.root)
    }

    /// A file in the root's file system to write an object into. The second is its name, where the file system cannot do
    /// without.
    pub(super) fn stage(&self) -> io::Result<(File, Option<PathBuf>)> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&*self.root, flags, Mode::from_raw_mode(0o444)) {
            Ok(fd) => Ok((File::from(fd), None)),
            // NFS, FUSE and old kernels have no nameless files.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                self.stage_named()
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn stage_named(&self) -> io::Result<(File, Option<PathBuf>)> {
        let dir = self.root.join(STAGE);
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(unique());
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o444);
        Ok((options.read(true).write(true).create_new(true).open(&path)?, Some(path)))
    }

    /// Makes a staged file the object: lasting before it is visible, and the directories lasting after it.
    pub(super) fn publish(&self, staged: &File, name: Option<&Path>) -> io::Result<()> {
        staged.sync_all()?;
        let mut made = Vec::new();
        for race in 1.. {
            made.append(&mut self.make_dirs()?);
            if self.own_dir {
                set_mode(self.dir(), |m| m | 0o200)?;
            }
            match self.link(staged, name) {
                Ok(()) => break,
                // Someone removed another object, and with it the directory that was empty at that moment.
                Err(e) if e.kind() == io::ErrorKind::NotFound && race < RACES => {}
                Err(e) => return Err(e),
            }
        }
        sync_dir(self.dir())?;
        for dir in made {
            if let Some(parent) = dir.parent() {
                sync_dir(parent)?;
            }
        }
        if self.own_dir {
            set_mode(self.dir(), |m| m & !0o222)?;
        }
        Ok(())
    }

    fn link(&self, staged: &File, name: Option<&Path>) -> io::Result<()> {
        match name {
            Some(name) => std::fs::rename(name, &self.file),
            None => match link_nameless(staged, &self.file) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    let aside = self.dir().join(unique());
                    link_nameless(staged, &aside)?;
                    std::fs::rename(&aside, &self.file).inspect_err(|_| {
                        let _ = std::fs::remove_file(&aside);
                    })
                }
                done => done,
            },
        }
    }

    /// Makes the directories above the file that are missing; says which.
    fn make_dirs(&self) -> io::Result<Vec<PathBuf>> {
        let missing: Vec<PathBuf> =
            self.dir().ancestors().take_while(|d| *d != &*self.root && !d.is_dir()).map(Path::to_path_buf).collect();
        for dir in missing.iter().rev() {
            match std::fs::create_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Ok(missing)
    }

    /// Removes the object and the directories that it leaves empty.
    pub(super) fn remove(&self) -> io::Result<()> {
        let dir = self.dir();
        if self.own_dir {
            match set_mode(dir, |m| m | 0o200) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => result?,
            }
        }
        match std::fs::remove_file(&self.file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Not made lasting: an object that comes back after a power cut is one nobody counts on.
        for dir in dir.ancestors().take_while(|d| *d != &*self.root) {
            if std::fs::remove_dir(dir).is_err() && dir.is_dir() {
                break;
            }
        }
        Ok(())
    }
}

/// Changes whenever the content does, as far as a file system can tell.
pub(super) fn tag(meta: &Metadata) -> String {
    format!("{}.{}.{}.{}", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Creates the root where only itself is missing, writes a marker into it, reads it back and removes it.
pub(super) fn prove(root: &Path) -> io::Result<()> {
    match std::fs::create_dir(root) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let dir = root.join(STAGE);
    std::fs::create_dir_all(&dir)?;
    let marker = dir.join(unique());
    let text = b"git-annex-remote-stream was here";
    std::fs::write(&marker, text)?;
    let read = std::fs::read(&marker);
    std::fs::remove_file(&marker)?;
    if read? != text { Err(io::Error::other("what was written is not what is read")) } else { Ok(()) }
}

fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let host = rustix::system::uname().nodename().to_string_lossy().replace('/', "_");
    format!("stream-{host}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn set_mode(path: &Path, change: impl Fn(u32) -> u32) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    let wanted = change(mode);
    if wanted == mode { Ok(()) } else { std::fs::set_permissions(path, Permissions::from_mode(wanted)) }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(dir) => match dir.sync_all() {
            // Some file systems cannot sync a directory.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn link_nameless(file: &File, to: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    let from = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
}
