//! Versions of the protocol and what each of them changed.

use std::fmt;

/// A version both sides use; 0 until they agree on another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion(u8);

impl ProtocolVersion {
    /// The newest one spoken here.
    pub const NEWEST: Self = Self(4);

    /// The version `number` names, or the nearest one there is.
    pub fn nearest(number: i64) -> Self {
        Self(number.clamp(0, i64::from(Self::NEWEST.0)).try_into().unwrap_or_default())
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether VALID or INVALID follows the payload of DATA (1).
    pub fn tells_validity(self) -> bool {
        self.0 >= 1
    }

    /// Whether replies may name more repositories: SUCCESS-PLUS, FAILURE-PLUS, ALREADY-HAVE-PLUS (2).
    pub fn has_plus(self) -> bool {
        self.0 >= 2
    }

    /// Whether DATA-PRESENT may stand in the place of DATA (4).
    pub fn has_data_present(self) -> bool {
        self.0 >= 4
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
