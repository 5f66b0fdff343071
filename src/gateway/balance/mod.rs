//! Upkeep of a cluster: content moves between its nodes until each has what it wants.
//!
//! ```text
//! subjects: keys of the branch --> planner: cluster::moves() --> carry: copies, recorded --> prove: drops, proven
//!                    (check: nodes are asked first, and the log set right)
//! ```
//!
//! The plan is made on one thread, key by key, and what is to be moved waits in a short queue; so memory does not grow with the
//! branch. Each key is planned once more, with what is recorded then, before anything is done about it and before each drop.
//! It may be killed at any moment: copies are recorded when they are whole, and drops come last.

mod body;
mod carry;
mod look;
mod names;
mod planner;
mod prove;
mod subject;
mod survey;
mod work;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::join_all;

use super::node::{ClusterNode, Member};
use super::{Asker, Failure, Limits, LocalRepository, Pace};
use crate::cluster::{Ledger, Moves, Stay, Traffic};
use crate::name::{Key, Uuid};
pub use names::Names;
use planner::Planner;
pub use subject::{Subject, subjects};
use survey::Survey;
use work::Worked;

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plea {
    /// Whether `--rebalance` was given: balanced terms choose anew.
    pub rebalance: bool,
    /// Nodes that are to be emptied.
    pub drain: Vec<Uuid>,
    /// Whether nodes are asked for what is recorded of them.
    pub check: bool,
    /// Whether all of it is only told.
    pub dry_run: bool,
    /// Keys at a time; at least 1.
    pub jobs: usize,
    /// Bytes in a second, all together.
    pub rate: Option<u64>,
}

/// Something that was done, or failed, or would be done.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The key.
    pub key: &'a Key,
    /// Files that it is known as.
    pub files: &'a [Vec<u8>],
    /// What it is.
    pub what: What,
    /// Length of the content as the key tells it.
    pub bytes: u64,
    /// Why it failed.
    pub failure: Option<&'a Failure>,
}

/// What is done about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is copied to these nodes.
    Copy(Vec<Uuid>),
    /// This node drops it.
    Drop(Uuid),
    /// This node says that it has it not, which is recorded.
    Absent(Uuid),
    /// It was looked for on this node.
    Look(Uuid),
    /// What to do cannot be told, or nobody has it any more.
    Plan,
    /// A file of the branch of which no copy is recorded anywhere.
    Lost,
}

/// Hears what is done.
pub trait Onlooker {
    /// Something was done.
    fn event(&self, event: Event<'_>);

    /// So many keys were looked at, and so many contents moved.
    fn far(&self, keys: u64, done: u64);
}

/// What became of it.
#[derive(Debug, Clone, Default)]
pub struct Balanced {
    /// Keys that were looked at.
    pub keys: u64,
    /// The nodes, by uuid.
    pub nodes: Vec<NodeBalance>,
    /// Keys of which something failed.
    pub failed: u64,
    /// Keys of files in the branch of which no copy is recorded anywhere.
    pub lost: u64,
    /// Repositories that have what nodes lack, and are none of those that could be reached.
    pub out_of_reach: BTreeSet<Uuid>,
    /// Whether it was told to end before it was done.
    pub is_cut: bool,
}

/// What moved to a node, and from it.
#[derive(Debug, Clone)]
pub struct NodeBalance {
    /// Who it is.
    pub uuid: Uuid,
    /// What this repository calls it.
    pub name: String,
    /// What came, and what went.
    pub traffic: Traffic,
    /// Why it is left alone, where it is.
    pub down: Option<String>,
    /// Whether it is recorded to be lost for good: nothing is expected of it.
    pub is_dead: bool,
    /// What it wants and did not get, since nobody who could be reached has it.
    pub lacks: Lack,
    /// Contents that it does not want and keeps, by the reason.
    pub stays: BTreeMap<Stay, u64>,
}

/// Contents that a node lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lack {
    /// How many.
    pub files: u64,
    /// Their bytes, as keys tell them.
    pub bytes: u64,
}

/// What is done with one cluster.
struct Doing<'a> {
    home: &'a Arc<LocalRepository>,
    cluster: ClusterNode,
    planner: Arc<Planner>,
    limits: Limits,
    rate: Option<Pace>,
    plea: &'a Plea,
    told: &'a dyn Onlooker,
    stop: Rc<Cell<bool>>,
    /// What moved.
    done: RefCell<Ledger>,
    moved: Cell<u64>,
    keys: Cell<u64>,
    /// Whether failures are told: those of a first try are not, where there will be another.
    is_last: Cell<bool>,
}

/// Brings the nodes of `cluster` of `home` to what they want, as `plea` says. `stop` is completed by whoever wants it to end.
///
/// # Errors
///
/// It cannot begin, or the branch cannot be read. What fails of one key is told of it alone.
pub async fn balance(
    home: &Arc<LocalRepository>,
    cluster: &Uuid,
    limits: &Limits,
    plea: &Plea,
    told: &dyn Onlooker,
    stop: impl Future<Output = ()>,
) -> Result<Balanced, Failure> {
    let unknown = || Failure::refused(format!("{cluster} is no cluster of this repository; git annex updatecluster"));
    let nodes = home.cluster(cluster).await?.ok_or_else(unknown)?;
    let asker = Asker { client: home.uuid().clone(), bypass: Vec::new() };
    let node = ClusterNode::new(home, Arc::clone(&nodes), limits, &asker);
    let members = node.members();
    let is_there = |member: &&Arc<Member>| member.remote.gateway.is_some() && plea.drain.contains(member.uuid());
    if let Some(member) = members.iter().find(is_there) {
        let words = format!("{} is behind another gateway and drops nothing here: drain it there", member.name());
        return Err(Failure::refused(words));
    }
    let reached = async |one: &Arc<Member>| match &one.remote.way {
        Ok(_) => node.reach(one).await.err(),
        Err(failure) => Some(failure.clone()),
    };
    let reached = join_all(members.iter().map(reached)).await;
    let down = members.iter().zip(&reached).filter(|(_, failure)| failure.is_some());
    let down: Vec<Uuid> = down.map(|(node, _)| node.uuid().clone()).collect();
    let (planner, names) = {
        let (home, members, plea) = (Arc::clone(home), members.clone(), plea.clone());
        let prepare = move || {
            let names = Names::read(home.repository());
            let names = names.map_err(|e| Failure::internal(format!("read the files of this repository: {e}")))?;
            Ok::<_, Failure>((Arc::new(Planner::new(&home, &members, &down, &plea)?), names))
        };
        // It counts sizes, which may take as long as the branch is large; others wait for pool threads.
        tokio::task::spawn_blocking(prepare).await.map_err(|e| Failure::internal(e.to_string()))??
    };
    let doing = Doing {
        home,
        cluster: node,
        planner,
        limits: limits.clone(),
        rate: plea.rate.and_then(Pace::new),
        plea,
        told,
        stop: Rc::new(Cell::new(false)),
        done: RefCell::default(),
        moved: Cell::new(0),
        keys: Cell::new(0),
        // What is only told is not tried again.
        is_last: Cell::new(plea.dry_run),
    };
    let done = doing.all(names, stop).await?;
    let Worked { survey, failed, is_cut } = done;
    let nodes = nodes_of(&members, &reached, &doing, &survey);
    let Survey { keys, lost, out_of_reach, .. } = survey;
    Ok(Balanced { keys, nodes, failed, lost, out_of_reach, is_cut })
}

fn nodes_of(
    members: &[Arc<Member>],
    reached: &[Option<Failure>],
    doing: &Doing<'_>,
    survey: &Survey,
) -> Vec<NodeBalance> {
    let of = |(node, failure): (&Arc<Member>, &Option<Failure>)| NodeBalance {
        uuid: node.uuid().clone(),
        name: node.name().to_string(),
        traffic: match doing.plea.dry_run {
            true => doing.planner.traffic(node.uuid()),
            false => doing.done.borrow().traffic(node.uuid()),
        },
        down: failure.as_ref().map(ToString::to_string),
        is_dead: doing.planner.is_dead(node.uuid()),
        lacks: survey.lacks.get(node.uuid()).copied().unwrap_or_default(),
        stays: survey.stays.get(node.uuid()).cloned().unwrap_or_default(),
    };
    members.iter().zip(reached).map(of).collect()
}

/// A key with something to do.
#[derive(Clone)]
struct Item {
    subject: Subject,
    /// What the ledger of the plan holds for done already.
    counted: Moves,
}
