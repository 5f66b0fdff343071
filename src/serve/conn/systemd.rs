//! What systemd gives a service and expects from it: open sockets, and readiness.
//!
//! Source: sd_listen_fds(3), sd_notify(3). Nothing here reads the environment; the caller does, once.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

/// The first descriptor that is handed over.
const FIRST: i32 = 3;
/// More than this is a mistake.
const MOST: i32 = 256;

/// A socket that listens, not blocking.
#[derive(Debug)]
pub enum Listener {
    /// TCP, over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// Sockets were announced that cannot be used.
#[derive(Debug)]
pub enum ActivationError {
    /// LISTEN_FDS is no sensible number.
    Count,
    /// This descriptor cannot be taken over.
    Take(i32, io::Error),
    /// This descriptor is no stream socket that listens.
    Kind(i32),
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "LISTEN_FDS is not a number from 1 to {MOST}"),
            Self::Take(fd, error) => write!(f, "descriptor {fd} from LISTEN_FDS cannot be taken over: {error}"),
            Self::Kind(fd) => {
                write!(
                    f,
                    "descriptor {fd} from LISTEN_FDS is not a listening stream socket: use ListenStream= and Accept=no"
                )
            }
        }
    }
}

impl std::error::Error for ActivationError {}

/// The sockets that came with LISTEN_PID and LISTEN_FDS; none where these are not set or meant for another process.
///
/// Each is a duplicate of the descriptor that was inherited, which itself stays open for the life of the process.
///
/// # Errors
///
/// [`ActivationError`].
pub fn sockets(listen_pid: Option<&OsStr>, listen_fds: Option<&OsStr>) -> Result<Vec<Listener>, ActivationError> {
    match count(getpid().as_raw_nonzero().get(), listen_pid, listen_fds)? {
        0 => Ok(Vec::new()),
        count => (FIRST..FIRST + count).map(take).collect(),
    }
}

fn count(own: i32, listen_pid: Option<&OsStr>, listen_fds: Option<&OsStr>) -> Result<i32, ActivationError> {
    let (Some(pid), Some(fds)) = (listen_pid, listen_fds) else { return Ok(0) };
    if pid.to_str().and_then(|pid| pid.parse().ok()) != Some(own) {
        return Ok(0);
    }
    let count = fds.to_str().and_then(|fds| fds.parse().ok()).ok_or(ActivationError::Count)?;
    if (1..=MOST).contains(&count) { Ok(count) } else { Err(ActivationError::Count) }
}

fn take(number: i32) -> Result<Listener, ActivationError> {
    // A number out of the environment proves nothing about a descriptor, so it is asked of the kernel, which may say no;
    // to believe it would take `unsafe`.
    let failed = |error: rustix::io::Errno| ActivationError::Take(number, error.into());
    let this = pidfd_open(getpid(), PidfdFlags::empty()).map_err(failed)?;
    let fd = pidfd_getfd(this, number, PidfdGetfdFlags::empty()).map_err(failed)?;
    listener(fd).map_err(|error| ActivationError::Take(number, error))?.ok_or(ActivationError::Kind(number))
}

fn listener(fd: OwnedFd) -> io::Result<Option<Listener>> {
    let listens = sockopt::socket_type(fd.as_fd()) == Ok(SocketType::STREAM)
        && sockopt::socket_acceptconn(fd.as_fd()) == Ok(true);
    if !listens {
        return Ok(None);
    }
    let listener = match sockopt::socket_domain(fd.as_fd())? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let listener = TcpListener::from(fd);
            listener.set_nonblocking(true)?;
            Listener::Tcp(listener)
        }
        AddressFamily::UNIX => {
            let listener = UnixListener::from(fd);
            listener.set_nonblocking(true)?;
            Listener::Unix(listener)
        }
        _ => return Ok(None),
    };
    Ok(Some(listener))
}

/// Tells the service manager how the service is doing; silent where nobody listens.
#[derive(Debug)]
pub struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// For the value of NOTIFY_SOCKET: a path, or `@` and an abstract name.
    ///
    /// # Errors
    ///
    /// What the system says of the name.
    pub fn new(notify_socket: Option<&OsStr>) -> io::Result<Self> {
        let address = match notify_socket.map(OsStrExt::as_bytes) {
            None | Some([]) => return Ok(Self(None)),
            Some([b'@', name @ ..]) => SocketAddr::from_abstract_name(name)?,
            Some(path) => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not stop the service.
        socket.set_nonblocking(true)?;
        Ok(Self(Some((socket, address))))
    }

    /// Requests are served from now on; also said when a reload is over.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub fn ready(&self) -> io::Result<()> {
        self.say(b"READY=1")
    }

    /// A reload begins now. Errors as in `ready`.
    pub fn reloading(&self) -> io::Result<()> {
        // Type=notify-reload wants the time, and to the microsecond: it must not lie before its own signal.
        let now = clock_gettime(ClockId::Monotonic);
        self.reloading_at(Duration::try_from(now).map_err(io::Error::other)?)
    }

    fn reloading_at(&self, monotonic: Duration) -> io::Result<()> {
        self.say(format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic.as_micros()).as_bytes())
    }

    /// The service drains and will end. Errors as in `ready`.
    pub fn stopping(&self) -> io::Result<()> {
        self.say(b"STOPPING=1")
    }

    fn say(&self, message: &[u8]) -> io::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some((socket, address)) => socket.send_to_addr(message, address).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn sockets_are_taken_only_when_they_are_meant_for_this_process() {
        let counted = |pid: Option<&str>, fds: Option<&str>| {
            count(42, pid.map(OsStr::new), fds.map(OsStr::new)).map_err(|error| error.to_string())
        };
        assert_eq!(counted(None, None), Ok(0));
        assert_eq!(counted(Some("42"), None), Ok(0));
        assert_eq!(counted(Some("41"), Some("2")), Ok(0));
        assert_eq!(counted(Some("x"), Some("x")), Ok(0));
        assert_eq!(counted(Some("42"), Some("2")), Ok(2));
        for fds in ["", "0", "-1", "257", "x", "99999999999"] {
            assert!(counted(Some("42"), Some(fds)).is_err(), "{fds}");
        }
    }

    #[test]
    fn a_listening_socket_is_taken_over_and_serves() {
        let original = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = original.local_addr().expect("an address");
        let Listener::Tcp(taken) = take(original.as_raw_fd()).expect("it listens") else { panic!("not TCP") };
        drop(original);
        let _client = TcpStream::connect(address).expect("still open");
        // Established before connect returns, so there is nothing to wait for.
        taken.accept().expect("a connection is there");

        let directory = tempfile::tempdir().expect("a directory");
        let unix = UnixListener::bind(directory.path().join("s")).expect("a socket");
        assert!(matches!(take(unix.as_raw_fd()), Ok(Listener::Unix(_))));
    }

    #[test]
    fn other_descriptors_are_refused_by_number() {
        let datagrams = UnixDatagram::unbound().expect("a socket");
        let file = tempfile::tempfile().expect("a file");
        for fd in [datagrams.as_raw_fd(), file.as_raw_fd()] {
            assert!(matches!(take(fd), Err(ActivationError::Kind(number)) if number == fd));
        }
        assert!(matches!(take(1_000_000), Err(ActivationError::Take(1_000_000, _))));
    }

    #[test]
    fn the_manager_hears_each_state() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let heard = |manager: &UnixDatagram| {
            let mut buffer = [0; 100];
            let length = manager.recv(&mut buffer).expect("it was sent before");
            String::from_utf8(buffer[..length].to_vec()).expect("text")
        };
        let notifier = Notifier::new(Some(path.as_os_str())).expect("the path is right");
        notifier.ready().expect("sent");
        notifier.reloading_at(Duration::from_micros(1_500_000)).expect("sent");
        notifier.stopping().expect("sent");
        let all = [heard(&manager), heard(&manager), heard(&manager)];
        assert_eq!(all, ["READY=1", "RELOADING=1\nMONOTONIC_USEC=1500000", "STOPPING=1"]);

        let name = format!("stream-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        Notifier::new(Some(OsStr::new(&format!("@{name}")))).and_then(|notifier| notifier.ready()).expect("sent");
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn nobody_to_tell_is_no_error_and_a_dead_manager_is_one() {
        for unset in [None, Some(OsStr::new(""))] {
            Notifier::new(unset).and_then(|notifier| notifier.ready()).expect("silent");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let gone = directory.path().join("gone");
        let notifier = Notifier::new(Some(gone.as_os_str())).expect("the path is right");
        assert!(notifier.ready().is_err());
    }
}
