//! Facts about a key, each read when it is first needed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

use super::sizes::Sizes;
use super::{numbers, unused};
use crate::annex::content::{Content, Glance};
use crate::annex::log::{Metadata, UrlLog, metadata_file, url_file};
use crate::annex::repository::{Attributes, Repository};
use crate::name::{Key, Uuid};
use crate::wanted::{Fact, Facts, Repo, Unknown};

/// Where facts about keys of a repository come from. What is the same for all keys is read once.
pub struct FactSource<'a> {
    repository: &'a Repository,
    sizes: &'a dyn Sizes,
    numcopies: RefCell<Attributes<'a>>,
    unused: OnceCell<Result<HashSet<Key>, String>>,
    content: Content,
}

/// The facts about one key, and the file it is asked about.
pub struct KeyFacts<'a> {
    source: &'a FactSource<'a>,
    key: Key,
    file: Option<Vec<u8>>,
    holders: OnceCell<Result<Vec<Uuid>, Unknown>>,
    metadata: OnceCell<Result<Metadata, Unknown>>,
    urls: OnceCell<Result<UrlLog, Unknown>>,
}

impl<'a> FactSource<'a> {
    /// Facts of `repository`; how full repositories are is asked of `sizes`.
    pub fn new(repository: &'a Repository, sizes: &'a dyn Sizes) -> Self {
        let numcopies = RefCell::new(Attributes::new(repository, "annex.numcopies"));
        let content = Content::new(repository.content_config());
        Self { repository, sizes, numcopies, unused: OnceCell::new(), content }
    }

    /// Those about `key`, for `file` from the top of the tree where it is about one.
    pub fn about(&'a self, key: Key, file: Option<Vec<u8>>) -> KeyFacts<'a> {
        let holders = OnceCell::new();
        KeyFacts { source: self, key, file, holders, metadata: OnceCell::new(), urls: OnceCell::new() }
    }

    /// Whether `git annex unused` has found `key` unused.
    ///
    /// # Errors
    /// Its list cannot be read.
    pub fn is_unused(&self, key: &Key) -> Result<bool, Unknown> {
        let unused = self.unused.get_or_init(|| unused::unused(self.repository)).as_ref();
        unused.map(|unused| unused.contains(key)).map_err(|why| Unknown::new(Fact::Unused, why.as_str()))
    }
}

impl KeyFacts<'_> {
    /// The same, where these are known to have it, and no log is read for that.
    pub fn held_by(self, holders: impl Iterator<Item = Uuid>) -> Self {
        Self { holders: OnceCell::from(Ok(holders.collect())), ..self }
    }

    fn log(&self, fact: Fact, file: Vec<u8>) -> Result<Vec<u8>, Unknown> {
        self.source.repository.branch().read(&file).map_err(|e| Unknown::new(fact, e.to_string()))
    }
}

impl Facts for KeyFacts<'_> {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(&self.key)
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok(self.file.as_deref())
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        let read = || {
            let log = self.source.repository.branch().locations(&self.key);
            Ok(log.map_err(|e| Unknown::new(Fact::Holders, e.to_string()))?.holders().collect())
        };
        self.holders.get_or_init(read).as_ref().map_err(Clone::clone)?.iter().for_each(holder);
        Ok(())
    }

    fn present(&self, _: Repo, uuid: &Uuid) -> Result<Option<bool>, Unknown> {
        if uuid != self.source.repository.uuid() {
            return Ok(None);
        }
        // What is recorded of content that lies here does not matter: recorded.
        let found = self.source.content.glance(&self.key);
        found.map(|found| Some(found != Glance::Absent)).map_err(|e| Unknown::new(Fact::Holders, e.to_string()))
    }

    fn used(&self, _: Repo, uuid: &Uuid) -> Result<u64, Unknown> {
        self.source.sizes.used(uuid).map_err(|why| Unknown::new(Fact::Used, why))
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        let Some(file) = &self.file else { return Ok(None) };
        let value = self.source.numcopies.borrow_mut().value(file);
        let value = value.map_err(|why| Unknown::new(Fact::NumCopies, why))?;
        Ok(value.and_then(|value| numbers::copies(&value)))
    }

    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        let hashing = self.source.repository.branch().log_hashing();
        let read = || Ok(Metadata::parse(&self.log(Fact::Metadata, metadata_file(&self.key, hashing))?));
        self.metadata.get_or_init(read).as_ref().map_err(Clone::clone)?.values(field, value);
        Ok(())
    }

    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        let hashing = self.source.repository.branch().log_hashing();
        let read = || Ok(UrlLog::parse(&self.log(Fact::Urls, url_file(&self.key, hashing))?));
        self.urls.get_or_init(read).as_ref().map_err(Clone::clone)?.urls().for_each(url);
        Ok(())
    }

    fn unused(&self) -> Result<bool, Unknown> {
        // A key that is asked about for a file is used by it, whatever the list says. Source: recorded.
        if self.file.is_some() { Ok(false) } else { self.source.is_unused(&self.key) }
    }
}
