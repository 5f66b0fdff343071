//! All ledgers, listed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::claim::Claim;
use super::record::{self, Image};
use super::{Begun, gone};
use crate::name::{Key, Uuid};

/// A file that remembers an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An upload that can be resumed, or is under way.
    Upload {
        /// Where it is remembered. Another file than the ledger's where a process ended while it began one.
        file: PathBuf,
        /// The remote it goes to.
        remote: Uuid,
        /// What is uploaded.
        key: Key,
        /// How far it is.
        begun: Begun,
    },
    /// A file that is malformed: the store may keep something that nobody knows of any more.
    Corrupt {
        /// For [`Ledgers::discard`](super::Ledgers::discard).
        file: PathBuf,
        /// When it was last written, in seconds since 1970.
        touched: u64,
    },
}

pub(super) fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let files = match std::fs::read_dir(dir) {
        Ok(files) => files,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut entries = Vec::new();
    for file in files {
        let path = file?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
        if ending == "lck" || (ending == "new" && Claim::is_taken(&dir.join(ledger_of(&path)))) {
            continue;
        }
        let entry = match read(&path) {
            Ok(entry) => entry,
            // Finished in this very moment.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        entries.extend(entry);
    }
    Ok(entries)
}

/// The name of the ledger that a file belongs to: all up to the first dot.
fn ledger_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_string()
}

fn read(path: &Path) -> io::Result<Option<Entry>> {
    let file = File::open(path)?;
    let named = |image: &Image| ledger_of(path) == *record::file_name(&image.remote, &image.key);
    if let Some(Image { remote, key, begun, .. }) = record::read(&file)?.filter(named) {
        return Ok(Some(Entry::Upload { file: path.to_path_buf(), remote, key, begun }));
    }
    let metadata = file.metadata()?;
    // Left by a process that ended before anything was remembered in it.
    if metadata.len() == 0 && path.extension().is_some_and(|ending| ending == "new") {
        gone(std::fs::remove_file(path))?;
        return Ok(None);
    }
    let touched = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(Some(Entry::Corrupt { file: path.to_path_buf(), touched }))
}
