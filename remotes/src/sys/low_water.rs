//! How many bytes have to have come before whoever waits for a socket is woken.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};

/// Asks the kernel to wake whoever waits to read `socket` for `bytes`, or the end, or an error, and for nothing less: SO_RCVLOWAT.
/// It wakes earlier where its own memory would be full before.
///
/// What refuses, such as a pipe, wakes for each byte as before.
pub fn wake_for(socket: impl AsFd, bytes: u32) {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as it is borrowed, and the option is an int, whose address and size are given.
    let _ = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
}
