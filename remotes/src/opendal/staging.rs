//! Where objects wait for their final names, on services that may show unfinished ones.

use std::cell::{Cell, RefCell};

use crate::sys::chance;

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

    /// A path for one more object to wait at.
    pub(super) fn enter(&self) -> String {
        self.waiting.set(self.waiting.get() + 1);
        self.used.set(true);
        format!("{}/{}", self.dir.borrow(), unique())
    }

    /// One of them waits no more.
    pub(super) fn leave(&self) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
    }

    /// The directory, where something has waited in it and nothing does: what comes from here on waits elsewhere.
    pub(super) fn abandon(&self) -> Option<String> {
        if !self.tree || self.waiting.get() > 0 || !self.used.replace(false) {
            return None;
        }
        Some(self.dir.replace(fresh(true)))
    }
}

fn fresh(tree: bool) -> String {
    if tree { format!("{TREE}-{}", unique()) } else { KEYS.into() }
}

/// A name no one else uses.
pub(super) fn unique() -> String {
    format!("{:x}-{:016x}", std::process::id(), chance())
}
