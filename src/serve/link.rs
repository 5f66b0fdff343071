//! A connection as both gateways use it: bytes in, bytes out, and content by the best lane there is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use remotes::pump::lane::{self, FileBlocks, Plain};
use remotes::pump::{BLOCK, Budget, FileSource, Meter};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// What carries a conversation.
pub(crate) enum Link {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A unix domain socket.
    Unix(UnixStream),
    /// TLS over TCP: the bytes pass through memory.
    Tls(Box<TlsStream<TcpStream>>),
    /// Two pipes, such as stdin and stdout.
    Pipes { input: AsyncFd<OwnedFd>, output: AsyncFd<OwnedFd> },
}

impl Link {
    /// The next bytes; none at the end. May be dropped half way without losing any.
    pub(crate) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(stream) => read_plain(stream, buf).await,
            Link::Unix(stream) => read_plain(stream, buf).await,
            Link::Pipes { input, .. } => read_plain(input, buf).await,
            Link::Tls(stream) => stream.read(buf).await,
        }
    }

    /// Sends all of `bytes`. Errors: `TimedOut` where nothing is taken for `idle`.
    pub(crate) async fn write(&mut self, bytes: &[u8], idle: Duration) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => write_plain(stream, bytes, idle).await,
            Link::Unix(stream) => write_plain(stream, bytes, idle).await,
            Link::Pipes { output, .. } => write_plain(output, bytes, idle).await,
            Link::Tls(stream) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let n = within(idle, stream.write(rest)).await?;
                    rest = &rest[n..];
                }
                within(idle, stream.flush()).await
            }
        }
    }

    /// Sends a part of a file.
    pub(crate) async fn send(&mut self, from: &FileSource, budget: &Budget, idle: Duration) -> io::Result<()> {
        let meter = Meter::new();
        match self {
            Link::Tcp(stream) => lane::sendfile(from, stream, &meter, idle).await,
            Link::Unix(stream) => lane::sendfile(from, stream, &meter, idle).await,
            Link::Pipes { output, .. } => lane::sendfile(from, output, &meter, idle).await,
            Link::Tls(_) => {
                let mut at = 0;
                while at < from.len {
                    let len = (from.len - at).min(BLOCK as u64);
                    // Leased block by block, so that a client which takes nothing keeps one, and not for ever.
                    let lease = within(idle, async { Ok(budget.lease(BLOCK as u64).await) }).await?;
                    let mut blocks = FileBlocks::new(&from.part(at, len), budget.clone(), Arc::new(lease));
                    while let Some(block) = blocks.next().await? {
                        at += block.len() as u64;
                        self.write_tls(&block, idle).await?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn write_tls(&mut self, bytes: &[u8], idle: Duration) -> io::Result<()> {
        self.write(bytes, idle).await
    }

    /// Whether content goes out without passing through memory.
    pub(crate) fn by_kernel(&self) -> bool {
        !matches!(self, Link::Tls(_))
    }

    /// Whether nobody can listen in.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Link::Tls(_))
    }

    /// Tells the other side that no more comes; what it still sends can be read.
    pub(crate) async fn finish(&mut self) {
        // It may be gone already, which is all that is wanted.
        let _ = match self {
            Link::Tcp(stream) => stream.shutdown().await,
            Link::Unix(stream) => stream.shutdown().await,
            Link::Tls(stream) => within(Duration::from_secs(2), stream.shutdown()).await,
            Link::Pipes { .. } => Ok(()),
        };
    }
}

async fn read_plain(from: &impl Plain, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.when(Interest::READABLE, || Ok(rustix::io::read(from, &mut *buf)?)).await {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

async fn write_plain(to: &impl Plain, mut bytes: &[u8], idle: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        // Nearly every answer fits at once, and a timer costs more than the call.
        let n = match rustix::io::write(to, bytes) {
            Ok(n) => n,
            Err(rustix::io::Errno::INTR) => 0,
            Err(rustix::io::Errno::AGAIN) => {
                within(idle, to.when(Interest::WRITABLE, || Ok(rustix::io::write(to, bytes)?))).await?
            }
            Err(e) => return Err(e.into()),
        };
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Waits for `ready`, but no longer than `idle`.
pub(crate) async fn within<T>(idle: Duration, ready: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(idle, ready).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing moved for {} s", idle.as_secs()))),
    }
}

/// stdin and stdout as a link. They are set not to block; `Drop` of the guard sets them back, since they may be shared.
pub(crate) fn stdio() -> io::Result<(Link, Blocking)> {
    let (input, output) =
        (std::io::stdin().as_fd().try_clone_to_owned()?, std::io::stdout().as_fd().try_clone_to_owned()?);
    let blocking = Blocking([unblock(&input)?, unblock(&output)?]);
    for pipe in [&input, &output] {
        // More than the usual 64 KiB halves the number of wakeups; sockets and a full quota refuse, which is no harm.
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    }
    let input = remotes::sys::watch(input, Interest::READABLE)?;
    let output = remotes::sys::watch(output, Interest::WRITABLE)?;
    Ok((Link::Pipes { input, output }, blocking))
}

/// Descriptors that were made not to block, and are made to block again.
pub(crate) struct Blocking([Option<OwnedFd>; 2]);

impl Drop for Blocking {
    fn drop(&mut self) {
        for fd in self.0.iter().flatten() {
            if let Ok(flags) = rustix::fs::fcntl_getfl(fd) {
                let _ = rustix::fs::fcntl_setfl(fd, flags - rustix::fs::OFlags::NONBLOCK);
            }
        }
    }
}

fn unblock(fd: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    if flags.contains(rustix::fs::OFlags::NONBLOCK) {
        return Ok(None);
    }
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(Some(fd.try_clone()?))
}
