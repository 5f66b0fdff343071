//! What is told of expressions: where they are odd, ask for what is not there, and why nobody uses them.

use crate::wanted::{Matter, Nobody, Origin, Policy, Problem, Unstable};

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

/// Everything that is told of the expressions that `concerns` names, a line for each.
pub(super) fn all(policy: &Policy, known: &Known, concerns: &dyn Fn(&Origin) -> bool) -> Vec<String> {
    let problems = policy.problems().iter().filter(|problem| concerns(&problem.of));
    let mut told: Vec<String> = problems.map(|one| problem(one, known)).collect();
    told.extend(absent(policy, known, concerns));
    told
}

/// Terms that ask for what is not there, such as a group that nobody is in, a line for each.
pub(super) fn absent(policy: &Policy, known: &Known, concerns: &dyn Fn(&Origin) -> bool) -> Vec<String> {
    policy.nobody().iter().filter(|nobody| concerns(&nobody.of)).map(|one| nobody(one, known)).collect()
}

/// Whose expression has a problem, and which.
pub(super) fn problem(problem: &Problem, known: &Known) -> String {
    format!("{}: {}", whose(&problem.of, known), matter(&problem.what))
}

/// Whose expression asks for what is not there, and for what.
fn nobody(nobody: &Nobody, known: &Known) -> String {
    let whose = whose(&nobody.of, known);
    match nobody.term.is_empty() {
        true => format!("{whose}: {}", nobody.what),
        false => format!("{whose}: {}: {}", plain(&nobody.term), nobody.what),
    }
}

fn whose(of: &Origin, known: &Known) -> String {
    match of {
        Origin::Wanted(uuid) => format!("preferred content of {}", known.title(uuid)),
        Origin::Required(uuid) => format!("required content of {}", known.title(uuid)),
        Origin::GroupWanted(group) => format!("groupwanted of {}", plain(group)),
    }
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
