//! Paths on a remote that stand for a key, whatever tree is exported.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::annex::layout;
use crate::name::{Key, Uuid};

/// What temporary names begin with.
pub const TEMPORARY: &[u8] = b".git-annex-tmp-content-";

/// Where gateways keep what they tell each other.
pub const GATEWAYS: &[u8] = b".git/annex/stream";

/// Where content of `key` waits for its place in the tree: at the top, named by the key. Source: recorded.
pub fn temporary(key: &Key) -> Vec<u8> {
    [TEMPORARY, &layout::key_file(key.as_bytes())].concat()
}

/// Where content of `key` lies that is not in the tree, with `annexobjects=yes`. Source: recorded.
pub fn object(key: &Key) -> Vec<u8> {
    [&b".git/annex/objects/"[..], &layout::tree(key.as_bytes())].concat()
}

/// Where what was found at `path` is put when it is in the way: nobody knows that it is not the only copy of something. Another
/// place for each `mark`, so that nothing put aside is ever written over.
pub fn aside(mark: &str, path: &[u8]) -> Vec<u8> {
    [format!(".git/annex/bad/{mark}/").as_bytes(), path].concat()
}

/// What is put below `directory` for a moment, to see whether anything can be; another for each `chance`.
pub fn probe(directory: &[u8], chance: u64) -> Vec<u8> {
    [directory, format!("/.git-annex-tmp-probe-{chance:016x}").as_bytes()].concat()
}

/// The same for all names that some store may take for one: it ignores case, or how letters and their marks are put together,
/// or dots and spaces at the end. Equal for some names that every store tells apart.
pub fn folded(path: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(path);
    if text.is_ascii() {
        let plain = text.to_ascii_lowercase();
        return ends_off(&plain);
    }
    let upper: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_uppercase).collect();
    let lower: String = upper.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    ends_off(&lower.nfkd().filter(|c| !is_combining_mark(*c)).collect::<String>())
}

fn ends_off(path: &str) -> Vec<u8> {
    let parts: Vec<&str> = path.split('/').map(|part| part.trim_end_matches(['.', ' '])).collect();
    parts.join("/").into_bytes()
}

/// The directories above `path`, the innermost first.
pub fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at])
}

/// What files that belong to `remote` are called here.
///
/// # Errors
///
/// No file can have this name in a directory of ours.
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

    #[test]
    fn names_that_a_store_may_take_for_one_are_told() {
        for (one, other, same) in [
            ("a/B", "A/b", true),
            ("a", "b", false),
            ("\u{e9}", "e\u{301}", true),
            ("\u{c9}t\u{e9}/x", "e\u{301}te\u{301}/X", true),
            ("stra\u{df}e", "STRASSE", true),
            ("\u{212a}", "k", true),
            ("a.", "a", true),
            ("\u{65e5}\u{672c}", "\u{65e5}", false),
            ("a/b", "ab", false),
        ] {
            assert_eq!(folded(one.as_bytes()) == folded(other.as_bytes()), same, "{one} {other}");
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
