//! The git that serves: the program, how many of it run, the hooks of pushes that only add, and what follows a push.

pub(super) mod hooks;
pub(super) mod program;
mod slots;
pub(super) mod trees;

use std::sync::Arc;

pub use hooks::UNITES;
use program::Program;
use slots::Slots;

use crate::gateway::{Repositories, Unserved};
use crate::proto::git::config::PublicUrl;
use crate::proto::git::route::GitOp;
use crate::proto::users::rights::Pattern;

/// How `p2phttp` serves git.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// Most programs at a time.
    pub processes: usize,
    /// Least pace of bodies, in bytes a second.
    pub min_rate: u64,
    /// What clients have in front of the path of a repository; what they say they asked for, otherwise.
    pub public: Option<PublicUrl>,
    /// Where a push makes a repository that is not there.
    pub create: Vec<Pattern>,
    /// Most repositories that are served, for that.
    pub create_limit: usize,
}

/// What is needed to serve git.
pub(super) struct Git {
    pub(super) program: Program,
    pub(super) slots: Arc<Slots>,
    pub(super) public: Option<PublicUrl>,
    pub(super) min_rate: u64,
    create: Vec<Pattern>,
    create_limit: usize,
}

/// A request of git's.
#[derive(Debug)]
pub(super) struct GitAsk {
    pub(super) op: GitOp,
    pub(super) protocol: Option<String>,
    pub(super) gzip: bool,
    /// Whom it was for.
    pub(super) host: Option<Vec<u8>>,
    /// Whether the client may take away what is there.
    pub(super) may_remove: bool,
}

impl Git {
    /// Looks for git. Blocks.
    ///
    /// # Errors
    ///
    /// There is none that can serve.
    pub(super) fn new(options: GitOptions) -> Result<Self, String> {
        let GitOptions { processes, min_rate, public, create, create_limit } = options;
        Ok(Self { program: Program::find()?, slots: Slots::new(processes), public, min_rate, create, create_limit })
    }

    /// Whether a push may make a repository that is called `name`.
    pub(super) fn creates(&self, name: &[u8]) -> bool {
        self.create.iter().any(|pattern| pattern.fits(name).is_some())
    }

    /// Makes the repository at `prefix`.
    pub(super) async fn make(&self, repositories: &Arc<Repositories>, prefix: &[u8]) -> Result<(), Unserved> {
        repositories.make(prefix, self.create_limit, self.program.plain()).await
    }
}
