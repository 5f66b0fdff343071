//! `cluster.log`: which nodes a cluster has.

use std::collections::{BTreeMap, BTreeSet};

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// `cluster.log`, read. Lines are `TIME CLUSTERUUID UUID UUID`; the newest line of a cluster counts, of equals the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterLog {
    clusters: BTreeMap<Uuid, (Stamp, Vec<Uuid>)>,
}

impl ClusterLog {
    /// Reads a log. Malformed lines are left out, as git-annex leaves them out, and so are nodes whose uuid is none.
    pub fn parse(log: &[u8]) -> Self {
        let mut clusters = BTreeMap::new();
        for (stamp, cluster, nodes) in lines(log).filter_map(parse_line) {
            let newer = clusters.get(&cluster).is_none_or(|(have, _)| stamp >= *have);
            if newer {
                clusters.insert(cluster, (stamp, nodes));
            }
        }
        Self { clusters }
    }

    /// The nodes of `cluster`, by uuid; none where it is not known.
    pub fn nodes(&self, cluster: &Uuid) -> &[Uuid] {
        self.clusters.get(cluster).map_or(&[], |(_, nodes)| nodes)
    }

    /// The clusters that are recorded, by uuid, also those without a node.
    pub fn clusters(&self) -> impl Iterator<Item = &Uuid> {
        self.clusters.keys()
    }

    /// The clusters that `node` is a node of, by uuid.
    pub fn clusters_of(&self, node: &Uuid) -> impl Iterator<Item = &Uuid> {
        let has = move |(_, nodes): &(Stamp, Vec<Uuid>)| nodes.binary_search(node).is_ok();
        self.clusters.iter().filter(move |(_, of_cluster)| has(of_cluster)).map(|(cluster, _)| cluster)
    }

    /// Records that `cluster` has `nodes` and no others, `now` being seconds since 1970.
    pub fn set(&mut self, cluster: &Uuid, nodes: BTreeSet<Uuid>, now: u64) {
        let old = self.clusters.get(cluster);
        let stamp = old.map_or(Stamp::of_seconds(now), |(stamp, _)| stamp.after(now));
        self.clusters.insert(cluster.clone(), (stamp, nodes.into_iter().collect()));
    }

    /// The log as git-annex writes it: a line for each cluster, by uuid, with its nodes by uuid. A cluster without any keeps its
    /// line, which ends in a space then.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (cluster, (stamp, nodes)) in &self.clusters {
            out.extend_from_slice(stamp.to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(cluster.as_bytes());
            for node in nodes {
                out.push(b' ');
                out.extend_from_slice(node.as_bytes());
            }
            out.extend_from_slice(if nodes.is_empty() { b" \n" } else { b"\n" });
        }
        out
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Uuid, Vec<Uuid>)> {
    let (stamp, rest) = cut(line)?;
    let (cluster, nodes) = cut(rest)?;
    let mut words: Vec<&[u8]> = nodes.split(|byte| *byte == b' ').collect();
    if words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    if words.iter().any(|word| word.is_empty()) {
        return None;
    }
    let nodes: BTreeSet<Uuid> = words.into_iter().filter_map(|word| Uuid::parse(word).ok()).collect();
    Some((Stamp::parse(stamp)?, Uuid::parse(cluster).ok()?, nodes.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    fn nodes(log: &ClusterLog, cluster: &str) -> Vec<String> {
        log.nodes(&uuid(cluster)).iter().map(Uuid::to_string).collect()
    }

    /// Recorded: two gateways' lines after a merge, and a cluster whose last node was taken out.
    #[test]
    fn the_newest_line_of_a_cluster_counts() {
        let log = ClusterLog::parse(b"5s ac1 b1 d1\n6s ac1 b1 b3 d1 d3\nbad\n7s ac2 \n8s ac3\n");
        assert_eq!(nodes(&log, "ac1"), ["b1", "b3", "d1", "d3"]);
        assert!(nodes(&log, "ac2").is_empty() && nodes(&log, "ac3").is_empty() && nodes(&log, "ac9").is_empty());
        assert!(log.clusters().map(Uuid::to_string).eq(["ac1", "ac2"]), "a line without a space at its end is none");
    }

    /// Recorded: what `git annex updatecluster` of git-annex 10.20261026 removes of such lines.
    #[test]
    fn lines_are_read_as_git_annex_reads_them() {
        for (log, read) in [
            ("1s c x5 x6 \n", &["x5", "x6"][..]),
            ("2s c x5  x6\n", &[]),
            ("3s c  x5\n", &[]),
            ("4s c x6 x5 x6\n", &["x5", "x6"]),
            ("5s  c x6\n", &[]),
            ("5.5s c x1\n", &["x1"]),
            ("5 c x2\n", &["x2"]),
            ("7s c x1\r\n", &["x1"]),
            ("8s c x1\n9s c\n", &["x1"]),
            ("8s c x1\n9s c \n", &[]),
            ("8s c x1\n9s c  \n", &["x1"]),
            (" 8s c x1\n", &[]),
            ("8s\tc x1\n", &[]),
            ("8s c x1 x=y x:z\n", &["x1", "x:z", "x=y"]),
            ("5s c x1\n5s c x2\n", &["x2"]),
            ("7s c x3\n6s c x4\n", &["x3"]),
            ("8s other x1\n8s c x2", &["x2"]),
        ] {
            assert_eq!(nodes(&ClusterLog::parse(log.as_bytes()), "c"), read, "{log:?}");
        }
    }

    /// Recorded: git-annex made this of such a log, of new nodes of one cluster and of the last node's end in another.
    #[test]
    fn a_changed_log_is_written_as_git_annex_writes_it() {
        let mut log = ClusterLog::parse(b"99s ac0 x1\n5s aca x1\n5s aca x2\nrubbish\n9s\n3s nocluster x1\n");
        log.set(&uuid("ac0"), [uuid("d2"), uuid("d1")].into(), 50);
        log.set(&uuid("aca"), BTreeSet::new(), 50);
        log.set(&uuid("acb"), [uuid("d1")].into(), 50);
        let written = "100s ac0 d1 d2\n50s aca \n50s acb d1\n3s nocluster x1\n";
        assert_eq!(String::from_utf8(log.to_bytes()).expect("text"), written);
        assert_eq!(ClusterLog::parse(written.as_bytes()), log);
        let of = |node: &str| log.clusters_of(&uuid(node)).map(Uuid::to_string).collect::<Vec<_>>();
        assert_eq!(
            (of("d1"), of("x1"), of("ac0")),
            (vec!["ac0".into(), "acb".into()], vec!["nocluster".into()], vec![])
        );
    }
}
