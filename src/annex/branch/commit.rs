//! Committing the journal to the branch.
//!
//! Only the trees on the way to changed files are read and written, starting from the commit the branch is at.
//! git-annex's own index of the branch is left alone: `index.lck` beside it names the commit it belongs to, and git-annex
//! merges the branch into it when that is another one (observed: it keeps all lines of both).

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use gix::refs::transaction::{PreviousValue, RefEdit};

use super::journal::{JournalLock, Which};
use super::stale::Stale;
use super::tip::{self, Top};
use super::{Branch, CommitId, whole};
use crate::annex::git::error::BranchError;
use crate::annex::git::pack::PackWriter;
use crate::annex::git::read;
use crate::annex::log::Limit;
use crate::annex::log::onto::onto;
use crate::annex::log::union::union;

/// Most files in one commit, which bounds what is held in memory; the rest goes into the next.
pub(super) const MOST_FILES: usize = 50_000;

/// Most files that it is said of that they stay in the journal.
const MOST_TOLD: usize = 1000;

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
    /// A file that cannot be committed, in the journal or in the branch, stays in the journal and keeps no other from being
    /// committed. One that is too long for a log is only warned of.
    ///
    /// # Errors
    ///
    /// What was not committed stays in the journal, and is committed by the next one, ours or git-annex's.
    pub fn commit(&self, message: &str) -> Result<Option<CommitId>, BranchError> {
        let _writing = self.writing();
        if self.journal.list(1, &[])?.is_empty() {
            return Ok(None);
        }
        let lock = self.journal.lock()?;
        let (mut last, mut left, mut failed) = (None, Vec::new(), None);
        loop {
            let mut files = self.journal.list(MOST_FILES, &left)?;
            if files.is_empty() {
                return failed.map_or(Ok(last), Err);
            }
            let git = self.git();
            let packer = PackWriter::of(&git);
            for attempt in 1.. {
                let at = tip::local(&git)?;
                let tree = at.map(|at| read::tree_of(&git, at)).transpose()?;
                let laid = self.with_journal(&packer, tree, files, Onto::Branch)?;
                files = laid.files;
                failed = failed.or(laid.failed);
                left.extend(laid.left);
                if tree == Some(laid.tree) {
                    break;
                }
                let parents: Vec<ObjectId> = at.into_iter().collect();
                let commit = self.commit_tree(&packer, laid.tree, &parents, message)?;
                if self.move_branch(&packer, &lock, at, commit, attempt)? {
                    self.arrivals().moved_on(at, commit);
                    last = Some(CommitId(commit));
                    break;
                }
            }
            self.journal.remove(&lock, files.iter().map(Vec::as_slice))?;
        }
    }

    /// `tree` with the journal's `files` in it, as far as they can be.
    pub(super) fn with_journal(
        &self,
        git: &PackWriter<'_>,
        tree: Option<ObjectId>,
        files: Vec<Vec<u8>>,
        how: Onto,
    ) -> Result<Laid, BranchError> {
        let empty = git.empty_tree().id().detach();
        let mut editor = git.edit_tree(tree.unwrap_or(empty)).map_err(BranchError::git("edit a tree"))?;
        let top = tree.map(|tree| Top::read(git, tree)).transpose()?;
        let mut laid = Laid { tree: empty, files: Vec::with_capacity(files.len()), left: Vec::new(), failed: None };
        for file in files {
            let log = match self.laid(git, top.as_ref(), &file, how) {
                Ok(Some(log)) => log,
                Ok(None) => {
                    laid.files.push(file);
                    continue;
                }
                Err(e) => {
                    self.tell_left(&file, &e);
                    laid.left.push(file);
                    if !matches!(e, BranchError::TooLong { .. }) {
                        laid.failed.get_or_insert(e);
                    }
                    continue;
                }
            };
            let blob = git.blob(&log)?;
            let path: &gix::bstr::BStr = file.as_slice().into();
            editor.upsert(path, EntryKind::Blob, blob).map_err(BranchError::git("edit a tree"))?;
            laid.files.push(file);
        }
        laid.tree = editor.write().map_err(BranchError::git("write a tree"))?.detach();
        Ok(laid)
    }

    /// What `file` shall hold; `None` where the journal has it no more.
    fn laid(
        &self,
        git: &gix::Repository,
        top: Option<&Top>,
        file: &[u8],
        how: Onto,
    ) -> Result<Option<Vec<u8>>, BranchError> {
        let Some(log) = self.journal.read(Which::Public, file)? else { return Ok(None) };
        let old = top.map(|top| top.file(git, file)).transpose()?.flatten().unwrap_or_default();
        let log = match how {
            Onto::Branch => onto(file, log, &old),
            Onto::Merged => union(&old, &log),
        };
        match Limit::of(file).allows(&log) {
            true => Ok(Some(log)),
            false => Err(BranchError::too_long(file.escape_ascii(), log.len() as u64)),
        }
    }

    /// Says once that a file stays in the journal.
    fn tell_left(&self, file: &[u8], why: &BranchError) {
        let mut told = whole(&self.told);
        if told.len() < MOST_TOLD && told.insert(file.to_vec()) {
            let annex = self.journal.annex_dir().display();
            tracing::warn!(%annex, "{} stays in the journal, everything else is committed: {why}", file.escape_ascii());
        }
    }

    /// Commits `tree`, durably, for the branch to be moved there.
    pub(super) fn commit_tree(
        &self,
        git: &PackWriter<'_>,
        tree: ObjectId,
        parents: &[ObjectId],
        message: &str,
    ) -> Result<ObjectId, BranchError> {
        let message = self.config.get().value("annex.commitmessage").unwrap_or_else(|| message.as_bytes().to_vec());
        let commit = self.write_commit(git, tree, parents, message)?;
        git.flush()?;
        Ok(commit)
    }

    /// Makes a commit that no reference names yet.
    pub(super) fn write_commit(
        &self,
        git: &PackWriter<'_>,
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

    /// Moves the branch from `at` to `commit`. False where others moved it meanwhile, or did not let us.
    pub(super) fn move_branch(
        &self,
        git: &gix::Repository,
        lock: &JournalLock,
        at: Option<ObjectId>,
        commit: ObjectId,
        attempt: usize,
    ) -> Result<bool, BranchError> {
        let expected = at.map_or(PreviousValue::MustNotExist, |at| PreviousValue::MustExistAndMatch(at.into()));
        let name = tip::BRANCH.try_into().map_err(BranchError::git("name the branch"))?;
        let committer = self.person(git.committer());
        let mut time = gix::date::parse::TimeBuf::default();
        let stale = Stale::of(self.journal.annex_dir(), git.common_dir());
        let killed = stale.begin(lock, commit);
        let moved = git.edit_references_as(
            Some(RefEdit::update(name, commit, expected, "update")),
            Some(committer.to_ref(&mut time)),
        );
        stale.end(lock, killed);
        self.journal.share(git.common_dir(), tip::BRANCH);
        if moved.is_err() && stale.clear(lock, killed) && attempt < TRIES {
            return Ok(false);
        }
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

/// A tree with files of the journal in it.
pub(super) struct Laid {
    pub(super) tree: ObjectId,
    /// Those that are in it, and to be taken from the journal.
    pub(super) files: Vec<Vec<u8>>,
    /// Those that are not.
    left: Vec<Vec<u8>>,
    /// Why one of them is not, where that may pass.
    failed: Option<BranchError>,
}
