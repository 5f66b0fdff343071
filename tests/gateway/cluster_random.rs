//! Random commands of three real git-annex clients of a cluster, while its disks come and go and its gateway is killed: content
//! never has fewer copies than it shall, once it had them, and what is recorded of the nodes is so.
//!
//! A failure names its seed. `STREAM_TEST_SEED` begins there, `STREAM_TEST_OPERATIONS` says how many commands there are,
//! `STREAM_TEST_WORLDS` clusters are used side by side, and `STREAM_TEST_TELL` tells of each command. `make clusters` does 10,000.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testbed::annex::{Repo, content};
use testbed::cluster::{Cluster, SEEN};
use testbed::draw::Draw;
use testbed::gateway::{Gateway, SOON, within};
use testbed::place::{Place, Whose};
use testbed::proxy::Behind;
use testbed::ssh::Ssh;

/// Commands in one cluster, which is then looked at closely, and left.
const ROUND: usize = 100;

/// Commands where nobody says how many.
const SHORT: usize = 40;

/// Copies that each content shall have.
const NUMCOPIES: usize = 2;

/// Files that there are from the beginning.
const FILES: usize = 8;

/// What is done next.
#[derive(Debug, Clone)]
enum Step {
    /// One client alone.
    Command(Command),
    /// Two clients at one time, with different files.
    Together(Command, Command),
    /// Two clients at one time, who drop the same: git-annex promises no more than mincopies then.
    Race(Command, Command),
    /// A command at which the gateway is killed.
    Killed(Command),
    /// A disk is unmounted, or mounted again.
    Unplug(usize),
    /// All clients learn what the others know.
    Sync,
}

#[derive(Debug, Clone)]
struct Command {
    client: usize,
    words: Vec<String>,
    files: Vec<usize>,
}

fn command(draw: &mut Draw, files: Vec<usize>, drops: bool) -> Command {
    let node = |draw: &mut Draw| format!("origin-m{}", draw.below(3));
    let to = |words: &[&str], remote: &str| words.iter().map(|word| word.to_string()).chain([remote.into()]).collect();
    let one = |word: &str| vec![word.to_string()];
    let client = draw.below(3);
    let kind = if drops { 10 + draw.below(5) } else { draw.below(15) };
    let words: Vec<String> = match kind {
        0..=2 => to(&["copy", "--to"], SEEN),
        3 => to(&["move", "--to"], SEEN),
        4 => to(&["move", "--from"], SEEN),
        5 | 6 => one("get"),
        7 => to(&["copy", "--to"], &node(draw)),
        8 => to(&["copy", "--from"], SEEN),
        9 => to(&["copy", "--to"], "origin"),
        10 | 11 => one("drop"),
        12 => to(&["drop", "--from"], SEEN),
        13 => to(&["drop", "--from"], &node(draw)),
        _ => to(&["drop", "--from"], "origin"),
    };
    Command { client, words, files }
}

fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut draw = Draw::of(seed);
    let mut away = None;
    let mut steps = Vec::new();
    while steps.len() < count {
        let mut files: Vec<usize> = (0..FILES).collect();
        (1..FILES).for_each(|at| files.swap(at, draw.below(at + 1)));
        let some = 1 + draw.below(3);
        let (these, those) = (files[..some].to_vec(), files[some..some * 2].to_vec());
        let step = match draw.below(20) {
            0 => Step::Sync,
            1 => match away.take() {
                Some(nth) => Step::Unplug(nth),
                None => Step::Unplug(*away.insert(draw.below(2))),
            },
            2 => Step::Killed(command(&mut draw, these, false)),
            3 => Step::Race(command(&mut draw, these.clone(), true), command(&mut draw, these, true)),
            4..=7 => Step::Together(command(&mut draw, these, false), command(&mut draw, those, false)),
            _ => Step::Command(command(&mut draw, these, false)),
        };
        steps.push(step);
    }
    steps.extend(away.map(Step::Unplug));
    steps
}

/// A cluster of two directories and a repository, with a gateway, and clients over HTTP, over stdio and over HTTP.
struct World {
    cluster: Cluster,
    server: Option<Gateway>,
    clients: [Repo; 3],
    _ssh: Ssh,
    keys: Vec<String>,
    away: BTreeSet<usize>,
    /// Keys of commands at which the gateway was killed, since the last of which something is known for sure.
    doubted: BTreeSet<usize>,
    /// The most copies that nobody may go below.
    reached: Vec<usize>,
}

impl World {
    fn new(seed: u64) -> World {
        let special = |whose| Behind::Special(Place::fs(), whose);
        let cluster = Cluster::new(vec![special(Whose::Theirs), special(Whose::Ours), Behind::Path(Repo::new())]);
        cluster.repo.annex(&["numcopies", &NUMCOPIES.to_string(), "--quiet"]).ok();
        let server = serve(&cluster, "0");
        let ssh = Ssh::new();
        let mut clients = [cluster.client(&server), cluster.client_by(&ssh), cluster.client(&server)];
        // A killed gateway comes back at once, at the same address.
        clients.iter_mut().for_each(|client| drop(client.git(&["config", "annex.retry", "1"]).ok()));
        let name = |nth: usize| format!("file {nth}");
        for nth in 0..FILES {
            let body = content(seed * 100 + nth as u64, 1000 + nth * nth * 40_000);
            std::fs::write(clients[nth % 3].dir().join(name(nth)), body).expect("a file");
        }
        for client in &clients {
            client.annex(&["add", "--quiet"]).ok();
            client.annex(&["sync", "--quiet", "--no-content"]);
        }
        clients.iter().for_each(|client| drop(client.annex(&["sync", "--quiet", "--no-content"])));
        let key = |nth: usize| clients[0].annex(&["lookupkey", &name(nth)]).ok().stdout.trim().to_string();
        let keys: Vec<String> = (0..FILES).map(key).collect();
        let reached = vec![1; FILES];
        World {
            cluster,
            server: Some(server),
            clients,
            _ssh: ssh,
            keys,
            away: BTreeSet::new(),
            doubted: BTreeSet::new(),
            reached,
        }
    }

    fn run(&self, command: &Command) -> bool {
        let files: Vec<String> = command.files.iter().map(|nth| format!("file {nth}")).collect();
        let words = command.words.iter().chain(&files).map(String::as_str);
        self.clients[command.client].annex(&words.collect::<Vec<_>>()).status.success()
    }

    fn run_both(&self, one: &Command, other: &Command) -> [bool; 2] {
        std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(|| self.run(one)), scope.spawn(|| self.run(other)));
            [one, other].map(|thread| thread.join().expect("it ends in time"))
        })
    }

    fn step(&mut self, step: &Step) -> String {
        match step {
            Step::Command(one) => format!("{}", self.run(one)),
            Step::Together(one, other) | Step::Race(one, other) => format!("{:?}", self.run_both(one, other)),
            Step::Killed(one) => {
                let port = self.server.as_ref().expect("it is served").port().to_string();
                let server = self.server.take();
                let told = std::thread::scope(|scope| {
                    let world = &*self;
                    let told = scope.spawn(move || world.run(one));
                    if let Some(server) = server {
                        // Some are killed in the middle of it, and some before.
                        within(Duration::from_millis(one.files[0] as u64 * 100), || server.metric("connections") > 0);
                        server.kill();
                    }
                    told.join().expect("it ends in time")
                });
                self.server = Some(serve(&self.cluster, &port));
                self.doubted.extend(&one.files);
                format!("{told}")
            }
            Step::Unplug(nth) => {
                let is_away = self.away.contains(nth);
                self.cluster.unplug(*nth, !is_away);
                if is_away {
                    self.away.remove(nth)
                } else {
                    self.away.insert(*nth)
                };
                String::new()
            }
            Step::Sync => {
                self.clients.iter().for_each(|client| drop(client.annex(&["sync", "--quiet", "--no-content"])));
                String::new()
            }
        }
    }

    /// Where the content of each file is: nodes, then the gateway, then clients.
    fn copies(&self) -> Vec<BTreeSet<usize>> {
        let mut all = vec![BTreeSet::new(); FILES];
        let node = |nth: usize| match self.away.contains(&nth) {
            true => self.cluster.dir(nth).with_extension("away"),
            false => self.cluster.dir(nth),
        };
        let repos = [&self.cluster.repo].into_iter().chain(&self.clients).map(Repo::dir);
        for (place, dir) in (0..3).map(node).chain(repos).enumerate() {
            let mut there = BTreeMap::new();
            let objects = dir.join(".git/annex/objects");
            files_below(if objects.exists() { &objects } else { &dir }, &mut there);
            for (nth, key) in self.keys.iter().enumerate() {
                if there.contains_key(key) {
                    all[nth].insert(place);
                }
            }
        }
        all
    }

    /// Fails where something has fewer copies than it had, or shall have.
    fn count(&mut self, step: &Step) -> Result<(), String> {
        for (nth, copies) in self.copies().into_iter().enumerate() {
            let is_raced = matches!(step, Step::Race(one, _) if one.files.contains(&nth));
            let least = if is_raced { 1 } else { self.reached[nth].min(NUMCOPIES) };
            if copies.len() < least {
                return Err(format!(
                    "file {nth} has {} copies and had {}: {copies:?}",
                    copies.len(),
                    self.reached[nth]
                ));
            }
            self.reached[nth] = copies.len();
        }
        Ok(())
    }

    /// Fails where the gateway's record of its nodes is not what they have, or real git-annex finds something to mend.
    fn agree(&mut self) -> Result<(), String> {
        for nth in std::mem::take(&mut self.away) {
            self.cluster.unplug(nth, false);
        }
        // What a killed gateway had done and not recorded is set right when a node is asked.
        for (nth, node) in self.doubted.iter().flat_map(|nth| (0..3).map(move |node| (*nth, node))) {
            self.cluster.repo.annex(&[
                "fsck",
                "--fast",
                "--quiet",
                "--from",
                &format!("m{node}"),
                "--key",
                &self.keys[nth],
            ]);
        }
        let copies = self.copies();
        let mut wrong = Vec::new();
        let is_recorded = within(SOON, || {
            let recorded = self.cluster.repo.recorded();
            wrong.clear();
            for (nth, key) in self.keys.iter().enumerate() {
                for (node, uuid) in self.cluster.uuids.iter().enumerate() {
                    let is_told = recorded.get(&(key.clone(), uuid.clone())).copied().unwrap_or_default();
                    if is_told != copies[nth].contains(&node) {
                        wrong.push(format!("file {nth} on m{node}: recorded {is_told}"));
                    }
                }
            }
            wrong.is_empty()
        });
        if !is_recorded {
            return Err(wrong.join(", "));
        }
        for node in 0..3 {
            let told = self.cluster.repo.annex(&["fsck", "--from", &format!("m{node}"), "--all"]);
            let said = told.all();
            if said.contains("fixing location log") || said.contains("Bad") || said.contains("bad content") {
                return Err(format!("m{node}: {said}"));
            }
        }
        let said = self.server.as_ref().map(Gateway::log).unwrap_or_default();
        if said.contains("panicked") { Err(said) } else { Ok(()) }
    }
}

fn serve(cluster: &Cluster, port: &str) -> Gateway {
    let flags = ["--bind", "127.0.0.1", "--port", port, "--wideopen", "--quiet", "--timeout", "20"];
    Gateway::start(Gateway::command(&cluster.repo).args(flags))
}

fn files_below(dir: &Path, into: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.metadata() {
            Ok(told) if told.is_dir() && name != "tmp" => files_below(&entry.path(), into),
            Ok(told) if told.is_file() => drop(into.insert(name, told.len())),
            _ => {}
        }
    }
}

fn round(seed: u64, count: usize) -> Result<(), String> {
    let tells = std::env::var_os("STREAM_TEST_TELL").is_some();
    let mut world = World::new(seed);
    let because = |nth: usize, step: &Step, why: String| format!("seed {seed} after {nth}, {step:?}: {why}");
    for (nth, step) in steps(seed, count).iter().enumerate() {
        let told = world.step(step);
        if tells {
            eprintln!("{nth} {step:?}: {told}");
        }
        world.count(step).map_err(|why| because(nth, step, why))?;
    }
    world.agree().map_err(|why| because(count, &Step::Sync, why))?;
    world.server.take().expect("it is served").stop();
    Ok(())
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

#[test]
fn three_clients_never_have_fewer_copies_than_they_shall() {
    let first = number("STREAM_TEST_SEED").unwrap_or(1);
    let count = number("STREAM_TEST_OPERATIONS").unwrap_or(SHORT);
    let (next, rounds, failed) = (AtomicUsize::new(0), count.div_ceil(ROUND), Mutex::new(Vec::new()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..number("STREAM_TEST_WORLDS").unwrap_or(1) {
            scope.spawn(|| {
                while let Some(nth) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|nth| *nth < rounds) {
                    if let Err(why) = round((first + nth) as u64, ROUND.min(count - nth * ROUND)) {
                        eprintln!("{why}");
                        failed.lock().expect("no holder panics").push(why);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no holder panics");
    eprintln!("{count} commands in {:?}; {} of {rounds} rounds failed", begun.elapsed(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
