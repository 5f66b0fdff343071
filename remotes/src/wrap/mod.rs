//! Stores around a store.

mod fault;
mod fold;

pub use fault::{Fault, Faults};
pub use fold::Folds;
