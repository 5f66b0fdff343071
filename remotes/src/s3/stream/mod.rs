//! Uploading an object whose bytes come only once.
//!
//! Nothing is collected: blocks go out as they come, under a request of the object's or of a part's length. What was sent is
//! kept, by reference, while that costs nobody memory, so that a request that fails can be started over; after that a failure
//! is the sender's to mend. What would make a single PUT complete is held back until the commit.

mod flow;
#[cfg(test)]
mod model;
mod parts;
mod resume;
mod through_sdk;
mod way;

use annex_types::size;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use super::multipart::Multipart;
use super::payload::Payload;
use super::plan::{self, From, UploadPlan};
use super::{Inner, S3, single, unnamed};
use crate::budget::BLOCK;
use crate::pump::lane::FileBlocks;
use crate::pump::{FileSource, Meter};
use crate::retrieve::Requests;
use crate::{Error, Kind, Mark, ObjectName, Op, Put, Result, Resumption, Stored, Uploads, late};
use flow::{Flow, Kept};
use parts::Parts;
use way::ToObject;

/// Last bytes of a single PUT that are held back until the commit; objects no longer than this travel then as a whole.
const TAIL: u64 = 64 << 10;

/// Longest single PUT whose blocks are kept to send them again.
const KEEP: u64 = 8 << 20;

#[async_trait(?Send)]
impl Uploads for S3 {
    async fn put_stream(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let key = self.inner.writable(object).await?;
        let put = StreamPut::open(&self.inner, object, key, len).await.map_err(self.inner.name(object))?;
        Ok(Box::new(put))
    }

    fn outlives(&self, len: u64) -> bool {
        is_in_parts(&self.inner, len)
    }

    async fn resume(
        &self,
        object: &ObjectName,
        len: u64,
        upload: &Resumption,
        marks: &[Mark],
    ) -> Result<Option<Box<dyn Put>>> {
        let key = self.inner.writable(object).await?;
        let put = resume::resume(&self.inner, object, &key, len, upload, marks).await;
        Ok(put.map_err(self.inner.name(object))?.map(|put| Box::new(put) as Box<dyn Put>))
    }

    async fn abandon(&self, object: &ObjectName, upload: &Resumption) -> Result<()> {
        let key = self.inner.writable(object).await?;
        resume::abandon(&self.inner, &key, upload).await.map_err(self.inner.name(object))
    }

    async fn abandon_unnamed(&self, object: &ObjectName, begun: u64) -> Result<bool> {
        let key = self.inner.writable(object).await?;
        unnamed::abandon(&self.inner, &key, begun).await.map_err(self.inner.name(object))
    }
}

/// An object that is sent as it comes.
pub(super) struct StreamPut {
    inner: Rc<Inner>,
    object: ObjectName,
    len: u64,
    written: u64,
    form: Form,
    /// A write failed or was dropped half way: nobody knows how much of it went out.
    torn: bool,
}

enum Form {
    /// Nothing travels before the commit.
    Small { key: String, bytes: Vec<u8> },
    /// One PUT, but for its last bytes.
    Single { key: String, flow: Option<Flow>, kept: Kept, tail: Vec<u8> },
    /// Parts.
    Parts(Parts),
}

/// How an object of `len` bytes is uploaded.
fn form(inner: &Inner, len: u64) -> Result<UploadPlan> {
    plan::plan(len, From::Stream, inner.config.part_size)
        .map_err(|kind| Error::new(Op::Put, kind, format!("{} are more than S3 can keep", size::show(len))))
}

/// Whether an object of `len` bytes is uploaded in parts.
pub(super) fn is_in_parts(inner: &Inner, len: u64) -> bool {
    matches!(form(inner, len), Ok(UploadPlan::Parts(_)))
}

impl StreamPut {
    /// Opens it; an upload in parts is created on the server.
    pub(super) async fn open(inner: &Rc<Inner>, object: &ObjectName, key: String, len: u64) -> Result<Self> {
        let form = match form(inner, len)? {
            UploadPlan::Single if len <= TAIL => Form::Small { key, bytes: Vec::new() },
            UploadPlan::Single => {
                let kept = Kept::new(len <= KEEP && inner.context.budget.is_roomy());
                Form::Single { key, flow: None, kept, tail: Vec::new() }
            }
            UploadPlan::Parts(size) => {
                let upload = Multipart::create(inner, &key, parts::count(len, size)).await?.lasting();
                Form::Parts(Parts::new(&inner.context, upload, len, size))
            }
        };
        Ok(Self::new(inner, object, len, 0, form))
    }

    fn new(inner: &Rc<Inner>, object: &ObjectName, len: u64, written: u64, form: Form) -> Self {
        Self { inner: Rc::clone(inner), object: object.clone(), len, written, form, torn: false }
    }

    fn error(&self, kind: Kind, detail: impl Into<String>) -> Error {
        Error::new(Op::Put, kind, detail).object(&self.object).on(&self.inner.label)
    }

    async fn take(&mut self, mut block: Bytes) -> Result<()> {
        if !self.inner.context.budget.is_roomy() {
            self.relax();
        }
        match &mut self.form {
            Form::Small { bytes, .. } => bytes.extend_from_slice(&block),
            Form::Single { key, flow, kept, tail } => {
                let now = (self.len - TAIL).saturating_sub(self.written).min(block.len() as u64);
                let now = block.split_to(usize::try_from(now).unwrap_or(usize::MAX));
                if !now.is_empty() {
                    let flow = match flow {
                        Some(flow) => flow,
                        None => {
                            late::over(&self.inner.label, key).await;
                            let to = Rc::new(ToObject { inner: Rc::clone(&self.inner), key: key.clone() });
                            let (context, requests) = (&self.inner.context, Requests::default());
                            flow.insert(Flow::open(context, to, self.len, kept.clone(), requests).await?)
                        }
                    };
                    flow.write(now).await?;
                }
                tail.extend_from_slice(&block);
            }
            Form::Parts(parts) => parts.write(block).await?,
        }
        Ok(())
    }

    async fn settle(self) -> Result<Stored> {
        let (inner, len) = (self.inner, self.len);
        match self.form {
            Form::Small { key, bytes } => {
                single::send(&inner, &key, len, &Payload::Blocks(vec![bytes.into()]), &Meter::new()).await
            }
            Form::Single { key, flow: Some(mut flow), tail, .. } => {
                flow.write(tail.into()).await?;
                let tag = flow.finish().await?;
                Ok(single::stored(&inner, &key, len, tag).await)
            }
            Form::Single { .. } => Err(Error::new(Op::Put, Kind::Other, "nothing was sent")),
            Form::Parts(parts) => parts.complete().await,
        }
    }
}

#[async_trait(?Send)]
impl Put for StreamPut {
    fn lane(&self) -> String {
        let how = if self.inner.storing_pool().is_some() { "stream" } else { "sdk" };
        match &self.form {
            Form::Small { .. } | Form::Single { .. } => format!("{how} single"),
            Form::Parts(parts) => {
                format!("{how} parts={}x{}", parts::count(self.len, parts.size()), size::show(parts.size()))
            }
        }
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        let n = block.len() as u64;
        if n > self.len - self.written {
            return Err(self.error(Kind::Corrupt, format!("more than the {} bytes announced", self.len)));
        }
        if std::mem::replace(&mut self.torn, true) {
            return Err(self.error(Kind::Other, "bytes were written after a failure"));
        }
        self.take(block).await.map_err(self.inner.name(&self.object))?;
        self.torn = false;
        self.written += n;
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        if from.len != self.len - self.written {
            let kind = if from.len < self.len - self.written { Kind::Truncated } else { Kind::Corrupt };
            return Err(
                self.error(kind, format!("the file has {} bytes, {} are missing", from.len, self.len - self.written))
            );
        }
        let budget = self.inner.context.budget.clone();
        // One block is read while the one before may still be kept.
        let lease = std::sync::Arc::new(budget.lease(2 * BLOCK as u64).await);
        let mut blocks = FileBlocks::new(from, budget, lease);
        while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Put, "reading", e))? {
            let n = block.len() as u64;
            self.write(block).await?;
            self.relax();
            meter.add(n);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        if self.written != self.len {
            return Err(self.error(Kind::Truncated, format!("{} of {} bytes arrived", self.written, self.len)));
        }
        let name = self.inner.name(&self.object);
        self.settle().await.map_err(name)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let name = self.inner.name(&self.object);
        match self.form {
            Form::Parts(parts) => parts.abort().await.map_err(name),
            Form::Small { .. } | Form::Single { .. } => Ok(()),
        }
    }

    fn resumption(&self) -> Option<Resumption> {
        match &self.form {
            Form::Parts(parts) => Some(parts.resumption()).filter(|r| r.token.len() <= Resumption::TOKEN_MAX),
            Form::Small { .. } | Form::Single { .. } => None,
        }
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        match &mut self.form {
            Form::Parts(parts) => parts.take_marks(),
            Form::Small { .. } | Form::Single { .. } => Vec::new(),
        }
    }

    fn relax(&mut self) {
        match &mut self.form {
            Form::Small { .. } => {}
            Form::Single { kept, .. } => kept.drop_all(),
            Form::Parts(parts) => parts.relax(),
        }
    }

    async fn suspend(self: Box<Self>) -> Result<Vec<Mark>> {
        match self.form {
            Form::Parts(parts) => Ok(parts.suspend().await),
            Form::Small { .. } | Form::Single { .. } => Ok(Vec::new()),
        }
    }
}
