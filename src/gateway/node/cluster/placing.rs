//! Which nodes an upload goes to, and room for it there, in one step.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ClusterNode;
use super::ways::Member;
use crate::annex::sizes::Usage;
use crate::cluster::{Candidate, Placement, place};
use crate::gateway::room::{Room, Unreserved, once_counted};
use crate::gateway::wanted::{Counted, FactSource, Sizes};
use crate::gateway::{Failure, LocalRepository};
use crate::name::{Key, Uuid};
use crate::proto::p2p::AssociatedFile;
use crate::wanted::{Facts, Policy, Repo, Unknown};

/// Where an upload goes.
pub(super) enum Choice {
    /// To these nodes, where there is room for it.
    Put(Vec<Arc<Member>>, Room),
    /// Nowhere: these are recorded as having it, and no other wants it.
    Has(Vec<Arc<Member>>),
    /// It fits nowhere.
    NoRoom,
}

impl ClusterNode {
    /// Chooses the nodes for `key`, which is known as `file`, among those of `nodes` that take content; of the nodes `left_out`
    /// nothing is expected, not even that they have what is recorded of them.
    pub(super) async fn choose(
        &self,
        key: &Key,
        file: &AssociatedFile,
        nodes: &[Arc<Member>],
        left_out: &BTreeSet<Uuid>,
    ) -> Result<Choice, Failure> {
        let (home, nodes) = (Arc::clone(&self.home), nodes.to_vec());
        let file = Some(file.as_bytes().to_vec()).filter(|file| !file.is_empty());
        let (key, left_out) = (key.clone(), left_out.clone());
        once_counted(self.limits.idle, move || choose(&home, &nodes, &key, file.clone(), &left_out)).await
    }
}

/// Blocks.
fn choose(
    home: &LocalRepository,
    members: &[Arc<Member>],
    key: &Key,
    file: Option<Vec<u8>>,
    left_out: &BTreeSet<Uuid>,
) -> Result<Choice, Unreserved> {
    let failed = |words: String| Unreserved::Failed(Failure::internal(words));
    let policy = home.policy().map_err(Unreserved::Failed)?;
    let (counted, reserved) = (Counted::new(home.repository()), Reserved::default());
    let sizes: &dyn Sizes = if has_limits(&policy) { &reserved } else { &counted };
    let source = FactSource::new(home.repository(), sizes);
    let facts = source.about(key.clone(), file);
    let mut holders = BTreeSet::new();
    let holding = facts.holders(&mut |uuid| holders.extend([uuid.clone()]));
    holding.map_err(|unknown| failed(unknown.to_string()))?;
    let numcopies = facts.numcopies().map_err(|unknown| failed(unknown.to_string()))?;
    let numcopies = numcopies.unwrap_or_else(|| u64::try_from(policy.numcopies()).unwrap_or(1));
    let nodes: BTreeMap<Repo, &Arc<Member>> =
        members.iter().filter_map(|node| Some((policy.repo(node.uuid())?, node))).collect();
    let placed = |usage: Option<&Usage>| {
        let candidate = |(repo, node): (&Repo, &&Arc<Member>)| {
            let maxsize = policy.settings(*repo).maxsize;
            let used = usage.and_then(|usage| usage.used(node.uuid())).unwrap_or(0);
            let has_room = maxsize.is_none_or(|most| usage.is_none_or(|usage| usage.fits(node.uuid(), most)));
            let is_left_out = left_out.contains(node.uuid());
            Candidate {
                repo: *repo,
                cost: node.total_cost(),
                has: holders.contains(node.uuid()) && !is_left_out,
                fits: has_room && node.remote.is_writable && !is_left_out,
                room: maxsize.map(|most| most.saturating_sub(used)),
            }
        };
        let candidates: Vec<Candidate> = nodes.iter().map(candidate).collect();
        // What was asked before is asked anew: how full repositories are has changed.
        place(&policy.about(&facts), key, &candidates, numcopies)
    };
    let told = |placement: Result<Placement, Unknown>| {
        placement.map_err(|unknown| failed(format!("cannot determine which nodes want the content: {unknown}")))
    };
    if !has_limits(&policy) {
        return Ok(choice(&nodes, told(placed(None))?, Room::default()));
    }
    // Facts are read now, and kept: nobody else reserves anything while they would be.
    reserved.set(None);
    told(placed(None))?;
    let with_limits = policy.repos().filter(|repo| policy.settings(*repo).maxsize.is_some());
    let mut asked: BTreeSet<Uuid> = with_limits.map(|repo| policy.uuid(repo).clone()).collect();
    asked.extend(nodes.values().map(|node| node.uuid().clone()));
    let asked: Vec<Uuid> = asked.into_iter().collect();
    let mut placement = None;
    let reservation = home.sizes().reserve(key, key.size().unwrap_or(0), &asked, &mut |usage| {
        reserved.set(Some(usage.clone()));
        let now = placed(Some(usage));
        let picks = match &now {
            Ok(Placement::Put(picks)) => picks.iter().map(|pick| policy.uuid(pick.repo).clone()).collect(),
            _ => Vec::new(),
        };
        placement = Some(now);
        picks
    });
    let reservation = reservation?;
    let placement = placement.ok_or_else(|| failed("nothing was chosen".to_string()))?;
    Ok(choice(&nodes, told(placement)?, Room::of(reservation)))
}

fn choice(nodes: &BTreeMap<Repo, &Arc<Member>>, placement: Placement, room: Room) -> Choice {
    let of = |repos: &mut dyn Iterator<Item = Repo>| {
        repos.filter_map(|repo| nodes.get(&repo).map(|node| Arc::clone(node))).collect()
    };
    match placement {
        Placement::Put(picks) => Choice::Put(of(&mut picks.iter().map(|pick| pick.repo)), room),
        Placement::Has(repos) => Choice::Has(of(&mut repos.into_iter())),
        Placement::NoRoom => Choice::NoRoom,
    }
}

/// Whether any repository may not grow for ever, so that sizes matter.
fn has_limits(policy: &Policy) -> bool {
    policy.repos().any(|repo| policy.settings(repo).maxsize.is_some())
}

/// How full repositories are, as a reservation is told.
#[derive(Default)]
struct Reserved(RefCell<Option<Usage>>);

impl Reserved {
    fn set(&self, usage: Option<Usage>) {
        *self.0.borrow_mut() = usage;
    }
}

impl Sizes for Reserved {
    fn used(&self, uuid: &Uuid) -> Result<u64, String> {
        Ok(self.0.borrow().as_ref().and_then(|usage| usage.used(uuid)).unwrap_or(0))
    }
}
