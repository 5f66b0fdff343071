//! Two repositories, three servers, two stores, and how they are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use git_annex_remote_stream::annex::export::db::ExportDb;
use git_annex_remote_stream::name::Uuid;
use rustix::process::Signal;

use super::operations::{Ask, Cut, CutAt, Gate, Node, Server, Via, What};
use testbed::annex::{Repo, content};
use testbed::faulty::{At, Faulty, How};
use testbed::gateway::Gateway;
use testbed::hook;
use testbed::neighbour::Neighbour;
use testbed::p2p::Session;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{NAME, stream};
use testbed::trees::{Contents, Tree, import};
use testbed::watch::{Watch, aim};
use testbed::way::{Outcome, Way, by_line};
use testbed::wire::key_of;

/// Seconds for which a store may be silent.
const TIMEOUT: &str = "10";

/// The other remote.
const KEYED: &str = "keyed";

/// The last keys are large: on S3 they are stored in parts.
pub const LARGE: usize = 3;
const LARGE_LEN: usize = (5 << 20) + (1 << 19);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Fs,
    Weed,
    RcloneS3,
    Webdav,
    /// WebDAV that does not tell names apart by case.
    Folding,
}

impl Kind {
    fn place(self) -> Place {
        match self {
            Kind::Fs => Place::fs(),
            Kind::Weed => Place::weed(),
            Kind::RcloneS3 => Place::rclone_s3(),
            Kind::Webdav => Place::webdav(),
            Kind::Folding => Place::folding(),
        }
    }
}

pub struct World {
    pub first: Repo,
    pub second: Neighbour,
    /// Past the servers: of keys, and of a tree.
    pub keyed: Place,
    pub tree_place: Place,
    /// The tree that was pushed last, and the one before.
    pub tree: Tree,
    pub before: Tree,
    faulty: Option<Faulty>,
    watch: Mutex<Watch>,
    gates: BTreeMap<Gate, Gateway>,
    uuids: BTreeMap<Node, String>,
    /// For so many operations the stores stay away.
    away: Option<usize>,
}

/// All keys.
pub fn keys() -> Vec<(String, Vec<u8>)> {
    let mut contents = Contents::default();
    let mut names: Vec<String> = (0..9).map(|seed| contents.digest(seed)).collect();
    names.extend((100..102).map(|seed| contents.without_length(seed)));
    names.extend((200..204).map(|seed| contents.unverifiable(seed)));
    let mut keys: Vec<_> = names.into_iter().map(|name| (name.clone(), contents.0[&name].clone())).collect();
    keys.extend([key_of(b""), "WORM-s0-m1--empty".to_string()].map(|name| (name, Vec::new())));
    let large = [300, 301, 302].map(|seed| content(seed, LARGE_LEN));
    let worm = format!("WORM-s{LARGE_LEN}-m1--large");
    let [one, two, three] = large;
    keys.extend([(key_of(&one), one), (key_of(&two), two), (worm, three)]);
    keys
}

impl World {
    pub fn new(kind: Kind) -> World {
        let (keyed, tree_place) = (kind.place(), kind.place());
        let faulty = (kind != Kind::Fs).then(|| Faulty::start(tree_place.port()));
        let seen = |place: &Place| faulty.as_ref().map(|faulty| place.through(faulty.port));
        let first = Repo::bare();
        let parts: &[&str] = if kind == Kind::Weed { &["partsize=5MiB"] } else { &[] };
        let whole: &[&str] = &["exporttree=yes", "annexobjects=yes"];
        let whose = if kind == Kind::Fs { Whose::Theirs } else { Whose::Ours };
        let set_up = |name: &str, place: &Place, whose, more: &[&str]| {
            first.initremote(name, seen(place).as_ref().unwrap_or(place), whose, more).ok();
            first.git(&["config", &format!("remote.{name}.annex-proxy"), "true"]).ok();
        };
        set_up(NAME, &tree_place, whose, &[whole, parts].concat());
        set_up(KEYED, &keyed, Whose::Ours, parts);
        first.git(&["config", &format!("remote.{NAME}.annex-tracking-branch"), "main"]).ok();
        stream(&first, &["updateproxy"]).ok();
        let second = Neighbour::of(&first, &[(NAME, &tree_place), (KEYED, &keyed)]);
        let of_remote =
            |name: &str| first.git(&["config", &format!("remote.{name}.annex-uuid")]).ok().stdout.trim().to_string();
        let uuids = [
            (Node::Own(Server::First), first.uuid()),
            (Node::Own(Server::Second), second.0.uuid()),
            (Node::Keyed, of_remote(KEYED)),
            (Node::Tree, of_remote(NAME)),
        ];
        let mut roots = vec![first.dir().join("annex"), second.0.dir().join(".git/annex")];
        if kind == Kind::Fs {
            roots.extend([keyed.path(), tree_place.path()]);
        }
        let watch = Mutex::new(Watch::below(&roots));
        World {
            first,
            second,
            keyed,
            tree_place,
            tree: Tree::new(),
            before: Tree::new(),
            faulty,
            watch,
            gates: BTreeMap::new(),
            uuids: uuids.into(),
            away: None,
        }
    }

    pub fn repo(&self, server: Server) -> &Repo {
        match server {
            Server::First => &self.first,
            Server::Second => &self.second.0,
        }
    }

    pub fn uuid(&self, node: Node) -> &str {
        &self.uuids[&node]
    }

    /// What the servers that run have said.
    pub fn said(&self) -> String {
        self.gates.iter().map(|(gate, gateway)| format!("\n{gate:?}:\n{}", gateway.log())).collect()
    }

    /// What either server has noted of the tree, and its records of exports.
    pub fn noted(&self) -> String {
        let of = |server: Server| {
            let git = self.repo(server).git(&["rev-parse", "--absolute-git-dir"]).ok().stdout;
            let remote = Uuid::parse(self.uuid(Node::Tree).as_bytes()).expect("a uuid");
            let db = ExportDb::existing(&Path::new(git.trim()).join("annex"), &remote);
            let mut told = format!("\n{server:?}:");
            if let Ok(Some(db)) = db {
                told += &format!("\n  the database is of {:?}", db.tree());
                let _ = db.all(|name, key| told += &format!("\n  {} holds {key}", name.escape_ascii()));
                let _ = db.tree_files(|name, key| told += &format!("\n  in the tree: {} {key}", name.escape_ascii()));
            }
            let log = self.repo(server).git(&["cat-file", "-p", "git-annex:export.log"]).stdout;
            let marks = std::fs::read_dir(Path::new(git.trim()).join("annex/stream/export"));
            for file in marks.into_iter().flatten().flatten().map(|file| file.path()) {
                let text = std::fs::read(&file).unwrap_or_default();
                if text.len() < 200 {
                    told += &format!("\n  {}: {}", file.display(), text.escape_ascii());
                }
            }
            told + "\n" + &log
        };
        [Server::First, Server::Second].map(of).concat()
    }

    /// What lies on a store.
    pub fn files(&self, node: Node) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.place(node).files()
    }

    pub fn place(&self, node: Node) -> &Place {
        if node == Node::Keyed { &self.keyed } else { &self.tree_place }
    }

    /// Starts what was killed.
    pub fn start(&mut self, gate: Gate) -> &Gateway {
        let repo = if gate.server() == Server::First { &self.first } else { &self.second.0 };
        self.gates.entry(gate).or_insert_with(|| {
            let flags = ["--wideopen", "--quiet", "--timeout", TIMEOUT];
            let contained = if gate == Gate::Other { None } else { Gateway::contained(repo, &flags) };
            contained.unwrap_or_else(|| {
                if gate == Gate::One {
                    eprintln!("NOT TESTED: containers, since no namespace of processes can be made here");
                }
                Gateway::serve(repo, &flags)
            })
        })
    }

    pub fn started(&mut self, asks: &[Ask]) {
        for ask in asks {
            if let Via::Http(gate) = ask.via {
                self.start(gate);
            }
        }
    }

    /// The server that was started.
    pub fn gate(&self, gate: Gate) -> &Gateway {
        &self.gates[&gate]
    }

    /// As by a power cut.
    pub fn kill(&mut self, gate: Gate) {
        if let Some(gateway) = self.gates.remove(&gate) {
            gateway.kill();
            self.settled();
        }
    }

    /// What the dead had sent is dealt with.
    pub fn settled(&self) {
        if let Some(faulty) = &self.faulty {
            faulty.settled();
        }
    }

    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// The stores go away.
    pub fn leave(&mut self, nth: usize, operations: usize) {
        self.come_back();
        self.away = Some(operations);
        match &self.faulty {
            Some(faulty) => faulty.strike(nth + 1, At::Sent, How::Die),
            None => [&self.keyed, &self.tree_place].into_iter().for_each(|place| {
                std::fs::rename(place.path(), elsewhere(&place.path())).expect("it is a directory");
            }),
        }
    }

    /// They are there again. What somebody stored in their absence is below where they are now.
    pub fn come_back(&mut self) {
        if self.away.take().is_none() {
            return;
        }
        match &self.faulty {
            Some(faulty) => faulty.heal(),
            None => [&self.keyed, &self.tree_place].into_iter().for_each(|place| {
                let _ = std::fs::remove_dir_all(place.path());
                std::fs::rename(elsewhere(&place.path()), place.path()).expect("it was there before");
            }),
        }
    }

    /// An operation is over.
    pub fn passes(&mut self) {
        match &mut self.away {
            Some(0) => self.come_back(),
            Some(left) => *left -= 1,
            None => {}
        }
    }

    /// Does something while `pid` is to be killed, at what happens to a store or, where nothing of one is asked, on the disk.
    pub fn cut<T>(&self, cut: Cut, pid: u32, on_disk: bool, does: impl FnOnce() -> T) -> T {
        match &self.faulty {
            Some(faulty) if !on_disk => {
                let at = match cut.at {
                    CutAt::Sending(bytes) => At::Sending(bytes),
                    CutAt::Sent => At::Sent,
                    CutAt::Done => At::Done,
                };
                if !self.is_away() {
                    faulty.strike(cut.nth, at, How::Kill(pid));
                }
                does()
            }
            _ => {
                let mut watch = self.watch.lock().expect("no holder panics");
                let watch = &mut *watch;
                watch.forget();
                let Some(process) = aim(pid) else { return does() };
                std::thread::scope(|scope| {
                    scope.spawn(|| watch.kill_when(&process, cut.nth));
                    let done = does();
                    // It may have ended by itself, or by now.
                    let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
                    done
                })
            }
        }
    }

    /// After all that was to be killed is dead.
    pub fn heal(&self) {
        self.settled();
        if let (Some(faulty), false) = (&self.faulty, self.is_away()) {
            faulty.heal();
        }
    }

    /// What a client hears.
    pub fn ask(&self, ask: &Ask, key: &(String, Vec<u8>), cut: Option<Cut>) -> Outcome {
        let uuid = self.uuid(ask.node);
        let on_disk = matches!(ask.node, Node::Own(_));
        match (ask.via, cut) {
            (Via::Http(gate), None) => by_http(Way::Http(self.gate(gate)), ask.what, uuid, key),
            (Via::Http(gate), Some(cut)) => {
                let gateway = self.gate(gate);
                self.cut(cut, gateway.pid(), on_disk, || by_http(Way::Http(gateway), ask.what, uuid, key))
            }
            (Via::Stdio(server), cut) => {
                let repo = self.repo(server);
                let mut command = repo.command(product());
                command.env("STREAM_TIMEOUT", TIMEOUT);
                let mut session = Session::start(command, &repo.dir(), uuid);
                match cut {
                    None => by_stdio(&mut session, ask.what, key),
                    Some(cut) => {
                        let outcome = self.cut(cut, session.pid(), on_disk, || by_stdio(&mut session, ask.what, key));
                        session.kill();
                        outcome
                    }
                }
            }
        }
    }

    /// `post-receive`; whether it succeeded, and what it said.
    pub fn hook(&self, server: Server, told: bool, cut: Option<Cut>) -> (bool, String) {
        let mut child = hook::start(self.repo(server), TIMEOUT);
        let pid = child.id();
        let to_its_end = || {
            if told {
                hook::tell(&mut child);
            }
            hook::end(child)
        };
        let (status, said) = match cut {
            None => to_its_end(),
            Some(cut) => self.cut(cut, pid, false, to_its_end),
        };
        (status.success(), said)
    }

    /// A tree is the branch of a server.
    pub fn push(&mut self, server: Server, tree: Tree) {
        import(self.repo(server), &[("refs/heads/main", tree.clone())]);
        self.before = std::mem::replace(&mut self.tree, tree);
    }

    /// The servers hear of each other, and of what was pushed last.
    pub fn learn(&self) {
        self.second.learn(&self.first);
        for server in [Server::First, Server::Second] {
            import(self.repo(server), &[("refs/heads/main", self.tree.clone())]);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gates.clear();
        if !std::thread::panicking() {
            self.come_back();
        }
    }
}

fn elsewhere(place: &Path) -> PathBuf {
    place.with_extension("away")
}

fn by_http(way: Way<'_>, what: What, uuid: &str, (key, body): &(String, Vec<u8>)) -> Outcome {
    match what {
        What::Put => way.put(uuid, key, body),
        What::Get => way.get(uuid, key),
        What::Check => way.check(uuid, key),
        What::Remove => way.remove(uuid, key),
        What::RemoveBefore { is_past } => match way.timestamp(uuid) {
            Some(now) => way.remove_before(uuid, key, limit(now, is_past)),
            None => Outcome::Failed("no time is told".into()),
        },
    }
}

fn by_stdio(session: &mut Session, what: What, (key, body): &(String, Vec<u8>)) -> Outcome {
    if !session.try_greet() {
        return Outcome::Failed("no greeting".into());
    }
    match what {
        What::Put => by_line::put(session, key, body),
        What::Get => by_line::get(session, key),
        What::Check => by_line::check(session, key),
        What::Remove => by_line::remove(session, key),
        What::RemoveBefore { is_past } => match by_line::timestamp(session) {
            Some(now) => by_line::remove_before(session, key, limit(now, is_past)),
            None => Outcome::Failed("no time is told".into()),
        },
    }
}

fn limit(now: u64, is_past: bool) -> u64 {
    if is_past { now.saturating_sub(1) } else { now + 600 }
}
