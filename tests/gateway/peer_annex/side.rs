//! The other side: the real git-annex or ours, over ssh or HTTP, in front of a repository.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::peer::{Location, Peer, PeerSettings, SshProgram, SshWays};
use remotes::budget::Budget;
use rustix::process::{Pid, Signal, kill_process};

use testbed::annex::Repo;
use testbed::clients::write_program;
use testbed::gateway::{Gateway, eventually};
use testbed::product;

/// What a test talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    TheirShell,
    OurShell,
    TheirHttp,
    OurHttp,
}

/// A repository, and what leads to it.
pub struct Side {
    pub repo: Repo,
    dir: tempfile::TempDir,
    url: String,
    server: Option<Server>,
}

enum Server {
    Theirs(Child),
    Ours(Gateway),
}

impl Side {
    /// Whether it is git-annex's own p2phttp.
    pub fn is_their_http(&self) -> bool {
        matches!(self.server, Some(Server::Theirs(_)))
    }

    pub fn new(kind: Kind) -> Side {
        let repo = Repo::new();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (url, server) = match kind {
            Kind::TheirShell | Kind::OurShell => (format!("ssh://elsewhere{}", repo.dir().display()), None),
            Kind::OurHttp => {
                let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
                (server.url().replace("/git-annex/", "/"), Some(Server::Ours(server)))
            }
            Kind::TheirHttp => {
                let (server, url) = their_http(&repo, &["--wideopen"]);
                (url, Some(Server::Theirs(server)))
            }
        };
        let side = Side { repo, dir, url, server };
        side.write_ssh(kind == Kind::OurShell);
        side
    }

    /// A pretend ssh: runs the command here, in the environment of the repository, and writes down its process id.
    fn write_ssh(&self, ours: bool) {
        let mut script = String::from("#!/bin/sh\nfor command; do :; done\n");
        for name in ["HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "LC_ALL"] {
            script.push_str(&format!("export {name}='{}'\n", self.repo.get(name)));
        }
        let mut path = self.repo.get("PATH");
        if ours {
            let shell = self.dir.path().join("git-annex-shell");
            std::os::unix::fs::symlink(product(), shell).expect("a link");
            path = format!("{}:{path}", self.dir.path().display());
        }
        script.push_str(&format!("export PATH='{path}'\n"));
        let dir = self.dir.path().display();
        script.push_str(&format!("echo $$ >> '{dir}/pids'\necho \"$command\" >> '{dir}/calls'\n"));
        script.push_str("eval \"exec $command\"\n");
        write_program(&self.ssh(), &script);
    }

    fn ssh(&self) -> PathBuf {
        self.dir.path().join("ssh")
    }

    /// A peer that leads here.
    pub fn peer(&self) -> Peer {
        self.peer_of(&self.repo.uuid())
    }

    /// A peer that leads here in its own way.
    pub fn peer_by(&self, ways: SshWays) -> Peer {
        let ways = SshWays { program: SshProgram::Program(self.ssh().into()), ..ways };
        peer(&self.url, &self.repo.uuid(), ways, None)
    }

    /// A peer that expects to find `uuid` here.
    pub fn peer_of(&self, uuid: &str) -> Peer {
        let ways = SshWays { program: SshProgram::Program(self.ssh().into()), ..SshWays::default() };
        peer(&self.url, uuid, ways, None)
    }

    /// The commands that ssh was given.
    pub fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// Processes that ssh became, in order.
    pub fn pids(&self) -> Vec<Pid> {
        let text = std::fs::read_to_string(self.dir.path().join("pids")).unwrap_or_default();
        text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }

    /// Kills what the peer talks to, as a power cut does.
    pub fn kill(&mut self) {
        match self.server.take() {
            None => kill_process(*self.pids().last().expect("one was started"), Signal::KILL).expect("it is running"),
            Some(Server::Ours(gateway)) => gateway.kill(),
            Some(Server::Theirs(mut child)) => {
                child.kill().expect("it is running");
                child.wait().expect("it ends");
            }
        }
    }

    /// Waits until no process is left that ssh became.
    pub fn wait_gone(&self) {
        for pid in self.pids() {
            let path = format!("/proc/{}", pid.as_raw_nonzero());
            eventually("the process is waited for", || !Path::new(&path).exists());
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(Server::Theirs(child)) = &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A peer at `url`.
pub fn peer(url: &str, uuid: &str, ways: SshWays, directory: Option<PathBuf>) -> Peer {
    let location = Location::parse(url.as_bytes(), ways).expect("a peer");
    let settings = PeerSettings {
        idle: Duration::from_secs(30),
        connect: Duration::from_secs(30),
        budget: Budget::new(64 << 20),
        directory,
        site: Default::default(),
    };
    let client = Uuid::parse(b"00000000-0000-4000-8000-00000000c00f").expect("a uuid");
    Peer::new(location, Uuid::parse(uuid.as_bytes()).expect("a uuid"), client, settings)
}

/// The real git-annex serving `repo`, and its url.
pub fn their_http(repo: &Repo, flags: &[&str]) -> (Child, String) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let port_word = port.to_string();
    let mut command = repo.annex_command(&["p2phttp", "-J8", "--bind", "127.0.0.1", "--port", &port_word]);
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("it starts");
    eventually("p2phttp listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (child, format!("annex+http://127.0.0.1:{port}/git-annex/"))
}

pub fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).expect("a key")
}

/// Runs `test` on a data thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(Duration::from_secs(300), test).await.expect("nothing hangs") };
    remotes::sys::run(false, limited).expect("a runtime")
}
