//! Small requests on connections of our own: no payload, and an answer of a few words. Through the SDK each takes most of a
//! millisecond, and a tree that is renamed takes two or more for each file.

use std::time::Duration;

use super::{Inner, answers, errors, wire};
use crate::{Op, Result};

/// A request about an object.
pub(super) struct Small<'a> {
    pub(super) op: Op,
    pub(super) method: &'static str,
    pub(super) key: &'a str,
    /// Headers, which are signed.
    pub(super) headers: &'a [(&'static str, &'a str)],
    /// How long the head of the answer may take to come.
    pub(super) limit: Duration,
}

impl Inner {
    /// Sends it once. `None` where only the SDK can send it. Errors: it may have been done all the same, where the kind is one
    /// that [`crate::late`] knows.
    pub(super) async fn send_small(&self, small: &Small<'_>) -> Result<Option<wire::Response>> {
        let Some(pool) = self.signing_pool().await? else { return Ok(None) };
        let Some(signed) = self.client.signed(small.method, small.key, small.headers).await? else { return Ok(None) };
        let signature = signed.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers = small.headers.iter().copied().chain(signature);
        let request = wire::Request::signed(small.op, small.method, &signed.url, headers, &signed.region)?;
        request.exchange_once(pool, small.limit).await.map(Some)
    }
}

/// What the server says to an operation: an answer of success, or why not.
pub(super) async fn told(
    op: Op,
    operation: &str,
    answer: wire::Response,
) -> std::result::Result<wire::Response, wire::Refusal> {
    let status = answer.status();
    if status >= 300 {
        return Err(answer.into_refusal().await);
    }
    if !answers::is_believed(operation, status, false) {
        let error = errors::malformed(op, status, &answers::unbelievable(operation, status));
        return Err(wire::Refusal { error, code: String::new() });
    }
    Ok(answer)
}
