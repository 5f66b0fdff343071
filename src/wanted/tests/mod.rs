//! Against what git-annex answered, and against a plain evaluator.

mod agreement;
pub(crate) mod balanced;
mod cases;
mod grammar;
mod page;
mod policy;
mod reference;
mod unknown;
pub(crate) mod world;

pub(crate) use agreement::Chance;
