//! git objects as far as git is not needed: their names, and the files of a tree.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The name of an object in git, displayed in hexadecimal: 20 bytes, or 32 where the repository names its objects by SHA-256.
///
/// The tree without a file in it is the same by either name.
#[derive(Clone, Copy)]
pub struct GitId {
    bytes: [u8; 32],
    len: usize,
}

/// A file of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// What git calls its content.
    pub id: GitId,
    /// What it is.
    pub kind: FileKind,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    Plain,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its content is where it points to.
    Link,
    /// A commit of another repository.
    Submodule,
}

static EMPTY_TREE: GitId = GitId::EMPTY_TREE;

impl GitId {
    /// The tree without a file in it, which need not be in the repository.
    pub const EMPTY_TREE: Self = Self {
        bytes:
            *b"\x4b\x82\x5d\xc6\x42\xcb\x6e\xb9\xa0\x60\xe5\x4b\xf8\xd6\x92\x88\xfb\xee\x49\x04\0\0\0\0\0\0\0\0\0\0\0\0",
        len: 20,
    };

    /// The same by its longer name.
    const EMPTY_TREE_SHA256: [u8; 32] =
        *b"\x6e\xf1\x9b\x41\x22\x5c\x53\x69\xf1\xc1\x04\xd4\x5d\x8d\x85\xef\xa9\xb0\x57\xb5\x3b\x14\xb4\xb9\xb9\x39\xdd\x74\xde\xcc\x53\x21";

    /// Reads 40 or 64 hexadecimal digits. `None` where it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (pairs, rest) = text.as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.get_mut(..pairs.len())?.iter_mut().zip(pairs) {
            let digit = |letter: u8| char::from(letter).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Self::from_bytes(&bytes[..pairs.len()])
    }

    /// The name that is these bytes. `None` where they are neither 20 nor 32.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        matches!(name.len(), 20 | 32).then_some(())?;
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, len: name.len() })
    }

    /// The tree without a file in it, named by the hash that this is named by.
    pub fn empty_tree_beside(self) -> Self {
        match self.len {
            20 => Self::EMPTY_TREE,
            len => Self { bytes: Self::EMPTY_TREE_SHA256, len },
        }
    }

    /// Whether it names by SHA-256.
    pub fn is_sha256(self) -> bool {
        self.len == 32
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What it is compared by.
    fn known(&self) -> &[u8] {
        match self.as_bytes() == Self::EMPTY_TREE_SHA256 {
            true => EMPTY_TREE.as_bytes(),
            false => self.as_bytes(),
        }
    }
}

impl PartialEq for GitId {
    fn eq(&self, other: &Self) -> bool {
        self.known() == other.known()
    }
}

impl Eq for GitId {}

impl Hash for GitId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.known().hash(state);
    }
}

impl PartialOrd for GitId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GitId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.known().cmp(other.known())
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_or_sixty_four_digits_are_an_id_and_nothing_else() {
        let text = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        assert_eq!(GitId::parse(text.as_bytes()), Some(GitId::EMPTY_TREE));
        assert_eq!(GitId::EMPTY_TREE.to_string(), text);
        assert_eq!(GitId::parse(text.to_uppercase().as_bytes()), Some(GitId::EMPTY_TREE));
        for wrong in [&text[1..], &format!("{text}0"), &format!("g{}", &text[1..]), "", &format!("{}é", &text[2..])] {
            assert_eq!(GitId::parse(wrong.as_bytes()), None, "{wrong}");
        }
        // `git hash-object -t tree /dev/null`, of SHA-256.
        let text = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";
        let empty = GitId::parse(text.as_bytes()).expect("an id");
        assert_eq!((empty, empty.to_string().as_str()), (GitId::EMPTY_TREE, text));
        assert_eq!(empty.empty_tree_beside().to_string(), text);
        assert_eq!(std::collections::HashSet::from([empty, GitId::EMPTY_TREE]).len(), 1);
        for wrong in [&text[1..], &text[2..], &format!("{text}00")] {
            assert_eq!(GitId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
