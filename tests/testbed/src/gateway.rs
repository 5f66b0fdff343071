//! A running `p2phttp` of ours: where it listens, what it says, what it holds.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::annex::Repo;
use super::http::Client;
use super::product;

/// Longest wait for something that should happen soon, on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A server; killed when dropped.
pub struct Gateway {
    process: Child,
    /// Its process, or that of the container in which it is the first.
    pid: Pid,
    /// `127.0.0.1:PORT`, or the path of a socket.
    pub address: String,
    /// Where `/metrics` are.
    pub admin: String,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// What a server holds that might leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Open files, sockets and pipes.
    pub descriptors: usize,
    /// Of the process.
    pub threads: usize,
    /// Of clients.
    pub connections: u64,
    /// Under way.
    pub uploads: u64,
    /// Under way.
    pub downloads: u64,
    /// Of content, that clients hold.
    pub locks: u64,
    /// Taken for transfers, in bytes.
    pub memory: u64,
}

impl Held {
    /// Whether nothing of this is more than in `other`.
    pub(crate) fn no_more_than(&self, other: &Held) -> bool {
        let all = |held: &Held| {
            let Held { connections, uploads, downloads, locks, memory, .. } = *held;
            [held.descriptors as u64, held.threads as u64, connections, uploads, downloads, locks, memory]
        };
        all(self).iter().zip(all(other)).all(|(mine, theirs)| *mine <= theirs)
    }
}

impl Gateway {
    /// Serves `repo` on a free port, with `flags`.
    #[track_caller]
    pub fn serve(repo: &Repo, flags: &[&str]) -> Gateway {
        Gateway::start(Gateway::command(repo).args(["--bind", "127.0.0.1", "--port", "0"]).args(flags))
    }

    /// The command that serves `repo`, without where it listens.
    pub fn command(repo: &Repo) -> Command {
        let mut command = repo.command(product());
        command.args(["p2phttp", "--admin", "127.0.0.1:0"]);
        command
    }

    /// Starts `command` and waits until it listens; panics with what it said if it does not.
    #[track_caller]
    pub fn start(command: &mut Command) -> Gateway {
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = Arc::new(Said::default());
        let (stderr, to) = (process.stderr.take().expect("stderr is piped"), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                to.add(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            to.add(None);
        });
        let pid = Pid::from_child(&process);
        let mut gateway = Gateway { process, pid, address: String::new(), admin: String::new(), said };
        let address = |line: String, scheme: &str| {
            let rest = line.strip_prefix("listening address=")?;
            rest.strip_suffix(scheme).map(|address| address.trim_end().to_string())
        };
        gateway.admin = gateway.wait_for(|line| address(line.to_string(), "scheme=admin"));
        gateway.address = gateway.wait_for(|line| {
            let plain = address(line.to_string(), "scheme=http");
            plain.or_else(|| address(line.to_string(), "scheme=https"))
        });
        gateway
    }

    /// Serves `repo` as the first process of a container of its own: of a namespace of processes. `None` where that needs
    /// rights that are missing here.
    #[track_caller]
    pub fn contained(repo: &Repo, flags: &[&str]) -> Option<Gateway> {
        let container = |words: &[&str]| {
            let mut command = repo.command(Path::new("unshare"));
            command.args(words).args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
            command
        };
        let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
        let is_able = |words: &&&[&str]| {
            let mut command = container(words);
            let command = command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let mut command = container(ways.iter().find(is_able)?);
        command.arg(product()).args(["p2phttp", "--admin", "127.0.0.1:0"]);
        let mut gateway = Gateway::start(command.args(["--bind", "127.0.0.1", "--port", "0"]).args(flags));
        let outer = gateway.process.id();
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let inner = children.ok().and_then(|children| children.split_whitespace().next()?.parse().ok());
        // Whoever made the container ends after it; the other way round nobody knows when the first process has ended.
        gateway.pid = inner.and_then(Pid::from_raw).expect("the kernel tells of children");
        Some(gateway)
    }

    /// Waits until it says a line of which `find` makes something.
    #[track_caller]
    pub fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        let mut lines = self.said.lines.lock().expect("no holder panics");
        loop {
            if let Some(found) = lines.0.iter().find_map(|line| find(line)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.1, "it does not say so: {:#?}", lines.0);
            lines = self.said.more.wait_timeout(lines, left).expect("no holder panics").0;
        }
    }

    /// All it has said.
    pub fn log(&self) -> String {
        self.said.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.join("\n")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.expect("an address with a port")
    }

    /// A connection to it.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// The url that git-annex is given.
    pub fn url(&self) -> String {
        format!("annex+http://{}/git-annex/", self.address)
    }

    /// A number of `/metrics`.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        let mut client = Client::connect(&self.admin);
        let text = client.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("git_annex_stream_{name} ")));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in {text}"))
    }

    /// What it holds now.
    #[track_caller]
    pub fn held(&self) -> Held {
        let count = |what: &str| {
            let path = format!("/proc/{}/{what}", self.pid());
            std::fs::read_dir(path).map_or(0, Iterator::count)
        };
        Held {
            connections: self.metric("connections"),
            uploads: self.metric("uploads"),
            downloads: self.metric("downloads"),
            locks: self.metric("locks"),
            memory: self.metric("budget_bytes") - self.metric("budget_free_bytes"),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it is running");
    }

    /// Waits until it has ended, on its own or by a signal.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.process.try_wait().expect("it was not waited for elsewhere");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Lets it end in its own way, which has to be a success.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// What its data threads waited for, other than events: see the watchdog of `remotes::sys`.
    fn stalls(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains("data thread ")).map(str::to_string).collect()
    }

    /// As a power cut does.
    pub fn kill(mut self) {
        // It may have been killed by another.
        let _ = kill_process(self.pid, Signal::KILL);
        self.ended();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the server said\n{}", self.log());
            return;
        }
        assert_eq!(self.stalls(), Vec::<String>::new(), "data threads wait for events and nothing else");
    }
}

impl Said {
    fn add(&self, line: Option<String>) {
        let mut lines = self.lines.lock().expect("no holder panics");
        match line {
            Some(line) => lines.0.push(line),
            None => lines.1 = true,
        }
        self.more.notify_all();
    }
}

/// Waits until `done`, looking often; panics where it takes too long.
#[track_caller]
pub fn eventually(what: &str, done: impl FnMut() -> bool) {
    assert!(within(SOON, done), "not within {SOON:?}: {what}");
}

/// Waits for `limit` until `done`, looking often. Whether it is.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
