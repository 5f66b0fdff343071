//! `sim from-repository`: a sim that begins as the repository is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::ops::ControlFlow;
use std::process::Command;

use clap::Args;

use super::drawn;
use crate::annex::branch::GitId;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::{CLUSTER_LOG, MINCOPIES_LOG, UUID_LOG, is_cluster, single};
use crate::annex::remote::remotes_of;
use crate::annex::repository::Repository;
use crate::cli::known::Known;
use crate::gateway::balance::{Names, Subject, subjects};
use crate::gateway::wanted::{PolicyLogs, copies};
use crate::name::Uuid;
use crate::sim::script::{self, Arrow, Chain, Line, Name, Placement, Stream, What};
use crate::sim::{self, Fields, Nowhere, World};
use crate::wanted::Trust;

#[derive(Args)]
pub(super) struct FromRepository {
    /// Take so many keys, evenly from all of them. Sizes and maxsize stay as they are.
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = crate::cli::count::from_one::<u64>)]
    sample: Option<u64>,
    /// Take all keys.
    #[arg(long)]
    all: bool,
    /// As it was recorded at this commit of the git-annex branch, such as git-annex@{yesterday}. Files, git config and remotes are
    /// those of now.
    #[arg(long, value_name = "COMMIT")]
    at: Option<OsString>,
}

pub(super) fn main(args: &FromRepository) -> Result<(), String> {
    let (repository, store) = super::store()?;
    repository.branch().take_all();
    let mut held = store.take()?;
    held.is_free()?;
    if let Some(commit) = &args.at {
        look_back(&repository, commit)?;
    }
    let keys = if args.all { Some(u64::MAX) } else { args.sample };
    let world = read(&repository, keys.unwrap_or(0))?;
    held.save(&world)?;
    let (repositories, files) = (world.network.members.len(), world.files.len());
    super::say("Sim started.");
    let mut out = std::io::stdout();
    writeln!(out, "\n  {repositories} repositories, {files} files.").map_err(|e| e.to_string())
}

/// Has the git-annex branch read as it was.
fn look_back(repository: &Repository, commit: &OsStr) -> Result<(), String> {
    let shown = commit.to_string_lossy();
    let none = || format!("{shown}: no commit of the git-annex branch; git log git-annex lists them");
    let mut named = commit.to_owned();
    named.push("^{commit}");
    let found = Command::new("git").args(["rev-parse", "--quiet", "--verify", "--end-of-options"]).arg(named).output();
    let found = found.map_err(|e| format!("git rev-parse: {e}"))?;
    let id = GitId::parse(found.stdout.trim_ascii()).filter(|_| found.status.success()).ok_or_else(none)?;
    let branch = repository.branch();
    branch.look_back(id).map_err(|e| format!("{shown}: {e}"))?;
    // Every commit of it has one.
    let uuids = branch.read(UUID_LOG).map_err(|e| format!("{shown}: {e}"))?;
    if uuids.is_empty() { Err(none()) } else { Ok(()) }
}

/// The sim of a repository, with `most` of its keys.
pub(super) fn read(repository: &Repository, most: u64) -> Result<World, String> {
    let told = |e: crate::annex::branch::BranchError| e.to_string();
    let mut world = sim::begin(None, drawn()?);
    run(&mut world, Line::Stream(Stream::Placement(Placement::Stream)))?;
    let numbers = repositories(repository, &mut world)?;
    let mincopies = repository.branch().read(MINCOPIES_LOG).map_err(told)?;
    if let Some(least) = single(&mincopies, copies) {
        run(&mut world, Line::Command(script::Command::MinCopies(i64::try_from(least).unwrap_or(i64::MAX))))?;
    }
    if most > 0 {
        keys(repository, &mut world, &numbers, most)?;
    }
    Ok(world)
}

fn run(world: &mut World, line: Line) -> Result<(), String> {
    sim::run(world, &line, &mut Nowhere).map_err(|e| e.to_string())
}

/// Adds the repositories; who is which number.
fn repositories(repository: &Repository, world: &mut World) -> Result<BTreeMap<Uuid, usize>, String> {
    let known = Known::read(repository)?;
    let logs = PolicyLogs::read(repository).map_err(|e| e.to_string())?;
    let mut configuration = logs.configuration(false);
    if !configuration.repositories.iter().any(|found| found.uuid == *repository.uuid()) {
        configuration.repositories.push(crate::wanted::Repository::new(repository.uuid().clone()));
    }
    // A cluster is described as repositories are, and is none: its nodes are.
    configuration.repositories.retain(|found| !is_cluster(&found.uuid));
    let mut names: BTreeMap<Uuid, Name> = BTreeMap::new();
    if let Some(copies) = configuration.numcopies {
        run(world, Line::Command(script::Command::NumCopies(i64::try_from(copies).unwrap_or(i64::MAX))))?;
    }
    for found in &configuration.repositories {
        let name = name(&known, &found.uuid, &names);
        names.insert(found.uuid.clone(), name.clone());
        run(world, Line::Stream(Stream::Uuid(name.clone(), found.uuid.clone())))?;
        let special = known.is_special(&found.uuid);
        run(
            world,
            Line::Command(if special {
                script::Command::InitRemote(name.clone())
            } else {
                script::Command::Init(name.clone())
            }),
        )?;
        let mut set = |command: script::Command| run(world, Line::Command(command));
        if found.trust != Trust::default() {
            set(script::Command::TrustLevel(name.clone(), found.trust))?;
        }
        for group in &found.groups {
            set(script::Command::Group(name.clone(), Name::from(&group[..])))?;
        }
        for (what, text) in [(What::Wanted, &found.wanted), (What::Required, &found.required)] {
            if let Some(text) = text.as_deref().filter(|text| !text.trim_ascii().is_empty()) {
                set(script::Command::Expression(what, name.clone(), one_line(text)))?;
            }
        }
        if let Some(bytes) = found.maxsize {
            set(script::Command::MaxSize(name.clone(), bytes))?;
        }
        if let Some(dir) = &found.preferreddir {
            run(world, Line::Stream(Stream::PreferredDir(name.clone(), Name::from(&dir[..]))))?;
        }
    }
    for (group, text) in &configuration.groupwanted {
        run(
            world,
            Line::Command(script::Command::Expression(What::GroupWanted, Name::from(&group[..]), one_line(text))),
        )?;
    }
    if let Some(percent) = configuration.threshold {
        run(world, Line::Stream(Stream::Threshold(percent)))?;
    }
    connections(repository, world, &names)?;
    Ok(configuration.repositories.iter().enumerate().map(|(at, found)| (found.uuid.clone(), at)).collect())
}

/// Remotes of this repository are its connections; and nodes of its clusters have a name in these.
fn connections(repository: &Repository, world: &mut World, names: &BTreeMap<Uuid, Name>) -> Result<(), String> {
    let Some(own) = names.get(repository.uuid()).cloned() else { return Ok(()) };
    let remotes = remotes_of(repository).map_err(|e| e.to_string())?;
    for name in remotes.iter().filter(|remote| !remote.ignored).filter_map(|remote| names.get(&remote.uuid)) {
        if *name != own {
            let chain = Chain { first: own.clone(), links: vec![(Arrow::Right, name.clone())] };
            run(world, Line::Command(script::Command::Connect(chain)))?;
        }
    }
    let log = ClusterLog::parse(&repository.branch().read(CLUSTER_LOG).map_err(|e| e.to_string())?);
    for (number, cluster) in log.clusters().enumerate() {
        for name in log.nodes(cluster).iter().filter_map(|node| names.get(node)) {
            let node = Name::from([b"cluster", number.to_string().as_bytes(), b"-", name].concat());
            run(world, Line::Command(script::Command::ClusterNode(node, name.clone())))?;
        }
    }
    Ok(())
}

/// What it is called: as a remote, as it is described, or its uuid; one word that nobody else has.
fn name(known: &Known, uuid: &Uuid, taken: &BTreeMap<Uuid, Name>) -> Name {
    let title = known.title(uuid);
    let here = known.is_here(uuid).then(|| "here".to_string());
    let word = |text: &str| text.split_whitespace().collect::<Vec<_>>().join("_");
    let candidates = [here, known.remote(uuid), Some(title), Some(uuid.to_string())];
    let free = |text: &String| !text.is_empty() && !taken.values().any(|name| **name == *text.as_bytes());
    let found = candidates.into_iter().flatten().map(|text| word(&text)).find(free);
    found.map_or_else(|| uuid.as_bytes().into(), |text| text.into_bytes().into())
}

/// An expression on one line.
fn one_line(text: &[u8]) -> Name {
    let words: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    words.join(&b' ').into()
}

/// Adds files. A key that no file has is called by itself.
fn keys(repository: &Repository, world: &mut World, numbers: &BTreeMap<Uuid, usize>, most: u64) -> Result<(), String> {
    let names = Names::read(repository).map_err(|e| e.to_string())?;
    let each = |world: &mut World, subject: Subject| -> Result<(), String> {
        let Subject { key, files, log, may_have_metadata } = subject;
        let holders: Vec<usize> = log.holders().filter_map(|uuid| numbers.get(&uuid).copied()).collect();
        // A name in a sim file is one word, which another file may have already.
        let word = |text: &[u8]| -> Name {
            text.iter().map(|byte| if byte.is_ascii_whitespace() { b'_' } else { *byte }).collect()
        };
        let file = files.into_iter().next().map(|file| word(&file));
        let free = file.into_iter().chain([word(key.as_bytes())]).find(|name| world.files.find(name).is_none());
        let file = match free {
            Some(name) => name,
            None => [&word(key.as_bytes())[..], b".", world.files.len().to_string().as_bytes()].concat().into(),
        };
        let metadata = match may_have_metadata {
            true => super::outside::metadata(repository, &key).map_err(|e| e.to_string())?,
            false => Fields::new(),
        };
        world.add_known(&file, key, metadata, &holders).map_err(|e| e.to_string())
    };
    let mut total = 0u64;
    if most < u64::MAX {
        subjects(repository, &Names::default(), &mut |_| {
            total += 1;
            ControlFlow::Continue(())
        })
        .map_err(|e| e.to_string())?;
    }
    // Evenly: the n-th key is taken where its share of the sample is full.
    let (mut at, mut failed) = (0u64, Ok(()));
    subjects(repository, &names, &mut |subject| {
        let share =
            |at: u64| if total <= most { at } else { (u128::from(at) * u128::from(most) / u128::from(total)) as u64 };
        let is_taken = share(at + 1) > share(at);
        at += 1;
        if is_taken {
            failed = each(world, subject);
        }
        if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(|e| e.to_string())?;
    failed?;
    run(world, Line::Stream(Stream::Known))
}
