//! A repository that is a proxy for one remote of some kind, and a client of it over either wire.

use super::annex::Repo;
use super::clients;
use super::gateway::Gateway;
use super::place::{Place, Whose};
use super::product;
use super::run::Done;
use super::ssh::Ssh;

/// What the gateway's repository calls the remote.
pub const NAME: &str = "far";

/// What a client calls it.
pub const SEEN: &str = "origin-far";

/// Kind of remote behind the gateway.
pub enum Behind {
    /// A special remote of this program's or of git-annex's own type.
    Special(Place, Whose),
    /// A git repository, by its path.
    Path(Repo),
    /// A git repository, by ssh: the pretend one runs the real git-annex-shell.
    Ssh(Repo, Ssh),
    /// A git repository, by HTTP: this program serves it.
    Http(Repo, Gateway),
}

impl Behind {
    /// A repository behind ssh.
    pub fn ssh() -> Behind {
        Behind::Ssh(Repo::new(), Ssh::new())
    }

    /// A repository behind HTTP.
    pub fn http() -> Behind {
        let repo = Repo::new();
        let gateway = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
        Behind::Http(repo, gateway)
    }
}

/// The repository of the gateway.
pub struct Proxy {
    /// It.
    pub repo: Repo,
    /// What it is a proxy for.
    pub behind: Behind,
}

impl Proxy {
    /// Sets all of it up, with this program's updateproxy.
    #[track_caller]
    pub fn new(behind: Behind) -> Proxy {
        Proxy::with(behind, &[])
    }

    /// The same, with more options for a special remote.
    #[track_caller]
    pub fn with(behind: Behind, more: &[&str]) -> Proxy {
        let mut repo = Repo::new();
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", "start"]).ok();
        match &behind {
            Behind::Special(place, whose) => {
                repo.initremote(NAME, place, *whose, more).ok();
            }
            Behind::Path(far) => {
                repo.git(&["remote", "add", NAME, &far.dir().display().to_string()]).ok();
            }
            Behind::Ssh(far, ssh) => {
                ssh.lead(&mut repo);
                repo.git(&["remote", "add", NAME, &Ssh::url(far)]).ok();
            }
            Behind::Http(far, gateway) => {
                repo.git(&["remote", "add", NAME, &far.dir().display().to_string()]).ok();
                repo.git(&["config", &format!("remote.{NAME}.annexUrl"), &gateway.url()]).ok();
            }
        }
        if let Behind::Path(far) | Behind::Ssh(far, _) | Behind::Http(far, _) = &behind {
            repo.git(&["config", &format!("remote.{NAME}.annex-uuid"), &far.uuid()]).ok();
            repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
        }
        repo.git(&["config", &format!("remote.{NAME}.annex-proxy"), "true"]).ok();
        stream(&repo, &["updateproxy"]).ok();
        Proxy { repo, behind }
    }

    /// The uuid of the remote.
    pub fn uuid(&self) -> String {
        self.repo.git(&["config", &format!("remote.{NAME}.annex-uuid")]).ok().stdout.trim().to_string()
    }

    /// A client of `server`, which serves this.
    ///
    /// git-annex trusts what it knows of special remotes when it begins in a clone, and not what comes later; so the way to
    /// the gateway is set before.
    #[track_caller]
    pub fn client(&self, server: &Gateway) -> Repo {
        clients::client_over_http(&self.repo, server)
    }

    /// A client by way of `ssh`.
    #[track_caller]
    pub fn client_by(&self, ssh: &Ssh) -> Repo {
        clients::client_over_ssh(&self.repo, ssh)
    }

    /// Whether the gateway's git-annex branch says that the remote has `key`, as the real git-annex there reads it.
    #[track_caller]
    pub fn records(&self, key: &str) -> bool {
        let there = self.repo.annex(&["findkeys", "--in", NAME]).ok().stdout;
        there.lines().any(|line| line == key)
    }
}

/// `git-annex-remote-stream WORDS` in `repo`.
#[track_caller]
pub fn stream(repo: &Repo, words: &[&str]) -> Done {
    super::run::run(repo.command(product()).args(words), super::annex::LIMIT)
}
