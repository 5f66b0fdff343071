//! What this S3 can do beyond the basics.

use std::time::Instant;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, ChecksumAlgorithm};
use bytes::Bytes;

use super::multipart::Multipart;
use super::payload::Payload;
use super::plan::PART_MIN;
use super::{Inner, errors};
use crate::doctor::{Finding, Verdict};
use crate::pump::Meter;
use crate::{Error, Kind, Op, Result};

/// Tries what differs between servers, on objects named after `key`, which may or may not be there.
pub(super) async fn probe(inner: &std::rc::Rc<Inner>, key: &str) -> Vec<Finding> {
    let mut out = Vec::new();
    let started = Instant::now();
    out.push(Finding::of("list the bucket", started, list(inner, key).await, Verdict::No));
    let other = format!("{key}-2");
    let started = Instant::now();
    out.push(Finding::of("multipart uploads", started, multipart(inner, &other).await, Verdict::No));
    let started = Instant::now();
    out.push(Finding::of(
        "server-side copy (renames in exports)",
        started,
        copy(inner, key, &other).await,
        Verdict::No,
    ));
    let started = Instant::now();
    out.push(Finding::of("CRC32 checksums (checksums=yes)", started, checksum(inner, &other).await, Verdict::No));
    let started = Instant::now();
    out.push(Finding::of("conditional PUT (If-None-Match)", started, conditional(inner, &other).await, Verdict::No));
    out.extend(super::conditions::probe(inner, &other).await);
    let started = Instant::now();
    out.push(Finding::of("versioning", started, versioning(inner).await, Verdict::No));
    if let Ok(sdk) = inner.client.sdk().await {
        // It was ours alone; what cannot be removed was never stored.
        let _ = sdk.delete_object().bucket(&inner.config.bucket).key(&other).send().await;
    }
    out
}

async fn list(inner: &Inner, key: &str) -> Result<String> {
    let sdk = inner.client.sdk().await?;
    let request = sdk.list_objects_v2().bucket(&inner.config.bucket).prefix(key).max_keys(1);
    request.send().await.map(|_| String::new()).map_err(|e| errors::from_sdk(Op::List, &e))
}

async fn multipart(inner: &std::rc::Rc<Inner>, key: &str) -> Result<String> {
    let upload = Multipart::create(inner, key, 2).await?;
    let parts = [vec![7; PART_MIN as usize], vec![8]];
    let mut tags = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        match upload.send(i + 1, &Payload::Blocks(vec![Bytes::from(part)]), &Meter::new()).await {
            Ok(tag) => tags.push(tag),
            Err(e) => {
                // The failure is the finding.
                let _ = upload.abort().await;
                return Err(e);
            }
        }
    }
    upload.complete(tags).await?;
    match inner.head(key).await? {
        Some(stat) if stat.len == PART_MIN + 1 => Ok("objects of any size".into()),
        _ => Err(Error::new(Op::Put, Kind::Protocol, "the completed object is not there or not whole")),
    }
}

async fn copy(inner: &Inner, from: &str, to: &str) -> Result<String> {
    let sdk = inner.client.sdk().await?;
    let source = super::config::encode(&format!("{}/{from}", inner.config.bucket));
    let request = sdk.copy_object().bucket(&inner.config.bucket).key(to).copy_source(source);
    request.send().await.map(|_| String::new()).map_err(|e| errors::from_sdk(Op::Rename, &e))
}

async fn checksum(inner: &Inner, key: &str) -> Result<String> {
    let sdk = inner.client.sdk().await?;
    let request = sdk.put_object().bucket(&inner.config.bucket).key(key).checksum_algorithm(ChecksumAlgorithm::Crc32);
    let answer = request.body(ByteStream::from_static(b"checked")).send().await;
    let answer = answer.map_err(|e| errors::from_sdk(Op::Put, &e))?;
    Ok(if answer.checksum_crc32().is_some() { "sent and confirmed" } else { "accepted, not confirmed" }.into())
}

async fn conditional(inner: &Inner, key: &str) -> Result<String> {
    let sdk = inner.client.sdk().await?;
    let put = || sdk.put_object().bucket(&inner.config.bucket).key(key).body(ByteStream::from_static(b"again"));
    put().send().await.map_err(|e| errors::from_sdk(Op::Put, &e))?;
    match put().if_none_match("*").send().await {
        Ok(_) => Err(Error::new(Op::Put, Kind::Unsupported, "the condition is ignored")),
        Err(e) if e.raw_response().is_some_and(|r| r.status().as_u16() == 412) => Ok(String::new()),
        Err(e) => Err(errors::from_sdk(Op::Put, &e)),
    }
}

async fn versioning(inner: &Inner) -> Result<String> {
    let sdk = inner.client.sdk().await?;
    let answer = sdk.get_bucket_versioning().bucket(&inner.config.bucket).send().await;
    match answer.map_err(|e| errors::from_sdk(Op::Open, &e))?.status() {
        Some(BucketVersioningStatus::Enabled) if inner.config.versioning => Ok("on".into()),
        Some(BucketVersioningStatus::Enabled) => {
            Ok("on; set versioning=yes, or dropping will keep old versions".into())
        }
        _ => Err(Error::new(Op::Open, Kind::Unsupported, "off")),
    }
}
