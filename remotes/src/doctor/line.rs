//! Measures the line to a store: how late it answers, what one connection gives, and what several give together.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;

use super::memory_file;
use crate::conformance::pattern;
use crate::pump::{FileSource, Meter};
use crate::retrieve::read;
use crate::{Context, Error, Kind, ObjectName, Op, Range, Result, Store, Write};

/// Bytes of the object that is stored for it, and that are read at once at the most.
const SIZE: u64 = 32 << 20;

/// What is slower than that is measured by as much as came until then.
const LIMIT: Duration = Duration::from_secs(5);

/// No time is taken to be shorter.
const SHORT: Duration = Duration::from_millis(1);

/// How often it is asked for the round trip; the shortest counts.
const ASKED: u32 = 5;

/// What a line gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// From a question to its answer, in milliseconds.
    pub round_trip: f64,
    /// Bytes a second of one connection.
    pub one: f64,
    /// Those of four together.
    pub four: f64,
    /// Those of sixteen together.
    pub sixteen: f64,
}

/// Measures it on `existing`, which is only read, or on an object of its own that is removed again. `token` makes its name unlike
/// any other.
///
/// # Errors
///
/// The store cannot be read from the middle, is one that nothing can be stored in, is on this computer, or fails.
pub async fn measure(
    store: &Rc<dyn Store>,
    token: &str,
    existing: Option<ObjectName>,
    context: &Context,
) -> Result<Line> {
    if store.capabilities().local {
        let detail = "it is on this computer, and there is no line to it";
        return Err(Error::new(Op::Get, Kind::Unsupported, detail).on(store.label()));
    }
    measure_far(store, token, existing, context).await
}

async fn measure_far(
    store: &Rc<dyn Store>,
    token: &str,
    existing: Option<ObjectName>,
    context: &Context,
) -> Result<Line> {
    let refused = |detail: &str| Err(Error::new(Op::Get, Kind::Unsupported, detail).on(store.label()));
    let can = store.capabilities();
    if !can.ranges {
        return refused("it is read from the beginning only, so there is never more than one connection");
    }
    if let Some(object) = existing {
        return look(store, &object, context).await;
    }
    if can.write == Write::ReadOnly {
        return refused("it can only be read: name one of its objects, of some MiB, with --object");
    }
    if let Write::Memory(most) = can.write
        && most < SIZE
    {
        return refused("it takes no object that is long enough: name one that it has with --object");
    }
    let name = ObjectName::new(format!("doctor-{token}"));
    let object = name.map_err(|e| Error::new(Op::Put, Kind::Unsupported, e.to_string()))?;
    let measured = match fill(store, &object).await {
        Ok(()) => look(store, &object, context).await,
        Err(e) => Err(e),
    };
    // Also where storing it failed: it may be there all the same.
    let removed = store.remove(&object).await;
    measured.and_then(|line| removed.map(|()| line))
}

async fn fill(store: &Rc<dyn Store>, object: &ObjectName) -> Result<()> {
    let file = memory_file(&pattern(1, SIZE as usize)).map_err(|e| Error::io(Op::Put, "a file for the trial", e))?;
    let mut put = store.put(object, SIZE).await?;
    if let Err(e) = put.fill(&FileSource { file, at: 0, len: SIZE }, &Meter::new()).await {
        // The failure is what is told.
        let _ = put.abort().await;
        return Err(e);
    }
    put.commit().await.map(drop)
}

async fn look(store: &Rc<dyn Store>, object: &ObjectName, context: &Context) -> Result<Line> {
    let absent = || Error::new(Op::Get, Kind::NotFound, "there is no such object").object(object).on(store.label());
    let mut round_trip = Duration::MAX;
    let mut stat = None;
    for _ in 0..ASKED {
        let asked = Instant::now();
        stat = Some(store.stat(object).await?.ok_or_else(absent)?);
        round_trip = round_trip.min(asked.elapsed());
    }
    let stat = stat.ok_or_else(absent)?;
    let len = stat.len.min(SIZE);
    let rate = async |connections: u64| {
        // They are connected before it counts.
        for seen in join_all((0..connections).map(|_| store.stat(object))).await {
            seen?.ok_or_else(absent)?;
        }
        let (begun, bytes) = (Instant::now(), Cell::new(0));
        let slices = (0..connections).map(|nth| {
            let (from, to) = (len * nth / connections, len * (nth + 1) / connections);
            slice(store, object, Range { from, len: Some(to - from), tag: stat.tag.clone() }, context, &bytes)
        });
        // What came until the limit tells enough.
        let read = tokio::time::timeout(LIMIT, try_join_all(slices)).await;
        read.map_or(Ok(Vec::new()), |read| read)?;
        // Until the first byte nothing is given.
        let given = begun.elapsed().saturating_sub(round_trip).max(SHORT);
        Ok::<f64, Error>(bytes.get() as f64 / given.as_secs_f64())
    };
    let (one, four, sixteen) = (rate(1).await?, rate(4).await?, rate(16).await?);
    Ok(Line { round_trip: round_trip.as_secs_f64() * 1e3, one, four, sixteen })
}

/// Reads a slice, and counts what comes.
async fn slice(
    store: &Rc<dyn Store>,
    object: &ObjectName,
    range: Range,
    context: &Context,
    bytes: &Cell<u64>,
) -> Result<()> {
    if range.len == Some(0) {
        return Ok(());
    }
    let get = store.get(object, range).await?;
    let count = async |block: Bytes| {
        bytes.set(bytes.get() + block.len() as u64);
        Ok(())
    };
    read(get, context, count).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Mem;
    use crate::wrap::{Fault, Faults};

    fn measured(faults: &[Fault], existing: Option<&str>) -> (Result<Line>, usize) {
        let context = Context::default();
        crate::sys::run(false, async {
            let mem = Mem::new(4, &context);
            let store: Rc<dyn Store> = Rc::new(Faults::new(Rc::new(mem), faults.iter().copied()));
            let existing = existing.map(|name| ObjectName::new(name).expect("a name"));
            let line = measure_far(&store, "t", existing, &context).await;
            let left = ObjectName::new("doctor-t").expect("a name");
            (line, usize::from(store.stat(&left).await.expect("asked").is_some()))
        })
        .expect("a runtime")
    }

    #[test]
    fn a_line_is_measured_and_nothing_is_left_behind() {
        let (line, left) = measured(&[], None);
        let line = line.expect("measured");
        assert!(line.one > 0.0 && line.four > 0.0 && line.sixteen > 0.0, "{line:?}");
        assert_eq!(left, 0);
    }

    #[test]
    fn nothing_is_left_behind_by_a_failure_either() {
        for op in [Op::Put, Op::Stat, Op::Get] {
            let (line, left) = measured(&[Fault { op, after: 0, kind: Kind::Denied }], None);
            assert_eq!(line.expect_err("it failed").kind(), Kind::Denied, "{op:?}");
            assert_eq!(left, 0, "{op:?}");
        }
    }

    #[test]
    fn a_disk_here_has_no_line() {
        let context = Context::default();
        let line = crate::sys::run(false, async {
            let store: Rc<dyn Store> = Rc::new(Mem::new(4, &context));
            measure(&store, "t", None, &context).await
        });
        assert_eq!(line.expect("a runtime").expect_err("no line").kind(), Kind::Unsupported);
    }

    #[test]
    fn an_object_that_is_not_there_is_told() {
        let (line, _) = measured(&[], Some("none"));
        assert_eq!(line.expect_err("absent").kind(), Kind::NotFound);
    }
}
