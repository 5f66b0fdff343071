//! Stores around a store.

mod fault;

pub use fault::{Fault, Faults};
