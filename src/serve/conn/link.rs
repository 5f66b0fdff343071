//! A connection as every server uses it: bytes in, bytes out, and content by the best lane.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use remotes::budget::{BLOCK, Budget};
pub(crate) use remotes::pump::lane::within;
use remotes::pump::lane::{self, FileBlocks, Plain};
use remotes::pump::{FileSource, Meter};
use remotes::sys::ReadAhead;
use rustix::fs::OFlags;
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
    Tls(Box<TlsStream<ReadAhead<TcpStream>>>),
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

    /// Sends a part of a file, and counts what went.
    pub(crate) async fn send(
        &mut self,
        from: &FileSource,
        budget: &Budget,
        idle: Duration,
        meter: &Meter,
    ) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => lane::sendfile(from, stream, meter, idle).await,
            Link::Unix(stream) => lane::sendfile(from, stream, meter, idle).await,
            Link::Pipes { output, .. } => lane::sendfile(from, output, meter, idle).await,
            Link::Tls(_) => {
                let mut at = 0;
                while at < from.len {
                    let len = (from.len - at).min(BLOCK as u64);
                    // Leased block by block, so that a client which takes nothing keeps one, and not for ever.
                    let lease = within(idle, async { Ok(budget.lease(BLOCK as u64).await) }).await?;
                    let mut blocks = FileBlocks::new(&from.part(at, len), budget.clone(), Arc::new(lease));
                    while let Some(block) = blocks.next().await? {
                        at += block.len() as u64;
                        self.write(&block, idle).await?;
                        meter.add(block.len() as u64);
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether content goes out without passing through memory.
    pub(crate) fn by_kernel(&self) -> bool {
        !matches!(self, Link::Tls(_))
    }

    /// Whether nobody can listen in.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Link::Tls(_))
    }

    /// Whether the other side is a program on this computer that may have been sent here by a name: one over a unix socket
    /// was not.
    pub(crate) fn is_loopback(&self) -> bool {
        let stream = match self {
            Link::Tcp(stream) => stream,
            Link::Tls(stream) => stream.get_ref().0.inner(),
            Link::Unix(_) | Link::Pipes { .. } => return false,
        };
        // Who is gone already needs no answer.
        stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
    }

    /// The address of the other side; none where it came over a socket file.
    pub(crate) fn peer(&self) -> Option<std::net::IpAddr> {
        let stream = match self {
            Link::Tcp(stream) => stream,
            Link::Tls(stream) => stream.get_ref().0.inner(),
            Link::Unix(_) | Link::Pipes { .. } => return None,
        };
        stream.peer_addr().ok().map(|address| address.ip().to_canonical())
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

/// stdin and stdout as a link, and what is to be dropped after it.
///
/// They are set not to block, and back again at the end, since they may be shared. Files and devices, which cannot be waited
/// for, are reached through a pipe and a thread.
pub(crate) fn stdio() -> io::Result<(Link, Restore)> {
    let mut restore = Restore { blocking: Vec::new(), copies: Vec::new() };
    let input = waitable(std::io::stdin().as_fd().try_clone_to_owned()?, Interest::READABLE, &mut restore)?;
    let output = waitable(std::io::stdout().as_fd().try_clone_to_owned()?, Interest::WRITABLE, &mut restore)?;
    Ok((Link::Pipes { input, output }, restore))
}

/// What was done to stdin and stdout, undone when dropped.
pub(crate) struct Restore {
    blocking: Vec<OwnedFd>,
    copies: Vec<JoinHandle<io::Result<u64>>>,
}

impl Drop for Restore {
    fn drop(&mut self) {
        for fd in &self.blocking {
            if let Ok(flags) = rustix::fs::fcntl_getfl(fd) {
                let _ = rustix::fs::fcntl_setfl(fd, flags - OFlags::NONBLOCK);
            }
        }
        // The pipe to it is closed by now, so what it still copies is little.
        for copy in self.copies.drain(..) {
            let _ = copy.join();
        }
    }
}

fn waitable(fd: OwnedFd, interest: Interest, restore: &mut Restore) -> io::Result<AsyncFd<OwnedFd>> {
    // More than the usual 64 KiB halves the number of wakeups; sockets and a full quota refuse, which is no harm.
    let _ = rustix::pipe::fcntl_setpipe_size(&fd, 1 << 20);
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        restore.blocking.push(fd.try_clone()?);
    }
    match remotes::sys::watch(fd.try_clone()?, interest) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => through_a_pipe(fd, interest, restore),
        other => other,
    }
}

fn through_a_pipe(fd: OwnedFd, interest: Interest, restore: &mut Restore) -> io::Result<AsyncFd<OwnedFd>> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let ours = if interest.is_readable() { &read } else { &write }.try_clone()?;
    rustix::fs::fcntl_setfl(&ours, rustix::fs::fcntl_getfl(&ours)? | OFlags::NONBLOCK)?;
    let mut file = File::from(fd);
    let copy = if interest.is_readable() {
        drop(read);
        std::thread::spawn(move || io::copy(&mut file, &mut File::from(write)))
    } else {
        drop(write);
        std::thread::spawn(move || io::copy(&mut File::from(read), &mut file))
    };
    if !interest.is_readable() {
        restore.copies.push(copy);
    }
    remotes::sys::watch(ours, interest)
}
