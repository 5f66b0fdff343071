//! The content that a repository holds: checking, opening, receiving, removing and locking it.
//!
//! All of it may block; only [`Content::glance`] and [`Content::open_at_once`] never read content and may be called where
//! others wait. Real git-annex may do any of this to the same repository at the same moment, so everything here goes by
//! its lock files and file modes. Not done here: recording locations, and filling or emptying unlocked files in a work
//! tree, which git-annex does with a database that is its own.

mod commit;
mod config;
mod error;
mod hold;
mod hooks;
mod incoming;
mod lasting;
mod modes;
mod object;
mod open;
mod proven;
mod remove;
mod retention;
mod space;
mod staging;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

pub use config::{ContentConfig, Hooks, Sharing};
pub use error::ContentError;
pub use hold::ContentLock;
pub use incoming::{Incoming, Receive};
pub use open::{OpenContent, Opening};
pub use staging::unfinished;

use crate::name::Key;
use lasting::Lasting;
use object::Object;
use proven::Proven;
use retention::Retentions;
use space::Promises;

/// The content of one repository. Cheap to clone; clones share what they have learnt.
#[derive(Debug, Clone)]
pub struct Content(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ContentConfig,
    proven: Proven,
    lasting: Lasting,
    promises: Promises,
    retentions: Retentions,
}

/// What a look at the file of an object tells, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// The content is here.
    Present,
    /// It is not.
    Absent,
    /// There is something that may have been changed: it has to be read to know, which [`Content::present`] does.
    Unproven,
}

impl Content {
    /// The content of the repository `config` tells of.
    pub fn new(config: ContentConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            proven: Proven::default(),
            lasting: Lasting::default(),
            promises: Promises::default(),
            retentions: Retentions::default(),
        }))
    }

    /// Makes the annex of a repository that has none yet, since git-annex never worked in it. To be called once, when it is
    /// opened: from then on an annex that is not there is one that was taken away, of which nothing is known.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn prepare(&self) -> io::Result<()> {
        modes::make_dirs(self.config(), &self.config().annex_dir)
    }

    /// What it was made with.
    pub fn config(&self) -> &ContentConfig {
        &self.0.config
    }

    /// Whether the content of `key` is here, as far as that can be told without reading it: one or two calls of stat.
    ///
    /// # Errors
    ///
    /// Those of [`present`](Self::present).
    pub fn glance(&self, key: &Key) -> io::Result<Glance> {
        Ok(object::find(self.config(), key)?.map_or(Glance::Absent, |object| self.judge(key, &object)))
    }

    /// Whether the content of `key` is here. An object that may have been changed is read once per change; one whose
    /// length is not the key's is not its content.
    ///
    /// # Errors
    ///
    /// Whatever leaves it open whether the content is here, such as a directory that must not be entered, a disk that
    /// does not answer, or an annex that is gone as a whole.
    pub fn present(&self, key: &Key) -> io::Result<bool> {
        match self.glance(key)? {
            Glance::Present => Ok(true),
            Glance::Absent => Ok(false),
            Glance::Unproven => match object::open(self.config(), key)? {
                Some((_, file)) => self.0.proven.prove(key, &file),
                None => Ok(false),
            },
        }
    }

    fn judge(&self, key: &Key, object: &Object) -> Glance {
        if key.content_len().is_some_and(|len| len != object.state.len()) {
            return Glance::Absent;
        }
        if !object.changeable {
            return Glance::Present;
        }
        match self.0.proven.verdict(key, &object.state) {
            Some(true) => Glance::Present,
            Some(false) => Glance::Absent,
            None => Glance::Unproven,
        }
    }
}
