//! `sim fuzz`: random networks that are proved and run, and of which the refuted ones are kept.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::sim::proof::{Late, MOST_STALE, Proved, Refuted, Verdict, prove};
use crate::sim::random::Generator;
use crate::sim::script::{self, Line, Name};
use crate::sim::{self, Nowhere, World, guess};

pub(super) const EXAMPLES: &str = "\
Which combinations of these terms never come to rest?

  git-annex-remote-stream sim fuzz present copies=backup:1 inallgroup=backup standard --keep found

Networks of two to four repositories are made of the terms by chance, each perhaps negated, joined by and and or; each is proved, and
what is proved is run too. What is refuted is shrunk and kept once for each set of expressions. It goes on until it is stopped, or for
--networks N. The exit status is 0 if nothing was refuted, and 1 otherwise.";

#[derive(Args)]
pub(super) struct Fuzz {
    /// Terms of preferred content, such as copies=2.
    #[arg(required = true, value_name = "TERM")]
    terms: Vec<OsString>,
    /// Stop after so many networks.
    #[arg(long, value_name = "N", value_parser = crate::cli::count::from_one::<u64>)]
    networks: Option<u64>,
    /// Begin with this network. Default: one by chance.
    #[arg(long, value_name = "N")]
    seed: Option<i64>,
    /// Write what is refuted to sim files in this directory, and not to stdout.
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
}

/// What came of the networks so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    proved: u64,
    refuted: u64,
    undecided: u64,
    /// Proved, and a run showed otherwise.
    wrong: u64,
    /// Expressions of what was refuted.
    known: BTreeSet<Vec<Vec<u8>>>,
}

pub(super) fn main(args: &Fuzz) -> ExitCode {
    match fuzz(args) {
        Ok(found) => {
            let Found { proved, refuted, undecided, wrong, known } = &found;
            let kinds = known.len();
            println!(
                "{proved} proved, {refuted} refuted in {kinds} ways, {undecided} not decided, {wrong} proved wrongly"
            );
            ExitCode::from(u8::from(refuted + wrong > 0))
        }
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::from(2)
        }
    }
}

fn fuzz(args: &Fuzz) -> Result<Found, String> {
    let terms: Vec<Name> = args.terms.iter().map(|term| Name::from(term.as_bytes())).collect();
    for term in &terms {
        let words: Vec<&[u8]> = term.split(u8::is_ascii_whitespace).collect();
        script::parse_words(&[&[&b"wanted"[..], b"r0"], &words[..]].concat()).map_err(|e| e.to_string())?;
    }
    let first = args.seed.map_or_else(super::drawn, Ok)?;
    let mut found = Found::default();
    let mut keep = |number: i64, why: &str, script: &[u8]| keep(args.keep.as_deref(), number, why, script);
    for number in 0..args.networks.unwrap_or(u64::MAX) {
        one(first.wrapping_add_unsigned(number), &terms, MOST_STALE, &mut found, &mut keep)?;
    }
    Ok(found)
}

/// The network of a number, of so many repositories at most.
fn one(number: i64, terms: &[Name], most: usize, found: &mut Found, keep: &mut Keep<'_>) -> Result<(), String> {
    let mut random = Generator::new(number);
    let lines = guess::network(&mut random, terms, most);
    let mut world = sim::begin(lines.first(), 0);
    play(&mut world, &lines)?;
    match prove(&world.network) {
        Verdict::Undecided(_) => found.undecided += 1,
        Verdict::Refuted(Refuted { why, script, .. }) => {
            found.refuted += 1;
            if found.known.insert(expressions(&script)) {
                keep(number, &why, &script)?;
            }
        }
        Verdict::Proved(Proved { stale, .. }) => {
            found.proved += 1;
            let names: Vec<Name> = world.network.members.iter().map(|member| member.name.clone()).collect();
            play(&mut world, &guess::files(&mut random, &names))?;
            // What rests sooner or later may take longer than these steps.
            let must_rest = matches!(stale, Some(Late::Rests(_)) | None);
            if let Some(why) = otherwise(&mut world, must_rest)? {
                found.wrong += 1;
                keep(number, &format!("proved, and in a run {why}"), &sim::log(&world))?;
            }
        }
    }
    Ok(())
}

type Keep<'a> = dyn FnMut(i64, &str, &[u8]) -> Result<(), String> + 'a;

fn play(world: &mut World, lines: &[Line]) -> Result<(), String> {
    lines.iter().try_for_each(|line| sim::run(world, line, &mut Nowhere)).map_err(|e| e.to_string())
}

/// What a run came to that a proof had excluded.
fn otherwise(world: &mut World, must_rest: bool) -> Result<Option<&'static str>, String> {
    let has = |world: &World, file: u32| (0..world.network.members.len()).any(|repo| world.knowledge.has(repo, file));
    if world.files.current().any(|file| !has(world, file)) {
        return Ok(Some("the last copy was dropped"));
    }
    if must_rest {
        // Nothing is left to do after all those steps.
        play(world, &[Line::Command(script::Command::StepStable(0))])?;
    }
    Ok(world.failed.then_some("it did not come to rest"))
}

/// What is wanted, whoever wants it: the same fault is found in many networks.
fn expressions(script: &[u8]) -> Vec<Vec<u8>> {
    let wants = |line: &[u8]| {
        let rest = line.strip_prefix(b"wanted ")?;
        let at = rest.iter().position(|byte| *byte == b' ')?;
        Some(rest[at + 1..].to_vec())
    };
    let mut all: Vec<Vec<u8>> = script.split(|byte| *byte == b'\n').filter_map(wants).collect();
    all.sort_unstable();
    all
}

fn keep(dir: Option<&Path>, number: i64, why: &str, script: &[u8]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let told = |e: io::Error| format!("tell what was found: {e}");
    let Some(dir) = dir else {
        write!(out, "{number}: {why}.\n\n").and_then(|()| out.write_all(script)).map_err(told)?;
        return writeln!(out).map_err(told);
    };
    let path = dir.join(format!("{number}.sim"));
    let failed = |e: io::Error| format!("{}: {e}", path.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(&path, script).map_err(failed)?;
    writeln!(out, "{}: {why}.", path.display()).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proved_of_random_networks_shows_in_runs() {
        let terms = ["anything", "present", "copies=g:1", "copies=h:1", "include=*.x", "balanced=g", "copies=2"];
        let terms: Vec<Name> = terms.map(|term| term.as_bytes().into()).to_vec();
        let mut found = Found::default();
        let mut kept = Vec::new();
        for number in 0..60 {
            let mut keep = |number: i64, why: &str, script: &[u8]| {
                kept.push((number, why.to_string(), script.to_vec()));
                Ok(())
            };
            one(number, &terms, 3, &mut found, &mut keep).expect("it runs");
        }
        assert_eq!(found.wrong, 0, "{kept:?}");
        assert!(found.proved > 10 && found.refuted > 0, "{found:?}");
        assert_eq!(kept.len(), found.known.len());
        for (number, why, script) in kept {
            let text = String::from_utf8(script).expect("text");
            let lines: Vec<Line> = text.lines().map(|line| script::parse(line.as_bytes()).expect("a line")).collect();
            let mut world = sim::begin(lines.first(), 0);
            play(&mut world, &lines).unwrap_or_else(|e| panic!("{number}, {why}: {e}\n{text}"));
            assert!(!world.failed, "{number}, {why}: it does not show\n{text}");
        }
    }

    #[test]
    fn a_term_that_is_none_is_refused() {
        let args = Fuzz { terms: vec!["copees=1".into()], networks: Some(1), seed: Some(1), keep: None };
        assert!(fuzz(&args).expect_err("it is none").contains("copees"));
    }
}
