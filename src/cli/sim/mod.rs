//! `sim`: what a network of repositories will do, tried out as `git annex sim` does.

mod course;
mod fuzz;
mod outside;
mod prove;
mod repository;
mod seeds;
mod store;
mod visit;
mod whatif;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::here;
use crate::annex::repository::Repository;
use crate::name::Uuid;
use crate::sim::script::{self, Command, Line, Problem};
use crate::sim::{self, World};
use outside::Here;
use store::Store;

pub(super) const EXAMPLES: &str = "\
Try a sim file of git-annex, as git annex sim run does:

  git-annex-remote-stream sim run my.sim

Step by step, looking around in a simulated repository:

  git-annex-remote-stream sim start my.sim
  git-annex-remote-stream sim step 10
  git-annex-remote-stream sim visit foo git annex whereis
  git-annex-remote-stream sim show
  git-annex-remote-stream sim end

What comes out with a hundred other seeds?

  git-annex-remote-stream sim run my.sim --seeds 100

Will files come to rest, whatever happens in which order?

  git-annex-remote-stream sim prove my.sim

A sim is kept below .git/annex/stream/sim/ of a repository of git-annex, which may be an empty one: git init, git annex init. Only prove
FILE and fuzz need none. No content is moved, and no branch is touched. The commands of a sim file, and those
given as `sim COMMAND`, are those of git annex sim; see its manual and docs/simulator.md.";

#[derive(Args)]
pub(super) struct Sim {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Subcommand)]
enum SimCommand {
    /// Begins a sim, and runs a sim file in it.
    Start {
        /// The sim file.
        file: Vec<PathBuf>,
    },
    /// Runs a sim file to its end. The log is shown where something was not as the file demands.
    Run(seeds::Run),
    /// Shows the log: a sim file that gives the same sim.
    Show,
    /// Ends the sim, and removes all that was kept of it.
    End,
    /// Proves that files come to rest whatever happens in which order, or shows how they do not.
    #[command(after_help = prove::EXAMPLES)]
    Prove(prove::Prove),
    /// Proves and runs random networks of some terms of preferred content until it is stopped, and keeps what is refuted.
    #[command(after_help = fuzz::EXAMPLES)]
    Fuzz(fuzz::Fuzz),
    /// Begins a sim that is as this repository is: repositories, remotes, what they want, and keys with their places.
    ///
    /// Without --all or --sample it has no files. Remotes of other repositories are not known here, and have to be connected.
    FromRepository(repository::FromRepository),
    /// Tells what would move if something were configured otherwise, a disk added or one lost.
    #[command(after_help = whatif::EXAMPLES)]
    Whatif(whatif::WhatIf),
    /// Proves it of this repository, and names what is odd in its expressions and which depend on each other.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A command of the sim that was started: init, connect, add, wanted, step, action, present, visit ...
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// What would never come to rest, lose a copy, or fall short among this repository and `nodes` of it, as they are configured; in a
/// sentence. `None` where nothing would, or where there is too much to look at for a command that does something else.
pub(super) fn mention(repository: &Repository, nodes: &BTreeSet<&Uuid>) -> Option<String> {
    /// Some tenths of a second.
    const MOST: usize = 1 << 16;
    let mut network = repository::read(repository, 0).ok()?.network;
    while let Some(other) =
        network.members.iter().position(|member| member.uuid != *repository.uuid() && !nodes.contains(&member.uuid))
    {
        network = network.without(other)?;
    }
    sim::proof::mention(&network, MOST)
}

/// Does it. The exit status is 1 where something failed, as with git annex sim.
pub(super) fn main(args: &Sim) -> ExitCode {
    let done = match &args.command {
        SimCommand::Start { file } => start(file),
        SimCommand::Run(run) => seeds::main(run),
        SimCommand::Show => show(),
        SimCommand::End => end(),
        SimCommand::FromRepository(from) => repository::main(from),
        SimCommand::Whatif(whatif) => whatif::main(whatif),
        SimCommand::Check { json } => return prove::check(*json),
        SimCommand::Prove(prove) => return prove::main(prove),
        SimCommand::Fuzz(fuzz) => return fuzz::main(fuzz),
        SimCommand::Other(words) => one(words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // A failure that was told already.
            if !why.is_empty() {
                eprintln!("git-annex-remote-stream: {why}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Says a sentence as git-annex does.
fn say(sentence: &str) {
    println!("\n  {sentence}");
}

/// The lines of a sim file.
fn read(file: &Path) -> Result<Vec<Line>, String> {
    let text = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.map(|(at, line)| script::parse(line).map_err(|e| in_line(at, &e))).collect()
}

/// What git-annex says alone, and below it where. Lines are counted from 0 on here.
fn in_line(at: usize, problem: &Problem) -> String {
    format!("{problem}\n  in line {} of the sim file", at + 1)
}

/// A seed that nobody chose.
fn drawn() -> Result<i64, String> {
    let name = crate::annex::fresh::uuid().map_err(|e| format!("the system gives no random numbers: {e}"))?;
    let digits: Vec<u8> = name.as_bytes().iter().copied().filter(u8::is_ascii_hexdigit).collect();
    let text = std::str::from_utf8(&digits).unwrap_or_default();
    Ok(u128::from_str_radix(text, 16).map_or(0, |bits| ((bits >> 66) as u64 ^ bits as u64).cast_signed()))
}

/// Runs lines, and `visit` among them.
fn play(world: &mut World, lines: &[Line], here: &mut Here<'_>, place: &Path) -> Result<(), String> {
    for (at, line) in lines.iter().enumerate() {
        sim::run(world, line, here).map_err(|e| in_line(at, &e))?;
        if let Line::Command(Command::Visit(repo, command)) = line {
            io::stdout().flush().map_err(|e| e.to_string())?;
            visit::visit(world, repo, command, place)?;
        }
    }
    Ok(())
}

fn store() -> Result<(Repository, Store), String> {
    let repository = here::repository()?;
    let store = Store::of(&repository);
    Ok((repository, store))
}

fn start(file: &[PathBuf]) -> Result<(), String> {
    let (repository, store) = store()?;
    if file.len() > 1 {
        let words: Vec<&[u8]> = file.iter().map(|path| path.as_os_str().as_bytes()).collect();
        return Err(unparsed(b"start", &words));
    }
    let mut held = store.take()?;
    held.is_free()?;
    say("Sim started.");
    let lines = file.first().map_or(Ok(Vec::new()), |file| read(file))?;
    let mut world = sim::begin(lines.first(), drawn()?);
    play(&mut world, &lines, &mut Here::new(&repository), store.dir())?;
    held.save(&world)?;
    if world.failed { Err("Simulation had errors.".to_string()) } else { Ok(()) }
}

/// Words that are no command, as git-annex says it.
fn unparsed(first: &[u8], rest: &[&[u8]]) -> String {
    let words: Vec<&[u8]> = std::iter::once(first).chain(rest.iter().copied()).collect();
    script::parse_words(&words).map_or_else(|e| e.to_string(), |_| "this is no command".to_string())
}

fn show() -> Result<(), String> {
    let (_, store) = store()?;
    let world = store.look()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    sim::write_log(&world, &mut out).and_then(|()| out.flush()).map_err(|e| format!("show the log: {e}"))?;
    if world.failed { Err("Simulation had errors.".to_string()) } else { Ok(()) }
}

fn end() -> Result<(), String> {
    let (_, store) = store()?;
    store.end()?;
    say("Sim ended.");
    Ok(())
}

/// A command of the sim that was started.
fn one(words: &[OsString]) -> Result<(), String> {
    if words.get(1).is_some_and(|word| word == "--help" || word == "-h") {
        return Err("the commands of a sim are in the manual of git annex sim; see also sim --help".into());
    }
    let (repository, store) = store()?;
    // A word of the command line may hold several, as in `visit foo 'ls | wc'`.
    let joined = words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ');
    let words: Vec<&[u8]> = joined.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let command = match words.first().is_some_and(|word| word.starts_with(b"--stream")) {
        true => script::parse(&joined),
        false => script::parse_words(&words).map(Line::Command),
    };
    let line = command.map_err(|e| e.to_string())?;
    let visits = matches!(line, Line::Command(Command::Visit(..)));
    let mut held = store.take()?;
    let mut world = held.load()?;
    let had_failed = world.failed;
    sim::run(&mut world, &line, &mut Here::new(&repository)).map_err(|e| e.to_string())?;
    held.save(&world)?;
    if visits && let Line::Command(Command::Visit(repo, command)) = &line {
        // Others may go on with the sim while somebody looks around.
        drop(held);
        visit::visit(&world, repo, command, store.dir())?;
    }
    // As git-annex does: told once.
    if world.failed && !had_failed { Err("Simulation had errors.".to_string()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_a_sim_file_is_told_with_its_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("my.sim");
        std::fs::write(&file, "init a\n\nblorg\ninit b\n").expect("written");
        let said = "Unable to parse sim command: \"blorg\"\n  in line 3 of the sim file";
        assert_eq!(read(&file).expect_err("it is no command"), said);
    }
}
