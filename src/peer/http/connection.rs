//! One connection over HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use remotes::site::{Whom, client_config};
use remotes::sys::ReadAhead;
use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Core, Http};
use crate::peer::Failure;
use crate::peer::link::{Link, within};
use crate::proto::http::body::BodyReader;
use crate::proto::http::client::response::{self, ResponseHead};

/// Bytes that are read at once while a head or little else is expected.
const READ: usize = 8 << 10;

/// Most interim answers before the real one.
const MOST_INTERIM: usize = 8;

/// A connection, and what was read from it and not looked at yet.
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) buffer: Vec<u8>,
    /// Whether anything came since the last answer.
    silent: bool,
}

impl Connection {
    /// Connects, and greets over TLS where that is wanted.
    pub(super) async fn open(http: &Http) -> Result<Self, Failure> {
        let Core { remote, shared, host: authority, .. } = &**http;
        let limit = shared.settings.connect;
        let failed = |what: &str, e: &dyn std::fmt::Display| shared.broken(format_args!("{what}: {e}"));
        let proxy = http.proxy.as_ref().map_err(|why| shared.broken(why))?.as_ref();
        if let Some(proxy) = proxy.filter(|proxy| proxy.tls) {
            return Err(shared.broken(format_args!("proxy {proxy} is reached over TLS, which is not done for peers")));
        }
        let (host, port) = proxy.map_or((&remote.host, remote.port), |proxy| (&proxy.host, proxy.port));
        let lookup = tokio::net::lookup_host((host.as_str(), port));
        let what = if proxy.is_some() { "cannot find its proxy" } else { "cannot find its host" };
        let addresses = within(limit, lookup).await.map_err(|e| failed(what, &e))?;
        let mut last = shared.broken("its host has no address");
        for address in addresses {
            let mut stream = match within(limit, TcpStream::connect(address)).await {
                Ok(stream) => stream,
                Err(e) => {
                    last = failed(&format!("cannot connect to {address}"), &e);
                    continue;
                }
            };
            // A head that waits for more bytes to fill a segment costs 40 ms.
            let _ = stream.set_nodelay(true);
            watch_over(&stream);
            let link = if remote.secure {
                if let Some(proxy) = proxy {
                    let way = tunnel(&mut stream, authority, http.login.as_deref());
                    within(limit, way).await.map_err(|e| failed(&format!("proxy {proxy}"), &e))?;
                }
                let url = format!("https://{authority}/");
                let config = http.trust.get_or_try_init(|| client_config(&shared.settings.site, Whom::Others, url));
                let config = config.await.map_err(|e| failed("TLS", &e))?;
                let name = ServerName::try_from(remote.host.clone()).map_err(|e| failed("TLS", &e))?;
                let greeting = TlsConnector::from(Arc::clone(config)).connect(name, ReadAhead::new(stream));
                let stream = within(limit, greeting).await.map_err(|e| failed("cannot greet over TLS", &e))?;
                Link::Tls(Box::new(stream))
            } else {
                Link::Tcp(stream)
            };
            return Ok(Self { link, buffer: Vec::new(), silent: true });
        }
        Err(last)
    }

    /// A request is about to be made.
    pub(super) fn begin(&mut self) {
        self.silent = true;
    }

    /// The head of the answer. All of it comes within `limit`.
    pub(super) async fn head(&mut self, limit: Duration) -> io::Result<ResponseHead> {
        within(limit, self.read_head(limit)).await
    }

    /// All of a body that is no longer than `most` bytes, and comes within `limit`.
    pub(super) async fn body(&mut self, head: &ResponseHead, most: usize, limit: Duration) -> io::Result<Vec<u8>> {
        within(limit, self.read_body(head, most, limit)).await
    }

    async fn read_head(&mut self, limit: Duration) -> io::Result<ResponseHead> {
        let mut interim = 0;
        loop {
            match response::parse(&self.buffer) {
                Ok(Some((head, len))) => {
                    self.buffer.drain(..len);
                    if !(100..200).contains(&head.status) {
                        return Ok(head);
                    }
                    interim += 1;
                    if interim > MOST_INTERIM {
                        return Err(io::Error::other("it sends no final answer"));
                    }
                }
                Ok(None) => {
                    if self.more(limit).await? == 0 {
                        let what = "it closed the connection without an answer";
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                    }
                    self.silent = false;
                }
                Err(bad) => return Err(io::Error::other(bad.0)),
            }
        }
    }

    async fn read_body(&mut self, head: &ResponseHead, most: usize, limit: Duration) -> io::Result<Vec<u8>> {
        let (mut reader, mut body) = (BodyReader::new(head.body), Vec::new());
        loop {
            let mut rest = self.buffer.as_slice();
            while let Some(piece) = reader.next(&mut rest).map_err(|bad| io::Error::other(bad.0))? {
                if body.len() + piece.len() > most {
                    return Err(io::Error::other("it is too long"));
                }
                body.extend_from_slice(piece);
            }
            let used = self.buffer.len() - rest.len();
            self.buffer.drain(..used);
            if reader.is_done() {
                return Ok(body);
            }
            if self.more(limit).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what there is into the buffer, waiting for the first of it.
    pub(super) async fn more(&mut self, limit: Duration) -> io::Result<usize> {
        let mut buf = [0; READ];
        let n = self.link.read_within(&mut buf, limit).await?;
        self.buffer.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    /// Whether nothing of an answer came.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether another request may be made.
    pub(super) fn is_usable(&self) -> bool {
        self.buffer.is_empty() && self.link.is_quiet()
    }

    /// A connection that was used before, as it came back.
    pub(super) fn of(stream: TcpStream) -> Self {
        Self { link: Link::Tcp(stream), buffer: Vec::new(), silent: true }
    }
}

/// Has a proxy connect to `authority`, and pass on what comes.
async fn tunnel(stream: &mut TcpStream, authority: &str, login: Option<&str>) -> io::Result<()> {
    let login = login.map_or(String::new(), |login| format!("Proxy-Authorization: {login}\r\n"));
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n");
    stream.write_all(request.as_bytes()).await?;
    // What follows the head is the peer's, so none of it is read here.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == READ {
            return Err(io::Error::other("its answer is not HTTP"));
        }
        head.push(stream.read_u8().await?);
    }
    let words = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    match words {
        Some(b"200") => Ok(()),
        Some(b"407") => Err(io::Error::other("407, it wants a name and a password: http://NAME:PASSWORD@HOST:PORT")),
        Some(status) => Err(io::Error::other(format!("it refuses to connect: {}", status.escape_ascii()))),
        None => Err(io::Error::other("its answer is not HTTP")),
    }
}

/// Has a peer noticed that vanished without a word, well before a lock that it kept for us lapses there. Where the system
/// cannot do that, its own time counts.
fn watch_over(stream: &TcpStream) {
    let _ = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, Duration::from_secs(60)))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15)))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, 4));
}
