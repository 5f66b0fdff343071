//! Whether an object is there, and what the store calls it; and whether the bucket is there.

use std::time::{Duration, Instant};

use aws_sdk_s3::types::StorageClass;

use super::version::Of;
use super::{Inner, answers, errors, sign, wire};
use crate::{Error, Kind, Op, Result, Stat};

/// How long the bucket counts as seen: within it, a 404 on an object needs no second question.
const BUCKET_SEEN: Duration = Duration::from_secs(60);

/// An object that is there.
pub(super) struct Seen {
    pub(super) stat: Stat,
    /// Its storage class, if it has another than the standard one.
    pub(super) class: Option<StorageClass>,
}

impl Inner {
    /// One HEAD, without retries. A bare 404 is absence only where the bucket is there.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Stat>> {
        self.head_of(Of::from(key)).await
    }

    pub(super) async fn head_of(&self, of: Of<'_>) -> Result<Option<Stat>> {
        Ok(self.see(of).await?.map(|seen| seen.stat))
    }

    /// The same, with what only a copy has to know.
    pub(super) async fn see(&self, of: Of<'_>) -> Result<Option<Seen>> {
        if let Some(pool) = self.signing_pool().await?
            && let Some(seen) = self.plain_see(pool, of).await?
        {
            return Ok(seen);
        }
        match self.request_head(of).await?.send().await {
            Ok(head) => {
                let odd = |what: &str| {
                    let detail = format!("the endpoint answers 200 without {what}: it is not S3-compatible");
                    Error::new(Op::Stat, Kind::Protocol, detail)
                };
                let len = head.content_length().and_then(|len| u64::try_from(len).ok());
                let len = len.ok_or_else(|| odd("a length"))?;
                let tag = head.e_tag().filter(|tag| !tag.is_empty()).ok_or_else(|| odd("an ETag"))?;
                self.bucket_seen.set(Some(Instant::now()));
                let stat = Stat { len, tag: Some(tag.into()), version: self.version(of.key, head.version_id()) };
                Ok(Some(Seen { stat, class: head.storage_class().cloned() }))
            }
            Err(e) => {
                let error = errors::from_sdk(Op::Stat, &e);
                match error.kind() {
                    Kind::NotFound => self.bucket_is_there().await.map(|()| None),
                    _ if errors::is_bare(&e) => Err(self.explain(Some(of.key), error).await),
                    _ => Err(error),
                }
            }
        }
    }

    /// The same on a connection of our own. `None` where the answer is better left to the SDK.
    async fn plain_see(&self, pool: &wire::Pool, of: Of<'_>) -> Result<Option<Option<Seen>>> {
        let request = match of.presigned(&self.client, "HEAD").await? {
            Some(url) => wire::Request::to(Op::Stat, "HEAD", &url, std::iter::empty())?,
            None => {
                let request = self.request_head(of).await?.presigned(sign::presigning()?).await;
                let request = request.map_err(|e| errors::from_sdk(Op::Stat, &e))?;
                self.client.learn(of.key, &request).await?;
                wire::Request::new(Op::Stat, &request, &[])?
            }
        };
        let answer = request.exchange(pool, wire::Body::Empty).await?;
        let (status, len, tag) = (answer.status(), answer.len(), answer.etag().map(str::to_string));
        let retry_after = answer.retry_after();
        let (version, class) = (self.version(of.key, answer.version()), answer.class().map(StorageClass::from));
        answer.finish_head();
        match (status, len, tag.filter(|tag| !tag.is_empty())) {
            (200, Some(len), Some(tag)) => {
                self.bucket_seen.set(Some(Instant::now()));
                Ok(Some(Some(Seen { stat: Stat { len, tag: Some(tag), version }, class })))
            }
            (404, ..) => self.bucket_is_there().await.map(|()| Some(None)),
            // Who wants to be asked less is not asked why, or once more by the SDK.
            (429 | 503, ..) => Err(errors::refusal(Op::Stat, status, "", "").retried_after(retry_after)),
            _ => Ok(None),
        }
    }

    /// Fails where the bucket is not there. Who may not ask about the bucket gets 403 for absent objects too, so a refusal
    /// here does not put the 404 into doubt.
    pub(super) async fn bucket_is_there(&self) -> Result<()> {
        if self.bucket_seen.get().is_some_and(|t| t.elapsed() < BUCKET_SEEN) {
            return Ok(());
        }
        match self.look_for_bucket().await {
            Err(e) if e.kind() == Kind::Denied => {}
            seen => seen?,
        }
        self.bucket_seen.set(Some(Instant::now()));
        Ok(())
    }

    /// Fails where the bucket is not seen at this moment.
    pub(super) async fn see_bucket(&self) -> Result<()> {
        match self.look_for_bucket().await {
            // Who may not ask about it may still list it.
            Err(e) if e.kind() == Kind::Denied => {
                let list = self.client.sdk().await?.list_objects_v2().bucket(&self.config.bucket).max_keys(1);
                match list.send().await.map_err(|e| errors::from_sdk(Op::Stat, &e)) {
                    Err(e) if e.kind() == Kind::NotFound => Err(self.no_bucket()),
                    listed => listed.map(drop),
                }
            }
            seen => seen,
        }
    }

    fn no_bucket(&self) -> Error {
        Error::new(Op::Stat, Kind::NoSuchPlace, format!("there is no bucket {}", self.config.bucket))
    }

    pub(super) async fn look_for_bucket(&self) -> Result<()> {
        let sdk = self.client.sdk().await?;
        let e = match sdk.head_bucket().bucket(&self.config.bucket).send().await {
            Ok(_) => return Ok(()),
            Err(e) => e,
        };
        let error = errors::from_sdk(Op::Stat, &e);
        match error.kind() {
            Kind::NotFound | Kind::NoSuchPlace => Err(self.no_bucket()),
            _ if errors::is_bare(&e) => Err(self.explain(None, error).await),
            _ => Err(error),
        }
    }

    /// A HEAD has no body that could say why; a GET of one byte has, or a list of one name.
    async fn explain(&self, key: Option<&str>, bare: Error) -> Error {
        let Ok(sdk) = self.client.sdk().await else { return bare };
        let bucket = &self.config.bucket;
        let told = match key {
            Some(key) => {
                let get = sdk.get_object().bucket(bucket).key(key).range("bytes=0-0").send().await;
                get.map(drop).map_err(|e| errors::with_region(Op::Stat, &e))
            }
            None => {
                let list = sdk.list_objects_v2().bucket(bucket).max_keys(1).send().await;
                list.map(drop).map_err(|e| errors::with_region(Op::Stat, &e))
            }
        };
        match told {
            Ok(()) => bare,
            Err((told, region)) => {
                if let Some(region) = region
                    && self.client.region().told(400, &self.client.region().name(), &region)
                {
                    return Error::new(Op::Stat, Kind::Elsewhere, answers::ELSEWHERE);
                }
                if told.kind() == Kind::Denied && key.is_some() {
                    told.within(
                        "access denied (S3 also answers this for a missing object when the credentials may not list the bucket)",
                    )
                } else {
                    told
                }
            }
        }
    }
}
