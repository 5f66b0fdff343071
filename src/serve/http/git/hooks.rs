//! The hooks of a push that may only add to the git-annex branch: those of the repository, and `proc-receive`, which is this program.
//!
//! git runs `proc-receive` in place of moving a reference. Where it is not there, or fails, the reference stays as it is.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::annex::fresh;
use crate::gateway::LocalRepository;

/// The name under which this program unites branches.
pub const UNITES: &str = "proc-receive";

/// The other hooks that git runs in a push.
const OTHERS: [&str; 6] =
    ["pre-receive", "update", "post-receive", "post-update", "reference-transaction", "push-to-checkout"];

/// A directory of hooks for one push, which is removed when dropped.
pub(in crate::serve::http) struct Hooks(PathBuf);

impl Hooks {
    /// Makes it. Blocks.
    ///
    /// # Errors
    ///
    /// It cannot be made, or the repository has a `proc-receive` of its own.
    pub(in crate::serve::http) fn make(served: &LocalRepository, this: &Path) -> io::Result<Self> {
        let own = served.repository().hooks_dir();
        if is_program(&own.join(UNITES)) {
            return Err(io::Error::other(
                "the repository has a proc-receive hook of its own, so that nobody who may only append can push to its git-annex branch",
            ));
        }
        let path = std::env::temp_dir().join(fresh::name("git-annex-stream-hooks")?);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let hooks = Self(path);
        hooks.link(this, UNITES)?;
        for name in OTHERS {
            let hook = own.join(name);
            if is_program(&hook) {
                hooks.link(&std::path::absolute(&hook)?, name)?;
            }
        }
        Ok(hooks)
    }

    pub(in crate::serve::http) fn path(&self) -> &Path {
        &self.0
    }

    /// Errors: also where git could not run what is linked, and so would leave it out.
    fn link(&self, program: &Path, name: &str) -> io::Result<()> {
        let link = self.0.join(name);
        symlink(program, &link)?;
        rustix::fs::access(&link, rustix::fs::Access::EXEC_OK)?;
        Ok(())
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}
