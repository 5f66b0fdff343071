//! A connection to the server: plain, or TLS.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::pump::lane::{send, within};
use crate::sys::{self, ReadAhead};

pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A connection over TLS.
pub(crate) struct Tls {
    stream: TlsStream<ReadAhead<TcpStream>>,
    /// What the server said before it had all that is sent to it.
    early: Bytes,
}

impl Link {
    pub(super) fn tls(stream: TlsStream<ReadAhead<TcpStream>>) -> Self {
        Self::Tls(Box::new(Tls { stream, early: Bytes::new() }))
    }

    /// Sends all of `bytes`. Errors: `TimedOut` where the server takes nothing for `idle`.
    pub(super) async fn send(&mut self, bytes: Bytes, idle: Duration) -> io::Result<()> {
        match self {
            Self::Plain(stream) => send(bytes, stream, idle).await,
            Self::Tls(tls) => tls.send(bytes, idle, false).await,
        }
    }

    /// The same, but ends with `BrokenPipe` where the server says something, or closes its end, instead of taking it: that is a
    /// refusal, and the rest need not travel.
    pub(super) async fn send_unless_refused(&mut self, bytes: Bytes, idle: Duration) -> io::Result<()> {
        match self {
            Self::Plain(stream) => {
                tokio::select! {
                    biased;
                    sent = send(bytes, stream, idle) => sent,
                    () = answered(stream) => Err(io::ErrorKind::BrokenPipe.into()),
                }
            }
            Self::Tls(tls) => tls.send(bytes, idle, true).await,
        }
    }

    /// The next bytes, after some wait; none at the end. May be dropped half way without losing any.
    pub(super) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => loop {
                stream.readable().await?;
                match stream.try_read(buf) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            },
            Self::Tls(tls) => tls.read(buf).await,
        }
    }

    /// Bytes that were sent and that the server has not confirmed. An answer confirms all that came before it.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Self::Plain(stream) => sys::unsent(stream),
            Self::Tls(tls) => sys::unsent(tls.stream.get_ref().0.inner()),
        }
    }

    /// Whether nothing came over TLS that nobody has read; of a plain connection [`is_quiet`](Self::is_quiet) tells.
    pub(super) fn has_nothing_unread(&mut self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.has_nothing_unread(),
        }
    }

    /// Whether it looks alive with nothing to read: what comes on an idle connection is its end, or nonsense.
    pub(super) fn is_quiet(&self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) if !tls.early.is_empty() || !tls.stream.get_ref().0.is_drained() => return false,
            Self::Tls(tls) => tls.stream.get_ref().0.inner(),
        };
        let peeked = recv(stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(peeked, Err(rustix::io::Errno::AGAIN))
    }
}

/// Waits until there is something to read, or the end.
pub(super) async fn answered(stream: &TcpStream) {
    let mut byte = [0];
    let peek = || Ok(recv(stream, &mut byte, RecvFlags::PEEK)?.0);
    // Broken connections show when they are written to.
    if stream.async_io(Interest::READABLE, peek).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Most of what is read while something is sent.
const EARLY: usize = 4096;

impl Tls {
    /// `may_refuse`: what the server says meanwhile ends it.
    async fn send(&mut self, mut bytes: Bytes, idle: Duration, may_refuse: bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = within(idle, poll_fn(|cx| self.poll_send(cx, &bytes, may_refuse))).await?;
            bytes.advance(n);
        }
        within(idle, poll_fn(|cx| self.poll_flush(cx, may_refuse))).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8], may_refuse: bool) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending if may_refuse => self.poll_early(cx).map(Err),
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            polled => polled,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, may_refuse: bool) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending if may_refuse => self.poll_early(cx).map(Err),
            polled => polled,
        }
    }

    /// Whether the server has said something, which is kept. What it says to TLS alone is passed over.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.early.is_empty() {
            let mut early = [0; EARLY];
            let mut buf = ReadBuf::new(&mut early);
            // The end, or a broken connection, shows when the answer is read.
            if ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)).is_ok() {
                self.early = Bytes::copy_from_slice(buf.filled());
            }
        }
        Poll::Ready(io::ErrorKind::BrokenPipe.into())
    }

    pub(super) async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let n = buf.len().min(self.early.len());
            self.early.copy_to_slice(&mut buf[..n]);
            return Ok(n);
        }
        let mut buf = ReadBuf::new(buf);
        match poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut buf)).await {
            // Some servers close without a word, and whether anything is missing is seen by length.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read.map(|()| buf.filled().len()),
        }
    }

    /// Adds to `buf` what has come, up to `most` bytes, and waits for the first of them. None at the end.
    pub(super) async fn read_into(&mut self, buf: &mut BytesMut, most: usize) -> io::Result<usize> {
        let mut buf = buf.limit(most);
        let n = match self.stream.read_buf(&mut buf).await {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            read => read?,
        };
        // A record holds 16 KiB, and several may be there. What breaks the connection shows with the next bytes.
        let more = |n: &usize| *n > 0;
        while buf.has_remaining_mut()
            && let Some(Ok(_)) =
                self.stream.read_buf(&mut buf).now_or_never().filter(|read| read.as_ref().is_ok_and(more))
        {}
        Ok(if n == 0 { 0 } else { most - buf.remaining_mut() })
    }

    /// Wakes whoever reads for so many bytes on the wire, and nothing less but the end.
    pub(super) fn wake_for(&self, bytes: u32) {
        sys::wake_for(self.stream.get_ref().0.inner(), bytes);
    }

    fn has_nothing_unread(&mut self) -> bool {
        let state = self.stream.get_mut().1.process_new_packets();
        self.early.is_empty()
            && state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
    }
}
