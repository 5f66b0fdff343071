//! Writing an object to a service.
//!
//! Its memory is leased when it is opened, all of it at once, so that puts never wait for each other with memory in hand.

use annex_types::size;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use opendal::{Buffer, Writer};

use super::link::{Call, Link};
use super::service::{Commit, Intake, Layout};
use super::staged::Staged;
use crate::budget::{BLOCK, Block, Lease};
use crate::pump::lane::FileBlocks;
use crate::pump::{FileSource, Meter};
use crate::retry::Backoff;
use crate::{Error, Kind, ObjectName, Op, Put, Result, Stat, Stored};

/// Smallest part, in bytes: large enough that a request's cost does not show, small enough that many transfers fit.
const PART: u64 = 8 << 20;

/// Parts in memory: the one being filled, and the one OpenDAL keeps until it has arrived.
const PARTS_HELD: u64 = 2;

pub(super) struct OpendalPut {
    link: Rc<Link>,
    object: ObjectName,
    path: String,
    /// Where the object is written, if not at `path` at once.
    stage: Option<Staged>,
    len: u64,
    got: u64,
    pending: Vec<Bytes>,
    pending_len: u64,
    block: Option<Block>,
    lease: Arc<Lease>,
    way: Way,
    /// Something may be at `stage`.
    littered: bool,
    failed: bool,
    settled: bool,
}

enum Way {
    /// All of it in one request, once it is here.
    Whole,
    /// Through a writer; a part of this many bytes at a time.
    Stream { writer: Box<Writer>, call: Call, part: u64, http: bool },
}

/// Bytes of a part, so that no object needs more than `most` of them.
fn part_size(len: u64, most: u64, min: u64, max: u64) -> u64 {
    let mib = 1 << 20;
    len.div_ceil(most.max(1)).div_ceil(mib).saturating_mul(mib).max(PART).max(min).min(max)
}

impl OpendalPut {
    pub(super) async fn open(link: Rc<Link>, object: &ObjectName, path: &str, len: u64) -> Result<Self> {
        let can = link.can();
        let budget = &link.context.budget;
        let stage = (link.service.commit == Commit::Rename).then(|| Staged::new(&link));
        let part = match link.service.intake {
            Intake::Parts(most) if can.write_can_multi => {
                let size = |v: Option<usize>, or| v.map_or(or, |v| v as u64);
                let (min, max) = (size(can.write_multi_min_size, 1), size(can.write_multi_max_size, u64::MAX));
                let part = part_size(len, most, min, max);
                if part.saturating_mul(most) < len || part.saturating_mul(PARTS_HELD) > budget.total() {
                    let detail = format!(
                        "{} would need parts of {}, more than memory allows; use chunk= or raise STREAM_MEMORY=",
                        size::show(len),
                        size::show(part)
                    );
                    return Err(link.error(Op::Put, Kind::TooLarge, detail).object(object));
                }
                Some(part)
            }
            Intake::Stream | Intake::Parts(_) if can.write_can_multi => Some(BLOCK as u64),
            _ => None,
        };
        let held = match part {
            Some(part) => len.min(part.saturating_mul(PARTS_HELD)).saturating_add(BLOCK as u64),
            None => len.div_ceil(BLOCK as u64).max(1) * BLOCK as u64,
        };
        let lease = Arc::new(budget.lease(held).await);
        let way = match part {
            None => Way::Whole,
            Some(part) => {
                let http = matches!(link.service.intake, Intake::Parts(_));
                // A stream has no parts that could be sent again.
                let call = if http { link.call_with_retries() } else { link.call() };
                let target = stage.as_ref().map_or(path, |stage| &stage.path);
                let writer = call.operator.writer(target).await;
                let writer = Box::new(writer.map_err(|e| link.explain(Op::Put, &e, &call.watch).object(object))?);
                Way::Stream { writer, call, part, http }
            }
        };
        Ok(Self {
            object: object.clone(),
            path: path.to_string(),
            stage,
            len,
            got: 0,
            pending: Vec::new(),
            pending_len: 0,
            block: None,
            lease,
            way,
            littered: false,
            failed: false,
            settled: false,
            link,
        })
    }

    fn error(&self, kind: Kind, detail: impl Into<String>) -> Error {
        self.link.error(Op::Put, kind, detail).object(&self.object)
    }

    fn about(&self, error: Error) -> Error {
        let error = error.during(Op::Put).object(&self.object);
        if error.kind() != Kind::NotFound {
            return error;
        }
        // Nothing was asked for that could be absent, except the place itself.
        self.error(Kind::NoSuchPlace, error.detail().to_string())
    }

    fn target(&self) -> &str {
        self.stage.as_ref().map_or(&self.path, |stage| &stage.path)
    }

    /// Takes a block that lives under this put's lease.
    async fn take(&mut self, block: Bytes, meter: Option<&Meter>) -> Result<()> {
        self.got += block.len() as u64;
        self.pending_len += block.len() as u64;
        self.pending.push(block);
        match &self.way {
            Way::Stream { part, .. } if self.pending_len >= *part || self.got == self.len => self.pass(meter).await,
            Way::Whole if self.got == self.len && self.stage.is_some() => self.upload(meter).await,
            _ => Ok(()),
        }
    }

    /// Hands what is pending to the writer.
    async fn pass(&mut self, meter: Option<&Meter>) -> Result<()> {
        let buffer = Buffer::from(std::mem::take(&mut self.pending));
        self.pending_len = 0;
        self.littered = true;
        let got = self.got;
        let Way::Stream { writer, call, http, .. } = &mut self.way else { return Ok(()) };
        let tick = |sent: u64| {
            if let (Some(meter), true) = (meter, *http) {
                meter.set(sent.min(got));
            }
        };
        let done = self.link.watched(Op::Put, &call.watch, writer.write(buffer), tick).await;
        if let (Some(meter), false) = (meter, *http) {
            meter.set(got);
        }
        done.map(|_| ()).map_err(|e| self.about(e))
    }

    /// Sends the whole object; passing faults are tried again.
    async fn upload(&mut self, meter: Option<&Meter>) -> Result<()> {
        let buffer = Buffer::from(std::mem::take(&mut self.pending));
        let target = self.target().to_string();
        self.littered = true;
        let mut backoff = Backoff::new(&self.link.context);
        loop {
            let call = self.link.call();
            let tick = |sent: u64| {
                if let Some(meter) = meter {
                    meter.set(sent.min(self.len));
                }
            };
            let work = call.operator.write(&target, buffer.clone());
            let Err(e) = self.link.watched(Op::Put, &call.watch, work, tick).await else { return Ok(()) };
            self.link.may_come_late(&target, &e);
            backoff.pause(self.about(e)).await?;
        }
    }

    async fn finish(&mut self) -> Result<Stored> {
        if self.failed {
            return Err(self.error(Kind::Other, "an earlier part of it failed"));
        }
        if self.got != self.len {
            return Err(self.error(Kind::Truncated, format!("{} of {} bytes arrived", self.got, self.len)));
        }
        self.link.over(&self.path).await;
        if self.stage.is_none() && self.link.service.layout == Layout::Tree {
            self.link.may_replace(Op::Put, &self.path).await.map_err(|e| self.about(e))?;
        }
        match &mut self.way {
            // An object without bytes, or one that could not be sent before it may be seen.
            Way::Whole if !self.littered => self.upload(None).await?,
            Way::Whole => {}
            Way::Stream { writer, call, .. } => {
                self.littered = true;
                let done = self.link.watched(Op::Put, &call.watch, writer.close(), |_| {}).await;
                self.settled = true;
                if let Err(e) = &done
                    && self.stage.is_none()
                {
                    self.link.may_come_late(&self.path, e);
                }
                done.map(|_| ()).map_err(|e| self.about(e))?;
            }
        }
        if let Some(stage) = self.stage.as_ref().map(|stage| stage.path.clone()) {
            self.check(&stage).await?;
            self.link.may_replace(Op::Put, &self.path).await.map_err(|e| self.about(e))?;
            self.rename(&stage).await?;
            self.littered = false;
        }
        let path = self.path.clone();
        let stat = self.check(&path).await;
        if let Err(e) = &stat
            && matches!(e.kind(), Kind::Corrupt)
        {
            // Another object than the one that was sent must not be taken for it.
            let _ = self.link.delete(Op::Put, &path).await;
        }
        let stat = stat?;
        if !self.link.is_exact(Op::Put, &path).await.map_err(|e| self.about(e))? {
            // Nothing was there, so it is a directory that has another spelling, and there it would not be found.
            self.link.delete(Op::Put, &path).await.map_err(|e| self.about(e))?;
            return Err(self.about(self.link.twin(Op::Put)));
        }
        Ok(Stored { len: stat.len, tag: stat.tag, version: None })
    }

    /// Reads back what the service says of `path`.
    async fn check(&self, path: &str) -> Result<Stat> {
        let found = self.link.look_for(Op::Put, path, self.len).await;
        let found = found.map_err(|e| self.about(e).within("reading it back"))?;
        match found {
            Some(stat) if stat.len == self.len => Ok(stat),
            Some(stat) => {
                Err(self.error(Kind::Corrupt, format!("{} of {} bytes are there afterwards", stat.len, self.len)))
            }
            None => Err(self.error(Kind::Protocol, "the service accepted it, but it is not there afterwards")),
        }
    }

    async fn rename(&self, stage: &str) -> Result<()> {
        let mut backoff = Backoff::new(&self.link.context);
        loop {
            let done = self.link.once(Op::Put, |o| async move { o.rename(stage, &self.path).await }).await;
            let Err(e) = done else { return Ok(()) };
            self.link.may_come_late(&self.path, &e);
            let e = self.about(e);
            let passing = e.kind().retry();
            // The answer may have been lost, and not the request.
            if (passing || e.kind() == Kind::NoSuchPlace) && self.link.look(Op::Put, stage).await?.is_none() {
                if self.check(&self.path).await.is_ok() {
                    return Ok(());
                }
            } else if e.kind() == Kind::NoSuchPlace && backoff.again().await {
                // It is there, whatever was just said of it.
                continue;
            }
            backoff.pause(e.within("moving it into place")).await?;
        }
    }

    async fn clean(&mut self) -> Result<()> {
        if let Way::Stream { writer, call, .. } = &mut self.way
            && !std::mem::replace(&mut self.settled, true)
            && self.littered
        {
            // A writer that has not begun would begin, to have something to abort. Many services have nothing to abort and say so; what was written goes below.
            let _ = self.link.watched(Op::Put, &call.watch, writer.abort(), |_| {}).await;
        }
        match self.stage.as_ref().map(|stage| stage.path.clone()) {
            Some(stage) if std::mem::take(&mut self.littered) => {
                self.link.delete(Op::Put, &stage).await.map_err(|e| self.about(e))
            }
            _ => Ok(()),
        }
    }

    /// Removes what may be seen of an object that broke off, where the service itself keeps nothing back.
    async fn unshow(&self) {
        if self.littered
            && self.link.service.commit == Commit::Check
            && let Ok(Some(stat)) = self.link.look(Op::Put, &self.path).await
            && stat.len != self.len
        {
            let _ = self.link.delete(Op::Put, &self.path).await;
        }
    }

    fn room(&mut self) -> &mut Block {
        self.block.get_or_insert_with(|| self.link.context.budget.block().under(&self.lease))
    }
}

#[async_trait(?Send)]
impl Put for OpendalPut {
    fn lane(&self) -> String {
        match &self.way {
            Way::Whole => format!("memory {}", size::show(self.len)),
            Way::Stream { part, http: true, .. } => format!("parts of {}", size::show(*part)),
            Way::Stream { .. } => "stream".into(),
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let waiting = self.block.as_ref().map_or(0, Block::len) as u64;
        if self.got + waiting + bytes.len() as u64 > self.len {
            self.failed = true;
            return Err(self.error(Kind::Corrupt, format!("more than the {} bytes announced", self.len)));
        }
        // Copied: the caller's blocks are leased by the caller, who may wait for them.
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let room = self.room();
            rest = &rest[room.push(rest)..];
            let (full, n) = (room.is_full(), room.len() as u64);
            if (full || self.got + n == self.len)
                && let Some(block) = self.block.take()
            {
                let done = self.take(block.freeze(), None).await;
                self.failed |= done.is_err();
                done?;
            }
        }
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        if from.len != self.len {
            self.failed = true;
            let kind = if from.len < self.len { Kind::Truncated } else { Kind::Corrupt };
            return Err(self.error(kind, format!("the file has {} bytes, {} were announced", from.len, self.len)));
        }
        let mut blocks = FileBlocks::new(from, self.link.context.budget.clone(), Arc::clone(&self.lease));
        loop {
            let block = match blocks.next().await {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(e) => {
                    self.failed = true;
                    return Err(Error::io(Op::Put, "reading", e).object(&self.object).on(&self.link.label));
                }
            };
            let done = self.take(block, Some(meter)).await;
            self.failed |= done.is_err();
            done?;
        }
        meter.set(self.len);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        let done = self.finish().await;
        if done.is_err() {
            let _ = self.clean().await;
            self.unshow().await;
        }
        self.settled = true;
        done
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.clean().await
    }
}

impl Drop for OpendalPut {
    fn drop(&mut self) {
        if !self.littered {
            return;
        }
        let way = std::mem::replace(&mut self.way, Way::Whole);
        let writer = match way {
            Way::Stream { writer, .. } if !self.settled => Some(writer),
            _ => None,
        };
        self.link.clean_later(writer, self.stage.as_ref().map(|stage| stage.path.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_object_and_stay_within_limits() {
        let mib = 1 << 20;
        assert_eq!(part_size(0, 10_000, 1, u64::MAX), 8 * mib);
        assert_eq!(part_size(1 << 30, 10_000, 1, u64::MAX), 8 * mib);
        assert_eq!(part_size(100 << 30, 10_000, 1, u64::MAX), 11 * mib);
        assert_eq!(part_size(1, 10_000, 16 * mib, u64::MAX), 16 * mib);
        assert_eq!(part_size(1 << 40, 10_000, 1, 50 * mib), 50 * mib);
        for len in [1_u64 << 33, 1 << 36, (1 << 40) + 1] {
            assert!(part_size(len, 10_000, 1, u64::MAX) * 10_000 >= len);
        }
    }
}
