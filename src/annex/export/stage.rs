//! An export in its order, as types. Each stage is made of the one before, and is gone with it:
//!
//! ```text
//! Survey: what is at the names?  --note-->  Noted  --begin-->  Started: the steps  --end-->  nothing is left to do
//! ```
//!
//! What was found is noted, for good, before a mark says that it is; the mark is there before the record says that the export
//! was begun; and both are there before a step is done. So whoever is killed anywhere leaves what the next one can tell
//! from the records alone. No stage has the means of the next:
//!
//! ```compile_fail,E0599
//! use git_annex_remote_stream::annex::export::stage::Survey;
//!
//! fn begins_what_is_not_noted(survey: Survey) {
//!     survey.begin();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! use git_annex_remote_stream::annex::export::stage::Noted;
//!
//! fn has_steps_before_it_is_begun(noted: &Noted) {
//!     noted.steps();
//! }
//! ```
//!
//! ```compile_fail,E0382
//! use git_annex_remote_stream::annex::export::{db::LockedDb, stage::Started};
//! use git_annex_remote_stream::annex::repository::Repository;
//!
//! fn ends_twice(started: Started, repository: &Repository, book: &mut LockedDb) {
//!     let _ = started.end(repository, book);
//!     let _ = started.end(repository, book);
//! }
//! ```

use std::sync::Arc;

use super::db::LockedDb;
use super::error::WorkError;
use super::plan::Step;
use super::record;
use super::tree::Exportable;
use super::work::Work;
use crate::annex::branch::GitId;
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// A tree that a remote shall hold, and the names there that have to be looked at first.
pub struct Survey {
    remote: Uuid,
    work: Work,
}

/// All that was found is noted.
pub struct Noted {
    remote: Uuid,
    work: Work,
}

/// It is marked and recorded that the export was begun.
pub struct Started {
    remote: Uuid,
    work: Arc<Work>,
    steps: Vec<Step>,
}

impl Survey {
    /// Of `tree`, which is an [`exportable`](super::tree::exportable) one. With `book`, nobody else here exports to `remote`.
    ///
    /// # Errors
    ///
    /// What was exported before is unknown.
    pub fn of(repository: &Repository, book: &mut LockedDb, remote: &Uuid, tree: GitId) -> Result<Self, WorkError> {
        let work = Work::of(repository, &mut book.db, remote, tree, false)?;
        Ok(Self { remote: remote.clone(), work })
    }

    /// What is asked, to be answered.
    pub fn work(&mut self) -> &mut Work {
        &mut self.work
    }

    /// Notes what was found, so that it lasts, and that it is noted.
    ///
    /// # Errors
    ///
    /// It is not noted, or may not last.
    pub fn note(self, book: &mut LockedDb) -> Result<Noted, WorkError> {
        book.db.note(&book.lock, &self.work.notes())?;
        book.db.settle()?;
        self.work.noted(&mut book.db)?;
        Ok(Noted { remote: self.remote, work: self.work })
    }
}

impl Noted {
    /// Says that only content of `what` is put there from now on. Its tree is the one that was surveyed.
    ///
    /// # Errors
    ///
    /// It is not said, or not by all who have to; nothing may be done.
    pub fn begin(self, repository: &Repository, what: &Exportable) -> Result<Started, WorkError> {
        let steps = self.work.steps();
        record::mark(repository, &self.remote, what.tree).map_err(WorkError::Mark)?;
        record::begin(repository, &self.remote, what.tree)?;
        record::remember(repository, &self.remote, what).map_err(WorkError::Mark)?;
        Ok(Started { remote: self.remote, work: Arc::new(self.work), steps })
    }
}

impl Started {
    /// What there is to do, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is to be said at [`Step::Settle`]: nothing of another tree is in the way any more, which is noted, so the remote
    /// holds the tree.
    pub fn completion(&self) -> Completion {
        Completion { remote: self.remote.clone(), work: Arc::clone(&self.work) }
    }

    /// All steps are done, and noted: takes the mark away.
    ///
    /// # Errors
    ///
    /// It may be there still.
    pub fn end(self, repository: &Repository, book: &mut LockedDb) -> Result<(), WorkError> {
        self.completion().run(repository, book)?;
        book.db.settle()?;
        record::unmark(repository, &self.remote).map_err(WorkError::Mark)
    }
}

/// That the remote holds the tree.
pub struct Completion {
    remote: Uuid,
    work: Arc<Work>,
}

impl Completion {
    /// Records it.
    ///
    /// # Errors
    ///
    /// It is not recorded, or not by all who have to.
    pub fn run(self, repository: &Repository, book: &mut LockedDb) -> Result<(), WorkError> {
        book.db.settle()?;
        record::complete(repository, &self.remote, self.work.tree(), self.work.over().clone())?;
        self.work.finish(repository, &mut book.db)
    }
}
