//! The exportable part of a tree, cached on disk.

use std::collections::BTreeMap;

use crate::annex::git::object::{FileKind, GitId, TreeFile};

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
            let space = part[..tab].iter().rposition(|byte| *byte == b' ')?;
            let (what, id) = (&part[..space], &part[space + 1..tab]);
            let kind = KINDS.iter().find(|(_, text)| text.as_bytes() == what)?.0;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
