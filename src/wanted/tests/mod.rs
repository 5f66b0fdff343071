//! Against what git-annex answered, and against a plain evaluator.

mod agreement;
mod balanced;
mod cases;
mod grammar;
mod page;
mod policy;
mod reference;
mod unknown;
mod world;

pub(in crate::wanted) use agreement::Chance;
