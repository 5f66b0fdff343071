//! Retrieving an object into a file, strictly in order, however many ranges are read side by side.
//!
//! Each range is read by a task of its own into blocks leased for it; the file takes the ranges one after the other, the
//! front one as it arrives. So the file never has a hole, and what it holds after a failure is a prefix to resume from.

use annex_types::size;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::budget::{BLOCK, Block, Lease};
use crate::pump::lane::{FileBlocks, SocketBlocks, copy_range};
use crate::pump::{Meter, SinkKind, Source, SourceKind, plan};
use crate::retry::Backoff;
use crate::sys::{DataFile, Engine};
use crate::{Context, Error, Get, Kind, ObjectName, Op, Range, Result, Store};

/// Bytes of one range where several are read side by side. Large enough that the request's cost does not show, small enough
/// that a window of them fits beside many other transfers.
const RANGE: u64 = 8 << 20;

/// Blocks that may wait for the file where one range is all there is.
const SINGLE_QUEUE: usize = 2;

/// What a retrieve did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrieved {
    /// Length of the object, and now of the file.
    pub total: u64,
    /// See [`crate::Stat::tag`]: of the object that was read, all of it.
    pub tag: Option<String>,
    /// Bytes that were already in the file and not read again.
    pub resumed: u64,
    /// How the bytes travelled, for the log.
    pub lane: String,
}

/// Reads `object` into `file`, which already holds its first `have` bytes, as far as anyone knows.
///
/// A file longer than the object is started anew, and so is one on a store that cannot read from the middle. On an error the
/// file keeps the prefix that arrived.
pub async fn into_file(
    store: &Rc<dyn Store>,
    object: &ObjectName,
    file: &Arc<File>,
    have: u64,
    meter: &Meter,
    context: &Context,
) -> Result<Retrieved> {
    let can = store.capabilities();
    let have = if can.ranges { have } else { 0 };
    let mut width = if can.ranges { can.width.max(1) } else { 1 };
    let piece = (width > 1).then_some(RANGE);
    let mut from = have;
    let mut first = open(store, object, Range { from, len: piece, tag: None }, context).await?;
    if from > first.total {
        from = 0;
        first = open(store, object, Range { from, len: piece, tag: None }, context).await?;
    }
    if first.total - from > first.len && store.capabilities().width == 1 {
        // It sends all of the object for each range: then one stream is less.
        width = 1;
        first = open(store, object, Range { from, len: None, tag: first.tag.clone() }, context).await?;
    }
    truncate(file, from).map_err(|e| local("the file to write", e))?;
    meter.set(from);
    let (total, tag) = (first.total, first.tag.clone());
    let mut lane =
        plan(kind(&first.source), SinkKind::File, Default::default(), Engine::current()).as_str().to_string();
    if let Source::File(source) = &first.source {
        copy_range(source, file, from, meter)
            .await
            .map_err(|e| local("copying", e).object(object).on(store.label()))?;
    } else {
        if width > 1 && total - from > RANGE {
            lane = format!("{lane} ranges={width}x{}", size::show(RANGE));
        }
        Window { store, object, context, total, next: from, width, tag: first.tag.clone() }
            .drain(first, file, meter)
            .await?;
    }
    Ok(Retrieved { total, tag, resumed: from, lane })
}

fn kind(source: &Source) -> SourceKind {
    match source {
        Source::File(_) => SourceKind::File,
        Source::Socket(_) => SourceKind::Socket,
        Source::Stream(_) => SourceKind::Stream,
    }
}

/// Opens a range; passing faults are tried again.
async fn open(store: &Rc<dyn Store>, object: &ObjectName, range: Range, context: &Context) -> Result<Get> {
    let mut backoff = Backoff::new(context);
    loop {
        match store.get(object, range.clone()).await {
            Err(e) if e.kind().retry() => backoff.pause(e).await?,
            answer => return answer,
        }
    }
}

fn truncate(file: &File, len: u64) -> io::Result<()> {
    if file.metadata()?.len() != len { file.set_len(len) } else { Ok(()) }
}

fn local(what: &str, error: io::Error) -> Error {
    Error::io(Op::Get, what, error)
}

/// The ranges in flight.
struct Window<'a> {
    store: &'a Rc<dyn Store>,
    object: &'a ObjectName,
    context: &'a Context,
    total: u64,
    next: u64,
    width: usize,
    tag: Option<String>,
}

/// A task that stops when nobody wants its blocks any more.
struct Reader {
    blocks: mpsc::Receiver<Result<Bytes>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Window<'_> {
    async fn drain(mut self, first: Get, file: &Arc<File>, meter: &Meter) -> Result<()> {
        let sink = DataFile::new(Arc::clone(file));
        let mut at = self.next;
        let budget = &self.context.budget;
        let mut readers = VecDeque::new();
        let lease = budget.lease(self.need(first.len)).await;
        readers.push_back(self.start(first.len, Some(first), lease));
        while let Some(front) = readers.front_mut() {
            match front.blocks.recv().await {
                Some(block) => {
                    let block = block?;
                    let n = block.len() as u64;
                    sink.write(block, at).await.map_err(|e| local("writing the file", e).object(self.object))?;
                    at += n;
                    meter.add(n);
                }
                None => {
                    readers.pop_front();
                }
            }
            // Further ranges start only with memory that is free now; the front one alone may wait for it, when no
            // other keeps any. So transfers never hold what another one's front waits for.
            while self.next < self.total && readers.len() < self.width {
                let len = RANGE.min(self.total - self.next);
                let lease = match budget.try_lease(self.need(len)) {
                    Some(lease) => lease,
                    None if readers.is_empty() => budget.lease(self.need(len)).await,
                    None => break,
                };
                readers.push_back(self.start(len, None, lease));
            }
        }
        if at == self.total {
            return Ok(());
        }
        Err(Error::new(Op::Get, Kind::Truncated, format!("{at} of {} bytes arrived", self.total))
            .object(self.object)
            .on(self.store.label()))
    }

    fn queue(&self) -> usize {
        if self.width > 1 { (RANGE as usize).div_ceil(BLOCK) } else { SINGLE_QUEUE }
    }

    /// Memory for a range of `len` bytes: what may wait in the queue, one block being filled, one being written.
    fn need(&self, len: u64) -> u64 {
        let blocks = len.div_ceil(BLOCK as u64).clamp(1, self.queue() as u64 + 2);
        blocks * BLOCK as u64
    }

    fn start(&mut self, len: u64, opened: Option<Get>, lease: Lease) -> Reader {
        let (tx, blocks) = mpsc::channel(self.queue());
        let range = RangeReader {
            store: Rc::clone(self.store),
            object: self.object.clone(),
            context: self.context.clone(),
            range: Range { from: self.next, len: Some(len), tag: self.tag.clone() },
            lease: Arc::new(lease),
        };
        self.next += len;
        Reader { blocks, task: tokio::task::spawn_local(range.run(opened, tx)) }
    }
}

/// Reads one range, taking it up again where it broke off.
struct RangeReader {
    store: Rc<dyn Store>,
    object: ObjectName,
    context: Context,
    range: Range,
    lease: Arc<Lease>,
}

impl RangeReader {
    async fn run(mut self, mut opened: Option<Get>, tx: mpsc::Sender<Result<Bytes>>) {
        let mut backoff = Backoff::new(&self.context);
        loop {
            let before = self.range.from;
            let error = match self.attempt(opened.take(), &tx).await {
                Ok(()) => return,
                Err(e) => e.object(&self.object).on(self.store.label()),
            };
            if self.range.from > before {
                // It moves: the tries start anew, so a long object may break as often as it likes.
                backoff = Backoff::new(&self.context);
            }
            let resumable = self.store.capabilities().ranges && error.kind().retry();
            let verdict = if resumable { backoff.pause(error).await } else { Err(error) };
            if let Err(e) = verdict {
                // Nobody may be listening any more, and then nobody needs to know.
                let _ = tx.send(Err(e)).await;
                return;
            }
        }
    }

    async fn attempt(&mut self, opened: Option<Get>, tx: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        let left = self.range.len.unwrap_or(0);
        if left == 0 {
            return Ok(());
        }
        let get = match opened {
            Some(get) => get,
            None => self.store.get(&self.object, self.range.clone()).await?,
        };
        if get.len != left {
            let detail = format!("asked for {left} bytes and was offered {}", get.len);
            return Err(Error::new(Op::Get, Kind::Corrupt, detail));
        }
        match get.source {
            Source::Socket(source) => {
                let socket = source.socket;
                let mut blocks = SocketBlocks::new(socket.stream(), source.head, source.len, self.context.idle);
                while blocks.left() > 0 {
                    let mut block = self.block();
                    let result = blocks.fill(&mut block).await;
                    self.pass(block.freeze(), tx).await?;
                    result.map_err(|e| Error::io(Op::Get, "reading", e))?;
                }
                socket.done();
            }
            Source::Stream(mut stream) => {
                let mut block = self.block();
                while let Some(bytes) = self.next(&mut *stream).await? {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        rest = &rest[block.push(rest)..];
                        if block.is_full() {
                            self.pass(std::mem::replace(&mut block, self.block()).freeze(), tx).await?;
                        }
                    }
                }
                self.pass(block.freeze(), tx).await?;
            }
            Source::File(source) => {
                let mut blocks = FileBlocks::new(&source, self.context.budget.clone(), Arc::clone(&self.lease));
                while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Get, "reading", e))? {
                    self.pass(block, tx).await?;
                }
            }
        }
        match self.range.len {
            Some(0) => Ok(()),
            left => {
                let detail = format!("{} bytes are missing", left.unwrap_or(0));
                Err(Error::new(Op::Get, Kind::Truncated, detail))
            }
        }
    }

    async fn next(&self, stream: &mut dyn crate::pump::Blocks) -> Result<Option<Bytes>> {
        match tokio::time::timeout(self.context.idle, stream.next()).await {
            Ok(result) => result,
            Err(_) => Err(stalled(self.context.idle)),
        }
    }

    fn block(&self) -> Block {
        self.context.budget.block().under(&self.lease)
    }

    /// Hands a block on and counts it.
    async fn pass(&mut self, block: Bytes, tx: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
        let n = block.len() as u64;
        if n == 0 {
            return Ok(());
        }
        let left = self.range.len.unwrap_or(0);
        if n > left {
            return Err(Error::new(Op::Get, Kind::Protocol, "more bytes than announced"));
        }
        tx.send(Ok(block)).await.map_err(|_| Error::new(Op::Get, Kind::Cancelled, "given up"))?;
        self.range.from += n;
        self.range.len = Some(left - n);
        Ok(())
    }
}

fn stalled(idle: Duration) -> Error {
    Error::new(Op::Get, Kind::Timeout, format!("nothing moved for {} s", idle.as_secs()))
}

/// Reads a small object whole.
///
/// # Errors
///
/// `TooLarge` above `max` bytes.
pub async fn read_small(store: &dyn Store, object: &ObjectName, max: u64, context: &Context) -> Result<Bytes> {
    let get = store.get(object, Range::default()).await?;
    collect(get, max, context).await.map_err(|e| e.object(object).on(store.label()))
}

/// All bytes of an opened object, in memory.
///
/// # Errors
///
/// `TooLarge` above `max` bytes.
pub async fn collect(get: Get, max: u64, context: &Context) -> Result<Bytes> {
    if get.len > max {
        return Err(Error::new(Op::Get, Kind::TooLarge, format!("{} bytes where {max} are expected", get.len)));
    }
    let mut out = Vec::new();
    let fits = async |bytes: Bytes| {
        out.extend_from_slice(&bytes);
        match out.len() as u64 > max {
            true => Err(Error::new(Op::Get, Kind::Protocol, "more bytes than announced")),
            false => Ok(()),
        }
    };
    read(get, context, fits).await?;
    Ok(out.into())
}

/// Gives all bytes of an opened object to `take`, a block after another. Holds one block at a time, and those that are kept.
pub async fn read(get: Get, context: &Context, mut take: impl AsyncFnMut(Bytes) -> Result<()>) -> Result<()> {
    let reading = |e| Error::io(Op::Get, "reading", e);
    let lease = Arc::new(context.budget.lease(BLOCK as u64).await);
    match get.source {
        Source::Socket(source) => {
            let mut blocks = SocketBlocks::new(source.socket.stream(), source.head, source.len, context.idle);
            while blocks.left() > 0 {
                let mut block = context.budget.block().under(&lease);
                blocks.fill(&mut block).await.map_err(reading)?;
                take(block.freeze()).await?;
            }
            source.socket.done();
        }
        Source::Stream(mut stream) => {
            while let Some(bytes) = stream.next().await? {
                take(bytes).await?;
            }
        }
        Source::File(source) => {
            let mut blocks = FileBlocks::new(&source, context.budget.clone(), lease);
            while let Some(block) = blocks.next().await.map_err(reading)? {
                take(block).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::conformance::pattern;
    use crate::mem::Mem;
    use crate::wrap::{Fault, Faults};

    fn quick() -> Context {
        Context { first_pause: Duration::from_millis(1), ..Context::default() }
    }

    async fn stored(width: usize, len: usize, context: &Context) -> (Rc<dyn Store>, ObjectName, Bytes) {
        let store: Rc<dyn Store> = Rc::new(Mem::new(width, context));
        let object = ObjectName::new("k").expect("a name");
        let content = pattern(1, len);
        let mut put = store.put(&object, len as u64).await.expect("opened");
        put.write(content.clone()).await.expect("written");
        put.commit().await.expect("stored");
        (store, object, content)
    }

    fn file_of(content: &[u8]) -> Arc<File> {
        let file = tempfile::tempfile().expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("written");
        Arc::new(file)
    }

    fn bytes_of(file: &File) -> Vec<u8> {
        let mut out = vec![0; file.metadata().expect("metadata").len() as usize];
        std::os::unix::fs::FileExt::read_exact_at(file, &mut out, 0).expect("read");
        out
    }

    fn block_on<T>(f: impl Future<Output = T>) -> T {
        crate::sys::run(false, f).expect("a runtime")
    }

    #[test]
    fn a_broken_stream_is_taken_up_where_it_broke() {
        block_on(async {
            let context = quick();
            for width in [1, 3] {
                let (store, object, content) = stored(width, 20 << 20, &context).await;
                let fault = |after, kind| Fault { op: Op::Get, after, kind };
                let faults =
                    [fault(1_000_000, Kind::Reset), fault(0, Kind::Throttled), fault(3_000_000, Kind::Timeout)];
                let faulty = Faults::new(store, faults);
                let left = faulty.clone();
                let store: Rc<dyn Store> = Rc::new(faulty);
                let sink = file_of(b"");
                let meter = Meter::new();
                let done = into_file(&store, &object, &sink, 0, &meter, &context).await.expect("fetched");
                assert_eq!((done.total, meter.bytes()), (20 << 20, 20 << 20));
                assert!(bytes_of(&sink) == content, "width {width}");
                assert_eq!(left.left(), 0, "all faults happened");
            }
        });
    }

    #[test]
    fn a_lasting_fault_ends_it_and_leaves_a_prefix() {
        block_on(async {
            let context = quick();
            let (store, object, content) = stored(3, 20 << 20, &context).await;
            let store: Rc<dyn Store> = Rc::new(Faults::new(
                store,
                [Fault { op: Op::Get, after: 9_000_000 - (8 << 20), kind: Kind::Denied }].into_iter().cycle().take(1),
            ));
            let sink = file_of(b"");
            let e = into_file(&store, &object, &sink, 0, &Meter::new(), &context).await.expect_err("denied");
            assert_eq!(e.kind(), Kind::Denied);
            let got = bytes_of(&sink);
            assert!(content.starts_with(&got), "what arrived is a prefix");
        });
    }

    #[test]
    fn tries_come_to_an_end() {
        block_on(async {
            let context = quick();
            let (store, object, _) = stored(1, 10, &context).await;
            let fault = Fault { op: Op::Get, after: 0, kind: Kind::Unavailable };
            let store: Rc<dyn Store> = Rc::new(Faults::new(store, [fault; 20]));
            let e = into_file(&store, &object, &file_of(b""), 0, &Meter::new(), &context).await.expect_err("down");
            assert!(e.to_string().contains("after 5 tries"), "{e}");
        });
    }

    #[test]
    fn many_wide_fetches_share_a_small_budget() {
        block_on(async {
            let context = Context { budget: Budget::new(12 << 20), ..quick() };
            let (store, object, content) = stored(4, 30 << 20, &context).await;
            let tasks: Vec<_> = (0..6)
                .map(|_| {
                    let (store, object, context) = (Rc::clone(&store), object.clone(), context.clone());
                    tokio::task::spawn_local(async move {
                        let sink = file_of(b"");
                        into_file(&store, &object, &sink, 0, &Meter::new(), &context).await.expect("fetched");
                        bytes_of(&sink)
                    })
                })
                .collect();
            for task in tasks {
                let got =
                    tokio::time::timeout(Duration::from_secs(60), task).await.expect("no deadlock").expect("no panic");
                assert!(got == content);
            }
            assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
        });
    }
}
