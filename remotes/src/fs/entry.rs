//! Names as directories have them, where a file system finds a file by others too.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fold::respellings;

/// Whether a file that is found at `path` has this very name. The directory is read only where something is found by another
/// spelling too.
pub(super) fn is_spelled(path: &Path) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(true) };
    let is_found = |other: Vec<u8>| std::fs::symlink_metadata(dir.join(OsStr::from_bytes(&other))).is_ok();
    let doubted = respellings(name.as_bytes()).into_iter().flatten().any(is_found);
    Ok(!doubted || is_entry(path)?)
}

/// Whether the directory of `path` has an entry of this very name.
pub(super) fn is_entry(path: &Path) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
    for entry in std::fs::read_dir(dir)? {
        if entry?.file_name() == name {
            return Ok(true);
        }
    }
    Ok(false)
}
