//! `balance`: content moves between the nodes of a cluster until each has what it wants.

mod show;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::sync::Arc;

use annex_types::size;
use clap::Args;
use remotes::budget::Budget;
use tokio::signal::unix::{SignalKind, signal};

use super::known::Known;
use crate::annex::log::CLUSTER_LOG;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::repository::Repository;
use crate::gateway::balance::{Balanced, Plea, balance};
use crate::gateway::{Limits, LocalRepository};
use crate::name::Uuid;
use crate::serve::special::Settings;
use show::Show;

pub(super) const EXAMPLES: &str = "\
What would move, and how much?

  git-annex-remote-stream balance mycluster --dry-run

Bring all nodes to what they want: those that lack something get it, then those that do not want something drop it, as far as
numcopies and mincopies allow:

  git-annex-remote-stream balance mycluster

A disk was added: have balanced=... choose anew, so that it gets its share:

  git-annex-remote-stream balance mycluster --rebalance

A disk is to go: empty it, then take it out:

  git-annex-remote-stream balance mycluster --drain disk1
  git config --unset remote.disk1.annex-cluster-node
  git-annex-remote-stream updatecluster

A disk was lost or replaced by an empty one: find out what is gone, and copy it again:

  git-annex-remote-stream balance mycluster --check

Content goes from one node to the others through memory, is verified, and is recorded before anything is dropped. Servers and
git-annex may work in the repository meanwhile, and so may another balance. It may be ended or killed at any time: run it again
and it goes on, also in the middle of a large file.

What a node wants may depend on file names: those of the branch that is checked out here count, or of its synced/ branch where
that is newer.

Nodes behind another gateway are filled and read from. They drop nothing here: run balance there, too. A copy on a special remote
there is no reason to drop one here, since nobody can lock it.

The exit status is 1 if something failed, a node that is not dead could not be reached, or it was told to end before it was
done; with --check also if a file of the branch has no copy that is recorded anywhere.";

#[derive(Args)]
pub(super) struct Balance {
    /// The cluster: its name here, its uuid, or what it is described as.
    cluster: OsString,
    /// Have balanced preferred content choose anew, as with git annex satisfy --rebalance.
    #[arg(long)]
    rebalance: bool,
    /// Empty this node, as if it wanted nothing. What it is required to have stays. May be repeated.
    #[arg(long, value_name = "NODE")]
    drain: Vec<OsString>,
    /// Ask every node for what is recorded of it, and set right what it says it has not; what was lost is copied again.
    #[arg(long)]
    check: bool,
    /// Only tell what would move, to each node and from it.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// How many keys to see to at a time. Default: git config annex.jobs, or 4.
    #[arg(long, short = 'J', value_name = "N", value_parser = super::count::jobs)]
    jobs: Option<usize>,
    /// Move no more than this in a second, all together, such as 20MB. annex-bwlimit of each remote is heeded too.
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    bwlimit: Option<u64>,
    /// Print a line of JSON for everything that moves, and one at the end.
    #[arg(long)]
    json: bool,
    /// Print only what failed, and what it came to.
    #[arg(long, short)]
    quiet: bool,
}

/// Does it. Fails where something could not be done.
pub(super) fn main(args: &Balance) -> ExitCode {
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Balance) -> Result<bool, String> {
    crate::serve::warnings::start(|words| eprintln!("git-annex-remote-stream: {words}"));
    let settings = Settings::from_env(&|name| std::env::var_os(name))?;
    let path = super::here::repository()?.path().to_path_buf();
    let home = Arc::new(LocalRepository::open(&path).map_err(|e| e.to_string())?);
    // Nobody waits for this process.
    home.repository().branch().take_all();
    home.merge_arrived();
    let known = Known::read(home.repository())?;
    let cluster = known.find(args.cluster.as_bytes())?;
    let nodes = nodes(home.repository(), &cluster, &known)?;
    let drain = args.drain.iter().map(|name| {
        // uuid.log may know nothing of a node behind another gateway.
        let by_uuid = nodes.iter().find(|node| node.as_bytes() == name.as_bytes()).cloned();
        let found = by_uuid.map_or_else(|| known.find(name.as_bytes()), Ok)?;
        let shown = name.to_string_lossy();
        nodes.contains(&found).then_some(found).ok_or_else(|| format!("--drain {shown}: it is no node of this cluster"))
    });
    let plea = Plea {
        rebalance: args.rebalance,
        drain: drain.collect::<Result<_, String>>()?,
        check: args.check,
        dry_run: args.dry_run,
        jobs: args.jobs.unwrap_or_else(|| jobs(home.repository())).clamp(1, 1000),
        rate: args.bwlimit,
    };
    let show = Show::new(&known, args.json, args.quiet, args.dry_run);
    let limits = Limits {
        budget: Budget::new(settings.memory),
        idle: settings.idle,
        connections: settings.connections,
        quotas: None,
    };
    let work = async {
        let told = |e: std::io::Error| format!("the system gives no signals: {e}");
        let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        balance(&home, &cluster, &limits, &plea, &show, stop).await.map_err(|e| e.to_string())
    };
    let worked = remotes::sys::run(settings.uring, work);
    let settled = home.settle();
    let done: Balanced = worked.map_err(|e| e.to_string())??;
    settled.map_err(|e| e.to_string())?;
    let here: Vec<&Uuid> = done.nodes.iter().map(|node| &node.uuid).collect();
    let elsewhere: Vec<Uuid> = nodes.into_iter().filter(|uuid| !here.contains(&uuid)).collect();
    show.end(&done, &elsewhere);
    let is_reached = done.nodes.iter().all(|node| node.down.is_none() || node.is_dead);
    let is_there = !args.check || done.lost == 0;
    Ok(done.failed == 0 && !done.is_cut && is_reached && is_there)
}

/// The nodes that are recorded.
fn nodes(repository: &Repository, cluster: &Uuid, known: &Known) -> Result<Vec<Uuid>, String> {
    let log = ClusterLog::parse(&repository.branch().read(CLUSTER_LOG).map_err(|e| e.to_string())?);
    let nodes = log.nodes(cluster).to_vec();
    match nodes.is_empty() {
        true => Err(format!("{}: no cluster with nodes; see initcluster and updatecluster", known.title(cluster))),
        false => Ok(nodes),
    }
}

/// `annex.jobs`, as git-annex reads it.
fn jobs(repository: &Repository) -> usize {
    let set = repository.config("annex.jobs").and_then(|set| String::from_utf8(set).ok());
    match set.as_deref().map(str::trim) {
        Some("cpus") => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Some(number) => number.parse().unwrap_or(1),
        None => 4,
    }
}

fn rate(text: &str) -> Result<u64, String> {
    size::parse(text).filter(|rate| *rate > 0).ok_or_else(|| "give a size such as 20MB".to_string())
}
