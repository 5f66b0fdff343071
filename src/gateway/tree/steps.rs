//! The steps of an export, done on a store.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use remotes::retrieve::read;
use remotes::{Get, Put};

use super::concurrency::Concurrency;
use super::export::Exported;
use super::moves::{Clear, Source};
use super::obstacles::MadeWay;
use super::outcome::Told;
use super::proof::Known;
use super::{FEW, Session, Tree};
use crate::annex::backend::Verifier;
use crate::annex::branch::GitId;
use crate::annex::export::db::Note;
use crate::annex::export::names;
use crate::annex::export::plan::{Place, Step};
use crate::annex::export::stage::Started;
use crate::annex::log::Presence;
use crate::gateway::send::{Outgoing, Part};
use crate::gateway::{Failure, FailureKind, blocking};
use crate::name::Key;

/// The longest file of git that is exported, in bytes: it is held in memory.
const LONGEST_BLOB: u64 = 1 << 30;

/// Bytes written at once.
const BLOCK: usize = 1 << 20;

/// Once so many files could not be stored, the others are not tried.
const FAILURES: usize = 8;

impl Tree {
    /// Does the steps in order, those of one turn side by side, and notes each once it is done.
    ///
    /// Failures: the first one. Before [`Step::Settle`] nothing that depends on a step is begun unless it is done; after it
    /// names do not depend on each other, and those that can be filled are.
    pub(super) async fn do_steps(
        &self,
        session: &Session,
        started: &Started,
        done: &mut Exported,
    ) -> Result<(), Failure> {
        let (mut most, mut failure) = (1, None);
        for turn in started.steps().chunk_by(|a, b| a.batch() == b.batch()) {
            if let [Step::Settle, ..] = turn {
                let (home, completion) = (Arc::clone(&self.home), started.completion());
                session.with(move |book| completion.run(home.repository(), book)).await?;
                most = FAILURES;
                continue;
            }
            let failures = self.do_batch(session, turn, most, done).await?;
            failure = failure.or(failures.into_iter().next());
            if let (1, Some(failure)) = (most, &failure) {
                return Err(failure.clone());
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Does steps that do not depend on each other; begins no more of them after `most` have failed.
    pub(super) async fn do_batch(
        &self,
        session: &Session,
        turn: &[Step],
        most: usize,
        done: &mut Exported,
    ) -> Result<Vec<Failure>, Failure> {
        let mut failures = Vec::new();
        for round in rounds(turn) {
            failures.extend(self.do_round(session, &round, most.saturating_sub(failures.len()), done).await?);
        }
        Ok(failures)
    }

    async fn do_round(
        &self,
        session: &Session,
        round: &[&Step],
        most: usize,
        done: &mut Exported,
    ) -> Result<Vec<Failure>, Failure> {
        let width = if matches!(round, [Step::RemoveEmptyDirectory { .. }, ..]) { 1 } else { self.width };
        let mut concurrency = Concurrency::new(width, width <= FEW, &self.context.connections);
        let (mut left, mut running) = (round.iter(), FuturesUnordered::new());
        let (mut notes, mut failures) = (Vec::new(), Vec::new());
        let mut noting: Option<Noting> = None;
        loop {
            while running.len() < concurrency.now() && failures.len() < most {
                let Some(step) = left.next() else { break };
                running.push(self.do_step(step));
            }
            if noting.is_none() && !notes.is_empty() {
                // All that was done while the last ones were written.
                let (session, notes) = (session.clone(), std::mem::take(&mut notes));
                noting =
                    Some(Box::pin(async move { session.with(move |book| book.db.note(&book.lock, &notes)).await }));
            }
            let noted = async {
                match &mut noting {
                    Some(noting) => noting.await,
                    None => std::future::pending().await,
                }
            };
            let waits = Instant::now();
            tokio::select! {
                biased;
                noted = noted => {
                    noting = None;
                    if let Err(e) = noted {
                        // What was sent is heard to its end: dropped, nobody would know that it may still be done.
                        while running.next().await.is_some() {}
                        return Err(e);
                    }
                }
                step = running.next() => match step {
                    Some(Ok(told)) => {
                        concurrency.done(waits.elapsed());
                        session.newly_stored.see(&told.notes);
                        session.block(told.blocked);
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

    /// Does a step; once more, where it failed because of what somebody put in the way.
    async fn do_step(&self, step: &Step) -> Result<Told, Failure> {
        let failure = match self.try_step(step).await {
            // Little may be stored where a file has no room, which says nothing of its name.
            Err(failure) if failure.kind() == FailureKind::Full => return Err(failure),
            Err(failure) => failure,
            done => return done,
        };
        match self.make_way(step).await {
            Ok(MadeWay { mut blocked, cleared, doubted }) => {
                if blocked.is_empty() && (cleared || !doubted.is_empty()) {
                    match self.try_step(step).await {
                        Err(_) if !doubted.is_empty() => {}
                        done => return done,
                    }
                    doubted.iter().for_each(|name| self.warn_of_refusal(name, &failure));
                    blocked.extend(doubted);
                }
                if blocked.is_empty() {
                    return Err(failure);
                }
                let told = self.do_without(step, &blocked).await?;
                Ok(Told { blocked, ..told })
            }
            Err(e) => {
                tracing::warn!("remote {}: could not check whether something is in the way: {e}", self.name);
                Err(failure)
            }
        }
    }

    /// Does a step but for these names.
    async fn do_without(&self, step: &Step, blocked: &BTreeSet<Vec<u8>>) -> Result<Told, Failure> {
        match step {
            Step::NeedKey { key, to } => {
                let to: Vec<_> = to.iter().filter(|name| !blocked.contains(*name)).cloned().collect();
                let mut told = match to.is_empty() {
                    true => Told::refused(0),
                    false => self.try_step(&Step::NeedKey { key: key.clone(), to }).await?,
                };
                told.did.impossible += blocked.len();
                Ok(told)
            }
            Step::Rename { key, from, .. } => self.stay_outside(key, from).await,
            _ => Ok(Told::refused(1)),
        }
    }

    async fn try_step(&self, step: &Step) -> Result<Told, Failure> {
        let mut told = Told::of(step.notes(), Exported::default());
        if let Step::Rename { key, from, .. } | Step::Copy { key, from, .. } = step {
            match self.source(key, &from.name(key)).await? {
                Source::There => {}
                Source::Damaged => return self.drop_damaged(key, from).await,
                Source::Gone => return Ok(self.miss(key, from)),
            }
        }
        match step {
            Step::Rename { key, from, to } => match self.clear(key, to).await? {
                Clear::Free => told = self.move_on(key, from, to, told).await?,
                Clear::Has => {
                    told = self.remove_kept(key, from, to).await?;
                    told.notes.push(Note { name: to.name(key), key: key.clone(), holds: true });
                }
                Clear::Taken => told = self.stay_outside(key, from).await?,
            },
            Step::Copy { key, from, to } => match self.clear(key, to).await? {
                Clear::Free => told = self.copy(key, from, to, told).await?,
                Clear::Has => {}
                Clear::Taken => told = Told::refused(1),
            },
            Step::StoreBlob { key, blob, to } => match self.clear(key, &Place::Tree(to.clone())).await? {
                Clear::Free => {
                    self.store_blob(key, *blob, to).await?;
                    told.did.stored = 1;
                }
                Clear::Has => {}
                Clear::Taken => told = Told::refused(1),
            },
            Step::NeedKey { key, to } => {
                let have = self.store_own(key, to, &mut told.did).await?;
                told.did.stored = have.len().min(1);
                told.did.copied = have.len().saturating_sub(1);
                told.notes.extend(have.into_iter().map(|name| Note { name, key: key.clone(), holds: true }));
            }
            Step::Remove { key, at, kept_at: Some(kept_at) } => told = self.remove_kept(key, at, kept_at).await?,
            Step::Remove { key, at: Place::Tree(path), kept_at: None } => match self.prove(path, key, None).await? {
                Known::Absent => {}
                Known::Right => {
                    self.take(path).await?;
                    told.did.removed = 1;
                }
                // It is not the file of git any more.
                Known::Wrong | Known::Untold => self.put_aside(path).await?,
            },
            Step::Remove { key, at, kept_at: None } => {
                self.take(&at.name(key)).await?;
                told.did.removed = 1;
            }
            Step::SetAside { path } => self.put_aside(path).await?,
            Step::RemoveEmptyDirectory { path } => {
                if let Some(directories) = self.store.directories() {
                    directories.remove_dir(&self.object(path)?).await.map_err(|e| Failure::remote(&e))?;
                }
            }
            Step::Settle => {}
        }
        Ok(told)
    }

    async fn store_blob(&self, key: &Key, blob: GitId, to: &[u8]) -> Result<(), Failure> {
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
        let stored = put.commit().await.map_err(remote)?;
        self.made(key, to, &stored).await
    }

    /// Stores the content of `key` from this repository, where it is here, at the first of `to`, and copies it to the others.
    /// Returns those that have it; counts the others.
    async fn store_own(&self, key: &Key, to: &[Vec<u8>], did: &mut Exported) -> Result<Vec<Vec<u8>>, Failure> {
        let content = self.home.get(key).await?;
        let mut free = Vec::new();
        // Where it was there before, it may still be.
        if content.is_some() || self.store.versions().is_some() {
            for name in to {
                match self.clear(key, &Place::Tree(name.clone())).await? {
                    Clear::Taken => did.impossible += 1,
                    Clear::Free | Clear::Has => free.push(name.clone()),
                }
            }
        }
        let stored = match (content, free.first()) {
            (_, None) => false,
            (Some(content), Some(first)) => self.store_content(key, content, first).await?,
            (None, Some(first)) => self.restore(key, first).await?,
        };
        if stored {
            let have = self.spread(key, &free).await?;
            free.truncate(have);
        } else {
            free.clear();
        }
        did.waiting = to.len() - did.impossible - free.len();
        Ok(free)
    }

    /// Stores content that is here. False where it is not what it should be.
    async fn store_content(&self, key: &Key, content: Outgoing, to: &[u8]) -> Result<bool, Failure> {
        let remote = |e: remotes::Error| Failure::remote(&e);
        let total = content.total();
        let Part { source, len, sent, .. } = content.part(0, total);
        let mut put = self.store.put(&self.object(to)?, len).await.map_err(remote)?;
        let get = Get { len, total, tag: None, source };
        if !self.carry(get, key, &mut *put).await? || !sent.is_content().await {
            put.abort().await.map_err(remote)?;
            tracing::warn!("remote {}: the file here for {key} does not have its content; not exported", self.name);
            return Ok(false);
        }
        let stored = put.commit().await.map_err(remote)?;
        self.made(key, to, &stored).await?;
        self.new_version(key, stored).await?;
        Ok(true)
    }

    /// Copies the content of `key` from the first of `to` to the others. Returns how many of them have it.
    async fn spread(&self, key: &Key, to: &[Vec<u8>]) -> Result<usize, Failure> {
        let Some(first) = to.first() else { return Ok(0) };
        let mut have = 1;
        for name in &to[1..] {
            match self.copy_proven(key, first, name).await {
                Ok(true) => have += 1,
                Ok(false) => break,
                Err(e) => {
                    self.warn(&e);
                    break;
                }
            }
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
            if let Some(pace) = &self.pace {
                pace.turn(block.len()).await;
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

/// The steps of a turn that may be done side by side: no two of a round fill names that some store takes for one, or move content
/// to one place.
fn rounds(turn: &[Step]) -> Vec<Vec<&Step>> {
    let mut filled: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut rounds: Vec<Vec<&Step>> = vec![Vec::new()];
    for step in turn {
        let mut names: Vec<Vec<u8>> = step.fills().iter().map(|name| names::folded(name)).collect();
        if let Step::Remove { key, kept_at: Some(_), .. } = step {
            // It may have to move there.
            names.push(names::object(key));
        }
        let nth = names.iter().filter_map(|name| filled.get(name)).max().copied().unwrap_or_default();
        filled.extend(names.into_iter().map(|name| (name, nth + 1)));
        rounds.resize_with(rounds.len().max(nth + 1), Vec::new);
        rounds[nth].push(step);
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_store_takes_for_one_are_filled_one_after_another() {
        let key = Key::parse(b"SHA256--x").expect("a key");
        let copy = |to: &str| Step::Copy { key: key.clone(), from: Place::Object, to: Place::Tree(to.into()) };
        let need =
            |to: &[&str]| Step::NeedKey { key: key.clone(), to: to.iter().map(|to| to.as_bytes().to_vec()).collect() };
        let remove = |at: &str| {
            let [at, kept_at] = [at, "k"].map(|name| Place::Tree(name.into()));
            Step::Remove { key: key.clone(), at, kept_at: Some(kept_at) }
        };
        let turn = [copy("a"), copy("b"), copy("A"), need(&["c", "B"]), copy("C"), copy("d"), remove("x"), remove("y")];
        let rounds: Vec<Vec<usize>> = rounds(&turn)
            .into_iter()
            .map(|round| round.iter().map(|step| turn.iter().position(|of| of == *step).expect("it is one")).collect())
            .collect();
        assert_eq!(rounds, [vec![0, 1, 5, 6], vec![2, 3, 7], vec![4]]);
    }
}
