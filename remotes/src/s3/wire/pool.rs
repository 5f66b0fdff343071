//! Connections to one server, kept for the next request.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::link::Link;
use crate::context::{KEEP, MOST_KEPT};
use crate::pump::Home;
use crate::s3::region::Region;
use crate::site::{self, Proxy, Whom};
use crate::sys::{Idle, ReadAhead};
use crate::{Context, Error, Kind, Op, Result};

/// A pool of connections, all plain or all over TLS. Clones share it.
#[derive(Clone)]
pub(crate) struct Pool(Rc<Inner>);

struct Inner {
    host: String,
    port: u16,
    /// What is connected to instead.
    proxy: Option<Proxy>,
    region: Arc<Region>,
    context: Context,
    /// Over TLS, whom it trusts. Its sessions are kept here, and resumed.
    tls: Option<OnceCell<Arc<ClientConfig>>>,
    idle: Idle<Link>,
}

/// Connector the server is reached.
pub(crate) enum Connector {
    /// Over plain TCP, or by a plain proxy that is connected to instead.
    Plain(Option<Proxy>),
    /// Over TLS, and by no proxy.
    Tls,
}

impl Pool {
    pub(crate) fn new(host: String, port: u16, connector: Connector, region: Arc<Region>, context: &Context) -> Self {
        let (proxy, tls) = match connector {
            Connector::Plain(proxy) => (proxy, None),
            Connector::Tls => (None, Some(OnceCell::new())),
        };
        let idle = Idle::new(MOST_KEPT, KEEP);
        Self(Rc::new(Inner { host, port, proxy, region, context: context.clone(), tls, idle }))
    }

    /// Whether payloads need not be encrypted on the way.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.tls.is_none()
    }

    /// Limits, and memory for what is read to be sent.
    pub(super) fn context(&self) -> &Context {
        &self.0.context
    }

    /// The proxy that requests go by.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy.as_ref()
    }

    /// What is known of the bucket's region.
    pub(super) fn region(&self) -> &Region {
        &self.0.region
    }

    pub(crate) fn idle_limit(&self) -> Duration {
        self.0.context.idle
    }

    /// The pool as the place connections return to.
    pub(crate) fn home(&self) -> Rc<dyn Home> {
        Rc::<Inner>::clone(&self.0)
    }

    /// A connection that was used before, if there is one that still looks alive.
    pub(super) fn used(&self) -> Option<Link> {
        self.0.idle.take(Link::is_quiet)
    }

    /// Takes back a connection on which nothing is outstanding. What was not read of it is nobody's, so then it is closed.
    pub(super) fn keep(&self, mut link: Link) {
        if link.has_nothing_unread() {
            self.0.idle.put(link);
        }
    }

    /// A new connection to the server that is called `host` in requests, with its port if it has one.
    pub(super) async fn fresh(&self, op: Op, host: &str) -> Result<Link> {
        let stream = self.connect(op).await?;
        match &self.0.tls {
            None => Ok(Link::Plain(stream)),
            Some(config) => self.greet(op, config, stream, host).await,
        }
    }

    async fn greet(&self, op: Op, config: &OnceCell<Arc<ClientConfig>>, stream: TcpStream, host: &str) -> Result<Link> {
        let bad = |why: String| Error::new(op, Kind::Tls, why);
        let name = site::split_port(host).map_or(host, |(name, _)| name);
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_string());
        let name = name.map_err(|_| bad(format!("{host} is no name that a certificate can have")))?;
        let url = format!("https://{}:{}/", self.0.host, self.0.port);
        let config = config.get_or_try_init(|| site::client_config(&self.0.context.site, Whom::Aws, url));
        let config = Arc::clone(config.await.map_err(bad)?);
        let greeting = TlsConnector::from(config).connect(name, ReadAhead::new(stream));
        match tokio::time::timeout(self.0.context.connect, greeting).await {
            Ok(Ok(stream)) => Ok(Link::tls(stream)),
            // The server closed the connection, which it may do for want of room.
            Ok(Err(e)) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Err(Error::io(op, &format!("TLS handshake with {host}"), e))
            }
            Ok(Err(e)) => Err(bad(format!("TLS handshake with {host}: {e}"))),
            Err(_) => Err(Error::new(op, Kind::Timeout, format!("no TLS handshake with {host} in time"))),
        }
    }

    async fn connect(&self, op: Op) -> Result<TcpStream> {
        let Inner { host, port, proxy, context, .. } = &*self.0;
        let (host, port) = proxy.as_ref().map_or((host, port), |proxy| (&proxy.host, &proxy.port));
        let lookup = tokio::net::lookup_host((host.as_str(), *port));
        let addresses = match tokio::time::timeout(context.connect, lookup).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(e)) => return Err(Error::new(op, Kind::Dns, format!("cannot find host {host}: {e}"))),
            Err(_) => return Err(Error::new(op, Kind::Dns, format!("cannot find host {host} in time"))),
        };
        let mut last = Error::new(op, Kind::Dns, format!("host {host} has no address"));
        for address in addresses {
            match tokio::time::timeout(context.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A head that waits for more bytes to fill a segment costs 40 ms.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(e)) => last = Error::io(op, &format!("cannot connect to {address}"), e),
                Err(_) => last = Error::new(op, Kind::Timeout, format!("cannot connect to {address} in time")),
            }
        }
        Err(last)
    }
}

impl Home for Inner {
    fn welcome(&self, stream: TcpStream) {
        self.idle.put(Link::Plain(stream));
    }
}
