//! Small files, read within a limit.

use std::io;
use std::path::Path;

/// What `path` holds; `None` where it is not there. Errors: it has more than `most` bytes, or cannot be read.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("has more than {most} bytes")));
    }
    Ok(Some(bytes))
}
