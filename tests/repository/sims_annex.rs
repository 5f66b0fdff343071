//! Sims beside `git annex sim`: the same files come to the same ends.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use git_annex_remote_stream::sim::script::{Line, Problem, parse};
use git_annex_remote_stream::sim::{self, Found, Nowhere, Outside, Used, World};
use testbed::annex::{LIMIT, Repo};
use testbed::run::{Done, run};

use super::sim_plain::{Plain, Rules};

/// Seconds of CPU that git-annex may take for a sim, which takes a fraction of one: some never end there. Not time, which a busy machine
/// takes too.
const PATIENCE: u64 = 3;

/// Seconds after which it counts as one that never ends all the same: it may be git, which it runs, that takes the CPU.
const LATEST: u64 = 40;

/// Steps of a sim, each in a git-annex of its own, after which nothing is left to do.
const ALONE: usize = 60;

/// Seeds that are tried here for the ends that a network may come to.
const SEEDS: u64 = 40;

/// Steps of each command of a network, and how many commands there are.
const STEPS: usize = 60;
const COMMANDS: usize = 3;

/// Seeds of the plain sim where there is one end.
const PLAIN: u64 = 10;

/// Seeds of the plain sim in which an end of git-annex's is looked for that no seed here comes to.
const RARE: u64 = 4000;

fn product(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(testbed::product()).args(words), LIMIT)
}

/// A row of numbers that a seed begins: the same everywhere.
pub(super) struct Chance(pub u64);

/// Which repository has which file.
pub(super) type Places = BTreeSet<(String, String)>;

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A random network of two to four repositories and three files, and steps enough.
fn network(chance: &mut Chance) -> String {
    const TERMS: [&str; 17] = [
        "anything",
        "nothing",
        "present",
        "include=*.x",
        "exclude=*.x",
        "largerthan=10kb",
        "smallerthan=100kb",
        "copies=1",
        "copies=2",
        "copies=g:1",
        "inallgroup=h",
        "onlyingroup=g",
        "approxlackingcopies=1",
        "metadata=tag=x",
        "balanced=g",
        "balanced=g:2",
        "fullybalanced=h",
    ];
    let count = 2 + chance.below(3);
    let mut text = format!("seed {}\n", chance.below(1_000_000));
    (0..count).for_each(|at| text.push_str(&format!("init r{at}\n")));
    for a in 0..count {
        for b in (0..count).filter(|b| *b != a) {
            if chance.below(2) == 0 {
                text.push_str(&format!("connect r{a} -> r{b}\n"));
            }
        }
    }
    // One of them is a node of a cluster, and some reach it as such.
    if chance.below(3) == 0 {
        text.push_str(&format!("clusternode node r{}\n", count - 1));
        (0..count - 1)
            .filter(|_| chance.below(2) == 0)
            .for_each(|at| text.push_str(&format!("connect r{at} -> node\n")));
    }
    text.push_str(&format!("numcopies {}\nmincopies {}\n", 1 + chance.below(2), 1 + chance.below(4) / 3));
    for at in 0..count {
        for group in ["g", "h", "archive"] {
            if chance.below(3) == 0 {
                text.push_str(&format!("group r{at} {group}\n"));
            }
        }
        let mut words = Vec::new();
        for number in 0..=chance.below(3) {
            if number > 0 {
                words.push(chance.one(&["and", "or"]));
            }
            if chance.below(3) == 0 {
                words.push("not");
            }
            words.push(chance.one(&TERMS));
        }
        if chance.below(8) > 0 {
            text.push_str(&format!("wanted r{at} {}\n", words.join(" ")));
        }
        if chance.below(6) == 0 {
            text.push_str(&format!("required r{at} {}\n", chance.one(&["include=*.x", "largerthan=10kb"])));
        }
        if chance.below(6) == 0 {
            text.push_str(&format!("trustlevel r{at} {}\n", chance.one(&["untrusted", "trusted", "dead"])));
        }
    }
    for (file, size) in [("one.x", "1mb"), ("two.x", "1kb"), ("three.y", "1mb")] {
        let holders: Vec<String> = (0..count).filter(|_| chance.below(2) == 0).map(|at| format!(" r{at}")).collect();
        let holders = if holders.is_empty() { " r0".to_string() } else { holders.concat() };
        text.push_str(&format!("add {file} {size}{holders}\n"));
    }
    text.push_str("metadata one.x tag=x\n");
    // Its count is one too many by chance, and it may stop too early: so it is asked several times.
    text.push_str(&format!("step {STEPS}\n").repeat(COMMANDS));
    text
}

/// Where files are in the end, by the log.
fn end(log: &str) -> Places {
    let mut places = BTreeSet::new();
    let node = log.lines().find_map(|line| line.strip_prefix("clusternode node "));
    for line in log.lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        // What is done through the cluster is logged so.
        if let (Some(node), ["present" | "notpresent", via @ "node", _]) = (node, &mut words[..]) {
            *via = node;
        }
        match words[..] {
            ["add", file, _, ..] => {
                places.extend(words[3..].iter().map(|repo| (repo.to_string(), file.to_string())));
            }
            ["present", repo, file] => drop(places.insert((repo.to_string(), file.to_string()))),
            ["notpresent", repo, file] => drop(places.remove(&(repo.to_string(), file.to_string()))),
            _ => {}
        }
    }
    places
}

/// What this program's sim comes to with a seed.
pub(super) struct Run {
    /// Where files are in the end.
    pub end: Places,
    /// Whether it came to rest.
    pub rests: bool,
    log: String,
}

/// Hears what is said.
#[derive(Default)]
struct Heard(Vec<String>);

impl Outside for Heard {
    fn say(&mut self, sentence: &str) {
        self.0.push(sentence.to_string());
    }

    fn used(&mut self, name: &[u8], called: &[u8]) -> Result<Used, Problem> {
        Nowhere.used(name, called)
    }

    fn tree(&mut self, expression: &[u8]) -> Result<Vec<Found>, Problem> {
        Nowhere.tree(expression)
    }
}

/// With the uuids and keys that git-annex drew, on which balanced choices depend.
pub(super) fn ours(text: &str, drawn: &str, seed: u64) -> Run {
    let (world, heard) = played(text, drawn, seed);
    let log = String::from_utf8(sim::log(&world)).expect("text");
    Run { end: end(&log), rests: heard.0.iter().any(|said| said.contains("stabilized")), log }
}

fn played(text: &str, drawn: &str, seed: u64) -> (World, Heard) {
    let (_, rest) = text.split_once('\n').expect("a first line");
    let text = format!("seed {seed}\n{drawn}{rest}");
    let lines: Vec<Line> = text.lines().map(|line| parse(line.as_bytes()).expect("a line")).collect();
    let (mut world, mut heard) = (sim::begin(lines.first(), 0), Heard::default());
    lines.iter().for_each(|line| sim::run(&mut world, line, &mut heard).expect("it runs"));
    (world, heard)
}

/// The uuids and keys of a sim that git-annex has started, as lines for ours. They are drawn before anything is stepped.
fn drawn(repo: &Repo) -> String {
    let asked = "git show git-annex:uuid.log; git annex find --anything --format='key ${file} ${key}\\n'";
    let said = repo.annex(&["sim", "visit", "r0", asked]).ok().stdout;
    let mut lines = String::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [uuid, "simulated", "repository", name, _] => lines.push_str(&format!("--stream uuid {name} {uuid}\n")),
            ["key", file, key] => lines.push_str(&format!("--stream key {file} {key}\n")),
            _ => {}
        }
    }
    lines
}

/// The same without steps, so that nothing is left to chance.
fn without_steps(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("step")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn random_networks_come_to_the_ends_that_git_annex_comes_to() {
    let count = std::env::var("STREAM_TEST_SIM_NETWORKS").ok().and_then(|set| set.parse().ok()).unwrap_or(3u64);
    let first: u64 = std::env::var("STREAM_TEST_SEED").ok().and_then(|set| set.parse().ok()).unwrap_or(1);
    let repo = Repo::new();
    let (mut same, mut one_of, mut endless, mut endlessly) = (0, 0, 0, 0);
    let (mut met, mut lost) = (0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for number in first..first + count {
        let text = network(&mut Chance(number));
        // First without steps: git-annex tells what it draws, and ends for certain.
        std::fs::write(repo.dir().join("theirs.sim"), without_steps(&text)).expect("written");
        repo.annex(&["sim", "start", "theirs.sim"]).ok();
        let drawn = drawn(&repo);
        repo.annex(&["sim", "end"]).ok();
        let names = text.matches("\ninit ").count() + text.matches("\nadd ").count();
        assert_eq!(drawn.lines().count(), names, "network {number}: {drawn}\n{text}");
        std::fs::write(repo.dir().join("theirs.sim"), &text).expect("written");
        let found: Vec<Run> = (0..SEEDS).map(|seed| ours(&text, &drawn, seed)).collect();
        let mut ends: BTreeSet<_> = found.iter().map(|run| run.end.clone()).collect();
        let never_rests = found.iter().any(|run| !run.rests);
        let done = within_patience(&repo, "theirs.sim");
        let shown = repo.annex(&["sim", "show"]);
        forget(&repo);
        // `lackingcopies=` is left out: git-annex's sim stops with an error at it.
        if done.status.signal().is_some() || matches!(done.status.code(), Some(124 | 128..)) {
            endless += 1;
            // All runs here have ended, and whether it rests is told for certain.
            let verdict = product(&repo, &["sim", "prove", "theirs.sim"]);
            if !matches!(verdict.status.code(), Some(0 | 1)) {
                wrong.push(format!("network {number} is not decided: {}\n{text}", verdict.all()));
            }
            continue;
        }
        let mut theirs = end(&shown.stdout);
        let mut log = shown.stdout;
        let (world, _) = played(&without_steps(&text), &drawn, 1);
        let plain = |seed, [one_time, several_meet]: [bool; 2]| {
            Plain::new(&world, seed).end(Rules { one_time, several_meet }, COMMANDS, STEPS)
        };
        if ends.len() == 1 && !never_rests {
            let all: BTreeSet<_> = (0..PLAIN).map(|seed| plain(seed, [false, false])).collect();
            if all != ends {
                wrong.push(format!("network {number}:\n{text}\nplain: {all:?}\nhere: {ends:?}"));
            }
        }
        let has_met = |end: &Places| (0..RARE).any(|seed| plain(seed, [false, true]) == *end);
        if !ends.contains(&theirs) && !never_rests && has_met(&theirs) {
            met += 1;
            ends.insert(theirs.clone());
        }
        if !ends.contains(&theirs) && !never_rests {
            // What was recorded is lost within one command, and nothing else is the cause: then it is an end of the plain sim in which it
            // can be. With a command for each step it has to be one of ours.
            lost += 1;
            if !(0..RARE).any(|seed| plain(seed, [true, true]) == theirs) {
                wrong.push(format!("network {number} is not explained:\n{text}\ngit-annex: {theirs:?}\n{log}"));
            }
            log = one_by_one(&repo, &text);
            theirs = end(&log);
            if !ends.contains(&theirs) && has_met(&theirs) {
                ends.insert(theirs.clone());
            }
        }
        if !ends.contains(&theirs) {
            if !never_rests {
                wrong.push(format!("network {number}:\n{text}\ngit-annex: {theirs:?}\nhere: {ends:?}\n{log}"));
                continue;
            }
            endlessly += 1;
        } else if ends.len() == 1 {
            same += 1;
        } else {
            one_of += 1;
        }
        // Its log runs here, and ours there.
        std::fs::write(repo.dir().join("log.sim"), &log).expect("written");
        let back = product(&repo, &["sim", "start", "log.sim"]);
        // Random choices are others here, so that something may not be where it came to be there; but no line is refused.
        let said = back.stderr.trim();
        let is_run = said.is_empty() || said == "git-annex-remote-stream: Simulation had errors.";
        assert!(is_run && back.stdout.contains("Sim started."), "network {number}: {}", back.all());
        product(&repo, &["sim", "end"]).ok();
        std::fs::write(repo.dir().join("log.sim"), without_steps(&found[0].log)).expect("written");
        let there = repo.annex(&["sim", "run", "log.sim"]);
        let said: Vec<&str> = there.stderr.lines().filter(|line| line.starts_with("git-annex: ")).collect();
        let is_run = said.is_empty() || said == ["git-annex: Simulation shown above had errors."];
        assert!(is_run && there.stdout.contains("Sim ended."), "network {number}: {}", there.all());
    }
    println!(
        "{count} networks from {first} on: {same} with one end, {one_of} with one of several, {endlessly} where it can go on for ever, \
         {endless} that git-annex did not end, {} that disagree; {met} where it pulls over several connections at once, {lost} where it \
         loses what one command recorded",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(same > 0);
    for explained in [met, lost] {
        assert!(explained * 10 <= count.max(20), "{explained} of {count} networks: is that still chance?");
    }
}

/// Starts a sim, but not for longer than git-annex may take.
fn within_patience(repo: &Repo, file: &str) -> Done {
    let script = format!("ulimit -t {PATIENCE}; exec timeout {LATEST} git-annex sim start {file}");
    run(repo.command(Path::new("sh")).args(["-c", &script]), LIMIT)
}

/// What a sim comes to that was ended, or not.
fn forget(repo: &Repo) {
    std::fs::remove_dir_all(repo.dir().join(".git/annex/sim")).ok();
    repo.git(&["worktree", "prune"]).ok();
}

/// The log of a sim of which each step is done by another process, until nothing is done any longer.
fn one_by_one(repo: &Repo, text: &str) -> String {
    std::fs::write(repo.dir().join("apart.sim"), without_steps(text)).expect("written");
    repo.annex(&["sim", "start", "apart.sim"]).ok();
    let (mut log, mut idle) = (String::new(), 0);
    for _ in 0..ALONE {
        repo.annex(&["sim", "step", "0"]);
        let now = repo.annex(&["sim", "show"]).ok().stdout;
        let done = |log: &str| log.lines().filter(|line| line.contains("present ")).count();
        idle = if done(&now) == done(&log) { idle + 1 } else { 0 };
        log = now;
        if idle == 4 {
            break;
        }
    }
    forget(repo);
    log
}

/// What is visited is what git-annex takes for the repository.
#[test]
fn git_annex_works_in_a_simulated_repository() {
    let repo = Repo::new();
    let script = "seed 1\ninit a\ninit b\ninitremote s\nconnect a <-> b\nconnect a -> s\nadd d/f.x 2mb a\ngroup b archive\n\
                  wanted b anything\nmetadata d/f.x tag=x\nmaxsize b 1gb\naction a sendwanted b\n";
    std::fs::write(repo.dir().join("my.sim"), script).expect("written");
    product(&repo, &["sim", "start", "my.sim"]).ok();
    let visit = |repo_name: &str, command: &str| product(&repo, &["sim", "visit", repo_name, command]).ok().stdout;
    let whereis = visit("a", "git annex whereis");
    assert!(whereis.contains("whereis d/f.x (2 copies)") && whereis.contains("simulated repository b"), "{whereis}");
    assert!(visit("a", "git annex metadata d/f.x").contains("tag=x"));
    assert!(visit("a", "git annex maxsize").contains("1 GB"));
    assert!(visit("b", "git annex wanted here").contains("anything"));
    assert!(visit("a", "git annex whereis | tail -n 1; pwd").contains("visited"));
    assert!(product(&repo, &["sim", "visit", "a", "false"]).failed().stdout.contains("exited nonzero"));
    product(&repo, &["sim", "end"]).ok();
    assert!(product(&repo, &["sim", "show"]).failed().stderr.contains("sim start"));
}

/// A sim that begins as a repository is has what is recorded there, and a disk more gets its share.
#[test]
fn a_repository_is_simulated_as_it_is() {
    let repo = Repo::new();
    let place = tempfile::tempdir().expect("a directory");
    for name in ["d1", "d2", "d3"] {
        let directory = format!("directory={}", place.path().display());
        repo.annex(&["initremote", name, "type=directory", &directory, "encryption=none"]).ok();
        repo.annex(&["group", name, "disks"]).ok();
        repo.annex(&["wanted", name, "balanced=disks:2"]).ok();
    }
    let before = repo.git(&["rev-parse", "git-annex"]).ok().stdout.trim().to_string();
    repo.annex(&["numcopies", "2"]).ok();
    for number in 0..6 {
        repo.add(&format!("f{number}"), number, 1000);
    }
    repo.git(&["commit", "--quiet", "--message", "files"]).ok();
    product(&repo, &["sim", "from-repository", "--all"]).ok();
    let log = product(&repo, &["sim", "show"]).ok().stdout;
    assert_eq!(log.lines().filter(|line| line.starts_with("add f")).count(), 6, "{log}");
    for line in ["numcopies 2", "initremote d1", "group d2 disks", "wanted d3 balanced=disks:2", "connect here -> d1"] {
        assert!(log.lines().any(|found| found == line), "{line}\n{log}");
    }
    let whatif = product(&repo, &["sim", "whatif", "--as-it-is", "--json"]).ok().stdout;
    let plan: serde_json::Value = serde_json::from_str(&whatif).expect("JSON");
    assert_eq!(plan["as-it-is"]["moved_files"], 12, "two copies of each: {whatif}");
    assert_eq!(plan["as-it-is"]["lacking"], 0, "{whatif}");
    product(&repo, &["sim", "end"]).ok();
    let check = product(&repo, &["sim", "check"]).ok().stdout;
    assert!(check.contains("Proved"), "{check}");
    // As it was.
    product(&repo, &["sim", "from-repository", "--all", "--at", &before]).ok();
    let log = product(&repo, &["sim", "show"]).ok().stdout;
    assert!(log.contains("wanted d3 balanced=disks:2\n"), "{log}");
    assert!(!log.contains("numcopies") && !log.contains("\nadd "), "{log}");
    product(&repo, &["sim", "end"]).ok();
    for other in ["main", "nosuch"] {
        let said = product(&repo, &["sim", "from-repository", "--at", other]).failed().stderr;
        assert!(said.contains("no commit of the git-annex branch"), "{other}: {said}");
    }
    // One disk runs after another, which runs away from it.
    for words in [
        &["numcopies", "1"][..],
        &["wanted", "here", "anything"],
        &["group", "d1", "fox"],
        &["group", "d2", "hound"],
        &["wanted", "d1", "not copies=hound:1"],
        &["wanted", "d2", "copies=fox:1"],
    ] {
        repo.annex(words).ok();
    }
    let checked = product(&repo, &["sim", "check", "--json"]).failed();
    let verdict: serde_json::Value = serde_json::from_str(&checked.stdout).expect("JSON");
    assert_eq!(verdict["verdict"], "refuted", "{}", checked.all());
    assert!(verdict["why"].as_str().is_some_and(|why| why.contains("never comes to rest")), "{}", checked.all());
    let depend = verdict["depend"].as_array().expect("a list");
    let repositories =
        serde_json::json!([{"name": "d1", "terms": ["not copies=hound:1"]}, {"name": "d2", "terms": ["copies=fox:1"]}]);
    assert_eq!(*depend, [serde_json::json!({"repositories": repositories, "alike": 0})], "{}", checked.all());
    assert_eq!(verdict["odd"], serde_json::json!([]), "{}", checked.all());
    // A misspelt group is told; it refutes nothing by itself.
    repo.annex(&["wanted", "d1", "anything"]).ok();
    repo.annex(&["wanted", "d2", "balanced=diks:2"]).ok();
    let said = product(&repo, &["sim", "check"]).ok().stdout;
    let odd = "Odd: wanted of d2: balanced=diks:2: nobody is in the group diks.";
    assert!(said.starts_with("Proved") && said.lines().any(|line| line == odd), "{said}");
    let info = product(&repo, &["info", "--fast"]).ok().stdout;
    let told = "preferred content of [d2]: balanced=diks:2: nobody is in the group diks";
    assert_eq!(info.matches(&format!("\n! {told}\n")).count(), 1, "{info}");
    let shown = product(&repo, &["info", "--fast", "--json"]).ok().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["problems"], serde_json::json!([told]));
    for (of, times) in [("d1", 0), ("d2", 1)] {
        let explained = product(&repo, &["explain", "f0", of]).ok().stdout;
        assert_eq!(explained.matches(&format!("  ! {told}\n")).count(), times, "{explained}");
    }
    let script = "init a\ninit b\nconnect a -> b\nwanted a not copies=gruop:1\nwanted b copies=2 or\naddmulti 9 f 1kb 2kb a\nstep 99\n";
    std::fs::write(repo.dir().join("odd.sim"), script).expect("written");
    let said = product(&repo, &["sim", "prove", "odd.sim"]).ok().stdout;
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("Odd: ")).collect();
    assert_eq!(
        told,
        [
            "Odd: wanted of b: at byte 10: nothing to apply this to, which counts as a match.",
            "Odd: wanted of a: copies=gruop:1: nobody is in the group gruop, so it never matches.",
        ],
        "{said}"
    );
    let many = product(&repo, &["sim", "run", "odd.sim", "--seeds", "3"]).ok().stdout;
    let rows: Vec<String> = many.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in ["fewest copies ever 1 1", "last after 8 8", "after 0 0 9 0", "after 9 0 0 9"] {
        assert!(rows.iter().any(|found| found == row), "{row}\n{many}");
    }
}

/// Each visit has a directory of its own below that of the sim, whatever uuids say, and nothing is left of it.
#[test]
fn visits_do_not_meet() {
    let mut repo = Repo::new();
    let script = "seed 1\n--stream uuid a ..\ninit a\nadd f 2mb a\n";
    std::fs::write(repo.dir().join("my.sim"), script).expect("written");
    product(&repo, &["sim", "start", "my.sim"]).ok();
    // As in a hook of git, which is another repository's.
    repo.set("GIT_INDEX_FILE", ".git/index");
    let inside = format!(
        "pwd; echo \"[$GIT_INDEX_FILE]\"; (cd {} && {} sim visit a true); git annex whereis f; git status --short",
        repo.dir().display(),
        testbed::product().display()
    );
    let said = product(&repo, &["sim", "visit", "a", &inside]).ok().stdout;
    let dir = said.lines().next().expect("a line");
    assert!(dir.contains("/stream/sim/visited/visit."), "{said}");
    assert!(said.contains("[]\n") && said.contains("whereis f (1 copy)"), "{said}");
    assert!(!std::path::Path::new(dir).exists(), "it was left behind");
    product(&repo, &["sim", "show"]).ok();
}

/// What a sim takes over of a repository that is not plain: unlocked files, names that differ in blanks alone, and settings of
/// special remotes. It lists the work tree once, for any number of seeds.
#[test]
fn a_repository_that_is_not_plain_is_taken_over() {
    use std::os::unix::fs::PermissionsExt;
    let repo = Repo::new();
    for (name, number) in [("a b", 1), ("a_b", 2), ("open", 3), ("c", 4)] {
        repo.add(name, number, 40_000);
    }
    repo.annex(&["unlock", "open"]).ok();
    repo.annex(&["metadata", "c", "--set", "title=Two Words"]).ok();
    repo.git(&["commit", "--quiet", "--all", "--message", "files"]).ok();
    let place = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", place.path().display());
    repo.annex(&["initremote", "d1", "type=directory", &directory, "encryption=none", "preferreddir=pub"]).ok();
    product(&repo, &["sim", "from-repository", "--all"]).ok();
    let log = product(&repo, &["sim", "show"]).ok().stdout;
    let count = |start: &str| log.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("add "), count("add a_b "), count("add SHA256E-")), (4, 1, 1), "{log}");
    for line in ["--stream preferreddir d1 pub", "--stream metadata c title !VHdvIFdvcmRz", "--stream known"] {
        assert_eq!(count(line), 1, "{line}\n{log}");
    }
    let whatif = product(&repo, &["sim", "whatif", "--as-it-is", "--json"]).ok().stdout;
    let plan: serde_json::Value = serde_json::from_str(&whatif).expect("JSON");
    assert_eq!(plan["as-it-is"]["files"], 4, "{whatif}");
    product(&repo, &["sim", "end"]).ok();

    std::fs::write(repo.dir().join("my.sim"), "seed 1\ninit a\naddtree a include=*\npresent a open\n")
        .expect("written");
    let (tools, asked) = (repo.dir().join(".git/tools"), repo.dir().join(".git/asked"));
    std::fs::create_dir(&tools).expect("made");
    let path = repo.get("PATH");
    let script = format!("#!/bin/sh\necho \"$1\" >> {}\nPATH={path} exec git \"$@\"\n", asked.display());
    std::fs::write(tools.join("git"), script).expect("written");
    std::fs::set_permissions(tools.join("git"), std::fs::Permissions::from_mode(0o755)).expect("set");
    let mut many = repo.command(testbed::product());
    many.args(["sim", "run", "my.sim", "--seeds", "20"]).env("PATH", format!("{}:{path}", tools.display()));
    run(&mut many, LIMIT).ok();
    let asked = std::fs::read_to_string(asked).expect("git was run");
    assert_eq!(asked.matches("ls-files").count(), 1, "{asked}");
}
