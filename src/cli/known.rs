//! The repositories that a repository knows, by the names people have for them.

use std::collections::BTreeMap;

use crate::annex::log::UUID_LOG;
use crate::annex::log::remote::RemoteLog;
use crate::annex::log::uuid::UuidLog;
use crate::annex::log::{REMOTE_LOG, is_cluster};
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// Repositories that git-annex knows without a record of them. Source: recorded.
const BUILT_IN: [(&str, &str); 2] =
    [("00000000-0000-0000-0000-000000000001", "web"), ("00000000-0000-0000-0000-000000000002", "bittorrent")];

/// Who is known, and what they are called.
pub(super) struct Known {
    here: Uuid,
    /// Descriptions of uuid.log, or names of remote.log.
    described: BTreeMap<Uuid, Vec<u8>>,
    /// Names of git config, in its order.
    remotes: Vec<(Vec<u8>, Uuid)>,
}

impl Known {
    /// Reads uuid.log, remote.log and git config.
    ///
    /// # Errors
    /// In a line: a log cannot be read.
    pub fn read(repository: &Repository) -> Result<Self, String> {
        let read = |file| repository.branch().read(file).map_err(|e| e.to_string());
        let text = |(uuid, name): (&str, &str)| Some((Uuid::parse(uuid.as_bytes()).ok()?, name.as_bytes().to_vec()));
        let mut described: BTreeMap<Uuid, Vec<u8>> = BUILT_IN.into_iter().filter_map(text).collect();
        let special = RemoteLog::parse(&read(REMOTE_LOG)?);
        described.extend(
            special.iter().filter_map(|(uuid, config)| Some((uuid.clone(), config.get(&b"name"[..])?.clone()))),
        );
        let log = UuidLog::parse(&read(UUID_LOG)?);
        let log = log.iter().filter(|(_, value)| !value.is_empty());
        described.extend(log.map(|(uuid, value)| (uuid.clone(), value.to_vec())));
        let settings = repository.settings();
        let remotes = settings.subsections("remote").into_iter().filter_map(|name| {
            let uuid = Uuid::parse(&settings.value_in("remote", &name, "annex-uuid")?).ok()?;
            Some((name, uuid))
        });
        Ok(Self { here: repository.uuid().clone(), described, remotes: remotes.collect() })
    }

    /// The repository that somebody calls `name`: `here`, a remote, a uuid, or a description.
    ///
    /// # Errors
    /// In a line: nobody is called so.
    pub fn find(&self, name: &[u8]) -> Result<Uuid, String> {
        if matches!(name, b"here" | b".") {
            return Ok(self.here.clone());
        }
        let remote = self.remotes.iter().find(|(called, _)| called == name).map(|(_, uuid)| uuid);
        let uuid = || self.all().find(|uuid| uuid.as_bytes() == name);
        let described = || self.described.iter().find(|(_, described)| *described == name).map(|(uuid, _)| uuid);
        let found = remote.or_else(uuid).or_else(described).cloned();
        found.ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            format!("there is no repository named {name:?}; git-annex-remote-stream info lists those that are known")
        })
    }

    /// Everybody that is known, clusters too.
    pub fn all(&self) -> impl Iterator<Item = &Uuid> {
        let named = self.remotes.iter().map(|(_, uuid)| uuid).filter(|uuid| !self.described.contains_key(uuid));
        let mut all: Vec<&Uuid> = self.described.keys().chain(named).chain([&self.here]).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// What `uuid` is described as; empty where it is not.
    pub fn description(&self, uuid: &Uuid) -> String {
        self.described.get(uuid).map_or(String::new(), |text| plain(text))
    }

    /// What git config calls it here, the first name where there are several.
    pub fn remote(&self, uuid: &Uuid) -> Option<String> {
        self.remotes.iter().find(|(_, found)| found == uuid).map(|(name, _)| plain(name))
    }

    /// Description and name, as git-annex shows them behind a uuid: `laptop [here]`, `usb [disk]`, `[usb]`.
    pub fn title(&self, uuid: &Uuid) -> String {
        let described = self.description(uuid);
        let name = if *uuid == self.here { Some("here".to_string()) } else { self.remote(uuid) };
        match name {
            Some(name) if described.is_empty() || described == name => format!("[{name}]"),
            Some(name) => format!("{described} [{name}]"),
            None => described,
        }
    }

    /// Whether it is this repository.
    pub fn is_here(&self, uuid: &Uuid) -> bool {
        *uuid == self.here
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
