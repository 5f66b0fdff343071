//! An answer: its head is read, and its payload stays in the socket until somebody wants it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Pool;
use super::chunked::Chunked;
use super::head::{Ends, Head, parse};
use super::link::Link;
use super::tls_blocks::TlsBlocks;
use crate::pump::{Socket, SocketSource, Source};
use crate::s3::answers::ELSEWHERE;
use crate::s3::errors::refusal;
use crate::s3::part::ContentRange;
use crate::s3::xml;
use crate::{Error, Kind, Op, Result};

/// Longest head accepted, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// Most of a document that is read, in bytes.
const DOCUMENT_MAX: usize = 64 << 10;
/// Most bytes that are read for it: chunks may be small.
const CODED_MAX: usize = 8 * DOCUMENT_MAX;
/// Most interim answers (100 to 199) before the real one.
const INTERIM_MAX: usize = 8;

/// An answer whose head was read.
pub(crate) struct Response {
    op: Op,
    head: Head,
    rest: Bytes,
    link: Link,
    pool: Pool,
    /// The region that the request was signed for, where that is known.
    signed: Option<Rc<str>>,
}

/// A refusal, with S3's code for it, which is empty where the server does not give one.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    pub(crate) code: String,
}

/// How a document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it was read.
    Whole,
    /// The connection ended before it did.
    Cut,
    /// It is longer than what is read.
    TooLong,
}

impl Response {
    /// Reads a head; a few interim answers (100) are passed over. All of it comes within `limit`.
    pub(super) async fn read(op: Op, link: Link, pool: &Pool, limit: Duration) -> Result<Self> {
        within(op, limit, Self::read_head(op, link, pool)).await
    }

    async fn read_head(op: Op, mut link: Link, pool: &Pool) -> Result<Self> {
        let mut bytes = Vec::with_capacity(4096);
        let mut interim = 0;
        loop {
            match parse(&bytes) {
                Ok(Some((head, len))) if (100..200).contains(&head.status) => {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        let detail = format!("{interim} interim answers, and no answer: it never comes to an end");
                        return Err(Error::new(op, Kind::Protocol, detail));
                    }
                    bytes.drain(..len);
                    continue;
                }
                Ok(Some((head, len))) => {
                    let rest = Bytes::from(bytes.split_off(len));
                    return Ok(Self { op, head, rest, link, pool: pool.clone(), signed: None });
                }
                Ok(None) if bytes.len() < HEAD_MAX => {}
                _ => return Err(Error::new(op, Kind::Protocol, "the answer is not HTTP")),
            }
            if more(op, &mut link, &mut bytes).await? == 0 {
                return Err(Error::new(op, Kind::Reset, "the server closed the connection without an answer"));
            }
        }
    }

    /// The request was signed for this region.
    pub(super) fn signed_for(self, region: &Rc<str>) -> Self {
        Self { signed: Some(Rc::clone(region)), ..self }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        self.head.etag.as_deref()
    }

    /// What the server calls this version of the object.
    pub(crate) fn version(&self) -> Option<&str> {
        self.head.version.as_deref()
    }

    /// The storage class, which is not told of the standard one.
    pub(crate) fn class(&self) -> Option<&str> {
        self.head.class.as_deref()
    }

    /// For how long the server wants to be left alone, where it says so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.head.retry_after.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Length of the payload, where it is announced and nothing is coded.
    pub(crate) fn len(&self) -> Option<u64> {
        if self.head.chunked || self.head.coded { None } else { self.head.len }
    }

    /// Which part of the object it is, from `Content-Range`.
    pub(crate) fn range(&self) -> Option<ContentRange> {
        self.head.range
    }

    /// Whether the server has given it before it had all that was sent.
    pub(super) fn is_early(&self) -> bool {
        self.link.unsent() > 0
    }

    /// The payload of `len` bytes: still in the socket, or over TLS in blocks as it comes.
    pub(crate) fn into_source(self, len: u64) -> Source {
        match self.link {
            Link::Plain(stream) => {
                let home = (!self.head.close).then(|| self.pool.home());
                Source::Socket(SocketSource { head: self.rest, len, socket: Socket::new(stream, home) })
            }
            Link::Tls(tls) => {
                Source::Stream(Box::new(TlsBlocks::new(self.op, tls, self.rest, len, self.pool, !self.head.close)))
            }
        }
    }

    /// Done with the answer to a HEAD, which has no payload whatever its head says.
    pub(crate) fn finish_head(self) {
        if !self.head.close && self.rest.is_empty() {
            self.pool.keep(self.link);
        }
    }

    /// Done with an answer that has no payload worth reading.
    pub(crate) async fn finish(self) {
        let limit = self.pool.idle_limit();
        // What could not be read has closed its connection, and says nothing that matters.
        let _ = self.document(limit).await;
    }

    /// The whole payload as text. All of it comes within `limit`. Errors: it is cut short, malformed, or longer than any that
    /// is expected.
    pub(crate) async fn into_text(self, limit: Duration) -> Result<String> {
        let op = self.op;
        match self.document(limit).await? {
            (text, End::Whole) => Ok(text),
            (_, End::Cut) => Err(Error::new(op, Kind::Reset, "the server closed the connection within the answer")),
            (_, End::TooLong) => Err(Error::new(op, Kind::Protocol, "the answer has no end")),
        }
    }

    /// The error that a refusal stands for.
    pub(crate) async fn into_error(self) -> Error {
        self.into_refusal().await.error
    }

    /// What a refusal says.
    pub(crate) async fn into_refusal(self) -> Refusal {
        let (op, status, limit, retry_after) = (self.op, self.head.status, self.pool.idle_limit(), self.retry_after());
        if let (Some(signed), Some(named)) = (&self.signed, &self.head.region)
            && self.pool.region().told(status, signed, named)
        {
            return Refusal { error: Error::new(op, Kind::Elsewhere, ELSEWHERE), code: String::new() };
        }
        let text = self.document(limit).await.map_or(String::new(), |(text, _)| text);
        let part = |name| xml::element(&text, name).unwrap_or_default();
        let code = part("Code").into_owned();
        let error = refusal(op, status, &code, &part("Message")).retried_after(retry_after);
        Refusal { error, code }
    }

    /// The payload as text, as far as it is worth reading. All of it comes within `limit`.
    async fn document(self, limit: Duration) -> Result<(String, End)> {
        within(self.op, limit, self.read_document()).await
    }

    async fn read_document(mut self) -> Result<(String, End)> {
        let odd = |detail| Error::new(self.op, Kind::Protocol, detail);
        let ends = self.head.ends().ok_or_else(|| odd("the answer comes in a coding that nobody asked for"))?;
        let (mut text, mut bytes) = (Vec::new(), self.rest.to_vec());
        let (mut chunks, mut read, mut behind) = (Chunked::default(), 0, 0);
        let end = loop {
            read += bytes.len();
            match ends {
                Ends::WithChunks => {
                    let used =
                        chunks.push(&bytes, &mut text).map_err(|_| odd("the chunks of the answer are malformed"))?;
                    behind += bytes.len() - used;
                }
                Ends::After(_) | Ends::WithConnection => text.append(&mut bytes),
            }
            let is_whole = match ends {
                Ends::After(len) => text.len() as u64 >= len,
                Ends::WithChunks => chunks.is_at_end(),
                Ends::WithConnection => false,
            };
            if is_whole {
                break End::Whole;
            }
            if text.len() > DOCUMENT_MAX || read > CODED_MAX {
                break End::TooLong;
            }
            bytes.clear();
            if more(self.op, &mut self.link, &mut bytes).await? == 0 {
                break if ends == Ends::WithConnection { End::Whole } else { End::Cut };
            }
        };
        if let Ends::After(len) = ends {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            behind = text.len().saturating_sub(len);
            text.truncate(len);
        }
        // What is behind an answer is nobody's.
        if end == End::Whole && ends != Ends::WithConnection && behind == 0 && !self.head.close {
            self.pool.keep(self.link);
        }
        Ok((String::from_utf8_lossy(&text).into_owned(), end))
    }
}

/// Reads what there is, waiting for the first of it.
async fn more(op: Op, link: &mut Link, into: &mut Vec<u8>) -> Result<usize> {
    let mut buf = [0; 4096];
    let n = link.read(&mut buf).await.map_err(|e| Error::io(op, "reading the answer", e))?;
    into.extend_from_slice(&buf[..n]);
    Ok(n)
}

/// Waits for an answer as a whole: one that comes byte by byte is given up as one that does not come.
async fn within<T>(op: Op, limit: Duration, answer: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(op, Kind::Timeout, format!("no answer for {} s", limit.as_secs()))),
    }
}
