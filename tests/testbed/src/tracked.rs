//! A repository without a work tree, whose `tree` holds what of a branch is pushed there; and a client of it.
//!
//! Program of the gateway, kind of remote, and how its client reaches it are arguments, so that the real git-annex tells
//! what is right.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::annex::Repo;
use super::clients::write_program;
use super::gateway::{Gateway, eventually};
use super::place::{Place, Whose};
use super::proxy::stream;
use super::run::Done;
use super::season::{Tree, tree_of, without_tmp};
use super::ssh::Ssh;

/// What the gateway calls the remote.
pub const NAME: &str = "tree";

/// What its client calls it.
pub const SEEN: &str = "origin-tree";

/// How the client reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// All by ssh.
    Ssh,
    /// Content by HTTP, git by its path.
    Http,
}

/// The gateway.
pub struct Tracked {
    /// Whose programs serve it.
    pub server: Whose,
    /// Its repository.
    pub repo: Repo,
    /// What is behind it.
    pub place: Place,
    ssh: Ssh,
    http: Option<Http>,
}

enum Http {
    Ours(Gateway),
    Theirs { child: Child, port: u16 },
}

impl Tracked {
    /// A gateway whose remote holds what of `tracked`, a branch or BRANCH:DIRECTORY, is pushed.
    #[track_caller]
    pub fn new(server: Whose, place: Place, remote: Whose, tracked: &str, wire: Wire) -> Tracked {
        Tracked::of(Repo::bare(), server, place, remote, tracked, wire)
    }

    /// The same of this repository.
    #[track_caller]
    pub fn of(mut repo: Repo, server: Whose, place: Place, remote: Whose, tracked: &str, wire: Wire) -> Tracked {
        repo.reach(&place);
        repo.initremote(NAME, &place, remote, &["exporttree=yes", "annexobjects=yes"]).ok();
        for (name, value) in [("annex-proxy", "true"), ("annex-tracking-branch", tracked)] {
            repo.git(&["config", &format!("remote.{NAME}.{name}"), value]).ok();
        }
        let program = match server {
            Whose::Ours => "git-annex-remote-stream",
            Whose::Theirs => "git-annex",
        };
        let hooks = repo.dir().join("hooks");
        std::fs::create_dir_all(&hooks).expect("a directory");
        write_program(&hooks.join("post-receive"), &format!("#!/bin/sh\nexec {program} post-receive\n"));
        match server {
            Whose::Ours => stream(&repo, &["updateproxy"]).ok(),
            Whose::Theirs => repo.annex(&["updateproxy"]).ok(),
        };
        let mut tracked = Tracked { server, repo, place, ssh: Ssh::to(server), http: None };
        if wire == Wire::Http {
            tracked.http = Some(Http::serve(server, &tracked.repo));
        }
        tracked
    }

    /// A client that knows the remote behind the gateway from the beginning.
    #[track_caller]
    pub fn client(&self) -> Repo {
        let (uuid, url) = (self.repo.uuid(), Ssh::url(&self.repo));
        let way = match &self.http {
            None => ("remote.origin.url", url),
            Some(http) => ("remote.origin.annexUrl", http.url()),
        };
        let settings = [("remote.origin.annex-uuid", &*uuid), (way.0, &*way.1), ("annex.dotfiles", "true")];
        Repo::clone_with(&self.repo, &settings, |client| self.ssh.lead(client))
    }

    /// The tree that the remote holds.
    #[track_caller]
    pub fn tree(&self) -> Tree {
        let tree = tree_of(&self.place);
        if self.server == Whose::Theirs { without_tmp(tree) } else { tree }
    }

    /// What of a tree it holds. Ours leaves out what no store of ours is given.
    pub fn holds(&self, tree: Tree) -> Tree {
        let ours = self.server == Whose::Ours;
        let is_webdav = matches!(self.place, Place::Webdav(..));
        let cannot = |name: &[u8]| name.contains(&b'\n') || is_webdav && name.contains(&b'\r');
        tree.into_iter().filter(|(name, _)| !ours || !cannot(name)).collect()
    }

    /// `git push` of main, also to an older commit.
    #[track_caller]
    pub fn push(&mut self, client: &Repo) -> Done {
        let pushed = client.git(&["push", "--force", "origin", "main"]).ok();
        // The real p2phttp goes by what was exported when it first looked, and then answers with other content or never.
        if let Some(Http::Theirs { .. }) = &self.http {
            self.http = None;
            let http = Http::serve(self.server, &self.repo);
            client.git(&["config", "remote.origin.annexUrl", &http.url()]).ok();
            self.http = Some(http);
        }
        pushed
    }
}

impl Http {
    #[track_caller]
    fn serve(server: Whose, repo: &Repo) -> Http {
        if server == Whose::Ours {
            return Http::Ours(Gateway::serve(repo, &["--wideopen", "--quiet"]));
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut command = repo.annex_command(&["p2phttp", "--wideopen", "--bind", "127.0.0.1", "--port"]);
        command.args([&port.to_string(), "-J4"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().expect("it starts");
        eventually("p2phttp listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Http::Theirs { child, port }
    }

    fn url(&self) -> String {
        match self {
            Http::Ours(gateway) => gateway.url(),
            Http::Theirs { port, .. } => format!("annex+http://127.0.0.1:{port}/git-annex/"),
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Http::Theirs { child, .. } = self {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
    }
}

/// What the real git-annex on the gateway would still do for the tree, and whether what it knows of the remote is so.
#[track_caller]
pub fn examine(gateway: &Tracked, tree: &str) {
    let left = gateway.repo.annex(&["export", tree, "--to", NAME]).ok().stdout;
    assert_eq!(left.replace("(recording state in git...)", "").trim(), "", "something was left to do");
    // It also misses copies elsewhere, of which the gateway need not know.
    let checked = gateway.repo.annex(&["fsck", "--all", "--from", NAME]).all();
    for bad in ["content is missing", "fixing location log", "Bad file", "expected to be present"] {
        assert!(!checked.contains(bad), "{checked}");
    }
}
