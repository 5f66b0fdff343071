//! What things are called in a sim.

use std::sync::Arc;

/// A name of a repository or file, a group, an expression: bytes without a newline.
pub type Name = Arc<[u8]>;
