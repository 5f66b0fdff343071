//! HTTP as OpenDAL's services use it: one client per store, watched, with limits on waiting.
//!
//! OpenDAL's own transport shares one client between all threads, has no limit on connecting, cannot tell how much of a
//! body was sent, follows redirects to any address, and takes the whole of an object for a part of it where a service ignores
//! `Range`. This one also knows what to do where a server does not say how long an object is.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LOCATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use reqwest::Url;
use tokio::sync::OnceCell;

use super::guard::{Guard, Resolver};
use crate::Context;
use crate::context::{KEEP, MOST_KEPT};
use crate::site::{Proxy, Site, Whom};

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
    /// How long the object is that is read, for servers that do not say; counted from one, 0 where that is not known.
    total: AtomicU64,
    /// The tag that content has to come with.
    tag: OnceLock<String>,
}

impl Watch {
    /// Nothing yet.
    pub(super) fn of(answers: Answers) -> Self {
        Self { answers, ..Self::default() }
    }

    /// From here on an object of so many bytes is read.
    pub(super) fn expect(&self, total: u64) {
        self.total.store(total.saturating_add(1), Ordering::Relaxed);
    }

    /// What is read comes with this tag, or is not taken.
    pub(super) fn expect_tag(&self, tag: &str) {
        // It is told once.
        let _ = self.tag.set(tag.into());
    }

    fn total(&self) -> Option<u64> {
        self.total.load(Ordering::Relaxed).checked_sub(1)
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

/// Most redirects of one request.
const HOPS: usize = 10;

/// Longest time in which all of an object is counted, of which the server does not tell how long it is.
const COUNTING: Duration = Duration::from_secs(3600);

/// Headers that a host may have which a request is redirected to; all others are for the host they were made for, and some of
/// them are keys.
const COMMON: &[HeaderName] =
    &[ACCEPT, ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE, USER_AGENT];

/// The connections of one store. Made at the first request, so that opening costs nothing.
#[derive(Clone)]
pub(super) struct Client(Arc<Kept>);

struct Kept {
    site: Arc<Site>,
    guard: Arc<Guard>,
    connect: Duration,
    /// Whether the server sends all of an object where a part was asked for.
    whole: AtomicBool,
    /// Whether content came with another tag than was told before, or without one.
    unproven: AtomicBool,
    client: OnceCell<reqwest::Client>,
}

impl Client {
    /// Of a store of the service `scheme` with this endpoint.
    pub(super) fn new(context: &Context, scheme: &str, endpoint: Option<&str>) -> Self {
        let site = Arc::clone(&context.site);
        let guard = Arc::new(Guard::new(&site, scheme, endpoint));
        let (connect, whole, unproven) = (context.connect, AtomicBool::default(), AtomicBool::default());
        Self(Arc::new(Kept { site, guard, connect, whole, unproven, client: OnceCell::new() }))
    }

    /// Whether the server has sent all of an object where a part was asked for.
    pub(super) fn ignores_ranges(&self) -> bool {
        self.0.whole.load(Ordering::Relaxed)
    }

    /// Whether an object has to be looked at before each part of it, since the part does not tell whose it is.
    pub(super) fn needs_looks(&self) -> bool {
        self.0.unproven.load(Ordering::Relaxed)
    }

    async fn get(&self, url: &Url) -> Result<&reqwest::Client> {
        self.0.client.get_or_try_init(|| self.make(url)).await
    }

    async fn make(&self, url: &Url) -> Result<reqwest::Client> {
        let cannot = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::ConfigInvalid, format!("cannot make an HTTP client: {e}"))
        };
        let (site, url) = (Arc::clone(&self.0.site), url.to_string());
        let bundle = tokio::task::spawn_blocking(move || {
            let bundle = url.starts_with("https:").then(|| site.bundle(Whom::Others, &url)).flatten();
            bundle.map(|bundle| bundle.read()).transpose()
        });
        let bundle = bundle.await.map_err(|e| cannot(e.into()))?.map_err(|e| cannot(e.into()))?;
        let site = Arc::clone(&self.0.site);
        // What is malformed is refused before, and never gone around.
        let proxy = reqwest::Proxy::custom(move |url: &Url| proxy_of(&site, url).ok().flatten().map(|p| p.url()));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.0.connect)
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(MOST_KEPT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver(Arc::clone(&self.0.guard))))
            .proxy(proxy);
        if let Some(pem) = bundle {
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| cannot(e.into()))?;
            builder = builder.tls_certs_only(certificates);
        }
        builder.build().map_err(|e| cannot(e.into()))
    }

    /// Asks `url` without a body, and whoever it redirects to.
    async fn ask(&self, method: &Method, url: &Url, mut headers: HeaderMap) -> Result<reqwest::Response> {
        let mut url = url.clone();
        for hop in 0..=HOPS {
            self.may_ask(&url, hop > 0).await?;
            let request = self.get(&url).await?.request(method.clone(), url.clone()).headers(headers.clone());
            let response = request.send().await.map_err(|e| failed("the request failed", e))?;
            let Some(next) = next(method, &url, &response) else { return Ok(response) };
            if next.origin() != url.origin() {
                headers = COMMON.iter().filter_map(|name| Some((name.clone(), headers.remove(name)?))).collect();
            }
            url = next;
        }
        Err(Error::new(ErrorKind::Unexpected, "the service redirects without end"))
    }

    async fn may_ask(&self, url: &Url, led: bool) -> Result<()> {
        proxy_of(&self.0.site, url).map_err(|why| Error::new(ErrorKind::ConfigInvalid, why))?;
        self.0.guard.pass(url, led).await
    }
}

fn proxy_of(site: &Site, url: &Url) -> std::result::Result<Option<Proxy>, String> {
    let Some(host) = url.host_str() else { return Ok(None) };
    site.proxies().to(url.scheme() == "https", host, url.port_or_known_default().unwrap_or(80))
}

/// Where a response without a body says that the answer is.
fn next(method: &Method, url: &Url, response: &reqwest::Response) -> Option<Url> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match response.status().as_u16() {
        301 | 302 | 307 | 308 => {}
        303 if reads => {}
        _ => return None,
    }
    let to = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = url.join(to).ok().filter(|next| matches!(next.scheme(), "http" | "https"))?;
    // What changes something is asked of nobody else.
    (reads || next.origin() == url.origin()).then_some(next)
}

/// A client together with the watch of one operation.
pub(super) struct Transport {
    pub(super) client: Client,
    pub(super) watch: Arc<Watch>,
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        // The status of an earlier request says nothing about this one, should it get no answer.
        self.watch.status.store(0, Ordering::Relaxed);
        let uri = request.uri().clone();
        let (parts, body) = request.into_parts();
        let (method, mut headers) = (parts.method, parts.headers);
        let asked = (method == Method::GET).then(|| Asked::read(&headers)).flatten();
        let url = Url::parse(&uri.to_string())
            .map_err(|e| Error::new(ErrorKind::Unexpected, "the request's URL is invalid").set_source(e))?;
        if matches!(method, Method::GET | Method::HEAD) && !headers.contains_key(ACCEPT_ENCODING) {
            // What is kept is content, byte by byte, and its length is told of these bytes.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let whole = body.len() as u64;
        let mut sending = Sending { watch: Arc::clone(&self.watch), sent: Arc::default(), done: false };
        let response = if body.is_empty() {
            self.client.ask(&method, &url, headers.clone()).await?
        } else {
            self.client.may_ask(&url, false).await?;
            let sent = Arc::clone(&sending.sent);
            let body = reqwest::Body::wrap(Watched { body, watch: Arc::clone(&self.watch), sent });
            let request = self.client.get(&url).await?.request(method.clone(), url.clone()).headers(headers.clone());
            request.body(body).send().await.map_err(|e| failed("the request failed", e))?
        };
        let status = response.status();
        self.watch.status.store(status.as_u16(), Ordering::Relaxed);
        // A change of the head alone counts as movement.
        self.watch.received.fetch_add(1, Ordering::Relaxed);
        if status.is_success() && sending.sent.load(Ordering::Relaxed) < whole {
            return Err(Error::new(ErrorKind::Unexpected, "the service reported success before everything was sent"));
        }
        sending.done = status.is_success();
        if let Some(tag) = self.watch.tag.get().filter(|_| status.is_success() && method == Method::GET)
            && response.headers().get(ETAG).is_none_or(|told| told.as_bytes() != tag.as_bytes())
        {
            self.client.0.unproven.store(true, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Unexpected, "what comes may be of another object").set_temporary());
        }
        if method == Method::HEAD {
            return self.length(uri, &url, headers, response).await;
        }
        let mut head = Head { status, version: response.version(), headers: response.headers().clone() };
        let mut len = head.len();
        let (mut skip, mut most) = (0, None);
        if let Some(asked) = asked {
            match asked.of(&head, self.watch.total())? {
                Part::Told => {}
                // The server does not know ranges: what is there already is passed over as it comes.
                Part::Whole { first, last, total } => {
                    self.client.0.whole.fetch_or(first > 0 || last + 1 < total, Ordering::Relaxed);
                    skip = first;
                    let part = last + 1 - first;
                    head.status = StatusCode::PARTIAL_CONTENT;
                    head.set(CONTENT_RANGE, format!("bytes {first}-{last}/{total}"));
                    head.set(CONTENT_LENGTH, part.to_string());
                    len = len.map(|_| part);
                    most = Some(part);
                }
            }
        } else if method == Method::GET
            && status == StatusCode::OK
            && len.is_none()
            && let Some(total) = self.watch.total()
        {
            head.set(CONTENT_LENGTH, total.to_string());
        }
        // An error's document is short, whatever was asked for.
        let answers = if status.is_success() { self.watch.answers } else { Answers::Small };
        let body = self.body(response, answers, skip, most);
        head.into_response(uri, HttpBody::new(body, len))
    }
}

impl Transport {
    /// A body as it comes: `skip` bytes of it are passed over, and no more than `most` are passed on.
    fn body(
        &self,
        response: reqwest::Response,
        answers: Answers,
        mut skip: u64,
        most: Option<u64>,
    ) -> impl futures_util::Stream<Item = Result<Buffer>> + Send + use<> {
        let watch = Arc::clone(&self.watch);
        let mut left = answers.most();
        let mut most = most.unwrap_or(u64::MAX);
        response.bytes_stream().filter_map(move |piece| {
            let piece = match piece {
                Ok(bytes) if bytes.is_empty() => None,
                Ok(mut bytes) => match left.checked_sub(bytes.len() as u64) {
                    Some(less) => {
                        left = less;
                        if answers != Answers::Small {
                            watch.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        }
                        let over = skip.min(bytes.len() as u64);
                        skip -= over;
                        bytes::Buf::advance(&mut bytes, usize::try_from(over).unwrap_or(usize::MAX));
                        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                        most -= bytes.len() as u64;
                        (!bytes.is_empty()).then(|| Ok(Buffer::from(bytes)))
                    }
                    None => Some(Err(Error::new(ErrorKind::Unexpected, "the answer has no end"))),
                },
                Err(e) => Some(Err(failed("the response broke off", e))),
            };
            std::future::ready(piece)
        })
    }

    /// The answer to a HEAD. Where it does not say how long the object is, or HEAD is not known, a GET does, which has to come
    /// to its end where it does not say so either.
    async fn length(
        &self,
        uri: Uri,
        url: &Url,
        mut headers: HeaderMap,
        response: reqwest::Response,
    ) -> Result<Response<HttpBody>> {
        let mut head =
            Head { status: response.status(), version: response.version(), headers: response.headers().clone() };
        let nothing = || HttpBody::new(futures_util::stream::empty(), None);
        let unknown = matches!(head.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED);
        if !unknown && (head.status != StatusCode::OK || head.headers.contains_key(CONTENT_LENGTH)) {
            return head.into_response(uri, nothing());
        }
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        let response = self.client.ask(&Method::GET, url, headers).await?;
        head = Head { status: response.status(), version: response.version(), headers: response.headers().clone() };
        self.watch.status.store(head.status.as_u16(), Ordering::Relaxed);
        self.watch.received.fetch_add(1, Ordering::Relaxed);
        let total = match head.status {
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => head.total(),
            StatusCode::OK => match number(head.headers.get(CONTENT_LENGTH)) {
                Some(len) => Some(len),
                None => Some(self.count(response).await?),
            },
            _ => {
                let body = self.body(response, Answers::Small, 0, None);
                return head.into_response(uri, HttpBody::new(body, None));
            }
        };
        let Some(total) = total else {
            return Err(Error::new(ErrorKind::Unexpected, "the service does not say how long the object is"));
        };
        self.watch.status.store(200, Ordering::Relaxed);
        head.status = StatusCode::OK;
        head.headers.remove(CONTENT_RANGE);
        head.set(CONTENT_LENGTH, total.to_string());
        head.into_response(uri, nothing())
    }

    /// How many bytes come. Errors: they do not come to their end.
    async fn count(&self, response: reqwest::Response) -> Result<u64> {
        let mut body = response.bytes_stream();
        let all = async {
            let mut total = 0;
            while let Some(piece) = body.next().await {
                let len = piece.map_err(|e| failed("the response broke off", e))?.len() as u64;
                total += len;
                self.watch.received.fetch_add(len, Ordering::Relaxed);
            }
            Ok(total)
        };
        let late =
            |_| Error::new(ErrorKind::Unexpected, "the service does not say how long the object is, and it has no end");
        tokio::time::timeout(COUNTING, all).await.map_err(late)?
    }
}

/// The head of a response, which may be put right.
struct Head {
    status: StatusCode,
    version: http::Version,
    headers: HeaderMap,
}

impl Head {
    /// Length of the body, where nothing was done to it on the way.
    fn len(&self) -> Option<u64> {
        number(self.headers.get(CONTENT_LENGTH)).filter(|_| !self.headers.contains_key(CONTENT_ENCODING))
    }

    /// Length of the object that `Content-Range` tells of.
    fn total(&self) -> Option<u64> {
        self.range()?.split_once('/')?.1.trim().parse().ok()
    }

    fn range(&self) -> Option<&str> {
        self.headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")
    }

    fn set(&mut self, name: http::HeaderName, value: String) {
        // Digits and the words of a range are a header's value.
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
    }

    fn into_response(self, uri: Uri, body: HttpBody) -> Result<Response<HttpBody>> {
        let mut answer = Response::builder().status(self.status).version(self.version).extension(uri);
        if let Some(headers) = answer.headers_mut() {
            *headers = self.headers;
        }
        answer.body(body).map_err(|e| Error::new(ErrorKind::Unexpected, "the response is malformed").set_source(e))
    }
}

fn failed(what: &str, e: reqwest::Error) -> Error {
    let passing = e.is_request() || e.is_body() || e.is_decode();
    let refused = e.source().is_some_and(|s| s.is::<Error>());
    // The URL may carry a signature.
    Error::new(ErrorKind::Unexpected, what).with_temporary(passing && !refused).set_source(e.without_url())
}

/// What a `Range: bytes=` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    first: u64,
    last: Option<u64>,
}

/// What an answer to it holds.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// What it says.
    Told,
    /// All of the object, where these bytes of it were asked for.
    Whole { first: u64, last: u64, total: u64 },
}

impl Asked {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let (first, last) = headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok() })
    }

    /// Holds an answer against it; `expected` is how long the object is known to be. Errors: other bytes come.
    fn of(self, head: &Head, expected: Option<u64>) -> Result<Part> {
        let others = || {
            let what = format!("asked for bytes from {}, the service sent others ({})", self.first, head.status);
            Err(Error::new(ErrorKind::Unsupported, what))
        };
        match head.status {
            StatusCode::PARTIAL_CONTENT => {
                let first = head.range().and_then(|range| range.split('-').next()?.trim().parse().ok());
                if first == Some(self.first) { Ok(Part::Told) } else { others() }
            }
            StatusCode::OK => match number(head.headers.get(CONTENT_LENGTH)).or(expected) {
                Some(total) if self.first < total => {
                    let last = self.last.unwrap_or(u64::MAX).min(total - 1);
                    Ok(Part::Whole { first: self.first, last, total })
                }
                _ if self.first == 0 => Ok(Part::Told),
                _ => others(),
            },
            // An error speaks for itself.
            _ => Ok(Part::Told),
        }
    }
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
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

    fn head(status: StatusCode, headers: &[(http::HeaderName, &'static str)]) -> Head {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        Head { status, version: http::Version::HTTP_11, headers }
    }

    #[test]
    fn only_the_bytes_that_were_asked_for_are_taken() {
        let of = |first, last, head: &Head, expected| Asked { first, last }.of(head, expected).ok();
        let part = |v| head(StatusCode::PARTIAL_CONTENT, &[(CONTENT_RANGE, v)]);
        let ok = head(StatusCode::OK, &[]);
        let ten = head(StatusCode::OK, &[(CONTENT_LENGTH, "10")]);
        let whole = |first, last, total| Some(Part::Whole { first, last, total });
        assert_eq!(of(0, None, &ok, None), Some(Part::Told));
        assert_eq!(of(0, None, &ten, None), whole(0, 9, 10));
        assert_eq!(of(7, None, &ten, None), whole(7, 9, 10));
        assert_eq!(of(7, Some(8), &ten, None), whole(7, 8, 10));
        assert_eq!(of(7, Some(80), &ok, Some(10)), whole(7, 9, 10));
        assert_eq!(of(7, None, &ok, None), None, "nobody knows where it ends");
        assert_eq!(of(10, None, &ten, None), None, "it is not there");
        assert_eq!(of(7, None, &part("bytes 7-9/10"), None), Some(Part::Told));
        assert_eq!(of(7, None, &part("bytes 6-9/10"), None), None);
        assert_eq!(of(7, None, &head(StatusCode::PARTIAL_CONTENT, &[]), None), None);
        assert_eq!(of(7, None, &head(StatusCode::RANGE_NOT_SATISFIABLE, &[]), None), Some(Part::Told));
        let asked = |v| Asked::read(&head(StatusCode::OK, &[(RANGE, v)]).headers);
        assert_eq!(asked("bytes=12-"), Some(Asked { first: 12, last: None }));
        assert_eq!(asked("bytes=12-13"), Some(Asked { first: 12, last: Some(13) }));
        assert_eq!(asked("bytes=-12"), None);
    }
}
