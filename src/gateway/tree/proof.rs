//! Proof that content on the store is that of a key: it was written here, or read and digested, and is still the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remotes::retrieve::read;
use remotes::{Get, Kind, ObjectName, Range, Stored};
use sha2::{Digest, Sha256};

use super::reading::Reading;
use super::survey::{Answer, There};
use super::{Session, Tree, Why, failed};
use crate::annex::export::check::Check;
use crate::annex::export::db::{DbError, ExportDb, Note};
use crate::annex::export::look::fits;
use crate::annex::export::names;
use crate::annex::export::proofs::{Proof, Proofs, ProvenKeys};
use crate::annex::export::tree::blob_of;
use crate::annex::log::{LocationLog, Presence, location_file};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// Bytes a second that are read at the least, for the limit on the reading of a whole file.
const PACE: u64 = 1 << 20;

/// The table, once it is open. Locked on pool threads alone.
pub(super) type Table = Arc<Mutex<Option<Proofs>>>;

/// What is known of the content at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is the key's.
    Right,
    /// It is not.
    Wrong,
    /// Nothing is there.
    Absent,
    /// Nobody can tell: the key has no digest, and it was not put there by us, or somebody touched it.
    Untold,
}

impl Tree {
    /// What the store calls content, where that changes with the content for sure. A time alone does not: it may be the same
    /// for what is written within a second.
    pub(super) fn identity(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> Option<String> {
        let tag = tag.filter(|tag| !remotes::is_time(tag));
        tag.and_then(|tag| self.store.identify(object, len, Some(tag)))
    }

    async fn with_proofs<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Proofs) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Failure> {
        let (home, uuid, table) = (Arc::clone(&self.home), self.uuid.clone(), Arc::clone(&self.proofs));
        let done = blocking(move || {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            let proofs = match &mut *table {
                Some(proofs) => proofs,
                None => table.insert(Proofs::open(home.repository(), &uuid)?),
            };
            f(proofs)
        });
        done.await?.map_err(failed)
    }

    /// What is known of content that the store calls so.
    pub(super) async fn proven(&self, identities: Vec<String>) -> Result<BTreeMap<String, ProvenKeys>, Failure> {
        if identities.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.with_proofs(move |proofs| proofs.of(&identities)).await
    }

    /// Whether content of `key` was proven here, and none that the store calls so.
    pub(super) async fn is_another(&self, identity: &str, key: &Key) -> Result<bool, Failure> {
        let (identity, key) = (identity.to_string(), key.clone());
        self.with_proofs(move |proofs| proofs.is_another(&identity, &key)).await
    }

    async fn keep(&self, proofs: Vec<Proof>) -> Result<(), Failure> {
        if proofs.is_empty() {
            return Ok(());
        }
        self.with_proofs(move |table| table.keep(&proofs)).await
    }

    /// Content of `key` was stored at `name`, proven on its way: keeps what the store calls it.
    pub(super) async fn made(&self, key: &Key, name: &[u8], stored: &Stored) -> Result<(), Failure> {
        let identity = self.identity(&self.object(name)?, stored.len, stored.tag.as_deref());
        let proof = identity.map(|identity| Proof { identity, key: key.clone(), is: true });
        self.keep(proof.into_iter().collect()).await
    }

    /// The store has no content of `key` any more.
    pub(super) async fn forget(&self, key: &Key) -> Result<(), Failure> {
        let key = key.clone();
        self.with_proofs(move |proofs| proofs.forget(&key)).await
    }

    /// What is known of `key` and the content at `name`, which is looked at now, and read where nothing else tells. That may
    /// take `limit` and, where there is none, as long as it takes to read it slowly.
    pub(super) async fn prove(&self, name: &[u8], key: &Key, limit: Option<Duration>) -> Result<Known, Failure> {
        match self.ask_one(name).await? {
            Answer::Absent | Answer::Impossible => Ok(Known::Absent),
            Answer::There(there) => self.prove_there(name, &there, key, limit).await,
        }
    }

    /// The same where it was looked at just now.
    pub(super) async fn prove_there(
        &self,
        name: &[u8],
        there: &There,
        key: &Key,
        limit: Option<Duration>,
    ) -> Result<Known, Failure> {
        if !fits(key, Some(there.len)) {
            return Ok(Known::Wrong);
        }
        let known = self.proven(there.identity.iter().cloned().collect()).await?;
        if let Some(known) = there.identity.as_ref().and_then(|identity| known.get(identity)) {
            if known.is.contains(key) {
                return Ok(Known::Right);
            }
            if known.is_not.contains(key) {
                return Ok(Known::Wrong);
            }
        }
        let told = self.recognize(name, there, BTreeSet::from([key.clone()]), limit).await?;
        Ok(match told {
            Some(_) => Known::Right,
            None if Check::is_known(key) => Known::Wrong,
            None => Known::Untold,
        })
    }

    /// Which of `candidates` the content at `name` is of, told by its digest. `None` where it is of none. Keeps what it is, and
    /// what it is not.
    pub(super) async fn recognize(
        &self,
        name: &[u8],
        there: &There,
        mut candidates: BTreeSet<Key>,
        limit: Option<Duration>,
    ) -> Result<Option<Key>, Failure> {
        let known = self.proven(there.identity.iter().cloned().collect()).await?;
        for known in known.values() {
            candidates.retain(|key| !known.is_not.contains(key));
        }
        let limit = limit.unwrap_or(self.context.idle + Duration::from_secs(there.len / PACE));
        let read = tokio::time::timeout(limit, self.digest(name, candidates));
        let told = read.await.map_err(|_| self.too_slow(name))??;
        if told.is_empty() {
            return Ok(None);
        }
        let right = told.iter().find(|(_, is)| **is).map(|(key, _)| key.clone());
        // It may be changed in place, or replaced, while it is read.
        if let (Some(identity), Answer::There(after)) = (&there.identity, self.ask_one(name).await?)
            && after.identity.as_ref() == Some(identity)
        {
            let proof = |(key, is)| Proof { identity: identity.clone(), key, is };
            self.keep(told.into_iter().map(proof).collect()).await?;
        }
        Ok(right)
    }

    /// Reads what is at `name` and tells of each of `keys` that has a digest whether it is its content. Nothing where there is no
    /// such key, or nothing there any more.
    async fn digest(&self, name: &[u8], keys: BTreeSet<Key>) -> Result<Told, Failure> {
        if !keys.iter().any(Check::is_known) {
            return Ok(Told::new());
        }
        let Some(get) = self.open(name).await? else { return Ok(Told::new()) };
        let total = get.total;
        let check = |key: Key| Check::of(&key, total).map(|check| (key, check));
        let mut checks: Vec<(Key, Check)> = keys.into_iter().filter_map(check).collect();
        self.read_whole(name, get, |block| checks.iter_mut().for_each(|(_, check)| check.update(block))).await?;
        Ok(checks.into_iter().map(|(key, check)| (key, check.finish())).collect())
    }

    /// Of names that would be taken for one key each, those that do not all hold the same. They are read unless the store tells
    /// by what it calls them.
    pub(super) async fn differing(
        &self,
        found: &BTreeMap<Vec<u8>, There>,
        doubles: BTreeMap<Key, Vec<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut differing = Vec::new();
        for mut names in doubles.into_values() {
            names.retain(|name| found.contains_key(name));
            let called: BTreeSet<Option<&str>> = names.iter().map(|name| found[name].identity.as_deref()).collect();
            if called.len() == 1 && !called.contains(&None) {
                continue;
            }
            let mut sums = BTreeSet::new();
            for name in &names {
                let limit = self.context.idle + Duration::from_secs(found[name].len / PACE);
                let sum = tokio::time::timeout(limit, self.sum(name)).await.map_err(|_| self.too_slow(name))??;
                sums.insert(sum);
            }
            if sums.len() > 1 {
                differing.append(&mut names);
            }
        }
        Ok(differing)
    }

    /// The SHA256 of what is at `name`; `None` where nothing is any more.
    async fn sum(&self, name: &[u8]) -> Result<Option<[u8; 32]>, Failure> {
        let Some(get) = self.open(name).await? else { return Ok(None) };
        let mut sum = Sha256::new();
        self.read_whole(name, get, |block| sum.update(block)).await?;
        Ok(Some(sum.finalize().into()))
    }

    async fn open(&self, name: &[u8]) -> Result<Option<Get>, Failure> {
        match self.store.get(&self.object(name)?, Range::default()).await {
            Ok(get) => Ok(Some(get)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(Failure::remote(&e)),
        }
    }

    async fn read_whole(&self, name: &[u8], get: Get, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        let (total, mut len) = (get.total, 0);
        let each = async |block: bytes::Bytes| {
            len += block.len() as u64;
            each(&block);
            Ok(())
        };
        read(get, &self.context, each).await.map_err(|e| Failure::remote(&e))?;
        if len != total {
            return Err(Failure::internal(format!("remote {}: {} ended early", self.name, name.escape_ascii())));
        }
        Ok(())
    }

    fn too_slow(&self, name: &[u8]) -> Failure {
        Failure::busy(&format!("remote {}: reading {} takes too long", self.name, name.escape_ascii()))
    }

    /// Whether the content of `key` is at a name of it for sure. Where a name is noted to hold it and holds something else, that
    /// is noted, and what is in the way of an upload is put aside, unless somebody else exports.
    pub(in crate::gateway) async fn has(&self, key: &Key) -> Result<bool, Failure> {
        let outside = names::object(key);
        let (mut right, mut wrong, mut in_the_way) = (false, false, false);
        let reading = Reading::default();
        for name in self.held(&reading, key).await?.into_iter().filter(|name| *name != outside).chain([outside.clone()])
        {
            if right && !wrong && name == outside {
                break;
            }
            match self.prove(&name, key, Some(self.context.idle)).await {
                // It may be another's by now.
                Ok(Known::Right) if name == outside || self.holds(&reading, &name, key).await? => {
                    self.store.make_lasting(&self.object(&name)?).await.map_err(|e| Failure::remote(&e))?;
                    right = true;
                }
                Ok(Known::Right | Known::Untold) => {}
                Ok(Known::Wrong) if name == outside => in_the_way = true,
                Ok(Known::Wrong | Known::Absent) => wrong |= name != outside,
                Err(e) => tracing::warn!("remote {}: cannot tell what is at {}: {e}", self.name, name.escape_ascii()),
            }
        }
        if wrong {
            self.alone(Duration::ZERO, async |session| self.clear_up(session, key).await.map(drop)).await?;
        }
        if in_the_way {
            // An upload would be written over it.
            let clear = async |_: &Session| match self.prove(&outside, key, Some(self.context.idle)).await? {
                Known::Wrong => self.put_aside(&outside).await,
                _ => Ok(()),
            };
            self.alone(Duration::ZERO, clear).await?;
        }
        Ok(right)
    }

    /// What was found to be at a name is recorded to be on the remote, before it is noted. Whoever put it there may have been
    /// killed in between; other gateways would take what nobody recorded, and nothing proves, for a stranger's.
    pub(super) async fn see_recorded(&self, notes: &[Note]) -> Result<(), Failure> {
        let found = notes.iter().filter(|note| note.holds && blob_of(&note.key).is_none());
        let found: BTreeSet<Key> = found.map(|note| note.key.clone()).collect();
        let recorded = self.recorded(found.clone()).await?;
        for key in found.difference(&recorded) {
            self.home.record_seen(key, &self.uuid, Presence::Present).await?;
        }
        Ok(())
    }

    /// Those of `keys` that the remote is recorded to have.
    pub(super) async fn recorded(&self, keys: BTreeSet<Key>) -> Result<BTreeSet<Key>, Failure> {
        if keys.is_empty() {
            return Ok(keys);
        }
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let read = blocking(move || {
            let mut recorded = BTreeSet::new();
            for key in keys {
                let branch = home.repository().branch();
                let log = LocationLog::parse(&branch.read(&location_file(&key, branch.log_hashing()))?);
                if log.presence(&uuid) == Some(Presence::Present) {
                    recorded.insert(key);
                }
            }
            Ok::<_, Why>(recorded)
        });
        read.await?.map_err(failed)
    }

    /// Of `names` those whose file is that of another name, which the store takes for the same; with that name. `names` were
    /// found though nothing is noted of them.
    pub(super) async fn shadows(&self, names: BTreeSet<Vec<u8>>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Failure> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let read = blocking(move || {
            let mut by_fold: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
            for name in &names {
                by_fold.entry(names::folded(name)).or_default().push(name.clone());
            }
            let mut likes: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for alike in by_fold.values() {
                for (one, other) in alike.iter().zip(alike.iter().skip(1)) {
                    likes.insert(one.clone(), other.clone());
                    likes.insert(other.clone(), one.clone());
                }
            }
            if let Some(db) = ExportDb::existing(&home.repository().db_dir(), &uuid)? {
                db.all(|noted, _| {
                    if let Some(alike) = by_fold.get(&names::folded(&noted)) {
                        likes.extend(
                            alike.iter().filter(|name| **name != noted).map(|name| (name.clone(), noted.clone())),
                        );
                    }
                })?;
            }
            Ok::<_, Why>(likes)
        });
        let mut shadows = Vec::new();
        for (name, like) in read.await?.map_err(failed)? {
            if matches!(self.ask_one(&like).await?, Answer::There(_)) && !self.is_spelled_so(&name).await? {
                shadows.push((name, like));
            }
        }
        Ok(shadows)
    }
}

/// Of keys, whether some content is theirs.
type Told = BTreeMap<Key, bool>;
