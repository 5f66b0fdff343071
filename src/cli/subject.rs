//! What a question is about: a key, or an annexed file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::annex::branch::FileKind;
use crate::annex::export::pointer::{LONGEST_POINTER, pointed_to};
use crate::annex::repository::Repository;
use crate::name::Key;

/// A key, and the file it is asked about.
pub(super) struct Subject {
    /// The key.
    pub key: Key,
    /// The file from the top of the tree, where there is one.
    pub file: Option<Vec<u8>>,
}

impl Subject {
    /// What `text` names: an annexed file of the work tree (without one, of HEAD), else a key.
    ///
    /// # Errors
    /// In a line, with the way out: it is neither.
    pub fn find(repository: &Repository, text: &OsStr) -> Result<Self, String> {
        let shown = text.to_string_lossy();
        let file = from_top(repository, Path::new(text));
        let found = match file.as_ref().map(|file| annexed(repository, file)).transpose()? {
            Some(Annexed::Key(key)) => Some(key),
            Some(Annexed::Not) => {
                return Err(format!(
                    "{shown}: not an annexed file that is committed; give its key, from git annex lookupkey {shown}"
                ));
            }
            Some(Annexed::Nothing) | None => None,
        };
        if let Some(key) = found {
            return Ok(Self { key, file });
        }
        let key = Key::parse(text.as_bytes());
        let key = key.map_err(|_| format!("{shown}: neither an annexed file nor a key"))?;
        Ok(Self { key, file: None })
    }
}

/// What a path from the top of the tree is.
pub(super) enum Annexed {
    /// An annexed file, locked or not.
    Key(Key),
    /// A file that is not annexed, or not committed as such.
    Not,
    /// No file.
    Nothing,
}

/// What a path from the top is in the work tree; without one, in HEAD.
///
/// # Errors
/// In a line: it cannot be read.
pub(super) fn annexed(repository: &Repository, file: &[u8]) -> Result<Annexed, String> {
    let found = match repository.work_tree() {
        Some(top) => in_work_tree(top, file)?,
        None => return Ok(committed(repository, file)?.map_or(Annexed::Nothing, Annexed::Key)),
    };
    Ok(match found {
        // The content of an unlocked file stands where the pointer would.
        Annexed::Not => committed(repository, file)?.map_or(Annexed::Not, Annexed::Key),
        found => found,
    })
}

fn in_work_tree(top: &Path, file: &[u8]) -> Result<Annexed, String> {
    let path = top.join(OsStr::from_bytes(file));
    let Ok(found) = fs::symlink_metadata(&path) else { return Ok(Annexed::Nothing) };
    let failed = |e| format!("read {}: {e}", path.display());
    let (content, kind) = if found.is_symlink() {
        (fs::read_link(&path).map_err(failed)?.into_os_string().as_bytes().to_vec(), FileKind::Link)
    } else if found.is_file() && found.len() <= LONGEST_POINTER {
        (fs::read(&path).map_err(failed)?, FileKind::Plain)
    } else {
        return Ok(if found.is_file() { Annexed::Not } else { Annexed::Nothing });
    };
    Ok(pointed_to(&content, kind).map_or(Annexed::Not, Annexed::Key))
}

/// The key that HEAD has at a path.
fn committed(repository: &Repository, file: &[u8]) -> Result<Option<Key>, String> {
    let branch = repository.branch();
    let Some(found) = branch.tree_file(b"HEAD", file).map_err(|e| e.to_string())? else { return Ok(None) };
    if found.kind == FileKind::Submodule || branch.blob_len(found.id).map_err(|e| e.to_string())? > LONGEST_POINTER {
        return Ok(None);
    }
    Ok(pointed_to(&branch.blob(found.id, LONGEST_POINTER).map_err(|e| e.to_string())?, found.kind))
}

/// A path from the top of the tree, `.` and `..` taken out; `None` where it is outside.
fn from_top(repository: &Repository, path: &Path) -> Option<Vec<u8>> {
    let whole = match repository.work_tree() {
        None => path.to_path_buf(),
        Some(top) => {
            let here = std::env::current_dir().ok()?.join(path);
            plain(&here).strip_prefix(top).ok()?.to_path_buf()
        }
    };
    let whole = plain(&whole).into_os_string().as_bytes().to_vec();
    (!whole.is_empty()).then_some(whole)
}

fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
