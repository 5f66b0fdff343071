//! From a head to the call it makes, or to the answer that says why it makes none.
//!
//! ```text
//! PREFIX /git-annex/UUID/vN/OP?key=...&clientuuid=...     POST
//! PREFIX /git-annex/UUID/vN/key/KEY?clientuuid=...        GET, HEAD
//! PREFIX /git-annex/UUID/key/KEY                          GET, HEAD
//! ```
//!
//! What is checked first decides which error is seen: path, uuid, key in the path, method, Accept, parameters (in the
//! order in which `params` reads them), X-git-annex-data-length, Authorization. Only then does the caller look whether the
//! client may (401, 403), and after that whether the uuid is served (404). git-annex looks for the uuid first.

use annex_types::percent::decode;

use super::access::Action;
use super::auth::Credentials;
use super::head::{Head, Method};
use super::params::{Params, base64_error, number, uuid};
use super::query::unwrapped;
pub use super::reject::Reject;
use crate::name::{Key, Uuid};

/// The version of the API a call was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// `/git-annex/UUID/key/KEY`, for other clients than git-annex.
    Unversioned,
    /// v0
    V0,
    /// v1
    V1,
    /// v2
    V2,
    /// v3
    V3,
    /// v4
    V4,
}

impl Api {
    /// Whether answers list the uuids of other repositories that took part.
    pub fn lists_uuids(self) -> bool {
        self >= Self::V2
    }
}

/// A request that can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// What stands before `/git-annex`, as sent: `/org/repo`, or nothing.
    pub prefix: &'a [u8],
    /// Which repository or remote is asked.
    pub uuid: Uuid,
    /// In which version.
    pub api: Api,
    /// For what.
    pub op: Op,
    /// By which repository; always there in versioned calls.
    pub client: Option<Uuid>,
    /// Gateways of a cluster not to go through.
    pub bypass: Vec<Uuid>,
    /// With which name and password.
    pub credentials: Option<Credentials>,
}

/// What a call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Is the content of the key there?
    CheckPresent {
        /// The key.
        key: Key,
    },
    /// lockcontent
    Lock {
        /// The key.
        key: Key,
    },
    /// keeplocked
    KeepLocked {
        /// What lockcontent answered.
        lockid: Vec<u8>,
    },
    /// remove
    Remove {
        /// The key.
        key: Key,
    },
    /// remove-before
    RemoveBefore {
        /// The key.
        key: Key,
        /// Seconds of the server's monotonic clock.
        timestamp: u64,
    },
    /// gettimestamp
    Timestamp,
    /// put
    Put {
        /// The key.
        key: Key,
        /// Name of a file with this content, for what is wanted; not empty.
        file: Option<Vec<u8>>,
        /// Bytes at the front of the content that are left out.
        offset: u64,
        /// Bytes that are announced to follow: X-git-annex-data-length.
        len: u64,
        /// The content came another way; the body is empty. Below v4 the parameter is not known, and this is false.
        data_present: bool,
    },
    /// putoffset
    PutOffset {
        /// The key.
        key: Key,
    },
    /// GET or HEAD of a content.
    Get {
        /// The key.
        key: Key,
        /// Bytes to leave out at the front; 0 in unversioned calls, which have Range instead.
        offset: u64,
        /// Name of a file with this content; not empty.
        file: Option<Vec<u8>>,
    },
}

impl Op {
    /// The key it is about; none where it is about a lock or the time.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::CheckPresent { key }
            | Self::Lock { key }
            | Self::Remove { key }
            | Self::RemoveBefore { key, .. }
            | Self::Put { key, .. }
            | Self::PutOffset { key }
            | Self::Get { key, .. } => Some(key),
            Self::KeepLocked { .. } | Self::Timestamp => None,
        }
    }

    /// What has to be permitted.
    pub fn action(&self) -> Action {
        match self {
            Self::CheckPresent { .. } | Self::Timestamp | Self::Get { .. } => Action::Read,
            Self::Lock { .. } | Self::KeepLocked { .. } => Action::Lock,
            Self::Put { .. } | Self::PutOffset { .. } => Action::Store,
            Self::Remove { .. } | Self::RemoveBefore { .. } => Action::Remove,
        }
    }
}

/// Reads the call out of a head.
///
/// # Errors
///
/// [`Reject`]; its connection may be kept.
pub fn route<'a>(head: &Head<'a>) -> Result<Call<'a>, Reject> {
    let path = Path::split(head.path).ok_or(Reject::NOT_FOUND)?;
    let uuid = uuid(&decode(path.uuid)).map_err(Reject::bad)?;
    let key = match path.key {
        None => None,
        Some(raw) => Some(path_key(raw)?),
    };
    let wrong = |status| if path.api == Api::Unversioned { Reject::new(status, "") } else { Reject::BAD_VERSION };
    let wanted = match (&key, head.method) {
        (Some(_), Method::Get | Method::Head) => accepts(head.accept, b"application", b"octet-stream"),
        (None, Method::Post) => accepts(head.accept, b"application", b"json"),
        _ => return Err(wrong(405)),
    };
    if path.api < path.op.since() {
        return Err(Reject::BAD_VERSION);
    }
    if !wanted {
        return Err(wrong(406));
    }
    let params = Params::scan(head.query);
    let (op, client) = match key {
        Some(key) => get(path.api, key, &params)?,
        None => post(path.api, path.op, &params, head)?,
    };
    // The bypass was checked where its turn was; it is rare, so it is read again rather than kept.
    let bypass = params.bypass()?;
    let credentials = credentials_of(head, false)?;
    Ok(Call { prefix: path.prefix, uuid, api: path.api, op, client, bypass, credentials })
}

/// With which name and password a request comes, if any; the first, where they `may_repeat`.
///
/// # Errors
///
/// [`Reject`], where they are malformed.
pub fn credentials_of(head: &Head<'_>, may_repeat: bool) -> Result<Option<Credentials>, Reject> {
    if head.authorization_repeated && !may_repeat {
        return Err(Reject::bad("repeated Authorization"));
    }
    let Some(value) = head.authorization else { return Ok(None) };
    let malformed = |_| Reject::bad("Error parsing header Authorization failed: invalid basic auth header");
    Credentials::parse(value.0).map(Some).map_err(malformed)
}

fn get(api: Api, key: Key, params: &Params<'_>) -> Result<(Op, Option<Uuid>), Reject> {
    if api == Api::Unversioned {
        let client = params.optional_client()?;
        params.bypass()?;
        return Ok((Op::Get { key, offset: 0, file: None }, client));
    }
    let client = params.client()?;
    params.bypass()?;
    let file = params.file()?;
    let offset = params.offset()?;
    Ok((Op::Get { key, offset, file }, Some(client)))
}

fn post(api: Api, word: Word, params: &Params<'_>, head: &Head<'_>) -> Result<(Op, Option<Uuid>), Reject> {
    let data_present = word == Word::Put && api >= Api::V4 && params.data_present()?;
    let key = if matches!(word, Word::KeepLocked | Word::Timestamp) { None } else { Some(params.key()?) };
    let lockid = if word == Word::KeepLocked { params.lockid()? } else { Vec::new() };
    let client = params.client()?;
    params.bypass()?;
    let op = match (word, key) {
        (Word::CheckPresent, Some(key)) => Op::CheckPresent { key },
        (Word::Lock, Some(key)) => Op::Lock { key },
        (Word::Remove, Some(key)) => Op::Remove { key },
        (Word::RemoveBefore, Some(key)) => Op::RemoveBefore { key, timestamp: params.timestamp()? },
        (Word::PutOffset, Some(key)) => Op::PutOffset { key },
        (Word::Put, Some(key)) => {
            let file = params.file()?;
            let offset = params.offset()?;
            let raw = head.data_length.ok_or(Reject::bad("Header X-git-annex-data-length is required"))?;
            let len = number(raw).ok_or(Reject::bad(
                "Error parsing header X-git-annex-data-length failed: X-git-annex-data-length parse error",
            ))?;
            Op::Put { key, file, offset, len, data_present }
        }
        (Word::KeepLocked, None) => Op::KeepLocked { lockid },
        (Word::Timestamp, None) => Op::Timestamp,
        _ => return Err(Reject::NOT_FOUND),
    };
    Ok((op, Some(client)))
}

fn path_key(raw: &[u8]) -> Result<Key, Reject> {
    let bytes = unwrapped(decode(raw)).map_err(|_| Reject::bad(base64_error()))?;
    Key::parse(&bytes).map_err(|_| Reject::bad("key parse error"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    CheckPresent,
    Lock,
    KeepLocked,
    Remove,
    RemoveBefore,
    Timestamp,
    Put,
    PutOffset,
    Get,
}

impl Word {
    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"checkpresent" => Self::CheckPresent,
            b"lockcontent" => Self::Lock,
            b"keeplocked" => Self::KeepLocked,
            b"remove" => Self::Remove,
            b"remove-before" => Self::RemoveBefore,
            b"gettimestamp" => Self::Timestamp,
            b"put" => Self::Put,
            b"putoffset" => Self::PutOffset,
            _ => return None,
        })
    }

    /// The first version that has it.
    fn since(self) -> Api {
        match self {
            Self::RemoveBefore | Self::Timestamp => Api::V3,
            Self::PutOffset => Api::V1,
            Self::Get => Api::Unversioned,
            _ => Api::V0,
        }
    }
}

struct Path<'a> {
    prefix: &'a [u8],
    uuid: &'a [u8],
    api: Api,
    op: Word,
    key: Option<&'a [u8]>,
}

impl<'a> Path<'a> {
    /// Read from its end, since a prefix may itself hold `/git-annex/`: a repository can be called that.
    fn split(path: &'a [u8]) -> Option<Self> {
        let (rest, last) = cut(path.strip_suffix(b"/").unwrap_or(path))?;
        let (rest, second) = cut(rest)?;
        let (rest, third) = cut(rest)?;
        let keyed = second == b"key" && !last.is_empty();
        let (rest, uuid, api, op, key) = match api(third) {
            // `v4` may also be what a prefix ends in, or the uuid; then `git-annex` stands elsewhere.
            Some(api) if keyed && cut(rest).and_then(|(rest, _)| cut(rest)).is_some_and(|(_, word)| is_annex(word)) => {
                let (rest, uuid) = cut(rest)?;
                (rest, uuid, api, Word::Get, Some(last))
            }
            _ if keyed => (rest, third, Api::Unversioned, Word::Get, Some(last)),
            _ => (rest, third, api(second)?, Word::parse(&decode(last))?, None),
        };
        let (prefix, word) = cut(rest)?;
        (is_annex(word) && is_plain(prefix)).then_some(Self { prefix, uuid, api, op, key })
    }
}

/// Whether a path, as sent, could be that of a repository: nothing in it is empty or leads up.
pub fn is_plain(prefix: &[u8]) -> bool {
    let plain = !prefix.windows(2).any(|pair| pair == b"//") && !prefix.ends_with(b"/");
    let climbs = prefix.split(|byte| *byte == b'/').any(|part| matches!(decode(part).as_ref(), b"." | b".."));
    plain && !climbs
}

fn is_annex(word: &[u8]) -> bool {
    decode(word).as_ref() == b"git-annex"
}

/// The last part of a path, and what is before its slash.
fn cut(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|byte| *byte == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

fn api(word: &[u8]) -> Option<Api> {
    Some(match word {
        b"v0" => Api::V0,
        b"v1" => Api::V1,
        b"v2" => Api::V2,
        b"v3" => Api::V3,
        b"v4" => Api::V4,
        _ => return None,
    })
}

/// Whether an Accept header lets `kind/sub` pass.
fn accepts(accept: Option<&[u8]>, kind: &[u8], sub: &[u8]) -> bool {
    let Some(accept) = accept else { return true };
    accept.split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let slash = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
        let (left, right) = (&name[..slash], name.get(slash + 1..).unwrap_or_default());
        let named = left == b"*" && right == b"*"
            || left.eq_ignore_ascii_case(kind) && (right == b"*" || right.eq_ignore_ascii_case(sub));
        named
            && parts.all(|parameter| match parameter.split_at_checked(2) {
                Some((b"q=" | b"Q=", weight)) => weight.iter().any(|digit| matches!(digit, b'1'..=b'9')),
                _ => parameter.is_empty() || parameter.eq_ignore_ascii_case(b"charset=utf-8"),
            })
    })
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
