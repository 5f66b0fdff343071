//! Plain socket to plain socket or pipe, by splice(2) through a pipe: bytes never enter user space.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::Interest;

use super::{Plain, within};
use crate::pump::Meter;
use crate::sys::Pipe;

/// Which end broke.
#[derive(Debug)]
pub enum Broken {
    /// Where bytes come from.
    Source(io::Error),
    /// Where they go.
    Sink(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Source(e) => write!(f, "the source broke off: {e}"),
            Broken::Sink(e) => write!(f, "the receiver is gone: {e}"),
        }
    }
}

impl std::error::Error for Broken {}

/// Moves the next `len` bytes of `from` to `to` through an empty `pipe`.
///
/// # Errors
///
/// `UnexpectedEof` of the source where it ends early, `TimedOut` where either side does nothing for its time. The pipe
/// then holds bytes of a broken transfer and must not be used again.
pub async fn relay(
    from: &impl Plain,
    to: &impl Plain,
    len: u64,
    pipe: &mut Pipe,
    meter: &Meter,
    from_idle: Duration,
    to_idle: Duration,
) -> Result<(), Broken> {
    let mut left = len;
    while left > 0 || pipe.held() > 0 {
        if pipe.held() == 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX);
            // A full pipe answers EAGAIN too, so it is filled only when empty.
            let waits = Instant::now();
            let filled = within(from_idle, from.when(Interest::READABLE, || pipe.fill(from, want))).await;
            let n = filled.map_err(Broken::Source)?;
            if n == 0 {
                return Err(Broken::Source(io::ErrorKind::UnexpectedEof.into()));
            }
            meter.starve(waits.elapsed());
            left -= n as u64;
        }
        let drained = within(to_idle, to.when(Interest::WRITABLE, || pipe.drain(to, left > 0))).await;
        let n = drained.map_err(Broken::Sink)?;
        if n == 0 {
            return Err(Broken::Sink(io::ErrorKind::WriteZero.into()));
        }
        meter.add(n as u64);
        tokio::task::consume_budget().await;
    }
    Ok(())
}
