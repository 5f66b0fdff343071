//! The two names every layer uses: keys and uuids, as bytes that were checked once.

mod key;
mod uuid;

pub use key::{Key, KeyError};
pub use uuid::{Uuid, UuidError};
