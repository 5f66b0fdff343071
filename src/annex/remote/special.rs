//! Which configuration of a special remote is in force.
//!
//! `.git/annex/verified-remote.log` holds what somebody here has looked at; it counts, whatever the git-annex branch says by
//! now. Recorded from git-annex 10.20261026, except [`Trust::Unrecorded`]: see there.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::lock::{LockFile, LockKind};
use super::super::log::remote::{RemoteConfig, RemoteLog};
use super::bounded::read_bounded;
use super::{Creds, RemoteError};
use crate::name::Uuid;

/// A special remote as it was configured.
#[derive(Clone)]
pub struct SpecialConfig {
    /// The configuration in force.
    pub config: RemoteConfig,
    /// How far it may be used.
    pub trust: Trust,
    /// `remote.NAME.annex-directory`: the place of a remote of type `directory`, which is recorded nowhere else.
    pub directory: Option<Vec<u8>>,
    /// Where its credentials are kept.
    pub creds: Creds,
}

/// How far a configuration may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Somebody here looked at this very configuration.
    Verified,
    /// It was enabled without anybody looking: it may not be used, and nothing is written to any special remote.
    ///
    /// git-annex reads from such a remote. A person's git-annex does that with the rights of who pushed what it reads; a
    /// server does it with its own, for everybody who may read: whoever may push could make it read any file and any
    /// address that the server can reach, or sign requests to a host of their choice.
    Automatic,
    /// It was enabled and not looked at yet: it may not be used.
    Manual,
    /// Nothing is known of how it came here: it may not be used, and nothing is written to any special remote.
    Unverified,
    /// It was verified, but which configuration that was is not recorded: it may not be used.
    ///
    /// git-annex goes on with what the branch says where the mark of `remote.NAME.annex-verified` is there, and records
    /// what it finds where it has no record of any remote; only who runs it can know that this is right.
    Unrecorded,
}

impl Trust {
    /// Whether it may be used at all.
    pub fn may_read(self) -> bool {
        self == Self::Verified
    }

    /// Whether it keeps every special remote from being written to.
    pub fn blocks_writes(self) -> bool {
        matches!(self, Self::Automatic | Self::Unverified)
    }
}

impl SpecialConfig {
    /// A value of the configuration; nothing where it is empty.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.config.get(name.as_bytes()).map(Vec::as_slice).filter(|value| !value.is_empty())
    }
}

/// Values may hold embedded credentials.
impl std::fmt::Debug for SpecialConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.config.keys().map(|name| name.escape_ascii().to_string()).collect();
        f.debug_struct("SpecialConfig").field("config", &names).field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// What was verified here; `None` where nothing was ever recorded.
pub(super) struct Verified(Option<RemoteLog>);

/// How long somebody may be verifying a remote before it is given up to know.
const WAIT: Duration = Duration::from_secs(10);

/// Most bytes that the record of what was verified may have.
const MOST: u64 = 16 << 20;

impl Verified {
    /// Whether somebody here has looked at a configuration of `uuid`.
    pub(super) fn has(&self, uuid: &Uuid) -> bool {
        self.0.as_ref().is_some_and(|verified| verified.config(uuid).is_some())
    }

    pub(super) fn read(annex_dir: &Path) -> Result<Self, RemoteError> {
        let path = annex_dir.join("verified-remote.log");
        if !path.try_exists().map_err(RemoteError::io(&path))? {
            return Ok(Self(None));
        }
        let lock = annex_dir.join("verified-remote.lck");
        let _lock = match LockFile::wait(&lock, LockKind::Shared, 0o644, WAIT) {
            Ok(lock) => Some(lock),
            // Who may not write here cannot lock, and can still read.
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => None,
            Err(e) => return Err(RemoteError::io(&lock)(e)),
        };
        let log = read_bounded(&path, MOST).map_err(RemoteError::io(&path))?;
        Ok(Self(log.map(|log| RemoteLog::parse(&log))))
    }
}

/// The configuration recorded for `uuid`, and how far it may be used. `None` where nothing is recorded.
///
/// `mark` is `remote.NAME.annex-verified`.
pub(super) fn in_force(
    uuid: &Uuid,
    log: &RemoteLog,
    verified: &Verified,
    mark: Option<&[u8]>,
) -> Option<(RemoteConfig, Trust)> {
    if let Some(config) = verified.0.as_ref().and_then(|verified| verified.config(uuid)) {
        return Some((config.clone(), Trust::Verified));
    }
    let trust = match mark {
        _ if verified.0.is_none() => Trust::Unrecorded,
        Some(b"verified") => Trust::Unrecorded,
        Some(b"automatic") => Trust::Automatic,
        Some(b"manual") => Trust::Manual,
        _ => Trust::Unverified,
    };
    Some((inherited(log, uuid)?, trust))
}

/// How far a git repository with the mark `mark` may be used.
///
/// One that somebody added has none. git-annex makes others out of the git-annex branch: where type=git is autoenabled, the url
/// of git config is what the branch said then.
pub(super) fn of_git(uuid: &Uuid, verified: &Verified, mark: Option<&[u8]>) -> Trust {
    match mark {
        None | Some(b"verified") => Trust::Verified,
        _ if verified.has(uuid) => Trust::Verified,
        Some(b"automatic") => Trust::Automatic,
        Some(b"manual") => Trust::Manual,
        Some(_) => Trust::Unverified,
    }
}

/// What the branch says; a remote that is the same as another is encrypted and chunked like that.
fn inherited(log: &RemoteLog, uuid: &Uuid) -> Option<RemoteConfig> {
    const COMMON: &[&[u8]] = &[b"encryption", b"cipher", b"cipherkeys", b"keyid", b"mac", b"chunk", b"chunksize"];
    let mut config = log.config(uuid)?.clone();
    let other = config.get(&b"sameas-uuid"[..]).and_then(|other| Uuid::parse(other).ok());
    if let Some(other) = other.and_then(|other| log.config(&other)) {
        for name in COMMON {
            if let Some(value) = other.get(*name) {
                config.entry(name.to_vec()).or_insert_with(|| value.clone());
            }
        }
    }
    Some(config)
}
