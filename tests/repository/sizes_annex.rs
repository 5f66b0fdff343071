//! Sizes of repositories beside the real git-annex: what `maxsize` says and records, sums after changes by both programs, and
//! many processes that reserve room at once.
//!
//! `STREAM_TEST_OPERATIONS` says how many random changes are made (`make sizes`: 10,000), `STREAM_TEST_SEED` where they begin.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use git_annex_remote_stream::annex::branch::Edit;
use git_annex_remote_stream::annex::log::{LocationLog, LogHashing, Presence, location_file};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::annex::sizes::{Sizes, Usage};
use git_annex_remote_stream::name::{Key, Uuid};

use testbed::annex::{LIMIT, Repo};
use testbed::product;
use testbed::run::{Done, run};

fn ours(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(product()).arg("maxsize").args(words), LIMIT)
}

/// maxsize.log, the seconds left out.
fn log(repo: &Repo) -> Vec<String> {
    let log = repo.git(&["show", "git-annex:maxsize.log"]).stdout;
    log.lines().map(|line| line.split_once(' ').map_or(line, |(_, rest)| rest).to_string()).collect()
}

/// The same repository in two places: with remotes, a cluster, one that is dead, and content.
fn twins() -> (Repo, Repo, tempfile::TempDir) {
    let (theirs, ours) = (Repo::new(), Repo::new());
    let place = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", place.path().display());
    for name in ["d1", "d2", "d3"] {
        theirs.annex(&["initremote", name, "type=directory", &directory, "encryption=none"]).ok();
    }
    theirs.annex(&["describe", "d2", "a drive"]).ok();
    theirs.annex(&["dead", "d3", "--force"]).ok();
    theirs.annex(&["initcluster", "clu"]).ok();
    for (name, len) in [("f1", 1000), ("f2", 2500), ("f3", 0)] {
        std::fs::write(theirs.dir().join(name), vec![7; len]).expect("written");
    }
    theirs.annex(&["add", "--quiet", "."]).ok();
    theirs.git(&["commit", "--quiet", "-m", "files"]).ok();
    theirs.annex(&["copy", "--quiet", "--to", "d1", "f2"]).ok();
    std::fs::remove_dir_all(ours.dir()).expect("removed");
    let copied = Command::new("cp").arg("-a").arg(theirs.dir()).arg(ours.dir()).status();
    assert!(copied.expect("cp runs").success());
    (theirs, ours, place)
}

#[test]
fn maxsize_says_and_records_what_theirs_does() {
    let (theirs, mine, _place) = twins();
    let d2 = theirs.git(&["config", "remote.d2.annex-uuid"]).ok().stdout.trim().to_string();
    for words in [
        &[][..],
        &["--bytes"],
        &["--json"],
        &["here"],
        &["here", "--json"],
        &["here", "1.5 kb"],
        &["here"],
        &["here", "--bytes"],
        &["here", "--json"],
        &["d1", "2499"],
        &["a drive", "10 GiB"],
        &[&d2],
        &[&d2, "--json"],
        &["d3", "5kb"],
        &["d3"],
        &["cluster clu", "7mb", "--json"],
        &["web", "0"],
        &[],
        &["--bytes"],
        &["--json"],
        &["here", "zzz"],
        &["here", "zzz", "--json"],
        &["clu"],
        &["nobody", "5"],
        &[""],
        &["here", "1 YiB"],
        &["here"],
        &["here", "0"],
        &[],
    ] {
        let (their, our) = (theirs.annex(&[&["maxsize"], words].concat()), ours(&mine, words));
        assert_eq!(their.status.success(), our.status.success(), "{words:?}: {} {}", their.all(), our.all());
        assert_eq!(their.stdout, our.stdout, "{words:?}");
        assert_eq!(our.status.success(), our.stderr.is_empty(), "{words:?}: {}", our.stderr);
        assert_eq!(log(&theirs), log(&mine), "{words:?}");
    }
    // What one set, the other changes.
    theirs.annex(&["maxsize", "d1", "1gb"]).ok();
    ours(&theirs, &["d1", "2gb"]).ok();
    assert_eq!(theirs.annex(&["maxsize", "d1", "--bytes"]).ok().stdout, "2000000000\n");
    theirs.annex(&["maxsize", "d1", "3gb"]).ok();
    assert_eq!(ours(&theirs, &["d1", "--bytes"]).ok().stdout, "3000000000\n");
}

/// Numbers by chance that are the same again for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

fn key(n: usize, bytes: usize) -> Key {
    let text = if n % 9 == 8 { format!("XYZ--x{n}") } else { format!("SHA256E-s{bytes}--x{n}") };
    Key::parse(text.as_bytes()).expect("a key")
}

fn uuid(n: usize) -> Uuid {
    Uuid::parse(format!("{n:08}-0000-4000-8000-000000000000").as_bytes()).expect("a uuid")
}

/// Records with our program's code whether each uuid has each key.
fn record(repository: &Repository, changes: &[(Key, Uuid, bool)]) {
    let edit = |(key, uuid, has): &(Key, Uuid, bool)| {
        let (uuid, presence) = (uuid.clone(), if *has { Presence::Present } else { Presence::Missing });
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        Edit::new(location_file(key, LogHashing::TwoLevels), move |log| {
            let mut log = LocationLog::parse(log);
            log.set(&uuid, presence, now).then(|| log.to_bytes())
        })
    };
    repository.branch().change(changes.iter().map(edit).collect()).unwrap_or_else(|e| panic!("{e}"));
}

/// Records the same with git-annex.
fn record_theirs(repo: &Repo, changes: &[(Key, Uuid, bool)], commits: bool) {
    let setting = format!("annex.alwayscommit={commits}");
    let mut command = repo.annex_command(&["setpresentkey", "--batch", "-c", &setting]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("git-annex starts");
    let mut lines = child.stdin.take().expect("it is piped");
    for (key, uuid, has) in changes {
        writeln!(lines, "{key} {uuid} {}", u8::from(*has)).expect("it listens");
    }
    drop(lines);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn sums_equal_theirs_after_any_mixture_of_both_programs() {
    let count = number("STREAM_TEST_OPERATIONS").unwrap_or(150) as usize;
    let seed = number("STREAM_TEST_SEED").unwrap_or(1);
    println!("STREAM_TEST_SEED={seed} STREAM_TEST_OPERATIONS={count}");
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let repo = Repo::new();
    let clone = Repo::clone_of(&repo);
    let sizes = Sizes::new(Arc::new(Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}"))));
    let (mut done, mut round) = (0, 0);
    while done < count {
        round += 1;
        let some = 1 + chance.below(30);
        let changes: Vec<(Key, Uuid, bool)> = (0..some)
            .map(|_| {
                let n = chance.below(count / 2 + 5);
                (key(n, n * n + 1), uuid(chance.below(6)), chance.below(3) > 0)
            })
            .collect();
        let repository = Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}"));
        match chance.below(8) {
            0 | 1 => record_theirs(&repo, &changes, true),
            2 => record_theirs(&repo, &changes, false),
            3 | 4 => record(&repository, &changes),
            5 | 6 => {
                record(&repository, &changes);
                repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
            }
            _ => {
                // From elsewhere, where other things were recorded meanwhile.
                record_theirs(&clone, &changes, true);
                clone.git(&["push", "--quiet", "--force", "origin", "git-annex:synced/git-annex"]).ok();
            }
        }
        done += some;
        let ours_first = chance.below(2) == 0;
        let ask_ours = || ours(&repo, &["--bytes"]).ok().stdout;
        let before = ours_first.then(ask_ours);
        let theirs = sums(&repo.annex(&["maxsize", "--bytes"]).ok().stdout);
        let words = format!("STREAM_TEST_SEED={seed} STREAM_TEST_OPERATIONS={count}, round {round}");
        assert_eq!(sums(&before.unwrap_or_else(ask_ours)), theirs, "{words}");
        let kept: BTreeMap<String, i128> = sizes
            .recorded()
            .unwrap_or_else(|e| panic!("{e}"))
            .into_iter()
            .map(|(uuid, amount)| (uuid.to_string(), amount.bytes))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        assert_eq!(kept, theirs, "{words}: one that was open all the time");
    }
}

/// The sizes in a table of bytes, without those that are empty: git-annex lists who had something once.
fn sums(table: &str) -> BTreeMap<String, i128> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let bytes: i128 = words.next()?.parse().ok()?;
        let uuid = words.find(|word| word.len() == 36)?;
        (bytes > 0).then(|| (uuid.to_string(), bytes))
    };
    table.lines().filter_map(row).collect()
}

/// How many processes upload at once.
const PROCESSES: usize = 64;

/// How many uploads each begins.
const UPLOADS: usize = 3;

/// How much the repository may hold. Fewer uploads fit than are begun.
const MAX: u64 = 1000;

const BYTES: u64 = 10;

fn content(process: usize, n: usize) -> Key {
    Key::parse(format!("SHA256E-s{BYTES}--p{process}-{n}").as_bytes()).expect("a key")
}

fn fits(usage: &Usage) -> Vec<Uuid> {
    if usage.fits(&uuid(1), MAX) { vec![uuid(1)] } else { Vec::new() }
}

#[test]
#[ignore = "another test runs it in many processes at once"]
fn a_process_that_uploads() {
    let number = number("STREAM_TEST_PROCESS").expect("which one") as usize;
    let here = std::env::current_dir().expect("there is one");
    let repository = Arc::new(Repository::open(&here).unwrap_or_else(|e| panic!("{e}")));
    let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
    let mut stored = 0;
    for n in 0..UPLOADS {
        let key = content(number, n);
        let reserved = sizes.reserve(&key, BYTES, &[uuid(1)], &mut fits).unwrap_or_else(|e| panic!("{e}"));
        if reserved.chosen().next().is_none() {
            continue;
        }
        if number % 8 == 7 && n == UPLOADS - 1 {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("it may");
        }
        if (number + n) % 5 != 4 {
            record(&repository, &[(key, uuid(1), true)]);
            stored += 1;
        }
        drop(reserved);
    }
    if number.is_multiple_of(16) {
        repository.branch().commit("update").unwrap_or_else(|e| panic!("{e}"));
    }
    println!("STORED={stored}.");
}

#[test]
fn sixty_four_processes_at_once_never_fill_a_repository_beyond_its_limit() {
    let repo = Repo::new();
    let repository = Arc::new(Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}")));
    record(&repository, &[(content(PROCESSES, 0), uuid(1), true)]);
    let own = std::env::current_exe().expect("the tests have a path");
    let start = |n: usize| {
        let mut command = repo.command(&own);
        command.args(["--exact", "--ignored", "--nocapture", "sizes_annex::a_process_that_uploads"]);
        command.env("STREAM_TEST_PROCESS", n.to_string()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let running: Vec<_> = (0..PROCESSES).map(start).collect();
    let (mut killed, mut printed) = (0, 0);
    for child in running {
        let done = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&done.stdout);
        if done.status.signal() == Some(9) {
            killed += 1;
            continue;
        }
        assert!(done.status.success(), "{said} {}", String::from_utf8_lossy(&done.stderr));
        let stored = said.split_once("STORED=").and_then(|(_, rest)| rest.split_once('.'));
        printed += stored.expect("it says what it stored").0.parse::<i128>().expect("a number");
    }
    println!("{killed} were killed, the others stored {printed}");
    let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
    let held = || sizes.recorded().unwrap_or_else(|e| panic!("{e}"))[&uuid(1)].bytes;
    let stored = held();
    assert!(stored <= i128::from(MAX), "{stored}");
    assert!(stored >= (printed + 1) * i128::from(BYTES), "{stored}: what was stored is recorded");
    // What those kept who were killed is free, and not a byte more.
    for n in 0.. {
        let key = content(PROCESSES + 1, n);
        let reserved = sizes.reserve(&key, BYTES, &[uuid(1)], &mut fits).unwrap_or_else(|e| panic!("{e}"));
        if reserved.chosen().next().is_none() {
            break;
        }
        record(&repository, &[(key, uuid(1), true)]);
    }
    assert_eq!(held(), i128::from(MAX));
    assert_eq!(sums(&repo.annex(&["maxsize", "--bytes"]).ok().stdout)[&uuid(1).to_string()], i128::from(MAX));
}
