//! A descriptor the kernel may move bytes through by itself: nothing is encrypted or framed on the way.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

/// A socket or pipe that does not block.
pub trait Plain: AsFd {
    /// Runs `f` whenever the descriptor is ready, until it says something else than `WouldBlock`.
    fn when<T>(&self, interest: Interest, f: impl FnMut() -> io::Result<T>) -> impl Future<Output = io::Result<T>>;
}

impl Plain for TcpStream {
    async fn when<T>(&self, interest: Interest, f: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        self.async_io(interest, f).await
    }
}

impl Plain for UnixStream {
    async fn when<T>(&self, interest: Interest, f: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        self.async_io(interest, f).await
    }
}

impl Plain for AsyncFd<OwnedFd> {
    async fn when<T>(&self, interest: Interest, mut f: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        self.async_io(interest, |_| f()).await
    }
}
