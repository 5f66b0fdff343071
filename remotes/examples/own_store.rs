//! A whole store of one's own: objects in a map. It runs the examination that every store sits, on itself:
//!
//! ```sh
//! cargo run -p remotes --example own_store
//! ```
//!
//! What only some stores can, such as renames or uploads that outlive the process, is a trait more, which the store gives by
//! `fn renames(&self) -> Option<&dyn Renames>` and the like; `remotes/src/mem.rs` has some. To be chosen by `scheme=`, a store
//! also needs its line in `remotes/src/registry.rs`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use remotes::budget::BLOCK;
use remotes::pump::{Blocks, FileSource, Meter, Source, lane::FileBlocks};
use remotes::{
    Capabilities, Context, Error, Get, Kind, ObjectName, Op, Put, Range, Result, Stat, Store, Stored, Until, Write,
};

/// Content and tag of each object. Clones share them.
#[derive(Clone, Default)]
struct Own {
    objects: Rc<RefCell<BTreeMap<ObjectName, (Bytes, String)>>>,
    commits: Rc<Cell<u64>>,
    context: Context,
}

#[async_trait(?Send)]
impl Store for Own {
    fn label(&self) -> &str {
        "own"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write: Write::Stream, ranges: true, local: true, width: 1 }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        vec![("objects", self.objects.borrow().len().to_string())]
    }

    fn locate(&self, _: &ObjectName) -> Option<String> {
        None
    }

    async fn prove(&self, _owner: &str) -> Result<()> {
        Ok(())
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        let stat =
            |(bytes, tag): &(Bytes, String)| Stat { len: bytes.len() as u64, tag: Some(tag.clone()), version: None };
        Ok(self.objects.borrow().get(object).map(stat))
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let found = self.objects.borrow().get(object).cloned();
        let (bytes, tag) = found.ok_or_else(|| failed(Op::Get, Kind::NotFound, "is not there", object))?;
        if range.tag.is_some_and(|wanted| wanted != tag) {
            return Err(failed(Op::Get, Kind::Corrupt, "the object changed", object));
        }
        let total = bytes.len() as u64;
        let from = range.from.min(total);
        let end = range.len.map_or(total, |len| from.saturating_add(len).min(total));
        let source = Source::Stream(Box::new(Pieces(bytes.slice(from as usize..end as usize))));
        Ok(Get { len: end - from, total, tag: Some(tag), source })
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        Ok(Box::new(OwnPut { store: self.clone(), object: object.clone(), len, body: Vec::new() }))
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        if until.is_over() {
            return Err(failed(Op::Remove, Kind::TooLate, "the time is over", object));
        }
        self.objects.borrow_mut().remove(object);
        Ok(())
    }
}

fn failed(op: Op, kind: Kind, what: &str, object: &ObjectName) -> Error {
    Error::new(op, kind, what).object(object).on("own")
}

/// What is left to read of an object.
struct Pieces(Bytes);

#[async_trait(?Send)]
impl Blocks for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let len = self.0.len().min(BLOCK);
        Ok((len > 0).then(|| self.0.split_to(len)))
    }
}

/// An object on its way in; it is in nobody's sight until the commit, and dropping it leaves nothing.
struct OwnPut {
    store: Own,
    object: ObjectName,
    len: u64,
    body: Vec<u8>,
}

#[async_trait(?Send)]
impl Put for OwnPut {
    fn lane(&self) -> String {
        "memory".into()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        if (self.body.len() + block.len()) as u64 > self.len {
            return Err(failed(Op::Put, Kind::Corrupt, "more bytes than announced", &self.object));
        }
        self.body.extend_from_slice(&block);
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        let budget = self.store.context.budget.clone();
        let lease = Arc::new(budget.lease(BLOCK as u64).await);
        let mut blocks = FileBlocks::new(from, budget, lease);
        while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Put, "reading", e))? {
            let len = block.len() as u64;
            self.write(block).await?;
            meter.add(len);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        let len = self.body.len() as u64;
        if len != self.len {
            return Err(failed(Op::Put, Kind::Truncated, "bytes are missing", &self.object));
        }
        self.store.commits.set(self.store.commits.get() + 1);
        let tag = self.store.commits.get().to_string();
        self.store.objects.borrow_mut().insert(self.object, (self.body.into(), tag.clone()));
        Ok(Stored { len, tag: Some(tag), version: None })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Runs the examination.
pub fn main() {
    let store = Own::default();
    let context = store.context.clone();
    let store: Rc<dyn Store> = Rc::new(store);
    remotes::sys::run(false, remotes::conformance::examine(&store, &context)).expect("a runtime");
    println!("{}: every promise is kept", store.label());
}
