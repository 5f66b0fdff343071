//! Moves bytes from one kind of end to another.
//!
//! A store or a wire says what kind of end it has ([`Source`], [`FileSink`], a plain socket); [`plan()`] picks the lane from a
//! table; the lane moves the bytes, counts them on a [`Meter`] and takes no more memory than the [`Budget`](crate::budget::Budget) leases to it.

mod ends;
pub mod lane;
mod meter;
mod plan;

pub use ends::{Blocks, FileSink, FileSource, Home, Socket, SocketSource, Source};
pub use meter::Meter;
pub use plan::{Lane, Needs, SinkKind, SourceKind, plan};
