//! `sim run`: a sim file to its end, also with many seeds side by side.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde::Serialize;

use super::outside::Here;
use super::{drawn, play, read, say, unparsed};
use crate::annex::repository::Repository;
use crate::sim::script::{Command, Line};
use crate::sim::{self, World};

#[derive(Args)]
pub(super) struct Run {
    /// The sim file.
    file: Vec<PathBuf>,
    /// Run it with so many seeds, from the one of the file or a drawn one on, and count what comes out.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// How many to run at a time. Default: as many as there are processors.
    #[arg(long, short = 'J', value_name = "N", requires = "seeds")]
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
    let place = tempfile_in(store.dir())?;
    let mut world = sim::begin(lines.first(), first);
    let mut here = if args.json { Here::quiet(&repository) } else { Here::new(&repository) };
    let played = play(&mut world, &lines, &mut here, place.path());
    drop(place);
    played?;
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

/// A directory for repositories that are visited, gone at the end.
struct Place(PathBuf);

impl Place {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left does no harm, and the next `sim end` removes it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn tempfile_in(dir: &std::path::Path) -> Result<Place, String> {
    let name = crate::annex::fresh::name("run").map_err(|e| e.to_string())?;
    Ok(Place(dir.join("visited").join(name)))
}

/// The same lines with many seeds: the first line is the seed.
fn many(lines: &[Line], first: i64, count: u64, args: &Run, repository: &Repository) -> Result<(), String> {
    let rest = match lines.first() {
        Some(Line::Command(Command::Seed(_))) => &lines[1..],
        _ => lines,
    };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<(), String> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(());
            }
            let seed = Line::Command(Command::Seed(first.wrapping_add_unsigned(at)));
            let mut world = sim::begin(Some(&seed), 0);
            let mut here = Here::quiet(repository);
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
        transfers: repositories.iter().map(|fill| fill.files_in).sum(),
        drops: repositories.iter().map(|fill| fill.files_out).sum(),
        bytes: repositories.iter().map(|fill| fill.bytes_in).sum(),
        copies,
        repositories,
    }
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
    let repositories = outcomes.first().map_or(0, |outcome| outcome.repositories.len());
    for repo in 0..repositories {
        let name = &outcomes[0].repositories[repo].name;
        show(&format!("bytes on {name}"), range(&|outcome| outcome.repositories[repo].bytes));
    }
}
