//! The ways to the nodes of a cluster for one request: its own remotes, and other gateways that lead to more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ClusterNode;
use crate::cluster::{HOP, Leg, Line, Routes, routes};
use crate::gateway::node::Asker;
use crate::gateway::repository::{ClusterLine, Proxied};
use crate::name::Uuid;

/// One who is asked: a node, or another gateway for all that is behind it.
#[derive(Clone)]
pub(in crate::gateway) struct Member {
    pub(in crate::gateway) remote: Arc<Proxied>,
    /// What it costs to reach it, without hops.
    pub(super) cost: f64,
    /// Other gateways on the way.
    pub(super) hops: u32,
    /// Who asks it, and whom it is to leave out.
    pub(in crate::gateway) asker: Asker,
}

/// The ways of one request.
pub(super) struct Ways<'a> {
    cluster: &'a ClusterNode,
    routes: Option<Routes>,
    lines: Vec<&'a ClusterLine>,
    own: Vec<Arc<Proxied>>,
}

impl Member {
    /// Who it is.
    pub(in crate::gateway) fn uuid(&self) -> &Uuid {
        &self.remote.uuid
    }

    /// What it is called, for people.
    pub(in crate::gateway) fn name(&self) -> &str {
        &self.remote.name
    }

    /// What it costs to reach it, hops included; less is better.
    pub(in crate::gateway) fn total_cost(&self) -> f64 {
        self.cost + f64::from(self.hops) * HOP
    }

    /// Whether it is all that is behind another gateway.
    pub(super) fn is_whole(&self, cluster: &Uuid) -> bool {
        self.remote.gateway.is_some() && self.remote.uuid == *cluster
    }
}

impl ClusterNode {
    /// The ways for this request, but for those through gateways that `failed`.
    pub(super) fn ways(&self, failed: &BTreeSet<Uuid>) -> Ways<'_> {
        let is_asked = |uuid: &Uuid| !self.asker.bypass.contains(uuid);
        let own = self.cluster.nodes.iter().filter(|node| is_asked(&node.uuid));
        let is_usable = |line: &&ClusterLine| line.whole.way.is_ok() && !failed.contains(&line.gateway);
        let lines: Vec<&ClusterLine> = self.cluster.lines.iter().filter(is_usable).collect();
        if lines.is_empty() {
            return Ways { cluster: self, routes: None, lines, own: own.cloned().collect() };
        }
        let health = self.home.health();
        let line = |line: &&ClusterLine| {
            let known = health.known(&line.gateway);
            let answer = known.answer.map(|answer| u64::try_from(answer.as_micros()).unwrap_or(u64::MAX));
            Line { gateway: line.gateway.clone(), cost: line.whole.cost, is_up: known.is_up, answer }
        };
        let known: Vec<Line> = lines.iter().map(line).collect();
        let found = |own: &BTreeSet<Uuid>| routes(&self.cluster.net, self.home.uuid(), own, &known, &self.asker.bypass);
        let all = found(&BTreeSet::new());
        // A node that is reached two ways is reached by the nearer one, if that is a way at all.
        let is_nearer = |node: &&Arc<Proxied>| match all.node(&node.uuid) {
            Some(route) => node.way.is_ok() && node.cost <= route.cost + f64::from(route.hops) * HOP,
            None => true,
        };
        let own: Vec<Arc<Proxied>> = own.filter(is_nearer).cloned().collect();
        let routes = found(&own.iter().map(|node| node.uuid.clone()).collect());
        Ways { cluster: self, routes: Some(routes), lines, own }
    }

    /// A node of this repository.
    pub(super) fn own(&self, remote: &Arc<Proxied>) -> Arc<Member> {
        let (remote, cost) = (Arc::clone(remote), remote.cost);
        Arc::new(Member { remote, cost, hops: 0, asker: self.asker.clone() })
    }

    /// The gateways that are known to be down. Each is looked at beside the request, where it is time for that.
    pub(super) fn lines_down(&self) -> BTreeSet<Uuid> {
        let lines = self.cluster.lines.iter().filter(|line| self.home.health().down(&line.gateway).is_some());
        let look = |line: &ClusterLine| {
            let _ = self.down(&self.through(&line.whole, 1, Vec::new()));
            line.gateway.clone()
        };
        lines.map(look).collect()
    }

    /// What is behind a gateway, which is to leave out `bypass`.
    pub(super) fn through(&self, remote: &Arc<Proxied>, hops: u32, bypass: Vec<Uuid>) -> Arc<Member> {
        let asker = Asker { client: self.asker.client.clone(), bypass };
        Arc::new(Member { remote: Arc::clone(remote), cost: remote.cost, hops, asker })
    }
}

impl<'a> Ways<'a> {
    /// All nodes that are reached, each by one way.
    pub(super) fn nodes(&self) -> Vec<Arc<Member>> {
        let mut all: Vec<Arc<Member>> = self.own.iter().map(|node| self.cluster.own(node)).collect();
        let Some(routes) = &self.routes else { return all };
        for (at, line) in self.lines.iter().enumerate() {
            let bypass = routes.bypass_of_upload(at);
            let reached = routes.nodes(at).filter_map(|node| Some((routes.node(node)?.hops, line.nodes.get(node)?)));
            all.extend(reached.map(|(hops, node)| self.cluster.through(node, hops, bypass.clone())));
        }
        all
    }

    /// The other gateways, each to be asked for all that is behind it. Those whose lines failed may be asked by the others.
    pub(super) fn gateways(&self) -> Vec<Arc<Member>> {
        let Some(routes) = &self.routes else { return Vec::new() };
        let bypass = routes.bypass_of_question();
        let lines = routes.lines().filter_map(|at| self.lines.get(at));
        lines.map(|line| self.cluster.through(&line.whole, 1, bypass.clone())).collect()
    }

    /// The gateways that nobody can ask, although they are to be asked.
    pub(super) fn uncovered(&self) -> Vec<&'a ClusterLine> {
        let bypass: Vec<Uuid> = self.cluster.asker.bypass.iter().chain([self.cluster.home.uuid()]).cloned().collect();
        let asked: Vec<Uuid> = self.lines.iter().map(|line| line.gateway.clone()).collect();
        let is_covered = |line: &&ClusterLine| self.cluster.cluster.net.leads(&asked, &line.gateway, &bypass);
        let lines = self.cluster.cluster.lines.iter().filter(|line| !bypass.contains(&line.gateway));
        lines.filter(|line| !is_covered(line)).collect()
    }

    /// Who is sent what, for an upload to `nodes`.
    pub(super) fn legs(&self, nodes: &[Arc<Member>]) -> Vec<Arc<Member>> {
        let Some(routes) = &self.routes else { return nodes.to_vec() };
        let picks: Vec<Uuid> = nodes.iter().map(|node| node.uuid().clone()).collect();
        let find = |uuid: &Uuid| nodes.iter().find(|node| node.uuid() == uuid).cloned();
        let leg = |leg: Leg| match leg {
            Leg::Own(node) => find(&node),
            Leg::One { node, .. } => find(&node),
            Leg::Many { line, bypass, .. } => Some(self.cluster.through(&self.lines.get(line)?.whole, 1, bypass)),
        };
        routes.legs(&picks).into_iter().filter_map(leg).collect()
    }
}
