//! Names that the store does not distinguish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use remotes::Write;
use remotes::fold::Folding;

use super::{Tree, Why};
use crate::annex::export::apart::{Apart, apart};
use crate::annex::export::record;
use crate::annex::export::tree::{Exportable, files, without};
use crate::annex::repository::Repository;
use crate::gateway::{Failure, blocking};
use crate::name::Uuid;

/// What a store does not tell apart, and whether that was only found out now.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundFolding {
    pub(super) folding: Folding,
    pub(super) is_new: bool,
}

impl Tree {
    /// What the store does not tell apart in names. It is asked once for each place, and the answer kept in the repository: a hook
    /// is a process for each push, and on some stores asking takes as long as a small export.
    pub(super) async fn folding(&self) -> Result<FoundFolding, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let kept = blocking(move || record::about_names(home.repository(), &uuid)).await?;
        let kept = kept.map_err(super::failed)?;
        let place = self.store.label();
        if let Some(folding) = kept.and_then(|text| read(&text, place)) {
            return Ok(FoundFolding { folding, is_new: false });
        }
        // Old versions stay for good, and what keeps such is no file system.
        let folding = match self.store.capabilities().write {
            Write::ReadOnly => Folding::NONE,
            _ if self.store.versions().is_some() => Folding::NONE,
            _ => self.store.folding().await.map_err(|e| Failure::remote(&e))?,
        };
        let (home, uuid, text) = (Arc::clone(&self.home), self.uuid.clone(), show(folding, place));
        blocking(move || record::keep_about_names(home.repository(), &uuid, &text)).await?.map_err(super::failed)?;
        Ok(FoundFolding { folding, is_new: true })
    }
}

/// `what` without the names that a store which folds so cannot have beside others of it, and beside what it holds.
pub(super) fn told_apart(
    repository: &Repository,
    remote: &Uuid,
    what: Exportable,
    folding: Folding,
) -> Result<(Exportable, Apart), Why> {
    if folding == Folding::NONE {
        return Ok((what, Apart::default()));
    }
    let branch = repository.branch();
    let log = record::exports(repository)?;
    let mut held: BTreeSet<Vec<u8>> = BTreeSet::new();
    for tree in log.trees(remote).into_iter().chain(log.incomplete(remote)) {
        held.extend(files(branch, tree)?.into_keys());
    }
    let wanted = files(branch, what.tree)?;
    let apart = apart(wanted.keys().map(Vec::as_slice), held.iter().map(Vec::as_slice), |name| folding.fold(name));
    if apart.is_empty() {
        return Ok((what, apart));
    }
    let out = |name: &Vec<u8>| apart.refused.contains_key(name) || apart.waiting.contains(name);
    let more: BTreeMap<_, _> = wanted.into_iter().filter(|(name, _)| out(name)).collect();
    Ok((without(branch, what, more)?, apart))
}

/// As [`read`] reads it.
fn show(folding: Folding, place: &str) -> String {
    let Folding { case, unicode, endings } = folding;
    format!("case={case} unicode={unicode} endings={endings} {}\n", place.escape_debug())
}

/// `None` where it is about another place, or is malformed.
fn read(text: &str, place: &str) -> Option<Folding> {
    let all =
        [false, true].map(|case| [false, true].map(|unicode| [false, true].map(|endings| (case, unicode, endings))));
    let all = all.into_iter().flatten().flatten();
    let all = all.map(|(case, unicode, endings)| Folding { case, unicode, endings });
    all.into_iter().find(|folding| show(*folding, place) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_is_remembered_of_that_place_alone() {
        for folding in [Folding::NONE, Folding::ALL, Folding { case: true, ..Folding::NONE }] {
            let text = show(folding, "fs /a\nb");
            assert_eq!(read(&text, "fs /a\nb"), Some(folding), "{text}");
            assert_eq!(read(&text, "fs /a"), None);
            assert_eq!(read(&text[..text.len() - 1], "fs /a\nb"), None);
        }
    }
}
