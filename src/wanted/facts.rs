//! What must be known of a key before it can be decided who wants it, and what is assumed.

use std::fmt;
use std::sync::atomic::AtomicU64;

use super::repos::{Repo, RepoSet};
use crate::name::{Key, Uuid};

/// What is known of one key, asked for only when an answer depends on it.
///
/// # Errors
/// Every question that may fail does so with [`Unknown`]: what could not be read is not the same as what is not there.
pub trait Facts {
    /// The key.
    fn key(&self) -> Result<&Key, Unknown>;

    /// The file it is asked about, from the top of the tree. `None` where there is no file, as with `--all`: `include` does not
    /// match then, and `exclude` does.
    fn file(&self) -> Result<Option<&[u8]>, Unknown>;

    /// Length in bytes of the content. `None` where it is not known, which is smaller than any size.
    fn size(&self) -> Result<Option<u64>, Unknown> {
        self.key_size()
    }

    /// Length in bytes of the content, as the key tells it.
    fn key_size(&self) -> Result<Option<u64>, Unknown> {
        Ok(self.key()?.size())
    }

    /// Names every repository that is recorded to have the content to `holder`, dead ones too. Clusters are passed over.
    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown>;

    /// The same by number, where the caller has the repositories in the order of the policy and holds no others.
    fn numbered_holders(&self) -> Option<RepoSet> {
        None
    }

    /// Whether a repository has the content, where that is known better than from what is recorded: `present` asks this.
    fn present(&self, _repo: Repo, _uuid: &Uuid) -> Result<Option<bool>, Unknown> {
        Ok(None)
    }

    /// Bytes of annexed content that are recorded for a repository, this key among them where it is recorded there.
    fn used(&self, repo: Repo, uuid: &Uuid) -> Result<u64, Unknown>;

    /// annex.numcopies of .gitattributes for the file. `None` where it is not set there.
    fn numcopies(&self) -> Result<Option<u64>, Unknown>;

    /// Names every value of a metadata field to `value`. `field` is in lower case, and a field in another case is the same;
    /// `lastchanged` and `FIELD-lastchanged` are fields too.
    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown>;

    /// Names every url that is recorded for the key to `url`.
    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown>;

    /// What libmagic says of the content, for `mimetype` and `mimeencoding` of annex.largefiles.
    fn mime(&self, what: Mime) -> Result<&[u8], Unknown> {
        Err(Unknown::new(what.fact(), "it is not looked at"))
    }

    /// What a term answers, where that is assumed and not asked. Only of terms that do not depend on where content is.
    fn assumed_answer(&self, _term: &[u8]) -> Option<bool> {
        None
    }

    /// The members of the group with this number in the order in which content is balanced to them, where that is assumed.
    fn ranking(&self, _group: usize, _by_size: bool) -> Option<Vec<Repo>> {
        None
    }

    /// Where the number of the key in the group with this number can be kept from one question to the next, [`UNKEPT`] at first. For
    /// one policy, and one key.
    fn kept_number(&self, _group: usize) -> Option<&AtomicU64> {
        None
    }

    /// Whether `git annex unused` has found the key unused.
    fn unused(&self) -> Result<bool, Unknown>;
}

/// No number yet.
pub const UNKEPT: u64 = u64::MAX;

/// What libmagic may say of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mime {
    /// `text/plain`.
    Type,
    /// `binary`.
    Encoding,
}

impl Mime {
    /// The fact it is.
    pub fn fact(self) -> Fact {
        match self {
            Self::Type => Fact::MimeType,
            Self::Encoding => Fact::MimeEncoding,
        }
    }
}

/// Something that could not be told, and so nothing that depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// What could not be told.
    pub fact: Fact,
    /// Why, in a line.
    pub why: Box<str>,
}

/// The facts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The key itself.
    Key,
    /// The name of the file.
    File,
    /// The length of the content.
    Size,
    /// Which repositories have the content.
    Holders,
    /// How full a repository is.
    Used,
    /// The numcopies of a file.
    NumCopies,
    /// Metadata of the key.
    Metadata,
    /// Urls of the key.
    Urls,
    /// Whether the key is unused.
    Unused,
    /// The type of the content.
    MimeType,
    /// The encoding of the content.
    MimeEncoding,
    /// Whether a glob matches that git-annex cannot use.
    Glob,
}

impl Unknown {
    /// A fact that could not be told, with the reason in a line.
    pub fn new(fact: Fact, why: impl Into<Box<str>>) -> Self {
        Self { fact, why: why.into() }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fact = match self.fact {
            Fact::Key => "key",
            Fact::File => "name of the file",
            Fact::Size => "size of the content",
            Fact::Holders => "location log",
            Fact::Used => "size of the repository",
            Fact::NumCopies => "numcopies of the file",
            Fact::Metadata => "metadata",
            Fact::Urls => "urls",
            Fact::Unused => "unused keys",
            Fact::MimeType => "MIME type",
            Fact::MimeEncoding => "MIME encoding",
            Fact::Glob => "glob",
        };
        write!(f, "{fact}: {}", self.why)
    }
}

impl std::error::Error for Unknown {}

/// What is taken for granted beside what is recorded.
///
/// Placing a key adds each repository that was chosen to `has` before it asks for the next; dropping puts the repository
/// into `lost`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assumed {
    /// These have the content.
    pub has: RepoSet,
    /// The copies of these do not count, even where `has` says so. `present` heeds `has` alone: what a repository is about
    /// to drop is still present there, or `present` would mean nothing. Source: recorded.
    pub lost: RepoSet,
}

impl Assumed {
    /// What is recorded, and no more.
    pub const NOTHING: &Self = &Self { has: RepoSet::new(), lost: RepoSet::new() };
}
