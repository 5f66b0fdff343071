//! The steps of an export, done on a store.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use remotes::pump::read;
use remotes::{Get, Put};

use super::run::Exported;
use super::{Held, Tree};
use crate::annex::backend::Verifier;
use crate::annex::branch::GitId;
use crate::annex::export::db::Note;
use crate::annex::export::plan::{Place, Step};
use crate::annex::export::work::Work;
use crate::annex::log::Presence;
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// The longest file of git that is exported, in bytes: it is held in memory.
const LONGEST_BLOB: u64 = 1 << 30;

/// Bytes written at once.
const BLOCK: usize = 1 << 20;

/// Once so many files could not be stored, the others are not tried.
const FAILURES: usize = 8;

impl Tree {
    /// Does `steps` in order, those of one turn side by side, and notes each once it is done.
    ///
    /// Failures: the first one. Before [`Step::Settle`] nothing that depends on a step is begun unless it is done; after it
    /// names do not depend on each other, and those that can be filled are.
    pub(super) async fn do_steps(
        &self,
        held: &Held,
        work: &Arc<Work>,
        steps: &[Step],
        done: &mut Exported,
    ) -> Result<(), Failure> {
        let (mut most, mut failure) = (1, None);
        for turn in steps.chunk_by(|a, b| a.turn() == b.turn()) {
            if let [Step::Settle, ..] = turn {
                self.complete(held, work).await?;
                most = FAILURES;
                continue;
            }
            let failures = self.do_turn(held, turn, most, done).await?;
            failure = failure.or(failures.into_iter().next());
            if let (1, Some(failure)) = (most, &failure) {
                return Err(failure.clone());
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Does steps that do not depend on each other; begins no more of them after `most` have failed.
    pub(super) async fn do_turn(
        &self,
        held: &Held,
        turn: &[Step],
        most: usize,
        done: &mut Exported,
    ) -> Result<Vec<Failure>, Failure> {
        let width = if matches!(turn, [Step::RemoveEmptyDirectory { .. }, ..]) { 1 } else { self.width() };
        let (mut left, mut running) = (turn.iter(), FuturesUnordered::new());
        let (mut notes, mut failures) = (Vec::new(), Vec::new());
        let mut noting: Option<Noting> = None;
        loop {
            while running.len() < width && failures.len() < most {
                let Some(step) = left.next() else { break };
                running.push(self.do_step(step));
            }
            if noting.is_none() && !notes.is_empty() {
                // All that was done while the last ones were written.
                let (held, notes) = (held.clone(), std::mem::take(&mut notes));
                noting = Some(Box::pin(async move { held.with(move |book| book.db.note(&book.lock, &notes)).await }));
            }
            let noted = async {
                match &mut noting {
                    Some(noting) => noting.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                noted = noted => {
                    noting = None;
                    noted?;
                }
                step = running.next() => match step {
                    Some(Ok(told)) => {
                        notes.extend(told.notes);
                        done.add(&told.did);
                    }
                    Some(Err(e)) => failures.push(e),
                    None if noting.is_none() && notes.is_empty() => return Ok(failures),
                    None => {
                        if let Some(noting) = noting.take() {
                            noting.await?;
                        }
                    }
                },
            }
        }
    }

    async fn do_step(&self, step: &Step) -> Result<Told, Failure> {
        let place = |place: &Place, key: &Key| self.object(&place.name(key));
        let remote = |e: remotes::Error| Failure::remote(&e);
        let mut told = Told { notes: step.notes(), did: Exported::default() };
        match step {
            Step::Rename { key, from, to } => {
                let (from, to) = (place(from, key)?, place(to, key)?);
                if self.store.capabilities().versions {
                    self.copied(key, self.store.copy(&from, &to, None).await.map_err(remote)?).await?;
                    if from != to {
                        self.store.remove(&from).await.map_err(remote)?;
                    }
                } else {
                    self.store.rename(&from, &to).await.map_err(remote)?;
                }
                told.did.renamed = 1;
            }
            Step::Copy { key, from, to } => {
                let stored = self.store.copy(&place(from, key)?, &place(to, key)?, None).await.map_err(remote)?;
                self.copied(key, stored).await?;
                told.did.copied = 1;
            }
            Step::StoreBlob { blob, to, .. } => {
                self.store_blob(*blob, to).await?;
                told.did.stored = 1;
            }
            Step::NeedKey { key, to } => {
                let stored = self.store_own(key, to).await?;
                told.did.waiting = to.len() - stored;
                told.did.stored = stored.min(1);
                told.did.copied = stored.saturating_sub(1);
                let note = |name: &Vec<u8>| Note { name: name.clone(), key: key.clone(), holds: true };
                told.notes.extend(to[..stored].iter().map(note));
            }
            Step::Remove { key, at, .. } => {
                let name = match (key, at) {
                    (Some(key), at) => place(at, key)?,
                    (None, Place::Tree(path)) => self.object(path)?,
                    (None, _) => return Ok(told),
                };
                self.store.remove(&name).await.map_err(remote)?;
                told.did.removed = 1;
            }
            Step::SetAside { path, to } => {
                let (shown, aside) = (path.escape_ascii(), to.escape_ascii());
                tracing::warn!(
                    "remote {}: {shown} holds one of several contents, nobody can tell which; it is put aside as {aside}",
                    self.name
                );
                self.store.rename(&self.object(path)?, &self.object(to)?).await.map_err(remote)?;
            }
            Step::RemoveEmptyDirectory { path } => {
                self.store.remove_dir(&self.object(path)?).await.map_err(remote)?;
            }
            Step::Settle => {}
        }
        Ok(told)
    }

    async fn store_blob(&self, blob: GitId, to: &[u8]) -> Result<(), Failure> {
        let remote = |e: remotes::Error| Failure::remote(&e);
        let home = Arc::clone(&self.home);
        let len = blocking(move || home.repository().branch().blob_len(blob)).await?.map_err(super::failed)?;
        // Not from the budget of the store, which wants memory of its own before this is given back.
        let _lease = self.blobs.lease(len).await;
        let home = Arc::clone(&self.home);
        let content = blocking(move || home.repository().branch().blob(blob, LONGEST_BLOB)).await?;
        let content = Bytes::from(content.map_err(super::failed)?);
        let mut put = self.store.put(&self.object(to)?, content.len() as u64).await.map_err(remote)?;
        for at in (0..content.len()).step_by(BLOCK) {
            put.write(content.slice(at..content.len().min(at + BLOCK))).await.map_err(remote)?;
        }
        put.commit().await.map_err(remote).map(drop)
    }

    /// Stores the content of `key` from this repository, where it is here, at the first of `to`, and copies it to the others.
    /// Returns how many of them have it.
    async fn store_own(&self, key: &Key, to: &[Vec<u8>]) -> Result<usize, Failure> {
        let remote = |e: remotes::Error| Failure::remote(&e);
        let Some(first) = to.first() else { return Ok(0) };
        let Some(content) = self.home.get(key).await? else {
            // Where it was there before, it may still be.
            return if self.restore(key, first).await? { self.spread(key, to).await } else { Ok(0) };
        };
        let total = content.total();
        let (source, len, sent) = content.part(0, total);
        let mut put = self.store.put(&self.object(first)?, len).await.map_err(remote)?;
        let get = Get { len, total, tag: None, source };
        if !self.carry(get, key, &mut *put).await? || !sent.is_content().await {
            put.abort().await.map_err(remote)?;
            tracing::warn!("remote {}: what is here of {key} is not its content; not exported", self.name);
            return Ok(0);
        }
        self.stored(key, put.commit().await.map_err(remote)?).await?;
        self.spread(key, to).await
    }

    /// Copies the content of `key` from the first of `to` to the others. Returns how many of them have it.
    async fn spread(&self, key: &Key, to: &[Vec<u8>]) -> Result<usize, Failure> {
        let Some(first) = to.first() else { return Ok(0) };
        let first = self.object(first)?;
        let mut have = 1;
        for name in &to[1..] {
            if let Err(e) = self.store.copy(&first, &self.object(name)?, None).await {
                self.warn(&Failure::remote(&e));
                break;
            }
            have += 1;
        }
        self.home.record(key, &self.uuid, Presence::Present).await?;
        Ok(have)
    }

    /// Whether what was read is the content of `key`.
    async fn carry(&self, from: Get, key: &Key, to: &mut dyn Put) -> Result<bool, Failure> {
        let mut verifier = Verifier::for_key(key);
        let fits = key.content_len().is_none_or(|len| len == from.total);
        let each = async |block: Bytes| {
            if let Some(verifier) = &mut verifier {
                verifier.update(&block);
            }
            to.write(block).await
        };
        if fits {
            read(from, &self.context, each).await.map_err(|e| Failure::remote(&e))?;
        }
        Ok(fits && verifier.is_none_or(|verifier| verifier.finish()))
    }
}

/// Notes on their way into the database.
type Noting = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// What a step did.
struct Told {
    notes: Vec<Note>,
    did: Exported,
}
