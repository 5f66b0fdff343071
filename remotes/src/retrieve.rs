//! Retrieving an object into a file, strictly in order, however many ranges are read side by side.
//!
//! Each range is read by a task of its own into blocks leased for it; the file takes the ranges one after the other, the
//! front one as it arrives. So the file never has a hole, and what it holds after a failure is a prefix to resume from.

mod ahead;
#[cfg(test)]
mod model;
mod range;
mod width;

pub use ahead::{Ahead, FAR_RANGE, Ranges};
pub use width::{Load, Requests, Sample, Seen, Width};

use annex_types::size;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::budget::BLOCK;
use crate::pump::lane::{FileBlocks, SocketBlocks, copy_range};
use crate::pump::{Blocks, Meter, SinkKind, Source, SourceKind, plan};
use crate::retry::Backoff;
use crate::sys::{DataFile, Engine};
use crate::{Context, Error, Get, Kind, ObjectName, Op, Range, Result, Store, is_strong};
use ahead::range;

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
    let piece = (width > 1).then(|| range(context));
    let mut from = have;
    let mut first = open(store, object, Range { from, len: piece, tag: None }, context).await?;
    if from > first.total {
        from = 0;
        first = open(store, object, Range { from, len: piece, tag: None }, context).await?;
    }
    let is_one = store.capabilities().width == 1 || !first.tag.as_deref().is_some_and(is_strong);
    if first.total - from > first.len && is_one {
        // Each range would be all of the object, or nothing would tell that all of them are of the same: then one stream is less.
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
        if let Some(piece) = piece.filter(|piece| width > 1 && total - from > *piece) {
            lane = format!("{lane} ranges={width}x{}", size::show(piece));
        }
        let of = Ranges { store: Rc::clone(store), object: object.clone(), tag: tag.clone(), context: context.clone() };
        let ahead = Ahead::begun(of, first, from, width, Rc::new(context.connections.enter()));
        drain(ahead, object, from, file, meter).await?;
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

/// All of it from `at` on, into the file.
async fn drain(mut ahead: Ahead, object: &ObjectName, mut at: u64, file: &Arc<File>, meter: &Meter) -> Result<()> {
    let sink = DataFile::new(Arc::clone(file));
    while let Some(block) = ahead.next().await? {
        let n = block.len() as u64;
        sink.write(block, at).await.map_err(|e| local("writing the file", e).object(object))?;
        at += n;
        meter.add(n);
    }
    Ok(())
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
    use std::time::Duration;

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
