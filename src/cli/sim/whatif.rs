//! `sim whatif`: what would move if something were configured otherwise.

use std::os::unix::ffi::OsStrExt;

use annex_types::size;
use clap::Args;
use serde::Serialize;

use super::outside::Here;
use super::seeds::sum;
use crate::annex::log::CLUSTER_LOG;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::remote::remotes_of;
use crate::annex::repository::Repository;
use crate::cli::known::Known;
use crate::name::Uuid;
use crate::sim::script::{self, Problem};
use crate::sim::{self, Part, Planned, World};

pub(super) const EXAMPLES: &str = "\
What if a disk were added?

  git-annex-remote-stream sim whatif 'init newdisk' 'group newdisk disks' 'wanted newdisk balanced=disks' 'maxsize newdisk 4tb' \\
      'rebalance on'

What if one were lost, and how long would it take to make up for that at 50 MB in a second? (git annex dead ends groups, too.)

  git-annex-remote-stream sim whatif 'trustlevel disk2 dead' 'ungroup disk2 disks' --speed 50MB

Each argument is a command of a sim. They are done to the sim that was started, or else to one of this repository with all of its
keys; neither is changed. Told are the moves of the plan that balance makes, with all repositories that are not dead as nodes of
one cluster: --as-it-is shows the same without a change.";

#[derive(Args)]
pub(super) struct WhatIf {
    /// Commands of a sim.
    #[arg(required_unless_present = "as_it_is", value_name = "COMMAND")]
    commands: Vec<String>,
    /// Plan as balance does for this cluster of this repository: its nodes alone, at what they cost.
    #[arg(long, value_name = "NAME")]
    cluster: Option<std::ffi::OsString>,
    /// Also tell what would move without them.
    #[arg(long)]
    as_it_is: bool,
    /// Tell how long it takes at so many bytes in a second, such as 50MB.
    #[arg(long, value_name = "SIZE", value_parser = speed)]
    speed: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a plan comes to.
#[derive(Serialize)]
struct Shown {
    files: u64,
    moved_files: u64,
    moved_bytes: u64,
    dropped_files: u64,
    /// Files of which nobody has a copy.
    lost: u64,
    /// Files with too few copies afterwards.
    lacking: u64,
    seconds: Option<u64>,
    repositories: Vec<Row>,
    flows: Vec<Flow>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    files_in: u64,
    bytes_in: u64,
    files_out: u64,
    bytes_out: u64,
    before: u64,
    after: u64,
    maxsize: Option<u64>,
}

#[derive(Serialize)]
struct Flow {
    from: String,
    to: String,
    files: u64,
    bytes: u64,
}

fn speed(text: &str) -> Result<u64, String> {
    size::parse(text).filter(|rate| *rate > 0).ok_or_else(|| "give a size such as 50MB".to_string())
}

pub(super) fn main(args: &WhatIf) -> Result<(), String> {
    let (repository, store) = super::store()?;
    repository.branch().take_all();
    let mut world = match store.is_started() {
        true => store.look()?,
        false => super::repository::read(&repository, u64::MAX)?,
    };
    let part = match &args.cluster {
        Some(name) => Some(cluster(&repository, &world, name.as_bytes())?),
        None => None,
    };
    let mut shown = Vec::new();
    if args.as_it_is {
        shown.push(("as it is", plan(&mut world, part.as_ref(), args.speed)?));
    }
    if !args.commands.is_empty() {
        let lines = args.commands.iter().map(|command| script::parse(command.as_bytes()));
        for line in lines.collect::<Result<Vec<_>, Problem>>().map_err(|e| e.to_string())? {
            sim::run(&mut world, &line, &mut Here::quiet(&repository)).map_err(|e| e.to_string())?;
        }
        shown.push(("with the change", plan(&mut world, part.as_ref(), args.speed)?));
    }
    if args.json {
        let all: serde_json::Map<_, _> =
            shown.iter().map(|(title, plan)| (title.replace(' ', "-"), serde_json::json!(plan))).collect();
        println!("{}", serde_json::to_string_pretty(&all).expect("numbers and strings"));
        return Ok(());
    }
    for (title, plan) in &shown {
        println!("{title}:");
        tell(plan);
    }
    Ok(())
}

/// The nodes of a cluster, and this repository as its gateway.
fn cluster(repository: &Repository, world: &World, name: &[u8]) -> Result<Part, String> {
    let cluster = Known::read(repository)?.find(name)?;
    let log = ClusterLog::parse(&repository.branch().read(CLUSTER_LOG).map_err(|e| e.to_string())?);
    let remotes = remotes_of(repository).map_err(|e| e.to_string())?;
    let number = |uuid: &Uuid| world.network.members.iter().position(|member| member.uuid == *uuid);
    let cost = |uuid: &Uuid| {
        let costs = remotes.iter().filter(|remote| remote.uuid == *uuid && !remote.ignored).map(|remote| remote.cost);
        costs.min_by(f64::total_cmp)
    };
    let nodes: Vec<(usize, f64)> =
        log.nodes(&cluster).iter().filter_map(|uuid| Some((number(uuid)?, cost(uuid)?))).collect();
    match nodes.is_empty() {
        true => Err(format!("{}: no cluster with nodes that are remotes here", name.escape_ascii())),
        false => Ok(Part { nodes, gateway: number(repository.uuid()) }),
    }
}

fn plan(world: &mut World, part: Option<&Part>, speed: Option<u64>) -> Result<Shown, String> {
    let planned: Planned =
        sim::plan(world, &part.cloned().unwrap_or_else(|| Part::all(world))).map_err(|e| e.to_string())?;
    let name = |repo: usize| String::from_utf8_lossy(&world.network.members[repo].name).into_owned();
    let rows: Vec<Row> = planned
        .repositories
        .iter()
        .enumerate()
        .map(|(repo, filled)| Row {
            name: name(repo),
            files_in: filled.traffic.files_in,
            bytes_in: filled.traffic.bytes_in,
            files_out: filled.traffic.files_out,
            bytes_out: filled.traffic.bytes_out,
            before: filled.before,
            after: filled.after,
            maxsize: world.network.members[repo].maxsize,
        })
        .collect();
    let flows = planned.flows.iter().map(|((from, to), (files, bytes))| Flow {
        from: name(*from),
        to: name(*to),
        files: *files,
        bytes: *bytes,
    });
    let moved_bytes = sum(rows.iter().map(|row| row.bytes_in));
    Ok(Shown {
        files: planned.files,
        moved_files: sum(rows.iter().map(|row| row.files_in)),
        moved_bytes,
        dropped_files: sum(rows.iter().map(|row| row.files_out)),
        lost: planned.lost,
        lacking: planned.lacking,
        seconds: speed.map(|speed| moved_bytes.div_ceil(speed)),
        flows: flows.collect(),
        repositories: rows,
    })
}

fn tell(plan: &Shown) {
    let bytes = size::show;
    println!(
        "  of {} files, {} copies would be made ({}), and {} dropped",
        plan.files,
        plan.moved_files,
        bytes(plan.moved_bytes),
        plan.dropped_files
    );
    if let Some(seconds) = plan.seconds {
        println!("  at this speed: {} h {} min {} s", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    println!("  lost: {}; with too few copies afterwards: {}", plan.lost, plan.lacking);
    println!(
        "  {:20} {:>10} {:>12} {:>10} {:>12} {:>12} {:>6}",
        "", "files in", "bytes in", "files out", "bytes out", "then holds", "full"
    );
    for row in &plan.repositories {
        let full = row
            .maxsize
            .filter(|max| *max > 0)
            .map_or(String::new(), |max| format!("{}%", u128::from(row.after) * 100 / u128::from(max)));
        println!(
            "  {:20} {:>10} {:>12} {:>10} {:>12} {:>12} {:>6}",
            row.name,
            row.files_in,
            bytes(row.bytes_in),
            row.files_out,
            bytes(row.bytes_out),
            bytes(row.after),
            full
        );
    }
    for flow in &plan.flows {
        println!("  {} -> {}: {} files, {}", flow.from, flow.to, flow.files, bytes(flow.bytes));
    }
}

#[cfg(test)]
pub(super) fn moved(world: &mut World, part: &Part) -> Result<(u64, u64), String> {
    plan(world, Some(part), Some(1)).map(|shown| (shown.moved_files, shown.moved_bytes))
}
