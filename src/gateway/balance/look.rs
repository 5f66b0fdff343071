//! `--check`: nodes are asked for what is recorded of them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;

use super::subject::Subject;
use super::{Doing, What};
use crate::annex::log::Presence;
use crate::gateway::Failure;
use crate::gateway::node::Member;

impl Doing<'_> {
    /// The key with what its nodes say. Failures: one of them could not tell, and its record stays.
    pub(super) async fn look(&self, subject: &Subject) -> Result<Subject, (Subject, Failure)> {
        let up = self.planner.holders(subject).filter(|(_, condition)| condition.is_up);
        let nodes: Vec<&Arc<Member>> = up.map(|(node, _)| node).collect();
        let asked = join_all(nodes.iter().map(|node| self.cluster.is_on(&subject.key, node))).await;
        let (mut looked, mut doubt) = (subject.clone(), None);
        for (node, said) in nodes.into_iter().zip(asked) {
            match said {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(failure) = self.absent(subject, node).await {
                        doubt = Some(failure);
                        continue;
                    }
                    looked.log.set(node.uuid(), Presence::Missing, now());
                }
                Err(failure) => {
                    self.told(subject, What::Look(node.uuid().clone()), 0, Err(&failure));
                    doubt = Some(failure);
                }
            }
        }
        let nobody = looked.log.holders().next().is_none() && subject.log.holders().next().is_some();
        if nobody && doubt.is_none() {
            let failure = Failure::refused("no copy of it is left that is recorded anywhere".to_string());
            self.told(subject, What::Plan, 0, Err(&failure));
            doubt = Some(failure);
        }
        doubt.map_or(Ok(looked.clone()), |failure| Err((looked, failure)))
    }

    /// `node` positively has it not, although that is recorded: set right, unless somebody recorded something meanwhile.
    pub(super) async fn absent(&self, subject: &Subject, node: &Arc<Member>) -> Result<(), Failure> {
        let key = &subject.key;
        if !self.plea.dry_run {
            self.home.record_correction(key, node.uuid(), Presence::Missing, subject.log.line(node.uuid())).await?;
        }
        self.planner.lost(node.uuid(), subject);
        self.tell(subject, What::Absent(node.uuid().clone()), subject.key.size().unwrap_or(0), None);
        Ok(())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
