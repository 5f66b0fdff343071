//! Trees of files in a directory: rename, copy, list.
//!
//! Nothing here follows a symbolic link below the root: what people put into such a tree may point anywhere.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::Fs;
use super::lasting::sync_dir;
use super::place::{Place, absent, tag};
use super::staging::is_staging;
use crate::pump::{FileSource, Meter, Source};
use crate::sys::on_a_thread;
use crate::{
    Copies, Directories, Entry, Error, Listing, Lists, ObjectName, Op, PAGE, Page, Range, Renames, Result, Store,
    Stored,
};

#[async_trait(?Send)]
impl Renames for Fs {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        let (source, target) = (self.path(Op::Rename, from)?, self.path(Op::Rename, to)?);
        self.root_is_there(Op::Rename).await?;
        let moved = self.off(Op::Rename, move || source.rename(&target)).await?;
        moved.map_err(|e| self.fail(Op::Rename, from, "", e))
    }
}

#[async_trait(?Send)]
impl Copies for Fs {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        let range = Range { tag: tag.map(str::to_string), ..Range::default() };
        let get = self.get(from, range).await.map_err(|e| e.during(Op::Copy))?;
        let Source::File(FileSource { file, .. }) = get.source else {
            return Err(self.fail(Op::Copy, from, "", io::ErrorKind::Unsupported.into()));
        };
        let mut put = self.put(to, get.total).await.map_err(|e| e.during(Op::Copy))?;
        let source = FileSource { file, at: 0, len: get.total };
        if let Err(e) = put.fill(&source, &Meter::new()).await {
            let _ = put.abort().await;
            return Err(e.during(Op::Copy));
        }
        put.commit().await.map_err(|e| e.during(Op::Copy))
    }
}

#[async_trait(?Send)]
impl Lists for Fs {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        self.root_is_there(Op::List).await?;
        let start = prefix.map(|prefix| self.path(Op::List, prefix)).transpose()?;
        let name = prefix.map(|prefix| prefix.as_bytes().to_vec()).unwrap_or_default();
        let walk =
            Walk { root: Arc::clone(&self.root), tree: self.context.tree, open: vec![Level::Dir(name)], guard: start };
        Ok(Box::new(Walking { walk: Some(walk), label: self.label.clone() }))
    }
}

#[async_trait(?Send)]
impl Directories for Fs {
    async fn remove_dir(&self, dir: &ObjectName) -> Result<()> {
        let place = self.path(Op::Remove, dir)?;
        self.root_is_there(Op::Remove).await?;
        self.off(Op::Remove, move || place.remove_dir()).await?.map_err(|e| self.fail(Op::Remove, dir, "", e))
    }

    /// Staging has none of its own in a tree.
    async fn tidy(&self) {}
}

impl Place {
    /// Fails where a directory on the way is a symbolic link.
    pub(super) fn beneath(&self) -> io::Result<()> {
        if !self.tree {
            return Ok(());
        }
        let on_the_way: Vec<&Path> = self.dir().ancestors().take_while(|dir| *dir != &*self.root).collect();
        for dir in on_the_way.iter().rev() {
            match std::fs::symlink_metadata(dir) {
                Ok(meta) if meta.is_symlink() => {
                    let what = format!("{} is a symbolic link, which is not followed", dir.display());
                    return Err(io::Error::other(what));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                Ok(_) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// What is there. In a tree a directory or a link of the name is no file of the name.
    pub(super) fn look(&self) -> io::Result<std::fs::Metadata> {
        if !self.tree {
            return std::fs::metadata(&self.file);
        }
        self.beneath()?;
        let meta = std::fs::symlink_metadata(&self.file).map_err(absent)?;
        if meta.is_dir() || !self.is_exact()? { Err(io::ErrorKind::NotFound.into()) } else { Ok(meta) }
    }

    /// Opens the file for reading.
    pub(super) fn open(&self) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};
        if !self.tree {
            return File::open(&self.file);
        }
        // Opening anything but a file might wait for ever, and may do things.
        match self.look() {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return Err(io::Error::other("is not a regular file")),
            Err(e) => return Err(e),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.file, flags, Mode::empty())?.into())
    }

    fn rename(&self, to: &Place) -> io::Result<()> {
        self.beneath()?;
        to.beneath()?;
        let meta = std::fs::symlink_metadata(&self.file).map_err(absent)?;
        if !meta.is_file() || !self.is_exact()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.file == to.file {
            return Ok(());
        }
        self.let_write()?;
        to.move_in(|| to.take_over(self))?;
        sync_dir(self.dir())?;
        self.prune();
        Ok(())
    }

    fn remove_dir(&self) -> io::Result<()> {
        match self.beneath().and_then(|()| std::fs::remove_dir(&self.file)) {
            Ok(()) => self.prune(),
            Err(e) => match e.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {}
                _ => return Err(e),
            },
        }
        Ok(())
    }
}

/// What is still to be looked at. Names are relative to the root.
enum Level {
    Dir(Vec<u8>),
    /// The names in a directory, last first.
    Names(Vec<u8>, Vec<(Vec<u8>, bool)>),
}

/// A walk through a directory in the order of names; holds the names of the directories it is in, and no more.
struct Walk {
    root: Arc<Path>,
    tree: bool,
    open: Vec<Level>,
    /// Where it starts, where that is not the root.
    guard: Option<Place>,
}

impl Walk {
    fn path(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.root.to_path_buf() } else { self.root.join(std::ffi::OsStr::from_bytes(name)) }
    }

    fn page(&mut self) -> io::Result<Option<Page>> {
        if let Some(start) = self.guard.take() {
            start.beneath()?;
            if std::fs::symlink_metadata(&start.file).is_ok_and(|meta| meta.is_symlink()) {
                return Ok(None);
            }
        }
        let mut page = Page::default();
        while let Some(level) = self.open.pop() {
            match level {
                Level::Dir(name) => {
                    let names = self.read(&name)?;
                    self.open.push(Level::Names(name, names));
                }
                Level::Names(dir, mut names) => {
                    let Some((last, is_dir)) = names.pop() else { continue };
                    let name = if dir.is_empty() { last } else { [&dir[..], b"/", &last].concat() };
                    self.open.push(Level::Names(dir, names));
                    if is_dir {
                        self.open.push(Level::Dir(name));
                    } else {
                        self.meet(&name, &mut page)?;
                    }
                }
            }
            if page.entries.len() + page.skipped.len() >= PAGE {
                return Ok(Some(page));
            }
        }
        Ok((page.entries.len() + page.skipped.len() > 0).then_some(page))
    }

    /// Files and directories in a directory, last first. One that has gone is empty.
    fn read(&self, dir: &[u8]) -> io::Result<Vec<(Vec<u8>, bool)>> {
        let mut names = Vec::new();
        if is_staging(dir, self.tree) {
            return Ok(names);
        }
        let entries = match std::fs::read_dir(self.path(dir)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !dir.is_empty() => return Ok(names),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name().as_bytes().to_vec());
            if kind.is_dir() || kind.is_file() {
                names.push((name, kind.is_dir()));
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    fn meet(&self, name: &[u8], page: &mut Page) -> io::Result<()> {
        let meta = match std::fs::symlink_metadata(self.path(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            meta => meta?,
        };
        if !meta.is_file() {
            return Ok(());
        }
        match ObjectName::new(name) {
            Ok(object) => page.entries.push(Entry { name: object, len: meta.len(), tag: Some(tag(&meta)) }),
            Err(why) => page.skipped.push(format!("{}: {why}", name.escape_ascii())),
        }
        Ok(())
    }
}

struct Walking {
    walk: Option<Walk>,
    label: String,
}

#[async_trait(?Send)]
impl Listing for Walking {
    async fn next(&mut self) -> Result<Option<Page>> {
        let Some(mut walk) = self.walk.take() else { return Ok(None) };
        let fail = |e| Error::io(Op::List, "", e).on(&self.label);
        let (walk, page) = on_a_thread(move || {
            let page = walk.page();
            (walk, page)
        })
        .await
        .map_err(fail)?;
        let page = page.map_err(fail)?;
        self.walk = page.is_some().then_some(walk);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::fs::put::FsPut;
    use crate::{Context, Kind, Put};

    fn tree(dir: &Path) -> Fs {
        Fs::at(dir, &Context { reserve: 0, tree: true, ..Context::default() })
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        crate::sys::run(false, work).expect("a runtime")
    }

    fn name(text: impl AsRef<[u8]>) -> ObjectName {
        ObjectName::new(text).expect("a name")
    }

    async fn put(fs: &Fs, object: &str) -> Result<Stored> {
        let mut put = fs.put(&name(object), 3).await?;
        put.write(bytes::Bytes::from_static(b"abc")).await?;
        put.commit().await
    }

    #[test]
    fn links_are_not_followed() {
        let (outside, root) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        std::fs::write(outside.path().join("secret"), "secret").expect("written");
        symlink(outside.path(), root.path().join("dir")).expect("a link");
        symlink(outside.path().join("secret"), root.path().join("file")).expect("a link");
        let fs = tree(root.path());
        run(async {
            let e = put(&fs, "dir/new").await.expect_err("refused");
            assert!(e.to_string().contains("symbolic link"), "{e}");
            assert!(fs.stat(&name("dir/secret")).await.is_err() && fs.stat(&name("file")).await.is_err());
            assert!(fs.get(&name("dir/secret"), Range::default()).await.is_err());
            assert!(fs.get(&name("file"), Range::default()).await.is_err());
            assert!(fs.remove(&name("dir/secret")).await.is_err());
            put(&fs, "real").await.expect("stored");
            assert!(fs.rename(&name("real"), &name("dir/real")).await.is_err());
            assert!(fs.rename(&name("dir/secret"), &name("mine")).await.is_err());
            let mut listing = fs.list(None).await.expect("listed");
            let page = listing.next().await.expect("a page").expect("not empty");
            assert_eq!(page.entries.len(), 1, "{page:?}");
            // A link of the name is replaced, and what it points to stays.
            put(&fs, "file").await.expect("stored");
        });
        assert_eq!(std::fs::read(outside.path().join("secret")).expect("there"), b"secret");
        assert_eq!(std::fs::read(root.path().join("file")).expect("there"), b"abc");
        assert_eq!(std::fs::read_dir(outside.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_and_a_directory_of_one_name_are_two_things() {
        let root = tempfile::tempdir().expect("a directory");
        let fs = tree(root.path());
        run(async {
            put(&fs, "a/b").await.expect("stored");
            assert_eq!(fs.stat(&name("a")).await.expect("clear"), None, "a directory is no file");
            assert_eq!(fs.stat(&name("a/b/c")).await.expect("clear"), None, "below a file is nothing");
            fs.remove(&name("a")).await.expect("nothing to remove");
            fs.remove(&name("a/b/c")).await.expect("nothing to remove");
            assert_eq!(fs.rename(&name("a"), &name("z")).await.expect_err("no file").kind(), Kind::NotFound);
            put(&fs, "a").await.expect_err("there is a directory");
            assert!(fs.stat(&name("a/b")).await.expect("clear").is_some());
        });
    }

    #[test]
    fn directories_of_a_tree_stay_open_and_empty_ones_go() {
        let root = tempfile::tempdir().expect("a directory");
        let fs = tree(root.path());
        let mode = |p: &str| std::fs::metadata(root.path().join(p)).expect("there").permissions().mode() & 0o777;
        run(async {
            fs.prove("owner").await.expect("a place");
            assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 0, "nothing is left of the proof");
            put(&fs, "foo/foo").await.expect("stored");
            assert_eq!((mode("foo"), mode("foo/foo")), (0o755, 0o444));
            put(&fs, "foo/bar").await.expect("stored beside it");
            fs.rename(&name("foo/foo"), &name("x/y/z")).await.expect("renamed");
            fs.rename(&name("foo/bar"), &name("bar")).await.expect("renamed");
            assert!(!root.path().join("foo").exists(), "an emptied directory goes");
            fs.remove(&name("x/y/z")).await.expect("removed");
            assert!(!root.path().join("x").exists(), "with those above it");
        });
    }

    #[test]
    fn names_of_any_bytes_are_listed_and_those_on_their_way_are_not() {
        let root = tempfile::tempdir().expect("a directory");
        let fs = tree(root.path());
        std::fs::create_dir_all(root.path().join(".git/annex/stream-tmp")).expect("a directory");
        std::fs::create_dir(root.path().join("tmp")).expect("a directory");
        for text in [".git/annex/stream-tmp/x", "tmp/stream-upload-0123456789abcdef", "stream-host-77-1", "new\nline"] {
            std::fs::write(root.path().join(text), "x").expect("written");
        }
        std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").expect("written");
        let page =
            run(async { fs.list(None).await.expect("listed").next().await }).expect("a page").expect("not empty");
        let names: Vec<_> = page.entries.iter().map(|e| e.name.as_bytes().to_vec()).collect();
        assert_eq!(names, [&b"caf\xe9"[..], b"stream-host-77-1", b"tmp/stream-upload-0123456789abcdef"]);
        assert_eq!(page.skipped.len(), 1, "{page:?}");
        assert!(page.skipped[0].starts_with("new\\nline: "), "{page:?}");
    }

    /// rename(2) leaves both where they are.
    #[test]
    fn a_rename_onto_another_name_of_the_file_leaves_that_name_alone() {
        let root = tempfile::tempdir().expect("a directory");
        let fs = tree(root.path());
        run(async {
            put(&fs, "dir/one").await.expect("stored");
            std::fs::create_dir(root.path().join("other")).expect("made");
            for second in ["dir/two", "other/one", "Dir"] {
                std::fs::hard_link(root.path().join("dir/one"), root.path().join(second)).expect("linked");
                fs.rename(&name("dir/one"), &name(second)).await.expect("renamed");
                assert!(!root.path().join("dir/one").exists(), "{second}: the old name is gone");
                assert_eq!(std::fs::read(root.path().join(second)).expect("there"), b"abc");
                fs.rename(&name(second), &name("dir/one")).await.expect("and back");
                std::fs::create_dir_all(root.path().join("other")).expect("made");
            }
        });
    }

    #[test]
    fn files_called_as_staging_is_are_files_like_others() {
        let root = tempfile::tempdir().expect("a directory");
        let fs = tree(root.path());
        run(async {
            for text in ["tmp", "stream-tmp", "stream-upload-0123456789abcdef"] {
                fs.prove("owner").await.expect("a place");
                put(&fs, text).await.expect("stored");
                put(&fs, text).await.expect("replaced");
                let staged = fs.path(Op::Put, &name("big")).expect("a path").stage_named().expect("staged");
                let big = FsPut::new(
                    fs.path(Op::Put, &name("big")).expect("a path"),
                    staged,
                    &name("big"),
                    "fs",
                    0,
                    &fs.in_flight,
                );
                (Box::new(big) as Box<dyn Put>).commit().await.expect("stored beside it");
                fs.rename(&name(text), &name("x")).await.expect("renamed");
                fs.rename(&name("x"), &name(format!("{text}/x"))).await.expect("a directory likewise");
                fs.remove(&name(format!("{text}/x"))).await.expect("removed");
                fs.remove(&name("big")).await.expect("removed");
                assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 0, "{text}");
            }
        });
    }
}
