//! Replaced or removed content in stores that keep versions, found by recorded versions.
//!
//! What git-annex records for its own S3 type is recorded and read here too, so either finds what the other stored. git-annex
//! reads a key from such a bucket by its versions alone, so whatever is stored there has to get one.

use std::sync::Arc;

use remotes::retrieve::read;
use remotes::{Kind, Range, Stored, Versions};

use super::Tree;
use crate::annex::backend::Verifier;
use crate::annex::export::names;
use crate::annex::log::{MetaLog, meta, remote_meta_file};
use crate::annex::recorder::Version;
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// Versions of a key that are tried, newest first. Anybody who may push may have recorded more.
const TRIED: usize = 32;

impl Tree {
    /// Content of `key` was stored outside the tree, proven on its way.
    pub(in crate::gateway) async fn stored(&self, key: &Key, stored: Stored) -> Result<(), Failure> {
        self.made(key, &names::object(key), &stored).await?;
        self.new_version(key, stored).await
    }

    /// Content of `key` was stored: records its version, where the store gave it one.
    pub(super) async fn new_version(&self, key: &Key, stored: Stored) -> Result<(), Failure> {
        self.note_version(key, stored, false).await
    }

    /// Content of `key` was copied: that is a version too. It is recorded only where no other is, as git-annex records
    /// none for a new name.
    pub(super) async fn copied(&self, key: &Key, stored: Stored) -> Result<(), Failure> {
        self.note_version(key, stored, true).await
    }

    async fn note_version(&self, key: &Key, stored: Stored, spare: bool) -> Result<(), Failure> {
        match stored.version {
            Some(name) => self.home.record_version(key, &self.uuid, Version { name, spare }).await,
            None => Ok(()),
        }
    }

    /// What `look` finds at one of the recorded versions of the content of `key`. `None`: at none, for sure.
    pub(in crate::gateway) async fn find_version<T>(
        &self,
        key: &Key,
        mut look: impl AsyncFnMut(&dyn Versions, &str) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let Some(store) = self.store.versions() else { return Ok(None) };
        let versions = self.versions(key).await?;
        let mut wrong = None;
        for version in versions.iter().take(TRIED) {
            match look(store, version).await {
                Ok(None) => {}
                Ok(Some(found)) => return Ok(Some(found)),
                Err(e) => wrong = Some(e),
            }
        }
        if versions.len() > TRIED {
            let words = format!("of {} recorded versions of {key} the newest {TRIED} are gone", versions.len());
            return Err(wrong.unwrap_or_else(|| Failure::internal(format!("remote {}: {words}", self.name))));
        }
        wrong.map_or(Ok(None), Err)
    }

    /// Copies the content of `key` to a name in the tree from one of its versions. False where there is none.
    pub(super) async fn restore(&self, key: &Key, to: &[u8]) -> Result<bool, Failure> {
        let object = self.object(to)?;
        let restored = self.find_version(key, async |versions, version| {
            let restored = match self.is_version_of(versions, version, key).await {
                Ok(true) => versions.copy_version(version, &object).await.map(Some),
                Ok(false) => Ok(None),
                Err(e) => Err(e),
            };
            match restored {
                Err(e) if e.kind() == Kind::NotFound => Ok(None),
                restored => restored.map_err(|e| Failure::remote(&e)),
            }
        });
        match restored.await? {
            Some(stored) => self.made(key, to, &stored).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether a version is what it was recorded as: that was written by whoever may push.
    async fn is_version_of(&self, versions: &dyn Versions, version: &str, key: &Key) -> remotes::Result<bool> {
        let get = versions.get_version(version, Range::default()).await?;
        if key.content_len().is_some_and(|len| len != get.total) {
            return Ok(false);
        }
        let Some(mut verifier) = Verifier::for_key(key) else { return Ok(true) };
        let each = async |block: bytes::Bytes| {
            verifier.update(&block);
            Ok(())
        };
        read(get, &self.context, each).await?;
        Ok(verifier.finish())
    }

    /// Why content that is not in the tree cannot be removed: the store keeps all it ever had. `None` where it does not.
    pub(super) async fn keeps(&self, key: &Key) -> Result<Option<Failure>, Failure> {
        if self.store.versions().is_none() {
            return Ok(None);
        }
        // git-annex's own words, where it refuses too.
        let why = match self.versions(key).await?.is_empty() {
            true => {
                "Remote is configured to use versioning, but no S3 version ID is recorded for this key, so it cannot safely be modified."
            }
            false => {
                "dropping content from versioned S3 buckets is not supported, since the versioning preserves the content"
            }
        };
        Ok(Some(Failure::refused(why.into())))
    }

    /// Versions of the content of `key` that are recorded, newest first.
    async fn versions(&self, key: &Key) -> Result<Vec<String>, Failure> {
        let (home, file) =
            (Arc::clone(&self.home), remote_meta_file(key, self.home.repository().branch().log_hashing()));
        let log = blocking(move || home.repository().branch().read(&file)).await?.map_err(super::failed)?;
        let log = MetaLog::parse(&log);
        let versions = log.values(&self.uuid, meta::VERSION).into_iter();
        Ok(versions.filter_map(|version| String::from_utf8(version.to_vec()).ok()).collect())
    }
}
