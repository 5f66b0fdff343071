//! A store that does not tell some names apart, for tests of everything above it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::fold::Folding;
use crate::pump::{FileSource, Meter};
use crate::{
    Capabilities, Copies, Directories, Error, Get, Kind, Lists, ObjectName, Op, Put, Range, Renames, Result, Stat,
    Store, Stored, Until,
};

/// Wraps any store that held nothing before; it keeps the spelling that an object was first given.
#[derive(Clone)]
pub struct Folds {
    inner: Rc<dyn Store>,
    folding: Folding,
    /// Keeps the promise of [`Store`] that a file of another name is not there, and not replaced. Servers do not.
    guards: bool,
    /// What objects are called, by what their names fold to.
    names: Rc<RefCell<HashMap<Vec<u8>, ObjectName>>>,
}

impl Folds {
    /// Lets `inner` take names for one as `folding` says. Without `guards` one object silently replaces another.
    pub fn new(inner: Rc<dyn Store>, folding: Folding, guards: bool) -> Self {
        Self { inner, folding, guards, names: Rc::default() }
    }

    fn find(&self, object: &ObjectName) -> ObjectName {
        self.names.borrow().get(&self.folding.fold(object.as_bytes())).unwrap_or(object).clone()
    }

    fn learn(&self, object: &ObjectName) {
        self.names.borrow_mut().entry(self.folding.fold(object.as_bytes())).or_insert_with(|| object.clone());
    }

    fn forget(&self, object: &ObjectName) {
        self.names.borrow_mut().remove(&self.folding.fold(object.as_bytes()));
    }

    /// Whether what is found by this name has another, and that matters.
    fn is_twin(&self, object: &ObjectName) -> bool {
        self.guards && self.find(object) != *object
    }

    fn may_replace(&self, op: Op, object: &ObjectName) -> Result<()> {
        if !self.is_twin(object) {
            return Ok(());
        }
        Err(Error::new(op, Kind::Io, "there is a file that this store takes for it").object(object).on(self.label()))
    }
}

#[async_trait(?Send)]
impl Store for Folds {
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
        self.inner.prove(owner).await
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        if self.is_twin(object) { Ok(None) } else { self.inner.stat(&self.find(object)).await }
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        // Where it is guarded nothing is there by that name.
        let name = if self.is_twin(object) { object.clone() } else { self.find(object) };
        self.inner.get(&name, range).await
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        let inner = self.inner.put(&self.find(object), len).await?;
        Ok(Box::new(FoldedPut { inner, store: self.clone(), object: object.clone() }))
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        if self.is_twin(object) {
            return Ok(());
        }
        self.inner.remove_until(&self.find(object), until).await?;
        self.forget(object);
        Ok(())
    }

    async fn settled(&self, object: &ObjectName) {
        self.inner.settled(&self.find(object)).await;
    }

    async fn make_lasting(&self, object: &ObjectName) -> Result<()> {
        if self.is_twin(object) { Ok(()) } else { self.inner.make_lasting(&self.find(object)).await }
    }

    async fn folding(&self) -> Result<Folding> {
        Ok(self.folding)
    }

    fn identify(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        self.inner.identify(&self.find(object), len, tag)
    }

    fn renames(&self) -> Option<&dyn Renames> {
        self.inner.renames().is_some().then_some(self)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        self.inner.copies().is_some().then_some(self)
    }

    fn lists(&self) -> Option<&dyn Lists> {
        self.inner.lists()
    }

    fn directories(&self) -> Option<&dyn Directories> {
        self.inner.directories()
    }
}

/// Why what is inside can do what is asked of it.
const GIVEN: &str = "the store inside gives what this one gave";

#[async_trait(?Send)]
impl Renames for Folds {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        let source = if self.is_twin(from) { from.clone() } else { self.find(from) };
        let target = if source == self.find(to) { to.clone() } else { self.find(to) };
        if target != *to {
            self.may_replace(Op::Rename, to)?;
        }
        self.inner.renames().expect(GIVEN).rename(&source, &target).await?;
        self.forget(from);
        self.learn(&target);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Copies for Folds {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        self.may_replace(Op::Copy, to)?;
        let source = if self.is_twin(from) { from.clone() } else { self.find(from) };
        let stored = self.inner.copies().expect(GIVEN).copy(&source, &self.find(to), tag).await?;
        self.learn(to);
        Ok(stored)
    }
}

struct FoldedPut {
    inner: Box<dyn Put>,
    store: Folds,
    object: ObjectName,
}

#[async_trait(?Send)]
impl Put for FoldedPut {
    fn lane(&self) -> String {
        self.inner.lane()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.inner.write(block).await
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        self.inner.fill(from, meter).await
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        if let Err(e) = self.store.may_replace(Op::Put, &self.object) {
            self.inner.abort().await?;
            return Err(e);
        }
        let stored = self.inner.commit().await?;
        self.store.learn(&self.object);
        Ok(stored)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Mem;
    use crate::store::folding::probe;
    use crate::{Context, conformance};

    fn each(work: impl AsyncFn(Folding, &Context)) {
        let one = |case, unicode, endings| Folding { case, unicode, endings };
        let context = Context { tree: true, ..Context::default() };
        crate::sys::run(false, async {
            for folding in [Folding::NONE, one(true, false, false), one(false, true, false), Folding::ALL] {
                work(folding, &context).await;
            }
        })
        .expect("a runtime");
    }

    #[test]
    fn conformance_of_a_store_that_folds() {
        each(async |folding, context| {
            let store = Folds::new(Rc::new(Mem::new(1, context)), folding, true);
            conformance::examine(&(Rc::new(store) as Rc<dyn Store>), context).await;
        });
    }

    #[test]
    fn what_a_store_folds_is_found_out_and_nothing_is_left() {
        each(async |folding, context| {
            let mem = Rc::new(Mem::new(1, context));
            let store = Folds::new(Rc::clone(&mem) as Rc<dyn Store>, folding, false);
            let told = probe(&store, async |name| Ok(store.stat(name).await?.is_some())).await;
            assert_eq!(told.expect("told"), folding);
            assert!(mem.list(None).await.expect("listed").next().await.expect("a page").is_none());
        });
    }
}
