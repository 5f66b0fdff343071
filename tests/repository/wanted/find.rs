//! `find --want-get-by` and `--want-drop-by`, with and without `--rebalance`, beside our answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::gateway::wanted::{Counted, FactSource, Policies};
use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::wanted::Assumed;

use super::chance::Chance;
use super::lab::Lab;
use super::number;

/// Repositories where `STREAM_TEST_WANTED_REPOSITORIES` says nothing else.
const REPOSITORIES: usize = 20;
const KEYS: usize = 40;

#[test]
fn find_lists_what_we_say_is_wanted() {
    let (seed, count) = (number("STREAM_TEST_SEED", 1), number("STREAM_TEST_WANTED_REPOSITORIES", REPOSITORIES));
    let work = |first: usize| -> (usize, usize) {
        let (mut asked, mut yes) = (0, 0);
        for round in (first..count).step_by(2) {
            let seed = seed as u64 + round as u64;
            let (more, wanted) = compare(&Lab::new(&mut Chance::new(seed), KEYS), seed);
            (asked, yes) = (asked + more, yes + wanted);
        }
        (asked, yes)
    };
    let sums = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| work(0)), scope.spawn(|| work(1))];
        halves.map(|half| half.join().unwrap_or_else(|why| std::panic::resume_unwind(why)))
    });
    let (asked, yes) = sums.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    eprintln!("{asked} answers in {count} repositories, {yes} of them yes");
    assert!(count < 10 || yes * 10 > asked && yes * 10 < asked * 9, "{yes} of {asked}: cases that prove little");
}

/// How many answers were compared, and how many are yes.
fn compare(lab: &Lab, seed: u64) -> (usize, usize) {
    let repository = Arc::new(Repository::open(&lab.repo.dir()).unwrap_or_else(|e| panic!("{e}")));
    let sizes = Counted::new(&repository);
    let source = FactSource::new(&repository, &sizes);
    let (mut asked, mut yes) = (0, 0);
    for rebalance in [false, true] {
        let policy = Policies::new(rebalance).current(&repository).expect("readable");
        for uuid in &lab.uuids {
            let repo = policy.repo(&Uuid::parse(uuid.as_bytes()).expect("a uuid")).expect("it is known");
            for want in ["get", "drop"] {
                let option = format!("--want-{want}-by={uuid}");
                let words: Vec<&str> =
                    ["find", &option].into_iter().chain(rebalance.then_some("--rebalance")).collect();
                let found = lab.repo.annex(&words).ok().stdout;
                let theirs: BTreeSet<&str> = found.lines().collect();
                for (file, key) in &lab.files {
                    let key = Key::parse(key.as_bytes()).expect("a key");
                    let facts = source.about(key, Some(file.as_bytes().to_vec()));
                    let question = policy.about(&facts);
                    let ours = match want {
                        "get" => {
                            question.wants(repo, Assumed::NOTHING).map(|wants| wants && policy.is_configured(repo))
                        }
                        _ => question.keeps(repo, Assumed::NOTHING).map(|keeps| !keeps),
                    };
                    let ours = ours.unwrap_or_else(|e| panic!("STREAM_TEST_SEED={seed}: {file}: {e}"));
                    let repository = lab.repo.dir();
                    assert_eq!(
                        ours,
                        theirs.contains(file.as_str()),
                        "STREAM_TEST_SEED={seed}: {words:?} {file} {} in {}\n{}{:?}",
                        lab.files[file],
                        repository.display(),
                        lab.told,
                        question.explain_wants(repo, Assumed::NOTHING).map(|found| found.tree.to_string())
                    );
                    asked += 1;
                    yes += usize::from(ours);
                }
            }
        }
    }
    (asked, yes)
}
