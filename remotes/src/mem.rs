//! A store in memory: for tests, and the yardstick that costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::pump::lane::FileBlocks;
use crate::pump::{Blocks, FileSource, Meter, Source};
use crate::{
    Capabilities, Context, Copies, Entry, Error, Get, Kind, Listing, Lists, ObjectName, Op, PAGE, Page, Put, Range,
    Renames, Result, Stat, Store, Stored, Until, Write,
};

/// Bytes of a block that a read gives: odd, so that nobody relies on it.
const STEP: usize = 65_537;

type Objects = Rc<RefCell<HashMap<ObjectName, (Bytes, String)>>>;

/// Objects in a map. Clones share it.
#[derive(Clone)]
pub struct Mem {
    objects: Objects,
    puts: Rc<Cell<u64>>,
    width: usize,
    context: Context,
}

impl Mem {
    /// An empty store; `width` is what it claims of side by side reads.
    pub fn new(width: usize, context: &Context) -> Self {
        Self { objects: Objects::default(), puts: Rc::default(), width, context: context.clone() }
    }

    fn absent(op: Op, object: &ObjectName) -> Error {
        Error::new(op, Kind::NotFound, "is not there").object(object).on("mem")
    }
}

#[async_trait(?Send)]
impl Store for Mem {
    fn label(&self) -> &str {
        "mem"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write: Write::Stream, ranges: true, local: true, width: self.width }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn locate(&self, _: &ObjectName) -> Option<String> {
        None
    }

    async fn prove(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        let objects = self.objects.borrow();
        Ok(objects.get(object).map(|(bytes, tag)| Stat {
            len: bytes.len() as u64,
            tag: Some(tag.clone()),
            version: None,
        }))
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let (bytes, tag) = self.objects.borrow().get(object).cloned().ok_or_else(|| Self::absent(Op::Get, object))?;
        if range.tag.is_some_and(|t| t != tag) {
            return Err(Error::new(Op::Get, Kind::Corrupt, "the object changed").object(object).on("mem"));
        }
        let total = bytes.len() as u64;
        let from = range.from.min(total);
        let len = (total - from).min(range.len.unwrap_or(u64::MAX));
        let body = bytes.slice(from as usize..(from + len) as usize);
        Ok(Get { len, total, tag: Some(tag), source: Source::Stream(Box::new(Pieces(body))) })
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        Ok(Box::new(MemPut { store: self.clone(), object: object.clone(), len, body: BytesMut::new() }))
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        if until.is_over() {
            return Err(Until::late(Op::Remove).object(object).on("mem"));
        }
        self.objects.borrow_mut().remove(object);
        Ok(())
    }

    fn identify(&self, _: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        tag.map(|tag| format!("{len}-{tag}"))
    }

    fn renames(&self) -> Option<&dyn Renames> {
        Some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }

    fn lists(&self) -> Option<&dyn Lists> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl Renames for Mem {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        let mut objects = self.objects.borrow_mut();
        let object = objects.remove(from).ok_or_else(|| Self::absent(Op::Rename, from))?;
        objects.insert(to.clone(), object);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Copies for Mem {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, wanted: Option<&str>) -> Result<Stored> {
        let mut objects = self.objects.borrow_mut();
        let (bytes, tag) = objects.get(from).cloned().ok_or_else(|| Self::absent(Op::Copy, from))?;
        if wanted.is_some_and(|wanted| wanted != tag) {
            return Err(Error::new(Op::Copy, Kind::Corrupt, "the object changed").object(from).on("mem"));
        }
        let stored = Stored { len: bytes.len() as u64, tag: Some(tag.clone()), version: None };
        objects.insert(to.clone(), (bytes, tag));
        Ok(stored)
    }
}

#[async_trait(?Send)]
impl Lists for Mem {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        let below = prefix.map(|prefix| [prefix.as_bytes(), b"/"].concat()).unwrap_or_default();
        let objects = self.objects.borrow();
        let found = objects.iter().filter(|(name, _)| name.as_bytes().starts_with(&below));
        let entry = |(name, (bytes, tag)): (&ObjectName, &(Bytes, String))| Entry {
            name: name.clone(),
            len: bytes.len() as u64,
            tag: Some(tag.clone()),
        };
        Ok(Box::new(Listed(found.map(entry).collect())))
    }
}

struct Listed(Vec<Entry>);

#[async_trait(?Send)]
impl Listing for Listed {
    async fn next(&mut self) -> Result<Option<Page>> {
        let rest = self.0.split_off(self.0.len().min(PAGE));
        let entries = std::mem::replace(&mut self.0, rest);
        Ok((!entries.is_empty()).then(|| Page { entries, skipped: Vec::new() }))
    }
}

struct Pieces(Bytes);

#[async_trait(?Send)]
impl Blocks for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let n = self.0.len().min(STEP);
        Ok((n > 0).then(|| self.0.split_to(n)))
    }
}

struct MemPut {
    store: Mem,
    object: ObjectName,
    len: u64,
    body: BytesMut,
}

#[async_trait(?Send)]
impl Put for MemPut {
    fn lane(&self) -> String {
        "memory".into()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        if (self.body.len() + block.len()) as u64 > self.len {
            return Err(Error::new(Op::Put, Kind::Corrupt, "more bytes than announced").object(&self.object).on("mem"));
        }
        self.body.extend_from_slice(&block);
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        let budget = self.store.context.budget.clone();
        let lease = std::sync::Arc::new(budget.lease(crate::budget::BLOCK as u64).await);
        let mut blocks = FileBlocks::new(from, budget, lease);
        while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Put, "reading", e))? {
            let n = block.len() as u64;
            self.write(block).await?;
            meter.add(n);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        let len = self.body.len() as u64;
        if len != self.len {
            return Err(Error::new(Op::Put, Kind::Truncated, "bytes are missing").object(&self.object).on("mem"));
        }
        self.store.puts.set(self.store.puts.get() + 1);
        let tag = format!("m{}", self.store.puts.get());
        self.store.objects.borrow_mut().insert(self.object.clone(), (self.body.clone().freeze(), tag.clone()));
        Ok(Stored { len, tag: Some(tag), version: None })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conformance() {
        for width in [1, 3] {
            let context = Context::default();
            crate::sys::run(false, async {
                let store: Rc<dyn Store> = Rc::new(Mem::new(width, &context));
                crate::conformance::examine(&store, &context).await;
            })
            .expect("a runtime");
        }
    }
}
