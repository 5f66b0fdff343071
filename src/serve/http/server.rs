//! The server as a whole: its options, threads, signals, and shutdown.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use remotes::budget::Budget;
use remotes::sys::ReadAhead;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::admin;
use super::audit::Audit;
use super::authenticator::{AuthHeader, Authenticator, UsersFrom};
use super::connection::{Connection, stopped};
use super::forward::{Forward, ForwardTo};
use super::git::{Git, GitOptions};
use super::listen::{Bind, ListenError, Listener, Listening};
use super::log::{Log, LogFormat};
use super::room::{Room, affordable};
use super::shared::{Shared, date};
use crate::annex::repository::OpenError;
use crate::gateway::{ClientLocks, Limits, Metrics, PrefixQuotas, Repositories, Roots, blocking};
use crate::proto::http::access::{self, Access};
use crate::proto::http::response::{Connection as Kept, Response};
use crate::serve::conn::link::{Link, within};
use crate::serve::conn::share::Shares;
use crate::serve::conn::systemd::{ActivationError, Notifier};
use crate::serve::conn::tls::{Tls, TlsError, TlsFiles};

/// All that the command line and the environment say.
#[derive(Debug)]
pub struct Options {
    /// What is served.
    pub place: Roots,
    /// Where to listen, unless systemd gives sockets.
    pub bind: Bind,
    /// Somebody said where.
    pub chosen: bool,
    /// Certificates; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Who may do what.
    pub access: Access,
    /// Where `access` has users and rights from, beside the environment.
    pub users: Option<UsersFrom>,
    /// `--lockedfiles`: most locks that clients hold at a time.
    pub locks: usize,
    /// Data threads.
    pub threads: usize,
    /// Most connections at a time; more are told 503 at once.
    pub connections: usize,
    /// Bytes of content in memory at a time, in all transfers together.
    pub memory: u64,
    /// Connections to one store of transfers that have several.
    pub store_connections: usize,
    /// `--bwlimit`: bytes a second of all transfers together, each way.
    pub rate: Option<u64>,
    /// `--bwlimit-user`: bytes a second of those of one user, each way.
    pub user_rate: Option<u64>,
    /// Longest time in which nothing of a transfer moves.
    pub idle: Duration,
    /// `--admin`: where `/healthz` and `/metrics` are.
    pub admin: Option<String>,
    /// How log lines look.
    pub log: LogFormat,
    /// Leaves out the lines about transfers that went well.
    pub quiet: bool,
    /// Use io_uring where the kernel grants it.
    pub uring: bool,
    /// How long running transfers may take to end after SIGTERM.
    pub drain: Duration,
    /// `--audit`: a file in which changes are written down.
    pub audit: Option<PathBuf>,
    /// `--auth-url`: who is asked who may do what.
    pub forward: Option<ForwardTo>,
    /// `--auth-header`: where somebody in front names the user.
    pub header: Option<AuthHeader>,
    /// `--host`: names that a server in front passes on, where anyone may do everything.
    pub hosts: Vec<String>,
    /// `--realm`: what names and passwords are asked for.
    pub realm: &'static str,
    /// `--git`: serves git, too.
    pub git: Option<GitOptions>,
}

/// Why the server could not start.
#[derive(Debug)]
pub enum StartError {
    /// The repository cannot be served.
    Open(OpenError),
    /// It cannot listen.
    Listen(ListenError),
    /// Certificate or key cannot be used.
    Tls(TlsError),
    /// The sockets of systemd cannot be used.
    Activation(ActivationError),
    /// git cannot be served, or changes cannot be written down.
    Git(String),
    /// The system refused something else.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Open(e) => e.fmt(f),
            StartError::Listen(e) => e.fmt(f),
            StartError::Tls(e) => e.fmt(f),
            StartError::Activation(e) => e.fmt(f),
            StartError::Git(e) => e.fmt(f),
            StartError::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// Longest time TLS may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often locks that lapsed and repositories nobody asks for are looked for.
const TIDY: Duration = Duration::from_secs(5);

/// How often it is looked whether users or rights changed. They are taken over at the second look.
const GLANCE: Duration = Duration::from_millis(500);

/// Pause after a connection could not be accepted for want of something, mostly of descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT.
pub fn main(options: Options) -> ExitCode {
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("git-annex-remote-stream: p2phttp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options) -> Result<(), StartError> {
    let repositories = Arc::new(Repositories::open(options.place).map_err(StartError::Open)?);
    let tls = options.tls.map(Tls::new).transpose().map_err(StartError::Tls)?;
    let git = options.git.map(Git::new).transpose().map_err(StartError::Git)?;
    let environment = |name: &str| std::env::var_os(name);
    let given = crate::serve::conn::systemd::sockets(
        environment("LISTEN_PID").as_deref(),
        environment("LISTEN_FDS").as_deref(),
    )
    .map_err(StartError::Activation)?;
    if options.chosen && !given.is_empty() {
        // Whoever gave --bind 127.0.0.1 would not know that all the world can come.
        return Err(StartError::Listen(ListenError::new(
            "systemd gives the sockets, and --bind, --port and --socket change nothing: leave them out".to_string(),
        )));
    }
    let listening = if given.is_empty() { Listening::on(&options.bind) } else { Ok(Listening::inherited(given)) };
    let listening = Arc::new(listening.map_err(StartError::Listen)?);
    let admin = options.admin.as_deref().map(admin::listen).transpose().map_err(StartError::Listen)?;
    let notifier = Notifier::new(environment("NOTIFY_SOCKET").as_deref()).map_err(StartError::Io)?;
    let log = Log::new(options.log, options.quiet);
    crate::serve::warnings::start(move |words| log.line("warning").with("error", words).warn());
    let secure = if tls.is_some() { "https" } else { "http" };
    let room = affordable(options.connections);
    if room < options.connections {
        log.line("limited")
            .with("connections", room)
            .with("note", "the limit of open files allows no more (ulimit -n, LimitNOFILE=)")
            .warn();
    }
    let believes_all =
        options.access.is_wide_open() || options.header.as_ref().is_some_and(|header| header.from_socket);
    let logins = options.access.logins != access::Logins::No;
    let quotas = PrefixQuotas::new(Arc::<Repositories>::clone(&repositories));
    quotas.set(options.access.file.as_ref().map(|file| file.quotas.clone()).unwrap_or_default());
    let shared = Arc::new(Shared {
        repositories,
        authenticator: Authenticator::new(options.access, options.users, options.threads).map_err(StartError::Io)?,
        leases: ClientLocks::new(options.locks),
        metrics: Metrics::default(),
        limits: Limits {
            budget: Budget::new(options.memory),
            idle: options.idle,
            connections: options.store_connections,
            quotas: Some(quotas),
        },
        log,
        tls,
        room: Room::new(room, logins),
        transfers: Arc::default(),
        incoming: Shares::new(options.rate, options.user_rate),
        outgoing: Shares::new(options.rate, options.user_rate),
        audit: options.audit.as_deref().map(Audit::open).transpose().map_err(StartError::Git)?,
        forward: options.forward.map(Forward::new).transpose().map_err(StartError::Io)?,
        header: options.header,
        hosts: options.hosts.leak(),
        realm: options.realm,
        git,
    });
    let (stop, stopping) = watch::channel(false);
    let threads = (1..options.threads.max(1)).map(|number| {
        let (shared, stop, listening) = (Arc::clone(&shared), stopping.clone(), Arc::clone(&listening));
        let (uring, drain) = (options.uring, options.drain);
        std::thread::Builder::new().name(format!("data-{number}")).stack_size(remotes::sys::STACK).spawn(move || {
            let work = async {
                let _watched = watched();
                accept(&shared, listening.again()?, stop, drain).await
            };
            let accepted = remotes::sys::run(uring, work);
            accepted.and_then(|done| done)
        })
    });
    let threads: Vec<_> = threads.collect::<io::Result<_>>().map_err(StartError::Io)?;
    let first = async {
        let _watched = watched();
        let sockets = listening.again()?;
        // Heard from before anybody is told that the server runs: whoever reloads it then must not end it.
        let signals = Signals::heard()?;
        for name in listening.names() {
            log.line("listening").with("address", name).with("scheme", secure).warn();
        }
        for path in listening.open_to_all().iter().filter(|_| believes_all) {
            let words = format!(
                "every user of this computer may connect to {}, and is believed: SocketMode=0660 and SocketGroup= in the socket unit, or chmod o-w",
                path.display()
            );
            log.line("warning").with("error", words).warn();
        }
        if let Some(admin) = &admin {
            log.line("listening").with("address", admin.name()).with("scheme", "admin").warn();
        }
        let signals = tokio::task::spawn_local(obey(signals, Arc::clone(&shared), stop, notifier));
        let tidy = tokio::task::spawn_local(tidy(Arc::clone(&shared)));
        let users = tokio::task::spawn_local(follow_users(Arc::clone(&shared)));
        let repositories = Arc::clone(&shared.repositories);
        tokio::task::spawn_local(async move {
            repositories.explore().await;
            if let Some(words) = repositories.says_nothing() {
                log.line("empty").with("note", words).warn();
            }
        });
        let upkeep = tokio::task::spawn_local(super::upkeep::run(Arc::clone(&shared)));
        let (bound, mut stop) = (Arc::clone(&listening), stopping.clone());
        tokio::task::spawn_local(async move {
            stopped(&mut stop).await;
            bound.close();
        });
        let admin = match admin {
            Some(listener) => Some(tokio::task::spawn_local(admin::serve(listener.start()?, Arc::clone(&shared)))),
            None => None,
        };
        accept(&shared, sockets, stopping.clone(), options.drain).await?;
        for task in [Some(signals), Some(tidy), Some(users), Some(upkeep), admin].into_iter().flatten() {
            task.abort();
        }
        Ok(())
    };
    let done: io::Result<()> = remotes::sys::run(options.uring, first).and_then(|done| done);
    for thread in threads {
        // A thread that panicked has said so on stderr.
        let _ = thread.join();
    }
    shared.leases.abandon();
    for served in shared.repositories.opened() {
        if let Err(failure) = served.settle() {
            log.line("failed")
                .with("error", failure.to_string())
                .with("note", "the records stay in the journal")
                .warn();
        }
    }
    log.line("stopped").warn();
    done.map_err(StartError::Io)
}

/// Tests fail where it says anything.
fn watched() -> remotes::sys::Watched {
    remotes::sys::watched(|words| tracing::error!("{words}"))
}

/// Takes connections on this thread until the server stops, then waits for those that are busy.
async fn accept(
    shared: &Arc<Shared>,
    sockets: Vec<Listener>,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) -> io::Result<()> {
    let mut acceptors = JoinSet::new();
    let (connections, mut arriving) = tokio::sync::mpsc::channel(64);
    for socket in sockets {
        let (connections, shared) = (connections.clone(), Arc::clone(shared));
        acceptors.spawn_local(async move {
            loop {
                match socket.accept().await {
                    Ok(link) => {
                        if connections.send(link).await.is_err() {
                            return;
                        }
                    }
                    // Whoever came has gone again. That is no reason to keep the others waiting.
                    Err(e) if !is_want(&e) => {}
                    Err(e) => {
                        shared.log.line("failed").with("error", format!("accept a connection: {e}")).warn();
                        tokio::time::sleep(BREATH).await;
                    }
                }
            }
        });
    }
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(link) = arriving.recv() => {
                running.spawn_local(one(Arc::clone(shared), link, stop.clone()));
            }
            Some(_) = running.join_next() => {}
        }
    }
    acceptors.shutdown().await;
    let finish = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, finish).await.is_err() {
        shared.log.line("failed").with("error", "transfers were still running and are cut off").warn();
        running.shutdown().await;
    }
    Ok(())
}

/// Whether something is lacking here, so that the next try would fail too.
fn is_want(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::CONNABORTED, Errno::CONNRESET, Errno::PROTO, Errno::INTR, Errno::PERM, Errno::NOTCONN];
    let gone = gone.iter().chain(&[Errno::NETDOWN, Errno::NETUNREACH, Errno::HOSTDOWN, Errno::HOSTUNREACH]);
    !gone.map(|errno| errno.raw_os_error()).any(|errno| error.raw_os_error() == Some(errno))
}

/// One connection from its first byte to its last.
async fn one(shared: Arc<Shared>, link: Link, stop: watch::Receiver<bool>) {
    shared.metrics.accepted.add(1);
    let Some(seat) = shared.room.enter() else {
        shared.metrics.turned_away.add(1);
        return turn_away(link).await;
    };
    shared.metrics.connections.add(1);
    let _open = Open(&shared);
    let link = match (link, &shared.tls) {
        (Link::Tcp(stream), Some(tls)) => {
            let handshake = TlsAcceptor::from(tls.config()).accept(ReadAhead::new(stream));
            let stream = tokio::select! {
                stream = within(HANDSHAKE, handshake) => stream,
                () = seat.lost() => return,
            };
            // A client that does not get through it has nothing to be told.
            let Ok(stream) = stream else { return };
            Link::Tls(Box::new(stream))
        }
        (link, _) => link,
    };
    Connection::new(Arc::clone(&shared), link, seat, stop).run().await;
}

struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.metrics.connections.sub(1);
    }
}

async fn turn_away(mut link: Link) {
    let response = Response { retry_after: Some(5), connection: Kept::Close, ..Response::of(503) };
    let mut out = Vec::new();
    response.write(&date(), &mut out);
    // In the clear also where TLS is spoken: there it is noise, and closing is the message.
    let _ = link.write(&out, Duration::from_secs(1)).await;
    link.finish().await;
}

/// What ends the server, and what makes it read its configuration again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn heard() -> io::Result<Self> {
        let of = |kind| signal(kind).map_err(|e| io::Error::new(e.kind(), format!("cannot listen for signals: {e}")));
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }
}

async fn obey(mut signals: Signals, shared: Arc<Shared>, stop: watch::Sender<bool>, notifier: Notifier) {
    // Whoever started the server can live without knowing.
    let _ = notifier.ready();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => reload(&shared, &notifier).await,
        }
    }
    let _ = notifier.stopping();
    stop.send_replace(true);
    stop.closed().await;
}

async fn reload(shared: &Arc<Shared>, notifier: &Notifier) {
    let _ = notifier.reloading();
    let again = Arc::clone(shared);
    let reloaded = blocking(move || {
        let certificate = again.tls.as_ref().map_or(Ok(()), Tls::reload).map_err(|e| e.to_string());
        // One that fails must not keep the others from being read.
        let users = look_at_users(&again, true).unwrap_or(Ok(()));
        certificate.and(again.repositories.reopen().map_err(|e| e.to_string())).and(users)
    });
    let line = shared.log.line("reloaded");
    match reloaded.await {
        Ok(Ok(())) => line.warn(),
        Ok(Err(e)) => line.with("error", e).with("note", "the old ones stay in use").warn(),
        Err(e) => line.with("error", e.to_string()).warn(),
    }
    let repositories = Arc::clone(&shared.repositories);
    tokio::task::spawn_local(async move { repositories.explore().await });
    let _ = notifier.ready();
}

/// Takes over the files of users, rights and quotas where they changed: see [`Authenticator::look`]. Blocks.
fn look_at_users(shared: &Shared, asks: bool) -> Option<Result<(), String>> {
    let looked = shared.authenticator.look(asks);
    if let (Some(Ok(())), Some(quotas)) = (&looked, &shared.limits.quotas) {
        quotas.set(shared.authenticator.access().file.as_ref().map(|file| file.quotas.clone()).unwrap_or_default());
    }
    looked
}

/// Takes over the files of users and rights when they change.
async fn follow_users(shared: Arc<Shared>) {
    if !shared.authenticator.has_files() {
        return;
    }
    let mut ticks = tokio::time::interval(GLANCE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let again = Arc::clone(&shared);
        match blocking(move || look_at_users(&again, false)).await {
            Ok(Some(Ok(()))) => shared.log.line("reloaded").with("what", "users").warn(),
            Ok(Some(Err(e))) => {
                shared.log.line("failed").with("error", e).with("note", "the old users stay in force").warn();
            }
            Ok(None) | Err(_) => {}
        }
    }
}

async fn tidy(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TIDY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let again = Arc::clone(&shared);
        // Both touch files. What fails is tried again at the next tick.
        let _ = blocking(move || {
            drop(again.leases.lapsed());
            again.repositories.tidy();
            if let Some(quotas) = &again.limits.quotas {
                quotas.prepare();
            }
        })
        .await;
    }
}
