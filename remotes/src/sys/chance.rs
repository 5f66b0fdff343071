//! Random numbers.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::SystemTime;

/// Bytes that nobody can predict: for names that nobody else may have, and for secrets.
///
/// # Errors
///
/// The system gives none.
pub fn secret<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if got == N { Ok(bytes) } else { Err(io::Error::other("cannot get random bytes from the system")) }
}

/// A number for pauses, which can be predicted. It differs from call to call, from thread to thread and from process to process. In containers many a process has
/// the same number, so that is not enough.
pub fn chance() -> u64 {
    RandomState::new().hash_one((std::process::id(), SystemTime::now()))
}

/// The same, from 0 to 1.
pub fn fraction() -> f64 {
    chance() as f64 / u64::MAX as f64
}
