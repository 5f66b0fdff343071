//! Which expressions git-annex never uses, because they are unstable.
//!
//! `not present` would fetch content in order to drop it again. So git-annex looks, before it looks at any file, for a
//! term that depends on the repository's own copy and stands below an odd number of negations; where there is one, the
//! whole expression never matches. `standard` and `groupwanted` are such a term when anywhere in what they stand for there
//! is one, negated or not; a negation inside of them is not looked at. Source: recorded.

use super::ast::{Balance, Name};
use super::plan::{Step, Test, Unstable};

/// The first term that makes it so.
pub(in crate::wanted) fn unstable(step: &Step, negated: bool) -> Option<Unstable> {
    match step {
        Step::Test(test, word) => {
            let found = negated && depends_on_own_copy(test);
            found.then(|| Unstable { term: word.clone(), inside: None })
        }
        Step::Not(inner) => unstable(inner, !negated),
        Step::Sequence(list) => list.iter().find_map(|(_, step)| unstable(step, negated)),
        Step::Expanded(word, inner) => {
            let term = if negated { first(inner) } else { None };
            term.map(|term| Unstable { term: term.clone(), inside: Some(word.clone()) })
        }
    }
}

/// The first term that must not be negated.
fn first(step: &Step) -> Option<&Name> {
    match step {
        Step::Test(test, word) => depends_on_own_copy(test).then_some(word),
        Step::Not(inner) | Step::Expanded(_, inner) => first(inner),
        Step::Sequence(list) => list.iter().find_map(|(_, step)| first(step)),
    }
}

/// `balanced` and `sizebalanced` hold on to what is present; the `fully` ones do not.
fn depends_on_own_copy(test: &Test) -> bool {
    matches!(test, Test::Present | Test::Balanced { how: Balance { fully: false, .. }, .. })
}
