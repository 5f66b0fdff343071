//! Where connections come from: addresses, a socket file, or sockets that systemd made.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdUnix, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, UnixListener};

use crate::serve::conn::link::Link;
use crate::serve::conn::systemd;

/// Where to listen.
#[derive(Debug, Clone)]
pub enum Bind {
    /// `--bind` and `--port`; without an address, all addresses of this computer.
    Address {
        /// Host name or address.
        host: Option<String>,
        /// Port; 0 takes one that is free.
        port: u16,
    },
    /// `--socket`: a unix domain socket, made here.
    Socket(PathBuf),
}

/// Why it cannot listen, with the way out.
#[derive(Debug)]
pub struct ListenError(String);

impl ListenError {
    pub(super) fn new(words: String) -> Self {
        Self(words)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ListenError {}

/// Sockets that are listening, not yet on any thread.
pub(super) struct Listening {
    sockets: Mutex<Vec<Bound>>,
    /// Removed at the end.
    made: Option<PathBuf>,
}

enum Bound {
    Tcp(std::net::TcpListener),
    Unix(StdUnix),
}

/// A socket on a data thread.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

impl Listening {
    /// Listens where `bind` says.
    pub(super) fn on(bind: &Bind) -> Result<Self, ListenError> {
        match bind {
            Bind::Socket(path) => {
                let socket = socket_file(path)
                    .map_err(|e| ListenError(format!("cannot listen on the socket {}: {e}", path.display())))?;
                Ok(Self { sockets: vec![Bound::Unix(socket)].into(), made: Some(path.clone()) })
            }
            Bind::Address { host, port } => {
                let sockets = addresses(host.as_deref(), *port)?;
                let sockets: Vec<_> = sockets.into_iter().map(Bound::Tcp).collect();
                Ok(Self { sockets: sockets.into(), made: None })
            }
        }
    }

    /// Takes sockets that systemd made.
    pub(super) fn inherited(sockets: Vec<systemd::Listener>) -> Self {
        let sockets = sockets.into_iter().map(|socket| match socket {
            systemd::Listener::Tcp(socket) => Bound::Tcp(socket),
            systemd::Listener::Unix(socket) => Bound::Unix(socket),
        });
        Self { sockets: Mutex::new(sockets.collect()), made: None }
    }

    /// The same sockets for one more thread.
    pub(super) fn again(&self) -> io::Result<Vec<Listener>> {
        self.bound().iter().map(Bound::listener).collect()
    }

    /// Where it listens, for people.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |bound: &Bound| match bound {
            Bound::Tcp(socket) => socket.local_addr().map_or_else(|e| e.to_string(), |address| address.to_string()),
            Bound::Unix(socket) => match socket.local_addr() {
                Ok(address) => address.as_pathname().map_or("a socket".into(), |path| path.display().to_string()),
                Err(e) => e.to_string(),
            },
        };
        self.bound().iter().map(name).collect()
    }

    /// Socket files that every user of this computer may connect to.
    pub(super) fn open_to_all(&self) -> Vec<PathBuf> {
        let has = |path: &Path, bit: u32| path.metadata().is_ok_and(|meta| meta.mode() & bit != 0);
        let file = |bound: &Bound| match bound {
            Bound::Tcp(_) => None,
            Bound::Unix(socket) => Some(socket.local_addr().ok()?.as_pathname()?.canonicalize().ok()?),
        };
        // Who may not pass a directory does not get to it.
        let is_open = |path: &PathBuf| has(path, 0o002) && path.ancestors().skip(1).all(|above| has(above, 0o001));
        self.bound().iter().filter_map(file).filter(is_open).collect()
    }

    /// Listens no more, so that whoever comes is refused at once instead of waiting for the end.
    pub(super) fn close(&self) {
        self.bound().clear();
        if let Some(path) = &self.made {
            // Another server may be the next to make it.
            let _ = std::fs::remove_file(path);
        }
    }

    fn bound(&self) -> MutexGuard<'_, Vec<Bound>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.bound().is_empty() {
            self.close();
        }
    }
}

impl Bound {
    fn listener(&self) -> io::Result<Listener> {
        match self {
            Bound::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(Listener::Tcp(TcpListener::from_std(socket)?))
            }
            Bound::Unix(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(Listener::Unix(UnixListener::from_std(socket)?))
            }
        }
    }
}

impl Listener {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Link> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written in one piece, and the next request waits for them.
                stream.set_nodelay(true)?;
                keep_alive(&stream);
                Ok(Link::Tcp(stream))
            }
            Listener::Unix(listener) => Ok(Link::Unix(listener.accept().await?.0)),
        }
    }
}

/// A peer that lost its power says nothing; a lock that it keeps should not wait for it longer than ten minutes more.
fn keep_alive(stream: &tokio::net::TcpStream) {
    // Without it everything works but that.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(60));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(20));
    let _ = sockopt::set_tcp_keepcnt(stream, 5);
}

fn addresses(host: Option<&str>, port: u16) -> Result<Vec<std::net::TcpListener>, ListenError> {
    let failed = |what: &dyn fmt::Display, e: &io::Error| {
        let way_out = match e.kind() {
            io::ErrorKind::AddrInUse => "; another server uses it: choose another --port",
            io::ErrorKind::AddrNotAvailable => "; give --bind an address of this computer",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE or a socket of systemd",
            _ => "",
        };
        ListenError(format!("cannot listen on {what}: {e}{way_out}"))
    };
    let Some(host) = host else {
        // Both families through one socket where there is IPv6.
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        if let Ok(socket) = listen(any) {
            return Ok(vec![socket]);
        }
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        return listen(any).map(|socket| vec![socket]).map_err(|e| failed(&any, &e));
    };
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|e| ListenError(format!("cannot listen on {host}: {e}; give --bind an address of this computer")))?
        .collect();
    let mut sockets = Vec::new();
    for address in found {
        sockets.push(listen(address).map_err(|e| failed(&address, &e))?);
    }
    Ok(sockets)
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restart must not wait for connections of the last server.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Makes the socket, in place of one that nobody listens on any more.
fn socket_file(path: &Path) -> io::Result<StdUnix> {
    match StdUnix::bind(path) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
            if is_socket && StdUnixStream::connect(path).as_ref().is_err_and(refused) {
                std::fs::remove_file(path)?;
                return StdUnix::bind(path);
            }
            Err(e)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_socket_is_open_to_all_where_all_may_write_to_it_and_get_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().canonicalize().expect("it is there").join("socket");
        let listening = Listening::on(&Bind::Socket(path.clone())).expect("it listens");
        // Where temporary files are may be private itself.
        let mut above = dir.path().ancestors().skip(1);
        let is_reached = above.all(|path| path.metadata().expect("it is there").mode() & 0o001 != 0);
        for (above, file, is_open) in [(0o755, 0o666, true), (0o755, 0o660, false), (0o700, 0o666, false)] {
            set_permissions(dir.path(), Permissions::from_mode(above)).expect("it is ours");
            set_permissions(&path, Permissions::from_mode(file)).expect("it is ours");
            assert_eq!(!listening.open_to_all().is_empty(), is_open && is_reached, "{above:o} {file:o}");
        }
    }
}
