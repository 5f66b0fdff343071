//! What S3 and the SDK say, as kinds: one table.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::{Error, Kind, Op, io_kind};

/// The kind behind an HTTP status and S3's error code, which is empty where there was no body.
pub(super) fn kind(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchBucket") => Kind::NoSuchPlace,
        (_, "NoSuchKey" | "NoSuchUpload" | "NotFound") => Kind::NotFound,
        (_, "InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => Kind::WrongKeyId,
        (_, "SignatureDoesNotMatch") => Kind::WrongSecret,
        (_, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture") => Kind::Other,
        (_, "InvalidObjectState") => Kind::Archived,
        (_, "EntityTooLarge") => Kind::TooLarge,
        (_, "EntityTooSmall" | "IncompleteBody") => Kind::Truncated,
        (_, "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch") => Kind::Corrupt,
        (_, "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" | "Throttling") => Kind::Throttled,
        (_, "RequestTimeout" | "InternalError" | "OperationAborted") => Kind::Unavailable,
        (_, "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull") | (507, _) => Kind::DiskFull,
        (
            _,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError"
            | "IllegalLocationConstraintException",
        ) => Kind::Option,
        (_, "InvalidBucketName" | "NotImplemented") => Kind::Unsupported,
        (401 | 403, _) => Kind::Denied,
        (404, _) => Kind::NotFound,
        // What was asked of somebody behind may still be done.
        (408 | 504, _) => Kind::Timeout,
        (412, _) => Kind::Corrupt,
        (413, _) => Kind::TooLarge,
        (429 | 503, _) => Kind::Throttled,
        (301 | 302 | 307 | 308, _) => Kind::Option,
        (500..=599, _) => Kind::Unavailable,
        _ => Kind::Other,
    }
}

/// A refusal, from its status and the code and message of its XML.
pub(super) fn refusal(op: Op, status: u16, code: &str, message: &str) -> Error {
    let kind = kind(status, code);
    let mut detail = status.to_string();
    if !code.is_empty() {
        detail.push(' ');
        detail.push_str(code);
    }
    if !message.is_empty() {
        detail.push_str(": ");
        detail.push_str(message.trim().trim_end_matches('.'));
    }
    if let Some(hint) = hint(kind, status, code, message) {
        detail.push_str(hint);
    }
    Error::new(op, kind, detail)
}

/// An answer that is none to what was asked.
pub(super) fn malformed(op: Op, status: u16, words: &str) -> Error {
    let kind = if status >= 500 { Kind::Unavailable } else { Kind::Protocol };
    Error::new(op, kind, format!("a malformed answer with status {status}: {words}"))
}

/// What people should look at, where a refusal does not say so itself.
fn hint(kind: Kind, status: u16, code: &str, message: &str) -> Option<&'static str> {
    match (code, status) {
        ("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture", _) => Some(SKEWED),
        // Presigned requests are told in words that they come too late.
        ("AccessDenied", _) if message.contains("has expired") => Some(SKEWED),
        ("AuthorizationQueryParametersError", _)
            if message.contains("X-Amz-Date") || message.contains("X-Amz-Expires") =>
        {
            Some(SKEWED)
        }
        ("", 400) => Some(" (are region= and the credentials right? It does not say)"),
        (_, 407) => Some(" (the proxy wants a name and a password: http://NAME:PASSWORD@HOST:PORT)"),
        _ if kind == Kind::Option => Some(" (is region= right?)"),
        _ => None,
    }
}

const SKEWED: &str = " (is the clock of this computer right?)";

/// The region that a refusal names in its words: what is no Amazon has no header for it.
pub(super) fn named_region(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("expecting '")?;
    rest.split_once('\'').map(|(region, _)| region)
}

/// Whether a refusal does not say why: it was of a HEAD, or comes from something in between.
pub(super) fn is_bare<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let Some(refused) = error.as_service_error() else { return false };
    // The SDK makes a code of some statuses.
    let code = refused.code().unwrap_or_default();
    matches!(status, 300..=403 | 405..=411) && matches!(code, "" | "Forbidden" | "BadRequest")
}

/// A failure of the SDK, and the region that it names in its words.
pub(super) fn with_region<E>(op: Op, error: &SdkError<E, HttpResponse>) -> (Error, Option<String>)
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let message = error.as_service_error().and_then(|e| e.message()).unwrap_or_default();
    (from_sdk(op, error), named_region(message).map(str::to_string))
}

/// A failure of the SDK.
pub(super) fn from_sdk<E>(op: Op, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match error {
        // Said by us, wherever the SDK takes it up.
        e if e.as_service_error().is_none() && chain(e).contains(super::answers::ELSEWHERE) => {
            Error::new(op, Kind::Elsewhere, super::answers::ELSEWHERE)
        }
        SdkError::ServiceError(e) => {
            let status = e.raw().status().as_u16();
            refusal(op, status, e.err().code().unwrap_or(""), e.err().message().unwrap_or(""))
        }
        SdkError::TimeoutError(_) => Error::new(op, Kind::Timeout, "no answer in time"),
        SdkError::ResponseError(e) => {
            let (status, words) = (e.raw().status().as_u16(), chain(error));
            if words.contains(super::answers::LATE) {
                return Error::new(op, Kind::Timeout, super::answers::LATE);
            }
            malformed(op, status, &words)
        }
        SdkError::DispatchFailure(e) => {
            let source: &(dyn StdError + 'static) =
                e.as_connector_error().map_or(error as &(dyn StdError + 'static), |c| c as &(dyn StdError + 'static));
            let kind = if e.is_timeout() { Kind::Timeout } else { connection(source) };
            Error::new(op, kind, format!("cannot reach the server: {}", deepest(source)))
        }
        SdkError::ConstructionFailure(_) | _ => {
            let text = chain(error);
            let kind = if text.contains("credential") || text.contains("identity") {
                Kind::NoCredentials
            } else {
                Kind::Other
            };
            Error::new(op, kind, text)
        }
    }
}

/// What kind of failure to connect: read off the io error below, or off the words.
fn connection(error: &(dyn StdError + 'static)) -> Kind {
    let mut next = Some(error);
    let mut words = String::new();
    let mut from_io = None;
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            from_io = Some(io_kind(io));
        }
        words.push_str(&e.to_string().to_ascii_lowercase());
        words.push('\n');
        next = e.source();
    }
    words_kind(&words).or(from_io.filter(|k| *k != Kind::Io)).unwrap_or(Kind::Reset)
}

/// The kind that the words of resolvers and TLS libraries stand for.
pub(super) fn words_kind(words: &str) -> Option<Kind> {
    let has = |list: &[&str]| list.iter().any(|w| words.contains(w));
    if has(&["dns error", "failed to lookup", "name or service not known", "name resolution"]) {
        Some(Kind::Dns)
    } else if has(&["certificate", "tls", "handshake", "corrupt message", "invalidcontenttype"]) {
        Some(Kind::Tls)
    } else if has(&["credential"]) {
        Some(Kind::NoCredentials)
    } else {
        None
    }
}

fn deepest(error: &dyn StdError) -> String {
    let mut e = error;
    while let Some(next) = e.source() {
        e = next;
    }
    e.to_string()
}

/// All causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let text = e.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        next = e.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_have_kinds() {
        for (status, code, expected) in [
            (404, "NoSuchBucket", Kind::NoSuchPlace),
            (404, "NoSuchKey", Kind::NotFound),
            (404, "", Kind::NotFound),
            (403, "InvalidAccessKeyId", Kind::WrongKeyId),
            (403, "SignatureDoesNotMatch", Kind::WrongSecret),
            (403, "AccessDenied", Kind::Denied),
            (403, "", Kind::Denied),
            (403, "InvalidObjectState", Kind::Archived),
            (503, "SlowDown", Kind::Throttled),
            (503, "", Kind::Throttled),
            (500, "InternalError", Kind::Unavailable),
            (502, "", Kind::Unavailable),
            (507, "", Kind::DiskFull),
            (412, "PreconditionFailed", Kind::Corrupt),
            (301, "PermanentRedirect", Kind::Option),
            (400, "AuthorizationHeaderMalformed", Kind::Option),
            (400, "AuthorizationQueryParametersError", Kind::Option),
            (400, "ExpiredToken", Kind::WrongKeyId),
            (403, "RequestTimeTooSkewed", Kind::Other),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
        // The rule the three answers rest on: no refusal and no failure is ever an absence.
        for status in [400, 401, 403, 405, 409, 416, 500, 503] {
            assert_ne!(kind(status, ""), Kind::NotFound, "{status}");
        }
    }

    #[test]
    fn refusals_say_what_to_look_at() {
        for (status, code, message, expected) in [
            (403, "RequestTimeTooSkewed", "The difference between ...", "clock"),
            (403, "AccessDenied", "Request has expired", "clock"),
            (400, "AuthorizationQueryParametersError", "X-Amz-Date must be ...", "clock"),
            (400, "AuthorizationQueryParametersError", "the region 'a' is wrong; expecting 'b'", "is region= right?"),
            (400, "", "", "are region= and the credentials right?"),
            (301, "", "", "is region= right?"),
            (407, "", "", "the proxy wants a name"),
        ] {
            let said = refusal(Op::Stat, status, code, message).to_string();
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(named_region("the region 'us-east-1' is wrong; expecting 'eu-central-1'"), Some("eu-central-1"));
        assert_eq!(named_region("expecting more"), None);
    }
}
