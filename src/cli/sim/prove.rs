//! `sim prove`: files come to rest whatever happens in which order, or a sim file that shows how they do not.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::outside::Here;
use super::read;
use crate::sim::proof::{self, Late, Mutual, Proved, Refuted, Verdict};
use crate::sim::script::{Command, Line};
use crate::sim::{self, World};

pub(super) const EXAMPLES: &str = "\
Do the repositories of a sim file come to rest with every file, whatever happens?

  git-annex-remote-stream sim prove my.sim

In CI, so that a configuration that would move files for ever is never merged:

  git-annex-remote-stream sim prove site.sim || exit 1

Only who there is, who is connected, and what they want counts: files and steps of the sim file are passed over. Proved are:
files come to rest; with numcopies and mincopies copies, where there can be as many; required content is where it must be;
no last copy is dropped; nobody gets again what was dropped there. Where one of these is not so, a sim file is printed that
shows it, as small as it could be made; it can be run with sim run.

What is odd in the expressions is told, too, such as a group that nobody is in; it changes nothing about the verdict.

The exit status is 0 if it is proved, 1 if it is refuted, and 2 if it could not be decided, with what stood in the way.";

#[derive(Args)]
pub(super) struct Prove {
    /// The sim file. Default: the sim that was started.
    file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Refute also what comes to rest sooner or later, but could go on for ever if every pull came at the worst moment.
    #[arg(long)]
    strict: bool,
}

/// The most kinds of expressions that depend on each other that are told to people.
const MOST_TOLD: usize = 20;

/// What is told beside a verdict, and changes nothing about it.
pub(super) struct Notes {
    /// What is odd in the expressions.
    odd: Vec<String>,
    /// Which expressions depend on each other.
    depend: Vec<Mutual>,
    /// Why not all of those were looked for.
    depend_limit: Option<String>,
}

/// Expressions that depend on each other, as JSON has them.
#[derive(Serialize)]
struct Depend<'a> {
    repositories: Vec<Depending<'a>>,
    /// How many others depend on each other by the same terms.
    alike: usize,
}

/// One of these repositories.
#[derive(Serialize)]
struct Depending<'a> {
    name: &'a str,
    terms: &'a [String],
}

/// As JSON has it.
#[derive(Serialize)]
struct Shown<'a> {
    /// `proved`, `refuted` or `undecided`.
    verdict: &'static str,
    /// What is wrong, or what stood in the way.
    why: Option<String>,
    /// A sim file that shows it.
    script: Option<String>,
    classes: Option<usize>,
    states: Option<usize>,
    stale_states: Option<usize>,
    /// With stale knowledge: `rests`, `rests-sooner-or-later`, or `undecided`.
    stale: Option<&'static str>,
    /// Why stale knowledge was not looked at.
    stale_undecided: Option<String>,
    any_fullness: Option<bool>,
    /// What is odd in the expressions.
    odd: &'a [String],
    /// Which expressions depend on each other; of `check` alone.
    depend: Vec<Depend<'a>>,
    /// Why not all of those were looked for.
    depend_limit: Option<&'a str>,
}

pub(super) fn main(args: &Prove) -> ExitCode {
    let (mut verdict, odd) = match world(args) {
        Ok(Ok(world)) => (proof::prove(&world.network), proof::odd(&world.network)),
        Ok(Err(why)) => (Verdict::Undecided(why), Vec::new()),
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            return ExitCode::from(2);
        }
    };
    if let (true, Verdict::Proved(Proved { stale: Some(Late::Eventually(_, script)), .. })) = (args.strict, &verdict) {
        let why = "a file may go on for ever, if repositories hear of it at the worst moments".to_string();
        verdict = Verdict::Refuted(Refuted { fault: proof::Wrong::Circle, why, script: script.clone() });
    }
    if let (true, Verdict::Proved(Proved { stale: Some(Late::Undecided(why)), .. })) = (args.strict, &verdict) {
        verdict = Verdict::Undecided(format!("where repositories do not know of it at once, {why}"));
    }
    tell(&verdict, args.json, &Notes { odd, depend: Vec::new(), depend_limit: None });
    status(&verdict)
}

/// `sim check`: the repository that one is in.
pub(super) fn check(json: bool) -> ExitCode {
    let read = super::here::repository().and_then(|repository| {
        repository.branch().take_all();
        super::repository::read(&repository, 0)
    });
    let world = match read {
        Ok(world) => world,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            return ExitCode::from(2);
        }
    };
    let verdict = proof::prove(&world.network);
    let (network, most) = (&world.network, proof::MOST_CIRCLES);
    let depend_limit = (network.members.len() > most).then(|| {
        format!("only pairs that depend on each other were looked for: there are more than {most} repositories")
    });
    let notes = Notes { odd: proof::odd(network), depend: proof::depend(network), depend_limit };
    tell(&verdict, json, &notes);
    status(&verdict)
}

fn status(verdict: &Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Proved(_) => 0,
        Verdict::Refuted(_) => 1,
        Verdict::Undecided(_) => 2,
    })
}

/// What is to be proved, or why that cannot be told from the sim file.
fn world(args: &Prove) -> Result<Result<World, String>, String> {
    let Some(file) = &args.file else { return super::store()?.1.look().map(Ok) };
    let lines = read(file)?;
    let mut world = sim::begin(lines.first(), 0);
    // Why something that is drawn here would be another thing in a run.
    let mut drawn_otherwise = Some("no seed is set before it");
    // Outside of a repository, all but `use` works.
    let repository = super::here::repository().ok();
    for line in &lines {
        // Files do not matter, and steps could take long.
        let passes = matches!(
            line,
            Line::Comment(_)
                | Line::Command(
                    Command::AddTree(..)
                        | Command::Add { .. }
                        | Command::AddMulti { .. }
                        | Command::Step(_)
                        | Command::StepStable(_)
                        | Command::Action(_)
                        | Command::Present(..)
                        | Command::NotPresent(..)
                        | Command::Metadata(..)
                        | Command::Visit(..)
                )
        );
        match line {
            Line::Command(Command::Seed(_)) => drawn_otherwise = None,
            Line::Command(
                Command::AddMulti { .. } | Command::Step(_) | Command::StepStable(_) | Command::Action(_),
            ) => drawn_otherwise = Some("random numbers are drawn before it, by lines that are passed over"),
            Line::Command(Command::RandomExpression(..)) => {
                if let Some(why) = drawn_otherwise {
                    return Ok(Err(format!(
                        "`{line}` is another expression in another run: {why}; set a seed on the line before it"
                    )));
                }
            }
            _ => {}
        }
        if passes {
            continue;
        }
        let run = match &repository {
            Some(repository) => sim::run(&mut world, line, &mut Here::quiet(repository)),
            None if matches!(line, Line::Command(Command::Use(..))) => {
                return Err("`use` needs a repository, and there is none here".to_string());
            }
            None => sim::run(&mut world, line, &mut sim::Nowhere),
        };
        run.map_err(|e| e.to_string())?;
    }
    Ok(Ok(world))
}

/// Tells a verdict.
pub(super) fn tell(verdict: &Verdict, json: bool, notes: &Notes) {
    if json {
        println!("{}", serde_json::to_string_pretty(&shown(verdict, notes)).expect("strings and numbers"));
        return;
    }
    match verdict {
        Verdict::Proved(proved) => println!("{}", sentence(proved)),
        Verdict::Refuted(refuted) => println!("Refuted: {}.", refuted.why),
        Verdict::Undecided(why) => println!("Not decided: {why}."),
    }
    notes.odd.iter().for_each(|odd| println!("Odd: {odd}."));
    notes.depend.iter().take(MOST_TOLD).for_each(|depend| println!("Depend: {depend}."));
    if let Some(more) = notes.depend.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        println!("Depend: {more} more kinds, which --json tells.");
    }
    if let Some(limit) = &notes.depend_limit {
        println!("Depend: {limit}.");
    }
    if let Verdict::Refuted(refuted) = verdict {
        println!();
        // The last, and bytes as they are, so that it can be saved and run.
        drop(io::stdout().write_all(&refuted.script));
    }
}

fn sentence(proved: &Proved) -> String {
    let Proved { classes, states, stale, any_fullness } = proved;
    let stale = match stale {
        Some(Late::Rests(states)) => format!("\nAlso where repositories do not know of it at once: {states} states."),
        Some(Late::Eventually(states, _)) => format!(
            "\nWhere repositories do not know of it at once, files come to rest sooner or later: from each of {states} states \
             they can. There is an order in which they would not; --strict shows it."
        ),
        Some(Late::Undecided(why)) => format!("\nNot decided where repositories do not know of it at once: {why}."),
        None => {
            let most = proof::MOST_STALE;
            format!("\nTaken that everybody knows at once what happened: there are more than {most} repositories.")
        }
    };
    let sizes = match any_fullness {
        true => "\nRepositories were taken to be as full as they may be, but not to fill meanwhile.",
        false => "",
    };
    format!(
        "Proved: files come to rest, with copies enough, and stay there ({classes} classes of files, {states} states).{stale}{sizes}"
    )
}

fn depend(mutual: &Mutual) -> Depend<'_> {
    let links = mutual.links.iter();
    let repositories = links.map(|link| Depending { name: &link.repository, terms: &link.terms }).collect();
    Depend { repositories, alike: mutual.alike }
}

fn shown<'a>(verdict: &Verdict, notes: &'a Notes) -> Shown<'a> {
    let empty = Shown {
        verdict: "undecided",
        why: None,
        script: None,
        classes: None,
        states: None,
        stale_states: None,
        stale: None,
        stale_undecided: None,
        any_fullness: None,
        odd: &notes.odd,
        depend: notes.depend.iter().map(depend).collect(),
        depend_limit: notes.depend_limit.as_deref(),
    };
    match verdict {
        Verdict::Proved(Proved { classes, states, stale, any_fullness }) => Shown {
            verdict: "proved",
            classes: Some(*classes),
            states: Some(*states),
            stale_states: match stale {
                Some(Late::Rests(states) | Late::Eventually(states, _)) => Some(*states),
                _ => None,
            },
            stale: stale.as_ref().map(|stale| match stale {
                Late::Rests(_) => "rests",
                Late::Eventually(..) => "rests-sooner-or-later",
                Late::Undecided(_) => "undecided",
            }),
            stale_undecided: match stale {
                Some(Late::Undecided(why)) => Some(why.clone()),
                _ => None,
            },
            any_fullness: Some(*any_fullness),
            ..empty
        },
        Verdict::Refuted(Refuted { why, script, .. }) => Shown {
            verdict: "refuted",
            why: Some(why.clone()),
            script: Some(String::from_utf8_lossy(script).into_owned()),
            ..empty
        },
        Verdict::Undecided(why) => Shown { why: Some(why.clone()), ..empty },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that are passed over draw random numbers, too: behind them another expression would be proved than is run.
    #[test]
    fn an_expression_that_a_run_draws_otherwise_is_not_proved() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("x.sim");
        const DRAWN: &str = "randomwanted b present anything nothing\n";
        for (text, is_told) in [
            (format!("seed 1\ninit a\ninit b\n{DRAWN}"), true),
            (format!("init a\ninit b\n{DRAWN}"), false),
            (format!("init a\ninit b\nseed 1\n{DRAWN}"), true),
            (format!("seed 1\ninit a\ninit b\nadd f 1kb a\n{DRAWN}"), true),
            (format!("seed 1\ninit a\ninit b\naddmulti 2 f 1kb 2kb a\n{DRAWN}"), false),
            (format!("seed 1\ninit a\ninit b\naddmulti 2 f 1kb 2kb a\nseed 2\n{DRAWN}"), true),
            (format!("seed 1\ninit a\ninit b\nstep 3\n{DRAWN}"), false),
            ("init a\ninit b\naddmulti 2 f 1kb 2kb a\nwanted a anything\n".to_string(), true),
        ] {
            std::fs::write(&file, &text).expect("written");
            let found = world(&Prove { file: Some(file.clone()), json: false, strict: false }).expect("it is read");
            assert_eq!(found.is_ok(), is_told, "{text}");
        }
    }
}
