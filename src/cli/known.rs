//! The repositories that a repository knows, by the names people have for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::annex::log::remote::RemoteLog;
use crate::annex::log::{REMOTE_LOG, is_cluster};
use crate::annex::remote::{NameError, Names, clusters};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// Who is known, and what they are called.
pub(super) struct Known {
    names: Names,
    /// Special remotes, by the names that remote.log has for them, also where they are not enabled here.
    special: BTreeMap<Uuid, Vec<u8>>,
    /// The clusters of git config, by name.
    clusters: BTreeMap<Vec<u8>, Uuid>,
}

impl Known {
    /// Reads uuid.log, remote.log and git config.
    ///
    /// # Errors
    /// In a line: a log cannot be read.
    pub fn read(repository: &Repository) -> Result<Self, String> {
        let names = Names::of(repository).map_err(|e| e.to_string())?;
        let log = RemoteLog::parse(&repository.branch().read(REMOTE_LOG).map_err(|e| e.to_string())?);
        let named = log.iter().filter_map(|(uuid, config)| Some((uuid.clone(), config.get(&b"name"[..])?.clone())));
        let clusters = clusters(repository).into_iter().map(|cluster| (cluster.name, cluster.uuid)).collect();
        Ok(Self { names, special: named.collect(), clusters })
    }

    /// The repository that somebody calls `name`: `here`, a remote, a uuid, a description, or a cluster of git config.
    ///
    /// # Errors
    /// In a line: nobody is called so.
    pub fn find(&self, name: &[u8]) -> Result<Uuid, String> {
        match self.names.find(name) {
            Ok(uuid) => Ok(uuid),
            Err(NameError::Unknown(name)) => {
                let is_called = |uuid: &&Uuid| uuid.as_bytes() == name || self.special.get(*uuid) == Some(&name);
                let found = self.all().iter().find(is_called).cloned().or_else(|| self.clusters.get(&name).cloned());
                found.ok_or_else(|| NameError::Unknown(name).to_string())
            }
            Err(e) => Err(e.to_string()),
        }
    }

    /// Everybody that is known, clusters too.
    pub fn all(&self) -> BTreeSet<Uuid> {
        let mut all = self.names.all();
        all.extend(self.special.keys().cloned());
        all
    }

    /// What git config calls it here.
    pub fn remote(&self, uuid: &Uuid) -> Option<String> {
        self.names.remote(uuid).map(plain)
    }

    /// Description and name, as git-annex shows them behind a uuid: `laptop [here]`, `usb [disk]`, `[usb]`.
    pub fn title(&self, uuid: &Uuid) -> String {
        let shown = plain(&self.names.shown(uuid));
        match (self.is_here(uuid), shown.is_empty()) {
            (true, true) => "[here]".to_string(),
            (true, false) => format!("{shown} [here]"),
            (false, true) => self.special.get(uuid).map_or(String::new(), |name| plain(name)),
            (false, false) => shown,
        }
    }

    /// What git config calls a cluster here.
    pub fn cluster_names(&self, cluster: &Uuid) -> Vec<String> {
        let named = self.clusters.iter().filter(|(_, uuid)| *uuid == cluster);
        named.map(|(name, _)| plain(name)).collect()
    }

    /// Whether uuid.log has it.
    pub fn is_described(&self, uuid: &Uuid) -> bool {
        self.names.described().any(|described| described == uuid)
    }

    /// Whether it is a special remote.
    pub fn is_special(&self, uuid: &Uuid) -> bool {
        self.special.contains_key(uuid)
    }

    /// Whether it is this repository.
    pub fn is_here(&self, uuid: &Uuid) -> bool {
        uuid == self.names.own()
    }

    /// Whether it is a cluster.
    pub fn is_cluster(uuid: &Uuid) -> bool {
        is_cluster(uuid)
    }
}

/// Text for a terminal, whatever bytes it is made of.
pub(super) fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
