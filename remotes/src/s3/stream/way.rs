//! Where a payload goes that comes bit by bit, and one request that takes it there.

use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use super::through_sdk::SdkUpload;
use crate::s3::multipart::{self, Multipart};
use crate::s3::{Inner, single, wire};
use crate::{Error, Result};

/// What a request carries its payload to: an object, or a part of one.
#[async_trait(?Send)]
pub(super) trait Destination {
    /// Begins a request of `len` bytes. Its connection may have been used before only where `may_be_used`: such a one may turn out
    /// to be dead.
    async fn connect(&self, len: u64, may_be_used: bool) -> Result<Box<dyn Way>>;

    /// The receipt, of an answer with this ETag. Errors: there is none.
    fn receipt(&self, tag: Option<String>) -> Result<String>;

    /// A request failed after all was sent.
    fn may_come_late(&self, error: &Error);
}

/// A request under way. Dropping it undoes it.
#[async_trait(?Send)]
pub(super) trait Way {
    /// Sends the next bytes.
    async fn write(&mut self, block: Bytes) -> Result<()>;

    /// Waits for the answer; gives its ETag.
    async fn finish(self: Box<Self>) -> Result<Option<String>>;
}

/// The object with this key.
pub(super) struct ToObject {
    pub(super) inner: Rc<Inner>,
    pub(super) key: String,
}

/// A part of an upload, counted from 1.
pub(super) struct ToPart {
    pub(super) inner: Rc<Inner>,
    pub(super) upload: Rc<Multipart>,
    pub(super) number: usize,
}

#[async_trait(?Send)]
impl Destination for ToObject {
    async fn connect(&self, len: u64, may_be_used: bool) -> Result<Box<dyn Way>> {
        let Self { inner, key } = self;
        let Some(pool) = inner.storing_pool() else {
            let request = single::request(inner, key, &inner.client.sdk().await?);
            return Ok(Box::new(SdkUpload::object(inner, request, len)));
        };
        Ok(Box::new(single::plain(inner, key).await?.start(pool, len, may_be_used).await?))
    }

    fn receipt(&self, tag: Option<String>) -> Result<String> {
        single::receipt(tag)
    }

    fn may_come_late(&self, error: &Error) {
        self.inner.may_come_late(&self.key, error);
    }
}

#[async_trait(?Send)]
impl Destination for ToPart {
    async fn connect(&self, len: u64, may_be_used: bool) -> Result<Box<dyn Way>> {
        let Self { inner, upload, number } = self;
        let Some(pool) = inner.storing_pool() else {
            return Ok(Box::new(SdkUpload::part(inner, upload.request(*number).await?, len)));
        };
        Ok(Box::new(upload.plain(*number).await?.start(pool, len, may_be_used).await?))
    }

    fn receipt(&self, tag: Option<String>) -> Result<String> {
        multipart::receipt(tag)
    }

    /// It is of its upload, and no object before that is completed.
    fn may_come_late(&self, _: &Error) {}
}

#[async_trait(?Send)]
impl Way for wire::Upload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        wire::Upload::write(self, block).await
    }

    async fn finish(self: Box<Self>) -> Result<Option<String>> {
        let response = wire::Upload::finish(*self).await?;
        if response.status() != 200 {
            return Err(response.into_error().await);
        }
        let tag = response.etag().map(str::to_string);
        response.finish().await;
        Ok(tag)
    }
}

#[async_trait(?Send)]
impl Way for SdkUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        SdkUpload::write(self, block).await
    }

    async fn finish(self: Box<Self>) -> Result<Option<String>> {
        SdkUpload::finish(*self).await
    }
}
