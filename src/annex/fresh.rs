//! Names that nobody else uses, for files that are ours alone until they are renamed.
//!
//! The number of a process and a count are no such name: in two containers both servers are process 1, and what one that
//! was killed left behind has the name that the next one takes. So names are made by chance, and files are made anew.

use std::fmt::Write;
use std::fs::{File, OpenOptions};
use std::io;
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
        return Err(io::Error::other("the system gives no random bytes"));
    }
    let mut name = format!("{what}.");
    for byte in bytes {
        // A string takes all that is written to it.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
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

#[cfg(test)]
mod tests {
    use super::*;

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
