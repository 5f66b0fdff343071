//! One lane, one file: how bytes move between two kinds of end.
//!
//! Errors are the operating system's; the code that opened the ends knows what they mean.

mod blocks;
mod copy_range;
mod plain;
mod sendfile;
mod splice;

use std::future::Future;
use std::io;
use std::time::Duration;

pub use blocks::{FileBlocks, SocketBlocks, send};
pub use copy_range::copy_range;
pub use plain::Plain;
pub use sendfile::sendfile;
pub use splice::{Broken, relay};

/// Waits for `ready`, but no longer than `idle`.
///
/// # Errors
///
/// Those of `ready`; `TimedOut`.
pub async fn within<T>(idle: Duration, ready: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(idle, ready).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing moved for {} s", idle.as_secs()))),
    }
}

#[cfg(test)]
mod tests;
