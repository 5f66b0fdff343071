//! Uploads that outlive the process: begun by one, and resumed or undone by another.

use async_trait::async_trait;

use crate::{ObjectName, Put, Result, Store};

/// How an upload can be resumed later, by this process or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// What the store knows the upload by, at most [`Resumption::TOKEN_MAX`] bytes. Only the store understands it.
    pub token: Vec<u8>,
    /// Bytes become lasting in steps of so many, from the start of the object.
    pub step: u64,
}

impl Resumption {
    /// Longest token, in bytes.
    pub const TOKEN_MAX: usize = 4096;
}

/// Bytes of an unfinished upload that outlive the process: all up to `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// A multiple of [`Resumption::step`], or the object's length.
    pub end: u64,
    /// What the store calls this step, at most [`Mark::TAG_MAX`] bytes. Only the store understands it.
    pub tag: Vec<u8>,
}

impl Mark {
    /// Longest tag, in bytes.
    pub const TAG_MAX: usize = 128;
}

/// What a store does with uploads that outlive the process; see [`Store::uploads`].
#[async_trait(?Send)]
pub trait Uploads {
    /// Opens an object of exactly `len` bytes whose bytes come once, one after another, from somebody who may stop half way.
    /// Where [`Put::resumption`] says how, the upload outlives the process: see there.
    ///
    /// # Errors
    ///
    /// As for [`Store::put`].
    async fn put_stream(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>>;

    /// Whether [`Uploads::put_stream`] of so many bytes makes something that outlives the process before anybody could write
    /// down what it is called. Whoever keeps a ledger begins it before then, with an empty [`Resumption::token`]:
    /// [`Uploads::abandon_unnamed`] finds it by that.
    fn outlives(&self, len: u64) -> bool;

    /// Resumes an upload that [`Uploads::put_stream`] began, in this process or another, and that was suspended or cut off.
    /// `marks` are all it ever gave, in order; the next byte written is the one behind the last of them. `None` where it
    /// cannot be resumed: it expired, was completed or is not what the marks say. Nothing of it is left then, as far as that
    /// can be helped.
    ///
    /// # Errors
    ///
    /// Whether it can be resumed could not be told.
    async fn resume(
        &self,
        object: &ObjectName,
        len: u64,
        upload: &Resumption,
        marks: &[Mark],
    ) -> Result<Option<Box<dyn Put>>>;

    /// Undoes an upload that [`Uploads::put_stream`] began and nobody holds any more; leaves nothing of it behind. One that is
    /// gone already is abandoned.
    ///
    /// # Errors
    ///
    /// Something of it may be left.
    async fn abandon(&self, object: &ObjectName, upload: &Resumption) -> Result<()>;

    /// The same for one of which nobody knows what the store calls it: it was begun at `begun`, in seconds since 1970, or never.
    /// Undoes only what can be nobody else's. False where something is left that may be it, or an upload that another client
    /// has in progress.
    ///
    /// # Errors
    ///
    /// Whether something is left could not be told.
    async fn abandon_unnamed(&self, object: &ObjectName, begun: u64) -> Result<bool>;
}

/// Opens an object of exactly `len` bytes whose bytes come once: by [`Uploads::put_stream`] where the store has it, else as any
/// other.
///
/// # Errors
///
/// As for [`Store::put`].
pub async fn put_stream(store: &dyn Store, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
    match store.uploads() {
        Some(uploads) => uploads.put_stream(object, len).await,
        None => store.put(object, len).await,
    }
}
