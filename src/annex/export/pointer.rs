//! Files of a tree that stand for content: links, pointer files, and the keys of plain files.

use crate::annex::git::object::{FileKind, GitId};
use crate::annex::layout;
use crate::name::Key;

/// The longest file that may be a pointer, in bytes. Source: recorded, and `internals/pointer_file`.
pub const LONGEST_POINTER: u64 = 32 << 10;

/// The key under which a plain file of git is exported, `GIT--` and its name in git. Its content lies in git, and nowhere under this key.
pub fn git_key(blob: GitId) -> Key {
    Key::parse(format!("GIT--{blob}").as_bytes()).expect("a backend and a name are a key")
}

/// The file of git that `key` stands for, where it is such a key.
pub fn blob_of(key: &Key) -> Option<GitId> {
    (key.backend() == b"GIT").then(|| GitId::parse(key.name())).flatten()
}

/// The key a link or a pointer file names, from where it points to or from its content. `None` where it is neither.
///
/// Recorded with `git annex lookupkey --ref`: the first line holds `/annex/objects/` and ends in the name of a key's file;
/// further lines all begin with `/annex/` and end.
pub fn pointed_to(content: &[u8], kind: FileKind) -> Option<Key> {
    let (line, rest) = match content.iter().position(|byte| *byte == b'\n') {
        Some(at) if kind != FileKind::Link => (&content[..at], &content[at + 1..]),
        _ => (content, &b""[..]),
    };
    let mut more = rest.split_inclusive(|byte| *byte == b'\n');
    if !more.all(|line| line.starts_with(b"/annex/") && line.ends_with(b"\n")) {
        return None;
    }
    let line = if kind == FileKind::Link { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
    const MARK: &[u8] = b"/annex/objects/";
    line.windows(MARK.len()).any(|window| window == MARK).then_some(())?;
    let name = line.rsplit(|byte| *byte == b'/').next()?;
    let key = Key::parse(&layout::key_of_file(name)?).ok()?;
    // Such a name would be taken for content of git.
    blob_of(&key).is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `git annex lookupkey --ref`, of a blob with this content.
    #[test]
    fn pointers_are_told_as_git_annex_tells_them() {
        let own = "SHA256E-s3--00";
        for (content, key) in [
            ("/annex/objects/SHA256E-s3--00", own),
            ("annex/objects/SHA256E-s3--00", ""),
            (".git/annex/objects/SHA256E-s3--00", own),
            ("x/annex/objects/SHA256E-s3--00", own),
            ("/annex/objects/SHA256E-s3--00\n", own),
            ("/annex/objects/SHA256E-s3--00\n\n", ""),
            ("/annex/objects/a/b/SHA256E-s3--00", own),
            ("../../.git/annex/objects/a/b/SHA256E-s3--00/SHA256E-s3--00", own),
            ("/annex/objects/SHA256E-s3--00\n/annex/foo\n", own),
            ("/annex/objects/SHA256E-s3--00\n/annex/foo", ""),
            ("/annex/objects/SHA256E-s3--00\n/anne/foo\n", ""),
            ("/annex/objects/SHA256E-s3--00\r\n", own),
            ("/annex/objects/SHA256E-s3--00 ", "SHA256E-s3--00 "),
            (" /annex/objects/SHA256E-s3--00", own),
            ("/annex/objects/WORM-s1--a&cb%c", "WORM-s1--a:b/c"),
            ("/annex/objects/WORM-s1--a/b", ""),
            ("x/.git/annex/objects/aa/bb/K/SHA256E-s3--00/", ""),
            ("/annex/objects/nokey", ""),
            ("/annex/objects/", ""),
            ("/annex\\objects\\SHA256E-s3--00", ""),
            ("/foo/annex/objects/SHA256E-s3--00/bar--", "bar--"),
            ("/annex/objects/SHA256E-s3--00\n/annex/a\n\n", ""),
            ("/annex/objects/A-s01--b", "A-s1--b"),
            ("", ""),
        ] {
            let found = pointed_to(content.as_bytes(), FileKind::Plain).map(|key| key.to_string()).unwrap_or_default();
            assert_eq!(found, key, "{content}");
        }
        assert_eq!(pointed_to(b"/annex/objects/WORM--x\n/annex/y\n", FileKind::Link), None, "a link has one line");
    }

    #[test]
    fn a_pointer_cannot_pass_for_content_of_git() {
        let content = format!("/annex/objects/GIT--{}", GitId::EMPTY_TREE);
        assert_eq!(pointed_to(content.as_bytes(), FileKind::Plain), None);
        let key = git_key(GitId::EMPTY_TREE);
        assert_eq!((key.to_string(), blob_of(&key)), (format!("GIT--{}", GitId::EMPTY_TREE), Some(GitId::EMPTY_TREE)));
        assert_eq!(blob_of(&Key::parse(b"GIT--x").expect("a key")), None);
    }
}
