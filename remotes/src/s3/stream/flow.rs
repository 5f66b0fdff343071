//! One request whose payload comes bit by bit: a PUT or a part.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::through_sdk::SdkUpload;
use crate::retrieve::Requests;
use crate::retry::Backoff;
use crate::s3::multipart::{self, Multipart};
use crate::s3::{Inner, single, wire};
use crate::{Error, Kind, Op, Result, late};

/// What a request carries.
#[derive(Clone)]
pub(super) enum Target {
    /// The object with this key.
    Object(String),
    /// A part, counted from 1.
    Part(Rc<Multipart>, usize),
}

/// Blocks that were sent and may have to be sent again; whoever holds a clone can let go of them.
#[derive(Clone, Default)]
pub(super) struct Kept(Rc<RefCell<Option<Vec<Bytes>>>>);

impl Kept {
    pub(super) fn new(keep: bool) -> Self {
        Self(Rc::new(RefCell::new(keep.then(Vec::new))))
    }

    /// Lets go: what fails from now on has failed.
    pub(super) fn drop_all(&self) {
        self.0.borrow_mut().take();
    }

    /// True where nobody else can send them again.
    pub(super) fn is_mine_alone(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    fn push(&self, block: &Bytes) {
        if let Some(blocks) = &mut *self.0.borrow_mut() {
            blocks.push(block.clone());
        }
    }

    fn all(&self) -> Option<Vec<Bytes>> {
        self.0.borrow().clone()
    }
}

/// A request under way, and what it takes to start it over. Dropping it undoes it.
pub(super) struct Flow {
    inner: Rc<Inner>,
    target: Target,
    len: u64,
    way: Option<Way>,
    kept: Kept,
    backoff: Backoff,
    /// On a connection that had been used before: that it is dead says nothing of the server.
    used: bool,
    requests: Requests,
}

enum Way {
    Wire(wire::Upload),
    Sdk(SdkUpload),
}

impl Way {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        match self {
            Way::Wire(upload) => upload.write(block).await,
            Way::Sdk(upload) => upload.write(block).await,
        }
    }

    async fn finish(self) -> Result<Option<String>> {
        let response = match self {
            Way::Wire(upload) => upload.finish().await?,
            Way::Sdk(upload) => return upload.finish().await,
        };
        if response.status() != 200 {
            return Err(response.into_error().await);
        }
        let tag = response.etag().map(str::to_string);
        response.finish().await;
        Ok(tag)
    }
}

impl Flow {
    /// Starts a request of `len` bytes; tries again where that can help.
    pub(super) async fn open(
        inner: &Rc<Inner>,
        target: Target,
        len: u64,
        kept: Kept,
        requests: Requests,
    ) -> Result<Self> {
        if let Target::Object(key) = &target {
            late::over(&inner.label, key).await;
        }
        let used = kept.0.borrow().is_some();
        let backoff = Backoff::new(&inner.context);
        let mut flow = Self { inner: Rc::clone(inner), target, len, way: None, kept, backoff, used, requests };
        match flow.connect().await {
            Ok(way) => flow.way = Some(way),
            Err(e) => flow.start_over(e, Vec::new()).await?,
        }
        Ok(flow)
    }

    /// Sends the next bytes.
    pub(super) async fn write(&mut self, block: Bytes) -> Result<()> {
        let Some(way) = &mut self.way else {
            return Err(Error::new(Op::Put, Kind::Other, "bytes were written after a failure"));
        };
        self.kept.push(&block);
        match way.write(block).await {
            Ok(()) => Ok(()),
            Err(e) => self.send_again(e).await,
        }
    }

    /// Waits for the answer; gives its ETag.
    pub(super) async fn finish(mut self) -> Result<String> {
        loop {
            let Some(way) = self.way.take() else {
                return Err(Error::new(Op::Put, Kind::Other, "an answer was awaited after a failure"));
            };
            match way.finish().await {
                Ok(tag) if matches!(self.target, Target::Object(_)) => return single::receipt(tag),
                Ok(tag) => return multipart::receipt(tag),
                Err(e) => {
                    if let Target::Object(key) = &self.target {
                        self.inner.may_come_late(key, &e);
                    }
                    self.send_again(e).await?;
                }
            }
        }
    }

    /// After `error`: everything once more, where it was kept.
    async fn send_again(&mut self, error: Error) -> Result<()> {
        self.way = None;
        match self.kept.all() {
            Some(blocks) => self.start_over(error, blocks).await,
            None => Err(error),
        }
    }

    async fn start_over(&mut self, mut error: Error, blocks: Vec<Bytes>) -> Result<()> {
        loop {
            self.requests.failed(error.kind());
            match error.kind() {
                Kind::Reset if self.used => {}
                // Who sends waits for an answer within the limit that has just run out.
                Kind::Timeout => return Err(error),
                _ => self.backoff.pause(error).await?,
            }
            self.used = false;
            match self.attempt(&blocks).await {
                Ok(way) => {
                    self.way = Some(way);
                    return Ok(());
                }
                Err(e) => error = e,
            }
        }
    }

    async fn attempt(&self, blocks: &[Bytes]) -> Result<Way> {
        let mut way = self.connect().await?;
        for block in blocks {
            way.write(block.clone()).await?;
        }
        Ok(way)
    }

    async fn connect(&self) -> Result<Way> {
        self.requests.ask();
        let (inner, len) = (&self.inner, self.len);
        let Some(pool) = inner.storing_pool() else {
            return Ok(Way::Sdk(match &self.target {
                Target::Object(key) => {
                    SdkUpload::object(inner, single::request(inner, key, &inner.client.sdk().await?), len)
                }
                Target::Part(upload, number) => SdkUpload::part(inner, upload.request(*number).await?, len),
            }));
        };
        let request = match &self.target {
            Target::Object(key) => single::plain(inner, key).await?,
            Target::Part(upload, number) => upload.plain(*number).await?,
        };
        request.start(pool, len, self.used).await.map(Way::Wire)
    }
}
