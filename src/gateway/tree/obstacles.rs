//! What people put where a name of the tree needs something else: a file where a directory has to be, or a directory where a
//! file has to be.

use std::collections::BTreeSet;

use super::Tree;
use super::survey::Answer;
use crate::annex::export::names;
use crate::annex::export::plan::Step;
use crate::gateway::Failure;

/// What became of the obstacles of a step.
pub(super) struct MadeWay {
    /// Something is out of the way now.
    pub(super) cleared: bool,
    /// Names that cannot be had as long as people leave something there.
    pub(super) blocked: BTreeSet<Vec<u8>>,
}

impl Tree {
    /// Looks at what is in the way of the names that `step` fills. Files are put aside, empty directories removed. A directory
    /// with something in it is a person's matter: it may be large, and hold what nobody here knows. Nothing is done where a
    /// store has no directories.
    ///
    /// Called once a step has failed, so that nobody pays for it where nothing is in the way.
    pub(super) async fn make_way(&self, step: &Step) -> Result<MadeWay, Failure> {
        let mut made = MadeWay { cleared: false, blocked: BTreeSet::new() };
        let Some(directories) = self.store.directories() else { return Ok(made) };
        for name in step.fills() {
            for directory in names::directories(name) {
                if let Answer::There(_) = self.ask_one(directory).await? {
                    self.put_aside(directory).await?;
                    made.cleared = true;
                }
            }
            if let Answer::There(_) = self.ask_one(name).await? {
                continue;
            }
            if self.has_something_below(name).await? {
                let shown = name.escape_ascii();
                tracing::warn!(
                    "remote {}: {shown} is left out, a directory of that name is in its place: move it away, then push or run \
                     git-annex-remote-stream post-receive",
                    self.name
                );
                made.blocked.insert(name.clone());
            } else {
                let object = self.object(name)?;
                directories.remove_dir(&object).await.map_err(|e| Failure::remote(&e))?;
                made.cleared = true;
            }
        }
        Ok(made)
    }

    async fn has_something_below(&self, name: &[u8]) -> Result<bool, Failure> {
        let Some(lists) = self.store.lists() else { return Ok(false) };
        let object = self.object(name)?;
        let mut listing = lists.list(Some(&object)).await.map_err(|e| Failure::remote(&e))?;
        while let Some(page) = listing.next().await.map_err(|e| Failure::remote(&e))? {
            if !page.entries.is_empty() || !page.skipped.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
