//! The head of an answer, read from bytes. Answers of git-annex have a reader of their own, in `src/proto/http/client`: it looks for
//! other headers, and refuses encodings that S3 never uses.

use crate::s3::part::ContentRange;
use crate::s3::region;

/// What matters of a head.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) len: Option<u64>,
    /// The payload comes in chunks.
    pub(super) chunked: bool,
    /// It comes in another transfer coding, which nothing here reads.
    pub(super) coded: bool,
    pub(super) close: bool,
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
    pub(super) range: Option<ContentRange>,
    /// The storage class of the object.
    pub(super) class: Option<String>,
    /// The region of the bucket.
    pub(super) region: Option<String>,
    /// Seconds after which to ask again. A date is not read: clocks differ.
    pub(super) retry_after: Option<u32>,
}

/// Where the payload of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// After so many bytes.
    After(u64),
    /// With the last chunk.
    WithChunks,
    /// With the connection.
    WithConnection,
}

impl Head {
    /// Where the payload ends, of an answer to anything but a HEAD. `None` where nobody here can tell.
    pub(super) fn ends(&self) -> Option<Ends> {
        match self {
            Self { status: 204 | 304, .. } => Some(Ends::After(0)),
            Self { coded: true, .. } => None,
            Self { chunked: true, .. } => Some(Ends::WithChunks),
            Self { len: Some(len), .. } => Some(Ends::After(*len)),
            _ => Some(Ends::WithConnection),
        }
    }
}

/// Parses a head; `None` where it is not complete yet, else the head and its length in bytes.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Option<(Head, usize)>, httparse::Error> {
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
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") && !head.chunked => head.chunked = true,
            "transfer-encoding" => head.coded = true,
            "connection" => head.close |= value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")),
            "etag" => head.etag = Some(value.to_string()),
            region::HEADER => head.region = Some(value.to_string()),
            "retry-after" => head.retry_after = value.parse().ok(),
            "x-amz-version-id" => head.version = Some(value.to_string()),
            "x-amz-storage-class" => head.class = Some(value.to_string()),
            "content-range" => match ContentRange::parse(value) {
                None if head.status < 300 => return Err(httparse::Error::HeaderValue),
                part => head.range = part,
            },
            _ => {}
        }
    }
    if matches!(head.status, 204 | 304) && (head.chunked || head.coded || head.len.is_some_and(|len| len > 0)) {
        // There is no payload whatever is said of it. If one comes all the same, it is not taken for the next answer.
        head.close = true;
    }
    if (head.chunked || head.coded) && head.len.is_some() {
        // Two ends of one payload.
        return Err(httparse::Error::HeaderValue);
    }
    Ok(Some((head, len)))
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
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 206 OK\r\nContent-Length: 1\r\nContent-Range: bytes 5-4/9\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nContent-Range: bytes */9\r\n\r\n").is_ok());
    }

    #[test]
    fn where_a_payload_ends_is_told_by_its_head() {
        for (lines, expected) in [
            ("200 OK\r\nContent-Length: 7", Some(Ends::After(7))),
            ("200 OK\r\nTransfer-Encoding: Chunked", Some(Ends::WithChunks)),
            ("200 OK\r\nTransfer-Encoding: gzip, chunked", None),
            ("200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", None),
            ("200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", None),
            ("200 OK\r\nServer: x", Some(Ends::WithConnection)),
            ("204 No Content\r\nServer: x", Some(Ends::After(0))),
            ("204 No Content\r\nContent-Length: 7", Some(Ends::After(0))),
        ] {
            let (head, _) = parse(format!("HTTP/1.1 {lines}\r\n\r\n").as_bytes()).expect("HTTP").expect("whole");
            assert_eq!(head.ends(), expected, "{lines}");
        }
    }

    #[test]
    fn a_head_tells_when_to_ask_again() {
        for (value, expected) in [("7", Some(7)), ("0", Some(0)), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
        {
            let text = format!("HTTP/1.1 503 Slow Down\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
            let (head, _) = parse(text.as_bytes()).expect("HTTP").expect("whole");
            assert_eq!(head.retry_after, expected, "{value}");
        }
    }

    #[test]
    fn a_head_tells_whether_its_connection_serves_again() {
        for (line, expected) in [
            ("Connection: close", true),
            ("Connection: Keep-Alive, Close", true),
            ("Connection: keep-alive", false),
            ("Content-Length: 0", false),
            ("Content-Length: 7", true),
            ("Transfer-Encoding: chunked", true),
        ] {
            let text = format!("HTTP/1.1 204 No\r\n{line}\r\n\r\n");
            let (head, _) = parse(text.as_bytes()).expect("HTTP").expect("whole");
            assert_eq!(head.close, expected, "{line}");
        }
    }
}
