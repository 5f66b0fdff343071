//! A directory on this computer: `scheme=fs directory=/path`.
//!
//! Files lie where git-annex's `type=directory` puts them, with the modes it leaves: content read-only, and the directory that
//! an object has for itself (`.../KEY/KEY`) too. An object is staged without a name in the same file system, synced, and
//! linked into place, so a killed program leaves nothing behind.

mod entry;
mod lasting;
mod place;
mod put;
mod spelling;
mod staging;
mod stream;
mod tree;

use annex_types::size;
use std::cell::Cell;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;

use crate::fold::Folding;
use crate::options::{Options, Spec, bad};
use crate::pump::{FileSource, Source};
use crate::store::folding;
use crate::sys::on_a_thread;
use crate::{
    Capabilities, Context, Copies, Directories, Error, Get, Kind, Lists, ObjectName, Op, Put, Range, Renames, Result,
    Stat, Store, Until, Uploads, Write,
};

/// The options it knows.
pub const OPTIONS: &[Spec] = &[Spec::plain("directory", "fs: the directory where the files are stored")];

/// A directory that keeps objects as files.
pub struct Fs {
    root: Arc<Path>,
    label: String,
    context: Context,
    /// Bytes announced by open puts and not on the disk yet.
    in_flight: Rc<Cell<u64>>,
}

impl Fs {
    /// Opens the directory that `options` name. Touches nothing yet.
    pub fn open(options: &Options, context: &Context) -> Result<Self> {
        let path = options.bytes("directory").ok_or_else(|| bad("directory", "is missing"))?;
        let root = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        if !root.is_absolute() {
            return Err(bad("directory", "must be an absolute path"));
        }
        Ok(Self::at(&root, context))
    }

    /// The store in `root`.
    pub fn at(root: &Path, context: &Context) -> Self {
        Self {
            root: root.into(),
            label: format!("fs {}", root.display()),
            context: context.clone(),
            in_flight: Rc::default(),
        }
    }

    fn path(&self, op: Op, object: &ObjectName) -> Result<place::Place> {
        place::Place::new(&self.root, object, self.context.tree)
            .map_err(|e| Error::new(op, Kind::Unsupported, e.to_string()).object(object).on(&self.label))
    }

    fn fail(&self, op: Op, object: &ObjectName, what: &str, error: io::Error) -> Error {
        Error::io(op, what, error).object(object).on(&self.label)
    }

    /// Runs a system call where it may hang (a dead file server) without holding up the other jobs.
    async fn off<T: Send + 'static>(&self, op: Op, call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        on_a_thread(call).await.map_err(|e| Error::io(op, "", e).on(&self.label))
    }

    /// "The object is not there" is told from "nothing is there": a drive that is not mounted has lost nothing.
    async fn root_is_there(&self, op: Op) -> Result<()> {
        let root = Arc::clone(&self.root);
        if self.off(op, move || root.is_dir()).await? { Ok(()) } else { Err(self.missing_root(op)) }
    }

    fn missing_root(&self, op: Op) -> Error {
        Error::new(op, Kind::NoSuchPlace, "the directory is not there (is its drive mounted?)").on(&self.label)
    }

    /// Opens an object for writing, in a file that `make` stages.
    async fn stage(
        &self,
        object: &ObjectName,
        len: u64,
        make: impl FnOnce(&place::Place) -> io::Result<put::Stage> + Send + 'static,
    ) -> Result<Box<dyn Put>> {
        let place = self.path(Op::Put, object)?;
        if !place.is_possible() {
            let detail = "the name of a file has at most 255 bytes";
            return Err(Error::new(Op::Put, Kind::Unsupported, detail).object(object).on(&self.label));
        }
        let staging = place.clone();
        let staged = self.off(Op::Put, move || (staging.free(), make(&staging)));
        let (free, staged) = staged.await?;
        let staged = match staged {
            Ok(staged) => staged,
            Err(e) => {
                self.root_is_there(Op::Put).await?;
                return Err(self.fail(Op::Put, object, "staging", e));
            }
        };
        self.check_space(object, len, free).inspect_err(|_| {
            if let Some(name) = &staged.name {
                let _ = place.let_go(name);
            }
        })?;
        Ok(Box::new(put::FsPut::new(place, staged, object, &self.label, len, &self.in_flight)))
    }

    /// Whether `len` more bytes fit, counting what other transfers have announced, with the reserve left free.
    fn check_space(&self, object: &ObjectName, len: u64, free: Option<u64>) -> Result<()> {
        // Where the file system does not tell, the write will.
        let Some(free) = free else { return Ok(()) };
        let wanted = len.saturating_add(self.in_flight.get()).saturating_add(self.context.reserve);
        if free >= wanted {
            return Ok(());
        }
        let detail = format!(
            "not enough free space: {} free, {} needed with what is in flight, and annex.diskreserve keeps {}",
            size::show(free),
            size::show(len.saturating_add(self.in_flight.get())),
            size::show(self.context.reserve)
        );
        Err(Error::new(Op::Put, Kind::Reserve, detail).object(object).on(&self.label))
    }
}

#[async_trait(?Send)]
impl Store for Fs {
    fn label(&self) -> &str {
        &self.label
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write: Write::Stream, ranges: true, local: true, width: 1 }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        vec![("directory", self.root.display().to_string())]
    }

    fn locate(&self, object: &ObjectName) -> Option<String> {
        let place = place::Place::new(&self.root, object, self.context.tree).ok()?;
        Some(place.file.display().to_string())
    }

    async fn prove(&self, _owner: &str) -> Result<()> {
        let (root, tree) = (Arc::clone(&self.root), self.context.tree);
        on_a_thread(move || staging::prove(&root, tree)).await.and_then(|r| r).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => self.missing_root(Op::Prove),
            _ => Error::io(Op::Prove, "writing and reading a marker", e).on(&self.label),
        })
    }

    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>> {
        let place = self.path(Op::Stat, object)?;
        match self.off(Op::Stat, move || place.look().map_err(place::absent)).await? {
            Ok(m) if m.is_file() => Ok(Some(Stat { len: m.len(), tag: Some(place::tag(&m)), version: None })),
            Ok(_) => Err(Error::new(Op::Stat, Kind::Protocol, "is not a regular file").object(object).on(&self.label)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.root_is_there(Op::Stat).await.map(|()| None),
            Err(e) => Err(self.fail(Op::Stat, object, "", e)),
        }
    }

    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get> {
        let place = self.path(Op::Get, object)?;
        let opened = self.off(Op::Get, move || {
            let file = place.open().map_err(place::absent)?;
            let meta = file.metadata()?;
            Ok((file, meta))
        });
        let (file, meta) = match opened.await? {
            Ok(opened) => opened,
            Err(e) => {
                self.root_is_there(Op::Get).await?;
                return Err(self.fail(Op::Get, object, "", e));
            }
        };
        let tag = place::tag(&meta);
        if range.tag.is_some_and(|t| t != tag) {
            return Err(Error::new(Op::Get, Kind::Corrupt, "the file changed").object(object).on(&self.label));
        }
        let total = meta.len();
        let len = total.saturating_sub(range.from).min(range.len.unwrap_or(u64::MAX));
        let source = Source::File(FileSource { file: Arc::new(file), at: range.from, len });
        Ok(Get { len, total, tag: Some(tag), source })
    }

    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        self.stage(object, len, place::Place::stage).await
    }

    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()> {
        let place = self.path(Op::Remove, object)?;
        self.root_is_there(Op::Remove).await?;
        // Asked on the thread that removes: a thread is waited for where a file server does not answer.
        let until = until.clone();
        match self.off(Op::Remove, move || place.remove(|| !until.is_over())).await? {
            Ok(true) => Ok(()),
            Ok(false) => Err(Until::late(Op::Remove).object(object).on(&self.label)),
            Err(e) => Err(self.fail(Op::Remove, object, "", e)),
        }
    }

    async fn make_lasting(&self, object: &ObjectName) -> Result<()> {
        let place = self.path(Op::Stat, object)?;
        let done = self.off(Op::Stat, move || place.make_lasting()).await?;
        done.map_err(|e| self.fail(Op::Stat, object, "syncing", e))
    }

    async fn folding(&self) -> Result<Folding> {
        let is_there = async |name: &ObjectName| {
            let path = self.path(Op::Stat, name)?.file;
            self.off(Op::Stat, move || std::fs::symlink_metadata(path).is_ok()).await
        };
        folding::probe(self, is_there).await
    }

    /// Inode, length and time of the last change, in nanoseconds: what git goes by in its index.
    fn identify(&self, _: &ObjectName, _: u64, tag: Option<&str>) -> Option<String> {
        tag.map(crate::store::tree::plain)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        Some(self)
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

    fn directories(&self) -> Option<&dyn Directories> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn examined(uring: bool) {
        let dir = tempfile::tempdir().expect("a directory");
        let context = Context { reserve: 0, ..Context::default() };
        crate::sys::run(uring, async {
            for tree in [false, true] {
                let context = Context { tree, ..context.clone() };
                let root = dir.path().join(if tree { "tree" } else { "keys" });
                let store: Rc<dyn Store> = Rc::new(Fs::at(&root, &context));
                conformance::examine(&store, &context).await;
            }
        })
        .expect("a runtime");
        // Nothing is left of all the aborted puts, and in a tree no directory either.
        for (root, expected) in [("keys/tmp", true), ("tree", false)] {
            let left = std::fs::read_dir(dir.path().join(root)).map(|d| d.flatten().collect::<Vec<_>>());
            assert!(left.as_ref().map_or(expected, Vec::is_empty), "{root}: {left:?}");
        }
    }

    #[test]
    fn conformance_on_threads() {
        examined(false);
    }

    #[test]
    fn conformance_on_whichever_engine_the_kernel_grants() {
        examined(true);
    }

    fn block_on<T>(f: impl Future<Output = T>) -> T {
        crate::sys::run(false, f).expect("a runtime")
    }

    #[test]
    fn a_missing_root_is_not_an_absent_object() {
        let context = Context::default();
        let store = Fs::at(Path::new("/nonexistent/place"), &context);
        let name = ObjectName::new("aaa/bbb/K/K").expect("a name");
        block_on(async {
            assert_eq!(store.stat(&name).await.expect_err("unknown").kind(), Kind::NoSuchPlace);
            assert_eq!(store.remove(&name).await.expect_err("unknown").kind(), Kind::NoSuchPlace);
            assert_eq!(store.get(&name, Range::default()).await.err().expect("unknown").kind(), Kind::NoSuchPlace);
            assert_eq!(store.prove("u").await.expect_err("its parent is missing too").kind(), Kind::NoSuchPlace);
        });
    }

    #[test]
    fn the_reserve_is_kept_and_counts_what_is_in_flight() {
        let dir = tempfile::tempdir().expect("a directory");
        let stat = rustix::fs::statvfs(dir.path()).expect("statvfs");
        let free = stat.f_bavail * stat.f_frsize;
        let gib = 1 << 30;
        let context = Context { reserve: free.saturating_sub(2 * gib), ..Context::default() };
        let store = Fs::at(dir.path(), &context);
        let (a, b) = (ObjectName::new("a").expect("a name"), ObjectName::new("b").expect("a name"));
        block_on(async {
            let first = store.put(&a, gib).await.expect("fits");
            let e = store.put(&b, gib + gib / 2).await.err().expect("does not fit beside the first");
            assert_eq!(e.kind(), Kind::Reserve);
            assert!(e.to_string().contains("annex.diskreserve"), "{e}");
            drop(first);
            store.put(&b, gib + gib / 2).await.expect("fits now");
        });
    }

    #[test]
    fn what_a_killed_process_left_stops_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let tmp = dir.path().join("tmp");
        std::fs::create_dir(&tmp).expect("made");
        let node = rustix::system::uname().nodename().to_string_lossy().replace('/', "_");
        for count in 0..100 {
            let left = format!("stream-{node}-{}-{count}", std::process::id());
            std::fs::write(tmp.join(left), "somebody else's").expect("written");
        }
        let name = ObjectName::new("aaa/bbb/K/K").expect("a name");
        let place = place::Place::new(&dir.path().into(), &name, false).expect("a place");
        for _ in 0..100 {
            let stage = place.stage_named().expect("staged");
            assert_eq!(stage.file.metadata().expect("there").len(), 0);
            std::fs::remove_file(stage.name.expect("it has a name")).expect("there");
        }
        block_on(Fs::at(dir.path(), &Context::default()).prove("u")).expect("the marker is another");
        let left = std::fs::read_dir(&tmp).expect("there").flatten();
        assert!(left.map(|e| std::fs::read(e.path()).expect("read")).all(|text| text == b"somebody else's"));
    }

    #[test]
    fn a_name_that_no_file_can_have_is_refused_before_the_first_byte() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Fs::at(dir.path(), &Context { reserve: 0, ..Context::default() });
        let name = |len: usize| ObjectName::new(format!("aaa/{}", "x".repeat(len))).expect("a name");
        block_on(async {
            assert_eq!(store.put(&name(256), 1).await.err().expect("refused").kind(), Kind::Unsupported);
            assert_eq!(store.put_stream(&name(256), 1 << 30).await.err().expect("refused").kind(), Kind::Unsupported);
            let mut put = store.put(&name(255), 1).await.expect("opened");
            put.write(bytes::Bytes::from_static(b"x")).await.expect("written");
            put.commit().await.expect("stored");
        });
    }

    #[test]
    fn modes_are_those_git_annex_leaves() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let context = Context { reserve: 0, ..Context::default() };
        let store = Fs::at(dir.path(), &context);
        let name = ObjectName::new("36a/30d/K/K").expect("a name");
        let mode = |p: &str| std::fs::metadata(dir.path().join(p)).expect("there").permissions().mode() & 0o777;
        block_on(async {
            let mut put = store.put(&name, 3).await.expect("opened");
            put.write(bytes::Bytes::from_static(b"abc")).await.expect("written");
            put.commit().await.expect("stored");
            assert_eq!(mode("36a/30d/K/K"), 0o444);
            assert_eq!(mode("36a/30d/K"), 0o555);
            assert_eq!(mode("36a/30d"), 0o755);
            store.remove(&name).await.expect("removed");
            assert!(!dir.path().join("36a").exists(), "emptied directories go, as git-annex removes them");
        });
    }
}
