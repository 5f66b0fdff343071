//! An upload in parts, until it is completed or aborted.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, StorageClass};

use super::new_object::new_object;
use super::payload::Payload;
use super::plan::PARTS_MAX;
use super::single::Receipt;
use super::{Inner, client, errors, limit, sdk_body, sign, wire, xml};
use crate::pump::Meter;
use crate::retry::{Backoff, TRIES};
use crate::{Error, Kind, Op, Result, late};

/// How much longer than any other a request may take that makes an object of parts, for each of them.
const PER_PART: Duration = Duration::from_millis(250);

/// A part that is stored.
pub(super) struct Found {
    /// Counted from 1.
    pub(super) number: u64,
    /// Its ETag.
    pub(super) tag: String,
    /// Its length in bytes.
    pub(super) len: u64,
}

/// An upload that exists on the server. Dropping it aborts it in the background, unless it is lasting.
pub(super) struct Multipart {
    inner: Rc<Inner>,
    key: String,
    id: String,
    count: usize,
    open: bool,
    /// Left where it is when it is dropped: somebody keeps its id.
    lasting: bool,
}

impl Multipart {
    pub(super) async fn create(inner: &Rc<Inner>, key: &str, count: usize) -> Result<Self> {
        let mut backoff = Backoff::new(&inner.context);
        let id = loop {
            match Self::try_create(inner, key).await {
                Ok(id) => break id,
                Err(e) => backoff.pause(e).await?,
            }
        };
        Ok(Self { inner: Rc::clone(inner), key: key.into(), id, count, open: true, lasting: false })
    }

    /// A lasting upload that was created before, whether or not it still exists.
    pub(super) fn known(inner: &Rc<Inner>, key: &str, id: &str, count: usize) -> Self {
        Self { inner: Rc::clone(inner), key: key.into(), id: id.into(), count, open: true, lasting: true }
    }

    /// Keeps the upload for whoever goes on with it, or aborts it by its id.
    pub(super) fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// The store that it is in.
    pub(super) fn inner(&self) -> &Rc<Inner> {
        &self.inner
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The parts that are stored, in order. Errors: `NotFound` where the upload is gone.
    pub(super) async fn parts(&self) -> Result<Vec<Found>> {
        let mut backoff = Backoff::new(&self.inner.context);
        let mut found: Vec<Found> = Vec::new();
        // A page has 1,000 at most, and a server may give less.
        while found.len() < PARTS_MAX as usize {
            let after = found.last().map_or(0, |part| part.number);
            match self.page(after).await {
                Ok((page, more)) => {
                    let moved = page.last().is_some_and(|part| part.number > after);
                    found.extend(page);
                    if !more || !moved {
                        break;
                    }
                }
                Err(e) => backoff.pause(e).await.map_err(|e| e.within("looking for the parts of an upload"))?,
            }
        }
        Ok(found)
    }

    async fn page(&self, after: u64) -> Result<(Vec<Found>, bool)> {
        let request = self.inner.client.sdk().await?.list_parts().bucket(&self.inner.config.bucket).key(&self.key);
        let request = request.upload_id(&self.id).set_part_number_marker((after > 0).then(|| after.to_string()));
        let answer = request.send().await.map_err(|e| errors::from_sdk(Op::Put, &e))?;
        let number = |n: Option<i64>| u64::try_from(n.unwrap_or(0)).unwrap_or(0);
        let parts = answer.parts().iter().map(|part| Found {
            number: number(part.part_number().map(i64::from)),
            tag: part.e_tag().unwrap_or_default().into(),
            len: number(part.size()),
        });
        Ok((parts.collect(), answer.is_truncated() == Some(true)))
    }

    /// What the server knows it by.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// An upload of an object that is to be like the one `head` tells of.
    pub(super) async fn create_like(
        inner: &Rc<Inner>,
        key: &str,
        count: usize,
        head: &HeadObjectOutput,
        class: Option<StorageClass>,
    ) -> Result<Self> {
        let mut backoff = Backoff::new(&inner.context);
        let id = loop {
            let request = Self::request_create(inner, key).await?.set_storage_class(class.clone());
            let request = request
                .set_metadata(head.metadata().cloned())
                .set_content_type(head.content_type().map(str::to_string))
                .set_content_encoding(head.content_encoding().map(str::to_string))
                .set_content_disposition(head.content_disposition().map(str::to_string))
                .set_cache_control(head.cache_control().map(str::to_string));
            match Self::begin(request).await {
                Ok(id) => break id,
                Err(e) => backoff.pause(e).await?,
            }
        };
        Ok(Self { inner: Rc::clone(inner), key: key.into(), id, count, open: true, lasting: false })
    }

    async fn try_create(inner: &Inner, key: &str) -> Result<String> {
        Self::begin(Self::request_create(inner, key).await?).await
    }

    async fn request_create(inner: &Inner, key: &str) -> Result<CreateMultipartUploadFluentBuilder> {
        let config = &inner.config;
        let request = inner.client.sdk().await?.create_multipart_upload().bucket(&config.bucket).key(key);
        Ok(new_object!(request, config))
    }

    async fn begin(request: CreateMultipartUploadFluentBuilder) -> Result<String> {
        match request.send().await {
            Ok(answer) if answer.upload_id().is_some_and(|id| !id.is_empty()) => {
                Ok(answer.upload_id().unwrap_or_default().to_string())
            }
            Ok(_) => Err(Error::new(Op::Put, Kind::Protocol, "the server started an upload without an id")),
            // quirk: rclone serve s3 answers with a root element that the SDK does not know.
            Err(e) => {
                let id = e.raw_response().filter(|r| r.status().is_success()).and_then(|r| {
                    let text = std::str::from_utf8(r.body().bytes()?).ok()?;
                    xml::element(text, "UploadId").map(Cow::into_owned)
                });
                id.filter(|id| !id.is_empty()).ok_or_else(|| errors::from_sdk(Op::Put, &e))
            }
        }
    }

    /// Sends part `number` (from 1); tries again where that can help. Gives its ETag.
    pub(super) async fn send(&self, number: usize, part: &Payload, meter: &Meter) -> Result<String> {
        let mut backoff = Backoff::new(&self.inner.context);
        loop {
            let counted = meter.child();
            match self.try_send(number, part, &counted).await {
                Ok(tag) => return Ok(tag),
                Err(e) => {
                    counted.undo();
                    backoff.pause(e).await.map_err(|e| e.within(format!("part {number} of {}", self.count)))?;
                }
            }
        }
    }

    /// The request for part `number`, without its payload.
    pub(super) async fn request(&self, number: usize) -> Result<UploadPartFluentBuilder> {
        let request = self.inner.client.sdk().await?.upload_part().bucket(&self.inner.config.bucket).key(&self.key);
        Ok(request.upload_id(&self.id).part_number(i32::try_from(number).unwrap_or(i32::MAX)))
    }

    /// The same on a connection of our own, presigned.
    pub(super) async fn plain(&self, number: usize) -> Result<wire::Request> {
        let request = self.request(number).await?.presigned(sign::presigning()?).await;
        wire::Request::new(Op::Put, &request.map_err(|e| errors::from_sdk(Op::Put, &e))?, &[])
    }

    async fn try_send(&self, number: usize, part: &Payload, meter: &Meter) -> Result<String> {
        let inner = &self.inner;
        let tag = if let Some(pool) = inner.storing_pool() {
            part.travel(pool, self.plain(number).await?, meter).await?
        } else {
            let request = self.request(number).await?;
            let ((body, through), len) = match part {
                Payload::File(file) => (sdk_body::from_file(file, meter, &inner.context).await, file.len),
                Payload::Blocks(blocks) => {
                    (sdk_body::from_blocks(blocks, meter), blocks.iter().map(|b| b.len() as u64).sum())
                }
            };
            let len_header = i64::try_from(len).unwrap_or(i64::MAX);
            let request = request.content_length(len_header).body(body).customize().config_override(client::patient());
            let send = async { request.send().await.map_err(|e| errors::from_sdk(Op::Put, &e)) };
            let answer = limit::moving(Op::Put, inner.context.idle, meter, send).await?;
            through.check()?;
            answer.e_tag().map(str::to_string)
        };
        receipt(tag)
    }

    /// Makes the object of the parts with these ETags, in order. Whoever looks at the object then holds it against the receipt.
    pub(super) async fn complete(mut self, tags: Vec<String>) -> Result<Receipt> {
        let whole = whole(&tags);
        let parts = tags
            .into_iter()
            .enumerate()
            .map(|(i, tag)| CompletedPart::builder().part_number(i as i32 + 1).e_tag(tag).build())
            .collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut backoff = Backoff::new(&self.inner.context);
        late::over(&self.inner.label, &self.key).await;
        let mut again = false;
        let receipt = loop {
            let error = match self.try_complete(parts.clone()).await {
                Ok(tag) if whole.as_deref() == Some(tag.trim_matches('"')) => break Receipt::Parts(tag),
                Ok(tag) => break Receipt::Tag(tag),
                Err(e) => e,
            };
            // The first answer may have been lost on the way: whoever reads the object back decides. Only the ETag tells it
            // from what was there before.
            if again
                && error.kind() == Kind::NotFound
                && let Some(whole) = whole
            {
                break Receipt::Tag(whole);
            }
            self.inner.may_come_late(&self.key, &error);
            if let Err(e) = backoff.pause(error).await {
                if !(self.lasting && e.kind().retry()) {
                    let _ = self.abort().await;
                }
                return Err(e.within("completing the upload"));
            }
            again = true;
        };
        self.open = false;
        Ok(receipt)
    }

    /// Gives the ETag of the object.
    async fn try_complete(&self, parts: CompletedMultipartUpload) -> Result<String> {
        let inner = &self.inner;
        let request = inner.client.sdk().await?.complete_multipart_upload();
        let request = request.bucket(&inner.config.bucket).key(&self.key).upload_id(&self.id).multipart_upload(parts);
        // S3 sends blanks while it works.
        let limits = client::slow(&inner.context, PER_PART * u32::try_from(self.count).unwrap_or(u32::MAX));
        let e = match request.customize().config_override(limits).send().await {
            Ok(answer) => return receipt(answer.e_tag().map(str::to_string)),
            Err(e) => e,
        };
        // quirk: rclone serve s3 again; an error inside a 200 has a code, a strange root has none.
        let strange = e.raw_response().filter(|r| e.code().is_none() && r.status().as_u16() == 200).and_then(|r| {
            let text = std::str::from_utf8(r.body().bytes()?).ok().filter(|text| !text.contains("<Error"))?;
            xml::element(text, "ETag").map(Cow::into_owned)
        });
        strange.filter(|tag| !tag.is_empty()).ok_or_else(|| errors::from_sdk(Op::Put, &e))
    }

    /// Gives the upload up and makes sure that no part of it stays: parts that were on their way when it was aborted may
    /// outlive the first abort.
    pub(super) async fn abort(mut self) -> Result<()> {
        self.open = false;
        abort(&self.inner, &self.key, &self.id).await
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        if self.open && !self.lasting {
            let (inner, key, id) =
                (Rc::clone(&self.inner), std::mem::take(&mut self.key), std::mem::take(&mut self.id));
            tokio::task::spawn_local(async move {
                if let Err(e) = abort(&inner, &key, &id).await {
                    tracing::warn!(target: "remotes", "{e}");
                }
            });
        }
    }
}

/// The ETag of an answer, without which nothing was stored.
pub(super) fn receipt(tag: Option<String>) -> Result<String> {
    let none = || Error::new(Op::Put, Kind::Protocol, "the server took parts of an object without giving an ETag");
    tag.filter(|tag| !tag.is_empty()).ok_or_else(none)
}

/// The ETag that S3 gives an object made of parts with these: the MD5 of theirs, and how many they are. `None` where theirs are
/// no MD5s.
fn whole(tags: &[String]) -> Option<String> {
    use md5::Digest as _;
    let mut digest = md5::Md5::new();
    for tag in tags {
        let bytes = annex_types::hex::read(tag.trim_matches('"').as_bytes());
        digest.update(bytes.filter(|bytes| bytes.len() == 16)?);
    }
    let hex = annex_types::hex::show(&digest.finalize());
    Some(format!("{hex}-{}", tags.len()))
}

/// Gives up the upload with this id, and makes sure that no part of it stays. One that is gone has been given up.
pub(super) async fn abort(inner: &Inner, key: &str, id: &str) -> Result<()> {
    let sdk = inner.client.sdk().await?;
    let bucket = &inner.config.bucket;
    let mut backoff = Backoff::new(&inner.context);
    for _ in 0..TRIES {
        match sdk.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send().await {
            Ok(_) => {}
            Err(e) => match errors::from_sdk(Op::Put, &e) {
                error if error.kind() == Kind::NotFound && e.code() == Some("NoSuchUpload") => return Ok(()),
                // A bare 404 may be said of the bucket.
                error if error.kind() == Kind::NotFound => match inner.see_bucket().await {
                    Ok(()) => return Ok(()),
                    Err(e) => {
                        backoff.pause(e.during(Op::Put)).await?;
                        continue;
                    }
                },
                e => {
                    backoff.pause(e).await.map_err(|e| e.within("aborting the upload"))?;
                    continue;
                }
            },
        }
        match sdk.list_parts().bucket(bucket).key(key).upload_id(id).max_parts(1).send().await {
            Ok(parts) if parts.parts().is_empty() => return Ok(()),
            Ok(_) => {}
            Err(e) => match errors::from_sdk(Op::Put, &e) {
                e if e.kind().retry() => backoff.pause(e).await.map_err(|e| e.within("aborting the upload"))?,
                // It is gone. Who may abort but not list gets a refusal here, and has done what can be done.
                _ => return Ok(()),
            },
        }
    }
    Err(Error::new(Op::Put, Kind::Unavailable, "aborting the upload: parts of it stay on the server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_of_parts_is_made_as_s3_makes_it() {
        // Two parts of "a" and "b".
        let tags = ["\"0cc175b9c0f1b6a831c399e269772661\"", "92eb5ffee6ae2fec3ad71c777531578f"].map(str::to_string);
        assert_eq!(whole(&tags).as_deref(), Some("96e024ba2074fe77e8e965ba43a704be-2"));
        for odd in ["", "\"\"", "0cc175b9", "0cc175b9c0f1b6a831c399e26977266x", "\u{e4}cc175b9c0f1b6a831c399e2697726"] {
            assert_eq!(whole(&[odd.to_string()]), None, "{odd}");
        }
    }
}
