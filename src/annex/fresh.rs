//! Unique names for files that are ours alone until they are renamed.
//!
//! The number of a process and a count are no such name: in two containers both servers are process 1, and what one that
//! was killed left behind has the name that the next one takes. So names are made by chance, and files are made anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::name::Uuid;

/// `what.` and 32 digits by chance.
///
/// # Errors
///
/// The system gives no random bytes.
pub fn name(what: &str) -> io::Result<String> {
    let mut bytes = [0; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if got != bytes.len() {
        return Err(io::Error::other("cannot get random bytes from the system"));
    }
    Ok(format!("{what}.{}", annex_types::hex::show(&bytes)))
}

/// A uuid that nobody has, of the random kind.
///
/// # Errors
///
/// As those of [`name`].
pub fn uuid() -> io::Result<Uuid> {
    let digits = name("")?.into_bytes();
    let mut text = Vec::with_capacity(36);
    for (index, digit) in digits.iter().skip(1).enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push(b'-');
        }
        text.push(match index {
            12 => b'4',
            16 => b"89ab"[usize::from(*digit) % 4],
            _ => *digit,
        });
    }
    Uuid::parse(&text).map_err(io::Error::other)
}

/// Makes an empty file in `dir` that nobody else has, for reading and writing.
///
/// # Errors
///
/// Those of the system, such as a directory that is not there.
pub fn create(dir: &Path, what: &str, mode: u32) -> io::Result<(PathBuf, File)> {
    let path = dir.join(name(what)?);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&path)?;
    Ok((path, file))
}

/// What a file that was replaced outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// This process. After a power failure it may be the old one, the new one, or empty.
    Process,
    /// The machine, once its directory is synced too, which is left to the caller: several files may need that only once.
    Content,
    /// The machine.
    Machine,
}

/// Puts a file of `bytes` at `path` in one step: whoever reads it finds all of the old one or all of the new. It is written as
/// `temporary` first, a [`name`] that nobody else uses, on the same file system. Returns it, open for reading and writing.
///
/// # Errors
///
/// Those of the system. Nothing is changed then, but with [`Durability::Machine`] the new file may be there and not last.
pub fn replace(path: &Path, bytes: &[u8], temporary: &Path, mode: u32, durability: Durability) -> io::Result<File> {
    replace_written(path, temporary, mode, durability, |file| file.write_all(bytes))
}

/// The same, where `prepare` is done to the new file before it has its name, such as giving it an owner.
///
/// # Errors
///
/// Also those of `prepare`.
pub fn replace_prepared(
    path: &Path,
    bytes: &[u8],
    temporary: &Path,
    mode: u32,
    durability: Durability,
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<File> {
    placed(path, temporary, mode, durability, |file| file.write_all(bytes), prepare)
}

/// The same with what `write` writes, of which not all need be in memory at once.
///
/// # Errors
///
/// Also those of `write`.
pub fn replace_written(
    path: &Path,
    temporary: &Path,
    mode: u32,
    durability: Durability,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    placed(path, temporary, mode, durability, write, |_| Ok(()))
}

fn placed(
    path: &Path,
    temporary: &Path,
    mode: u32,
    durability: Durability,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(temporary)?;
    let synced = |file: &mut File| match durability {
        Durability::Process => Ok(()),
        Durability::Content | Durability::Machine => file.sync_data(),
    };
    let written = write(&mut file).and_then(|()| synced(&mut file));
    let placed = written.and_then(|()| prepare(&file)).and_then(|()| std::fs::rename(temporary, path));
    placed.inspect_err(|_| drop(std::fs::remove_file(temporary)))?;
    if durability == Durability::Machine {
        // The parent of a name alone is an empty path, which nothing can open.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, temporary) = (dir.path().join("log"), dir.path().join("new"));
        for (text, durability) in
            [("one", Durability::Process), ("two", Durability::Content), ("three", Durability::Machine)]
        {
            replace(&path, text.as_bytes(), &temporary, 0o600, durability).expect("replaced");
            assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
            assert!(!temporary.exists(), "it was renamed");
        }
        std::fs::write(&temporary, "another's").expect("written");
        replace(&path, b"four", &temporary, 0o600, Durability::Machine).expect_err("the name is in use");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "three");
        assert_eq!(std::fs::read_to_string(&temporary).expect("it is there"), "another's");
        let (gone, new) = (dir.path().join("gone/log"), dir.path().join("new2"));
        replace(&gone, b"five", &new, 0o600, Durability::Process).expect_err("no directory");
        assert!(!new.exists(), "nothing is left behind");
    }

    #[test]
    fn a_name_without_a_directory_is_one_in_the_current_directory() {
        let path = PathBuf::from(name("replaced").expect("a name"));
        let temporary = path.with_extension("new");
        let replaced = replace(&path, b"one", &temporary, 0o600, Durability::Machine);
        let found = std::fs::read(&path);
        std::fs::remove_file(&path).expect("it was made");
        assert_eq!(found.expect("it is there"), b"one");
        replaced.expect("replaced");
    }

    #[test]
    fn names_are_made_by_chance_and_files_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, file) = create(dir.path(), "x", 0o600).expect("made");
        let (other, _) = create(dir.path(), "x", 0o600).expect("made");
        assert_ne!(one, other);
        assert_eq!(file.metadata().expect("there").len(), 0);
        let digits = |path: &Path| path.extension().map(|digits| digits.len());
        assert_eq!((digits(&one), digits(&other)), (Some(32), Some(32)));
        let gone = create(&dir.path().join("gone"), "x", 0o600).expect_err("no directory");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
