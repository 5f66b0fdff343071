//! Which files of a tree the remote wants, by its preferred and required content, as `git annex export` decides.
//!
//! Names are those in the exported tree, also where that is a directory of a branch. Files of git are always wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Why;
use crate::annex::export::tree::{Exportable, annexed, files};
use crate::annex::git::object::TreeFile;
use crate::annex::repository::Repository;
use crate::gateway::wanted::{Counted, FactSource, Policies};
use crate::name::Uuid;
use crate::wanted::Assumed;

/// The files of `what` that `remote` does not want. Where nothing is configured, it wants all.
///
/// Failures: a fact that the answer depends on cannot be told.
pub(super) fn unwanted(
    repository: &Arc<Repository>,
    remote: &Uuid,
    what: &Exportable,
) -> Result<BTreeMap<Vec<u8>, TreeFile>, Why> {
    let mut unwanted = BTreeMap::new();
    let policy = Policies::default().current(repository)?;
    let Some(repo) = policy.repo(remote).filter(|repo| policy.is_configured(*repo)) else { return Ok(unwanted) };
    let sizes = Counted::new(repository);
    let source = FactSource::new(repository, &sizes);
    for (path, file) in files(repository.branch(), what.tree)? {
        let Some(key) = annexed(repository.branch(), file)? else { continue };
        let facts = source.about(key, Some(path.clone()));
        if !policy.about(&facts).wants(repo, Assumed::NOTHING).map_err(|why| Why::Wish(path.clone(), why))? {
            unwanted.insert(path, file);
        }
    }
    Ok(unwanted)
}
