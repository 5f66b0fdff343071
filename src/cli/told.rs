//! What is told of expressions: where they are odd, and why nobody uses them.

use crate::wanted::{Matter, Origin, Problem, Unstable};

use super::known::{Known, plain};

/// Why git-annex never uses an expression.
pub(super) fn unstable(unstable: &Unstable) -> String {
    let term = plain(&unstable.term);
    let inside =
        unstable.inside.as_ref().map_or(String::new(), |inside| format!(", which is part of {},", plain(inside)));
    format!(
        "{term}{inside} is negated, so the expression is not stable and never matches; take the negation away from {term}"
    )
}

/// Whose expression has a problem, and which.
pub(super) fn problem(problem: &Problem, known: &Known) -> String {
    let whose = match &problem.of {
        Origin::Wanted(uuid) => format!("preferred content of {}", known.title(uuid)),
        Origin::Required(uuid) => format!("required content of {}", known.title(uuid)),
        Origin::GroupWanted(group) => format!("groupwanted of {}", plain(group)),
    };
    format!("{whose}: {}", matter(&problem.what))
}

/// What the matter is.
pub(super) fn matter(matter: &Matter) -> String {
    match matter {
        Matter::Unparsed(error) => {
            format!("at byte {}: {error}; this does not parse, and stands for \"present\"", error.at.start + 1)
        }
        Matter::Odd(warning) => warning.to_string(),
        Matter::Unstable(found) => unstable(found),
    }
}
