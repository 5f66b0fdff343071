//! A command of a sim is killed at its changes on disk: the sim is as it was before the command or after it, and the next one works.
//!
//! `STREAM_TEST_KILLS` says how often; `make sims` does 50.

use std::process::Stdio;

use testbed::annex::{LIMIT, Repo};
use testbed::run::{Done, run};
use testbed::watch::Watch;

/// How many kills there are where nobody says it.
const FEW: usize = 12;

/// Commands that change a sim, each at most a few changes on disk.
const COMMANDS: [&[&str]; 5] = [
    &["step", "7"],
    &["addmulti", "30", "more", "1kb", "2kb", "a"],
    &["wanted", "b", "anything"],
    &["action", "a", "sync", "b"],
    &["wanted", "b", "not", "copies=1"],
];

fn sim(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(testbed::product()).arg("sim").args(words), LIMIT)
}

fn log(repo: &Repo) -> String {
    sim(repo, &["show"]).ok().stdout
}

#[test]
fn a_command_that_is_killed_was_done_or_was_not() {
    let kills = std::env::var("STREAM_TEST_KILLS").ok().and_then(|set| set.parse().ok()).unwrap_or(FEW);
    let repo = Repo::new();
    let script = "seed 1\ninit a\ninit b\nconnect a <-> b\naddmulti 2000 f 1kb 2mb a\nwanted a present\n";
    std::fs::write(repo.dir().join("my.sim"), script).expect("written");
    sim(&repo, &["start", "my.sim"]).ok();
    let dir = repo.dir().join(".git/annex/stream/sim");
    let (mut hits, mut done) = (0, 0);
    for nth in 0..kills {
        let words = COMMANDS[nth % COMMANDS.len()];
        let (before, kept) = (log(&repo), std::fs::read(dir.join("state")).expect("a state"));
        let mut watch = Watch::below(std::slice::from_ref(&dir));
        let mut command = repo.command(testbed::product());
        command.arg("sim").args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // Of a state that is begun, written, and given its name.
        watch.kill_at(child.id(), 1 + nth % 4);
        hits += usize::from(child.wait().expect("waited for").code().is_none());
        let now = log(&repo);
        // What it would have come to: seeds make it the same each time.
        std::fs::write(dir.join("state"), kept).expect("written");
        sim(&repo, words).ok();
        let after = log(&repo);
        assert!(now == before || now == after, "kill {nth}, {words:?}: the sim is neither as before nor as after");
        done += usize::from(now == after && before != after);
    }
    assert!(hits * 3 >= kills, "{hits} of {kills} kills hit");
    println!("{hits} of {kills} were killed, and {done} had been done");
    sim(&repo, &["end"]).ok();
    let left: Vec<_> = std::fs::read_dir(&dir).expect("there").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(left, ["lock"], "something was left of those that were killed");
}
