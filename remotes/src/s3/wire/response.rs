//! The head of an answer; its payload stays in the socket. Answers of git-annex have a reader of their own, in `src/proto/http/client`:
//! it looks for other headers, and refuses encodings that S3 never uses.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::Pool;
use crate::pump::{Socket, SocketSource};
use crate::s3::answers::ELSEWHERE;
use crate::s3::errors::{element, refusal};
use crate::s3::part::ContentRange;
use crate::s3::region;
use crate::{Error, Kind, Op, Result, sys};

/// Longest head accepted, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// Most of an error's document that is read, in bytes.
const DOCUMENT_MAX: usize = 64 << 10;
/// Most interim answers (100 to 199) before the real one.
const INTERIM_MAX: usize = 8;

/// An answer whose head was read.
pub(crate) struct Response {
    op: Op,
    head: Head,
    rest: Bytes,
    stream: TcpStream,
    pool: Pool,
    /// The region that the request was signed for, where that is known.
    signed: Option<Rc<str>>,
}

/// What matters of a head.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    len: Option<u64>,
    chunked: bool,
    close: bool,
    etag: Option<String>,
    version: Option<String>,
    range: Option<ContentRange>,
    /// The region of the bucket.
    region: Option<String>,
}

/// Parses a head; `None` where it is not complete yet, else the head and its length in bytes.
fn parse(bytes: &[u8]) -> std::result::Result<Option<(Head, usize)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 96];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = response.parse(bytes)? else { return Ok(None) };
    let mut head = Head { status: response.code.unwrap_or(0), close: response.version == Some(0), ..Head::default() };
    for header in response.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value).map(str::trim) else { continue };
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => match value.parse() {
                Ok(len) if head.len.is_none_or(|l| l == len) => head.len = Some(len),
                _ => return Err(httparse::Error::HeaderValue),
            },
            "transfer-encoding" => head.chunked = true,
            "connection" => head.close |= value.eq_ignore_ascii_case("close"),
            "etag" => head.etag = Some(value.to_string()),
            region::HEADER => head.region = Some(value.to_string()),
            "x-amz-version-id" => head.version = Some(value.to_string()),
            "content-range" => match ContentRange::parse(value) {
                None if head.status < 300 => return Err(httparse::Error::HeaderValue),
                part => head.range = part,
            },
            _ => {}
        }
    }
    if head.chunked && head.len.is_some() {
        // Two ends of one payload.
        return Err(httparse::Error::HeaderValue);
    }
    Ok(Some((head, len)))
}

impl Response {
    /// Reads a head; a few interim answers (100) are passed over. All of it comes within `limit`.
    pub(super) async fn read(op: Op, stream: TcpStream, pool: &Pool, limit: Duration) -> Result<Self> {
        within(op, limit, Self::read_head(op, stream, pool)).await
    }

    async fn read_head(op: Op, stream: TcpStream, pool: &Pool) -> Result<Self> {
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
                    return Ok(Self { op, head, rest, stream, pool: pool.clone(), signed: None });
                }
                Ok(None) if bytes.len() < HEAD_MAX => {}
                _ => return Err(Error::new(op, Kind::Protocol, "the answer is not HTTP")),
            }
            if more(op, &stream, &mut bytes).await? == 0 {
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

    /// Length of the payload, where it is announced and nothing is coded.
    pub(crate) fn len(&self) -> Option<u64> {
        if self.head.chunked { None } else { self.head.len }
    }

    /// Which part of the object it is, from `Content-Range`.
    pub(crate) fn range(&self) -> Option<ContentRange> {
        self.head.range
    }

    /// Whether the server has given it before it had all that was sent.
    pub(super) fn is_early(&self) -> bool {
        sys::unsent(&self.stream) > 0
    }

    /// The payload, still in the socket.
    pub(crate) fn into_source(self, len: u64) -> SocketSource {
        let home = (!self.head.close).then(|| self.pool.home());
        SocketSource { head: self.rest, len, socket: Socket::new(self.stream, home) }
    }

    /// Done with the answer to a HEAD, which has no payload whatever its head says.
    pub(crate) fn finish_head(self) {
        if !self.head.close && self.rest.is_empty() {
            Socket::new(self.stream, Some(self.pool.home())).done();
        }
    }

    /// Done with an answer that has no payload worth reading.
    pub(crate) async fn finish(self) {
        let len = self.len();
        let _ = self.document().await.map(|(_, socket, read)| {
            if len == Some(read) {
                socket.done();
            }
        });
    }

    /// The error that a refusal stands for.
    pub(crate) async fn into_error(self) -> Error {
        let (op, status) = (self.op, self.head.status);
        if let (Some(signed), Some(named)) = (&self.signed, &self.head.region)
            && self.pool.region().told(status, signed, named)
        {
            return Error::new(op, Kind::Elsewhere, ELSEWHERE);
        }
        match self.document().await {
            Ok((text, ..)) => {
                let part = |name| element(&text, name).unwrap_or("");
                refusal(op, status, part("Code"), part("Message"))
            }
            Err(_) => refusal(op, status, "", ""),
        }
    }

    /// The payload as text, as far as it is worth reading; coded or not, the words are in it. All of it comes within the
    /// limit on silence.
    async fn document(self) -> Result<(String, Socket, u64)> {
        let (op, limit) = (self.op, self.pool.idle_limit());
        within(op, limit, self.read_document()).await
    }

    async fn read_document(self) -> Result<(String, Socket, u64)> {
        let want = usize::try_from(self.head.len.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(DOCUMENT_MAX);
        let mut bytes = self.rest.to_vec();
        while bytes.len() < want {
            if more(self.op, &self.stream, &mut bytes).await? == 0
                || (self.head.chunked && bytes.ends_with(b"0\r\n\r\n"))
            {
                break;
            }
        }
        let read = bytes.len() as u64;
        let home = (!self.head.close && !self.head.chunked).then(|| self.pool.home());
        Ok((String::from_utf8_lossy(&bytes).into_owned(), Socket::new(self.stream, home), read))
    }
}

/// Reads what there is, waiting for the first of it.
async fn more(op: Op, stream: &TcpStream, into: &mut Vec<u8>) -> Result<usize> {
    let ready = async {
        loop {
            stream.readable().await?;
            let mut buf = [0; 4096];
            match stream.try_read(&mut buf) {
                Ok(n) => {
                    into.extend_from_slice(&buf[..n]);
                    return Ok(n);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    };
    ready.await.map_err(|e| Error::io(op, "reading the answer", e))
}

/// Waits for an answer as a whole: one that comes byte by byte is given up as one that does not come.
async fn within<T>(op: Op, limit: Duration, answer: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::new(op, Kind::Timeout, format!("no answer for {} s", limit.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whatever_the_fragmentation() {
        let text = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nETag: \"ab\"\r\nContent-Range: bytes 5-14/200\r\n\r\nbody";
        let end = text.len() - 4;
        for n in 0..end {
            assert_eq!(parse(&text[..n]), Ok(None), "{n}");
        }
        let (head, len) = parse(text).expect("HTTP").expect("whole");
        assert_eq!(len, end);
        let expected = Head {
            status: 206,
            len: Some(10),
            etag: Some("\"ab\"".into()),
            range: ContentRange::parse("bytes 5-14/200"),
            ..Head::default()
        };
        assert_eq!(head, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 206 OK\r\nContent-Length: 1\r\nContent-Range: bytes 5-4/9\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nContent-Range: bytes */9\r\n\r\n").is_ok());
    }
}
