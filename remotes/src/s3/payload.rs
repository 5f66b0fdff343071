//! What is sent in a PUT, of an object or a part of one.

use bytes::Bytes;

use super::wire;
use crate::Result;
use crate::pump::{FileSource, Meter};

/// The payload of an object or of a part, which can be sent again.
pub(super) enum Payload {
    File(FileSource),
    Blocks(Vec<Bytes>),
}

impl Payload {
    /// Sends the payload behind a PUT on a connection of our own. Gives the ETag of the answer.
    pub(super) async fn travel(
        &self,
        pool: &wire::Pool,
        request: wire::Request,
        meter: &Meter,
    ) -> Result<Option<String>> {
        let body = match self {
            Payload::File(file) => wire::Body::File(file, meter),
            Payload::Blocks(blocks) => wire::Body::Blocks(blocks, meter),
        };
        let response = request.exchange(pool, body).await?;
        if response.status() != 200 {
            return Err(response.into_error().await);
        }
        let tag = response.etag().map(str::to_string);
        response.finish().await;
        Ok(tag)
    }
}
