//! Measures the line to a store: how late it answers, what one connection gives, and what several give together.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::memory_file;
use crate::budget::Budget;
use crate::conformance::pattern;
use crate::connections::Connections;
use crate::pump::{Blocks, FileSource, Meter};
use crate::retrieve::{Ahead, Ranges, Width};
use crate::{Context, Error, Kind, ObjectName, Op, Result, Store, Write};

/// Bytes of the object that is stored for it, and that are read at once at the most.
const SIZE: u64 = 32 << 20;

/// Memory for that: ranges of 2 MiB, so that sixteen make an object.
const BUDGET: u64 = 64 << 20;

/// What is slower than that is measured by as much as came until then.
const LIMIT: Duration = Duration::from_secs(5);

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
    let refused = |detail: &str| Err(Error::new(Op::Get, Kind::Unsupported, detail).on(store.label()));
    let can = store.capabilities();
    if can.local {
        return refused("it is on this computer, and there is no line to it");
    }
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
    let rate = async |connections: usize| {
        let context = Context {
            budget: Budget::new(BUDGET),
            connections: Arc::new(Connections::new(connections)),
            ..context.clone()
        };
        let transfer = Rc::new(context.connections.enter());
        let of = Ranges { store: Rc::clone(store), object: object.clone(), tag: stat.tag.clone(), context };
        let mut ahead = Ahead::between(of, 0, stat.len.min(SIZE), Width::new(connections), transfer);
        let (begun, mut bytes) = (Instant::now(), 0);
        let all = async {
            while let Some(block) = ahead.next().await? {
                bytes += block.len();
            }
            Ok(())
        };
        // What came until the limit tells enough.
        tokio::time::timeout(LIMIT, all).await.unwrap_or(Ok(()))?;
        Ok::<f64, Error>(bytes as f64 / begun.elapsed().as_secs_f64().max(1e-6))
    };
    let (one, four, sixteen) = (rate(1).await?, rate(4).await?, rate(16).await?);
    Ok(Line { round_trip: round_trip.as_secs_f64() * 1e3, one, four, sixteen })
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
            let line = measure(&store, "t", existing, &context).await;
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
    fn an_object_that_is_not_there_is_told() {
        let (line, _) = measured(&[], Some("none"));
        assert_eq!(line.expect_err("absent").kind(), Kind::NotFound);
    }
}
