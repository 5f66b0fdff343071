//! The local end of a transfer: the file git-annex names.

use std::fs::File;
use std::io;
use std::sync::Arc;

use remotes::pump::FileSource;
use remotes::{Error, Kind, Op, Result};

use crate::proto::special::FileName;

/// The file to store.
pub(super) fn open_source(file: &FileName) -> Result<FileSource> {
    let failed = |e| Error::io(Op::Put, "the file to read", e);
    // Opening anything else might wait for ever.
    if !std::fs::metadata(file.as_path()).map_err(failed)?.is_file() {
        return Err(Error::new(Op::Put, Kind::Io, "the file to read is no plain file"));
    }
    let file = File::open(file.as_path()).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok(FileSource { file: Arc::new(file), at: 0, len })
}

/// The file a key is retrieved to.
pub(super) struct Sink {
    pub(super) file: Arc<File>,
    /// Bytes it holds from an earlier try.
    pub(super) have: u64,
    created: bool,
}

impl Sink {
    /// After a failure, what arrived stays for the next try; a file without content that was not there before goes.
    pub(super) fn leave(&self, name: &FileName) {
        if self.created && self.file.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _ = std::fs::remove_file(name.as_path());
        }
    }
}

/// Opens or makes the file to write.
pub(super) fn open_sink(name: &FileName) -> io::Result<Sink> {
    let mut options = File::options();
    options.read(true).write(true);
    match std::fs::metadata(name.as_path()) {
        Ok(meta) if meta.is_file() => {
            let file = options.open(name.as_path())?;
            let have = file.metadata()?.len();
            Ok(Sink { file: Arc::new(file), have, created: false })
        }
        Ok(_) => Err(io::Error::other("it is no plain file")),
        Err(_) => {
            let file = options.create(true).truncate(false).open(name.as_path())?;
            Ok(Sink { file: Arc::new(file), have: 0, created: true })
        }
    }
}
