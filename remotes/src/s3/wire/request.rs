//! A presigned request on its way out.

use std::io;
use std::time::Duration;

use aws_sdk_s3::presigning::PresignedRequest;
use bytes::Bytes;
use tokio::net::TcpStream;

use super::{Pool, Response, Upload};
use crate::pump::lane::{send, sendfile};
use crate::pump::{FileSource, Meter};
use crate::{Error, Kind, Op, Result};

/// How long the answer may take that explains why the server closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A request without its payload.
pub(crate) struct Request {
    op: Op,
    head: Vec<u8>,
}

/// The payload.
pub(crate) enum Body<'a> {
    /// None, as in a GET.
    Empty,
    /// Part of a file.
    File(&'a FileSource, &'a Meter),
    /// Blocks in memory.
    Blocks(&'a [Bytes], &'a Meter),
}

impl Body<'_> {
    fn len(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::File(file, _) => file.len,
            Body::Blocks(blocks, _) => blocks.iter().map(|b| b.len() as u64).sum(),
        }
    }

    async fn send(&self, to: &TcpStream, idle: Duration) -> io::Result<()> {
        match self {
            Body::Empty => Ok(()),
            Body::File(file, meter) => sendfile(file, to, meter, idle).await,
            Body::Blocks(blocks, meter) => {
                for block in *blocks {
                    send(block.clone(), to, idle).await?;
                    meter.add(block.len() as u64);
                }
                Ok(())
            }
        }
    }

    fn undo(&self) {
        match self {
            Body::Empty => {}
            Body::File(_, meter) | Body::Blocks(_, meter) => meter.undo(),
        }
    }
}

impl Request {
    /// The head for a presigned request, with headers that need no signature.
    pub(crate) fn new(op: Op, presigned: &PresignedRequest, unsigned: &[(&str, String)]) -> Result<Self> {
        let unsigned = unsigned.iter().map(|(name, value)| (*name, value.as_str()));
        Self::to(op, presigned.method(), presigned.uri(), presigned.headers().chain(unsigned))
    }

    /// The head for a request to a presigned URL.
    pub(crate) fn to<'h>(
        op: Op,
        method: &str,
        url: &str,
        headers: impl Iterator<Item = (&'h str, &'h str)>,
    ) -> Result<Self> {
        let odd = || Error::new(op, Kind::Other, "a signed request is no URL");
        let rest = url.strip_prefix("http://").ok_or_else(odd)?;
        let slash = rest.find(['/', '?']).ok_or_else(odd)?;
        let (host, target) = rest.split_at(slash);
        let root = if target.starts_with('?') { "/" } else { "" };
        let mut head = format!("{} {root}{target} HTTP/1.1\r\nHost: {host}\r\n", method);
        for (name, value) in headers {
            if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if head.lines().count() != head.matches("\r\n").count() {
            return Err(Error::new(op, Kind::Option, "a header value holds a line break"));
        }
        Ok(Self { op, head: head.into_bytes() })
    }

    /// Sends the request and reads the head of the answer. A kept connection that turns out to be dead is replaced once.
    pub(crate) async fn exchange(mut self, pool: &Pool, body: Body<'_>) -> Result<Response> {
        let op = self.op;
        self.end_head((!matches!(body, Body::Empty)).then(|| body.len()));
        if let Some(stream) = pool.used() {
            match attempt(&self, stream, pool, &body).await {
                Err(e) if matches!(e.kind(), Kind::Reset | Kind::Truncated) => body.undo(),
                answer => return answer,
            }
        }
        let stream = pool.fresh(op).await?;
        attempt(&self, stream, pool, &body).await.inspect_err(|_| body.undo())
    }

    /// Sends the head of a request whose payload of `len` bytes the caller has still to get. `used`: also on a kept
    /// connection, which may turn out to be dead with the first bytes; then [`Kind::Reset`].
    pub(crate) async fn start(mut self, pool: &Pool, len: u64, used: bool) -> Result<Upload> {
        self.end_head(Some(len));
        let kept = if used { pool.used() } else { None };
        let stream = match kept {
            Some(stream) => stream,
            None => pool.fresh(self.op).await?,
        };
        let mut upload = Upload::new(self.op, stream, pool, len);
        upload.send(self.head.into()).await?;
        Ok(upload)
    }

    fn end_head(&mut self, len: Option<u64>) {
        if let Some(len) = len {
            self.head.extend_from_slice(format!("Content-Length: {len}\r\n").as_bytes());
        }
        self.head.extend_from_slice(b"\r\n");
    }
}

async fn attempt(request: &Request, stream: TcpStream, pool: &Pool, body: &Body<'_>) -> Result<Response> {
    let idle = pool.idle_limit();
    let op = request.op;
    let out = async {
        send(Bytes::copy_from_slice(&request.head), &stream, idle).await?;
        body.send(&stream, idle).await
    };
    let sent = tokio::select! {
        biased;
        sent = out => sent,
        // An answer before the payload is through is a refusal: the rest need not travel.
        ready = stream.readable(), if !matches!(body, Body::Empty) => ready.and(Err(io::ErrorKind::BrokenPipe.into())),
    };
    match sent {
        Ok(()) => whole(op, Response::read(op, stream, pool, idle).await?, !matches!(body, Body::Empty)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Error::new(op, Kind::Corrupt, "the file became shorter while it was sent"))
        }
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Error::io(op, "sending", e)),
        Err(e) => refusal(op, stream, pool, e).await,
    }
}

/// What a server says that answers, or closes its end, before it has everything. Nothing but a refusal is believed then.
pub(super) async fn refusal(op: Op, stream: TcpStream, pool: &Pool, otherwise: io::Error) -> Result<Response> {
    match Response::read(op, stream, pool, LAST_WORDS).await {
        Ok(response) if response.status() >= 300 => Ok(response),
        Ok(_) => Err(early(op)),
        Err(e) if e.kind() == Kind::Protocol => Err(e),
        Err(_) => Err(Error::io(op, "sending", otherwise)),
    }
}

/// An answer to a request that was sent to its end. Errors: the server cannot have had all of it yet.
pub(super) fn whole(op: Op, response: Response, payload: bool) -> Result<Response> {
    if payload && response.status() < 300 && response.is_early() { Err(early(op)) } else { Ok(response) }
}

fn early(op: Op) -> Error {
    Error::new(op, Kind::Protocol, "the server took what it was not sent yet")
}
