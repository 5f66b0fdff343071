//! Copies on the server. No content passes through here.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass};

use super::belief::{Condition, Known, NO_SUCH_TAG};
use super::head::Seen;
use super::multipart::Multipart;
use super::plan::PART_MAX;
use super::single::Receipt;
use super::small::{self, Small};
use super::version::Of;
use super::xml::Document;
use super::{Inner, client, config, errors};
use crate::retry::Backoff;
use crate::{Error, Kind, Op, PAGE, Result, Stored, late};

/// Bytes a second that a server copies at the least, for the limit on waiting.
const PACE: u64 = 10 << 20;

/// Parts of a copy under way at once.
const AT_ONCE: usize = 8;

/// Bytes of a part that the server copies.
const PART: u64 = 1 << 30;

/// A copy on the server.
pub(super) struct Copy<'a> {
    pub(super) inner: &'a Rc<Inner>,
    pub(super) op: Op,
    pub(super) from: Of<'a>,
    pub(super) to: &'a str,
    /// The original must still have this ETag.
    pub(super) tag: Option<&'a str>,
}

/// A copy, as the server tells of it.
struct Made {
    tag: String,
    version: Option<String>,
}

impl Copy<'_> {
    /// Copies the object and sees that the copy is whole.
    pub(super) async fn run(&self) -> Result<Stored> {
        self.run_known().await.map(|(stored, _)| stored)
    }

    /// The same; with what was copied.
    pub(super) async fn run_known(&self) -> Result<(Stored, Known)> {
        let belief = &self.inner.belief;
        let asked = |known: &Known| self.from != Of::from(self.to) && self.tag.is_none_or(|tag| tag == known.tag);
        let mut known = belief.of(self.from);
        if known.is_none() && self.op == Op::Rename && belief.is_worth_a_page(self.from) {
            self.look_ahead().await;
            known = belief.of(self.from);
        }
        if let Some(known) = known.filter(asked) {
            match self.copy(&known).await {
                // It is another object by now, or is gone.
                Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::NotFound) => belief.forget(self.from.key),
                copied => return copied.map(|stored| (stored, known)),
            }
        }
        let seen = self.seen().await?;
        let known = Known { len: seen.stat.len, tag: seen.stat.tag.unwrap_or_default(), class: seen.class };
        if self.tag.is_some_and(|wanted| wanted != known.tag) {
            return Err(self.replaced());
        }
        if self.from == Of::from(self.to) {
            return Ok((Stored { len: known.len, tag: Some(known.tag.clone()), version: seen.stat.version }, known));
        }
        self.copy(&known).await.map(|stored| (stored, known))
    }

    fn replaced(&self) -> Error {
        Error::new(self.op, Kind::Corrupt, "the object was replaced before it was copied")
    }

    /// Lists what comes from the original on. Where that fails, each is asked for.
    async fn look_ahead(&self) {
        let inner = self.inner;
        let page = async {
            let request = inner.client.sdk().await?.list_objects_v2().bucket(&inner.config.bucket);
            let mut before = self.from.key.to_string();
            before.pop();
            let request = request.max_keys(PAGE as i32).set_start_after((!before.is_empty()).then_some(before));
            request.send().await.map_err(|e| errors::from_sdk(self.op, &e))
        };
        let Ok(page) = page.await else { return };
        let known = page.contents().iter().filter_map(|object| {
            let tag = object.e_tag().filter(|tag| !tag.is_empty())?.to_string();
            let len = u64::try_from(object.size()?).ok().filter(|len| !self.goes_in_parts(*len))?;
            // As HEAD tells it.
            let class = object.storage_class().map(|class| class.as_str()).filter(|class| *class != "STANDARD");
            Some((object.key()?.to_string(), Known { len, tag, class: class.map(StorageClass::from) }))
        });
        inner.belief.foresee(known.collect());
    }

    /// Copies what is known.
    async fn copy(&self, known: &Known) -> Result<Stored> {
        let belief = &self.inner.belief;
        late::over(&self.inner.label, self.to).await;
        let receipt = if self.goes_in_parts(known.len) {
            self.in_parts(known).await?
        } else {
            let Made { tag, version } = self.in_one(known).await?;
            if belief.is_proof(&known.tag, &tag) && (version.is_some() || !self.inner.config.versioning) {
                self.learn(known, Some(&tag));
                return Ok(Stored { len: known.len, tag: Some(tag), version });
            }
            Receipt::Tag(tag)
        };
        let copy = self.read_back(known.len, &receipt).await?;
        belief.saw();
        if belief.is_curious(&belief.source) && !self.goes_in_parts(known.len) && !self.try_conditions(known).await {
            // It has copied again, and perhaps something else.
            return self.read_back(known.len, &receipt).await;
        }
        self.learn(known, copy.tag.as_deref());
        Ok(copy)
    }

    fn goes_in_parts(&self, len: u64) -> bool {
        len > self.inner.copy_max.min(PART_MAX)
    }

    fn learn(&self, of: &Known, tag: Option<&str>) {
        if let Some(tag) = tag.filter(|_| !self.goes_in_parts(of.len)) {
            let class = of.class.clone().or_else(|| self.inner.config.storage_class.as_deref().map(Into::into));
            self.inner.belief.learn(self.to, Known { len: of.len, tag: tag.into(), class });
        }
    }

    async fn read_back(&self, len: u64, receipt: &Receipt) -> Result<Stored> {
        let copy = super::single::read_back(self.inner, self.to, len, Some(receipt)).await;
        let copy = copy.map_err(|e| {
            if matches!(e.kind(), Kind::Corrupt | Kind::Protocol) {
                self.inner.belief.lied();
            }
            e.during(self.op)
        })?;
        // Who may not look at the copy must not remove the original for it.
        if copy.tag.is_none() {
            return Err(Error::new(self.op, Kind::Denied, "the copy cannot be checked"));
        }
        Ok(copy)
    }

    /// In one request. Where somebody may have come late with another it is made where nothing is, if the store can.
    async fn in_one(&self, known: &Known) -> Result<Made> {
        let target = &self.inner.belief.target;
        if target.get() == Condition::Holds {
            match self.often(|| self.at_once(known, &known.tag, Some("*"))).await {
                // Something is there, which is replaced; or the original is another.
                Err(e) if e.kind() == Kind::Corrupt => {}
                made => return made,
            }
        }
        self.often(|| self.at_once(known, &known.tag, None)).await
    }

    /// Copies once more under conditions that do not hold, where the copy is already. False where that was done all the same,
    /// or may have been.
    async fn try_conditions(&self, known: &Known) -> bool {
        let belief = &self.inner.belief;
        let mut was_done = false;
        for (condition, tag, none) in [(&belief.source, NO_SUCH_TAG, None), (&belief.target, &*known.tag, Some("*"))] {
            let is_refused = match self.at_once(known, tag, none).await {
                Err(e) => {
                    was_done |= e.kind().retry();
                    e.kind() == Kind::Corrupt
                }
                Ok(_) => {
                    was_done = true;
                    false
                }
            };
            condition.set(if is_refused { Condition::Holds } else { Condition::Ignored });
        }
        !was_done
    }

    async fn often<T, F: Future<Output = Result<T>>>(&self, mut request: impl FnMut() -> F) -> Result<T> {
        let mut backoff = Backoff::new(&self.inner.context);
        loop {
            match request().await {
                Ok(done) => return Ok(done),
                Err(e) => backoff.pause(e).await?,
            }
        }
    }

    /// The original, as the store tells of it.
    async fn seen(&self) -> Result<Seen> {
        self.often(|| async {
            let seen = self.inner.see(self.from).await.map_err(|e| e.during(self.op))?;
            seen.ok_or_else(|| Error::new(self.op, Kind::NotFound, "is not there"))
        })
        .await
    }

    fn source(&self) -> String {
        let source = config::encode(&format!("{}/{}", self.inner.config.bucket, self.from.key));
        match self.from.version {
            Some(version) => format!("{source}?versionId={}", config::encode(version)),
            None => source,
        }
    }

    /// The class of the original; a copy would be of the standard class otherwise.
    fn class(&self, of: Option<&StorageClass>) -> Option<StorageClass> {
        of.cloned().or_else(|| self.inner.config.storage_class.as_deref().map(Into::into))
    }

    fn limit(&self, len: u64) -> Duration {
        self.inner.context.idle + Duration::from_secs(len / PACE)
    }

    async fn within<T>(&self, len: u64, request: impl Future<Output = Result<T>>) -> Result<T> {
        let late = || Error::new(self.op, Kind::Timeout, "the copy on the server took too long");
        tokio::time::timeout(self.limit(len), request).await.unwrap_or_else(|_| Err(late()))
    }

    /// Gives what the server tells of the copy: of an object with this ETag, and, with `none`, where nothing is.
    async fn at_once(&self, known: &Known, tag: &str, none: Option<&str>) -> Result<Made> {
        let send = async {
            match self.plain(known, tag, none).await? {
                Some(made) => Ok(made),
                None => self.through_sdk(known, tag, none).await,
            }
        };
        self.within(known.len, send).await.inspect_err(|e| self.inner.may_come_late(self.to, e))
    }

    /// On a connection of our own. `None` where only the SDK can ask.
    async fn plain(&self, known: &Known, tag: &str, none: Option<&str>) -> Result<Option<Made>> {
        let (inner, limit) = (self.inner, self.limit(known.len));
        let (source, class) = (self.source(), self.class(known.class.as_ref()));
        let mut headers = vec![("x-amz-copy-source", &*source), ("x-amz-copy-source-if-match", tag)];
        headers.extend(class.as_ref().map(|class| ("x-amz-storage-class", class.as_str())));
        headers.extend(none.map(|none| ("if-none-match", none)));
        headers.extend(inner.config.public.then_some(("x-amz-acl", ObjectCannedAcl::PublicRead.as_str())));
        let request = Small { op: self.op, method: "PUT", key: self.to, headers: &headers, limit };
        let Some(answer) = inner.send_small(&request).await? else { return Ok(None) };
        let answer = small::told(self.op, "CopyObject", answer).await.map_err(|refusal| refusal.error)?;
        let version = inner.version(self.to, answer.version());
        let text = answer.into_text(limit).await?;
        Ok(Some(Made { tag: self.receipt(result(self.op, &text)?.as_deref())?, version }))
    }

    async fn through_sdk(&self, known: &Known, tag: &str, none: Option<&str>) -> Result<Made> {
        let config = &self.inner.config;
        let request = self.inner.client.sdk().await?.copy_object().bucket(&config.bucket).key(self.to);
        let mut request = request.copy_source(self.source()).set_storage_class(self.class(known.class.as_ref()));
        request = request.copy_source_if_match(tag).set_if_none_match(none.map(str::to_string));
        if config.public {
            request = request.acl(ObjectCannedAcl::PublicRead);
        }
        let sent = request.customize().config_override(client::patient()).send().await;
        let answer = sent.map_err(|e| errors::from_sdk(self.op, &e))?;
        let tag = self.receipt(answer.copy_object_result().and_then(|result| result.e_tag()))?;
        Ok(Made { tag, version: self.inner.version(self.to, answer.version_id()) })
    }

    /// Without the ETag of what was made, a 200 tells nothing: S3 sends it before it begins to copy.
    fn receipt(&self, tag: Option<&str>) -> Result<String> {
        tag.filter(|tag| !tag.is_empty())
            .map(str::to_string)
            .ok_or_else(|| Error::new(self.op, Kind::Protocol, "the server reports a copy without giving its ETag"))
    }

    /// What belongs to the original and has to be said again of an object that is made of parts.
    async fn described(&self, known: &Known) -> Result<HeadObjectOutput> {
        let head = self.often(|| async {
            let asked = self.inner.request_head(self.from).await?.send().await;
            asked.map_err(|e| errors::from_sdk(self.op, &e))
        });
        let head = head.await?;
        if head.e_tag() != Some(&known.tag) {
            return Err(self.replaced());
        }
        Ok(head)
    }

    async fn in_parts(&self, known: &Known) -> Result<Receipt> {
        let head = self.described(known).await?;
        let len = known.len;
        let part = self.inner.copy_max.clamp(super::plan::PART_MIN, PART).max(len.div_ceil(super::plan::PARTS_MAX));
        let count = usize::try_from(len.div_ceil(part)).unwrap_or(usize::MAX);
        let class = self.class(known.class.as_ref());
        let upload = Multipart::create_like(self.inner, self.to, count, &head, class).await?;
        match self.parts(&upload, known, part).await {
            Ok(tags) => upload.complete(tags).await.map_err(|e| e.during(self.op)),
            Err(e) => {
                // The failure of the part is the one to tell.
                let _ = upload.abort().await;
                Err(e)
            }
        }
    }

    async fn parts(&self, upload: &Multipart, known: &Known, part: u64) -> Result<Vec<String>> {
        use futures_util::{StreamExt, TryStreamExt};
        let len = known.len;
        let numbers = 0..len.div_ceil(part);
        let copies = numbers.map(|number| async move {
            let (first, last) = (number * part, ((number + 1) * part).min(len) - 1);
            self.often(|| self.part(upload, &known.tag, number, first, last)).await
        });
        futures_util::stream::iter(copies).buffered(AT_ONCE).try_collect().await
    }

    async fn part(&self, upload: &Multipart, tag: &str, n: u64, first: u64, last: u64) -> Result<String> {
        let sdk = self.inner.client.sdk().await?;
        let request = sdk.upload_part_copy().bucket(&self.inner.config.bucket).key(self.to).upload_id(upload.id());
        let request = request
            .part_number(i32::try_from(n + 1).unwrap_or(i32::MAX))
            .copy_source(self.source())
            .copy_source_range(format!("bytes={first}-{last}"))
            .copy_source_if_match(tag);
        let send = async {
            let sent = request.customize().config_override(client::patient()).send().await;
            let answer = sent.map_err(|e| errors::from_sdk(self.op, &e).within(format!("part {}", n + 1)))?;
            self.receipt(answer.copy_part_result().and_then(|result| result.e_tag()))
        };
        self.within(last - first + 1, send).await
    }
}

/// The ETag in the answer to a CopyObject, or the error there: S3 begins to answer with 200 before it knows.
fn result(op: Op, text: &str) -> Result<Option<String>> {
    let Some(document) = Document::read(text) else { return Ok(None) };
    let part = |name| document.text(name).unwrap_or_default();
    match document.root {
        "CopyObjectResult" => Ok(document.text("ETag").map(Cow::into_owned)),
        "Error" => Err(errors::refusal(op, 200, &part("Code"), &part("Message"))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_of_success_has_an_etag() {
        let blanks = " \n".repeat(1000);
        for (text, expected) in [
            ("<CopyObjectResult><ETag>\"ab\"</ETag></CopyObjectResult>", Ok(Some("\"ab\""))),
            (
                "<CopyObjectResult xmlns=\"x\"><LastModified>y</LastModified><ETag>&quot;ab&quot;</ETag></CopyObjectResult>",
                Ok(Some("\"ab\"")),
            ),
            ("<CopyObjectResult><ETag></ETag></CopyObjectResult>", Ok(Some(""))),
            ("<CopyObjectResult></CopyObjectResult>", Ok(None)),
            ("<CopyObjectResult/>", Ok(None)),
            ("<CopyObjectResult><ETag>\"ab\"</ETag>", Ok(None)),
            ("<CopyPartResult><ETag>\"ab\"</ETag></CopyPartResult>", Ok(None)),
            ("<html><ETag>\"ab\"</ETag></html>", Ok(None)),
            ("", Ok(None)),
            ("<Error><Code>SlowDown</Code><ETag>\"ab\"</ETag></Error>", Err(Kind::Throttled)),
            ("<Error><Code>InternalError</Code></Error>", Err(Kind::Unavailable)),
            ("<Error/>", Err(Kind::Other)),
        ] {
            for text in [text.to_string(), format!("<?xml version=\"1.0\"?>{blanks}{text}{blanks}")] {
                let found = result(Op::Copy, &text).map_err(|e| e.kind());
                assert_eq!(found.as_ref().map(|tag| tag.as_deref()).map_err(|kind| *kind), expected, "{text}");
            }
        }
    }
}
