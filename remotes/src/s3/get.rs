//! Opening an object for reading.

use std::rc::Rc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::part::{self, ContentRange, Total};
use super::sign::presigning;
use super::version::Of;
use super::{Inner, errors, wire};
use crate::pump::{Blocks, Source};
use crate::{Error, Get, Kind, Op, Range, Result};

pub(super) async fn get(inner: &Rc<Inner>, of: Of<'_>, range: Range) -> Result<Get> {
    if range.len == Some(0) {
        return behind_the_end(inner, of, u64::MAX).await;
    }
    if let Some(pool) = inner.signing_pool().await?
        && !(inner.ignores_ranges.get() && header(&range).is_some())
        && let Some(get) = plain(inner, pool, of, &range).await?
    {
        return Ok(get);
    }
    through_sdk(inner, of, &range).await
}

/// `bytes=a-b`; nothing where the whole object is wanted.
fn header(range: &Range) -> Option<String> {
    match range.len {
        Some(len) => Some(format!("bytes={}-{}", range.from, range.from.saturating_add(len - 1))),
        None if range.from > 0 => Some(format!("bytes={}-", range.from)),
        None => None,
    }
}

/// On a connection of our own. `None` where the server's answer is better left to the SDK.
async fn plain(inner: &Rc<Inner>, pool: &wire::Pool, of: Of<'_>, range: &Range) -> Result<Option<Get>> {
    let mut unsigned = Vec::new();
    if let Some(value) = header(range) {
        unsigned.push(("Range", value));
    }
    if let Some(tag) = &range.tag {
        unsigned.push(("If-Match", tag.clone()));
    }
    let request = match of.presigned(&inner.client, "GET").await? {
        Some(url) => {
            let unsigned = unsigned.iter().map(|(name, value)| (*name, value.as_str()));
            wire::Request::to(Op::Get, "GET", &url, unsigned)?
        }
        None => {
            let request = inner.client.sdk().await?.get_object().bucket(&inner.config.bucket).key(of.key);
            let request = request.set_version_id(of.version.map(str::to_string));
            let request = request.presigned(presigning()?).await.map_err(|e| errors::from_sdk(Op::Get, &e))?;
            inner.client.learn(of.key, &request).await?;
            wire::Request::new(Op::Get, &request, &unsigned)?
        }
    };
    let response = request.exchange(pool, wire::Body::Empty).await?;
    let tag = response.etag().map(str::to_string);
    match response.status() {
        200 | 206 => {}
        416 => {
            response.finish().await;
            return behind_the_end(inner, of, range.from).await.map(Some);
        }
        // Where it is then, and whether only the region is wrong, the SDK finds out.
        300..=400 => return Ok(None),
        412 => return Err(changed()),
        _ => return Err(response.into_error().await),
    }
    let Some(len) = response.len() else { return Ok(None) };
    if response.status() == 206 && (response.range().is_none() || header(range).is_none()) {
        return Err(Error::new(Op::Get, Kind::Protocol, "the server sends a part of the object without saying which"));
    }
    check_tag(range, tag.as_deref())?;
    let Some(total) = total(inner, of, range, len, response.range()).await? else { return Ok(None) };
    Ok(Some(Get { len, total, tag, source: response.into_source(len) }))
}

async fn through_sdk(inner: &Rc<Inner>, of: Of<'_>, range: &Range) -> Result<Get> {
    let answer = inner
        .client
        .sdk()
        .await?
        .get_object()
        .bucket(&inner.config.bucket)
        .key(of.key)
        .set_version_id(of.version.map(str::to_string))
        .set_range(header(range))
        .set_if_match(range.tag.clone())
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(e) if e.raw_response().is_some_and(|r| r.status().as_u16() == 416) => {
            return behind_the_end(inner, of, range.from).await;
        }
        Err(e) if e.raw_response().is_some_and(|r| r.status().as_u16() == 412) => return Err(changed()),
        Err(e) => return Err(errors::from_sdk(Op::Get, &e)),
    };
    let Some(len) = answer.content_length().and_then(|l| u64::try_from(l).ok()) else {
        return Err(Error::new(Op::Get, Kind::Protocol, "the server does not say how long the object is"));
    };
    let told = match answer.content_range() {
        Some(text) => match ContentRange::parse(text) {
            Some(part) => Some(part),
            None => return Err(Error::new(Op::Get, Kind::Protocol, "the server's Content-Range is invalid")),
        },
        None => None,
    };
    let tag = answer.e_tag().map(str::to_string);
    check_tag(range, tag.as_deref())?;
    match total(inner, of, range, len, told).await? {
        Some(total) => Ok(Get { len, total, tag, source: Source::Stream(Box::new(SdkBlocks(answer.body))) }),
        None => part_of(inner, answer.body, range, len, tag).await,
    }
}

/// Length of the whole object, of an answer of `len` bytes; `told` is what its Content-Range says. `None` where the answer is
/// all of the object instead of the part that was asked for.
async fn total(
    inner: &Rc<Inner>,
    of: Of<'_>,
    range: &Range,
    len: u64,
    told: Option<ContentRange>,
) -> Result<Option<u64>> {
    Ok(match part::check(range, len, told)? {
        Total::Known(total) => Some(total),
        Total::Ask => Some(length(inner, of).await?.0),
        Total::Whole(_) => {
            inner.ignores_ranges.set(true);
            None
        }
    })
}

/// The part that was asked for, of all of an object: the server does not know ranges, and what is there already is passed over
/// as it comes.
async fn part_of(inner: &Rc<Inner>, body: ByteStream, range: &Range, total: u64, tag: Option<String>) -> Result<Get> {
    let from = range.from.min(total);
    let len = (total - from).min(range.len.unwrap_or(u64::MAX));
    let (mut blocks, mut skip, mut first) = (SdkBlocks(body), from, Bytes::new());
    while len > 0 && first.is_empty() {
        let next = tokio::time::timeout(inner.context.idle, blocks.next()).await;
        let next = next.map_err(|_| Error::new(Op::Get, Kind::Timeout, "nothing moved while the beginning came"))?;
        let Some(mut block) = next? else { return Err(Error::new(Op::Get, Kind::Truncated, "it ends too early")) };
        let over = block.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        let _ = block.split_to(over);
        skip -= over as u64;
        first = block;
    }
    Ok(Get { len, total, tag, source: Source::Stream(Box::new(Cut { blocks, first, left: len })) })
}

/// So many bytes of what comes.
struct Cut {
    blocks: SdkBlocks,
    first: Bytes,
    left: u64,
}

#[async_trait(?Send)]
impl Blocks for Cut {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let block = match std::mem::take(&mut self.first) {
            block if block.is_empty() => self.blocks.next().await?,
            block => Some(block),
        };
        Ok(block.map(|mut block| {
            block.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= block.len() as u64;
            block
        }))
    }
}

/// Not every S3 honours `If-Match`. Without an ETag nobody could tell whether two ranges are of one object.
fn check_tag(range: &Range, tag: Option<&str>) -> Result<()> {
    match (&range.tag, tag) {
        (_, None | Some("")) => Err(Error::new(
            Op::Get,
            Kind::Protocol,
            "the endpoint sends an object without an ETag: it is not S3-compatible",
        )),
        (Some(wanted), Some(found)) if wanted != found => Err(changed()),
        _ => Ok(()),
    }
}

fn changed() -> Error {
    Error::new(Op::Get, Kind::Corrupt, "the object was replaced while it was read")
}

/// A range at or behind the end is empty; the length has to be asked for, because not every server tells it then. Errors: `from`
/// is not behind the end.
async fn behind_the_end(inner: &Rc<Inner>, of: Of<'_>, from: u64) -> Result<Get> {
    let (total, tag) = length(inner, of).await?;
    if from < total {
        return Err(Error::new(Op::Get, Kind::Protocol, "the server refuses a range of what it says it has"));
    }
    let source = Source::Stream(Box::new(SdkBlocks(ByteStream::from_static(b""))));
    Ok(Get { len: 0, total, tag, source })
}

async fn length(inner: &Rc<Inner>, of: Of<'_>) -> Result<(u64, Option<String>)> {
    match inner.head_of(of).await.map_err(|e| e.during(Op::Get))? {
        Some(stat) => Ok((stat.len, stat.tag)),
        None => Err(Error::new(Op::Get, Kind::NotFound, "is not there")),
    }
}

struct SdkBlocks(ByteStream);

#[async_trait(?Send)]
impl Blocks for SdkBlocks {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.try_next().await.map_err(|e| {
            let words = format!("{e:?}").to_ascii_lowercase();
            let kind = if words.contains("timeout") { Kind::Timeout } else { Kind::Reset };
            Error::new(Op::Get, kind, "the connection broke").caused_by(e)
        })
    }
}
