//! `p2phttp`: the flags of `git annex p2phttp`, with the same spelling and meaning.

use annex_types::size;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use remotes::connections;

use super::count;
use crate::gateway::Roots;
use crate::proto::git::config::PublicUrl;
use crate::proto::http::response::{REALM, realm};
use crate::proto::http::settings::{Flags, access};
use crate::proto::users::rights::Pattern;
use crate::serve::conn::tls::TlsFiles;
use crate::serve::http::{self, AuthHeader, Bind, ForwardTo, GitOptions, LogFormat, Options, UsersFrom};

pub(super) const EXAMPLES: &str = "\
Serve the repository in the current directory to everyone on this computer, to try it out:

  git-annex-remote-stream p2phttp --wideopen --bind 127.0.0.1

Serve every repository below /srv/git over HTTPS, to read by anyone and to write by alice:

  git-annex-remote-stream users add users.conf alice --rights full
  git-annex-remote-stream p2phttp --directory /srv/git --unauth-readonly --users users.conf \\
      --certfile cert.pem --privatekeyfile key.pem

Clients find it through annexurl, which the repository can tell them (git config annex.url), or by hand:

  git config remote.origin.annexurl annex+https://example.com/git-annex/

Environment:
  GIT_ANNEX_P2PHTTP_PASSWORD_name=...        a user, for --authenv and --authenv-http
  GIT_ANNEX_P2PHTTP_PERMISSIONS_name=...     readonly or appendonly; everything without
  LISTEN_FDS, LISTEN_PID, NOTIFY_SOCKET      sockets and readiness, by systemd
  STREAM_URING=no                            do not use io_uring
  STREAM_HOST=name                           as --host, for whoever cannot change the flags

SIGHUP reads the certificate again. SIGTERM lets running transfers end, commits the records, and ends.";

/// The port of git-annex's own server.
const PORT: u16 = 9417;

#[derive(Args)]
pub(super) struct P2pHttp {
    /// Serve every repository with an annex below this directory, by its path: /org/repo/git-annex/UUID/... . May be repeated.
    ///
    /// New ones are found as they are asked for. Without it, the repository in the current directory is served.
    #[arg(long, value_name = "PATH")]
    directory: Vec<PathBuf>,
    /// Accepted, and has no effect: requests do not wait for each other.
    #[arg(long, short = 'J', value_name = "N", value_parser = count::jobs)]
    jobs: Option<usize>,
    /// How many processor cores to use; all of them by default.
    #[arg(long, value_name = "N", value_parser = count::from_one::<usize>)]
    cpus: Option<usize>,
    /// Accepted; connections to proxied remotes are kept as they are needed.
    #[arg(long, value_name = "N", value_parser = count::from_one::<u32>)]
    proxyconnections: Option<u32>,
    /// Accepted; nodes of a cluster are used side by side as they are needed.
    #[arg(long, value_name = "N", value_parser = count::from_one::<u32>)]
    clusterjobs: Option<u32>,
    /// How many contents clients may keep locked at a time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count::from_one::<usize>)]
    lockedfiles: usize,
    /// Port to listen on; 9417 by default.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Address to listen on; all addresses of this computer by default.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Listen on a unix domain socket made here, behind a web server for example.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["bind", "port", "certfile", "privatekeyfile", "chainfile"])]
    socket: Option<PathBuf>,
    /// TLS certificate, as PEM, perhaps followed by its chain. Needs --privatekeyfile.
    #[arg(long, value_name = "FILE", requires = "privatekeyfile")]
    certfile: Option<PathBuf>,
    /// Its private key, as PEM. Needs --certfile.
    #[arg(long, value_name = "FILE", requires = "certfile")]
    privatekeyfile: Option<PathBuf>,
    /// Certificates that lead from it to an authority, as PEM. May be repeated.
    #[arg(long, value_name = "FILE", requires = "certfile")]
    chainfile: Vec<PathBuf>,
    /// Let the users in the environment log in, over HTTPS only.
    #[arg(long)]
    authenv: bool,
    /// Let the users in the environment log in, over plain HTTP too, where others may read their passwords.
    #[arg(long)]
    authenv_http: bool,
    /// A file of users, tokens and rights in each repository; see git-annex-remote-stream users. Read anew when it changes.
    ///
    /// Users log in over HTTPS only.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// A file with more lines of rights. Read anew when it changes.
    #[arg(long, value_name = "FILE", requires = "users")]
    rights: Option<PathBuf>,
    /// Let users of --users and --auth-url log in over plain HTTP too, where others may read their passwords.
    #[arg(long)]
    auth_http: bool,
    /// Ask this server who may do what that is not allowed here, such as http://127.0.0.1:3000/auth: 200, 401 or 403.
    ///
    /// It gets the client's Authorization, X-Original-Method, X-Original-URI, X-Repository, and X-Action: read, lock, store or remove; and
    /// may answer with X-Forwarded-User. Anything else than these answers, or none within 10 s, is 503 for the client.
    #[arg(long, value_name = "URL", value_parser = ForwardTo::parse)]
    auth_url: Option<ForwardTo>,
    /// For how many seconds an answer of --auth-url is good; 300 at the most.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "auth_url", value_parser = clap::value_parser!(u64).range(..=300))]
    auth_cache: u64,
    /// A header in which a web server in front names the user, who has rights in --users or --rights. Needs --auth-from.
    #[arg(long, value_name = "NAME", requires = "users", requires = "auth_from", value_parser = header)]
    auth_header: Option<String>,
    /// An address from which --auth-header is believed, or "socket" for --socket. May be repeated. From elsewhere it is ignored.
    #[arg(long, value_name = "ADDRESS", requires = "auth_header")]
    auth_from: Vec<String>,
    /// What clients are told that name and password are for; some credential helpers look for the name of a forge.
    #[arg(long, value_name = "TEXT", default_value = REALM, value_parser = realm)]
    realm: &'static str,
    /// Anyone may read, and lock content.
    #[arg(long)]
    unauth_readonly: bool,
    /// Anyone may read and store, and lock content; nobody removes without logging in.
    #[arg(long)]
    unauth_appendonly: bool,
    /// Only users who log in may lock content.
    #[arg(long)]
    unauth_nolocking: bool,
    /// Anyone may do everything.
    #[arg(long)]
    wideopen: bool,
    /// With --wideopen: the name of a web server or forge in front, which passes on what clients asked it as. May be repeated; also
    /// STREAM_HOST in the environment. Other names over loopback may be those of web pages, and are refused.
    #[arg(long, value_name = "NAME", requires = "wideopen", value_parser = host)]
    host: Vec<String>,
    /// Serve git, too: clients clone, fetch and push with the same address and password. Needs git on this computer.
    ///
    /// Who may read may fetch; who may store may push. Who may not remove cannot delete or rewrite branches and tags.
    #[arg(long)]
    git: bool,
    /// The url that clients have in front of the path of a repository, such as `https://annex.example.org`. By default what each
    /// client says that it asked for.
    #[arg(long, value_name = "URL", requires = "git", value_parser = PublicUrl::parse)]
    public_url: Option<PublicUrl>,
    /// A push by a user who may do everything makes a bare repository at a path that fits, such as * or org/. May be repeated.
    #[arg(long, value_name = "PATTERN", requires = "git", requires = "directory", value_parser = pattern)]
    create_on_push: Vec<Pattern>,
    /// With --create-on-push: the most repositories that are served.
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "create_on_push", value_parser = count::from_one::<usize>)]
    create_limit: usize,
    /// The most programs of git at a time; others wait a little, and are answered with 503.
    #[arg(long, value_name = "N", default_value_t = 16, requires = "git", value_parser = count::from_one::<usize>)]
    git_processes: usize,
    /// Least pace of those who push and fetch, in bytes a second; 0 for any. Who is slower for --timeout is cut off.
    #[arg(long, value_name = "SIZE", default_value = "1KiB", requires = "git", value_parser = size)]
    git_min_rate: u64,
    /// Append a JSON object for each change to this file: who stored, removed, locked or pushed what, where, from where, and what came
    /// of it.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Where /healthz and /metrics are, such as 127.0.0.1:9418; nowhere by default.
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// The format of log lines on stderr.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Do not log transfers that succeed.
    #[arg(long, short)]
    quiet: bool,
    /// Memory for content in transit, shared by all transfers.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    memory: u64,
    /// Bytes a second of all transfers together, each way, such as 100MB. Users share it alike.
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    bwlimit: Option<u64>,
    /// Bytes a second of the transfers of one user, each way; of those who do not log in, from one address.
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    bwlimit_user: Option<u64>,
    /// Connections to one store at a time, shared by all transfers of large content; each has one in any case.
    #[arg(long, value_name = "N", default_value_t = connections::DEFAULT, value_parser = count::from_one::<usize>)]
    store_connections: usize,
    /// The most connections at a time; others are answered with 503 at once.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = count::from_one::<usize>)]
    connections: usize,
    /// Seconds without progress before a transfer is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Seconds that running transfers may still take after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

/// Serves until told to stop.
pub(super) fn main(args: P2pHttp) -> ExitCode {
    match options(args) {
        Ok(options) => http::main(options),
        Err(words) => {
            eprintln!("git-annex-remote-stream: p2phttp: {words}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: P2pHttp) -> Result<Options, String> {
    let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    let flags = Flags {
        authenv: args.authenv,
        authenv_http: args.authenv_http,
        unauth_readonly: args.unauth_readonly,
        unauth_appendonly: args.unauth_appendonly,
        unauth_nolocking: args.unauth_nolocking,
        wideopen: args.wideopen,
        users: args.users.is_some() || args.auth_url.is_some(),
        auth_http: args.auth_http,
        tls: args.certfile.is_some(),
    };
    let mut access = access(flags, variables).map_err(|e| e.to_string())?;
    let users = args.users.map(|users| UsersFrom { users, rights: args.rights });
    if let Some(from) = &users {
        let file = from.read()?;
        let named_by_front = args.auth_header.is_some() && !file.rights.0.is_empty();
        if file.is_idle() && !named_by_front {
            let path = from.users.display();
            return Err(format!(
                "{path} gives nobody any rights: git-annex-remote-stream users add {path} NAME --rights full"
            ));
        }
        access.file = Some(file);
    }
    let forward = args.auth_url.map(|to| to.keeping(Duration::from_secs(args.auth_cache)));
    let header = args.auth_header.map(|name| auth_header(name, &args.auth_from)).transpose()?;
    if args.auth_http && users.is_none() && forward.is_none() {
        return Err("--auth-http changes nothing without --users or --auth-url: leave it out".into());
    }
    let place = if args.directory.is_empty() {
        Roots::Repository(std::env::current_dir().map_err(|e| format!("the current directory: {e}"))?)
    } else {
        if let Some(missing) = args.directory.iter().find(|path| !path.is_dir()) {
            return Err(format!("--directory {}: there is no such directory", missing.display()));
        }
        Roots::Directories(args.directory)
    };
    let mut hosts = args.host;
    if let Some(names) = std::env::var_os("STREAM_HOST").filter(|_| args.wideopen) {
        let names = names.into_string().map_err(|_| "STREAM_HOST is no name".to_string())?;
        let names = names.split(',').map(|name| host(name.trim()).map_err(|e| format!("STREAM_HOST: {e}")));
        hosts.extend(names.collect::<Result<Vec<_>, _>>()?);
    }
    let tls = args.certfile.zip(args.privatekeyfile);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Options {
        place,
        chosen: args.bind.is_some() || args.port.is_some() || args.socket.is_some(),
        bind: match args.socket {
            Some(path) => Bind::Socket(path),
            None => Bind::Address { host: args.bind, port: args.port.unwrap_or(PORT) },
        },
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key, chain: args.chainfile }),
        access,
        users,
        locks: args.lockedfiles,
        threads: args.cpus.unwrap_or(cores).clamp(1, 64),
        connections: args.connections,
        memory: args.memory,
        store_connections: args.store_connections,
        rate: args.bwlimit,
        user_rate: args.bwlimit_user,
        idle: Duration::from_secs(args.timeout.max(1)),
        admin: args.admin,
        log: args.log_format,
        quiet: args.quiet,
        uring: std::env::var_os("STREAM_URING").is_none_or(|value| value != "no"),
        drain: Duration::from_secs(args.drain),
        audit: args.audit,
        forward,
        header,
        hosts,
        realm: args.realm,
        git: args.git.then_some(GitOptions {
            processes: args.git_processes,
            min_rate: args.git_min_rate,
            public: args.public_url,
            create: args.create_on_push,
            create_limit: args.create_limit,
        }),
    })
}

fn host(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_name = !text.is_empty() && text.bytes().all(plain);
    is_name.then(|| text.to_string()).ok_or_else(|| "give a name without a port, such as forge.example.org".to_string())
}

fn header(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_name = !text.is_empty() && text.bytes().all(plain) && !text.eq_ignore_ascii_case("authorization");
    is_name.then(|| text.to_string()).ok_or_else(|| "give the name of a header, such as X-Remote-User".to_string())
}

fn auth_header(name: String, from: &[String]) -> Result<AuthHeader, String> {
    let mut header = AuthHeader { name, from: Vec::new(), from_socket: false };
    for address in from {
        match address.as_str() {
            "socket" => header.from_socket = true,
            address => {
                let wrong = |_| format!("--auth-from {address}: give the address of a web server, or \"socket\"");
                header.from.push(address.parse::<std::net::IpAddr>().map_err(wrong)?.to_canonical());
            }
        }
    }
    Ok(header)
}

fn pattern(text: &str) -> Result<Pattern, &'static str> {
    Pattern::parse(text)
}

fn rate(text: &str) -> Result<u64, String> {
    size::parse(text).filter(|rate| *rate > 0).ok_or_else(|| "give a size such as 20MB".to_string())
}

fn size(text: &str) -> Result<u64, String> {
    size::parse(text).ok_or_else(|| "give a size such as 256MiB".to_string())
}
