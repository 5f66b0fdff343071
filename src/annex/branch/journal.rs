//! The journal: whole new versions of files of the branch, waiting to be committed.
//!
//! A file is made in `othertmp/` and renamed into `journal/`, under the exclusive lock `journal.lck` and, so that nobody
//! cleans it away, the shared lock `othertmp.lck`. Names are those of the branch with `/` as `_` and `_` as `__`. Files in
//! `journal-private/` are never committed. Source: recorded from git-annex.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::annex::fresh;
use crate::annex::git::error::BranchError;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::log::Limit;

/// Longest name of a file, in bytes.
const NAME_MAX: usize = 255;

/// Longest wait for git-annex to let go of the journal. It may be merging or committing a branch of a million files.
const LOCK_LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Journal {
    annex_dir: PathBuf,
    shared: Option<u32>,
}

/// Which of the two journals a file lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Which {
    Public,
    Private,
}

/// Held while files of the journal are written or taken away.
pub(super) struct JournalLock {
    _lock: LockFile,
}

impl Journal {
    /// `shared` are bits of mode that every file gets, from `core.sharedRepository`.
    pub(super) fn new(annex_dir: PathBuf, shared: Option<u32>) -> Self {
        Self { annex_dir, shared }
    }

    pub(super) fn lock(&self) -> Result<JournalLock, BranchError> {
        let path = self.annex_dir.join("journal.lck");
        let lock = LockFile::wait(&path, LockKind::Exclusive, 0o666, LOCK_LIMIT);
        Ok(JournalLock { _lock: lock.map_err(BranchError::io("lock", &path))? })
    }

    /// The `annex` directory it is in.
    pub(super) fn annex_dir(&self) -> &Path {
        &self.annex_dir
    }

    /// The journal's version of `file`, without a last line that lacks its end: git-annex may be appending it. Errors: also
    /// where it is longer than a log may be.
    pub(super) fn read(&self, which: Which, file: &[u8]) -> Result<Option<Vec<u8>>, BranchError> {
        let path = self.path(which, file);
        let opened = match fs::File::open(&path) {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(BranchError::io("read", &path)(e)),
        };
        let (mut log, limit) = (Vec::new(), Limit::of(file));
        opened.take(limit.bytes + 1).read_to_end(&mut log).map_err(BranchError::io("read", &path))?;
        if !limit.allows(&log) {
            return Err(BranchError::too_long(path.display(), log.len() as u64));
        }
        log.truncate(log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        Ok(Some(log))
    }

    /// Replaces the journal's versions of files.
    pub(super) fn write<'a>(
        &self,
        _lock: &JournalLock,
        files: impl Iterator<Item = (Which, &'a [u8], &'a [u8])>,
    ) -> Result<(), BranchError> {
        let (temporary, tmp_lock) = (self.annex_dir.join("othertmp"), self.annex_dir.join("othertmp.lck"));
        let _tmp = LockFile::wait(&tmp_lock, LockKind::Shared, 0o666, LOCK_LIMIT)
            .map_err(BranchError::io("lock", &tmp_lock))?;
        for (which, file, log) in files {
            let name = journal_name(file);
            let to = self.dir(which).join(&name);
            let place = || {
                let from = self.write_file(&temporary, log)?;
                or_make_dir(&to, || fs::rename(&from, &to)).inspect_err(|_| drop(fs::remove_file(&from)))
            };
            place().map_err(BranchError::io("write", &to))?;
        }
        Ok(())
    }

    /// The names in the branch of at most `most` files in the public journal, without those of `but`. Files that no branch could
    /// hold are left out.
    pub(super) fn list(&self, most: usize, but: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, BranchError> {
        let dir = self.dir(Which::Public);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(BranchError::io("list", &dir)(e)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(BranchError::io("list", &dir))?;
            files.extend(branch_name(&entry.file_name()).filter(|file| !but.contains(file)));
            if files.len() == most {
                break;
            }
        }
        Ok(files)
    }

    /// Takes committed `files` away.
    pub(super) fn remove<'a>(
        &self,
        _lock: &JournalLock,
        files: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), BranchError> {
        for file in files {
            let path = self.dir(Which::Public).join(journal_name(file));
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(BranchError::io("remove", &path)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets others of a shared repository write what git needs to write, since the library goes by the umask alone: the
    /// directories of loose objects, and the file of `reference`. What cannot be changed belongs to others, who see to it.
    pub(super) fn share(&self, git_dir: &Path, reference: &str) {
        let Some(bits) = self.shared else { return };
        let add = |path: &Path, bits: u32| {
            let Ok(mode) = fs::metadata(path).map(|metadata| metadata.permissions().mode()) else { return };
            if mode & bits != bits {
                let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode | bits));
            }
        };
        // Who may read a directory also enters it, and what is made in it belongs to its group.
        let of_dirs = bits | ((bits & 0o444) >> 2) | 0o2000;
        (0..=255).for_each(|byte| add(&git_dir.join(format!("objects/{byte:02x}")), of_dirs));
        add(&git_dir.join(reference), bits);
        add(&git_dir.join("logs").join(reference), bits);
    }

    /// Where the journal has `file` of the branch.
    pub(super) fn path(&self, which: Which, file: &[u8]) -> PathBuf {
        self.dir(which).join(journal_name(file))
    }

    pub(super) fn dir(&self, which: Which) -> PathBuf {
        self.annex_dir.join(match which {
            Which::Public => "journal",
            Which::Private => "journal-private",
        })
    }

    /// Writes a file of its own into `dir`. Nobody else's may be taken for it, whatever was left behind.
    fn write_file(&self, dir: &Path, log: &[u8]) -> io::Result<PathBuf> {
        let (path, mut file) = or_make_dir(&dir.join("journal"), || fresh::create(dir, "journal", 0o666))?;
        let shared = || match self.shared {
            Some(bits) => {
                let mode = file.metadata()?.permissions().mode();
                file.set_permissions(fs::Permissions::from_mode(mode | bits))
            }
            None => Ok(()),
        };
        shared().and_then(|()| file.write_all(log)).inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(path)
    }
}

/// Tries again with the directory of `path` made, where it is not there.
fn or_make_dir<T>(path: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (act(), path.parent()) {
        (Err(e), Some(dir)) if e.kind() == io::ErrorKind::NotFound && !dir.exists() => {
            fs::create_dir_all(dir)?;
            act()
        }
        (done, _) => done,
    }
}

/// The bits that `core.sharedRepository` adds to the mode of a file.
pub(super) fn shared_bits(setting: Option<&[u8]>) -> Option<u32> {
    let setting = setting?.to_ascii_lowercase();
    match setting.as_slice() {
        b"group" | b"true" | b"yes" | b"on" | b"1" => Some(0o660),
        b"all" | b"world" | b"everybody" | b"2" => Some(0o664),
        octal => {
            let octal = octal.strip_prefix(b"0").filter(|rest| rest.len() == 3)?;
            let mode = u32::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?;
            Some(mode & 0o666)
        }
    }
}

/// Whether the journal can hold `file` of the branch, whose name grows there.
pub fn fits(file: &[u8]) -> bool {
    journal_name(file).len() <= NAME_MAX
}

fn journal_name(file: &[u8]) -> OsString {
    let mut name = Vec::with_capacity(file.len() + 8);
    for byte in file {
        match byte {
            b'/' => name.push(b'_'),
            b'_' => name.extend_from_slice(b"__"),
            other => name.push(*other),
        }
    }
    OsString::from_vec(name)
}

pub(super) fn branch_name(name: &OsStr) -> Option<Vec<u8>> {
    let mut file = Vec::with_capacity(name.len());
    let mut bytes = name.as_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'_' if bytes.next_if_eq(&b'_').is_some() => file.push(b'_'),
            b'_' => file.push(b'/'),
            other => file.push(other),
        }
    }
    file.split(|byte| *byte == b'/').all(is_component).then_some(file)
}

/// Whether a tree of git may hold an entry of this name.
pub(super) fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.eq_ignore_ascii_case(b".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: the journal's file of the location log of `WORM-s4--a_b__c`.
    #[test]
    fn names_in_the_journal_are_those_git_annex_uses() {
        for (file, name) in [
            ("ad1/82e/WORM-s4--a_b__c.log", "ad1_82e_WORM-s4--a__b____c.log"),
            ("uuid.log", "uuid.log"),
            ("a/_b", "a___b"),
        ] {
            assert_eq!(journal_name(file.as_bytes()), OsStr::new(name), "{file}");
        }
        assert_eq!(branch_name(OsStr::new("ad1_82e_a__b____c.log")).as_deref(), Some(&b"ad1/82e/a_b__c.log"[..]));
        for name in ["", "_", ".", "a_..", ".git", "x_.GIT_y", "_a"] {
            assert_eq!(branch_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn names_that_grow_too_long_for_a_file_do_not_fit() {
        let log = |name: &str| format!("abc/def/{name}.log").into_bytes();
        assert!(fits(&log(&"x".repeat(243))) && !fits(&log(&"x".repeat(244))));
        assert!(fits(&log(&format!("_{}", "x".repeat(241)))) && !fits(&log(&format!("_{}", "x".repeat(242)))));
    }

    #[test]
    fn a_line_without_its_end_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().to_path_buf(), None);
        assert_eq!(journal.read(Which::Public, b"a/b").expect("readable"), None);
        let lock = journal.lock().expect("free");
        journal.write(&lock, [(Which::Public, &b"a/b"[..], &b"1\n2\n3"[..])].into_iter()).expect("written");
        assert_eq!(journal.read(Which::Public, b"a/b").expect("readable").as_deref(), Some(&b"1\n2\n"[..]));
        assert_eq!(journal.read(Which::Private, b"a/b").expect("readable"), None);
        assert_eq!(journal.list(10, &[]).expect("listed"), [b"a/b"]);
        assert!(fs::read_dir(dir.path().join("othertmp")).expect("made").next().is_none(), "nothing is left behind");
        journal.remove(&lock, [&b"a/b"[..], b"not/there"].into_iter()).expect("removed");
        assert!(journal.list(10, &[]).expect("listed").is_empty());
    }

    #[test]
    fn shared_repositories_give_their_bits() {
        for (setting, bits) in [
            ("group", Some(0o660)),
            ("1", Some(0o660)),
            ("world", Some(0o664)),
            ("0640", Some(0o640)),
            ("umask", None),
            ("false", None),
            ("0", None),
        ] {
            assert_eq!(shared_bits(Some(setting.as_bytes())), bits, "{setting}");
        }
        assert_eq!(shared_bits(None), None);
    }
}
