//! `cluster.log`: which nodes a cluster has.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// `cluster.log`, read. Lines are `TIME CLUSTERUUID UUID UUID`; the newest line of a cluster counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterLog {
    clusters: BTreeMap<Uuid, (Stamp, Vec<Uuid>)>,
}

impl ClusterLog {
    /// Reads a log. Lines and nodes that make no sense are left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut clusters = BTreeMap::new();
        for (stamp, cluster, nodes) in lines(log).filter_map(parse_line) {
            let newer = clusters.get(&cluster).is_none_or(|(have, _)| stamp > *have);
            if newer {
                clusters.insert(cluster, (stamp, nodes));
            }
        }
        Self { clusters }
    }

    /// The nodes of `cluster`; none where it is not known.
    pub fn nodes(&self, cluster: &Uuid) -> &[Uuid] {
        self.clusters.get(cluster).map_or(&[], |(_, nodes)| nodes)
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Uuid, Vec<Uuid>)> {
    let (stamp, rest) = cut(line)?;
    let (cluster, nodes) = cut(rest).unwrap_or((rest, b""));
    let nodes = nodes.split(|byte| *byte == b' ').filter_map(|word| Uuid::parse(word).ok()).collect();
    Some((Stamp::parse(stamp)?, Uuid::parse(cluster).ok()?, nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: two gateways' lines after a merge, and a cluster whose last node was taken out.
    #[test]
    fn the_newest_line_of_a_cluster_counts() {
        let log = ClusterLog::parse(b"5s ac1 b1 d1\n6s ac1 b1 b3 d1 d3\nbad\n7s ac2 \n8s ac3\n");
        let nodes = |uuid: &[u8]| -> Vec<String> {
            log.nodes(&Uuid::parse(uuid).expect("a uuid")).iter().map(Uuid::to_string).collect()
        };
        assert_eq!(nodes(b"ac1"), ["b1", "b3", "d1", "d3"]);
        assert!(nodes(b"ac2").is_empty() && nodes(b"ac3").is_empty() && nodes(b"ac9").is_empty());
    }
}
