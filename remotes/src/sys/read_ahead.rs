//! A connection that is read in large pieces.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes of a read.
const PIECE: usize = 64 << 10;

/// Reads from `S` in pieces of 64 KiB, whoever reads from it in which. Writes pass as they are.
///
/// For TLS: rustls asks for 4 KiB at a time, which is four calls of the kernel a record. One that waits with nothing read holds no
/// memory.
#[derive(Debug)]
pub struct ReadAhead<S> {
    inner: S,
    read: BytesMut,
}

impl<S> ReadAhead<S> {
    /// Around `inner`, of which nothing was read ahead.
    pub fn new(inner: S) -> Self {
        Self { inner, read: BytesMut::new() }
    }

    /// What is read and written.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Whether all that was read from it was handed on.
    pub fn is_drained(&self) -> bool {
        self.read.is_empty()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, read } = &mut *self;
        if read.is_empty() {
            if buf.remaining() >= PIECE {
                return Pin::new(inner).poll_read(cx, buf);
            }
            read.reserve(PIECE);
            // It keeps nothing of its own, so a new one each time is as good as one that stays.
            let polled = pin!(inner.read_buf(read)).poll(cx);
            if read.is_empty() {
                *read = BytesMut::new();
            }
            ready!(polled)?;
        }
        let n = read.len().min(buf.remaining());
        buf.put_slice(&read[..n]);
        read.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn all_comes_in_order_whatever_is_asked_for_and_the_end_is_seen() {
        crate::sys::run(false, async {
            let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
            let (mut near, far) = tokio::io::duplex(1 << 20);
            near.write_all(&content).await.expect("written");
            drop(near);
            let mut far = ReadAhead::new(far);
            let mut got = Vec::new();
            // Less than a piece, more than one, and hardly anything.
            for size in [1, 4096, 100_000, 7, 65_536].into_iter().cycle() {
                let mut buf = vec![0; size];
                let n = far.read(&mut buf).await.expect("read");
                assert!(n <= size);
                if n == 0 {
                    break;
                }
                got.extend_from_slice(&buf[..n]);
            }
            assert!(got == content && far.is_drained());
        })
        .expect("a runtime");
    }

    #[test]
    fn one_that_waits_holds_no_memory() {
        crate::sys::run(false, async {
            let (mut near, far) = tokio::io::duplex(64);
            let mut far = ReadAhead::new(far);
            near.write_all(b"word").await.expect("written");
            let mut buf = [0; 2];
            far.read_exact(&mut buf).await.expect("read");
            assert!(!far.is_drained());
            far.read_exact(&mut buf).await.expect("read");
            assert_eq!(&buf, b"rd");
            tokio::select! {
                biased;
                _ = far.read(&mut buf) => panic!("nothing was sent"),
                () = std::future::ready(()) => {}
            }
            assert_eq!((far.is_drained(), far.read.capacity()), (true, 0));
        })
        .expect("a runtime");
    }
}
