//! What is configured about preferred content, from the logs of the git-annex branch.

use std::collections::BTreeSet;

use super::numbers;
use crate::annex::branch::BranchError;
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::remote::RemoteLog;
use crate::annex::log::uuid::UuidLog;
use crate::annex::log::{
    CLUSTER_LOG, GROUP_LOG, GROUP_PREFERRED_LOG, MAXSIZE_LOG, MaxSizeLog, NUMCOPIES_LOG, PREFERRED_LOG, REMOTE_LOG,
    REQUIRED_LOG, SubjectLog, TRUST_LOG, UUID_LOG, single,
};
use crate::annex::repository::Repository;
use crate::name::Uuid;
use crate::wanted::{self, Configuration, Trust};

/// The logs that a policy is made of, as they were read. Two that are equal make the same policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLogs {
    uuid: Vec<u8>,
    trust: Vec<u8>,
    group: Vec<u8>,
    preferred: Vec<u8>,
    required: Vec<u8>,
    group_preferred: Vec<u8>,
    remote: Vec<u8>,
    numcopies: Vec<u8>,
    maxsize: Vec<u8>,
    cluster: Vec<u8>,
    threshold: Option<u64>,
}

impl PolicyLogs {
    /// Reads them, with what waits in the journal.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(repository: &Repository) -> Result<Self, BranchError> {
        let read = |file| repository.branch().read(file);
        let threshold = repository.config("annex.fullybalancedthreshhold");
        Ok(Self {
            uuid: read(UUID_LOG)?,
            trust: read(TRUST_LOG)?,
            group: read(GROUP_LOG)?,
            preferred: read(PREFERRED_LOG)?,
            required: read(REQUIRED_LOG)?,
            group_preferred: read(GROUP_PREFERRED_LOG)?,
            remote: read(REMOTE_LOG)?,
            numcopies: read(NUMCOPIES_LOG)?,
            maxsize: read(MAXSIZE_LOG)?,
            cluster: read(CLUSTER_LOG)?,
            threshold: threshold.and_then(|set| std::str::from_utf8(&set).ok()?.trim().parse().ok()),
        })
    }

    /// What they configure. `rebalance` is `--rebalance`.
    pub fn configuration(&self, rebalance: bool) -> Configuration {
        let [described, trust, group, preferred, required] =
            [&self.uuid, &self.trust, &self.group, &self.preferred, &self.required].map(|log| UuidLog::parse(log));
        let (remote, maxsize) = (RemoteLog::parse(&self.remote), MaxSizeLog::parse(&self.maxsize));
        let logs = [&described, &trust, &group, &preferred, &required];
        let mut all: BTreeSet<Uuid> = logs.iter().flat_map(|log| log.iter().map(|(uuid, _)| uuid.clone())).collect();
        all.extend(remote.iter().map(|(uuid, _)| uuid.clone()));
        all.extend(maxsize.uuids().cloned());
        // A node that nothing is configured of wants what comes.
        let clusters = ClusterLog::parse(&self.cluster);
        all.extend(clusters.clusters().flat_map(|cluster| clusters.nodes(cluster)).cloned());
        let repository = |uuid: Uuid| wanted::Repository {
            trust: trust.value(&uuid).map_or(Trust::default(), trust_of),
            groups: group.value(&uuid).map_or(Vec::new(), words),
            wanted: preferred.value(&uuid).map(Into::into),
            required: required.value(&uuid).map(Into::into),
            maxsize: maxsize.max_size(&uuid),
            preferreddir: remote.config(&uuid).and_then(|config| Some(config.get(&b"preferreddir"[..])?[..].into())),
            uuid,
        };
        let groupwanted = SubjectLog::parse(&self.group_preferred);
        Configuration {
            repositories: all.into_iter().map(repository).collect(),
            groupwanted: groupwanted.iter().map(|(group, expression)| (group.into(), expression.into())).collect(),
            numcopies: single(&self.numcopies, numbers::copies),
            threshold: self.threshold,
            rebalance,
        }
    }
}

/// The trust level that a value of trust.log stands for. Source: recorded, nothing for trusted too.
fn trust_of(value: &[u8]) -> Trust {
    match value {
        b"1" | b"" => Trust::Trusted,
        b"0" => Trust::Untrusted,
        b"X" => Trust::Dead,
        _ => Trust::Semitrusted,
    }
}

fn words(text: &[u8]) -> Vec<Box<[u8]>> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(Into::into).collect()
}
