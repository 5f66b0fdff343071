//! Whether this S3 honours conditions, also where two requests race: what keeps a request that comes late from doing harm.

use std::time::Instant;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::belief::NO_SUCH_TAG;
use super::{Inner, config, errors};
use crate::doctor::{Finding, Verdict};
use crate::{Error, Kind, Op, Result};

/// Tries them on objects named after `key`, of which nothing is left.
pub(super) async fn probe(inner: &Inner, key: &str) -> Vec<Finding> {
    let Ok(sdk) = inner.client.sdk().await else { return Vec::new() };
    let trial = Trial { sdk: &sdk, bucket: &inner.config.bucket, key, other: &format!("{key}-3") };
    let mut out = Vec::new();
    let started = Instant::now();
    out.push(Finding::of("conditional PUT under a race", started, trial.race().await, Verdict::No));
    let started = Instant::now();
    out.push(Finding::of("conditional DELETE (If-Match)", started, trial.delete().await, Verdict::No));
    let started = Instant::now();
    out.push(Finding::of("conditional copy (of the source)", started, trial.source().await, Verdict::No));
    let started = Instant::now();
    out.push(Finding::of("conditional copy (If-None-Match)", started, trial.target().await, Verdict::No));
    for key in [trial.key, trial.other] {
        // They were ours alone; what cannot be removed was never stored.
        let _ = trial.remove(key).await;
    }
    out
}

struct Trial<'a> {
    sdk: &'a Client,
    bucket: &'a str,
    key: &'a str,
    other: &'a str,
}

/// Whether a request was done; false where its condition kept it from that.
fn done<T, E>(op: Op, answer: std::result::Result<T, SdkError<E, HttpResponse>>) -> Result<bool>
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        // Of two that race S3 may also refuse one as a conflict.
        Err(e) if e.raw_response().is_some_and(|r| matches!(r.status().as_u16(), 409 | 412)) => Ok(false),
        Err(e) => Err(errors::from_sdk(op, &e)),
    }
}

fn ignored(op: Op) -> Error {
    Error::new(op, Kind::Unsupported, "the condition is ignored")
}

impl Trial<'_> {
    async fn put(&self, content: &'static [u8]) -> Result<()> {
        let put = self.sdk.put_object().bucket(self.bucket).key(self.key).body(ByteStream::from_static(content));
        done(Op::Put, put.send().await).map(drop)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        done(Op::Remove, self.sdk.delete_object().bucket(self.bucket).key(key).send().await).map(drop)
    }

    /// Of two who fill an empty name at the same time, one does.
    async fn race(&self) -> Result<String> {
        const TIMES: usize = 4;
        for _ in 0..TIMES {
            self.remove(self.key).await?;
            let put = async |content: &'static [u8]| {
                let put = self.sdk.put_object().bucket(self.bucket).key(self.key).if_none_match("*");
                done(Op::Put, put.body(ByteStream::from_static(content)).send().await)
            };
            match futures_util::join!(put(b"one"), put(b"two")) {
                (Ok(one), Ok(two)) if one != two => {}
                (Ok(true), Ok(true)) => return Err(ignored(Op::Put)),
                (Ok(_), Ok(_)) => return Err(Error::new(Op::Put, Kind::Protocol, "neither of two is stored")),
                (Err(e), _) | (_, Err(e)) => return Err(e),
            }
        }
        Ok(format!("one of two wins, {TIMES} times"))
    }

    async fn delete(&self) -> Result<String> {
        self.put(b"kept").await?;
        let delete = self.sdk.delete_object().bucket(self.bucket).key(self.key).if_match(NO_SUCH_TAG);
        match done(Op::Remove, delete.send().await)? {
            true => Err(ignored(Op::Remove)),
            false => Ok(String::new()),
        }
    }

    async fn copy(&self, if_match: Option<&str>, if_none_match: Option<&str>) -> Result<bool> {
        let source = config::encode(&format!("{}/{}", self.bucket, self.key));
        let copy = self.sdk.copy_object().bucket(self.bucket).key(self.other).copy_source(source);
        let copy = copy.set_copy_source_if_match(if_match.map(str::to_string));
        done(Op::Copy, copy.set_if_none_match(if_none_match.map(str::to_string)).send().await)
    }

    async fn source(&self) -> Result<String> {
        self.put(b"copied").await?;
        match self.copy(Some(NO_SUCH_TAG), None).await? {
            true => Err(ignored(Op::Copy)),
            false => Ok(String::new()),
        }
    }

    async fn target(&self) -> Result<String> {
        self.put(b"copied").await?;
        self.copy(None, None).await?;
        match self.copy(None, Some("*")).await? {
            true => Err(ignored(Op::Copy)),
            false => Ok(String::new()),
        }
    }
}
