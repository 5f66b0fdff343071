//! Descriptors of any kind, such as pipes, waited for by this thread's runtime.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd`, which must not block, with the runtime of this thread.
///
/// # Errors
///
/// Outside a runtime; and for files and devices that are always ready, such as regular files and `/dev/null`.
pub fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // JUSTIFICATION: tokio offers no safe way to wait for a pipe that it did not open itself; it asks that `as_raw_fd` of
    // what it is given stays the same open descriptor.
    // SAFETY: an `OwnedFd` keeps one descriptor open from here until it is dropped, and `AsyncFd` owns it: it takes the
    // registration back before it drops the descriptor, and gives it out by shared reference only, through which it can
    // neither be closed nor replaced.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
