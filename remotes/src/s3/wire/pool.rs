//! Connections to one server, kept for the next request.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::context::{KEEP, MOST_KEPT};
use crate::pump::Home;
use crate::s3::region::Region;
use crate::site::Proxy;
use crate::sys::Idle;
use crate::{Context, Error, Kind, Op, Result};

/// A pool of plain connections. Clones share it.
#[derive(Clone)]
pub(crate) struct Pool(Rc<Inner>);

struct Inner {
    host: String,
    port: u16,
    /// What is connected to instead.
    proxy: Option<Proxy>,
    region: Arc<Region>,
    context: Context,
    idle: Idle<TcpStream>,
}

impl Pool {
    pub(crate) fn new(host: String, port: u16, proxy: Option<Proxy>, region: Arc<Region>, context: &Context) -> Self {
        Self(Rc::new(Inner { host, port, proxy, region, context: context.clone(), idle: Idle::new(MOST_KEPT, KEEP) }))
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
    pub(super) fn used(&self) -> Option<TcpStream> {
        // Anything to read on an idle connection is its end, or nonsense.
        let is_quiet =
            |stream: &TcpStream| matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.0.idle.take(is_quiet)
    }

    /// A new connection.
    pub(super) async fn fresh(&self, op: Op) -> Result<TcpStream> {
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
        self.idle.put(stream);
    }
}
