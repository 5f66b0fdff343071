//! Stores, and the data plane that moves bytes between them and everything else.
//!
//! Knows objects and their names, and nothing of what they mean: no key, uuid or protocol of git-annex.
//!
//! # The seam
//!
//! A [`Store`] keeps objects under [`ObjectName`]s. [`Store::put`] opens one for writing and announces its length; bytes go into
//! the [`Put`] by [`Put::fill`] (a file, by the best lane) or [`Put::write`] (blocks, in order). Nothing is visible before
//! [`Put::commit`], and [`Put::abort`] leaves nothing. [`Store::get`] opens one for reading: a [`Get`] has its length and a
//! [`pump::Source`]. Choices between stores are made on [`Capabilities`], never on names. What only some stores can is a trait
//! that the store gives or does not: [`Uploads`] that outlive the process, [`Versions`] of what was replaced, and for trees of
//! files [`Renames`], [`Copies`], [`Lists`] and [`Directories`].
//!
//! ```
//! use bytes::Bytes;
//! use remotes::{Context, ObjectName, Range, Store, mem::Mem, retrieve, sys};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::default();
//! let store = Mem::new(1, &context);
//! let name = ObjectName::new("greeting")?;
//! let got = sys::run(false, async {
//!     let mut put = store.put(&name, 5).await?;
//!     put.write(Bytes::from("hello")).await?;
//!     assert_eq!(store.stat(&name).await?, None, "nothing is visible before the commit");
//!     put.commit().await?;
//!     let get = store.get(&name, Range::from(1)).await?;
//!     assert_eq!((get.len, get.total), (4, 5));
//!     retrieve::collect(get, 100, &context).await
//! })??;
//! assert_eq!(got, "ello");
//! # Ok(())
//! # }
//! ```
//!
//! # Memory
//!
//! Bytes in flight are leased from the [`budget::Budget`] of the [`Context`], which all stores of a process share. Who finds it
//! empty waits. A store that keeps bytes of its own leases them too.
//!
//! # The examination
//!
//! [`conformance::examine`] asks every promise of a store, by its capabilities. A new store begins as
//! `examples/own_store.rs`, which is a whole one, and passes.
//!
//! # Where to start reading
//!
//! `store.rs` (the promises), `mem.rs` (the smallest store), `pump/plan.rs` (which lane), `registry.rs` (`scheme=` to store).
//! [`retrieve`] reads an object into a file, the [`pump`] moves bytes between two ends; [`sys`] holds what is particular to the operating system.

// `sys` alone may allow it, where it says why.
#![deny(unsafe_code)]

pub mod budget;
pub mod conformance;
pub mod connections;
mod context;
pub mod doctor;
mod error;
mod finding;
pub mod fold;
pub mod fs;
pub mod late;
pub mod mem;
mod object;
pub mod opendal;
pub mod options;
pub mod pump;
pub mod registry;
pub mod retrieve;
pub mod retry;
pub mod s3;
pub mod site;
mod store;
pub mod sys;
mod until;
pub mod wrap;

pub use context::Context;
pub use error::{Error, Kind, Op, Result, io_kind};
pub use object::{NAME_MAX, NameError, ObjectName};
pub use store::{
    Capabilities, Copies, Directories, Entry, Get, Listing, Lists, Mark, PAGE, Page, Put, Range, Renames, Resumption,
    Stat, Store, Stored, Uploads, Versions, Write, is_strong, is_time, put_stream,
};
pub use until::Until;
