//! OpenDAL's errors as ours: one table from its kind, the HTTP status and the causes below to [`Kind`].

use std::error::Error as StdError;

use opendal::ErrorKind;

use crate::{Error, Kind, Op, io_kind};

/// Most characters a service's own words get in a message.
const WORDS: usize = 300;

/// Services whose "not found" is a status of HTTP, so that any other is a doubt.
const SAYS_404: &[&str] = &["webdav", "http", "azblob", "gcs", "swift"];

/// An OpenDAL error as ours. `refusal` is the HTTP status it came with; values of `secrets` never show.
pub(super) fn explain(op: Op, scheme: &str, error: &opendal::Error, refusal: Option<u16>, secrets: &[String]) -> Error {
    let kind = match kind(error, refusal) {
        Kind::NotFound if SAYS_404.contains(&scheme) && !matches!(refusal, Some(404 | 410)) => Kind::Protocol,
        kind => kind,
    };
    Error::new(op, kind, words(error, refusal, secrets))
}

fn kind(error: &opendal::Error, refusal: Option<u16>) -> Kind {
    let by_kind = match error.kind() {
        ErrorKind::NotFound => Some(Kind::NotFound),
        ErrorKind::ConfigInvalid => Some(Kind::Option),
        ErrorKind::Unsupported => Some(Kind::Unsupported),
        ErrorKind::ConditionNotMatch | ErrorKind::RangeNotSatisfied => Some(Kind::Corrupt),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::IsSameFile => Some(Kind::Protocol),
        ErrorKind::RateLimited => Some(Kind::Throttled),
        _ => None,
    };
    // No 404 here: only the service itself can tell which 404 is an absent object.
    let by_status = || match refusal? {
        401 | 407 => Some(Kind::WrongSecret),
        403 => Some(Kind::Denied),
        405 | 501 => Some(Kind::Unsupported),
        408 | 504 => Some(Kind::Timeout),
        // A collection above vanished under us, or the resource is locked: both pass.
        409 | 423 => Some(Kind::Unavailable),
        413 => Some(Kind::TooLarge),
        429 => Some(Kind::Throttled),
        507 => Some(Kind::DiskFull),
        500..=599 => Some(Kind::Unavailable),
        _ => None,
    };
    by_kind.or_else(by_status).or_else(|| by_cause(error)).unwrap_or(match error.kind() {
        ErrorKind::PermissionDenied => Kind::Denied,
        _ if error.is_temporary() => Kind::Unavailable,
        _ => Kind::Other,
    })
}

/// Looks for the first cause that says something.
fn by_cause(error: &opendal::Error) -> Option<Kind> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut timeout = false;
    while let Some(cause) = next {
        if let Some(e) = cause.downcast_ref::<reqwest::Error>() {
            timeout |= e.is_timeout();
        } else if let Some(kind) = by_words(&cause.to_string()) {
            return Some(kind);
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            let kind = io_kind(io);
            if !matches!(kind, Kind::Io | Kind::NotFound) {
                return Some(kind);
            }
        }
        next = cause.source();
    }
    timeout.then_some(Kind::Timeout)
}

/// What libraries below say of what went wrong; they have no kinds.
const WORDS_OF_LIBRARIES: &[(&str, Kind)] = &[
    ("dns error", Kind::Dns),
    ("failed to lookup address", Kind::Dns),
    ("could not resolve hostname", Kind::Dns),
    ("connection refused", Kind::Refused),
    ("no route to host", Kind::Refused),
    ("network is unreachable", Kind::Refused),
    ("connection reset", Kind::Reset),
    ("connection closed before message completed", Kind::Reset),
    ("broken pipe", Kind::Reset),
    ("end of file before message length reached", Kind::Truncated),
    ("got too little data", Kind::Truncated),
    ("got too much data", Kind::Protocol),
    ("timed out", Kind::Timeout),
    ("timeout", Kind::Timeout),
    ("invalid peer certificate", Kind::Tls),
    ("certificate", Kind::Tls),
    ("received corrupt message", Kind::Tls),
    ("tls handshake", Kind::Tls),
    ("host key verification failed", Kind::Tls),
    ("permission denied (", Kind::WrongSecret),
    ("no space left", Kind::DiskFull),
    ("deserialize xml", Kind::Protocol),
    ("deserialize json", Kind::Protocol),
];

fn by_words(words: &str) -> Option<Kind> {
    let words = words.to_ascii_lowercase();
    WORDS_OF_LIBRARIES.iter().find(|(text, _)| words.contains(text)).map(|(_, kind)| *kind)
}

/// What to say: the status, the service's words, the deepest cause. OpenDAL's context is left out: it holds whole responses.
fn words(error: &opendal::Error, refusal: Option<u16>, secrets: &[String]) -> String {
    let mut said = Vec::new();
    if let Some(status) = refusal {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
        said.push(format!("{status} {reason}").trim_end().to_string());
    }
    said.push(plain(error.message()));
    let mut cause = error.source();
    while let Some(below) = cause.and_then(StdError::source) {
        cause = Some(below);
    }
    said.extend(cause.map(|c| plain(&c.to_string())));
    said.retain(|s| !s.is_empty());
    said.dedup();
    if said.is_empty() {
        said.push(error.kind().to_string());
    }
    redact(&said.join(": "), secrets)
}

/// Without tags and line breaks, and not too long: services answer with pages of XML and HTML.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(' ');
            }
            _ if !in_tag => out.push(c),
            _ => {}
        }
    }
    let line = out.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

/// Takes out query strings (signatures, tokens), names and passwords in URLs, and every secret by its value.
pub(super) fn redact(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_string();
    for secret in secrets.iter().filter(|s| !s.is_empty()) {
        text = text.replace(secret.as_str(), "***");
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end =
            tail.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '>' | ',')).unwrap_or(tail.len());
        let (url, after) = tail.split_at(end);
        let (place, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let host_end = place.find('/').unwrap_or(place.len());
        let host_start = place[..host_end].rfind('@').map_or(0, |i| i + 1);
        out.push_str(&place[host_start..]);
        out.push_str(if query.is_empty() { "" } else { "?..." });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caused(kind: ErrorKind, cause: impl StdError + Send + Sync + 'static) -> opendal::Error {
        opendal::Error::new(kind, "the request failed").set_source(cause)
    }

    #[test]
    fn the_table() {
        let bare = |kind| opendal::Error::new(kind, "words");
        for (error, status, expected) in [
            (bare(ErrorKind::NotFound), Some(404), Kind::NotFound),
            (bare(ErrorKind::Unexpected), Some(404), Kind::Other),
            (bare(ErrorKind::PermissionDenied), Some(403), Kind::Denied),
            (bare(ErrorKind::PermissionDenied), Some(401), Kind::WrongSecret),
            (bare(ErrorKind::PermissionDenied), None, Kind::Denied),
            (bare(ErrorKind::Unexpected), Some(401), Kind::WrongSecret),
            (bare(ErrorKind::Unexpected), Some(500), Kind::Unavailable),
            (bare(ErrorKind::Unexpected), Some(503), Kind::Unavailable),
            (bare(ErrorKind::Unexpected), Some(507), Kind::DiskFull),
            (bare(ErrorKind::Unexpected), Some(409), Kind::Unavailable),
            (bare(ErrorKind::Unexpected), Some(413), Kind::TooLarge),
            (bare(ErrorKind::Unexpected), Some(429), Kind::Throttled),
            (bare(ErrorKind::RateLimited), Some(503), Kind::Throttled),
            (bare(ErrorKind::ConditionNotMatch), Some(412), Kind::Corrupt),
            (bare(ErrorKind::ConfigInvalid), None, Kind::Option),
            (bare(ErrorKind::Unsupported), None, Kind::Unsupported),
            (bare(ErrorKind::IsADirectory), None, Kind::Protocol),
            (bare(ErrorKind::Unexpected).set_temporary(), None, Kind::Unavailable),
            (bare(ErrorKind::Unexpected), None, Kind::Other),
            (caused(ErrorKind::Unexpected, std::io::Error::other("dns error: no such host")), None, Kind::Dns),
            (caused(ErrorKind::Unexpected, std::io::Error::from_raw_os_error(111)), None, Kind::Refused),
            (caused(ErrorKind::Unexpected, std::io::Error::from_raw_os_error(104)), None, Kind::Reset),
            (caused(ErrorKind::Unexpected, std::io::Error::from_raw_os_error(28)), None, Kind::DiskFull),
            (
                caused(ErrorKind::Unexpected, std::io::Error::other("invalid peer certificate: UnknownIssuer")),
                None,
                Kind::Tls,
            ),
            (caused(ErrorKind::Unexpected, std::io::Error::other("operation timed out")), None, Kind::Timeout),
        ] {
            assert_eq!(kind(&error, status), expected, "{error} {status:?}");
        }
    }

    #[test]
    fn a_doubtful_not_found_is_no_absence() {
        let e = opendal::Error::new(ErrorKind::NotFound, "the answer is empty");
        assert_eq!(explain(Op::Stat, "webdav", &e, None, &[]).kind(), Kind::Protocol);
        assert_eq!(explain(Op::Stat, "webdav", &e, Some(404), &[]).kind(), Kind::NotFound);
        assert_eq!(explain(Op::Stat, "sftp", &e, None, &[]).kind(), Kind::NotFound);
    }

    #[test]
    fn no_secret_shows() {
        let secrets = vec!["hunter2".to_string(), "c2VjcmV0".to_string()];
        let e = opendal::Error::new(
            ErrorKind::Unexpected,
            "<html><b>no</b> entry</html> to https://me:hunter2@host/a?sv=1&sig=abc%3D with c2VjcmV0",
        )
        .with_context("uri", "https://host/?sig=abc");
        let text = explain(Op::Get, "azblob", &e, Some(403), &secrets).to_string();
        assert_eq!(text, "get: 403 Forbidden: no entry to https://host/a?... with ***");
    }
}
