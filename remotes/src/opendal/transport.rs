//! HTTP as OpenDAL's services use it: one client per store, watched, with limits on waiting.
//!
//! OpenDAL's own transport shares one client between all threads, has no limit on connecting, cannot tell how much of a
//! body was sent, and takes the whole of an object for a part of it where a service ignores `Range`.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};

use crate::context::{KEEP, MOST_KEPT};

/// How much of a body is handed on at once, in bytes; what progress and stalls are counted in.
const PIECE: usize = 64 << 10;

/// Longest answer that is no content and no list, in bytes; what is told of one object is much shorter.
const SMALL: u64 = 4 << 20;

/// Longest list that one answer holds, in bytes: WebDAV tells of a directory in one, and OpenDAL holds it in memory.
const LIST: u64 = 256 << 20;

/// What the answers to the requests of one operation are.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Answers {
    /// Short, and there at once: they come as a whole within the limit on silence.
    #[default]
    Small,
    /// As long as a directory is.
    Lists,
    /// As long as an object is.
    Content,
}

impl Answers {
    /// Most bytes of one.
    fn most(self) -> u64 {
        match self {
            Answers::Small => SMALL,
            Answers::Lists => LIST,
            Answers::Content => u64::MAX,
        }
    }
}

/// What the requests of one operation have done so far.
#[derive(Default)]
pub(super) struct Watch {
    answers: Answers,
    sent: AtomicU64,
    received: AtomicU64,
    status: AtomicU16,
}

impl Watch {
    /// Nothing yet.
    pub(super) fn of(answers: Answers) -> Self {
        Self { answers, ..Self::default() }
    }

    /// Bytes of request bodies, those of failed requests taken back.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Changes whenever anything moves.
    pub(super) fn moved(&self) -> u64 {
        self.sent().wrapping_add(self.received.load(Ordering::Relaxed))
    }

    /// Status of the last response, where it was a refusal.
    pub(super) fn refusal(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|s| *s >= 400)
    }
}

/// The connections of one store. Made at the first request, so that opening costs nothing.
#[derive(Clone, Default)]
pub(super) struct Client(Arc<OnceLock<reqwest::Client>>);

impl Client {
    fn get(&self, connect: Duration) -> Result<reqwest::Client> {
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(MOST_KEPT)
            .build()
            .map_err(|e| Error::new(ErrorKind::Unexpected, "cannot make an HTTP client").set_source(e))?;
        Ok(self.0.get_or_init(|| client).clone())
    }
}

/// A client together with the watch of one operation.
pub(super) struct Transport {
    pub(super) client: Client,
    pub(super) connect: Duration,
    pub(super) watch: Arc<Watch>,
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        // The status of an earlier request says nothing about this one, should it get no answer.
        self.watch.status.store(0, Ordering::Relaxed);
        let uri = request.uri().clone();
        let (parts, body) = request.into_parts();
        let asked = (parts.method == Method::GET).then(|| first_byte(&parts.headers)).flatten();
        let is_head = parts.method == Method::HEAD;
        let url = reqwest::Url::parse(&uri.to_string())
            .map_err(|e| Error::new(ErrorKind::Unexpected, "the request's URL is invalid").set_source(e))?;
        let mut builder = self.client.get(self.connect)?.request(parts.method, url).headers(parts.headers);
        let whole = body.len() as u64;
        let mut sending = Sending { watch: Arc::clone(&self.watch), sent: Arc::default(), done: false };
        if !body.is_empty() {
            let sent = Arc::clone(&sending.sent);
            builder = builder.body(reqwest::Body::wrap(Watched { body, watch: Arc::clone(&self.watch), sent }));
        }
        let response = builder.send().await.map_err(|e| failed("the request failed", e))?;
        let status = response.status();
        self.watch.status.store(status.as_u16(), Ordering::Relaxed);
        // A change of the head alone counts as movement.
        self.watch.received.fetch_add(1, Ordering::Relaxed);
        if status.is_success() && sending.sent.load(Ordering::Relaxed) < whole {
            return Err(Error::new(ErrorKind::Unexpected, "the service took what it was not sent yet"));
        }
        sending.done = status.is_success();
        if let Some(first) = asked {
            check_range(first, status, response.headers())?;
        }
        let encoded = response.headers().contains_key(CONTENT_ENCODING);
        let len = number(response.headers().get(CONTENT_LENGTH)).filter(|_| !is_head && !encoded);
        let mut answer = Response::builder().status(status).version(response.version()).extension(uri);
        if let Some(headers) = answer.headers_mut() {
            *headers = response.headers().clone();
        }
        let watch = Arc::clone(&self.watch);
        // An error's document is short, whatever was asked for.
        let answers = if status.is_success() { watch.answers } else { Answers::Small };
        let mut left = answers.most();
        let body = response.bytes_stream().filter_map(move |piece| {
            let piece = match piece {
                Ok(bytes) if bytes.is_empty() => None,
                Ok(bytes) => match left.checked_sub(bytes.len() as u64) {
                    Some(less) => {
                        left = less;
                        if answers != Answers::Small {
                            watch.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        }
                        Some(Ok(Buffer::from(bytes)))
                    }
                    None => Some(Err(Error::new(ErrorKind::Unexpected, "the answer has no end"))),
                },
                Err(e) => Some(Err(failed("the response broke off", e))),
            };
            std::future::ready(piece)
        });
        answer
            .body(HttpBody::new(body, len))
            .map_err(|e| Error::new(ErrorKind::Unexpected, "the response makes no sense").set_source(e))
    }
}

fn failed(what: &str, e: reqwest::Error) -> Error {
    let passing = e.is_request() || e.is_body() || e.is_decode();
    let refused = e.source().is_some_and(|s| s.is::<Error>());
    // The URL may carry a signature.
    Error::new(ErrorKind::Unexpected, what).with_temporary(passing && !refused).set_source(e.without_url())
}

/// The first byte a `Range: bytes=` header asks for.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

/// Refuses bytes from another place of the object than asked for.
fn check_range(first: u64, status: StatusCode, headers: &HeaderMap) -> Result<()> {
    let starts = match status {
        StatusCode::OK => Some(0),
        StatusCode::PARTIAL_CONTENT => {
            let range = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
            range.and_then(|v| v.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok())
        }
        _ => return Ok(()),
    };
    if starts == Some(first) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("asked for bytes from {first}, the service sent others ({status})")))
}

fn number(value: Option<&http::HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.parse().ok()
}

/// Takes a body's bytes back from the count unless the request succeeded.
struct Sending {
    watch: Arc<Watch>,
    sent: Arc<AtomicU64>,
    done: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.done {
            self.watch.sent.fetch_sub(self.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// A request's body, counted as the connection takes it.
struct Watched {
    body: Buffer,
    watch: Arc<Watch>,
    sent: Arc<AtomicU64>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        let left = self.body.len();
        if left == 0 {
            return Poll::Ready(None);
        }
        let piece = Iterator::next(&mut self.body.slice(..left.min(PIECE))).unwrap_or_default();
        let n = piece.len();
        bytes::Buf::advance(&mut self.body, n);
        self.watch.sent.fetch_add(n as u64, Ordering::Relaxed);
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn bytes_from_another_place_are_refused() {
        let none = HeaderMap::new();
        let part = |v| headers(CONTENT_RANGE, v);
        assert!(check_range(0, StatusCode::OK, &none).is_ok());
        assert!(check_range(7, StatusCode::OK, &none).is_err(), "the whole object is not its tail");
        assert!(check_range(7, StatusCode::PARTIAL_CONTENT, &part("bytes 7-9/10")).is_ok());
        assert!(check_range(7, StatusCode::PARTIAL_CONTENT, &part("bytes 6-9/10")).is_err());
        assert!(check_range(7, StatusCode::PARTIAL_CONTENT, &none).is_err());
        assert!(check_range(7, StatusCode::RANGE_NOT_SATISFIABLE, &none).is_ok(), "an error speaks for itself");
        assert_eq!(first_byte(&headers(RANGE, "bytes=12-")), Some(12));
        assert_eq!(first_byte(&headers(RANGE, "bytes=-12")), None);
    }
}
