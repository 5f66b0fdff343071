//! Objects of git, as far as git need not be asked: what they are called, and what the files of a tree are.

use std::fmt;

/// The name of an object in git: 20 bytes, displayed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GitId([u8; 20]);

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

impl GitId {
    /// The tree without a file in it, which need not be in the repository.
    pub const EMPTY_TREE: Self =
        Self(*b"\x4b\x82\x5d\xc6\x42\xcb\x6e\xb9\xa0\x60\xe5\x4b\xf8\xd6\x92\x88\xfb\xee\x49\x04");

    /// Reads 40 hexadecimal digits. `None` where it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |letter: u8| char::from(letter).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// The name that is these bytes.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes of the name.
    pub fn to_bytes(self) -> [u8; 20] {
        self.0
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    fn forty_digits_are_an_id_and_nothing_else() {
        let text = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        assert_eq!(GitId::parse(text.as_bytes()), Some(GitId::EMPTY_TREE));
        assert_eq!(GitId::EMPTY_TREE.to_string(), text);
        assert_eq!(GitId::parse(text.to_uppercase().as_bytes()), Some(GitId::EMPTY_TREE));
        for wrong in [&text[1..], &format!("{text}0"), &format!("g{}", &text[1..]), "", &format!("{}é", &text[2..])] {
            assert_eq!(GitId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
