//! Plain socket to plain socket, by splice(2) through a pipe: bytes never enter user space.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::within;
use crate::pump::Meter;
use crate::sys::Pipe;

/// Moves the next `len` bytes of `from` to `to` through an empty `pipe`.
///
/// Errors: `UnexpectedEof` where `from` ends early, `TimedOut` where either side does nothing for `idle`. The pipe then holds
/// bytes of a broken transfer and must not be used again.
pub async fn relay(
    from: &TcpStream,
    to: &TcpStream,
    len: u64,
    pipe: &mut Pipe,
    meter: &Meter,
    idle: Duration,
) -> io::Result<()> {
    let mut left = len;
    while left > 0 || pipe.held() > 0 {
        if pipe.held() == 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX);
            // A full pipe answers EAGAIN too, so it is filled only when empty.
            let n = within(idle, from.async_io(Interest::READABLE, || pipe.fill(from, want))).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= n as u64;
        }
        let n = within(idle, to.async_io(Interest::WRITABLE, || pipe.drain(to, left > 0))).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        meter.add(n as u64);
        tokio::task::consume_budget().await;
    }
    Ok(())
}
