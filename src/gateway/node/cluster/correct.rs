//! A log that a node contradicts is set right.

use super::ClusterNode;
use super::ways::Member;
use crate::annex::log::{LocationLog, Presence};
use crate::name::Key;

impl ClusterNode {
    /// `node` positively said whether it has the content of `key`. Where `log`, as it was read before it was asked, says otherwise,
    /// that is recorded; not where somebody recorded something meanwhile.
    pub(super) async fn correct(&self, key: &Key, node: &Member, is_there: bool, log: &LocationLog) {
        // Who asks another gateway for all that is behind it hears of none of its nodes.
        if node.is_whole(&self.cluster.uuid) {
            return;
        }
        let says_so = log.presence(node.uuid()) == Some(Presence::Present);
        if says_so == is_there || (is_there && self.home.recordable(key).is_err()) {
            return;
        }
        let presence = if is_there { Presence::Present } else { Presence::Missing };
        match self.home.record_correction(key, node.uuid(), presence, log.line(node.uuid())).await {
            Ok(()) => {
                let says = if is_there { "has it, which was not recorded" } else { "has it not, which was recorded" };
                tracing::info!("{key}: node {} {says}; the location log is corrected", node.name());
            }
            Err(failure) => tracing::warn!("{key}: the location log is not corrected: {failure}"),
        }
    }
}
