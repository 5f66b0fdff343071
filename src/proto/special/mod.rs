//! The external special remote protocol, version 2, as git-annex 10.20261026 speaks it, seen from the special remote.
//!
//! Source: `design/external_special_remote_protocol` and its async appendix in git-annex's documentation; recorded
//! conversations are in `testdata/external/`.
//!
//! | file | what |
//! |---|---|
//! | `session` | whose turn it is; start reading there |
//! | `request` | what git-annex asks |
//! | `incoming` | how that is read from its lines |
//! | `violation` | how it can break the protocol |
//! | `reply` | what can be said to it |
//! | `misuse` | what must not |
//! | `job` | which reply and which answer belong where |
//! | `progress` | how often PROGRESS is said |
//!
//! A request that is not known is answered with UNSUPPORTED-REQUEST. TRANSFER-RETRIEVE-URL, CHECKPRESENT-URL, DOWNLOAD-URL
//! and DELEGATE are not offered.

#[doc(hidden)]
pub mod fuzz;
mod incoming;
mod job;
mod misuse;
mod name;
pub mod progress;
mod reply;
mod request;
pub mod session;
#[cfg(test)]
mod tests;
mod violation;
mod wire;

pub use job::Job;
pub use misuse::Misuse;
pub use name::{FileName, Key, Secret};
pub use reply::{Answer, Availability, Note, Query, Reach, Reply, UrlPart};
pub use request::Request;
pub use session::{Event, Session};
pub use violation::Violation;

/// Extensions of the protocol, as offered or as negotiated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// INFO: messages to the user.
    pub info: bool,
    /// ASYNC: many requests at once in one process.
    pub async_jobs: bool,
    /// GETGITREMOTENAME.
    pub git_remote_name: bool,
    /// UNAVAILABLERESPONSE: a remote may say that it cannot be reached now.
    pub unavailable: bool,
    /// IMPORTKEY: a key is made for a file on the remote without its content coming here.
    pub import_key: bool,
}

impl Extensions {
    /// Every extension this program can use.
    pub const ALL: Extensions =
        Extensions { info: true, async_jobs: true, git_remote_name: true, unavailable: true, import_key: true };

    /// Those of a space separated list that are known; the others do not matter.
    pub fn parse(list: &[u8]) -> Self {
        let has = |word: &[u8]| list.split(|byte| *byte == b' ').any(|item| item == word);
        Self {
            info: has(b"INFO"),
            async_jobs: has(b"ASYNC"),
            git_remote_name: has(b"GETGITREMOTENAME"),
            unavailable: has(b"UNAVAILABLERESPONSE"),
            import_key: has(b"IMPORTKEY"),
        }
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self {
            info: self.info && other.info,
            async_jobs: self.async_jobs && other.async_jobs,
            git_remote_name: self.git_remote_name && other.git_remote_name,
            unavailable: self.unavailable && other.unavailable,
            import_key: self.import_key && other.import_key,
        }
    }

    /// Their words, in the order they are sent.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let table = [
            (self.info, "INFO"),
            (self.async_jobs, "ASYNC"),
            (self.git_remote_name, "GETGITREMOTENAME"),
            (self.unavailable, "UNAVAILABLERESPONSE"),
            (self.import_key, "IMPORTKEY"),
        ];
        table.into_iter().filter_map(|(on, word)| on.then_some(word))
    }
}

/// How a [`Session`] behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest line taken from git-annex, in bytes without its newline. Default 1 MiB: file names and urls are far
    /// shorter, and more than this is not a conversation any more.
    pub line_limit: usize,
    /// Most that may be remembered for all running requests together, in bytes. Default 8 MiB, some 60,000 requests.
    pub held_limit: usize,
    /// Extensions to use when git-annex offers them; `None` replies UNSUPPORTED-REQUEST to EXTENSIONS, as programs
    /// older than that message do. Default: all.
    pub offer: Option<Extensions>,
}

impl Default for Options {
    fn default() -> Self {
        Self { line_limit: 1024 * 1024, held_limit: 8 * 1024 * 1024, offer: Some(Extensions::ALL) }
    }
}

impl Options {
    /// The default, without ASYNC: git-annex starts a process for each thing it does at once.
    pub fn one_at_a_time() -> Self {
        Self { offer: Some(Extensions { async_jobs: false, ..Extensions::ALL }), ..Self::default() }
    }
}
