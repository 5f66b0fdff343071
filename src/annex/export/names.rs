//! Names on a remote that stand for a key whatever tree is exported.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::annex::branch::GitId;
use crate::annex::layout;
use crate::name::{Key, Uuid};

/// What temporary names begin with.
pub const TEMPORARY: &[u8] = b".git-annex-tmp-content-";

/// Where content of `key` waits for its place in the tree: at the top, named by the key. Source: recorded.
pub fn temporary(key: &Key) -> Vec<u8> {
    [TEMPORARY, &layout::key_file(key.as_bytes())].concat()
}

/// Where content of `key` lies that is not in the tree, with `annexobjects=yes`. Source: recorded.
pub fn object(key: &Key) -> Vec<u8> {
    [&b".git/annex/objects/"[..], &layout::tree(key.as_bytes())].concat()
}

/// Where what was found at `path` is put when it is in the way of `tree` and may be the only copy of something.
pub fn aside(tree: GitId, path: &[u8]) -> Vec<u8> {
    [format!(".git/annex/bad/{tree}/").as_bytes(), path].concat()
}

/// The directories above `path`, the innermost first.
pub fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at])
}

/// What files that belong to `remote` are called here. Errors: no file can have this name in a directory of ours.
pub fn file_name(remote: &Uuid) -> io::Result<&OsStr> {
    let name = remote.as_bytes();
    if name.contains(&b'/') || matches!(name, b"." | b"..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{remote} cannot be the name of a file")));
    }
    Ok(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_does_not_lead_elsewhere() {
        for (uuid, may) in [("a..b", true), ("..", false), (".", false), ("../a", false), ("a/b", false)] {
            let uuid = Uuid::parse(uuid.as_bytes()).expect("a uuid");
            assert_eq!(file_name(&uuid).is_ok(), may, "{uuid}");
        }
    }

    /// Recorded from a `directory` remote with `exporttree=yes annexobjects=yes`.
    #[test]
    fn keys_lie_where_git_annex_puts_them() {
        let key = "SHA256E-s4--7aa7a5359173d05b63cfd682e3c38487f3cb4f7f1d60659fe59fab1505977d4c";
        let parsed = Key::parse(key.as_bytes()).expect("a key");
        assert_eq!(object(&parsed), format!(".git/annex/objects/377/d19/{key}/{key}").as_bytes());
        assert_eq!(temporary(&parsed), format!(".git-annex-tmp-content-{key}").as_bytes());
        assert_eq!(directories(b"a/b/c").collect::<Vec<_>>(), [&b"a/b"[..], b"a"]);
        assert_eq!(directories(b"a").count(), 0);
    }
}
