//! Stores, and the data plane that moves bytes between them and everything else.
//!
//! A [`Store`] keeps objects under names; it knows nothing of what they mean. The [`pump`] moves bytes between two ends, in
//! bounded memory; [`sys`] holds what is particular to the operating system. [`conformance`] is the examination that every
//! store sits.

// `sys` alone may allow it, where it says why.
#![deny(unsafe_code)]

pub mod conformance;
mod context;
pub mod doctor;
mod error;
pub mod fold;
pub mod fs;
pub mod late;
pub mod mem;
mod object;
pub mod opendal;
pub mod options;
pub mod percent;
pub mod pump;
pub mod registry;
pub mod retry;
pub mod s3;
pub mod site;
mod store;
pub mod sys;
mod tree;
mod until;
pub mod wrap;

pub use context::Context;
pub use error::{Error, Kind, Op, Result, io_kind};
pub use object::{NAME_MAX, NameError, ObjectName};
pub use store::{Capabilities, Get, Mark, Put, Range, Resumption, Stat, Store, Stored, Write};
pub use tree::{Entry, Listing, PAGE, Page, Trees, is_time};
pub use until::Until;
