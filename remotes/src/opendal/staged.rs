//! An object that waits for its final name.

use std::rc::Rc;

use super::link::Link;
use crate::Op;

/// A name that an object waits under. The directory is there for as long as this is.
pub(super) struct Staged {
    link: Rc<Link>,
    pub(super) path: String,
}

impl Staged {
    pub(super) fn new(link: &Rc<Link>) -> Self {
        Self { path: link.staging.enter(), link: Rc::clone(link) }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.link.staging.leave();
    }
}

impl Link {
    /// Removes the directory of staged objects, where none is in it.
    pub(super) async fn tidy(&self) {
        let Some(dir) = self.staging.abandon() else { return };
        if self.remove_empty(&dir).await.is_ok() && self.service.spares_full_directories() {
            for above in [".git/annex/", ".git/"] {
                if self.once(Op::Remove, |o| async move { o.delete(above).await }).await.is_err() {
                    break;
                }
            }
        }
    }
}
