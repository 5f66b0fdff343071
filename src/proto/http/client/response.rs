//! The head of an answer. Its body is read with [`BodyReader`](super::super::body::BodyReader).
//!
//! S3 has a reader of its own in `remotes`, which may know no protocol of git-annex: it looks for other headers, takes an ETag or a
//! range as they come, and leaves the payload in the socket.

use super::super::head::{Body, LONGEST_HEAD};
use crate::proto::line::parse_number;

/// Most header lines taken.
const MOST_HEADERS: usize = 96;

/// What matters of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status.
    pub status: u16,
    /// What stands behind it, for people.
    pub reason: String,
    /// Where the body ends.
    pub body: Body,
    /// Whether another request may be made on this connection.
    pub keep_alive: bool,
    /// Value of X-git-annex-data-length, in bytes.
    pub data_length: Option<u64>,
    /// Values of WWW-Authenticate, which git's credential helpers want to see.
    pub authenticate: Vec<Vec<u8>>,
    /// Value of X-Forwarded-User: who it is, as a server says that was asked for that.
    pub user: Option<Vec<u8>>,
}

/// These bytes are no answer, or the end of its body cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHead(pub &'static str);

/// Reads the head at the front of `bytes`; `None` where it is not complete yet, else the head and its length in bytes.
///
/// Interim answers (100 to 199) come out as they are: the next head follows them.
///
/// # Errors
///
/// [`BadHead`].
pub fn parse(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, BadHead> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= LONGEST_HEAD => len,
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(BadHead("the head of its answer is too long")),
        Err(_) => return Err(BadHead("its answer is not HTTP")),
    };
    let status = response.code.unwrap_or(0);
    let mut head = ResponseHead {
        status,
        reason: response.reason.unwrap_or_default().chars().take(200).collect(),
        body: Body::None,
        keep_alive: response.version == Some(1),
        data_length: None,
        authenticate: Vec::new(),
        user: None,
    };
    let (mut length, mut chunked) = (None, false);
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let read = parse_number(value).ok_or(BadHead("its Content-Length is not a number"))?;
            if length.is_some_and(|length| length != read) {
                return Err(BadHead("it names two lengths"));
            }
            length = Some(read);
        } else if is("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(BadHead("unknown Transfer-Encoding"));
            }
            chunked = true;
        } else if is("content-encoding") && !value.eq_ignore_ascii_case(b"identity") {
            return Err(BadHead("its answer is compressed, which was not asked for"));
        } else if is("connection") {
            let words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            for word in words {
                head.keep_alive &= !word.eq_ignore_ascii_case(b"close");
                head.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("x-git-annex-data-length") {
            head.data_length = Some(parse_number(value).ok_or(BadHead("its data length is not a number"))?);
        } else if is("www-authenticate") {
            head.authenticate.push(value.to_vec());
        } else if is("x-forwarded-user") && head.user.replace(value.to_vec()).is_some() {
            return Err(BadHead("it names two users"));
        }
    }
    head.body = match (length, chunked) {
        _ if (100..200).contains(&status) || status == 204 || status == 304 => Body::None,
        (None, true) => Body::Chunked,
        (Some(length), false) => Body::Length(length),
        (Some(_), true) => return Err(BadHead("its answer has both a length and chunks")),
        (None, false) => return Err(BadHead("its answer does not tell where it ends")),
    };
    Ok(Some((head, len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whatever_the_fragmentation() {
        let text = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\nServer: Warp/3.4.9\r\n\
                     WWW-Authenticate: Basic realm=\"git-annex\", charset=\"UTF-8\"\r\nX-git-annex-data-length: 11\r\n\r\n0\r\n\r\n";
        let end = text.len() - 5;
        for n in 0..end {
            assert_eq!(parse(&text[..n]), Ok(None), "{n}");
        }
        let head = ResponseHead {
            status: 401,
            reason: "Unauthorized".into(),
            body: Body::Chunked,
            keep_alive: true,
            data_length: Some(11),
            authenticate: vec![b"Basic realm=\"git-annex\", charset=\"UTF-8\"".to_vec()],
            user: None,
        };
        assert_eq!(parse(text), Ok(Some((head, end))));
    }

    #[test]
    fn whether_the_connection_is_kept_depends_on_version_and_word() {
        for (text, kept) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.0 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
            ("HTTP/1.1 200\r\nConnection: x, close\r\n", false),
        ] {
            let text = format!("{text}Content-Length: 0\r\n\r\n");
            let (head, _) = parse(text.as_bytes()).expect("HTTP").expect("whole");
            assert_eq!((head.keep_alive, head.body), (kept, Body::Length(0)), "{text}");
        }
    }

    #[test]
    fn an_answer_whose_end_is_not_clear_is_none() {
        for text in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-git-annex-data-length: x\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LONGEST_HEAD));
        assert!(parse(endless.as_bytes()).is_err());
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MOST_HEADERS + 1));
        assert!(parse(many.as_bytes()).is_err());
    }

    #[test]
    fn an_interim_answer_has_no_body() {
        let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n";
        let (head, len) = parse(text).expect("HTTP").expect("whole");
        assert_eq!((head.status, head.body, len), (100, Body::None, 25));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\n", bytes.as_slice()].concat());
        }
    }
}
