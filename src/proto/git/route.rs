//! From a head to what git asks for.

use annex_types::percent::decode_query;

use crate::proto::http::access::Action;
use crate::proto::http::head::{Head, Method};
use crate::proto::http::query::parameters;
use crate::proto::http::reject::Reject;
use crate::proto::http::route::is_plain;

/// The two programs on git's side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Fetching.
    UploadPack,
    /// Pushing.
    ReceivePack,
}

/// What a request of git's is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitOp {
    /// The uuid of the repository, and where its content is.
    Config,
    /// Which references there are.
    Refs(Service),
    /// Objects, one way or the other.
    Pack(Service),
}

/// A request of git's that can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCall<'a> {
    /// The path of the repository, as sent: `/org/repo.git`, or nothing.
    pub prefix: &'a [u8],
    /// For what.
    pub op: GitOp,
    /// The version of git's protocol that the client asks for, as it says it; fit for an environment.
    pub protocol: Option<&'a str>,
    /// The body is compressed.
    pub gzip: bool,
}

/// Longest Git-Protocol that is passed on, in bytes.
const LONGEST_PROTOCOL: usize = 256;

impl Service {
    /// The word of urls.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// The type of a request's body.
    pub fn request_type(self) -> &'static str {
        match self {
            Self::UploadPack => "application/x-git-upload-pack-request",
            Self::ReceivePack => "application/x-git-receive-pack-request",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|service| service.name().as_bytes() == name)
    }
}

impl GitOp {
    /// What has to be permitted.
    pub fn action(self) -> Action {
        match self {
            Self::Config | Self::Refs(Service::UploadPack) | Self::Pack(Service::UploadPack) => Action::Read,
            Self::Refs(Service::ReceivePack) | Self::Pack(Service::ReceivePack) => Action::Store,
        }
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Refs(Service::UploadPack) => "fetch-refs",
            Self::Pack(Service::UploadPack) => "fetch",
            Self::Refs(Service::ReceivePack) => "push-refs",
            Self::Pack(Service::ReceivePack) => "push",
        }
    }
}

/// Reads what git asks for; `None` where the path is none of git's.
///
/// # Errors
///
/// [`Reject`]; its connection may be kept.
pub fn route<'a>(head: &Head<'a>) -> Result<Option<GitCall<'a>>, Reject> {
    let path = head.path;
    let (prefix, op) = if let Some(prefix) = path.strip_suffix(b"/info/refs") {
        let named = parameters(head.query).find(|(name, _)| name.as_ref() == b"service");
        let service = named.and_then(|(_, value)| Service::parse(&decode_query(value?)));
        (prefix, service.map(GitOp::Refs))
    } else if let Some(prefix) = path.strip_suffix(b"/config") {
        (prefix, Some(GitOp::Config))
    } else {
        let packs = [Service::UploadPack, Service::ReceivePack].into_iter();
        let mut found = packs.filter_map(|service| {
            let prefix = path.strip_suffix(service.name().as_bytes())?.strip_suffix(b"/")?;
            Some((prefix, Some(GitOp::Pack(service))))
        });
        match found.next() {
            Some(found) => found,
            None => return Ok(None),
        }
    };
    // git-annex adds to a url with a slash at its end as it is.
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    if !is_plain(prefix) {
        return Err(Reject::NOT_FOUND);
    }
    let Some(op) = op else {
        return Err(Reject { status: 403, body: "only git's smart HTTP is spoken here\n".into() });
    };
    match (op, head.method) {
        (GitOp::Config, Method::Get | Method::Head) | (GitOp::Refs(_), Method::Get) => {}
        (GitOp::Pack(service), Method::Post) => {
            // No form of a web page can send this.
            if head.content_type != Some(service.request_type().as_bytes()) {
                return Err(Reject::new(415, ""));
            }
        }
        _ => return Err(Reject::new(405, "")),
    }
    let gzip = match (op, head.content_encoding) {
        (_, None) => false,
        (GitOp::Pack(Service::UploadPack), Some(b"gzip" | b"x-gzip")) => true,
        // What a push is to change is looked at here, and git never compresses it.
        _ => return Err(Reject::new(415, "")),
    };
    let fit = |value: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b':' | b'-' | b'_' | b'.');
        value.len() <= LONGEST_PROTOCOL && value.bytes().all(plain)
    };
    let protocol = head.git_protocol.and_then(|value| std::str::from_utf8(value).ok()).filter(fit);
    Ok(Some(GitCall { prefix, op, protocol, gzip }))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
