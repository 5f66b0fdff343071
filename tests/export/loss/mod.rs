//! Random operations of clients, pushers, strangers and accidents against a model: what a client was told is stored is never
//! lost.
//!
//! Exports of files of one length, twins and case twins, edits by strangers, removals, kills of servers at what they do, stores
//! that go away, two servers in containers on one repository, and a second repository that is a gateway to the same stores.
//! Nothing is lost, denied or mixed up, the location logs are right, and strangers destroy what they touch and nothing else.
//!
//! A failure names its seed. `STREAM_TEST_SEED` begins there (`random`: anywhere), `STREAM_TEST_OPERATIONS` says how many
//! operations there are, `STREAM_TEST_ONLY=3,7-9` does only those, and `STREAM_TEST_SHRINK=40` leaves out what is not needed, in
//! so many runs. `STREAM_TEST_TELL` tells of each. `STREAM_TEST_WORLDS` rounds are done side by side. `make loss` does 10,000
//! for each store.

mod check;
mod drive;
mod model;
mod operations;
mod shrink;
mod trees;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use operations::Operation;
use testbed::servers::unique;
use world::{Kind, LARGE, keys};

/// Operations in one world, which is then left: so no run that is shrunk is longer.
const ROUND: usize = 250;

/// After how many operations it is looked at: a glance, and the whole.
const EVERY: [usize; 2] = [12, 50];

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<usize> {
    variable(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn say(words: &str) {
    eprintln!("{words}");
}

/// `3,7-9`.
fn is_wanted(only: &str, nth: usize) -> bool {
    only.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let parse = |word: &str| word.trim().parse::<usize>().expect("STREAM_TEST_ONLY is of numbers");
        (parse(first)..=parse(last)).contains(&nth)
    })
}

/// A round that found something, in the words that repeat it.
fn round(kind: Kind, seed: u64, length: usize) -> Option<String> {
    let every = number("STREAM_TEST_EVERY").map_or(EVERY, |every| [every; 2]);
    let only = variable("STREAM_TEST_ONLY");
    let mut all: Vec<(usize, Operation)> =
        operations::operations(seed, length, keys().len(), LARGE).into_iter().enumerate().collect();
    all.retain(|(nth, _)| only.as_deref().is_none_or(|only| is_wanted(only, *nth)));
    say(&format!("{kind:?}: STREAM_TEST_SEED={seed} STREAM_TEST_OPERATIONS={length}"));
    let findings = shrink::run_once(kind, &all, every);
    let finding = findings.first()?;
    let last = findings.iter().map(|finding| finding.after).max().unwrap_or_default();
    all.retain(|(nth, _)| *nth <= last);
    say(&format!("{kind:?}: seed {seed}: {:?} after {}: {}", finding.class, finding.after, finding.words));
    if let Some(tries) = number("STREAM_TEST_SHRINK") {
        all = shrink::shrink(kind, &all, finding.class, every, tries);
    }
    let numbers: Vec<String> = all.iter().map(|(nth, _)| nth.to_string()).collect();
    let steps: Vec<String> = all.iter().map(|(nth, operation)| format!("  {nth}: {operation:?}")).collect();
    let others: Vec<String> = findings
        .iter()
        .map(|finding| format!("{:?} after {}: {}", finding.class, finding.after, finding.words))
        .collect();
    Some(format!(
        "STREAM_TEST_SEED={seed} STREAM_TEST_OPERATIONS={length} STREAM_TEST_ONLY={}\n{}\n{}",
        numbers.join(","),
        steps.join("\n"),
        others.join("\n")
    ))
}

fn never_loses(kind: Kind, short: usize) {
    let first: u64 = match variable("STREAM_TEST_SEED").as_deref() {
        Some("random") => unique("").bytes().fold(7, |seed, byte| (seed * 131 + u64::from(byte)) % 1_000_000_007),
        Some(seed) => seed.parse().expect("STREAM_TEST_SEED is a number"),
        None => 1,
    };
    let count = number("STREAM_TEST_OPERATIONS").unwrap_or(short);
    let begun = std::time::Instant::now();
    let rounds = count.div_ceil(ROUND);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let world = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= rounds {
                return;
            }
            if let Some(words) = round(kind, first + nth as u64, ROUND.min(count - nth * ROUND)) {
                failed.lock().expect("no holder panics").push(words);
            }
        }
    };
    // Most of a round is waiting: for what the dead may still do, and for stores that say nothing.
    std::thread::scope(|scope| {
        (0..number("STREAM_TEST_WORLDS").unwrap_or(1).clamp(1, rounds.max(1))).for_each(|_| drop(scope.spawn(world)));
    });
    let failed = failed.into_inner().expect("no holder panics");
    let took = begun.elapsed();
    let rate = count as f64 / took.as_secs_f64();
    say(&format!(
        "{kind:?}: {count} operations in {took:?}, {rate:.1} in a second; {} of {rounds} rounds failed",
        failed.len()
    ));
    assert!(failed.is_empty(), "{kind:?}:\n{}", failed.join("\n\n"));
}

#[test]
fn directories_lose_nothing() {
    never_loses(Kind::Fs, 60);
}

#[test]
fn seaweedfs_loses_nothing() {
    never_loses(Kind::Weed, 36);
}

#[test]
fn rclone_s3_loses_nothing() {
    never_loses(Kind::RcloneS3, 40);
}

#[test]
fn webdav_loses_nothing() {
    never_loses(Kind::Webdav, 24);
}

#[test]
fn webdav_that_folds_case_loses_nothing() {
    never_loses(Kind::Folding, 24);
}
