//! A store in memory that people use too, and that may take two names for one: for tests of what is built on trees.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::pump::lane::FileBlocks;
use crate::pump::{Blocks, FileSource, Meter, Source};
use crate::{
    Capabilities, Context, Copies, Entry, Error, Get, Kind, Listing, Lists, ObjectName, Op, Page, Put, Range, Renames,
    Result, Stat, Store, Stored, Until, Write,
};

/// What kind of store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// It ignores the case of names.
    pub folds: bool,
    /// What it tells of content.
    pub tags: Tags,
}

/// What a store tells that changes with the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// What is the file's own, under whatever name: an inode.
    OfFiles,
    /// What holds for a name alone, and is lost with it.
    OfNames,
    /// Nothing.
    None,
}

#[derive(Clone)]
struct File {
    name: Vec<u8>,
    content: Bytes,
    tag: u64,
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct Wild {
    files: Rc<RefCell<BTreeMap<Vec<u8>, File>>>,
    nature: Nature,
    tags: Rc<Cell<u64>>,
    requests: Rc<Cell<usize>>,
    /// From this request on nothing is answered.
    dies: Rc<Cell<usize>>,
    died: Rc<Notify>,
    /// Content that must not be lost by a request.
    dear: Rc<RefCell<BTreeSet<Bytes>>>,
    lost: Rc<RefCell<Vec<String>>>,
    /// Done by people before a look is answered.
    #[allow(clippy::type_complexity)]
    stranger: Rc<RefCell<Box<dyn FnMut(&Wild)>>>,
    context: Context,
}

impl Wild {
    /// An empty one.
    pub fn new(nature: Nature, context: &Context) -> Self {
        Self {
            files: Rc::default(),
            nature,
            tags: Rc::default(),
            requests: Rc::default(),
            dies: Rc::new(Cell::new(usize::MAX)),
            died: Rc::default(),
            dear: Rc::default(),
            lost: Rc::default(),
            stranger: Rc::new(RefCell::new(Box::new(|_| {}))),
            context: context.clone(),
        }
    }

    /// Lets `act` change files before each look at one, each listing, and each reading.
    pub fn among(&self, act: impl FnMut(&Wild) + 'static) {
        *self.stranger.borrow_mut() = Box::new(act);
    }

    /// Answers so many requests more, and none after them. Whoever waits then waits for ever.
    pub fn die_after(&self, requests: usize) {
        self.dies.set(self.requests.get().saturating_add(requests));
    }

    /// Waits until a request is not answered.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// No request may take the last copy of this.
    pub fn hold_dear(&self, content: &Bytes) {
        self.dear.borrow_mut().insert(content.clone());
    }

    /// It may be removed.
    pub fn let_go(&self, content: &Bytes) {
        self.dear.borrow_mut().remove(content);
    }

    /// Requests that took the last copy of something dear.
    pub fn lost(&self) -> Vec<String> {
        self.lost.borrow().clone()
    }

    /// All files.
    pub fn all(&self) -> BTreeMap<Vec<u8>, Bytes> {
        self.files.borrow().values().map(|file| (file.name.clone(), file.content.clone())).collect()
    }

    /// A person writes a file, or removes it.
    pub fn edit(&self, name: &[u8], content: Option<&[u8]>) {
        self.set(name, content.map(Bytes::copy_from_slice));
    }

    /// A person gives a file another name.
    pub fn moves(&self, from: &[u8], to: &[u8]) {
        let file = self.files.borrow_mut().remove(&self.index(from));
        if let Some(file) = file {
            self.files.borrow_mut().insert(self.index(to), File { name: to.to_vec(), ..file });
        }
    }

    fn index(&self, name: &[u8]) -> Vec<u8> {
        if self.nature.folds { name.to_ascii_lowercase() } else { name.to_vec() }
    }

    fn set(&self, name: &[u8], content: Option<Bytes>) {
        let mut files = self.files.borrow_mut();
        let index = self.index(name);
        let Some(content) = content else {
            files.remove(&index);
            return;
        };
        self.tags.set(self.tags.get() + 1);
        // A file keeps the spelling that it has.
        let name = files.get(&index).map_or_else(|| name.to_vec(), |file| file.name.clone());
        files.insert(index, File { name, content, tag: self.tags.get() });
    }

    fn stat_of(&self, name: &[u8]) -> Option<Stat> {
        let files = self.files.borrow();
        let file = files.get(&self.index(name))?;
        let tag = (self.nature.tags != Tags::None).then(|| file.tag.to_string());
        Some(Stat { len: file.content.len() as u64, tag, version: None })
    }

    /// Counts a request; one that came after its death is never answered.
    async fn request(&self) {
        self.requests.set(self.requests.get() + 1);
        if self.requests.get() > self.dies.get() {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn look(&self) {
        self.request().await;
        let mut act = self.stranger.replace(Box::new(|_| {}));
        act(self);
        *self.stranger.borrow_mut() = act;
    }

    /// Makes a change, and sees what is lost by it.
    async fn change(&self, what: String, f: impl FnOnce()) {
        self.request().await;
        let dear = self.dear.borrow();
        let there = |content: &&Bytes| self.files.borrow().values().any(|file| file.content == **content);
        let before: Vec<&Bytes> = dear.iter().filter(there).collect();
        f();
        let gone = before.into_iter().filter(|content| !there(content));
        self.lost.borrow_mut().extend(gone.map(|content| format!("{what} took {}", content.escape_ascii())));
    }

    fn absent(op: Op, object: &ObjectName) -> Error {
        Error::new(op, Kind::NotFound, "is not there").object(object).on("wild")
    }
}

#[async_trait(?Send)]
impl Store for Wild {
    fn label(&self) -> &str {
        "wild"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write: Write::Stream, ranges: true, local: true, width: 1 }
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
        self.look().await;
        Ok(self.stat_of(object.as_bytes()))
    }

    async fn get(&self, object: &ObjectName, _: Range) -> Result<Get> {
        self.look().await;
        let stat = self.stat_of(object.as_bytes()).ok_or_else(|| Self::absent(Op::Get, object))?;
        let content = self.files.borrow()[&self.index(object.as_bytes())].content.clone();
        let source = Source::Stream(Box::new(Whole(Some(content))));
        Ok(Get { len: stat.len, total: stat.len, tag: stat.tag, source })
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        Ok(Box::new(WildPut { store: self.clone(), object: object.clone(), len, body: BytesMut::new() }))
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        if until.is_over() {
            return Err(Until::late(Op::Remove).object(object).on("wild"));
        }
        self.change(format!("remove of {object}"), || self.set(object.as_bytes(), None)).await;
        Ok(())
    }

    fn identify(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        let tag = tag?;
        match self.nature.tags {
            Tags::OfFiles => Some(format!("{len}-{tag}")),
            Tags::OfNames => Some(format!("{len}-{object}-{tag}")),
            Tags::None => None,
        }
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
impl Renames for Wild {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        self.request().await;
        if self.stat_of(from.as_bytes()).is_none() {
            return Err(Self::absent(Op::Rename, from));
        }
        let moved = || {
            self.moves(from.as_bytes(), to.as_bytes());
            if self.nature.tags == Tags::OfNames
                && let Some(file) = self.files.borrow_mut().get_mut(&self.index(to.as_bytes()))
            {
                self.tags.set(self.tags.get() + 1);
                file.tag = self.tags.get();
            }
        };
        self.change(format!("rename of {from} to {to}"), moved).await;
        Ok(())
    }
}

#[async_trait(?Send)]
impl Copies for Wild {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        let stat = self.stat_of(from.as_bytes()).ok_or_else(|| Self::absent(Op::Copy, from))?;
        if tag.is_some() && stat.tag.as_deref() != tag {
            return Err(Error::new(Op::Copy, Kind::Corrupt, "the object changed").object(from).on("wild"));
        }
        let content = self.files.borrow()[&self.index(from.as_bytes())].content.clone();
        self.change(format!("copy of {from} to {to}"), || self.set(to.as_bytes(), Some(content))).await;
        let stat = self.stat_of(to.as_bytes()).ok_or_else(|| Self::absent(Op::Copy, to))?;
        Ok(Stored { len: stat.len, tag: stat.tag, version: None })
    }
}

#[async_trait(?Send)]
impl Lists for Wild {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        self.look().await;
        let below = prefix.map(|prefix| [prefix.as_bytes(), b"/"].concat()).unwrap_or_default();
        let names: Vec<Vec<u8>> = self.all().into_keys().filter(|name| name.starts_with(&below)).collect();
        let entry = |name: Vec<u8>| {
            let stat = self.stat_of(&name)?;
            Some(Entry { name: ObjectName::new(&name).ok()?, len: stat.len, tag: stat.tag })
        };
        Ok(Box::new(Listed(Some(names.into_iter().filter_map(entry).collect()))))
    }
}

struct Listed(Option<Vec<Entry>>);

#[async_trait(?Send)]
impl Listing for Listed {
    async fn next(&mut self) -> Result<Option<Page>> {
        Ok(self.0.take().map(|entries| Page { entries, skipped: Vec::new() }))
    }
}

struct Whole(Option<Bytes>);

#[async_trait(?Send)]
impl Blocks for Whole {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.take().filter(|content| !content.is_empty()))
    }
}

struct WildPut {
    store: Wild,
    object: ObjectName,
    len: u64,
    body: BytesMut,
}

#[async_trait(?Send)]
impl Put for WildPut {
    fn lane(&self) -> String {
        "memory".into()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.body.extend_from_slice(&block);
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, _: &Meter) -> Result<()> {
        let lease = std::sync::Arc::new(self.store.context.budget.lease(crate::budget::BLOCK as u64).await);
        let mut blocks = FileBlocks::new(from, self.store.context.budget.clone(), lease);
        while let Some(block) = blocks.next().await.map_err(|e| Error::io(Op::Put, "reading", e))? {
            self.body.extend_from_slice(&block);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Stored> {
        let (store, object) = (&self.store, &self.object);
        if self.body.len() as u64 != self.len {
            return Err(Error::new(Op::Put, Kind::Truncated, "ended early").object(object).on("wild"));
        }
        let content = Bytes::copy_from_slice(&self.body);
        store.change(format!("put of {object}"), || store.set(object.as_bytes(), Some(content))).await;
        let tag = store.stat_of(object.as_bytes()).and_then(|stat| stat.tag);
        Ok(Stored { len: self.len, tag, version: None })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
