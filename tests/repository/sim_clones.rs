//! Real clones come to an end that a sim comes to: `git annex sync --content`, `assist` or `satisfy`, round after round.
//!
//! A failure names its network. `STREAM_TEST_SEED` begins there, and `STREAM_TEST_SIM_CLONES` says how many there are; `make sims` does 50.

use std::collections::BTreeSet;

use testbed::annex::Repo;

use super::sims_annex::{Chance, Places, Run, ours};

/// How many networks there are where nobody says it.
const FEW: u64 = 2;

/// Seeds that are tried for the ends that a network may come to.
const SEEDS: u64 = 60;

/// Rounds within which real clones have to come to rest: what two want can travel over a third.
const ROUNDS: usize = 6;

const TERMS: [&str; 13] = [
    "anything",
    "nothing",
    "present",
    "include=*.x",
    "largerthan=10kb",
    "copies=1",
    "copies=2",
    "copies=g:1",
    "inallgroup=h",
    "onlyingroup=g",
    "lackingcopies=1",
    "balanced=g",
    "balanced=h:2",
];

/// What is configured: the number of copies, and groups and expression of each.
struct Wishes {
    numcopies: u64,
    each: Vec<(Vec<&'static str>, Option<String>)>,
}

fn wishes(chance: &mut Chance, count: usize) -> Wishes {
    let numcopies = 1 + chance.below(2);
    let one = |chance: &mut Chance| {
        let groups = ["g", "h"].into_iter().filter(|_| chance.below(2) == 0).collect();
        let mut words = Vec::new();
        for at in 0..=chance.below(2) {
            if at > 0 {
                words.push(chance.one(&["and", "or"]));
            }
            if chance.below(3) == 0 {
                words.push("not");
            }
            words.push(chance.one(&TERMS));
        }
        (groups, (chance.below(6) > 0).then(|| words.join(" ")))
    };
    Wishes { numcopies, each: (0..count).map(|_| one(chance)).collect() }
}

/// The clones, all of which are connected, with a file of each.
fn clones(count: usize) -> (Vec<Repo>, String) {
    let mut repos = vec![Repo::new()];
    let mut files = String::new();
    for at in 0..count {
        if at > 0 {
            repos.push(Repo::clone_of(&repos[0]));
            repos[at].git(&["remote", "rename", "origin", "r0"]).ok();
        }
        let (name, len) = [("one.x", 20_000), ("two.y", 2_000), ("three.y", 30_000)][at];
        let key = repos[at].add(name, at as u64 + 1, len);
        repos[at].git(&["commit", "--quiet", "--message", name]).ok();
        files += &format!("--stream key {name} {key}\nadd {name} {len}b r{at}\n");
    }
    for (at, repo) in repos.iter().enumerate() {
        for (other, to) in repos.iter().enumerate().filter(|(other, _)| *other != at && (at == 0 || *other > 0)) {
            repo.git(&["remote", "add", &format!("r{other}"), &to.dir().display().to_string()]).ok();
        }
    }
    (repos, files)
}

fn text(repos: &[Repo], wishes: &Wishes, files: &str) -> String {
    let mut text = "seed 1\n--stream placement stream\n".to_string();
    for (at, repo) in repos.iter().enumerate() {
        text += &format!("--stream uuid r{at} {}\ninit r{at}\n", repo.uuid());
    }
    for (at, (groups, wanted)) in wishes.each.iter().enumerate() {
        text.extend((0..repos.len()).filter(|other| *other != at).map(|other| format!("connect r{at} -> r{other}\n")));
        text.extend(groups.iter().map(|group| format!("group r{at} {group}\n")));
        text.extend(wanted.iter().map(|wanted| format!("wanted r{at} {wanted}\n")));
    }
    text + &format!("numcopies {}\n{files}step 500\n", wishes.numcopies)
}

fn places(repos: &[Repo]) -> Places {
    let of = |(at, repo): (usize, &Repo)| {
        let here = repo.annex(&["find", "--in", "here"]).ok().stdout;
        here.lines().map(|file| (format!("r{at}"), file.to_string())).collect::<Vec<_>>()
    };
    repos.iter().enumerate().flat_map(of).collect()
}

/// How a network was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// All seeds come to this end.
    OneEnd,
    /// The order decides which of the ends that seeds come to it is.
    OneOfSeveral,
    /// It was not: there are orders in which it goes on for ever, and neither does it rest in the real clones.
    GoesOn,
}

/// What brings clones further: each after a name for it.
const COMMANDS: [&[&[&str]]; 3] = [
    &[&["sync", "--quiet", "--content"]],
    &[&["assist", "--quiet"]],
    // It moves content alone.
    &[&["sync", "--quiet", "--no-content"], &["satisfy", "--quiet"]],
];

fn one(number: u64) -> Compared {
    let mut chance = Chance(number);
    let (repos, files) = clones(if number.is_multiple_of(3) { 3 } else { 2 });
    let begin: Places = places(&repos);
    // The first in which something happens in some order: one in which nothing ever does would show nothing.
    let drawn = (0..200).find_map(|_| {
        let wishes = wishes(&mut chance, repos.len());
        let text = text(&repos, &wishes, &files);
        let runs: Vec<Run> = (0..SEEDS).map(|seed| ours(&text, "", seed)).collect();
        let rests = runs.iter().all(|run| run.rests);
        let ends: BTreeSet<Places> = runs.into_iter().filter(|run| run.rests).map(|run| run.end).collect();
        (!rests || ends.iter().any(|end| *end != begin)).then_some((wishes, text, ends, rests))
    });
    let (wishes, text, ends, rests) = drawn.expect("something happens in one of two hundred");
    repos[0].annex(&["numcopies", "--quiet", &wishes.numcopies.to_string()]).ok();
    for (repo, (groups, wanted)) in repos.iter().zip(&wishes.each) {
        for words in groups.iter().map(|group| ["group", group]).chain(wanted.iter().map(|wanted| ["wanted", wanted])) {
            repos[0].annex(&[words[0], "--quiet", &repo.uuid(), words[1]]).ok();
        }
    }
    for _ in 0..2 {
        repos.iter().for_each(|repo| drop(repo.annex(&["sync", "--quiet", "--no-content"]).ok()));
    }
    let mut before = places(&repos);
    assert_eq!(before, begin);
    let commands = COMMANDS[(number / 2) as usize % COMMANDS.len()];
    for _ in 0..ROUNDS {
        for repo in &repos {
            // `satisfy` fails where something could not be dropped; what it comes to is looked at below.
            commands.iter().for_each(|words| drop(repo.annex(words)));
        }
        let now = places(&repos);
        if now == before {
            assert!(ends.contains(&now), "network {number}, {commands:?}:\n{text}\nreal: {now:?}\nsimulated: {ends:?}");
            return if ends.len() == 1 && rests { Compared::OneEnd } else { Compared::OneOfSeveral };
        }
        before = now;
    }
    assert!(
        !rests,
        "network {number}, {commands:?}, does not come to rest:\n{text}\nreal: {before:?}\nsimulated: {ends:?}"
    );
    Compared::GoesOn
}

#[test]
fn real_clones_come_to_an_end_that_is_simulated() {
    let count = std::env::var("STREAM_TEST_SIM_CLONES").ok().and_then(|set| set.parse().ok()).unwrap_or(FEW);
    let first: u64 = std::env::var("STREAM_TEST_SEED").ok().and_then(|set| set.parse().ok()).unwrap_or(1);
    let all: Vec<Compared> = (first..first + count).map(one).collect();
    let of = |how: Compared| all.iter().filter(|compared| **compared == how).count();
    let (one, several, left_out) = (of(Compared::OneEnd), of(Compared::OneOfSeveral), of(Compared::GoesOn));
    println!(
        "{count} networks from {first} on: {one} with one end, {several} with one of several, {left_out} that go on for ever"
    );
    assert!((one + several) * 10 >= all.len() * 8, "too many were not compared: {left_out} of {count}");
}
