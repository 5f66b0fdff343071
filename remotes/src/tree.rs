//! What a store can do with a tree of files whose names people gave: rename, copy and list them.

use async_trait::async_trait;

use crate::{ObjectName, Result};

/// Which of these a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trees {
    /// [`crate::Store::rename`], without content passing through here.
    pub rename: bool,
    /// [`crate::Store::copy`], likewise.
    pub copy: bool,
    /// [`crate::Store::list`].
    pub list: bool,
    /// Names are those of files in directories: where there is a file `a` there is no `a/b`.
    pub directories: bool,
}

impl Trees {
    /// All of them, without directories.
    pub const FLAT: Trees = Trees { rename: true, copy: true, list: true, directories: false };

    /// All of them, in directories.
    pub const FILES: Trees = Trees { directories: true, ..Self::FLAT };
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

/// The letters of `text` that may stand in a content identifier: those that need no quoting in a file name or on a wire.
pub(crate) fn plain(text: &str) -> String {
    let word = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    word.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

/// A number that differs for different bytes as far as chance allows; the same in every version of this program.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
