//! What nodes want of one key.

use crate::wanted::{Assumed, Facts, Policy, Question, Repo, Unknown};

/// The answers that placements and moves rest on. A [`Question`] gives them for one file; a slice of questions about one key for
/// all of its files, of which any may be what a node wants it for.
pub trait Wishes {
    /// The policy that is asked.
    fn policy(&self) -> &Policy;

    /// As [`Question::wants`].
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    fn wants(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown>;

    /// As [`Question::keeps`].
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    fn keeps(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown>;

    /// As [`Question::requires`].
    ///
    /// # Errors
    /// [`Unknown`] where the answer depends on a fact that cannot be told.
    fn requires(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown>;
}

impl<F: Facts + ?Sized> Wishes for Question<'_, F> {
    fn policy(&self) -> &Policy {
        Question::policy(self)
    }

    fn wants(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        Question::wants(self, repo, assumed)
    }

    fn keeps(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        Question::keeps(self, repo, assumed)
    }

    fn requires(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        Question::requires(self, repo, assumed)
    }
}

/// There is at least one.
impl<F: Facts + ?Sized> Wishes for [Question<'_, F>] {
    fn policy(&self) -> &Policy {
        Question::policy(&self[0])
    }

    fn wants(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        any(self, |question| question.wants(repo, assumed))
    }

    fn keeps(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        any(self, |question| question.keeps(repo, assumed))
    }

    fn requires(&self, repo: Repo, assumed: &Assumed) -> Result<bool, Unknown> {
        any(self, |question| question.requires(repo, assumed))
    }
}

/// Whether one of them says so; what cannot be told matters where none does.
fn any<T>(all: &[T], says: impl Fn(&T) -> Result<bool, Unknown>) -> Result<bool, Unknown> {
    let mut answer = Ok(false);
    for one in all {
        match says(one) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            unknown => answer = unknown,
        }
    }
    answer
}
