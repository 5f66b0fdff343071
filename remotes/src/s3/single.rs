//! One PUT of an object that is at hand, and the look back at what was stored.

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;

use super::belief::bare;
use super::new_object::{self, new_object};
use super::payload::Payload;
use super::{Inner, client, errors, limit, sdk_body, sign, wire};
use crate::pump::Meter;
use crate::retry::Backoff;
use crate::{Error, Kind, Op, Result, Stored, late};

/// A PUT with the headers every new object gets.
pub(super) fn request(inner: &Inner, key: &str, sdk: &aws_sdk_s3::Client) -> PutObjectFluentBuilder {
    let config = &inner.config;
    new_object!(sdk.put_object().bucket(&config.bucket).key(key), config)
}

/// The same on a connection of our own, presigned.
pub(super) async fn plain(inner: &Inner, key: &str) -> Result<wire::Request> {
    // Checksums are for the SDK to make.
    if !inner.config.checksums {
        let headers = new_object::headers(&inner.config);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if let Some(url) = inner.client.presigned("PUT", key, &headers).await? {
            return wire::Request::to(Op::Put, "PUT", &url, headers.into_iter());
        }
    }
    let request = request(inner, key, &inner.client.sdk().await?);
    let request = request.presigned(sign::presigning()?).await.map_err(|e| errors::from_sdk(Op::Put, &e))?;
    inner.client.learn(key, &request).await?;
    wire::Request::new(Op::Put, &request, &[])
}

/// One PUT of everything; tries again where that can help. The ETag is the server's receipt for it: asking once more by HEAD
/// would tell nothing new, and makes some servers read the whole object to compute it again.
pub(super) async fn send(inner: &Inner, key: &str, len: u64, payload: &Payload, meter: &Meter) -> Result<Stored> {
    let mut backoff = Backoff::new(&inner.context);
    late::over(&inner.label, key).await;
    loop {
        let counted = meter.child();
        match try_send(inner, key, len, payload, &counted).await {
            Ok(tag) => return Ok(stored(inner, key, len, tag).await),
            Err(e) => {
                counted.undo();
                inner.may_come_late(key, &e);
                backoff.pause(e).await?;
            }
        }
    }
}

/// What a single PUT stored, whose receipt is `tag`. Its version has to be asked for; where that fails, or somebody else has
/// replaced it meanwhile, it is stored all the same.
pub(super) async fn stored(inner: &Inner, key: &str, len: u64, tag: String) -> Stored {
    let mut stored = Stored { len, tag: Some(tag), version: None };
    if inner.config.versioning {
        match read_back(inner, key, len, None).await {
            Ok(found) if found.tag == stored.tag => stored.version = found.version,
            Ok(_) => {}
            Err(e) => tracing::warn!(target: "remotes", "{}: the version of {key} is not known: {e}", inner.label),
        }
    }
    stored
}

async fn try_send(inner: &Inner, key: &str, len: u64, payload: &Payload, meter: &Meter) -> Result<String> {
    let tag = if let Some(pool) = inner.storing_pool() {
        payload.travel(pool, plain(inner, key).await?, meter).await?
    } else {
        let request = request(inner, key, &inner.client.sdk().await?);
        let (body, through) = match payload {
            Payload::File(file) => sdk_body::from_file(file, meter, &inner.context).await,
            Payload::Blocks(blocks) => sdk_body::from_blocks(blocks, meter),
        };
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let request = request.content_length(len).body(body).customize().config_override(client::patient());
        let send = async { request.send().await.map_err(|e| errors::from_sdk(Op::Put, &e)) };
        let answer = limit::moving(Op::Put, inner.context.idle, meter, send).await?;
        through.check()?;
        answer.e_tag().map(str::to_string)
    };
    receipt(tag)
}

/// The ETag of an answer, without which nothing was stored.
pub(super) fn receipt(tag: Option<String>) -> Result<String> {
    tag.filter(|tag| !tag.is_empty()).ok_or_else(|| {
        Error::new(Op::Put, Kind::Protocol, "the server accepted the object without an ETag: it is not S3-compatible")
    })
}

/// What a server said of an object that it had made of parts, or of another.
#[derive(Debug, PartialEq)]
pub(super) enum Receipt {
    /// It has this ETag.
    Tag(String),
    /// The same, and nobody makes that ETag who has not got the parts.
    Parts(String),
}

impl Receipt {
    /// Whether an object with this ETag is the one.
    fn fits(&self, found: Option<&str>) -> bool {
        let Some(found) = found.map(bare) else { return false };
        match self {
            Receipt::Tag(tag) => bare(tag) == found,
            // quirk: at rclone serve s3 the object has another ETag then, that of one without parts.
            Receipt::Parts(tag) => bare(tag) == found || !found.contains('-'),
        }
    }
}

/// Sees with its own eyes that what was made of parts or of a copy is there, as long as it should be, and the one that the
/// server gave this `receipt` for.
pub(super) async fn read_back(inner: &Inner, key: &str, len: u64, receipt: Option<&Receipt>) -> Result<Stored> {
    let mut backoff = Backoff::new(&inner.context);
    let fits = |tag: Option<&str>| receipt.is_none_or(|receipt| receipt.fits(tag));
    loop {
        match inner.head(key).await {
            Ok(Some(stat)) if stat.len == len && fits(stat.tag.as_deref()) => {
                return Ok(Stored { len: stat.len, tag: stat.tag, version: stat.version });
            }
            // Some servers tell for a moment what they saw while the bytes came in.
            Ok(_) if backoff.again().await => {}
            Ok(Some(stat)) if stat.len == len => {
                let detail = "the object there is not the one that the store said it had made";
                return Err(Error::new(Op::Put, Kind::Corrupt, detail));
            }
            Ok(Some(stat)) => {
                let detail = format!("the store says it keeps {} bytes of {len}", stat.len);
                return Err(Error::new(Op::Put, Kind::Corrupt, detail));
            }
            Ok(None) => {
                let detail = "the store reported success, but the object is not there";
                return Err(Error::new(Op::Put, Kind::Protocol, detail));
            }
            // Write-only keys are a legitimate way to archive; the ETag of the answer has to do then.
            Err(e) if e.kind() == Kind::Denied => return Ok(Stored { len, tag: None, version: None }),
            Err(e) => backoff.pause(e).await.map_err(|e| e.within("reading back"))?,
        }
    }
}
