//! Connections to one server, kept for the next request.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::context::{KEEP, MOST_KEPT};
use crate::pump::Home;
use crate::{Context, Error, Kind, Op, Result};

/// A pool of plain connections. Clones share it.
#[derive(Clone)]
pub(crate) struct Pool(Rc<Inner>);

struct Inner {
    host: String,
    port: u16,
    context: Context,
    idle: RefCell<Vec<(TcpStream, Instant)>>,
    /// Whether somebody comes to close what nobody asked for.
    watched: Cell<bool>,
    me: Weak<Inner>,
}

impl Pool {
    pub(crate) fn new(host: String, port: u16, context: &Context) -> Self {
        let context = context.clone();
        let inner = |me: &Weak<Inner>| {
            let (idle, watched, me) = (RefCell::default(), Cell::new(false), Weak::clone(me));
            Inner { host, port, context, idle, watched, me }
        };
        Self(Rc::new_cyclic(inner))
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
        loop {
            let (stream, since) = self.0.idle.borrow_mut().pop()?;
            // Anything to read on an idle connection is its end, or nonsense.
            let quiet = matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
            if quiet && since.elapsed() < KEEP {
                return Some(stream);
            }
        }
    }

    /// A new connection.
    pub(super) async fn fresh(&self, op: Op) -> Result<TcpStream> {
        let Inner { host, port, context, .. } = &*self.0;
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
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_KEPT {
            idle.push((stream, Instant::now()));
        }
        if !self.watched.replace(true) {
            tokio::task::spawn_local(watch(Weak::clone(&self.me)));
        }
    }
}

/// Closes connections that nobody asked for, until none is left.
async fn watch(pool: Weak<Inner>) {
    loop {
        tokio::time::sleep(KEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle.borrow_mut();
        idle.retain(|(_, since)| since.elapsed() < KEEP);
        if idle.is_empty() {
            pool.watched.set(false);
            return;
        }
    }
}
