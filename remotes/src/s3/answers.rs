//! Which answers are believed: by their status, and by their length where they come through the SDK.
//!
//! The SDK takes every status of 200 to 299 for success, and collects the whole of every answer that is no object.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::region::{self, Region};

/// Longest answer that is no object, in bytes: a page of a thousand names that are all escapes, and what is told of each.
const LONGEST: u64 = 16 << 20;

/// What is said of an answer that comes too slowly.
pub(super) const LATE: &str = "the answer does not come to its end";

/// What is said of an answer that tells where the bucket is, so that it is to be asked there.
pub(super) const ELSEWHERE: &str = "the bucket is in another region, which is known by now";

/// Looks at every answer before the SDK does.
#[derive(Debug)]
pub(super) struct Watch {
    /// What is learnt of the bucket's region.
    pub(super) region: Arc<Region>,
    /// The region that the requests are signed for.
    pub(super) signed: String,
    /// How long an answer that is no object may take to come, from its head to its end.
    pub(super) limit: Duration,
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let response = context.response_mut();
        let status = response.status().as_u16();
        if let Some(named) = response.headers().get(region::HEADER)
            && self.region.told(status, &self.signed, named)
        {
            return Err(ELSEWHERE.into());
        }
        if !is_believed(operation, status, response.headers().contains_key("content-range")) {
            return Err(unbelievable(operation, status).into());
        }
        if operation != "GetObject" || status >= 300 {
            let body = std::mem::replace(response.body_mut(), SdkBody::empty());
            // While S3 makes an object it sends blanks; who waits for that has a limit of its own.
            let limit = (!matches!(operation, "CompleteMultipartUpload" | "CopyObject" | "UploadPartCopy"))
                .then_some(self.limit);
            let late = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
            *response.body_mut() = SdkBody::from_body_1_x(Bounded { body, left: LONGEST, late });
        }
        Ok(())
    }
}

/// What is said of a success that the operation does not have.
pub(super) fn unbelievable(operation: &str, status: u16) -> String {
    format!("{operation} is not answered with {status}")
}

/// Whether an operation may be answered with this status. What is no success speaks for itself.
pub(super) fn is_believed(operation: &str, status: u16, part: bool) -> bool {
    match (operation, status) {
        (_, 300..) => true,
        ("GetObject", 206) => part,
        ("DeleteObject" | "AbortMultipartUpload", 204) => true,
        (_, status) => status == 200,
    }
}

/// Keeps the status of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Status(Arc<AtomicU16>);

impl Status {
    /// The status of the last answer; 0 where there was none.
    pub(super) fn get(&self) -> u16 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(context.response().status().as_u16(), Ordering::Relaxed);
        Ok(())
    }
}

/// A body that ends with an error where it is longer than it may be, or takes longer.
struct Bounded {
    body: SdkBody,
    left: u64,
    late: Option<Pin<Box<Sleep>>>,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(task) else {
            let Some(late) = &mut self.late else { return Poll::Pending };
            std::task::ready!(late.as_mut().poll(task));
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, LATE).into())));
        };
        if let Some(Ok(frame)) = &frame {
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(len) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(io::Error::other("the answer has no end").into()))),
            }
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_odd_status_is_success() {
        for (operation, status, part, believed) in [
            ("HeadObject", 200, false, true),
            ("HeadObject", 204, false, false),
            ("HeadObject", 206, false, false),
            ("HeadObject", 304, false, true),
            ("HeadObject", 404, false, true),
            ("GetObject", 200, false, true),
            ("GetObject", 206, true, true),
            ("GetObject", 206, false, false),
            ("GetObject", 204, false, false),
            ("PutObject", 200, false, true),
            ("PutObject", 201, false, false),
            ("PutObject", 202, false, false),
            ("PutObject", 204, false, false),
            ("DeleteObject", 204, false, true),
            ("DeleteObject", 200, false, true),
            ("DeleteObject", 202, false, false),
            ("DeleteObject", 206, false, false),
            ("AbortMultipartUpload", 204, false, true),
            ("CompleteMultipartUpload", 204, false, false),
            ("CopyObject", 202, false, false),
            ("ListObjectsV2", 206, false, false),
        ] {
            assert_eq!(is_believed(operation, status, part), believed, "{operation} {status}");
        }
    }
}
