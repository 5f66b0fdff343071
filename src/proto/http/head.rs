//! The head of a request: what the program uses of it, borrowed from the bytes it came in.
//!
//! Two programs that read one head differently let a client smuggle a request past the first of them. So a head whose
//! length of body could be read in two ways is refused, never guessed at. Source: RFC 9112, sections 2.2, 3, 5.1, 6.

use crate::proto::line::parse_number;

/// Longest head taken, in bytes.
pub const LONGEST_HEAD: usize = 32 * 1024;
/// Longest request target taken, in bytes.
pub const LONGEST_TARGET: usize = 16 * 1024;
/// Most header lines taken.
pub const MOST_HEADERS: usize = 64;

/// What was asked for, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method; names are case sensitive.
    pub method: Method,
    /// Path of the target as sent, beginning with `/` (or `*`).
    pub path: &'a [u8],
    /// What follows the `?` of the target, as sent; empty where there is none.
    pub query: &'a [u8],
    /// HTTP/1.0 or 1.1.
    pub version: Version,
    /// Whether the client wants the connection kept for another request.
    pub keep_alive: bool,
    /// Where the body ends.
    pub body: Body,
    /// The client waits for `100 Continue` before it sends the body. Never set where there is no body.
    pub expect_continue: bool,
    /// Value of Range; absent when If-Range is there, since nothing served here has a validator.
    pub range: Option<&'a [u8]>,
    /// Value of the first Authorization. Holds a password: not for any log.
    pub authorization: Option<Private<'a>>,
    /// There are more of them.
    pub authorization_repeated: bool,
    /// Value of the first Accept.
    pub accept: Option<&'a [u8]>,
    /// Value of X-git-annex-data-length.
    pub data_length: Option<&'a [u8]>,
    /// Value of User-Agent, for logs.
    pub user_agent: Option<&'a [u8]>,
    /// Value of Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// Value of Content-Encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// Value of Git-Protocol.
    pub git_protocol: Option<&'a [u8]>,
    /// Whom it is for, and which web page asks.
    pub origins: Origins<'a>,
}

/// What a head says of where a request is for, and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origins<'a> {
    /// Whom it is for: the authority of an absolute target, else Host.
    pub host: Option<&'a [u8]>,
    /// X-Forwarded-Host: whom it was for before a web server passed it on. A page cannot send that to another origin without
    /// asking first, which is refused.
    pub forwarded_host: Option<&'a [u8]>,
    /// Origin
    pub origin: Option<&'a [u8]>,
    /// Sec-Fetch-Site
    pub fetch_site: Option<&'a [u8]>,
}

/// Bytes that no `Debug` shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Private<'a>(pub &'a [u8]);

impl std::fmt::Debug for Private<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("REDACTED")
    }
}

/// The methods that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// Any other, which nothing here answers to.
    Other,
}

/// The versions of HTTP that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes; may be 0.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Why a head is no request. The connection is closed after the answer: where the next request begins is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400, with a word on what is wrong.
    Bad(&'static str),
    /// 414: the target is longer than [`LONGEST_TARGET`].
    TargetTooLong,
    /// 431: more than [`LONGEST_HEAD`] bytes or [`MOST_HEADERS`] headers.
    TooLarge,
    /// 417: Expect names something else than `100-continue`.
    Expectation,
    /// 505: neither HTTP/1.0 nor 1.1.
    Version,
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Bad(_) => 400,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::TooLarge => 431,
            Self::Version => 505,
        }
    }

    /// One line for the body of the answer.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Bad(detail) => detail,
            Self::TargetTooLong => "target is longer than 16 KiB",
            Self::Expectation => "unknown expectation",
            Self::TooLarge => "head is larger than 32 KiB or has more than 64 headers",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken",
        }
    }
}

/// Reads a head from the front of `bytes`: the head and its length, or `None` when its end has not arrived.
///
/// Empty lines before the head are skipped, as RFC 9112 asks.
///
/// # Errors
///
/// [`Refusal`], as early as it is certain.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let window = &bytes[..bytes.len().min(LONGEST_HEAD)];
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(window) {
        Ok(httparse::Status::Complete(length)) => {
            refuse_bare_newlines(&window[..length])?;
            Ok(Some((read(&request)?, length)))
        }
        Ok(httparse::Status::Partial) => {
            if target_length(window) > LONGEST_TARGET {
                return Err(Refusal::TargetTooLong);
            }
            if bytes.len() >= LONGEST_HEAD { Err(Refusal::TooLarge) } else { Ok(None) }
        }
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooLarge),
        Err(httparse::Error::Version) => Err(Refusal::Version),
        Err(httparse::Error::NewLine) => Err(Refusal::Bad("malformed line end")),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => Err(Refusal::Bad("malformed header")),
        Err(_) => Err(Refusal::Bad("malformed request line")),
    }
}

/// The value of the header `name` in `bytes`, which are a whole head; none where it is not there.
///
/// # Errors
///
/// It is there more than once: who reads it could take either.
pub fn value_of<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return Err(Refusal::Bad("malformed head"));
    }
    let mut value = None;
    for header in request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)) {
        once(&mut value, header.value.trim_ascii(), "repeated name of a user")?;
    }
    Ok(value)
}

/// As [`parse`], for bytes of which the first `seen` were already found to be no whole head.
///
/// A client that sends its head byte by byte would otherwise have every byte of it read as often as it has bytes; here
/// the head is read again only when an empty line may have arrived, or a limit was reached.
pub fn parse_more(bytes: &[u8], seen: usize) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let fresh = seen.saturating_sub(3).min(bytes.len());
    let ends = bytes[fresh..].windows(2).any(|pair| pair == b"\n\n")
        || bytes[fresh..].windows(3).any(|three| three == b"\n\r\n");
    // A method, two spaces and a target of the limit fit in here.
    let line = LONGEST_TARGET + 32;
    let passed = (seen <= line && bytes.len() > line) || bytes.len() >= LONGEST_HEAD;
    if seen == 0 || ends || passed { parse(bytes) } else { Ok(None) }
}

/// Length of what has arrived of the target.
fn target_length(bytes: &[u8]) -> usize {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let target = bytes[start..].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    target.iter().position(|byte| *byte == b'\n').unwrap_or(target.len())
}

fn refuse_bare_newlines(head: &[u8]) -> Result<(), Refusal> {
    let mut before = 0;
    for byte in head {
        if *byte == b'\n' && before != b'\r' {
            return Err(Refusal::Bad("line ends without a carriage return"));
        }
        before = *byte;
    }
    Ok(())
}

fn read<'a>(request: &httparse::Request<'_, 'a>) -> Result<Head<'a>, Refusal> {
    let target = request.path.unwrap_or_default().as_bytes();
    if target.len() > LONGEST_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    let (authority, path, query) = split_target(target)?;
    let version = if request.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let method = match request.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let mut fields = Fields::default();
    for header in request.headers.iter() {
        fields.take(header.name, header.value)?;
    }
    // The target goes before the header: RFC 9112, section 3.2.2.
    let host = authority.or(fields.host);
    fields.head(method, path, query, version, host)
}

/// Authority, path and query.
type Target<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8]);

/// Splits a target; only one in absolute form (`http://host/path`) has an authority.
fn split_target(target: &[u8]) -> Result<Target<'_>, Refusal> {
    let (authority, target) = match target {
        [b'/', ..] | b"*" => (None, target),
        _ => {
            let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
                let (front, rest) = target.split_at_checked(scheme.len())?;
                front.eq_ignore_ascii_case(scheme).then_some(rest)
            });
            let rest = rest.ok_or(Refusal::Bad("target is neither a path nor a url"))?;
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            (Some(&rest[..end]), if rest.get(end) == Some(&b'/') { &rest[end..] } else { b"/" })
        }
    };
    Ok(match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (authority, &target[..at], &target[at + 1..]),
        None => (authority, target, b""),
    })
}

/// The headers that are used, as they come by.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    forwarded_host: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    fetch_site: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep: bool,
    expect: bool,
    if_range: bool,
    range: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
    authorization_repeated: bool,
    accept: Option<&'a [u8]>,
    data_length: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    content_encoding: Option<&'a [u8]>,
    git_protocol: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        // The length of the name tells nearly all of them apart, and costs nothing.
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => once(&mut self.host, value, "repeated Host")?,
            5 if is("range") => once(&mut self.range, value, "repeated Range")?,
            6 if is("origin") => once(&mut self.origin, value, "repeated Origin")?,
            6 if is("accept") => self.accept = self.accept.or(Some(value)),
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                self.expect = true;
            }
            8 if is("if-range") => self.if_range = true,
            10 if is("connection") => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 if is("user-agent") => self.user_agent = Some(value),
            12 if is("content-type") => once(&mut self.content_type, value, "repeated Content-Type")?,
            12 if is("git-protocol") => self.git_protocol = self.git_protocol.or(Some(value)),
            13 if is("authorization") && self.authorization.is_some() => self.authorization_repeated = true,
            13 if is("authorization") => self.authorization = Some(value),
            14 if is("sec-fetch-site") => once(&mut self.fetch_site, value, "repeated Sec-Fetch-Site")?,
            14 if is("content-length") => {
                let length = parse_number(value).ok_or(Refusal::Bad("malformed Content-Length"))?;
                once(&mut self.length, length, "repeated Content-Length")?;
            }
            16 if is("content-encoding") => once(&mut self.content_encoding, value, "repeated Content-Encoding")?,
            16 if is("x-forwarded-host") => self.forwarded_host = self.forwarded_host.or(Some(value)),
            17 if is("transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Bad("Transfer-Encoding is not chunked"));
                }
                if std::mem::replace(&mut self.chunked, true) {
                    return Err(Refusal::Bad("repeated Transfer-Encoding"));
                }
            }
            23 if is("x-git-annex-data-length") => {
                once(&mut self.data_length, value, "repeated X-git-annex-data-length")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn head(
        self,
        method: Method,
        path: &'a [u8],
        query: &'a [u8],
        version: Version,
        host: Option<&'a [u8]>,
    ) -> Result<Head<'a>, Refusal> {
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Refusal::Bad("both Content-Length and Transfer-Encoding")),
            (None, true) if version == Version::Http10 => {
                return Err(Refusal::Bad("Transfer-Encoding with HTTP/1.0"));
            }
            (None, true) => Body::Chunked,
            (Some(length), false) => Body::Length(length),
            (None, false) => Body::None,
        };
        if version == Version::Http11 && self.host.is_none() {
            return Err(Refusal::Bad("Host is required"));
        }
        Ok(Head {
            method,
            path,
            query,
            version,
            keep_alive: !self.close && (version == Version::Http11 || self.keep),
            expect_continue: self.expect && version == Version::Http11 && !matches!(body, Body::None | Body::Length(0)),
            body,
            range: self.range.filter(|_| !self.if_range),
            authorization: self.authorization.map(Private),
            authorization_repeated: self.authorization_repeated,
            accept: self.accept,
            data_length: self.data_length,
            user_agent: self.user_agent,
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            git_protocol: self.git_protocol,
            origins: Origins {
                host,
                forwarded_host: self.forwarded_host,
                origin: self.origin,
                fetch_site: self.fetch_site,
            },
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T, repeated: &'static str) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::Bad(repeated)),
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
