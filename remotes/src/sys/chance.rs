//! Random numbers for unique names and for pauses. Not for secrets: they can be predicted.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// A number that differs from call to call, from thread to thread and from process to process. In containers many a process has
/// the same number, so that is not enough.
pub fn chance() -> u64 {
    RandomState::new().hash_one((std::process::id(), SystemTime::now()))
}

/// The same, from 0 to 1.
pub fn fraction() -> f64 {
    chance() as f64 / u64::MAX as f64
}
