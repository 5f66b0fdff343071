//! An object on its way into a bucket.

use annex_types::size;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::multipart::Multipart;
use super::payload::Payload;
use super::plan::{self, From, UploadPlan};
use super::{Inner, single, wire};
use crate::budget::{BLOCK, Block, Lease};
use crate::pump::{FileSource, Lane, Meter};
use crate::{Error, Kind, ObjectName, Op, Put, Result, Stored};

/// Parts of one upload under way at once: more gain nothing where the server is near, and far away the window is what counts.
const PARTS_AT_ONCE: usize = 4;

pub(super) struct S3Put {
    inner: Rc<Inner>,
    object: ObjectName,
    key: String,
    len: u64,
    written: u64,
    state: State,
}

/// What was done with the bytes so far.
enum State {
    /// Nothing yet.
    Empty,
    /// A file that one PUT will carry, when it is committed.
    File(FileSource, Meter),
    /// Bytes that one PUT will carry, when they are committed.
    Memory(Filling),
    /// Parts travel while more bytes come.
    Parts { parts: Parts, filling: Option<Filling> },
}

/// The parts of an upload that travel now, and the ETags of those that arrived.
struct Parts {
    upload: Rc<Multipart>,
    size: u64,
    tags: Vec<String>,
    next: usize,
    tasks: JoinSet<Result<Vec<(usize, String)>>>,
}

impl Parts {
    fn new(upload: Multipart, len: u64, size: u64) -> Self {
        let tags = vec![String::new(); count(len, size)];
        Self { upload: Rc::new(upload), size, tags, next: 0, tasks: JoinSet::new() }
    }

    /// Length of the part that is filled next, of an object of `len` bytes.
    fn next_len(&self, len: u64) -> u64 {
        len.saturating_sub(self.next as u64 * self.size).clamp(1, self.size)
    }

    /// Sends the next part.
    fn send(&mut self, filling: Filling) {
        let (upload, index) = (Rc::clone(&self.upload), self.next);
        self.next += 1;
        let part = Payload::Blocks(filling.finish());
        self.tasks.spawn_local(async move { Ok(vec![(index, upload.send(index + 1, &part, &Meter::new()).await?)]) });
    }

    /// Waits for one task. The first failure is the upload's; dropping the set stops the others.
    async fn join(&mut self) -> Result<()> {
        if let Some(done) = self.tasks.join_next().await {
            let arrived = done.map_err(|_| Error::new(Op::Put, Kind::Other, "a part's task died"))?;
            for (index, tag) in arrived? {
                self.tags[index] = tag;
            }
        }
        Ok(())
    }

    async fn join_all(&mut self) -> Result<()> {
        while !self.tasks.is_empty() {
            self.join().await?;
        }
        Ok(())
    }
}

fn count(len: u64, size: u64) -> usize {
    usize::try_from(len.div_ceil(size)).unwrap_or(usize::MAX)
}

/// Blocks that are not on their way yet, in memory leased for all of them.
struct Filling {
    lease: Arc<Lease>,
    full: Vec<Bytes>,
    last: Option<Block>,
    len: u64,
}

impl Filling {
    async fn new(inner: &Inner, len: u64) -> Self {
        let bytes = len.next_multiple_of(BLOCK as u64).max(BLOCK as u64);
        Self { lease: Arc::new(inner.context.budget.lease(bytes).await), full: Vec::new(), last: None, len: 0 }
    }

    /// Copies bytes up to `room`; gives back what did not fit.
    fn push(&mut self, inner: &Inner, bytes: &mut Bytes, room: u64) {
        let mut take = bytes.split_to(bytes.len().min(usize::try_from(room - self.len).unwrap_or(usize::MAX)));
        while !take.is_empty() {
            let block = self.last.get_or_insert_with(|| inner.context.budget.block().under(&self.lease));
            let n = block.push(&take);
            let _ = take.split_to(n);
            self.len += n as u64;
            if block.is_full()
                && let Some(block) = self.last.take()
            {
                self.full.push(block.freeze());
            }
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.full.extend(self.last.take().map(Block::freeze));
        self.full
    }
}

impl S3Put {
    pub(super) fn open(inner: &Rc<Inner>, object: &ObjectName, key: String, len: u64) -> Result<Self> {
        let put = Self { inner: Rc::clone(inner), object: object.clone(), key, len, written: 0, state: State::Empty };
        put.upload(From::FileFar)?;
        Ok(put)
    }

    fn error(&self, kind: Kind, detail: impl Into<String>) -> Error {
        Error::new(Op::Put, kind, detail).object(&self.object).on(&self.inner.label)
    }

    fn upload(&self, from: From) -> Result<UploadPlan> {
        plan::plan(self.len, from, self.inner.config.part_size)
            .map_err(|kind| self.error(kind, format!("{} are more than S3 can keep", size::show(self.len))))
    }

    fn file_place(&self) -> From {
        let is_plain = self.inner.storing_pool().is_some_and(wire::Pool::is_plain);
        if is_plain && self.inner.config.endpoint.is_some() { From::FileNear } else { From::FileFar }
    }

    async fn start_parts(&self, size: u64) -> Result<Parts> {
        let upload = Multipart::create(&self.inner, &self.key, count(self.len, size)).await?;
        Ok(Parts::new(upload, self.len, size))
    }

    /// All parts of a file, some side by side. The state holds them meanwhile, so that a future that is dropped half way
    /// leaves to [`Put::abort`] what there is to abort.
    async fn send_file(&mut self, from: &FileSource, size: u64, meter: &Meter) -> Result<()> {
        let mut parts = self.start_parts(size).await?;
        let (len, count) = (self.len, parts.tags.len());
        let next = Rc::new(Cell::new(0));
        for _ in 0..PARTS_AT_ONCE.min(count) {
            let (upload, next, from, meter) = (Rc::clone(&parts.upload), Rc::clone(&next), from.clone(), meter.clone());
            parts.tasks.spawn_local(async move {
                let mut tags = Vec::new();
                loop {
                    let index = next.get();
                    if index >= count {
                        return Ok(tags);
                    }
                    next.set(index + 1);
                    let at = index as u64 * size;
                    let part = Payload::File(from.part(at, size.min(len - at)));
                    tags.push((index, upload.send(index + 1, &part, &meter).await?));
                }
            });
        }
        self.state = State::Parts { parts, filling: None };
        match &mut self.state {
            State::Parts { parts, .. } => parts.join_all().await,
            _ => Ok(()),
        }
    }

    async fn write_memory(&mut self, mut block: Bytes) -> Result<()> {
        if let State::Empty = self.state {
            self.state = match self.upload(From::Memory)? {
                UploadPlan::Single => State::Memory(Filling::new(&self.inner, self.len).await),
                UploadPlan::Parts(size) => {
                    let parts = self.start_parts(size).await?;
                    State::Parts { parts, filling: Some(Filling::new(&self.inner, size).await) }
                }
            };
        }
        match &mut self.state {
            State::Memory(filling) => filling.push(&self.inner, &mut block, self.len),
            State::Parts { parts, filling: place } => {
                while !block.is_empty() {
                    let mut filling = match place.take() {
                        Some(filling) => filling,
                        None => Filling::new(&self.inner, parts.next_len(self.len)).await,
                    };
                    filling.push(&self.inner, &mut block, parts.size);
                    if filling.len < parts.size {
                        *place = Some(filling);
                        break;
                    }
                    // The full part leaves before memory for the next is asked for: who waits for memory keeps none that
                    // nobody sends.
                    parts.send(filling);
                    while parts.tasks.len() >= PARTS_AT_ONCE {
                        parts.join().await?;
                    }
                }
            }
            State::Empty | State::File(..) => {
                return Err(self.error(Kind::Other, "bytes were written after a file"));
            }
        }
        Ok(())
    }

    async fn single(&self, payload: &Payload, meter: &Meter) -> Result<Stored> {
        single::send(&self.inner, &self.key, self.len, payload, meter).await
    }

    async fn settle(&mut self) -> Result<Stored> {
        match std::mem::replace(&mut self.state, State::Empty) {
            State::File(file, meter) => self.single(&Payload::File(file), &meter).await,
            State::Memory(filling) => self.single(&Payload::Blocks(filling.finish()), &Meter::new()).await,
            State::Empty => self.single(&Payload::Blocks(Vec::new()), &Meter::new()).await,
            State::Parts { mut parts, filling } => {
                if let Some(filling) = filling {
                    parts.send(filling);
                }
                if let Err(e) = parts.join_all().await {
                    self.state = State::Parts { parts, filling: None };
                    return Err(e);
                }
                let Parts { upload, tags, .. } = parts;
                let receipt = complete(upload, tags).await?;
                single::read_back(&self.inner, &self.key, self.len, Some(&receipt)).await
            }
        }
    }

    async fn give_up(&mut self) -> Result<()> {
        let State::Parts { parts, .. } = std::mem::replace(&mut self.state, State::Empty) else { return Ok(()) };
        let Parts { upload, mut tasks, .. } = parts;
        tasks.shutdown().await;
        // No task holds it any more; if one did, the last to let go would abort it.
        match Rc::try_unwrap(upload) {
            Ok(upload) => upload.abort().await,
            Err(_) => Ok(()),
        }
    }
}

async fn complete(upload: Rc<Multipart>, tags: Vec<String>) -> Result<single::Receipt> {
    let upload = Rc::try_unwrap(upload).map_err(|_| Error::new(Op::Put, Kind::Other, "a part is still on its way"))?;
    upload.complete(tags).await
}

#[async_trait(?Send)]
impl Put for S3Put {
    fn lane(&self) -> String {
        let how = |from| match self.upload(from) {
            Ok(UploadPlan::Parts(size)) => {
                format!("parts={}x{}", count(self.len, size), size::show(size))
            }
            _ => "single".into(),
        };
        match (&self.state, self.inner.storing_pool()) {
            (State::Memory(_) | State::Parts { .. }, _) => format!("buffered {}", how(From::Memory)),
            (_, Some(pool)) if !pool.is_plain() => format!("tls {}", how(self.file_place())),
            (_, Some(_)) => format!("{} {}", Lane::Sendfile.as_str(), how(self.file_place())),
            (_, None) => format!("sdk {}", how(self.file_place())),
        }
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        let n = block.len() as u64;
        if self.written + n > self.len {
            return Err(self.error(Kind::Corrupt, format!("more than the {} bytes announced", self.len)));
        }
        self.write_memory(block).await.map_err(self.inner.name(&self.object))?;
        self.written += n;
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        if from.len != self.len {
            let kind = if from.len < self.len { Kind::Truncated } else { Kind::Corrupt };
            return Err(self.error(kind, format!("the file has {} bytes, {} were announced", from.len, self.len)));
        }
        match self.upload(self.file_place())? {
            // A PUT shows the object when it ends, so it waits for the commit.
            UploadPlan::Single => self.state = State::File(from.clone(), meter.clone()),
            UploadPlan::Parts(size) => {
                self.send_file(from, size, meter).await.map_err(self.inner.name(&self.object))?;
            }
        }
        self.written = self.len;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        if self.written != self.len {
            let error = self.error(Kind::Truncated, format!("{} of {} bytes arrived", self.written, self.len));
            let _ = self.give_up().await;
            return Err(error);
        }
        match self.settle().await {
            Ok(stored) => Ok(stored),
            Err(e) => {
                let _ = self.give_up().await;
                Err(e.object(&self.object).on(&self.inner.label))
            }
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.give_up().await.map_err(self.inner.name(&self.object))
    }
}
