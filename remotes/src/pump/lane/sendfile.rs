//! File to plain socket or pipe, by sendfile(2): pages go out as they are.

use std::io;
use std::time::Duration;

use tokio::io::Interest;

use super::{Plain, within};
use crate::pump::{FileSource, Meter};

/// Most bytes one call moves, so that other tasks of the thread get their turn.
const STEP: usize = 1 << 20;

/// Sends all of `from`.
///
/// # Errors
///
/// `UnexpectedEof` where the file ends early, `TimedOut` where the peer takes nothing for `idle`.
pub async fn sendfile(from: &FileSource, to: &impl Plain, meter: &Meter, idle: Duration) -> io::Result<()> {
    let mut at = from.at;
    let end = from.at + from.len;
    while at < end {
        let step = usize::try_from(end - at).unwrap_or(usize::MAX).min(STEP);
        let n = within(
            idle,
            to.when(Interest::WRITABLE, || {
                let mut offset = at;
                Ok(rustix::fs::sendfile(to, &from.file, Some(&mut offset), step)?)
            }),
        )
        .await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += n as u64;
        meter.add(n as u64);
        tokio::task::consume_budget().await;
    }
    Ok(())
}
