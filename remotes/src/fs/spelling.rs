//! One file under two names, and two names that a file system takes for one.
//!
//! File systems that fold case or Unicode find a file by other names than its own: vfat, NTFS, those of macOS, ext4 where it
//! was told so. Which name a file really has only the directory tells, so where something is in the way of a new name the
//! directory is read, and what has another name is left alone.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::entry::{is_entry, is_spelled};
use super::place::Place;

/// What a file meets at the name that it shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// A file of that name, which is replaced.
    Other,
    /// A file of another name, which is not.
    Twin,
    /// A second name of the file itself, of which the first can go.
    Second,
    /// The file itself, whose name is the first, spelled otherwise.
    Itself,
    /// The file itself by the same name: a directory on the way is spelled otherwise.
    SameName,
}

/// What is known of a name and of what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Device and inode of the file.
    file: (u64, u64),
    /// How many names the file has.
    links: u64,
    /// Device and inode of the directory.
    dir: (u64, u64),
    /// The directory has an entry of this very name.
    spelled: bool,
    /// So have the directories above it, up to the root.
    above: bool,
}

/// What a file seen by one name meets at another, which leads to something too.
fn meet(source: Seen, target: Seen, same_name: bool) -> Meeting {
    let one_entry = source.dir == target.dir && same_name;
    match (source.file == target.file, target.spelled && target.above) {
        (false, true) => Meeting::Other,
        (false, false) => Meeting::Twin,
        (true, _) if one_entry => Meeting::SameName,
        // Two entries, for sure: each was read, and the file says that it has so many names.
        (true, _) if source.spelled && target.spelled && source.links > 1 => Meeting::Second,
        (true, _) if !target.spelled => Meeting::Itself,
        // Two entries are read, and the file has one name: a file system that counts no names, or reads out none of its own.
        (true, _) => Meeting::Twin,
    }
}

impl Place {
    /// Gives the file that is at `from` this name. In a tree no file of another name is replaced.
    pub(super) fn take(&self, from: &Path) -> io::Result<()> {
        if !self.tree {
            return std::fs::rename(from, &self.file);
        }
        match self.take_free(from) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        self.may_replace()?;
        std::fs::rename(from, &self.file)
    }

    /// Gives the file of `from` this name, in place of the one it has.
    pub(super) fn take_over(&self, from: &Place) -> io::Result<()> {
        match self.take_free(&from.file) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        let same_name = self.file.file_name() == from.file.file_name();
        match meet(from.seen()?, self.seen()?, same_name) {
            Meeting::Other => std::fs::rename(&from.file, &self.file),
            Meeting::Twin | Meeting::SameName => Err(self.twin()),
            Meeting::Second => std::fs::remove_file(&from.file),
            Meeting::Itself => self.respell(from),
        }
    }

    /// Whether what is found at this name of a tree has that very name, and the directories above it theirs.
    pub(super) fn is_exact(&self) -> io::Result<bool> {
        if !self.tree {
            return Ok(true);
        }
        let mut levels = self.file.ancestors().take_while(|level| *level != &*self.root);
        levels.try_fold(true, |all, level| Ok(all && is_spelled(level)?))
    }

    /// Fails where what is found at this name has another. Reads the directories above it.
    pub(super) fn may_replace(&self) -> io::Result<()> {
        let is_exact = self.seen().map(|seen| seen.spelled && seen.above);
        match is_exact {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(true) => Ok(()),
            Ok(false) => Err(self.twin()),
            Err(e) => Err(e),
        }
    }

    /// The same file under another spelling: by way of a third name, since the system sees nothing to do.
    fn respell(&self, from: &Place) -> io::Result<()> {
        let aside = self.moment(|aside| std::fs::rename(&from.file, aside))?;
        let moved = self.take_free(&aside).inspect_err(|_| {
            let _ = from.take_free(&aside);
        });
        self.tidy(&aside);
        moved
    }

    /// Gives the file at `from` this name. Errors: `AlreadyExists` where anything is found by it.
    fn take_free(&self, from: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags};
        use rustix::io::Errno;
        match rustix::fs::renameat_with(CWD, from, CWD, &self.file, RenameFlags::NOREPLACE) {
            // NFS and FUSE do not know this.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match std::fs::symlink_metadata(&self.file) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => std::fs::rename(from, &self.file),
                Err(e) => Err(e),
            },
            done => Ok(done?),
        }
    }

    fn seen(&self) -> io::Result<Seen> {
        let id = |meta: &Metadata| (meta.dev(), meta.ino());
        let (file, dir) = (std::fs::symlink_metadata(&self.file)?, std::fs::metadata(self.dir())?);
        let mut above = self.dir().ancestors().take_while(|dir| *dir != &*self.root);
        Ok(Seen {
            file: id(&file),
            links: file.nlink(),
            dir: id(&dir),
            spelled: is_entry(&self.file)?,
            above: above.try_fold(true, |all, dir| Ok::<_, io::Error>(all && is_entry(dir)?))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_name_of_a_file_is_never_taken_for_a_second_one() {
        let seen = |file, links, dir, spelled, above| Seen { file: (1, file), links, dir: (1, dir), spelled, above };
        let source = |links| seen(7, links, 1, true, true);
        for (name, source, target, same_name, meeting) in [
            ("another file", source(1), seen(8, 1, 1, true, true), false, Meeting::Other),
            ("a file of another case", source(1), seen(8, 1, 1, false, true), false, Meeting::Twin),
            ("in a directory of another case", source(1), seen(8, 1, 2, true, false), true, Meeting::Twin),
            ("a hard link", source(2), seen(7, 2, 1, true, true), false, Meeting::Second),
            ("a hard link elsewhere", source(2), seen(7, 2, 2, true, true), true, Meeting::Second),
            ("another case", source(1), seen(7, 1, 1, false, true), false, Meeting::Itself),
            ("another case of a file with two names", source(2), seen(7, 2, 1, false, true), false, Meeting::Itself),
            ("a directory of another case", source(1), seen(7, 1, 1, true, false), true, Meeting::SameName),
            ("likewise, with a link elsewhere", source(2), seen(7, 2, 1, true, false), true, Meeting::SameName),
            ("two entries of a file with one name", source(1), seen(7, 1, 1, true, true), false, Meeting::Twin),
        ] {
            assert_eq!(meet(source, target, same_name), meeting, "{name}");
        }
    }
}
