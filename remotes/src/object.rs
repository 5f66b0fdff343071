//! The name under which a store keeps an object.

use std::fmt;
use std::sync::Arc;

/// Longest object name any store accepts, in bytes: a path of Linux. Most take less.
pub const NAME_MAX: usize = 4096;

/// Name of an object, as bytes. A slash separates levels where a store has them.
///
/// Never empty, never holds a NUL or a newline, at most [`NAME_MAX`] bytes. It may hold `..`; stores that map names onto a
/// tree of directories use [`ObjectName::components`], which refuses every name that could leave the tree.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(Arc<[u8]>);

/// Why bytes are no object name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// No bytes at all.
    Empty,
    /// More than [`NAME_MAX`] bytes.
    TooLong,
    /// Holds a NUL or a newline.
    Forbidden,
    /// Has an empty, `.` or `..` level, or starts with a slash, in a store made of directories.
    Escapes,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the object name is empty",
            NameError::TooLong => "the object name is longer than 4096 bytes",
            NameError::Forbidden => "the object name holds a NUL or a newline",
            NameError::Escapes => "the object name has an empty, `.` or `..` level",
        })
    }
}

impl std::error::Error for NameError {}

impl ObjectName {
    /// Checks and keeps `bytes`.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, NameError> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes.len() > NAME_MAX {
            return Err(NameError::TooLong);
        }
        if bytes.iter().any(|b| matches!(b, 0 | b'\n')) {
            return Err(NameError::Forbidden);
        }
        Ok(Self(bytes.into()))
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, for services whose names are text.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The levels of the name, for stores made of directories.
    ///
    /// # Errors
    ///
    /// [`NameError::Escapes`] for every name that would not stay below the root.
    pub fn components(&self) -> Result<Vec<&[u8]>, NameError> {
        let parts: Vec<&[u8]> = self.0.split(|b| *b == b'/').collect();
        if parts.iter().any(|p| matches!(*p, b"" | b"." | b"..")) {
            return Err(NameError::Escapes);
        }
        Ok(parts)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectName({:?})", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(ObjectName::new(""), Err(NameError::Empty));
        assert_eq!(ObjectName::new([b'a'; 4097]), Err(NameError::TooLong));
        assert_eq!(ObjectName::new("a\nb"), Err(NameError::Forbidden));
        assert_eq!(ObjectName::new("a\0b"), Err(NameError::Forbidden));
        assert!(ObjectName::new(b"caf\xe9").is_ok());
    }

    #[test]
    fn no_name_leaves_the_tree() {
        for bad in ["/a", "a//b", "../a", "a/..", "a/./b", "a/", "."] {
            let name = ObjectName::new(bad).expect("accepted as a name");
            assert_eq!(name.components(), Err(NameError::Escapes), "{bad}");
        }
        let name = ObjectName::new("a/b..c/d").expect("a good name");
        assert_eq!(name.components().expect("stays below").len(), 3);
    }
}
