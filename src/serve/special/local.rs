//! The local end of a transfer: the file git-annex names.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use remotes::pump::FileSource;
use remotes::{Error, Kind, Op, Result};

use crate::proto::special::FileName;

/// The file to store.
pub(super) fn open_source(file: &FileName) -> Result<FileSource> {
    let failed = |e| Error::io(Op::Put, "the file to read", e);
    // Opening anything else might wait for ever.
    if !std::fs::metadata(file.as_path()).map_err(failed)?.is_file() {
        return Err(Error::new(Op::Put, Kind::Io, "the file to read is not a regular file"));
    }
    let file = File::open(file.as_path()).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok(FileSource { file: Arc::new(file), at: 0, len })
}

/// The file a key is retrieved to, which may have another name until it is whole.
pub(super) struct Sink {
    pub(super) file: Arc<File>,
    /// Bytes it holds from an earlier try.
    pub(super) have: u64,
    created: bool,
    name: PathBuf,
    beside: PathBuf,
}

impl Sink {
    /// Opens or makes the file that git-annex names.
    pub(super) fn open(name: &FileName) -> io::Result<Self> {
        let name = name.as_path();
        Self::open_at(name, name)
    }

    /// Opens or makes a file beside it, which gets its name once it is [`done`](Self::done). Goes on with what an earlier try
    /// left under either name.
    ///
    /// git-annex hashes a file that it has named while that is written. Of a key's file it reads again what it did not get to;
    /// of a file of a tree it says then that the content is wrong, to any program that is faster than itself (10.20261026).
    /// A file that appears at once it reads as a whole.
    pub(super) fn open_beside(name: &FileName) -> io::Result<Self> {
        let name = name.as_path();
        let beside = beside(name);
        if beside != name && !beside.try_exists()? {
            match std::fs::symlink_metadata(name) {
                Ok(meta) if meta.is_file() => std::fs::rename(name, &beside)?,
                Ok(_) => return Err(io::Error::other("it is not a regular file")),
                Err(_) => {}
            }
        }
        Self::open_at(name, &beside)
    }

    fn open_at(name: &Path, beside: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true);
        let (file, created) = match std::fs::metadata(beside) {
            Ok(meta) if meta.is_file() => (options.open(beside)?, false),
            Ok(_) => return Err(io::Error::other("it is not a regular file")),
            Err(_) => (options.create(true).truncate(false).open(beside)?, true),
        };
        let have = if created { 0 } else { file.metadata()?.len() };
        Ok(Self { file: Arc::new(file), have, created, name: name.to_path_buf(), beside: beside.to_path_buf() })
    }

    /// It is whole.
    pub(super) fn done(self) -> io::Result<()> {
        if self.beside == self.name { Ok(()) } else { std::fs::rename(&self.beside, &self.name) }
    }

    /// After a failure, what arrived stays for the next try; a file without content that was not there before goes.
    pub(super) fn leave(self) {
        if self.created && self.file.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _ = std::fs::remove_file(&self.beside);
        } else if self.beside != self.name {
            // Where that fails the next try finds it beside.
            let _ = std::fs::rename(&self.beside, &self.name);
        }
    }
}

/// The name itself where it has no room for more.
fn beside(name: &Path) -> PathBuf {
    const ENDING: &str = ".stream";
    const LONGEST: usize = 255;
    let len = name.file_name().map_or(0, |last| last.len());
    if len + ENDING.len() > LONGEST { name.to_path_buf() } else { name.with_added_extension("stream") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_file_of_a_tree_appears_as_a_whole_and_what_was_broken_off_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let name = |name: &str| FileName::new(path(name).as_os_str().as_bytes()).expect("a name");
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(dir.path()).expect("listed").flatten().collect();
            names.sort_by_key(std::fs::DirEntry::file_name);
            names.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let aside = Sink::open_beside(&name("x")).expect("opened");
        (&*aside.file).write_all(b"ab").expect("written");
        assert_eq!(names(), ["x.stream"], "nothing is to be hashed yet");
        aside.leave();
        assert_eq!(names(), ["x"]);
        let aside = Sink::open_beside(&name("x")).expect("opened");
        assert_eq!((aside.have, names()), (2, vec!["x.stream".to_string()]));
        // Killed.
        drop(aside);
        let aside = Sink::open_beside(&name("x")).expect("opened");
        assert_eq!(aside.have, 2);
        aside.done().expect("whole");
        assert_eq!((names(), std::fs::read(path("x")).expect("there")), (vec!["x".to_string()], b"ab".to_vec()));
        Sink::open_beside(&name("empty")).expect("opened").leave();
        assert_eq!(names(), ["x"], "nothing is left of nothing");
        let long = "l".repeat(250);
        let aside = Sink::open_beside(&name(&long)).expect("opened");
        assert_eq!(names(), [long.clone(), "x".to_string()], "there is no other name for it");
        aside.done().expect("whole");
        std::fs::create_dir(path("d")).expect("made");
        assert!(Sink::open_beside(&name("d")).is_err());
    }
}
