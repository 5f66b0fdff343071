//! What carries a conversation with a peer.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

pub(super) use remotes::pump::lane::within;
use remotes::sys::ReadAhead;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::process::Process;

pub(super) enum Link {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<ReadAhead<TcpStream>>>),
    /// ssh, or what takes its place.
    Process(Process),
}

/// What came of writing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// All of it is on its way.
    All,
    /// The peer said something before it took all of it.
    Answered,
}

impl Link {
    /// The next bytes; none at the end. May be dropped half way without losing any.
    pub(super) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(stream) => stream.read(buf).await,
            Link::Tls(stream) => match stream.read(buf).await {
                // Some servers close without a word, and whether anything is missing is seen by length.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
            Link::Process(process) => process.read(buf).await,
        }
    }

    /// As [`read`](Self::read), but waits no longer than `idle`.
    pub(super) async fn read_within(&mut self, buf: &mut [u8], idle: Duration) -> io::Result<usize> {
        within(idle, self.read(buf)).await
    }

    /// Sends all of `bytes`. Errors: `TimedOut` where nothing is taken for `idle`.
    pub(super) async fn write(&mut self, bytes: &[u8], idle: Duration) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = match self {
                Link::Tcp(stream) => within(idle, stream.write(rest)).await?,
                Link::Tls(stream) => within(idle, stream.write(rest)).await?,
                Link::Process(process) => within(idle, process.write_some(rest)).await?,
            };
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[n..];
        }
        match self {
            Link::Tls(stream) => within(idle, stream.flush()).await,
            Link::Tcp(_) | Link::Process(_) => Ok(()),
        }
    }

    /// As [`write`](Self::write), but stops where the peer answers instead of taking it; over TLS that is not seen.
    pub(super) async fn write_unless_answered(&mut self, bytes: &[u8], idle: Duration) -> io::Result<Wrote> {
        let Link::Tcp(stream) = self else { return self.write(bytes, idle).await.map(|()| Wrote::All) };
        let mut rest = bytes;
        while !rest.is_empty() {
            let take = async {
                let write = stream.async_io(Interest::WRITABLE, || Ok(rustix::io::write(&*stream, rest)?));
                let peek = stream.async_io(Interest::READABLE, || {
                    let mut byte = [0u8];
                    Ok(rustix::net::recv(&*stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)?.1)
                });
                tokio::select! {
                    biased;
                    wrote = write => wrote,
                    _ = peek => Ok(0),
                }
            };
            match within(idle, take).await? {
                0 => return Ok(Wrote::Answered),
                n => rest = &rest[n..],
            }
        }
        Ok(Wrote::All)
    }

    /// Bytes that were written and that the other end has not confirmed, as far as that can be told. An answer confirms all
    /// that came before it.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Link::Tcp(stream) => remotes::sys::unsent(stream),
            Link::Tls(stream) => remotes::sys::unsent(stream.get_ref().0.inner()),
            Link::Process(_) => 0,
        }
    }

    /// Whether it looks alive with nothing to read: what comes on an idle connection is its end, or nonsense.
    pub(super) fn is_quiet(&self) -> bool {
        let fd = match self {
            Link::Tcp(stream) => stream.as_fd(),
            Link::Tls(stream) if !stream.get_ref().0.is_drained() => return false,
            Link::Tls(stream) => stream.get_ref().0.inner().as_fd(),
            Link::Process(process) => process.output().as_fd(),
        };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN | PollFlags::RDHUP)], Some(&now)) == Ok(0)
    }
}
