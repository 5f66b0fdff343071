//! Where objects wait for their names, on services that may show unfinished ones.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::link::{Link, unique};
use crate::Op;

/// Among keys: git-annex's own directory remotes use the same.
const KEYS: &str = "tmp";

/// In a tree, which may have any name but `.git`. More follows: a directory is removed with all that is in it by most services,
/// so each has its own.
const TREE: &str = ".git/annex/stream-tmp";

/// The directory in which objects of one opened store wait.
pub(super) struct Staging {
    tree: bool,
    dir: RefCell<String>,
    waiting: Cell<usize>,
    /// Something has waited there.
    used: Cell<bool>,
}

impl Staging {
    pub(super) fn new(tree: bool) -> Self {
        Self { tree, dir: RefCell::new(fresh(tree)), waiting: Cell::default(), used: Cell::default() }
    }

    /// True for what waits at `path`, whoever put it there.
    pub(super) fn is_staged(&self, path: &str) -> bool {
        if self.tree {
            return path.strip_prefix(TREE).is_some_and(|rest| rest.starts_with(['-', '/']));
        }
        let Some((KEYS, name)) = path.split_once('/') else { return false };
        let hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
        name.split_once('-').is_some_and(|(process, chance)| hex(process) && chance.len() == 16 && hex(chance))
    }
}

fn fresh(tree: bool) -> String {
    if tree { format!("{TREE}-{}", unique()) } else { KEYS.into() }
}

/// A name that an object waits under. The directory is there for as long as this is.
pub(super) struct Staged {
    link: Rc<Link>,
    pub(super) path: String,
}

impl Staged {
    pub(super) fn new(link: &Rc<Link>) -> Self {
        let staging = &link.staging;
        staging.waiting.set(staging.waiting.get() + 1);
        staging.used.set(true);
        Self { path: format!("{}/{}", staging.dir.borrow(), unique()), link: Rc::clone(link) }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let waiting = &self.link.staging.waiting;
        waiting.set(waiting.get().saturating_sub(1));
    }
}

impl Link {
    /// Removes the directory of staged objects, where none is in it.
    pub(super) async fn tidy(&self) {
        let staging = &self.staging;
        if !staging.tree || staging.waiting.get() > 0 || !staging.used.replace(false) {
            return;
        }
        // What comes from here on waits elsewhere.
        let dir = staging.dir.replace(fresh(true));
        if self.remove_empty(&dir).await.is_ok() && self.service.spares_full_directories() {
            for above in [".git/annex/", ".git/"] {
                if self.once(Op::Remove, |o| async move { o.delete(above).await }).await.is_err() {
                    break;
                }
            }
        }
    }
}
