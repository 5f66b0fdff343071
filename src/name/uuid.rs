//! Who a repository or remote is.

use std::fmt;
use std::sync::Arc;

/// A uuid as git-annex uses it: not empty, no white space; otherwise any bytes, since users may have made their own.
///
/// Cheap to clone. Ordered by bytes, as the logs are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(Arc<[u8]>);

/// These bytes are no uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UuidError;

impl Uuid {
    /// Longest uuid taken, in bytes.
    pub const LONGEST: usize = 256;

    /// Checks `bytes`.
    ///
    /// # Errors
    ///
    /// [`UuidError`] where they are empty, too long, or hold white space or a NUL.
    pub fn parse(bytes: &[u8]) -> Result<Self, UuidError> {
        let odd = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
        if bytes.is_empty() || bytes.len() > Self::LONGEST || bytes.iter().any(odd) {
            return Err(UuidError);
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes of the uuid.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a uuid")
    }
}

impl std::error::Error for UuidError {}
