//! The two names every layer uses: keys and uuids, as bytes that were checked once.

mod key;
mod secure;
mod uuid;

pub use key::{Key, KeyError};
pub use secure::is_secure;
pub use uuid::{Uuid, UuidError};
