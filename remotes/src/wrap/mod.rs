//! Stores for tests: wrappers around another store, and one that strangers change at any moment.

mod fault;
mod fold;
mod wild;

pub use fault::{Fault, Faults};
pub use fold::Folds;
pub use wild::{Nature, Tags, Wild};
