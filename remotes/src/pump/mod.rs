//! Moves bytes from one kind of end to another.
//!
//! A store or a wire says what kind of end it has ([`Source`], [`FileSink`], a plain socket); [`plan()`] picks the lane from a
//! table; the lane moves the bytes, counts them on a [`Meter`] and takes no more memory than the [`Budget`] leases to it.

mod budget;
mod ends;
pub mod lane;
mod meter;
mod plan;
mod ranges;

pub use budget::{BLOCK, Block, Budget, DEFAULT as DEFAULT_BUDGET, Lease};
pub use ends::{Blocks, FileSink, FileSource, Home, Socket, SocketSource, Source};
pub use meter::Meter;
pub use plan::{Lane, Needs, SinkKind, SourceKind, plan};
pub use ranges::{Fetch, collect, fetch, read, read_small};
