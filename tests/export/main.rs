//! Trees that are exported to remotes: beside the real git-annex, killed at every step, and against a model.

mod annex;
mod fold;
mod kill;
mod loss;
mod records;
