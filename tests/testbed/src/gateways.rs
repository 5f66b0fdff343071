//! Several gateways of one cluster, each with nodes of its own, and lines between them that can be cut and mended.

use std::path::{Path, PathBuf};
use std::process::Child;

use super::annex::Repo;
use super::clients::write_program;
use super::gateway::Gateway;
use super::p2p::{CLIENT, Session};
use super::place::{Place, Whose};
use super::product;
use super::proxy::stream;
use servers::peers;

/// Runs the command at the gateway that is the host, in its environment, and keeps what it is told. Ends as ssh does where the line
/// is cut.
const SSH: &str = r#"#!/bin/sh
dir=$(dirname "$0")
for word; do host=$command; command=$word; done
from=${GATEWAY:-client}
if [ -e "$dir/cut-$from-$host" ]; then echo "ssh: connect to host $host: No route to host" >&2; exit 255; fi
. "$dir/env-$host"
case "$command" in
  *p2pstdio*)
    echo "$from $command" >> "$dir/calls-$host"
    tee -a "$dir/said-$from-$host" | sh -c "$command" ;;
  *) eval "exec $command" ;;
esac
"#;

/// How a gateway is reached, and what serves there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// git-annex-shell over a pretend ssh.
    Ssh(Whose),
    /// Our p2phttp.
    Http,
}

/// A gateway.
pub struct Site {
    /// Its name: `a`, `b` and so on.
    pub name: String,
    /// What it serves.
    pub repo: Repo,
    /// Names, uuids and places of its nodes: two directories, or repositories.
    pub nodes: Vec<(String, String, PathBuf)>,
    by: By,
    server: Option<Gateway>,
    port: u16,
    _places: Vec<Place>,
    _repos: Vec<Repo>,
}

/// All of them.
pub struct Gateways {
    /// The uuid of the cluster.
    pub uuid: String,
    /// The gateways, in the order of their names.
    pub sites: Vec<Site>,
    dir: tempfile::TempDir,
    /// Of git-annex's own servers.
    _running: Vec<Child>,
}

/// What nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// `directory` special remotes.
    Directories,
    /// Repositories by path.
    Repositories,
}

/// The repository of a gateway: the first one, with a commit, or another that has its history and no remote.
#[track_caller]
pub fn begun(first: Option<&Repo>) -> Repo {
    match first {
        None => {
            let repo = Repo::new();
            repo.git(&["commit", "--quiet", "--allow-empty", "--message", "start"]).ok();
            repo
        }
        Some(first) => {
            let repo = Repo::clone_of(first);
            repo.git(&["remote", "remove", "origin"]).ok();
            repo
        }
    }
}

impl Gateways {
    /// A gateway for each of `kinds`, with lines as in `lines`: from whom to whom.
    #[track_caller]
    pub fn new(kinds: &[By], nodes: Nodes, lines: &[(usize, usize)]) -> Gateways {
        let dir = tempfile::tempdir().expect("a directory");
        write_program(&dir.path().join("ssh"), SSH);
        let mut sites: Vec<Site> = Vec::new();
        for (at, by) in kinds.iter().enumerate() {
            let name = char::from(b'a' + u8::try_from(at).expect("few")).to_string();
            let mut repo = begun(sites.first().map(|first| &first.repo));
            repo.set("GIT_SSH", dir.path().join("ssh").display().to_string());
            repo.set("GIT_ANNEX_USE_GIT_SSH", "1");
            repo.set("GATEWAY", &*name);
            sites.push(Site::new(name, repo, *by, nodes, dir.path()));
        }
        let first = &sites[0].repo;
        stream(first, &["initcluster", "myc"]).ok();
        let uuid = first.git(&["config", "annex.cluster.myc"]).ok().stdout.trim().to_string();
        for site in &sites {
            site.repo.git(&["config", "annex.cluster.myc", &uuid]).ok();
            for (name, ..) in &site.nodes {
                site.repo.git(&["config", &format!("remote.{name}.annex-cluster-node"), "myc"]).ok();
            }
        }
        let mut all = Gateways { uuid, sites, dir, _running: Vec::new() };
        for site in &mut all.sites {
            site.serve();
        }
        for (from, to) in lines {
            all.lead(*from, *to);
        }
        // A gateway takes out of the record what it does not reach yet, so in a row this is done there and back.
        all.meet();
        let (there, back): (Vec<usize>, Vec<usize>) =
            ((0..all.sites.len()).collect(), (0..all.sites.len()).rev().collect());
        for at in [&back, &there, &back].into_iter().flatten() {
            stream(&all.sites[*at].repo, &["updatecluster"]).ok();
            all.spread(*at);
        }
        all
    }

    /// The others hear what gateway `at` recorded.
    fn spread(&self, at: usize) {
        let from = &self.sites[at];
        for to in self.sites.iter().filter(|to| to.name != from.name) {
            let refs = format!("+refs/heads/git-annex:refs/remotes/{}/git-annex", from.name);
            to.repo.git(&["fetch", "--quiet", &from.repo.dir().display().to_string(), &refs]).ok();
            to.repo.annex(&["merge", "--quiet"]).ok();
        }
    }

    /// Gateway `from` has a line to `to`.
    fn lead(&self, from: usize, to: usize) {
        let (from, to) = (&self.sites[from].repo, &self.sites[to]);
        let (name, set) = (&to.name, |key: &str, value: &str| {
            from.git(&["config", &format!("remote.{}.{key}", to.name), value]).ok();
        });
        from.git(&["remote", "add", name, &format!("ssh://{name}{}", to.repo.dir().display())]).ok();
        set("annex-uuid", &to.repo.uuid());
        set("annex-cluster-gateway", &self.uuid);
        if let Some(server) = &to.server {
            set("annexUrl", &server.url());
        }
    }

    /// Each hears what the others recorded.
    #[track_caller]
    pub fn meet(&self) {
        for _ in 0..2 {
            for to in &self.sites {
                for from in self.sites.iter().filter(|from| from.name != to.name) {
                    from.repo.annex(&["merge", "--quiet"]).ok();
                    let refs = format!("+refs/heads/git-annex:refs/remotes/{}/git-annex", from.name);
                    to.repo.git(&["fetch", "--quiet", &from.repo.dir().display().to_string(), &refs]).ok();
                }
                to.repo.annex(&["merge", "--quiet"]).ok();
            }
        }
    }

    /// Cuts the line, or mends it. Over HTTP the server of `to` ends, for all.
    pub fn cut(&mut self, from: usize, to: usize, cut: bool) {
        let name = format!("cut-{}-{}", self.sites[from].name, self.sites[to].name);
        let mark = self.dir.path().join(name);
        match (self.sites[to].by, cut) {
            (By::Http, true) => self.sites[to].server.take().expect("it runs").kill(),
            (By::Http, false) => self.sites[to].serve(),
            (By::Ssh(_), true) => std::fs::write(mark, "").expect("written"),
            (By::Ssh(_), false) => std::fs::remove_file(mark).expect("removed"),
        }
    }

    /// A conversation at gateway `at` with `uuid`, which is greeted with version 4.
    #[track_caller]
    pub fn session(&self, at: usize, uuid: &str) -> Session {
        let site = &self.sites[at];
        let dir = site.repo.dir();
        if site.by == By::Ssh(Whose::Theirs) {
            let mut command = site.repo.command(&peers().join("git-annex-shell"));
            command.args(["-c", &format!("git-annex-shell 'p2pstdio' '{}' '{CLIENT}' --uuid {uuid}", dir.display())]);
            let mut session = Session::of(command);
            assert!(session.try_greet(), "it is served");
            return session;
        }
        let mut command = site.repo.command(product());
        command.env("STREAM_TIMEOUT", "50");
        Session::greeted(command, &dir, uuid)
    }

    /// What is answered to one line in a conversation of its own, which has recorded what was done once this returns.
    #[track_caller]
    pub fn ask(&self, at: usize, line: &str) -> String {
        self.ask_without(at, &[], line)
    }

    /// The same, where these gateways are left out.
    #[track_caller]
    pub fn ask_without(&self, at: usize, bypass: &[usize], line: &str) -> String {
        let mut session = self.session(at, &self.uuid);
        self.bypass(&mut session, bypass);
        let answer = session.ask(line);
        session.close();
        session.ended();
        answer
    }

    /// Puts `content`, and returns the last answer.
    #[track_caller]
    pub fn put(&self, at: usize, bypass: &[usize], key: &str, content: &[u8]) -> String {
        let mut session = self.session(at, &self.uuid);
        self.bypass(&mut session, bypass);
        let answer = session.put(key, content);
        session.close();
        session.ended();
        answer
    }

    /// What comes of a GET, if it is the content.
    #[track_caller]
    pub fn get(&self, at: usize, key: &str) -> Option<Vec<u8>> {
        let mut session = self.session(at, &self.uuid);
        let len = session.ask(&format!("GET 0  {key}")).strip_prefix("DATA ")?.parse().expect("a length");
        let content = session.bytes(len);
        let is_content = session.line().as_deref() == Some("VALID");
        session.send(b"SUCCESS\n");
        session.close();
        session.ended();
        is_content.then_some(content)
    }

    fn bypass(&self, session: &mut Session, gateways: &[usize]) {
        let uuids: Vec<String> = gateways.iter().map(|at| self.sites[*at].repo.uuid()).collect();
        if !uuids.is_empty() {
            session.send(format!("BYPASS {}\n", uuids.join(" ")).as_bytes());
        }
    }

    /// The node `name`: `b1` is the second of gateway b.
    pub fn node(&self, name: &str) -> &(String, String, PathBuf) {
        self.sites.iter().flat_map(|site| &site.nodes).find(|(node, ..)| node == name).expect("there is one")
    }

    /// The names of the nodes whose place has `key`.
    pub fn places(&self, key: &str) -> Vec<&str> {
        let nodes = self.sites.iter().flat_map(|site| &site.nodes);
        nodes.filter(|(_, _, dir)| has_named(dir, key)).map(|(name, ..)| &**name).collect()
    }

    /// The names of the nodes that gateway `at` has recorded for `key`.
    #[track_caller]
    pub fn recorded(&self, at: usize, key: &str) -> Vec<&str> {
        let repo = &self.sites[at].repo;
        repo.annex(&["merge", "--quiet"]).ok();
        let recorded = repo.recorded();
        let nodes = self.sites.iter().flat_map(|site| &site.nodes);
        let has = |uuid: &str| recorded.get(&(key.to_string(), uuid.to_string())) == Some(&true);
        nodes.filter(|(_, uuid, _)| has(uuid)).map(|(name, ..)| &**name).collect()
    }

    /// `names` as their uuids stand in answers.
    pub fn falling(&self, names: &[&str]) -> String {
        let mut uuids: Vec<&str> = names.iter().map(|name| &*self.node(name).1).collect();
        uuids.sort_unstable();
        uuids.reverse();
        uuids.join(" ")
    }

    /// How often content was announced on the line, as far as that is ssh. With no byte an offer is taken back.
    pub fn crossings(&self, from: usize, to: usize) -> usize {
        let said = self.said(from, to);
        said.lines().filter_map(|line| line.strip_prefix("DATA ")).filter(|len| *len != "0").count()
    }

    /// What gateway `from` said to `to` over ssh.
    pub fn said(&self, from: usize, to: usize) -> String {
        let path = self.dir.path().join(format!("said-{}-{}", self.sites[from].name, self.sites[to].name));
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Forgets what was said.
    pub fn forget(&self) {
        for entry in std::fs::read_dir(self.dir.path()).expect("it is there").flatten() {
            if entry.file_name().to_string_lossy().starts_with("said-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Site {
    fn new(name: String, repo: Repo, by: By, nodes: Nodes, dir: &Path) -> Site {
        let (mut places, mut repos, mut known) = (Vec::new(), Vec::new(), Vec::new());
        for nth in 0..2 {
            let node = format!("{name}{nth}");
            let at = match nodes {
                Nodes::Directories => {
                    let place = Place::fs();
                    repo.initremote(&node, &place, Whose::Theirs, &[]).ok();
                    places.push(place);
                    places[nth].path().to_path_buf()
                }
                Nodes::Repositories => {
                    let far = Repo::bare();
                    repo.git(&["remote", "add", &node, &far.dir().display().to_string()]).ok();
                    repo.git(&["config", &format!("remote.{node}.annex-uuid"), &far.uuid()]).ok();
                    repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
                    repos.push(far);
                    repos[nth].dir()
                }
            };
            let uuid = repo.git(&["config", &format!("remote.{node}.annex-uuid")]).ok().stdout.trim().to_string();
            known.push((node, uuid, at));
        }
        let mut path = repo.get("PATH");
        if by == By::Ssh(Whose::Ours) {
            let bin = dir.join(format!("bin-{name}"));
            std::fs::create_dir(&bin).expect("a directory");
            let shell = bin.join("git-annex-shell");
            std::os::unix::fs::symlink(product(), shell).expect("a link");
            path = format!("{}:{path}", bin.display());
        } else {
            path = format!("{}:{path}", peers().display());
        }
        let mut env = format!("export PATH='{path}' STREAM_TIMEOUT=50\n");
        for word in ["HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "LC_ALL", "GIT_SSH", "GATEWAY"] {
            env += &format!("export {word}='{}'\n", repo.get(word));
        }
        env += "export GIT_ANNEX_USE_GIT_SSH=1\n";
        std::fs::write(dir.join(format!("env-{name}")), env).expect("written");
        Site { name, repo, nodes: known, by, server: None, port: 0, _places: places, _repos: repos }
    }

    /// Has its server run, where it is reached by one.
    fn serve(&mut self) {
        if self.by == By::Http {
            let port = self.port.to_string();
            let mut command = Gateway::command(&self.repo);
            command.args(["--bind", "127.0.0.1", "--port", &port, "--wideopen", "--quiet", "--timeout", "50"]);
            let server = Gateway::start(&mut command);
            self.port = server.port();
            self.server = Some(server);
        }
    }

    /// Its server, where there is one.
    pub fn server(&self) -> Option<&Gateway> {
        self.server.as_ref()
    }
}

fn has_named(dir: &Path, name: &str) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_it = entry.file_name().to_string_lossy() == name;
        // git-annex has content in a directory of the same name, with the file in it.
        (is_it && !is_dir) || (is_dir && has_named(&entry.path(), name))
    })
}
