//! What some stores can do with a tree of files whose names people gave: rename, copy and list them, each by a trait of its own.

use async_trait::async_trait;

use crate::{ObjectName, Result, Stored};

/// Gives objects other names; see [`Store::renames`](crate::Store::renames).
#[async_trait(?Send)]
pub trait Renames {
    /// Gives an object another name, in place of what may be there: that stays until it is replaced by the whole.
    /// Directories are made as needed, and those left empty go. Where the place does not tell the two names apart, the
    /// object is there by the second alone.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no `from`.
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()>;
}

/// Copies objects; see [`Store::copies`](crate::Store::copies).
#[async_trait(?Send)]
pub trait Copies {
    /// Puts a copy of an object under another name, in place of what may be there, and tells what is there then.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no `from`, `Corrupt` where it is no longer the one that had `tag`.
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored>;
}

/// Lists objects; see [`Store::lists`](crate::Store::lists).
#[async_trait(?Send)]
pub trait Lists {
    /// All objects whose names begin with `prefix` and a slash; all there are where it is absent. What was changed
    /// meanwhile may be listed or not.
    ///
    /// # Errors
    ///
    /// What is there could not be told.
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>>;
}

/// Takes care of directories; see [`Store::directories`](crate::Store::directories).
#[async_trait(?Send)]
pub trait Directories {
    /// Removes a directory, if it is there and empty.
    ///
    /// # Errors
    ///
    /// It may still be there, and empty.
    async fn remove_dir(&self, dir: &ObjectName) -> Result<()>;

    /// Removes the directories that staging left empty, in a tree. For whoever is done for now; costs nothing where there are none.
    async fn tidy(&self);
}

/// An object that a listing met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub len: u64,
    /// See [`crate::Stat::tag`].
    pub tag: Option<String>,
}

/// Some of the objects of a place.
#[derive(Debug, Default)]
pub struct Page {
    /// What was found, in the store's own order.
    pub entries: Vec<Entry>,
    /// What was found and is left out, because it has no name that an object may have; in words for people.
    pub skipped: Vec<String>,
}

/// Entries of a page, about: what keeps a listing in bounded memory.
pub const PAGE: usize = 1000;

/// The objects of a place, page by page.
#[async_trait(?Send)]
pub trait Listing {
    /// The next page, which may be empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// What is there could not be told, and what came before is not the whole.
    async fn next(&mut self) -> Result<Option<Page>>;
}

/// How a tag begins that is a time, where a store has nothing better.
pub(crate) const TIME: &str = "time:";

/// Whether this [`crate::Stat::tag`] is but the time of the last change: two contents may have the same.
pub fn is_time(tag: &str) -> bool {
    tag.starts_with(TIME)
}

/// Whether what bears this [`crate::Stat::tag`] is of one content: by HTTP's rules a weak tag proves no bytes, and a time does not either.
pub fn is_strong(tag: &str) -> bool {
    !tag.starts_with("W/") && !is_time(tag)
}

/// The letters of `text` that may stand in a content identifier: those that need no quoting in a file name or on a wire.
pub(crate) fn plain(text: &str) -> String {
    let word = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    word.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

/// A number that differs for different bytes as far as chance allows; the same in every version of this program.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
