//! From the journal into the branch.
//!
//! Only the trees on the way to changed files are read and written, starting from the commit the branch is at.
//! git-annex's own index of the branch is left alone: `index.lck` beside it names the commit it belongs to, and git-annex
//! merges the branch into it when that is another one (observed: it keeps all lines of both).

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use gix::refs::transaction::{PreviousValue, RefEdit};

use super::error::BranchError;
use super::journal::Which;
use super::pack::Workshop;
use super::tip::{self, Top};
use super::{Branch, CommitId};
use crate::annex::log::union::union;
use crate::annex::log::{LocationLog, is_location_file};

/// Most files in one commit, which bounds what is held in memory; the rest goes into the next.
const MOST_FILES: usize = 50_000;

/// How often the branch is tried to be moved while others, who need no lock of git-annex's to push, move it too.
const TRIES: usize = 5;

/// What the files of the journal are laid on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// The branch as it is: nearly always what they were made from.
    Branch,
    /// A tree with lines they were not made from.
    Merged,
}

impl Branch {
    /// Commits what the journal holds, as one commit unless it holds very much, and empties it. `None` where there was
    /// nothing to commit. `annex.commitmessage` replaces `message`, as in git-annex.
    ///
    /// Errors: the journal is left as it was, and what it holds is committed by the next one, ours or git-annex's.
    pub fn commit(&self, message: &str) -> Result<Option<CommitId>, BranchError> {
        let _turn = self.turn();
        if self.journal.list(1)?.is_empty() {
            return Ok(None);
        }
        let lock = self.journal.lock()?;
        let mut last = None;
        loop {
            let files = self.journal.list(MOST_FILES)?;
            if files.is_empty() {
                return Ok(last);
            }
            let git = self.git();
            let workshop = Workshop::of(&git);
            for attempt in 1.. {
                let at = tip::local(&git)?;
                let tree = at.map(|at| tip::tree_of(&git, at)).transpose()?;
                let with = self.with_journal(&workshop, tree, &files, Onto::Branch)?;
                if tree == Some(with) {
                    break;
                }
                let parents: Vec<ObjectId> = at.into_iter().collect();
                if let Some(commit) = self.advance(&workshop, at, with, &parents, message, attempt)? {
                    last = Some(CommitId(commit));
                    break;
                }
            }
            self.journal.remove(&lock, files.iter().map(Vec::as_slice))?;
        }
    }

    /// `tree` with the journal's `files` in it.
    pub(super) fn with_journal(
        &self,
        git: &Workshop<'_>,
        tree: Option<ObjectId>,
        files: &[Vec<u8>],
        onto: Onto,
    ) -> Result<ObjectId, BranchError> {
        let empty = git.empty_tree().id().detach();
        let mut editor = git.edit_tree(tree.unwrap_or(empty)).map_err(BranchError::git("edit a tree"))?;
        let top = tree.map(|tree| Top::read(git, tree)).transpose()?;
        for file in files {
            let Some(log) = self.journal.read(Which::Public, file)? else { continue };
            let old = top.as_ref().map(|top| top.file(git, file)).transpose()?.flatten().unwrap_or_default();
            let log = match onto {
                Onto::Branch => newest(file, log, &old),
                Onto::Merged => union(&old, &log),
            };
            let blob = git.write_blob(&log).map_err(BranchError::git("write a log"))?;
            let path: &gix::bstr::BStr = file.as_slice().into();
            editor.upsert(path, EntryKind::Blob, blob.detach()).map_err(BranchError::git("edit a tree"))?;
        }
        Ok(editor.write().map_err(BranchError::git("write a tree"))?.detach())
    }

    /// Commits `tree` and moves the branch there from `at`. `None` where others moved it meanwhile, up to [`TRIES`] times.
    pub(super) fn advance(
        &self,
        git: &Workshop<'_>,
        at: Option<ObjectId>,
        tree: ObjectId,
        parents: &[ObjectId],
        message: &str,
        attempt: usize,
    ) -> Result<Option<ObjectId>, BranchError> {
        let message = self.config.get().value("annex.commitmessage").unwrap_or_else(|| message.as_bytes().to_vec());
        let commit = self.write_commit(git, tree, parents, message)?;
        git.flush()?;
        Ok(self.move_branch(git, at, commit, attempt)?.then_some(commit))
    }

    /// Makes a commit that no reference names yet.
    pub(super) fn write_commit(
        &self,
        git: &Workshop<'_>,
        tree: ObjectId,
        parents: &[ObjectId],
        mut message: Vec<u8>,
    ) -> Result<ObjectId, BranchError> {
        if !message.ends_with(b"\n") {
            message.push(b'\n');
        }
        let (author, committer) = (self.person(git.author()), self.person(git.committer()));
        let commit = gix::objs::Commit {
            tree,
            parents: parents.iter().copied().collect(),
            author,
            committer,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        Ok(git.write_object(&commit).map_err(BranchError::git("write a commit"))?.detach())
    }

    /// Moves the branch from `at` to `commit`. False where others moved it meanwhile.
    pub(super) fn move_branch(
        &self,
        git: &gix::Repository,
        at: Option<ObjectId>,
        commit: ObjectId,
        attempt: usize,
    ) -> Result<bool, BranchError> {
        let expected = at.map_or(PreviousValue::MustNotExist, |at| PreviousValue::MustExistAndMatch(at.into()));
        let name = tip::BRANCH.try_into().map_err(BranchError::git("name the branch"))?;
        let committer = self.person(git.committer());
        let mut time = gix::date::parse::TimeBuf::default();
        let moved = git.edit_references_as(
            Some(RefEdit::update(name, commit, expected, "update")),
            Some(committer.to_ref(&mut time)),
        );
        self.journal.share(git.common_dir(), tip::BRANCH);
        match moved {
            Ok(_) => Ok(true),
            Err(_) if attempt < TRIES => Ok(false),
            Err(_) if tip::local(git)? != at => Err(BranchError::Busy),
            Err(e) => Err(BranchError::git("move refs/heads/git-annex")(e)),
        }
    }

    /// Who commits, now. Where git knows nobody, git-annex fails; a server had better go on.
    fn person(&self, known: Option<gix::Result<gix::actor::SignatureRef<'_>>>) -> gix::actor::Signature {
        let config = self.config.get();
        let or = |name: &str, fallback: &str| config.value(name).unwrap_or_else(|| fallback.as_bytes().to_vec()).into();
        let (name, email) = match known {
            Some(Ok(person)) => (person.name.to_owned(), person.email.to_owned()),
            _ => (or("user.name", "git-annex"), or("user.email", "git-annex@localhost")),
        };
        gix::actor::Signature { name, email, time: gix::date::Time::now_local_or_utc() }
    }
}

/// `log`, the journal's, with what `old`, the branch's, knows better. Others push to the branch without git-annex's lock, so
/// it may have lines that the journal's version was made without.
fn newest(file: &[u8], log: Vec<u8>, old: &[u8]) -> Vec<u8> {
    if !is_location_file(file) || old.is_empty() {
        return log;
    }
    let mut both = LocationLog::parse(&log);
    if both.absorb(LocationLog::parse(old)) { both.to_bytes() } else { log }
}
