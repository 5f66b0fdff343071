//! Gateways of one cluster, each on a network of its own, with wires between them that can be cut.
//!
//! Each gateway is in a network namespace, and a line is a pair of virtual interfaces. sshd runs at each, for git and for content;
//! where lines are HTTP, so does a server. A cut takes the other's interface down: nothing is refused, and nothing comes back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use testbed::annex::{LIMIT, Repo};
use testbed::clients::write_program;
use testbed::gateway::eventually;
use testbed::gateways::begun;
use testbed::p2p::{CLIENT, Session};
use testbed::place::{Whose, files_below};
use testbed::proxy::stream;
use testbed::run::{Done, run};
use testbed::servers::peers;

/// Seconds for which somebody may be silent.
const TIMEOUT: &str = "12";

/// Where p2phttp listens in each network.
const PORT: u16 = 9417;

/// How a gateway is reached, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Ssh(Whose),
    Http(Whose),
}

/// A node: its name, its uuid, and its repository.
pub type Node = (String, String, Repo);

/// A gateway.
pub struct Site {
    /// Its name: `a`, `b` and so on.
    pub name: String,
    pub repo: Repo,
    /// Two repositories.
    pub nodes: Vec<Node>,
    by: By,
    network: Network,
    sshd: Option<Child>,
    server: Option<Child>,
}

/// All of them.
pub struct Networks {
    /// The uuid of the cluster.
    pub uuid: String,
    pub sites: Vec<Site>,
    lines: Vec<(usize, usize)>,
    _dir: tempfile::TempDir,
}

/// A network namespace.
struct Network(String);

impl Network {
    /// A new one; `None`, said loudly, where none can be made.
    fn new(nth: usize) -> Option<Network> {
        let network = Network(format!("stream-{}-{nth}", std::process::id()));
        let done = ip(&["netns", "add", &network.0]);
        if !done.as_ref().is_ok_and(|done| done.status.success()) {
            let why = done.map_or_else(|e| e.to_string(), |done| String::from_utf8_lossy(&done.stderr).into_owned());
            eprintln!("NOT TESTED: gateways on networks of their own: `ip netns add` (iproute2, as root): {why}");
            assert!(std::env::var_os("CI").is_none(), "CI is set, so this has to be tested");
            return None;
        }
        network.ip(&["link", "set", "lo", "up"]);
        Some(network)
    }

    #[track_caller]
    fn ip(&self, words: &[&str]) {
        let done = ip(&[&["-n", &self.0], words].concat()).expect("it was there before");
        assert!(done.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// `command` there.
    fn inside(&self, command: &Command) -> Command {
        let mut outer = Command::new("ip");
        outer.args(["netns", "exec", &self.0]).arg(command.get_program()).args(command.get_args()).env_clear();
        outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.get_current_dir().map(|dir| outer.current_dir(dir));
        outer
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Whoever is there was started here: sessions of sshd, and what they run.
        let there = ip(&["netns", "pids", &self.0]).map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
        for pid in there.unwrap_or_default().lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = ip(&["netns", "del", &self.0]);
    }
}

fn ip(words: &[&str]) -> std::io::Result<std::process::Output> {
    Command::new("ip").args(words).stdin(Stdio::null()).output()
}

impl Networks {
    /// A gateway for each of `kinds`, with a line between each of these pairs, there and back. `None`, said loudly, where there
    /// can be no networks or no sshd.
    #[track_caller]
    pub fn new(kinds: &[By], lines: &[(usize, usize)]) -> Option<Networks> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let sshd = Path::new("/usr/sbin/sshd");
        if !sshd.exists() {
            eprintln!("NOT TESTED: gateways on networks of their own: OpenSSH's sshd is not installed");
            assert!(std::env::var_os("CI").is_none(), "CI is set, so this has to be tested");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        keys(dir.path());
        let mut sites: Vec<Site> = Vec::new();
        for (at, by) in kinds.iter().enumerate() {
            let network = Network::new(NEXT.fetch_add(1, Ordering::Relaxed))?;
            let name = char::from(b'a' + u8::try_from(at).expect("few")).to_string();
            let repo = begun(sites.first().map(|first| &first.repo));
            let mut site = Site { name, repo, nodes: Vec::new(), by: *by, network, sshd: None, server: None };
            site.settle(dir.path());
            sites.push(site);
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
        let mut all = Networks { uuid, sites, lines: lines.to_vec(), _dir: dir };
        for (line, (one, other)) in lines.iter().enumerate() {
            all.join(line, *one, *other);
        }
        // A gateway takes out of the record what it does not reach yet, so this is done there and back.
        let there = 0..all.sites.len();
        there.clone().for_each(|at| all.spread(at));
        for at in there.clone().rev().chain(there.clone()).chain(there.rev()) {
            stream(&all.sites[at].repo, &["updatecluster"]).ok();
            all.spread(at);
        }
        // git-annex's server reads what it serves when it starts.
        all.sites.iter_mut().for_each(|site| site.serve(sshd));
        Some(all)
    }

    /// A line, and what each knows of the other by it.
    fn join(&self, line: usize, one: usize, other: usize) {
        let (one, other) = (&self.sites[one], &self.sites[other]);
        let (to_other, to_one) = (format!("to-{}", other.name), format!("to-{}", one.name));
        let ends = ["link", "add", &to_other, "type", "veth", "peer", "name", &to_one, "netns", &other.network.0];
        one.network.ip(&ends);
        for (host, (site, interface)) in [(1, (one, &to_other)), (2, (other, &to_one))] {
            site.network.ip(&["addr", "add", &format!("10.83.{line}.{host}/24"), "dev", interface]);
            site.network.ip(&["link", "set", interface, "up"]);
        }
        for (from, to, host) in [(one, other, 2), (other, one, 1)] {
            let (address, dir) = (format!("10.83.{line}.{host}"), to.repo.dir());
            let set = |key: &str, value: &str| {
                from.repo.git(&["config", &format!("remote.{}.{key}", to.name), value]).ok();
            };
            from.repo.git(&["remote", "add", &to.name, &format!("ssh://root@{address}{}", dir.display())]).ok();
            set("annex-uuid", &to.repo.uuid());
            set("annex-cluster-gateway", &self.uuid);
            if let By::Http(_) = to.by {
                set("annexUrl", &format!("annex+http://{address}:{PORT}/git-annex/"));
            }
        }
    }

    /// Cuts the line between two, or mends it.
    pub fn cut(&self, from: usize, to: usize, cut: bool) {
        let far = format!("to-{}", self.sites[from].name);
        self.sites[to].network.ip(&["link", "set", &far, if cut { "down" } else { "up" }]);
    }

    /// Mends the line. git-annex's own p2phttp may lose the thread that served somebody who was cut off ("thread blocked
    /// indefinitely in an STM transaction"), and fails all uploads of that key from then on: it is started anew.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.cut(from, to, false);
        let site = &mut self.sites[to];
        if let (By::Http(Whose::Theirs), Some(mut server)) = (site.by, site.server.take()) {
            let _ = server.kill();
            let _ = server.wait();
            site.serve_http();
        }
    }

    /// Bytes that came to `to` from `from`.
    pub fn came(&self, from: usize, to: usize) -> u64 {
        let pid = self.sites[to].sshd.as_ref().expect("it runs").id();
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).expect("the kernel tells");
        let name = format!("to-{}:", self.sites[from].name);
        let line = table.lines().find_map(|line| line.trim().strip_prefix(&*name)).expect("there is a line");
        line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
    }

    /// The others hear by path what gateway `at` recorded.
    fn spread(&self, at: usize) {
        let from = &self.sites[at];
        from.repo.annex(&["merge", "--quiet"]).ok();
        for to in self.sites.iter().filter(|to| to.name != from.name) {
            let refs = format!("+refs/heads/git-annex:refs/remotes/{}/git-annex", from.name);
            to.repo.git(&["fetch", "--quiet", &from.repo.dir().display().to_string(), &refs]).ok();
            to.repo.annex(&["merge", "--quiet"]).ok();
        }
    }

    /// `git annex sync` over each line, until all know all.
    #[track_caller]
    pub fn sync(&self) {
        for (one, other) in &self.lines {
            let (one, other) = (&self.sites[*one], &self.sites[*other]);
            one.annex(&["sync", "--quiet", "--no-content", "--no-commit", &other.name]).ok();
            other.annex(&["merge", "--quiet"]).ok();
        }
    }

    /// The names of the nodes that show `key`, of which none may show anything but `body`.
    #[track_caller]
    pub fn places(&self, key: &str, body: &[u8]) -> Vec<&str> {
        let shows = |(name, _, repo): &&Node| {
            let objects = repo.dir().join(".git/annex/objects");
            let files = if objects.exists() { files_below(&objects) } else { BTreeMap::new() };
            let is_it = |name: &[u8]| name.rsplit(|byte| *byte == b'/').next() == Some(key.as_bytes());
            let shown = files.into_iter().find(|(name, _)| is_it(name));
            assert!(shown.as_ref().is_none_or(|(_, shown)| shown == body), "{name} shows a part of {key}");
            shown.is_some()
        };
        self.nodes().filter(shows).map(|(name, ..)| &**name).collect()
    }

    /// The names of the nodes that gateway `at` has recorded for `key`.
    #[track_caller]
    pub fn recorded(&self, at: usize, key: &str) -> Vec<&str> {
        let repo = &self.sites[at].repo;
        repo.annex(&["merge", "--quiet"]).ok();
        let recorded = repo.recorded();
        let has = |uuid: &str| recorded.get(&(key.to_string(), uuid.to_string())) == Some(&true);
        self.nodes().filter(|(_, uuid, _)| has(uuid)).map(|(name, ..)| &**name).collect()
    }

    /// `names` as their uuids stand in answers.
    pub fn falling(&self, names: &[&str]) -> String {
        let of = |name: &&str| self.nodes().find(|(node, ..)| node == name).map(|(_, uuid, _)| &**uuid);
        let mut uuids: Vec<&str> = names.iter().filter_map(of).collect();
        uuids.sort_unstable();
        uuids.reverse();
        uuids.join(" ")
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.sites.iter().flat_map(|site| &site.nodes)
    }

    /// A conversation with the cluster at gateway `at`, where these gateways are left out.
    #[track_caller]
    pub fn session(&self, at: usize, bypass: &[usize]) -> Session {
        let site = &self.sites[at];
        let dir = site.repo.dir();
        let command = match site.whose() {
            Whose::Theirs => {
                let mut command = site.repo.command(&peers().join("git-annex-shell"));
                let line = format!("git-annex-shell 'p2pstdio' '{}' '{CLIENT}' --uuid {}", dir.display(), self.uuid);
                command.args(["-c", &line]);
                command
            }
            Whose::Ours => {
                let mut command = site.repo.command(Path::new(env!("CARGO_BIN_EXE_git-annex-remote-stream")));
                command.args(["shell", "p2pstdio"]).arg(dir).args([CLIENT, "--uuid", &self.uuid]);
                command
            }
        };
        // Told where a test fails.
        let mut session = Session::warning(site.network.inside(&command), Stdio::inherit());
        assert!(session.try_greet(), "it is served");
        if !bypass.is_empty() {
            let uuids: Vec<String> = bypass.iter().map(|at| self.sites[*at].repo.uuid()).collect();
            session.send(format!("BYPASS {}\n", uuids.join(" ")).as_bytes());
        }
        session
    }

    /// What is answered to one line, if anything, in a conversation that has recorded what was done once this returns.
    #[track_caller]
    pub fn ask(&self, at: usize, line: &str) -> String {
        let mut session = self.session(at, &[]);
        session.send(format!("{line}\n").as_bytes());
        let answer = session.line().unwrap_or_default();
        session.close();
        session.ended();
        answer
    }

    /// Puts `body`, and returns the last answer, if there is one.
    #[track_caller]
    pub fn put(&self, at: usize, bypass: &[usize], key: &str, body: &[u8]) -> String {
        let mut session = self.session(at, bypass);
        session.send(format!("PUT  {key}\n").as_bytes());
        let mut answer = session.line().unwrap_or_default();
        if let Some(from) = answer.strip_prefix("PUT-FROM ") {
            let rest = &body[from.parse::<usize>().expect("an offset")..];
            session.send(&[format!("DATA {}\n", rest.len()).as_bytes(), rest, b"VALID\n"].concat());
            answer = session.line().unwrap_or_default();
        }
        session.close();
        session.ended();
        answer
    }

    /// What comes of a GET, if it is the content.
    #[track_caller]
    pub fn get(&self, at: usize, key: &str) -> Option<Vec<u8>> {
        let mut session = self.session(at, &[]);
        session.send(format!("GET 0  {key}\n").as_bytes());
        let len = session.line()?.strip_prefix("DATA ")?.parse().expect("a length");
        let content = session.bytes(len);
        let is_content = content.len() == len && session.line().as_deref() == Some("VALID");
        session.send(b"SUCCESS\n");
        session.close();
        session.ended();
        is_content.then_some(content)
    }
}

impl Site {
    /// Whose gateway it is.
    pub fn whose(&self) -> Whose {
        let (By::Ssh(whose) | By::Http(whose)) = self.by;
        whose
    }

    /// `git annex WORDS` there, on its network.
    #[track_caller]
    pub fn annex(&self, words: &[&str]) -> Done {
        run(&mut self.network.inside(&self.repo.annex_command(words)), LIMIT)
    }

    /// Its nodes, and programs of its own: the ssh that knows the others, and the shell that serves.
    fn settle(&mut self, dir: &Path) {
        let (name, repo) = (&self.name, &mut self.repo);
        for nth in 0..2 {
            let (node, far) = (format!("{name}{nth}"), Repo::new());
            repo.git(&["remote", "add", &node, &far.dir().display().to_string()]).ok();
            repo.git(&["config", &format!("remote.{node}.annex-uuid"), &far.uuid()]).ok();
            repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
            self.nodes.push((node, far.uuid(), far));
        }
        repo.git(&["config", "annex.security.allowed-ip-addresses", "all"]).ok();
        // A connection that git-annex keeps would outlive the test.
        repo.git(&["config", "annex.sshcaching", "false"]).ok();
        let bin = dir.join(format!("bin-{name}"));
        std::fs::create_dir(&bin).expect("a directory");
        let config = dir.join("ssh_config");
        write_program(&bin.join("ssh"), &format!("#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n", config.display()));
        if self.by == By::Ssh(Whose::Ours) || self.by == By::Http(Whose::Ours) {
            let product = env!("CARGO_BIN_EXE_git-annex-remote-stream");
            std::os::unix::fs::symlink(product, bin.join("git-annex-shell")).expect("a link");
        }
        let path = format!("{}:{}:{}", bin.display(), peers().display(), repo.get("PATH"));
        repo.set("PATH", path);
        repo.set("STREAM_TIMEOUT", TIMEOUT);
        let mut enter = String::from("#!/bin/sh\n");
        let author = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let words = ["PATH", "HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "LC_ALL", "STREAM_TIMEOUT"];
        for word in words.into_iter().chain(author) {
            enter += &format!("export {word}='{}'\n", repo.get(word));
        }
        write_program(&dir.join(format!("enter-{name}")), &(enter + "exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n"));
        let at = |file: &str| dir.join(file).display().to_string();
        let config = [
            format!("HostKey {}", at("host")),
            format!("AuthorizedKeysFile {}", at("key.pub")),
            format!("ForceCommand {}", at(&format!("enter-{name}"))),
            "PidFile none\nStrictModes no\nUsePAM no\nUseDNS no\nPermitTTY no".into(),
            "AuthenticationMethods publickey\nPermitRootLogin yes\nMaxStartups 100".into(),
            // Whoever is cut off is noticed, as on a server that is set up with care.
            "ClientAliveInterval 2\nClientAliveCountMax 2".into(),
        ];
        std::fs::write(dir.join(format!("sshd_config-{name}")), config.join("\n") + "\n").expect("written");
        repo.set("SSHD_CONFIG", at(&format!("sshd_config-{name}")));
    }

    /// Has its servers run.
    fn serve(&mut self, sshd: &Path) {
        std::fs::create_dir_all("/run/sshd").expect("as root");
        let config = self.repo.get("SSHD_CONFIG");
        let mut command = self.repo.command(sshd);
        command.args(["-D", "-e", "-f", &config]);
        self.sshd = Some(self.start(&command, 22));
        self.serve_http();
    }

    /// Has its p2phttp run, where there is one.
    fn serve_http(&mut self) {
        let mut command = match self.by {
            By::Ssh(_) => return,
            By::Http(Whose::Ours) => self.repo.command(Path::new(env!("CARGO_BIN_EXE_git-annex-remote-stream"))),
            By::Http(Whose::Theirs) => self.repo.command(&peers().join("git-annex")),
        };
        command.args(["p2phttp", "--bind", "0.0.0.0", "--port", &PORT.to_string(), "--wideopen"]);
        if self.whose() == Whose::Ours {
            command.args(["--quiet", "--timeout", TIMEOUT]);
        } else {
            command.arg("-J4");
        }
        self.server = Some(self.start(&command, PORT));
    }

    /// Starts a server there, and waits until it listens.
    #[track_caller]
    fn start(&self, command: &Command, port: u16) -> Child {
        let mut command = self.network.inside(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let table = PathBuf::from(format!("/proc/{}/net/tcp", child.id()));
        // `ip` has become it by then: the table is that of its network.
        let listens = format!("00000000:{port:04X} 00000000:0000 0A");
        eventually("it listens", || {
            assert!(child.try_wait().expect("our child").is_none(), "{command:?} ended");
            std::fs::read_to_string(&table).is_ok_and(|table| table.contains(&listens))
        });
        child
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in self.sshd.iter_mut().chain(&mut self.server) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Keys of the servers and of the clients, and what both say of them.
fn keys(dir: &Path) {
    let at = |file: &str| dir.join(file).display().to_string();
    for name in ["host", "key"] {
        let mut command = Command::new("ssh-keygen");
        run(command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", &at(name)]), LIMIT).ok();
    }
    let host = std::fs::read_to_string(dir.join("host.pub")).expect("it was made");
    std::fs::write(dir.join("known_hosts"), format!("stream-test {host}")).expect("written");
    let config = [
        "Host *".to_string(),
        "HostKeyAlias stream-test\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes".into(),
        format!("IdentityFile {}", at("key")),
        format!("GlobalKnownHostsFile /dev/null\nUserKnownHostsFile {}", at("known_hosts")),
        "ServerAliveInterval 2\nServerAliveCountMax 2\nConnectTimeout 5".into(),
    ];
    std::fs::write(dir.join("ssh_config"), config.join("\n") + "\n").expect("written");
}
