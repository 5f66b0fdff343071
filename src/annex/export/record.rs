//! Recording that an export begins, and how far it came.
//!
//! The order is git-annex's: first the tree is made part of the branch's history, then `export.log` says that it is begun;
//! once nothing of another tree is in its way, that it is exported. Beside it a mark of our own says that the export
//! of a tree began from a state that was looked at and noted, so that what is found later where nothing is noted must
//! have come from that export and no earlier one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::db::ExportDb;
use super::error::WorkError;
use super::names::file_name;
use super::tree::Exportable;
use crate::annex::branch::{BranchError, Edit, GitId};
use crate::annex::fresh::{self, Durability};
use crate::annex::log::export::{EXPORT_LOG, ExportLog};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// `export.log` of `repository`.
///
/// # Errors
///
/// It could not be read, so what was exported is unknown.
pub fn exports(repository: &Repository) -> Result<ExportLog, BranchError> {
    Ok(ExportLog::parse(&repository.branch().read(EXPORT_LOG)?))
}

/// Records that `repository` begins to export `tree` to `remote`. Does nothing where that is recorded already.
pub fn begin(repository: &Repository, remote: &Uuid, tree: GitId) -> Result<(), BranchError> {
    let known = exports(repository)?;
    let known = known.exported(repository.uuid(), remote);
    if known.is_some_and(|known| known.incomplete.first() == Some(&tree)) {
        return Ok(());
    }
    if !known.is_some_and(|known| known.tree == tree || known.incomplete.contains(&tree)) {
        repository.branch().graft(tree)?;
    }
    change(repository, remote, move |log, here, remote, now| log.begin(here, remote, tree, now))
}

/// Records that `tree` is exported to `remote`, in place of any of `over`: the trees that were found in the log when it was
/// begun. What others exported meanwhile stays, and is a conflict.
pub fn complete(repository: &Repository, remote: &Uuid, tree: GitId, over: BTreeSet<GitId>) -> Result<(), BranchError> {
    change(repository, remote, move |log, here, remote, now| log.complete(here, remote, tree, &over, now))
}

/// Keeps the list of what is not exported of a tree where git-annex keeps it, and all of it for [`remembered`].
///
/// # Errors
///
/// It was not written.
pub fn remember(repository: &Repository, remote: &Uuid, exportable: &Exportable) -> io::Result<()> {
    replace(&repository.annex_dir().join("export.ex").join(file_name(remote)?), &exportable.left_out_lines())?;
    replace(&own_path(repository, remote, ".tree")?, &exportable.to_bytes())
}

/// What was last [`remember`]ed, for [`exportable`](super::tree::exportable) to read only what is new. `None` where there is
/// nothing, or nothing that can be read.
pub fn remembered(repository: &Repository, remote: &Uuid) -> Option<Exportable> {
    Exportable::parse(&fs::read(own_path(repository, remote, ".tree").ok()?).ok()?)
}

/// Marks that all that was found at `remote` is noted, and that from here on only content of `tree` is put there. To be
/// called after the notes are settled and before anything is done.
pub fn mark(repository: &Repository, remote: &Uuid, tree: GitId) -> io::Result<()> {
    replace(&own_path(repository, remote, ".mark")?, format!("{tree}\n").as_bytes())
}

/// The tree of the last [`mark`]; `None` after [`unmark`]. Where there is one, its export was cut, or goes on. The empty tree
/// stands for one that cannot be read.
pub fn marked(repository: &Repository, remote: &Uuid) -> io::Result<Option<GitId>> {
    match fs::read(own_path(repository, remote, ".mark")?) {
        Ok(text) => Ok(Some(GitId::parse(text.trim_ascii()).unwrap_or(GitId::EMPTY_TREE))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The tree whose export by `repository` to `remote` was begun last, where it was cut or goes on. `None` where all is done.
///
/// Others may have begun it too: git-annex leaves no mark. A mark alone may be of a tree whose export was not begun, and which
/// git need not keep; nothing was done for it, so then it is the tree before.
pub fn cut(repository: &Repository, remote: &Uuid) -> Result<Option<GitId>, WorkError> {
    let log = exports(repository)?;
    let marked = marked(repository, remote).map_err(WorkError::Mark)?;
    Ok(match log.exported(repository.uuid(), remote) {
        Some(own) => own.incomplete.first().copied().or(marked.map(|_| own.tree)),
        None => marked.map(|_| GitId::EMPTY_TREE),
    })
}

/// Whether `repository` is between the beginning and the end of an export to `remote`, and nobody else has exported to
/// it since, so that what is noted here holds whatever `log` says. Unlike [`cut`].
///
/// # Errors
///
/// The mark could not be read.
pub fn is_under_way(repository: &Repository, log: &ExportLog, remote: &Uuid) -> io::Result<bool> {
    let marked = marked(repository, remote)?;
    let own = log.exported(repository.uuid(), remote);
    Ok(own.is_some_and(|own| !own.incomplete.is_empty() || marked == Some(own.tree)))
}

/// What was found out of `remote` about the names it tells apart, as it was [`keep_about_names`]. `None` where nothing was.
pub fn about_names(repository: &Repository, remote: &Uuid) -> io::Result<Option<String>> {
    match fs::read(own_path(repository, remote, ".names")?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(|text| Some(String::from_utf8_lossy(&text).into_owned())),
    }
}

/// Keeps for [`about_names`] what was found out.
pub fn keep_about_names(repository: &Repository, remote: &Uuid, text: &str) -> io::Result<()> {
    replace(&own_path(repository, remote, ".names")?, text.as_bytes())
}

/// Whether `db` tells all keys of the tree that it says it tells. git-annex 10.20261026 leaves out those of the first tree where
/// git names objects by SHA-256: it asks for what differs from the empty tree by the name that this has elsewhere. What comes
/// later it adds. So there it is believed only once all were put in here: see [`note_whole`].
pub(super) fn is_whole(repository: &Repository, remote: &Uuid, db: &ExportDb, tree: GitId) -> Result<bool, WorkError> {
    if !tree.is_sha256() {
        return Ok(true);
    }
    match fs::read(own_path(repository, remote, ".whole").map_err(WorkError::Mark)?) {
        Ok(noted) => Ok(noted == db.identity()?.as_bytes()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(WorkError::Mark(e)),
    }
}

/// Notes for [`is_whole`] that all keys of a tree were put into `db`.
pub(super) fn note_whole(repository: &Repository, remote: &Uuid, db: &ExportDb) -> Result<(), WorkError> {
    let path = own_path(repository, remote, ".whole").map_err(WorkError::Mark)?;
    replace(&path, db.identity()?.as_bytes()).map_err(WorkError::Mark)
}

/// Takes the mark away: all steps are done, and noted.
pub fn unmark(repository: &Repository, remote: &Uuid) -> io::Result<()> {
    match fs::remove_file(own_path(repository, remote, ".mark")?) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Where word is left of keys that have come to `remote` and may not have their names yet: a directory.
pub fn arrived(repository: &Repository, remote: &Uuid) -> io::Result<PathBuf> {
    own_path(repository, remote, ".arrived")
}

/// What says that somebody changes names on `remote`, or was cut while they did, in which case the store may not have done yet
/// all that it was asked for: a file, changed last when that was last so.
pub fn asking(repository: &Repository, remote: &Uuid) -> io::Result<PathBuf> {
    own_path(repository, remote, ".asking")
}

/// Where the table of what was [proven](super::proofs) of `remote` is.
pub fn proofs(repository: &Repository, remote: &Uuid) -> io::Result<PathBuf> {
    own_path(repository, remote, ".proofs")
}

/// The word that `repository` left at `remote` last, of those who take [turns](super::turn). `None` where there was none.
pub fn left(repository: &Repository, remote: &Uuid) -> io::Result<Option<Vec<u8>>> {
    match fs::read(own_path(repository, remote, ".left")?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Keeps that word, to be called before it is said.
pub fn leave(repository: &Repository, remote: &Uuid, word: &[u8]) -> io::Result<()> {
    replace(&own_path(repository, remote, ".left")?, word)
}

/// The words of other gateways to `remote` that tell of nothing unknown here, as they were [`keep_heard`].
pub fn heard(repository: &Repository, remote: &Uuid) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(own_path(repository, remote, ".heard")?) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        read => Ok(read?.lines().map(str::to_string).collect()),
    }
}

/// Keeps for [`heard`] that these words, a line each, tell of nothing unknown here.
pub fn keep_heard(repository: &Repository, remote: &Uuid, words: &BTreeSet<String>) -> io::Result<()> {
    let lines: String = words.iter().flat_map(|word| [word, "\n"]).collect();
    replace(&own_path(repository, remote, ".heard")?, lines.as_bytes())
}

fn own_path(repository: &Repository, remote: &Uuid, ending: &str) -> io::Result<PathBuf> {
    let mut name = file_name(remote)?.to_os_string();
    name.push(ending);
    Ok(repository.annex_dir().join("stream/export").join(name))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    fresh::replace(path, content, &dir.join(fresh::name("new")?), 0o666, Durability::Machine).map(drop)
}

fn change(
    repository: &Repository,
    remote: &Uuid,
    apply: impl FnOnce(&mut ExportLog, &Uuid, &Uuid, Duration) -> bool + Send + 'static,
) -> Result<(), BranchError> {
    let (here, to) = (repository.uuid().clone(), remote.clone());
    let edit = Edit::new(EXPORT_LOG.to_vec(), move |log| {
        let mut log = ExportLog::parse(log);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        apply(&mut log, &here, &to, now).then(|| log.to_bytes())
    });
    let edit = if repository.is_private(remote) { edit.private() } else { edit };
    repository.branch().change(vec![edit])?;
    if repository.config_bool("annex.alwayscommit") != Some(false) {
        repository.branch().commit("update")?;
    }
    Ok(())
}
