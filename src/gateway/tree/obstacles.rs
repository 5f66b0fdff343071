//! What people put where a name of the tree needs something else: a file where a directory has to be, or a directory where a
//! file has to be.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Tree;
use super::survey::Answer;
use crate::annex::export::names;
use crate::annex::export::plan::Step;
use crate::gateway::Failure;

/// What became of the obstacles of a step.
#[derive(Debug, Default)]
pub(super) struct MadeWay {
    /// Something is out of the way now.
    pub(super) cleared: bool,
    /// Names that cannot be had as long as people leave something there.
    pub(super) blocked: BTreeSet<Vec<u8>>,
    /// Names that cannot be had either if the step fails again, though the store takes others.
    pub(super) doubted: BTreeSet<Vec<u8>>,
}

impl Tree {
    /// Looks at what is in the way of the names that `step` fills. Files are put aside, empty directories removed. A directory
    /// with something in it is a person's matter: it may be large, and hold what nobody here knows.
    ///
    /// A bucket has no directories, and `d` and `d/e` are two objects that do not know each other. Not so where a file system is
    /// behind it, as with rclone and others; that is found out by what can be put there.
    ///
    /// Called once a step has failed, so that nobody pays for it where nothing is in the way.
    pub(super) async fn make_way(&self, step: &Step) -> Result<MadeWay, Failure> {
        let mut made = MadeWay::default();
        let directories = self.store.directories();
        for name in step.fills() {
            // From the top: some stores fail when they are asked for what is below a file.
            let above: Vec<&[u8]> = names::directories(name).collect();
            for directory in above.into_iter().rev() {
                if let Answer::There(_) = self.ask_one(directory).await?
                    && (directories.is_some() || self.has_no_room_below(directory).await?)
                {
                    self.put_aside(directory).await?;
                    made.cleared = true;
                }
            }
            if let Answer::There(_) = self.ask_one(name).await? {
                continue;
            }
            let Some(directories) = directories else {
                // What is below it may not be seen, where somebody put it into the file system itself.
                if self.has_room_below(names::GATEWAYS).await {
                    made.doubted.insert(name.clone());
                }
                continue;
            };
            if self.has_something_below(name).await? {
                self.warn_of_directory(name);
                made.blocked.insert(name.clone());
            } else {
                directories.remove_dir(&self.object(name)?).await.map_err(|e| Failure::remote(&e))?;
                made.cleared = true;
            }
        }
        Ok(made)
    }

    fn warn_of_directory(&self, name: &[u8]) {
        tracing::warn!(
            "remote {}: {} is left out, a directory of that name is in its place: move it away, then push or run \
             git-annex-remote-stream post-receive",
            self.name,
            name.escape_ascii()
        );
    }

    pub(super) fn warn_of_refusal(&self, name: &[u8], failure: &Failure) {
        let shown = name.escape_ascii();
        tracing::warn!(
            "remote {}: {shown} is left out, the store takes others and not this one ({failure}): if something is below \
             {shown}/, move it away; the next push or git-annex-remote-stream post-receive tries it again",
            self.name
        );
    }

    /// Whether nothing can be put below `directory`, though elsewhere it can.
    async fn has_no_room_below(&self, directory: &[u8]) -> Result<bool, Failure> {
        Ok(!self.has_room_below(directory).await && self.has_room_below(names::GATEWAYS).await)
    }

    /// Whether something could be put below `directory`. It is removed again.
    async fn has_room_below(&self, directory: &[u8]) -> bool {
        let name = names::probe(directory, remotes::sys::chance());
        match self
            .write_small(&name, Bytes::from_static(b"git-annex-remote-stream looks whether it can store here\n"))
            .await
        {
            Err(_) => false,
            Ok(()) => {
                if let Err(e) = self.take(&name).await {
                    tracing::warn!("remote {}: {} could not be removed: {e}", self.name, name.escape_ascii());
                }
                true
            }
        }
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
