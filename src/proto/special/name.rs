//! Names that a special remote is given, as bytes: keys, files, and secrets that must not be shown.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A git-annex key as it stands on the wire: not empty, no space, no newline, otherwise any bytes.
///
/// git-annex itself refuses to give a key with a space to an external special remote.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key, or `None` when it is empty or holds a space or a newline.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        let fits = !bytes.is_empty() && !bytes.iter().any(|byte| matches!(byte, b' ' | b'\n'));
        fits.then_some(Self(bytes))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The local file of a transfer, relative to the directory git-annex started the program in, or absolute.
///
/// May hold spaces and bytes of any encoding, but no newline.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileName(Vec<u8>);

impl FileName {
    /// The file name, or `None` when it holds a newline.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.contains(&b'\n')).then_some(Self(bytes))
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as the operating system takes it.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileName({})", self.0.escape_ascii())
    }
}

/// Bytes that must not appear in a log: `Debug` shows nothing of them in any build.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for the one place that needs them.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_no_space_newline_or_emptiness() {
        for bad in ["", "a b", "a\n", " "] {
            assert_eq!(Key::new(bad), None, "{bad:?}");
        }
        assert!(Key::new(b"WORM-s1--\xff\xfe\t".to_vec()).is_some());
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
    }
}
