//! The keys that `git annex unused` found: `.git/annex/unused`.

use std::collections::HashSet;
use std::fs;
use std::io;

use crate::annex::repository::Repository;
use crate::name::Key;

/// Every key of the list. `git annex unused` writes it anew, and nobody else; without one, nothing is known to be unused.
///
/// # Errors
/// In a line: the list is there and cannot be read.
pub(super) fn unused(repository: &Repository) -> Result<HashSet<Key>, String> {
    let path = repository.annex_dir().join("unused");
    match fs::read(&path) {
        Ok(list) => Ok(keys(&list).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        Err(e) => Err(format!("read {}: {e}", path.display())),
    }
}

/// The keys of lines `NUMBER KEY TIME`. Source: recorded.
fn keys(list: &[u8]) -> impl Iterator<Item = Key> {
    list.split(|byte| *byte == b'\n').filter_map(|line| {
        let (start, end) = (line.iter().position(|byte| *byte == b' ')?, line.iter().rposition(|byte| *byte == b' ')?);
        let number = &line[..start];
        let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
        Key::parse(line.get(start + 1..end).filter(|_| is_number)?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: of which lines `matchexpression unused` takes the key.
    #[test]
    fn lines_are_read_as_git_annex_reads_them() {
        for (line, key) in [
            ("1 SHA256-s5--x 1795387138s", Some("SHA256-s5--x")),
            ("1 SHA256-s5--x 5", Some("SHA256-s5--x")),
            ("1 SHA256-s5--x zz", Some("SHA256-s5--x")),
            ("1 SHA256-s5--x ", Some("SHA256-s5--x")),
            ("1 SHA256-s5--a b 5s", Some("SHA256-s5--a b")),
            ("1 SHA256-s5--x", None),
            ("x SHA256-s5--x 5s", None),
            ("SHA256-s5--x", None),
            // A key of its own.
            ("1  SHA256-s5--x 5s", Some(" SHA256-s5--x")),
        ] {
            let found = keys(line.as_bytes()).next();
            assert_eq!(found.as_ref().map(Key::as_bytes), key.map(str::as_bytes), "{line:?}");
        }
    }
}
