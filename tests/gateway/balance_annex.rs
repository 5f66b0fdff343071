//! `balance` in a cluster of real repositories and stores, while clients upload, and with git-annex looking at what it did.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use testbed::annex::{Repo, content};
use testbed::cluster::Cluster;
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::Behind;
use testbed::run::{Done, run};
use testbed::way::{Outcome, Way};
use testbed::wire::key_of;

const LIMIT: Duration = Duration::from_secs(300);

/// Whether a key is on a repository, by both.
type Records = BTreeMap<(String, String), bool>;

fn directory() -> Behind {
    Behind::Special(Place::fs(), Whose::Theirs)
}

fn command(repo: &Repo, words: &[&str]) -> Command {
    let mut command = repo.command(product());
    command.args(["balance", "myc"]).args(words);
    command
}

fn balance(cluster: &Cluster, words: &[&str]) -> Done {
    run(&mut command(&cluster.repo, words), LIMIT)
}

/// Lines of JSON, the last of which are the totals.
fn lines(done: &Done) -> Vec<Value> {
    done.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Contents and bytes to each node and from it.
fn traffic(lines: &[Value]) -> BTreeMap<String, [u64; 4]> {
    let total = lines.last().expect("the totals");
    assert_eq!(total["command"], "total");
    let nodes = total["nodes"].as_array().expect("nodes");
    let of = |node: &Value| {
        let count = |name: &str| node[name].as_u64().expect("a number");
        let counts = ["files-in", "bytes-in", "files-out", "bytes-out"].map(count);
        (node["name"].as_str().expect("a name").to_string(), counts)
    };
    nodes.iter().map(of).collect()
}

/// The same as `sim whatif` has it: as it is, or with these commands.
#[track_caller]
fn foreseen(cluster: &Cluster, commands: &[&str]) -> BTreeMap<String, [u64; 4]> {
    let mut whatif = cluster.repo.command(product());
    whatif.args(["sim", "whatif", "--cluster", "myc", "--json"]);
    let title = if commands.is_empty() { "as-it-is" } else { "with-the-change" };
    whatif.args(if commands.is_empty() { &["--as-it-is"] } else { commands });
    let done = run(&mut whatif, LIMIT).ok();
    let plan: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let of = |node: &Value| {
        let count = |name: &str| node[name].as_u64().expect("a number");
        let counts = ["files_in", "bytes_in", "files_out", "bytes_out"].map(count);
        (node["name"].as_str().expect("a name").to_string(), counts)
    };
    let nodes = plan[title]["repositories"].as_array().expect("repositories");
    nodes.iter().map(of).filter(|(name, _)| name.starts_with('m')).collect()
}

/// What moves, each thing once, sorted.
fn moves(lines: &[Value]) -> Vec<String> {
    let is_move = |line: &&Value| line["command"] == "copy" || line["command"] == "drop";
    let told = |line: &Value| {
        let nodes: Vec<&str> =
            line["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["name"].as_str()).collect();
        format!("{} {} {}", line["command"], line["key"], nodes.join(" "))
    };
    let mut moves: Vec<String> = lines.iter().filter(is_move).map(told).collect();
    moves.sort();
    moves
}

/// Puts `count` contents on all nodes that want them.
fn upload(cluster: &Cluster, server: &Gateway, seeds: std::ops::Range<u64>, len: usize) -> Vec<(String, Vec<u8>)> {
    let put = |seed| {
        let body = content(seed, len + seed as usize);
        assert_eq!(Way::Http(server).put(&cluster.uuid, &key_of(&body), &body), Outcome::Yes);
        (key_of(&body), body)
    };
    seeds.map(put).collect()
}

/// All that git-annex has recorded is there, and nothing else has to be recorded.
#[track_caller]
fn nothing_to_correct(cluster: &Cluster) {
    let (before, after) = corrected(cluster);
    assert_eq!(after, before, "git annex fsck corrected something");
}

/// All that is recorded is there. What a kill came between may be there and not be recorded yet.
#[track_caller]
fn nothing_is_missing(cluster: &Cluster) {
    let (before, after) = corrected(cluster);
    let lost: Vec<_> =
        before.iter().filter(|(place, is_there)| **is_there && after.get(*place) != Some(&true)).collect();
    assert!(lost.is_empty(), "git annex fsck does not find {lost:?}");
}

/// What was recorded before git-annex looked, and after.
#[track_caller]
fn corrected(cluster: &Cluster) -> (Records, Records) {
    cluster.repo.annex(&["merge", "--quiet"]).ok();
    let before = cluster.repo.recorded();
    cluster.repo.annex(&["fsck", "--fast", "--all", "--quiet"]).ok();
    for nth in 0..cluster.nodes.len() {
        cluster.repo.annex(&["fsck", "--fast", "--all", "--quiet", "--from", &format!("m{nth}")]).ok();
    }
    (before, cluster.repo.recorded())
}

/// Which nodes each key is recorded on, asked once for all keys.
fn held(cluster: &Cluster) -> BTreeMap<String, Vec<usize>> {
    let mut held: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for nth in 0..cluster.nodes.len() {
        let there = cluster.repo.annex(&["findkeys", "--in", &format!("m{nth}")]).ok().stdout;
        there.lines().for_each(|key| held.entry(key.to_string()).or_default().push(nth));
    }
    held
}

fn want(cluster: &Cluster, wishes: &[&str]) {
    for (nth, wish) in wishes.iter().enumerate() {
        cluster.repo.annex(&["group", "--quiet", &format!("m{nth}"), "nodes"]).ok();
        cluster.repo.annex(&["wanted", "--quiet", &format!("m{nth}"), wish]).ok();
    }
}

#[test]
fn what_is_planned_is_what_is_done_and_then_it_is_at_rest() {
    let cluster = Cluster::new(vec![directory(), Behind::Path(Repo::new()), directory()]);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    want(&cluster, &["anything", "nothing", "nothing"]);
    let put = upload(&cluster, &server, 0..12, 40_000);
    server.stop();
    let if_so =
        foreseen(&cluster, &["wanted m0 nothing", "wanted m1 anything", "wanted m2 fullybalanced=nodes:1 or nothing"]);
    want(&cluster, &["nothing", "anything", "fullybalanced=nodes:1 or nothing"]);
    let would = lines(&balance(&cluster, &["--dry-run", "--json"]).ok());
    assert_eq!(if_so, traffic(&would));
    assert_eq!(foreseen(&cluster, &[]), traffic(&would));
    assert!(held(&cluster).values().all(|on| on == &[0]), "nothing moved yet");
    let did = lines(&balance(&cluster, &["--json"]).ok());
    assert_eq!(traffic(&would), traffic(&did));
    assert_eq!(moves(&would), moves(&did));
    assert_eq!((traffic(&did)["m0"][2], traffic(&did)["m1"][0]), (12, 12));
    assert!(did.iter().all(|line| line["success"] != false), "{did:?}");
    assert!(held(&cluster).values().all(|on| on == &[1] || on == &[1, 2]), "{:?}", held(&cluster));
    nothing_to_correct(&cluster);
    let again = lines(&balance(&cluster, &["--json"]).ok());
    assert_eq!(moves(&again), Vec::<String>::new());
    assert!(foreseen(&cluster, &[]).values().all(|counts| *counts == [0; 4]));
    // Half of them fit on one node, and sizes count while it is planned.
    want(&cluster, &["balanced=nodes:2"; 3]);
    cluster.repo.annex(&["maxsize", "--quiet", "m0", "200kb"]).ok();
    for (words, commands) in [(&["--json"][..], &[][..]), (&["--json", "--rebalance"], &["rebalance on"])] {
        let expected = foreseen(&cluster, commands);
        assert_eq!(traffic(&lines(&balance(&cluster, &[words, &["--dry-run"]].concat()).ok())), expected, "{words:?}");
        assert_eq!(traffic(&lines(&balance(&cluster, words).ok())), expected, "{words:?}");
        // Whether anything is left for --rebalance depends on the uuids, which are drawn.
        let moves = expected.values().any(|counts| *counts != [0; 4]);
        assert!(moves || !commands.is_empty(), "{words:?}: nothing to compare");
    }
    nothing_to_correct(&cluster);
    want(&cluster, &["nothing", "anything", "fullybalanced=nodes:1 or nothing"]);
    balance(&cluster, &["--json"]).ok();
    // Below numcopies nothing is dropped, and what is required stays.
    cluster.repo.annex(&["numcopies", "--quiet", "2"]).ok();
    want(&cluster, &["nothing", "nothing", "anything"]);
    let done = balance(&cluster, &[]).ok();
    assert!(done.stdout.contains("for numcopies or mincopies"), "{}", done.stdout);
    let on_both = || {
        let held = held(&cluster);
        put.iter().all(|(key, _)| held[key] == [1, 2])
    };
    assert!(on_both(), "{:?}", held(&cluster));
    cluster.repo.annex(&["numcopies", "--quiet", "1"]).ok();
    cluster.repo.annex(&["required", "--quiet", "m1", "anything"]).ok();
    balance(&cluster, &["--drain", "m1"]).ok();
    assert!(on_both(), "what is required left: {:?}", held(&cluster));
    nothing_to_correct(&cluster);
    balance(&cluster, &["--drain", "nobody"]).failed();
}

/// A disk is added, one is drained and taken out, one is lost and healed, and clients upload all the time.
fn upkeep(nodes: Vec<Behind>) {
    let cluster = Cluster::new(nodes);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    cluster.repo.annex(&["numcopies", "--quiet", "2"]).ok();
    want(&cluster, &["balanced=nodes:2"; 4]);
    let member = |nth: usize, is_one: bool| {
        let name = format!("remote.m{nth}.annex-cluster-node");
        match is_one {
            true => cluster.repo.git(&["config", &name, "myc"]).ok(),
            false => cluster.repo.git(&["config", "--unset", &name]).ok(),
        };
        cluster.repo.annex(&["updatecluster", "--quiet"]).ok();
    };
    cluster.repo.annex(&["group", "--quiet", "m3", "later"]).ok();
    cluster.repo.annex(&["ungroup", "--quiet", "m3", "nodes"]).ok();
    member(3, false);
    let first = upload(&cluster, &server, 0..16, 30_000);
    let is_over = AtomicBool::new(false);
    let all: Vec<(String, Vec<u8>)> = std::thread::scope(|scope| {
        let uploads = scope.spawn(|| {
            let (mut more, mut seed) = (Vec::new(), 1000);
            while !is_over.load(Ordering::Relaxed) && seed < 1300 {
                more.extend(upload(&cluster, &server, seed..seed + 1, 20_000));
                seed += 1;
            }
            more
        });
        let available = |what: &str| {
            let held = held(&cluster);
            for (key, body) in &first {
                assert_eq!(Way::Http(&server).get(&cluster.uuid, key), Outcome::Content(body.clone()), "{what}");
                assert!(held.get(key).is_some_and(|on| on.len() >= 2), "{what}: {:?}", held.get(key));
            }
            held
        };
        // Added: it gets its share.
        member(3, true);
        cluster.repo.annex(&["group", "--quiet", "m3", "nodes"]).ok();
        balance(&cluster, &["--rebalance", "--quiet"]).ok();
        let held = available("one was added");
        assert!(held.values().any(|on| on.contains(&3)), "the new disk is empty");
        // Drained, with uploads that may still choose it: it wants nothing from now on.
        cluster.repo.annex(&["ungroup", "--quiet", "m0", "nodes"]).ok();
        cluster.repo.annex(&["wanted", "--quiet", "m0", "nothing"]).ok();
        balance(&cluster, &["--drain", "m0", "--quiet"]).ok();
        let held = available("one was drained");
        assert!(first.iter().all(|(key, _)| !held[key].contains(&0)), "the old disk is not empty");
        member(0, false);
        // Lost: its directory is empty.
        let lost = cluster.dir(1);
        for entry in std::fs::read_dir(&lost).expect("a directory").flatten() {
            if !entry.file_name().to_string_lossy().starts_with('.') {
                let _ = run(Command::new("chmod").args(["-R", "u+w"]).arg(entry.path()), LIMIT);
                std::fs::remove_dir_all(entry.path()).expect("it is ours");
            }
        }
        balance(&cluster, &["--check", "--quiet"]).ok();
        available("one was lost");
        is_over.store(true, Ordering::Relaxed);
        let mut all = uploads.join().expect("nothing failed");
        all.extend(first.iter().cloned());
        all
    });
    // What came meanwhile.
    balance(&cluster, &["--drain", "m0", "--quiet"]).failed();
    balance(&cluster, &["--check", "--quiet"]).ok();
    let held = held(&cluster);
    for (key, body) in &all {
        assert_eq!(Way::Http(&server).get(&cluster.uuid, key), Outcome::Content(body.clone()));
        assert!(held.get(key).is_some_and(|on| on.len() >= 2), "{:?}", held.get(key));
    }
    server.stop();
    nothing_to_correct(&cluster);
}

#[test]
fn disks_come_and_go_while_clients_upload() {
    upkeep(vec![directory(), directory(), Behind::Path(Repo::new()), directory()]);
}

#[test]
fn buckets_and_disks_come_and_go_while_clients_upload() {
    let bucket = || Behind::Special(Place::weed(), Whose::Ours);
    upkeep(vec![bucket(), directory(), Behind::Path(Repo::bare()), Behind::http()]);
}

/// Killed and ended at any moment; no copy is lost, and in the end all is where it should be.
#[test]
fn a_kill_loses_nothing_and_the_next_run_goes_on() {
    let cluster = Cluster::new(vec![directory(), Behind::Path(Repo::new()), directory()]);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    want(&cluster, &["anything", "nothing", "nothing"]);
    let put = upload(&cluster, &server, 0..6, 3 << 20);
    server.stop();
    want(&cluster, &["nothing", "anything", "anything"]);
    for (nth, pause) in [0, 150, 300, 450, 600, 900, 1200].into_iter().enumerate() {
        let mut child = command(&cluster.repo, &["--bwlimit", "8MiB", "--quiet", "-J2"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // Where in its work it is hit is chance.
        std::thread::sleep(Duration::from_millis(pause));
        let signal = if nth % 3 == 2 { rustix::process::Signal::TERM } else { rustix::process::Signal::KILL };
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal);
        child.wait().expect("it ended");
        let held = held(&cluster);
        assert!(put.iter().all(|(key, _)| held.contains_key(key)), "one is nowhere: {held:?}");
        nothing_is_missing(&cluster);
    }
    // Two at once do not hinder each other.
    let both: Vec<Done> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| balance(&cluster, &["--quiet"]));
        [start(), start()].into_iter().map(|one| one.join().expect("it ended")).collect()
    });
    both.into_iter().for_each(|done| drop(done.ok()));
    let held = held(&cluster);
    for (key, body) in &put {
        assert_eq!(held[key], [1, 2]);
        assert_eq!(Way::Stdio(&cluster.repo, "10").get(&cluster.uuid, key), Outcome::Content(body.clone()));
    }
    nothing_to_correct(&cluster);
}

/// Two that empty the only two disks with a copy, at one time: one copy stays.
#[test]
fn two_that_drain_the_last_two_copies_leave_one() {
    let cluster = Cluster::new(vec![directory(), directory()]);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    want(&cluster, &["anything", "anything"]);
    let put = upload(&cluster, &server, 0..10, 1000);
    server.stop();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| balance(&cluster, &["--drain", "m0", "--quiet"]));
        let other = scope.spawn(|| balance(&cluster, &["--drain", "m1", "--quiet"]));
        for done in [one, other] {
            done.join().expect("it ended").ok();
        }
    });
    eventually("one copy of each is left", || put.iter().all(|(key, _)| !cluster.holders(key).is_empty()));
    for (key, body) in &put {
        assert_eq!(Way::Stdio(&cluster.repo, "10").get(&cluster.uuid, key), Outcome::Content(body.clone()));
    }
    nothing_to_correct(&cluster);
}

/// A disk that is not mounted is no lost disk: nothing is recorded to be gone, and the exit status tells of it.
#[test]
fn a_disk_that_is_away_is_left_alone() {
    let cluster = Cluster::new(vec![directory(), directory()]);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    let put = upload(&cluster, &server, 0..3, 1000);
    server.stop();
    cluster.unplug(0, true);
    let done = balance(&cluster, &["--check"]).failed();
    assert!(done.stdout.contains("m0: left alone"), "{}", done.all());
    let done = balance(&cluster, &["--drain", "m1"]).failed();
    assert!(done.stdout.contains("m1: in nothing, out nothing"), "{}", done.all());
    cluster.unplug(0, false);
    for (key, _) in &put {
        assert_eq!(cluster.holders(key), [0, 1]);
    }
    nothing_to_correct(&cluster);
}

/// What is lost is told each time, by `--check` also in the exit status; what only a client has is told to be there.
#[test]
fn what_is_lost_or_out_of_reach_is_told_each_time() {
    let cluster = Cluster::new(vec![directory(), directory()]);
    let repo = &cluster.repo;
    let key = repo.add("photo", 7, 2000);
    repo.git(&["commit", "--quiet", "--message", "photo"]).ok();
    repo.annex(&["copy", "--quiet", "--to", "m0", "photo"]).ok();
    repo.annex(&["drop", "--quiet", "--force", "photo"]).ok();
    want(&cluster, &["anything", "nothing"]);
    cluster.lose(0, &key);
    let first = balance(&cluster, &["--check"]).failed();
    assert!(first.all().contains("no copy of it is left"), "{}", first.all());
    for words in [&["--check"][..], &["--check", "--quiet"], &["--check", "--json"]] {
        let done = balance(&cluster, words).failed();
        assert!(done.all().contains("photo"), "{}", done.all());
    }
    let done = balance(&cluster, &[]).ok();
    assert!(done.stderr.contains("photo: no copy is recorded anywhere"), "{}", done.all());
    assert!(done.stdout.contains("1 file of the branch lost"), "{}", done.all());
    // A laptop has it.
    repo.annex(&["setpresentkey", &key, "11111111-2222-3333-4444-555555555555", "1"]).ok();
    let done = balance(&cluster, &["--check"]).ok();
    assert!(done.stdout.contains("m0: in nothing, out nothing; lacking 1 file (2.0 KiB)"), "{}", done.all());
    assert!(done.stdout.contains("recorded only of 11111111-2222"), "{}", done.all());
}

#[test]
fn of_a_node_that_is_dead_nothing_is_expected() {
    let cluster = Cluster::new(vec![directory(), directory()]);
    let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet"]);
    upload(&cluster, &server, 0..2, 1000);
    server.stop();
    cluster.unplug(0, true);
    balance(&cluster, &[]).failed();
    cluster.repo.annex(&["dead", "--quiet", "m0"]).ok();
    let done = balance(&cluster, &[]).ok();
    assert!(done.stdout.contains("m0: left alone, it is dead"), "{}", done.all());
}
