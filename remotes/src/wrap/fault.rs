//! A store that fails on order, for tests of everything above it.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::fold::Folding;
use crate::pump::{Blocks, FileSource, Meter, Source};
use crate::{
    Capabilities, Copies, Directories, Error, Get, Kind, Listing, Lists, Mark, ObjectName, Op, Put, Range, Renames,
    Result, Resumption, Stat, Store, Stored, Until, Uploads, Versions,
};

/// One failure to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// In which operation.
    pub op: Op,
    /// After how many bytes; for operations without bytes, when they start.
    pub after: u64,
    /// How it looks. Of a source that gives bytes, [`Kind::Truncated`] is its end, and nothing tells that more is due.
    pub kind: Kind,
}

/// Wraps any store; each fault happens once, in order.
#[derive(Clone)]
pub struct Faults {
    inner: Rc<dyn Store>,
    queue: Rc<RefCell<Vec<Fault>>>,
}

impl Faults {
    /// Lets `inner` fail as `faults` say.
    pub fn new(inner: Rc<dyn Store>, faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut queue: Vec<Fault> = faults.into_iter().collect();
        queue.reverse();
        Self { inner, queue: Rc::new(RefCell::new(queue)) }
    }

    /// Faults that have not happened.
    pub fn left(&self) -> usize {
        self.queue.borrow().len()
    }

    fn due(&self, op: Op) -> Option<Fault> {
        let mut queue = self.queue.borrow_mut();
        if queue.last().is_some_and(|f| f.op == op) { queue.pop() } else { None }
    }

    fn faulty(&self, inner: Box<dyn Put>) -> Box<dyn Put> {
        Box::new(FaultyPut { inner, store: self.clone(), fault: self.due(Op::Put), written: 0 })
    }

    fn check(&self, op: Op) -> Result<()> {
        match self.due(op) {
            Some(f) => Err(broken(f)),
            None => Ok(()),
        }
    }
}

fn broken(f: Fault) -> Error {
    Error::new(f.op, f.kind, format!("made to fail after {} bytes", f.after))
}

#[async_trait(?Send)]
impl Store for Faults {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        self.inner.info()
    }

    fn locate(&self, object: &ObjectName) -> Option<String> {
        self.inner.locate(object)
    }

    async fn prove(&self, owner: &str) -> Result<()> {
        self.check(Op::Prove)?;
        self.inner.prove(owner).await
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        self.check(Op::Stat)?;
        self.inner.stat(object).await
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let fault = self.due(Op::Get);
        let get = self.inner.get(object, range).await?;
        let Some(fault) = fault else { return Ok(get) };
        match get.source {
            Source::Stream(inner) if fault.after > 0 => {
                let source = Source::Stream(Box::new(Breaking { inner, left: fault.after, fault }));
                Ok(Get { source, ..get })
            }
            _ => Err(broken(fault)),
        }
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let inner = self.inner.put(object, len).await?;
        Ok(self.faulty(inner))
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        self.check(Op::Remove)?;
        self.inner.remove_until(object, until).await
    }

    async fn settled(&self, object: &ObjectName) {
        self.inner.settled(object).await;
    }

    async fn make_lasting(&self, object: &ObjectName) -> Result<()> {
        self.inner.make_lasting(object).await
    }

    async fn folding(&self) -> Result<Folding> {
        self.inner.folding().await
    }

    fn identify(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        self.inner.identify(object, len, tag)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        self.inner.uploads().is_some().then_some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions().is_some().then_some(self)
    }

    fn renames(&self) -> Option<&dyn Renames> {
        self.inner.renames().is_some().then_some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        self.inner.copies().is_some().then_some(self)
    }

    fn lists(&self) -> Option<&dyn Lists> {
        self.inner.lists().is_some().then_some(self)
    }

    fn directories(&self) -> Option<&dyn Directories> {
        self.inner.directories().is_some().then_some(self)
    }
}

/// Why what is inside can do what is asked of it.
const GIVEN: &str = "the store inside gives what this one gave";

#[async_trait(?Send)]
impl Uploads for Faults {
    async fn put_stream(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let inner = self.inner.uploads().expect(GIVEN).put_stream(object, len).await?;
        Ok(self.faulty(inner))
    }

    fn outlives(&self, len: u64) -> bool {
        self.inner.uploads().expect(GIVEN).outlives(len)
    }

    async fn resume(
        &self,
        object: &ObjectName,
        len: u64,
        upload: &Resumption,
        marks: &[Mark],
    ) -> Result<Option<Box<dyn Put>>> {
        let inner = self.inner.uploads().expect(GIVEN).resume(object, len, upload, marks).await?;
        Ok(inner.map(|inner| self.faulty(inner)))
    }

    async fn abandon(&self, object: &ObjectName, upload: &Resumption) -> Result<()> {
        self.inner.uploads().expect(GIVEN).abandon(object, upload).await
    }

    async fn abandon_unnamed(&self, object: &ObjectName, begun: u64) -> Result<bool> {
        self.inner.uploads().expect(GIVEN).abandon_unnamed(object, begun).await
    }
}

#[async_trait(?Send)]
impl Versions for Faults {
    async fn stat_version(&self, version: &str) -> Result<Option<Stat>> {
        self.check(Op::Stat)?;
        self.inner.versions().expect(GIVEN).stat_version(version).await
    }

    async fn get_version(&self, version: &str, range: Range) -> Result<Get> {
        self.check(Op::Get)?;
        self.inner.versions().expect(GIVEN).get_version(version, range).await
    }

    async fn copy_version(&self, version: &str, to: &ObjectName) -> Result<Stored> {
        self.check(Op::Copy)?;
        self.inner.versions().expect(GIVEN).copy_version(version, to).await
    }
}

#[async_trait(?Send)]
impl Renames for Faults {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        self.check(Op::Rename)?;
        self.inner.renames().expect(GIVEN).rename(from, to).await
    }
}

#[async_trait(?Send)]
impl Copies for Faults {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        self.check(Op::Copy)?;
        self.inner.copies().expect(GIVEN).copy(from, to, tag).await
    }
}

#[async_trait(?Send)]
impl Lists for Faults {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        self.check(Op::List)?;
        self.inner.lists().expect(GIVEN).list(prefix).await
    }
}

#[async_trait(?Send)]
impl Directories for Faults {
    async fn remove_dir(&self, dir: &ObjectName) -> Result<()> {
        self.check(Op::Remove)?;
        self.inner.directories().expect(GIVEN).remove_dir(dir).await
    }

    async fn tidy(&self) {
        self.inner.directories().expect(GIVEN).tidy().await;
    }
}

struct Breaking {
    inner: Box<dyn Blocks>,
    left: u64,
    fault: Fault,
}

#[async_trait(?Send)]
impl Blocks for Breaking {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return if self.fault.kind == Kind::Truncated { Ok(None) } else { Err(broken(self.fault)) };
        }
        let Some(mut block) = self.inner.next().await? else { return Ok(None) };
        block.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= block.len() as u64;
        Ok(Some(block))
    }
}

struct FaultyPut {
    inner: Box<dyn Put>,
    store: Faults,
    fault: Option<Fault>,
    written: u64,
}

#[async_trait(?Send)]
impl Put for FaultyPut {
    fn lane(&self) -> String {
        self.inner.lane()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.written += block.len() as u64;
        match self.fault {
            Some(f) if self.written > f.after => Err(broken(f)),
            _ => self.inner.write(block).await,
        }
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        match self.fault {
            Some(f) if from.len > f.after => Err(broken(f)),
            _ => self.inner.fill(from, meter).await,
        }
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        if let Some(f) = self.fault.or_else(|| self.store.due(Op::Put)) {
            if f.kind.retry() && self.inner.resumption().is_some() {
                self.inner.suspend().await?;
            } else {
                self.inner.abort().await?;
            }
            return Err(broken(f));
        }
        self.inner.commit().await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }

    fn resumption(&self) -> Option<Resumption> {
        self.inner.resumption()
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        self.inner.take_marks()
    }

    fn relax(&mut self) {
        self.inner.relax();
    }

    async fn suspend(self: Box<Self>) -> Result<Vec<Mark>> {
        self.inner.suspend().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
    use crate::mem::Mem;

    #[test]
    fn conformance_without_faults() {
        let context = Context::default();
        crate::sys::run(false, async {
            let store: Rc<dyn Store> = Rc::new(Faults::new(Rc::new(Mem::new(2, &context)), []));
            crate::conformance::examine(&store, &context).await;
        })
        .expect("a runtime");
    }
}
