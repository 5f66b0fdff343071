//! The files of a tree as they are exported: each a path and the key of its content.

use std::collections::BTreeMap;

use super::names::TEMPORARY;
use crate::annex::branch::{Branch, BranchError, FileKind, GitId, TreeFile};
use crate::annex::layout;
use crate::name::Key;

/// What becomes of a path from one exported tree to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, with slashes.
    pub path: Vec<u8>,
    /// The key of what was there.
    pub old: Option<Key>,
    /// The key of what shall be there.
    pub new: Option<Key>,
}

/// A tree that can be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exportable {
    /// The tree it was made from.
    pub whole: GitId,
    /// The tree without the files below. This is what is recorded as exported.
    pub tree: GitId,
    /// What is left out, by path: links that are none of git-annex's, submodules, and paths no store may be given.
    pub left_out: BTreeMap<Vec<u8>, TreeFile>,
}

/// The longest file that may be a pointer, in bytes. Source: recorded, and `internals/pointer_file`.
pub const LONGEST_POINTER: u64 = 32 << 10;

/// What of `whole` is exported. Reads the links that differ from `known`, if that is given; else all of the tree's.
///
/// Errors: `whole` could not be read, or a tree without what is left out not be written.
pub fn exportable(branch: &Branch, whole: GitId, known: Option<&Exportable>) -> Result<Exportable, BranchError> {
    let mut left_out = known.map(|known| known.left_out.clone()).unwrap_or_default();
    for change in branch.tree_changes(known.map(|known| known.whole), Some(whole))? {
        left_out.remove(&change.path);
        let Some(file) = change.new else { continue };
        let may = may_be_exported(&change.path)
            && match file.kind {
                FileKind::Plain | FileKind::Executable => true,
                FileKind::Link => key_of(branch, file)?.is_some(),
                FileKind::Submodule => false,
            };
        if !may {
            left_out.insert(change.path, file);
        }
    }
    let tree = branch.tree_without(whole, &left_out.keys().cloned().collect())?;
    Ok(Exportable { whole, tree, left_out })
}

/// What differs between two trees, sorted by path; all of `new` where there is no `old`. Files that changed in mode only are
/// left out. About 250 bytes for each change, of which there are a million in the first export of a million files.
///
/// Errors: one of them could not be read.
pub fn changes(branch: &Branch, old: Option<GitId>, new: Option<GitId>) -> Result<Vec<Change>, BranchError> {
    let key = |file: Option<TreeFile>| file.map_or(Ok(None), |file| key_of(branch, file));
    let mut found = Vec::new();
    for change in branch.tree_changes(old, new)? {
        let (old, new) = (key(change.old)?, key(change.new)?);
        if old != new && may_be_exported(&change.path) {
            found.push(Change { path: change.path, old, new });
        }
    }
    Ok(found)
}

impl Exportable {
    /// The list that git-annex keeps of what was left out, in `export.ex/UUID`: lines as of `git ls-tree`, paths as they are.
    pub fn left_out_lines(&self) -> Vec<u8> {
        self.left_out.iter().flat_map(|(path, file)| line(path, *file, b'\n')).collect()
    }

    /// All of it, to be read again by [`parse`](Self::parse).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {}\0", self.whole, self.tree).into_bytes();
        out.extend(self.left_out.iter().flat_map(|(path, file)| line(path, *file, 0)));
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. `None` where it is anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let trees = parts.next()?;
        let space = trees.iter().position(|byte| *byte == b' ')?;
        let (whole, tree) = (GitId::parse(&trees[..space])?, GitId::parse(&trees[space + 1..])?);
        let entry = |part: &[u8]| {
            let tab = part.iter().position(|byte| *byte == b'\t')?;
            let (what, id) = part[..tab].split_at_checked(tab.checked_sub(40)?)?;
            let kind = KINDS.iter().find(|(_, text)| text.as_bytes() == what.trim_ascii_end())?.0;
            Some((part[tab + 1..].to_vec(), TreeFile { id: GitId::parse(id)?, kind }))
        };
        Some(Self { whole, tree, left_out: parts.map(entry).collect::<Option<_>>()? })
    }
}

const KINDS: [(FileKind, &str); 4] = [
    (FileKind::Plain, "100644 blob"),
    (FileKind::Executable, "100755 blob"),
    (FileKind::Link, "120000 blob"),
    (FileKind::Submodule, "160000 commit"),
];

fn line(path: &[u8], file: TreeFile, end: u8) -> Vec<u8> {
    let what = KINDS.iter().find(|(kind, _)| *kind == file.kind).map_or("", |(_, text)| text);
    [format!("{what} {}\t", file.id).as_bytes(), path, &[end]].concat()
}

/// The key under which a plain file of git is exported, `GIT--SHA1`. Its content lies in git, and nowhere under this key.
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

/// The key `file` is exported under. `None` for what is not exported.
fn key_of(branch: &Branch, file: TreeFile) -> Result<Option<Key>, BranchError> {
    let plain = match file.kind {
        FileKind::Submodule => return Ok(None),
        FileKind::Link => None,
        FileKind::Plain | FileKind::Executable => Some(git_key(file.id)),
    };
    if branch.blob_len(file.id)? > LONGEST_POINTER {
        return Ok(plain);
    }
    Ok(pointed_to(&branch.blob(file.id, LONGEST_POINTER)?, file.kind).or(plain))
}

/// Whether a store may be given this path: git refuses to make others, but anybody can write a tree by hand.
fn may_be_exported(path: &[u8]) -> bool {
    let part =
        |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.eq_ignore_ascii_case(b".git") && !part.contains(&0);
    path.split(|byte| *byte == b'/').all(part) && !path.starts_with(TEMPORARY)
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
    fn what_was_left_out_is_remembered() {
        let file = |kind| TreeFile { id: GitId::EMPTY_TREE, kind };
        let left_out = KINDS.map(|(kind, _)| ([b"a\n\t\xff", kind_name(kind)].concat(), file(kind)));
        let whole = Exportable { whole: GitId::EMPTY_TREE, tree: GitId::EMPTY_TREE, left_out: left_out.into() };
        let bytes = whole.to_bytes();
        assert_eq!(Exportable::parse(&bytes).as_ref(), Some(&whole));
        for end in 0..bytes.len() {
            let cut = Exportable::parse(&bytes[..end]);
            assert!(cut.is_none_or(|cut| cut.left_out.len() < 4), "a part of it is not all of it");
        }
        assert_eq!(Exportable::parse(b""), None);
    }

    fn kind_name(kind: FileKind) -> &'static [u8] {
        match kind {
            FileKind::Plain => b"p",
            FileKind::Executable => b"e",
            FileKind::Link => b"l",
            FileKind::Submodule => b"s",
        }
    }

    #[test]
    fn a_pointer_cannot_pass_for_content_of_git() {
        let content = format!("/annex/objects/GIT--{}", GitId::EMPTY_TREE);
        assert_eq!(pointed_to(content.as_bytes(), FileKind::Plain), None);
        let key = git_key(GitId::EMPTY_TREE);
        assert_eq!((key.to_string(), blob_of(&key)), (format!("GIT--{}", GitId::EMPTY_TREE), Some(GitId::EMPTY_TREE)));
        assert_eq!(blob_of(&Key::parse(b"GIT--x").expect("a key")), None);
    }

    #[test]
    fn paths_that_leave_their_place_are_not_exported() {
        for (path, may) in [
            ("a", true),
            ("a/b..c/...", true),
            (".gitmodules", true),
            ("../a", false),
            ("a/..", false),
            ("a//b", false),
            ("./a", false),
            (".git/annex/objects/x", false),
            ("a/.GIT/b", false),
            (".git-annex-tmp-content-SHA256--x", false),
            ("a/.git-annex-tmp-content-SHA256--x", true),
        ] {
            assert_eq!(may_be_exported(path.as_bytes()), may, "{path}");
        }
    }
}
