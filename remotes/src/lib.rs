//! Stores and the data plane.

mod error;
mod object;

pub use error::{Error, Kind, Op, Result, io_kind};
pub use object::{NAME_MAX, NameError, ObjectName};
