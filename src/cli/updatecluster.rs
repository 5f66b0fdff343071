//! `updatecluster`: records the nodes of clusters, as `git annex updatecluster` does.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::known::{Known, plain};
use super::{here, sim, told, updateproxy};
use crate::annex::remote::{Membership, Remote, membership, record_membership, remotes_of, unknown_clusters, ways};
use crate::annex::repository::Repository;
use crate::gateway::wanted::Policies;
use crate::name::Uuid;
use crate::resolve;
use crate::wanted::{Matter, Origin, Trust};

pub(super) const EXAMPLES: &str = "\
Let the remote \"disk2\" be a node of the cluster \"mycluster\":

  git config remote.disk2.annex-cluster-node mycluster
  git-annex-remote-stream updatecluster

And take it out, once its content is elsewhere:

  git config --unset remote.disk2.annex-cluster-node
  git-annex-remote-stream updatecluster

The same is recorded as by git annex updatecluster: one commit to the git-annex branch, none if nothing changed. Nodes that were
added at another gateway stay, as long as that gateway is a remote. On stderr: nodes that can never be used and why, names in
annex-cluster-node that are no cluster's, nodes to which there are two ways, preferred content that never matches or asks for a group
that nobody is in, and with which a file would never come to rest or end with too few copies.";

/// Records them, and says what changed. Fails where the repository cannot be read or written.
pub(super) fn main() -> ExitCode {
    let done = here::repository().and_then(|repository| {
        repository.branch().take_all();
        update(&repository)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Records the nodes of the clusters of `repository` and what it proxies, and says what changed.
///
/// # Errors
/// In a line, what could not be read or written.
pub(super) fn update(repository: &Repository) -> Result<(), String> {
    let found = membership(repository).map_err(|e| e.to_string())?;
    let known = Known::read(repository)?;
    for warning in warnings(repository, &found, &known)? {
        eprintln!("  {warning}");
    }
    record_membership(repository, &found).map_err(|e| e.to_string())?;
    print!("{}", changes(&found, &known));
    Ok(())
}

/// What git-annex says on stdout.
fn changes(found: &Membership, known: &Known) -> String {
    let mut text = String::new();
    for nodes in &found.clusters {
        let cluster = String::from_utf8_lossy(&nodes.cluster.name);
        for node in &nodes.added {
            text += &format!("Added node {} to cluster: {cluster}\n", String::from_utf8_lossy(&node.name));
        }
        for node in &nodes.removed {
            text += &format!("Removed node {} from cluster: {cluster}\n", called(node, known));
        }
        if nodes.added.is_empty() && nodes.removed.is_empty() {
            text += &format!("No cluster node changes for cluster: {cluster}\n");
        }
    }
    text + &updateproxy::told(&found.offers)
}

/// What people call a repository; its uuid where nobody calls it anything. A remote that nobody described is called by its name
/// alone: recorded.
fn called(uuid: &Uuid, known: &Known) -> String {
    let title = known.title(uuid);
    match known.remote(uuid) {
        Some(name) if !known.is_described(uuid) => name,
        _ if title.is_empty() => uuid.to_string(),
        _ => title,
    }
}

/// What people should know who set this up, each on one line.
fn warnings(repository: &Repository, found: &Membership, known: &Known) -> Result<Vec<String>, String> {
    let mut warnings: Vec<String> = found.offers.refused.iter().map(updateproxy::why).collect();
    for (remote, cluster) in unknown_clusters(repository) {
        let (remote, cluster) = (plain(&remote), plain(&cluster));
        warnings.push(format!(
            "{remote} is no node of {cluster}: there is no such cluster here; where another gateway has it: git-annex-remote-stream extendcluster \
             GATEWAY {cluster}; else initcluster {cluster}, or take it out of remote.{remote}.annex-cluster-node"
        ));
    }
    let remotes = remotes_of(repository).map_err(|e| e.to_string())?;
    let is_node = |remote: &&Remote| found.clusters.iter().any(|nodes| nodes.wanted.contains(&remote.uuid));
    for remote in remotes.iter().filter(|remote| !remote.node_of.is_empty()).filter(is_node) {
        if let Err(refusal) = resolve::destination(remote, resolve::environment) {
            warnings.push(format!("{refusal}; as a node it is never used"));
        }
    }
    for (uuid, ways) in ways(repository).map_err(|e| e.to_string())?.iter().filter(|(_, ways)| ways.len() > 1) {
        let names: Vec<String> = ways.iter().map(|way| plain(&way.name)).collect();
        warnings.push(format!("{} lead to the same node, {uuid}: the cheapest way to it is used", names.join(" and ")));
    }
    warnings.extend(unused(repository, found, known)?);
    Ok(warnings)
}

/// The wishes of nodes that no upload can meet: expressions that never match or ask for what is not there, and those of nodes that
/// are dead.
fn unused(repository: &Repository, found: &Membership, known: &Known) -> Result<Vec<String>, String> {
    let nodes: BTreeSet<&Uuid> = found.clusters.iter().flat_map(|nodes| &nodes.wanted).collect();
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let policy = Policies::default().current(repository).map_err(|e| e.to_string())?;
    let of_node = |of: &Origin| match of {
        Origin::Wanted(uuid) | Origin::Required(uuid) => nodes.contains(uuid),
        Origin::GroupWanted(_) => false,
    };
    let never = |what: &Matter| matches!(what, Matter::Unstable(_) | Matter::Unparsed(_));
    let problems = policy.problems().iter().filter(|problem| of_node(&problem.of) && never(&problem.what));
    let mut warnings: Vec<String> = problems.map(|problem| told::problem(problem, known)).collect();
    // What a group wants is asked of nodes that are in it, and one that nobody is in may be meant for them.
    warnings.extend(told::absent(&policy, known, &|of| of_node(of) || matches!(of, Origin::GroupWanted(_))));
    for repo in policy.repos().filter(|repo| nodes.contains(policy.uuid(*repo))) {
        if policy.settings(repo).trust == Trust::Dead {
            warnings.push(format!("{} is dead: nothing is stored there", called(policy.uuid(repo), known)));
        }
    }
    if let Some(why) = sim::mention(repository, &nodes) {
        warnings.push(format!("as they are configured, {why}; git-annex-remote-stream sim check shows how"));
    }
    Ok(warnings)
}
