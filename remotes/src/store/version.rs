//! Objects that were replaced or removed, in stores that keep them.

use async_trait::async_trait;

use crate::{Get, ObjectName, Range, Result, Stat, Stored};

/// What a store does with the content it had before, which is found by its [`Stat::version`]; see
/// [`Store::versions`](crate::Store::versions).
#[async_trait(?Send)]
pub trait Versions {
    /// The same as [`Store::stat`](crate::Store::stat), of an object that was replaced or removed since. What is no version of
    /// this store is absent.
    ///
    /// # Errors
    ///
    /// The store could not tell.
    async fn stat_version(&self, version: &str) -> Result<Option<Stat>>;

    /// The same as [`Store::get`](crate::Store::get), likewise.
    ///
    /// # Errors
    ///
    /// `NotFound` where it is positively absent.
    async fn get_version(&self, version: &str, range: Range) -> Result<Get>;

    /// The same as [`Copies::copy`](crate::Copies::copy), likewise.
    ///
    /// # Errors
    ///
    /// `NotFound` where it is positively absent.
    async fn copy_version(&self, version: &str, to: &ObjectName) -> Result<Stored>;
}
