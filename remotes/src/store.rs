//! The seam between those who know what an object means and those who keep its bytes.

pub(crate) mod folding;
pub(crate) mod listing;
pub(crate) mod tree;
mod upload;
mod version;

use async_trait::async_trait;
use bytes::Bytes;

use crate::finding::Finding;
use crate::fold::Folding;
use crate::pump::{FileSource, Meter, Source};
use crate::site::Whom;
use crate::{ObjectName, Result, Until};

pub use tree::{Copies, Directories, Entry, Listing, Lists, PAGE, Page, Renames, is_strong, is_time};
pub use upload::{Mark, Resumption, Uploads, put_stream};
pub use version::Versions;

/// How a store works, asked before the first byte. All choices between stores are made on these, and on what [`Store`] gives
/// beyond what every store can; never on names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How content gets in.
    pub write: Write,
    /// True where a read may start anywhere, so that an interrupted retrieve resumes and ranges run side by side.
    pub ranges: bool,
    /// True where the place is on this computer, and not on another.
    pub local: bool,
    /// How many ranges of one object it pays to read side by side; 1 where one stream is as fast.
    pub width: usize,
}

/// How content gets into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Any length, in bounded memory.
    Stream,
    /// The whole object at once, from memory, up to this many bytes.
    Memory(u64),
    /// Not at all.
    ReadOnly,
}

/// What a store tells of an object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Length in bytes.
    pub len: u64,
    /// Changes whenever the content does (an ETag), where the store has such a thing.
    pub tag: Option<String>,
    /// Finds this content even after it was replaced or removed, where the store keeps such. Only the store understands it:
    /// for [`Versions`].
    pub version: Option<String>,
}

/// Which part of an object to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub from: u64,
    /// How many bytes; to the end where absent.
    pub len: Option<u64>,
    /// Fail with [`crate::Kind::Corrupt`] where the object is no longer the one that had this tag.
    pub tag: Option<String>,
}

impl Range {
    /// From `from` to the end.
    pub fn from(from: u64) -> Self {
        Self { from, ..Self::default() }
    }
}

/// An object opened for reading.
pub struct Get {
    /// Bytes that [`Get::source`] gives: none where the range starts at or behind the end.
    pub len: u64,
    /// Length of the whole object.
    pub total: u64,
    /// See [`Stat::tag`].
    pub tag: Option<String>,
    /// Where the bytes come from.
    pub source: Source,
}

/// What a store says of an object it has just made visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Length as the store tells it after the commit.
    pub len: u64,
    /// See [`Stat::tag`].
    pub tag: Option<String>,
    /// See [`Stat::version`].
    pub version: Option<String>,
}

/// A place that keeps objects.
///
/// Promises every store keeps, and [`crate::conformance`] examines:
/// - No one ever sees a part of an object: it is absent until [`Put::commit`] and whole after it, also when the process is
///   killed at any moment. An object that is overwritten is the old one until then.
/// - Absent is an answer (`Ok(None)`, [`crate::Kind::NotFound`]); every doubt is an error.
/// - In a tree of a place with directories an object is found by its own name alone, and none is put over one of another name,
///   also where the place takes the two for one: see [`crate::fold`].
/// - Nothing waits for ever, and nothing grows with the object's length.
///
/// What only some stores can is a trait of its own, and the store gives it to whoever asks: [`Store::uploads`],
/// [`Store::versions`] and those of trees. So nothing can be asked of a store that cannot do it. What one answers stays the
/// same for as long as the store is open.
///
/// Futures are `!Send`: they live and die on the data thread that made them.
#[async_trait(?Send)]
pub trait Store {
    /// The store as users know it, for errors and logs: `s3 photos`, `fs /mnt/backup`. No secrets.
    fn label(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Names and values for `git annex info`. No network, no secrets.
    fn info(&self) -> Vec<(&'static str, String)>;

    /// Where a person can find the object (an URL or a path), if there is such a place. No network.
    fn locate(&self, object: &ObjectName) -> Option<String>;

    /// The URL that is asked, and whose certificates count, where it is reached over HTTP. No network.
    fn reached(&self) -> Option<(Whom, String)> {
        None
    }

    /// Options that are not as the place turned out to be, with the values that are right; to be kept in their stead.
    fn learnt(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Proves the place at initremote: finds or creates it, writes a marker and reads it back, refuses what is not a store at
    /// all. Idempotent. `owner` is the remote's uuid: a place marked by another owner is refused.
    async fn prove(&self, owner: &str) -> Result<()>;

    /// Whether the object is there, asked of the place itself at this moment.
    async fn stat(&self, object: &ObjectName) -> Result<Option<Stat>>;

    /// Opens an object for reading.
    ///
    /// # Errors
    ///
    /// `NotFound` where it is positively absent.
    async fn get(&self, object: &ObjectName, range: Range) -> Result<Get>;

    /// Opens an object of exactly `len` bytes for writing. Space, permissions and limits are checked here where they can be.
    async fn put(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>>;

    /// Removes an object. One that is already absent is removed.
    async fn remove(&self, object: &ObjectName) -> Result<()> {
        self.remove_until(object, &Until::ever()).await
    }

    /// The same, while there is time: `until` is asked right before every request that can remove, the repeated ones
    /// too.
    ///
    /// # Errors
    ///
    /// `TooLate` where the time was over before it was removed as far as is known.
    async fn remove_until(&self, object: &ObjectName, until: &Until) -> Result<()>;

    /// Waits until nothing can happen to an object any more that this process asked for before and heard no answer to, such as
    /// a removal that a slow store does late. At once in almost all cases; never longer than [`Context::late`](crate::Context).
    async fn settled(&self, _object: &ObjectName) {}

    /// Makes an object that is there outlive a power cut, whoever put it there: before somebody is told that it need not be
    /// stored again. Places elsewhere see to that by themselves.
    async fn make_lasting(&self, _object: &ObjectName) -> Result<()> {
        Ok(())
    }

    /// What of names this place does not tell apart, tried out on a file of our own that is removed again.
    async fn folding(&self) -> Result<Folding> {
        folding::probe(self, async |name| Ok(self.stat(name).await?.is_some())).await
    }

    /// A short text of plain letters that tells this content under this name from every other that was or will be there;
    /// the same for as long as it does not change. `None` where the store knows nothing that changes with the content.
    fn identify(&self, _object: &ObjectName, _len: u64, _tag: Option<&str>) -> Option<String> {
        None
    }

    /// What this kind of store can do beyond what every store can, tried out beside `object`, for [`crate::doctor`].
    async fn probe(&self, _object: &ObjectName) -> Vec<Finding> {
        Vec::new()
    }

    /// Uploads that outlive the process, where it has such.
    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }

    /// Objects that were replaced or removed, where it keeps them.
    fn versions(&self) -> Option<&dyn Versions> {
        None
    }

    /// Other names for objects, where it can give them without content passing through here.
    fn renames(&self) -> Option<&dyn Renames> {
        None
    }

    /// Copies of objects, where it can make them without content passing through here.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }

    /// A list of what it keeps, where it can tell.
    fn lists(&self) -> Option<&dyn Lists> {
        None
    }

    /// Directories, where names are those of files in such: where there is a file `a` there is no `a/b`.
    fn directories(&self) -> Option<&dyn Directories> {
        None
    }
}

/// An object on its way into a store; not visible yet.
///
/// Dropping it is an [`Put::abort`] that nobody waits for; or, where it can be resumed, a [`Put::suspend`] that nobody waits
/// for: whoever opened such a one keeps its [`Put::resumption`], and resumes or abandons it.
#[async_trait(?Send)]
pub trait Put {
    /// How the bytes will travel, in a word or two, for the decision line in the log.
    fn lane(&self) -> String;

    /// Takes the next bytes, in order.
    ///
    /// # Errors
    ///
    /// `Corrupt` where they are more than announced.
    async fn write(&mut self, block: Bytes) -> Result<()>;

    /// Takes everything from a file, by the best lane from there, and meters it. Nothing else was or will be written.
    /// Safe to drop half way. Where bytes become visible as they end (a single PUT), they travel, and are metered, in
    /// [`Put::commit`].
    ///
    /// # Errors
    ///
    /// `Truncated` where the file is shorter than announced, `Corrupt` where it is longer.
    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()>;

    /// Makes the object visible, lasting, and proves that it is.
    ///
    /// # Errors
    ///
    /// `Truncated` where bytes are missing; nothing is visible then.
    async fn commit(self: Box<Self>) -> Result<Stored>;

    /// Leaves nothing behind.
    async fn abort(self: Box<Self>) -> Result<()>;

    /// Where it can be resumed. `None`: not at all, the whole has to come again. Known from the start, and the same until
    /// the end. A commit that failed with a [`crate::Kind::retry`] leaves it to be resumed; after every other, nothing is
    /// left.
    fn resumption(&self) -> Option<Resumption> {
        None
    }

    /// The marks reached since the last call, in order and without gaps.
    fn take_marks(&mut self) -> Vec<Mark> {
        Vec::new()
    }

    /// Lets go of memory that is only kept to send it again. For pauses of whoever sends, and before waiting for memory.
    fn relax(&mut self) {}

    /// Lets go, and leaves what has reached a mark for [`Uploads::resume`]. Waits a moment (2 s at most) for steps that are on
    /// their way. Gives the marks that [`Put::take_marks`] has not given. What cannot be resumed is aborted.
    async fn suspend(self: Box<Self>) -> Result<Vec<Mark>> {
        self.abort().await.map(|()| Vec::new())
    }
}
