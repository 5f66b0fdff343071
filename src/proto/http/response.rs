//! Heads of answers.
//!
//! Every answer but git's has a Content-Length, where git-annex's own server sends chunks: the length is always known, and what
//! is sent after it can then be moved by the kernel alone.

use std::io::Write;

use super::head::Version;

/// Tells a client that waits with its body to send it.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a name and a password are asked for, as git-annex has it.
pub const REALM: &str = "git-annex";

/// Reads another realm.
///
/// # Errors
///
/// It cannot stand in a header.
pub fn realm(text: &str) -> Result<&'static str, String> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\');
    if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
        return Err("give 1 to 100 printable characters of ASCII, without quotes and backslashes".into());
    }
    // There is one for as long as the server runs.
    Ok(Box::leak(text.to_string().into_boxed_str()))
}

/// Most bytes of words in the line of the status.
const MOST_WORDS: usize = 300;

/// The types of content that are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json;charset=utf-8`: git-annex refuses JSON that is announced as anything else.
    Json,
    /// `application/octet-stream`: the content of a key.
    Content,
    /// `text/plain; charset=utf-8`: something went wrong here.
    Text,
    /// One of git's own, of which nothing is to be kept: it is another one after each push.
    Git(&'static str),
}

/// How the end of an answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// By Content-Length.
    #[default]
    Length,
    /// It comes in chunks.
    Chunked,
    /// By the end of the connection, for a client of HTTP/1.0.
    Close,
}

/// Part of a content, or that the part asked for is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Bytes `first..=last` of `total`.
    Bytes {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
        /// Length of the whole.
        total: u64,
    },
    /// None of what was asked for is within `total` bytes.
    Unsatisfied {
        /// Length of the whole.
        total: u64,
    },
}

/// Whether the connection is kept, which has to be said where it is not the version's own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// Says nothing: kept with HTTP/1.1.
    #[default]
    Plain,
    /// `keep-alive`, for a client of HTTP/1.0 that asked for it.
    KeepAlive,
    /// `close`
    Close,
}

impl Connection {
    /// What to say to a client that speaks `version` when the connection is kept or not.
    pub fn of(version: Version, kept: bool) -> Self {
        match (version, kept) {
            (_, false) => Self::Close,
            (Version::Http11, true) => Self::Plain,
            (Version::Http10, true) => Self::KeepAlive,
        }
    }
}

/// The head of one answer. `..Response::of(status)` leaves out what is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Content-Type; none where there is no body, and with refusals, as git-annex does it.
    pub media: Option<Media>,
    /// Content-Length, in bytes. To a HEAD it is what a GET would bring.
    pub length: u64,
    /// Whether it is that length by which the end is known.
    pub framing: Framing,
    /// X-git-annex-data-length, in bytes.
    pub data_length: Option<u64>,
    /// Content-Range.
    pub part: Option<Part>,
    /// Says that ranges may be asked for.
    pub ranges: bool,
    /// Asks for a name and a password.
    pub authenticate: bool,
    /// Of what, as clients show it: [`REALM`], or another one, without quotes.
    pub realm: &'static str,
    /// Retry-After, in seconds.
    pub retry_after: Option<u32>,
    /// Whether the connection is kept.
    pub connection: Connection,
}

impl Response {
    /// An answer with `status`, no body, and nothing more to say. 401 asks for a password.
    pub fn of(status: u16) -> Self {
        Self {
            status,
            media: None,
            length: 0,
            framing: Framing::Length,
            data_length: None,
            part: None,
            ranges: false,
            authenticate: status == 401,
            realm: REALM,
            retry_after: None,
            connection: Connection::Plain,
        }
    }

    /// 200 with a body of JSON.
    pub fn json(length: usize) -> Self {
        Self { media: Some(Media::Json), length: length as u64, ..Self::of(200) }
    }

    /// 200 with `length` bytes of the content of a key.
    pub fn content(length: u64) -> Self {
        Self { media: Some(Media::Content), length, data_length: Some(length), ..Self::of(200) }
    }

    /// Appends the head to `out`. `date` is the time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn write(&self, date: &str, out: &mut Vec<u8>) {
        self.write_saying("", date, out);
    }

    /// Appends the head to `out`, with `words` behind the name of the status: git-annex shows that line to its user, and
    /// nothing of a body. Of long words the beginning is sent.
    pub fn write_saying(&self, words: &str, date: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        number(u64::from(self.status), out);
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        if !words.is_empty() {
            out.extend_from_slice(b": ");
            let printable =
                words.bytes().take(MOST_WORDS).map(|byte| if (b' '..=b'~').contains(&byte) { byte } else { b'?' });
            out.extend(printable);
        }
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(concat!("\r\nServer: git-annex-remote-stream/", env!("CARGO_PKG_VERSION")).as_bytes());
        out.extend_from_slice(match self.media {
            Some(Media::Json) => b"\r\nContent-Type: application/json;charset=utf-8",
            // A browser must not make a page of it.
            Some(Media::Content) => {
                b"\r\nContent-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff".as_slice()
            }
            Some(Media::Text) => b"\r\nContent-Type: text/plain; charset=utf-8",
            Some(Media::Git(_)) => b"\r\nCache-Control: no-cache, no-store, must-revalidate\r\nContent-Type: ",
            None => b"",
        });
        if let Some(Media::Git(name)) = self.media {
            out.extend_from_slice(name.as_bytes());
        }
        match self.framing {
            Framing::Length => {
                out.extend_from_slice(b"\r\nContent-Length: ");
                number(self.length, out);
            }
            Framing::Chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
            Framing::Close => {}
        }
        if let Some(length) = self.data_length {
            out.extend_from_slice(b"\r\nX-git-annex-data-length: ");
            number(length, out);
        }
        match self.part {
            Some(Part::Bytes { first, last, total }) => {
                write!(out, "\r\nContent-Range: bytes {first}-{last}/{total}").expect("a Vec takes all");
            }
            Some(Part::Unsatisfied { total }) => {
                write!(out, "\r\nContent-Range: bytes */{total}").expect("a Vec takes all");
            }
            None => {}
        }
        if self.ranges {
            out.extend_from_slice(b"\r\nAccept-Ranges: bytes");
        }
        if self.authenticate {
            out.extend_from_slice(b"\r\nWWW-Authenticate: Basic realm=\"");
            out.extend_from_slice(self.realm.as_bytes());
            out.extend_from_slice(b"\", charset=\"UTF-8\"");
        }
        if let Some(seconds) = self.retry_after {
            out.extend_from_slice(b"\r\nRetry-After: ");
            number(u64::from(seconds), out);
        }
        out.extend_from_slice(match self.connection {
            Connection::Plain => b"\r\n\r\n",
            Connection::KeepAlive => b"\r\nConnection: keep-alive\r\n\r\n",
            Connection::Close => b"\r\nConnection: close\r\n\r\n",
        });
    }
}

/// Appends `value` in decimal; every answer has three or more numbers, and formatting costs more than the rest of it.
pub(super) fn number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).expect("below 10");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(response: Response) -> String {
        let mut out = Vec::new();
        response.write(DATE, &mut out);
        String::from_utf8(out).expect("heads are text").replace(env!("CARGO_PKG_VERSION"), "VERSION")
    }

    #[test]
    fn an_answer_in_json_has_the_type_and_the_length() {
        assert_eq!(
            written(Response::json(16)),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: git-annex-remote-stream/VERSION\r\n\
             Content-Type: application/json;charset=utf-8\r\nContent-Length: 16\r\n\r\n"
        );
    }

    #[test]
    fn everything_that_can_be_said_is_said_in_its_place() {
        let all = Response {
            status: 206,
            part: Some(Part::Bytes { first: 2, last: 4, total: 11 }),
            ranges: true,
            retry_after: Some(30),
            connection: Connection::Close,
            ..Response::content(3)
        };
        assert_eq!(
            written(all),
            "HTTP/1.1 206 Partial Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Server: git-annex-remote-stream/VERSION\r\nContent-Type: application/octet-stream\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Length: 3\r\nX-git-annex-data-length: 3\r\nContent-Range: bytes 2-4/11\r\nAccept-Ranges: bytes\r\n\
             Retry-After: 30\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn what_git_says_comes_in_chunks_and_is_not_kept() {
        let media = Some(Media::Git("application/x-git-upload-pack-result"));
        let said = written(Response { media, framing: Framing::Chunked, ..Response::of(200) });
        assert!(said.ends_with(
            "\r\nCache-Control: no-cache, no-store, must-revalidate\r\nContent-Type: application/x-git-upload-pack-result\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ));
        let said =
            written(Response { media, framing: Framing::Close, connection: Connection::Close, ..Response::of(200) });
        assert!(!said.contains("Length") && !said.contains("chunked") && said.ends_with("Connection: close\r\n\r\n"));
    }

    #[test]
    fn only_401_asks_for_a_password() {
        let asks = |status| written(Response::of(status)).contains("WWW-Authenticate: Basic realm=\"git-annex\"");
        assert!(asks(401));
        assert!(!asks(403));
        let unsatisfied = Response { part: Some(Part::Unsatisfied { total: 5 }), ..Response::of(416) };
        assert!(written(unsatisfied).contains("\r\nContent-Range: bytes */5\r\n"));
    }

    #[test]
    fn a_realm_stays_within_its_quotes() {
        let said = written(Response { realm: realm("Gitea").expect("it is plain"), ..Response::of(401) });
        assert!(said.contains("WWW-Authenticate: Basic realm=\"Gitea\", charset=\"UTF-8\"\r\n"), "{said}");
        for bad in ["", "a\"b", "a\\b", "a\r\nb", "\u{e4}", &"x".repeat(101)] {
            assert!(realm(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_said_of_the_connection_depends_on_the_version() {
        let said = |version, kept| written(Response { connection: Connection::of(version, kept), ..Response::of(200) });
        assert!(!said(Version::Http11, true).contains("Connection"));
        assert!(said(Version::Http10, true).ends_with("\r\nConnection: keep-alive\r\n\r\n"));
        assert!(said(Version::Http11, false).ends_with("\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn words_stay_within_the_line_of_the_status() {
        let mut out = Vec::new();
        let words = format!("disk\r\nX: y \u{e4} {}", "x".repeat(1000));
        Response::of(503).write_saying(&words, "now", &mut out);
        let line = out.split(|byte| *byte == b'\r').next().expect("a line");
        assert!(line.starts_with(b"HTTP/1.1 503 Service Unavailable: disk??X: y ?? xxx"), "{}", line.escape_ascii());
        assert!(line.len() < 400 && out[line.len()..].starts_with(b"\r\nDate: now\r\n"), "{}", out.escape_ascii());
    }

    #[test]
    fn numbers_are_written_whole() {
        for value in [0, 9, 10, 65_535, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
