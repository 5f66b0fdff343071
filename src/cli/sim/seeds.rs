//! `sim run`: a sim file to its end, also with many seeds side by side.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde::Serialize;

use super::course::{self, Fewest, Over};
use super::outside::{Here, Taken};
use super::{drawn, play, read, say, unparsed};
use crate::annex::repository::Repository;
use crate::sim::script::{Command, Line};
use crate::sim::{self, World};

#[derive(Args)]
pub(super) struct Run {
    /// The sim file.
    file: Vec<PathBuf>,
    /// Run it with so many seeds, from the one of the file or a drawn one on, and count what comes out.
    #[arg(long, value_name = "N", value_parser = crate::cli::count::from_one::<u64>)]
    seeds: Option<u64>,
    /// How many to run at a time. Default: as many as there are processors.
    #[arg(long, short = 'J', value_name = "N", requires = "seeds", value_parser = crate::cli::count::jobs)]
    jobs: Option<usize>,
    /// Print what came out as JSON.
    #[arg(long)]
    json: bool,
}

/// What came out of a run.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
struct Outcome {
    seed: i64,
    /// Whether it was as the file demands.
    ok: bool,
    transfers: u64,
    drops: u64,
    bytes: u64,
    /// Files by how many copies they ended with, from none on.
    copies: Vec<u64>,
    #[serde(flatten)]
    over: Over,
    repositories: Vec<Fill>,
}

/// How a repository ended.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
struct Fill {
    name: String,
    files: u64,
    bytes: u64,
    maxsize: Option<u64>,
    files_in: u64,
    bytes_in: u64,
    files_out: u64,
    bytes_out: u64,
}

pub(super) fn main(args: &Run) -> Result<(), String> {
    use std::os::unix::ffi::OsStrExt;
    let [file] = &args.file[..] else {
        let words: Vec<&[u8]> = args.file.iter().map(|path| path.as_os_str().as_bytes()).collect();
        return Err(unparsed(b"run", &words));
    };
    let (repository, store) = super::store()?;
    if args.seeds.is_none() && !args.json {
        store.take()?.is_free()?;
    }
    let lines = match args.seeds.is_some() || args.json {
        true => read(file)?,
        false => {
            say("Sim started.");
            read(file)?
        }
    };
    let first = match lines.first() {
        Some(Line::Command(Command::Seed(seed))) => *seed,
        _ => drawn()?,
    };
    if let Some(count) = args.seeds {
        return many(&lines, first, count, args, &repository);
    }
    let mut world = sim::begin(lines.first(), first);
    let mut here = if args.json { Here::quiet(&repository) } else { Here::new(&repository) };
    play(&mut world, &lines, &mut here, store.dir())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome(&world)).expect("numbers and strings"));
        return if world.failed { Err(String::new()) } else { Ok(()) };
    }
    say("Sim ended.");
    if !world.failed {
        return Ok(());
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    sim::write_log(&world, &mut out).and_then(|()| out.flush()).map_err(|e| format!("show the log: {e}"))?;
    Err("Simulation shown above had errors.".to_string())
}

/// The same lines with many seeds: the first line is the seed.
fn many(lines: &[Line], first: i64, count: u64, args: &Run, repository: &Repository) -> Result<(), String> {
    let rest = match lines.first() {
        Some(Line::Command(Command::Seed(_))) => &lines[1..],
        _ => lines,
    };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let taken = Taken::default();
    let work = || -> Result<(), String> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(());
            }
            let seed = Line::Command(Command::Seed(first.wrapping_add_unsigned(at)));
            let mut world = sim::begin(Some(&seed), 0);
            let mut here = Here::sharing(repository, &taken);
            for line in std::iter::once(&seed).chain(rest) {
                sim::run(&mut world, line, &mut here).map_err(|e| e.to_string())?;
            }
            outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome(&world));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.clamp(1, 256)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err("a run failed".into())))
    })?;
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.seed.wrapping_sub(first).cast_unsigned());
    let failed = outcomes.iter().filter(|outcome| !outcome.ok).count();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcomes).expect("numbers and strings"));
    } else {
        table(&outcomes, failed);
    }
    if failed > 0 { Err(format!("{failed} of {count} seeds were not as the file demands")) } else { Ok(()) }
}

fn outcome(world: &World) -> Outcome {
    let network = &world.network;
    let mut copies = vec![0; 1];
    let mut files = vec![0u64; network.members.len()];
    let mut bytes = vec![0u64; network.members.len()];
    for file in world.files.current() {
        let mut count = 0;
        for repo in (0..network.members.len()).filter(|repo| world.knowledge.has(*repo, file)) {
            count += 1;
            files[repo] += 1;
            bytes[repo] = bytes[repo].saturating_add(world.files.size(file));
        }
        if copies.len() <= count {
            copies.resize(count + 1, 0);
        }
        copies[count] += 1;
    }
    let fill = |(repo, member): (usize, &sim::Member)| {
        let traffic = world.traffic[repo];
        Fill {
            name: String::from_utf8_lossy(&member.name).into_owned(),
            files: files[repo],
            bytes: bytes[repo],
            maxsize: member.maxsize,
            files_in: traffic.files_in,
            bytes_in: traffic.bytes_in,
            files_out: traffic.files_out,
            bytes_out: traffic.bytes_out,
        }
    };
    let repositories: Vec<Fill> = network.members.iter().enumerate().map(fill).collect();
    Outcome {
        seed: world.seed,
        ok: !world.failed,
        transfers: sum(repositories.iter().map(|fill| fill.files_in)),
        drops: sum(repositories.iter().map(|fill| fill.files_out)),
        bytes: sum(repositories.iter().map(|fill| fill.bytes_in)),
        copies,
        over: course::over(world),
        repositories,
    }
}

/// A sum that ends at the largest number: sizes of a sim file may be any.
pub(super) fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn table(outcomes: &[Outcome], failed: usize) {
    let range = |value: &dyn Fn(&Outcome) -> u64| {
        let (least, most) = (outcomes.iter().map(value).min(), outcomes.iter().map(value).max());
        (least.unwrap_or(0), most.unwrap_or(0))
    };
    let show = |name: &str, (least, most): (u64, u64)| println!("{name:24} {least:>14} {most:>14}");
    println!("{} seeds, {failed} not as the file demands", outcomes.len());
    println!("{:24} {:>14} {:>14}", "", "least", "most");
    show("transfers", range(&|outcome| outcome.transfers));
    show("drops", range(&|outcome| outcome.drops));
    show("bytes moved", range(&|outcome| outcome.bytes));
    let fewest = |outcome: &Outcome| outcome.copies.iter().position(|files| *files > 0).unwrap_or(0) as u64;
    show("fewest copies of a file", range(&fewest));
    let ever = |of: fn(&Fewest) -> u64| range(&|outcome| outcome.over.fewest.as_ref().map_or(0, of));
    show("fewest copies ever", ever(|fewest| fewest.copies as u64));
    show("last after", ever(|fewest| fewest.last));
    let repositories = outcomes.first().map_or(0, |outcome| outcome.repositories.len());
    for repo in 0..repositories {
        let name = &outcomes[0].repositories[repo].name;
        show(&format!("bytes on {name}"), range(&|outcome| outcome.repositories[repo].bytes));
    }
    let over: Vec<&Over> = outcomes.iter().map(|outcome| &outcome.over).collect();
    print!("{}", course::table(&over));
}

#[cfg(test)]
mod tests {
    use super::super::whatif;
    use super::*;
    use crate::sim::script::parse;
    use crate::sim::{Nowhere, Part};

    fn played(text: &str) -> World {
        let lines: Vec<Line> = text.lines().map(|line| parse(line.as_bytes()).expect("a line")).collect();
        let mut world = sim::begin(lines.first(), 1);
        lines.iter().for_each(|line| sim::run(&mut world, line, &mut Nowhere).expect("it runs"));
        world
    }

    /// A file of as many bytes as a number can hold goes to two repositories.
    #[test]
    fn sums_of_bytes_end_at_the_largest_number() {
        let text = "seed 1\ninit a\ninit b\ninit c\nconnect a -> b\nconnect a -> c\nwanted a anything\nwanted b anything\n\
                    wanted c anything\nadd f 18446744073709551615b a\n";
        let ran = outcome(&played(&format!("{text}step 9\n")));
        assert_eq!((ran.transfers, ran.bytes), (2, u64::MAX));
        let plan = whatif::moved(&mut played(text), &Part::all(&played(text))).expect("a plan");
        assert_eq!(plan, (2, u64::MAX));
    }
}
