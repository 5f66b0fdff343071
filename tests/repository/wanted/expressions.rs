//! `matchexpression`, theirs and ours, also with what is malformed.

use super::chance::Chance;
use super::lab::Lab;
use super::number;
use testbed::annex::LIMIT;
use testbed::product;
use testbed::run::run;

/// Expressions where `STREAM_TEST_WANTED_EXPRESSIONS` says nothing else.
const EXPRESSIONS: usize = 500;

#[test]
fn matchexpression_ends_as_theirs_does() {
    let (seed, count) = (number("STREAM_TEST_SEED", 1), number("STREAM_TEST_WANTED_EXPRESSIONS", EXPRESSIONS));
    let lab = Lab::new(&mut Chance::new(seed as u64), 10);
    let work = |first: usize| -> [usize; 3] {
        let mut ends = [0; 3];
        for round in (first..count).step_by(2) {
            ends[compare(&lab, seed as u64 + round as u64)] += 1;
        }
        ends
    };
    let sums = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| work(0)), scope.spawn(|| work(1))];
        halves.map(|half| half.join().unwrap_or_else(|why| std::panic::resume_unwind(why)))
    });
    let ends: Vec<usize> = (0..3).map(|at| sums.iter().map(|sum| sum[at]).sum()).collect();
    eprintln!("{count} expressions: {} match, {} do not, {} cannot", ends[0], ends[1], ends[2]);
    assert!(count < 100 || ends.iter().all(|end| end * 10 > count), "{ends:?}: cases that prove little");
}

/// How both ended: 0 and 1, and 2 for 42.
fn compare(lab: &Lab, seed: u64) -> usize {
    let mut chance = Chance::new(seed);
    let expression = chance.expression(0, true);
    let mut words = vec!["matchexpression".to_string(), expression];
    let (file, key) = lab.files.iter().nth(chance.below(lab.files.len())).expect("there are some");
    if chance.below(6) > 0 {
        words.push(format!("--file={file}"));
    }
    if chance.below(6) > 0 {
        words.push(format!("--key={key}"));
    }
    if chance.below(3) == 0 {
        words.push(format!("--size={}", chance.one(&["99", "100", "1kb", "2 mib"])));
    }
    if chance.below(12) == 0 {
        words.extend(["--largefiles", "--mimetype=text/plain", "--mimeencoding=binary"].map(str::to_string));
    }
    if chance.below(6) == 0 {
        words.push("--rebalance".to_string());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let theirs = lab.repo.annex(&words);
    let ours = run(lab.repo.command(product()).args(&words).arg("--quiet"), LIMIT);
    assert_eq!(
        ours.status.code(),
        theirs.status.code(),
        "STREAM_TEST_SEED={seed}: {words:?}\n{}--- theirs\n{}--- ours\n{}",
        lab.told,
        theirs.all(),
        ours.all()
    );
    match ours.status.code() {
        Some(code @ (0 | 1)) => usize::try_from(code).expect("small"),
        Some(42) => 2,
        other => panic!("STREAM_TEST_SEED={seed}: {words:?}: {other:?}"),
    }
}
