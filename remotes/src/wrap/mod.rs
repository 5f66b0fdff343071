//! Stores around a store, and one that people use too: for tests.

mod fault;
mod fold;
mod wild;

pub use fault::{Fault, Faults};
pub use fold::Folds;
pub use wild::{Nature, Tags, Wild};
