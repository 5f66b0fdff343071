//! Finding the content of a key: at its names in the tree, or outside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::{ObjectName, Until};

use super::export::When;
use super::proof::Known;
use super::reading::Reading;
use super::survey::Answer;
use super::{PAUSE, Session, Tree, Why};
use crate::annex::branch::GitId;
use crate::annex::export::db::{DbError, Note};
use crate::annex::export::look::fits;
use crate::annex::export::{names, record};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// Names of one key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    /// Noted to hold it.
    held: Vec<Vec<u8>>,
    /// In the tree, and not noted to hold it.
    unfilled: Vec<Vec<u8>>,
    /// Somebody elsewhere has exported another tree, of which nothing is noted here.
    is_stale: bool,
}

impl Tree {
    /// What `look` finds at one of the names where the content of `key` is. `None`: it is at none, for sure.
    ///
    /// Names are noted to be empty before anything else is put there, so what was found at a name that is still noted
    /// afterwards is the key's content.
    pub(in crate::gateway) async fn find<T>(
        &self,
        key: &Key,
        mut look: impl AsyncFnMut(&ObjectName) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let outside = names::object(key);
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        let reading = Reading::default();
        // What was found to be no content of it, by its name and by what the store calls it.
        let mut others: BTreeSet<(Vec<u8>, String)> = BTreeSet::new();
        loop {
            let mut names = self.names(&reading, key).await?;
            if names.is_stale {
                self.surely_alone(async |session| self.take_stock(session).await).await?;
                names = self.names(&reading, key).await?;
            }
            let mut wrong = None;
            for name in names.held.iter().filter(|name| **name != outside).chain([&outside]) {
                match look(&self.object(name)?).await {
                    Ok(Some(found)) if *name == outside || self.holds(&reading, name, key).await? => {
                        return Ok(Some(found));
                    }
                    Ok(_) => {}
                    Err(e) => wrong = Some(e),
                }
            }
            if let Some(e) = wrong {
                return Err(e);
            }
            let mut unnoted = false;
            for name in &names.unfilled {
                let Answer::There(there) = self.ask_one(name).await? else { continue };
                let is_other = !fits(key, Some(there.len))
                    || there.identity.is_some_and(|identity| others.contains(&(name.clone(), identity)));
                unnoted |= !is_other;
            }
            if names.held.is_empty() && !unnoted {
                return Ok(None);
            }
            if begun.elapsed() > self.context.idle {
                return Err(Failure::busy(&format!("files of remote {} are being moved", self.name)));
            }
            // Where nothing changed meanwhile, somebody is between two steps, or was cut there. The next step is waited for,
            // not the end of what they do, which may be far.
            if self.names(&reading, key).await? == names {
                match self.alone(Duration::ZERO, async |session| self.clear_up(session, key).await).await? {
                    Some(found) => others.extend(found),
                    None => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                }
            }
        }
    }

    async fn names(&self, reading: &Reading, key: &Key) -> Result<Names, Failure> {
        let (home, uuid, key, reading) = (Arc::clone(&self.home), self.uuid.clone(), key.clone(), reading.clone());
        let read = blocking(move || {
            let repository = home.repository();
            // Whoever exports here notes what it does, before and after it says so in the log.
            let log = record::exports(repository)?;
            let is_own = record::is_under_way(repository, &log, &uuid)?;
            let tree = log.held(repository.uuid(), &uuid);
            let read = reading.read(&repository.db_dir(), &uuid, |db| {
                let is_stale = !is_own && db.tree()?.unwrap_or(GitId::EMPTY_TREE) != tree;
                Ok(Names { held: db.holding(&key)?, unfilled: db.in_tree(&key)?, is_stale })
            });
            let Some(mut names) = read? else {
                return Ok(Names { is_stale: tree != GitId::EMPTY_TREE, ..Names::default() });
            };
            names.unfilled.retain(|name| !names.held.contains(name));
            Ok::<_, Why>(names)
        });
        read.await?.map_err(super::failed)
    }

    /// Whether `name` is noted to hold `key` still.
    pub(super) async fn holds(&self, reading: &Reading, name: &[u8], key: &Key) -> Result<bool, Failure> {
        let (home, uuid, reading) = (Arc::clone(&self.home), self.uuid.clone(), reading.clone());
        let (name, key) = (name.to_vec(), key.clone());
        let asked = blocking(move || reading.read(&home.repository().db_dir(), &uuid, |db| db.holds(&name, &key)));
        Ok(asked.await?.map_err(super::failed)?.unwrap_or(false))
    }

    /// Whether an export was cut here.
    async fn was_cut(&self) -> Result<bool, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let asked = blocking(move || Ok::<_, Why>(record::cut(home.repository(), &uuid)?.is_some()));
        asked.await?.map_err(super::failed)
    }

    /// Notes of the names of `key` what is there, and of all where an export was cut. Nobody else may be exporting. Returns what is
    /// there and is no content of it.
    pub(super) async fn clear_up(&self, session: &Session, key: &Key) -> Result<BTreeSet<(Vec<u8>, String)>, Failure> {
        let reading = Reading::default();
        let mut names = self.names(&reading, key).await?;
        if names.is_stale || self.was_cut().await? {
            self.take_stock(session).await?;
            names = self.names(&reading, key).await?;
        }
        let (mut notes, mut others) = (Vec::new(), BTreeSet::new());
        let is_held = !names.held.is_empty();
        for (name, noted) in
            names.held.into_iter().map(|name| (name, true)).chain(names.unfilled.into_iter().map(|name| (name, false)))
        {
            let there = match self.ask_one(&name).await? {
                Answer::Absent => None,
                Answer::There(there) => Some(there),
                Answer::Impossible => continue,
            };
            let known = match &there {
                None => Known::Absent,
                Some(there) => self.prove_there(&name, there, key, None).await?,
            };
            let holds = match known {
                Known::Right => true,
                Known::Wrong | Known::Absent => false,
                Known::Untold => noted || !is_held && self.is_last(key).await?,
            };
            if noted && !holds {
                tracing::warn!("remote {}: content of {key} was removed by somebody else", self.name);
            }
            if noted != holds {
                notes.push(Note { name: name.clone(), key: key.clone(), holds });
            }
            if let (false, Some(identity)) = (holds, there.and_then(|there| there.identity)) {
                others.insert((name, identity));
            }
        }
        self.see_recorded(&notes).await?;
        session.with(move |book| book.db.note(&book.lock, &notes)).await?;
        Ok(others)
    }

    /// Whether what is found for `key`, which nothing proves, is all there can be: the remote is recorded to have it, and it is
    /// not outside the tree.
    async fn is_last(&self, key: &Key) -> Result<bool, Failure> {
        let outside = matches!(self.ask_one(&names::object(key)).await?, Answer::There(_));
        Ok(!outside && !self.recorded([key.clone()].into()).await?.is_empty())
    }

    /// The names noted to hold `key`.
    pub(super) async fn held(&self, reading: &Reading, key: &Key) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(self.names(reading, key).await?.held)
    }

    /// Takes the content of `key` away from every name, while there is time. Failures: it is in the tree; `TooLate`.
    pub(in crate::gateway) async fn remove(&self, key: &Key, until: &Until) -> Result<(), Failure> {
        self.surely_alone(async |session| self.take_away(session, key, until).await).await
    }

    async fn take_away(&self, session: &Session, key: &Key, until: &Until) -> Result<(), Failure> {
        self.follow(session, When::Behind).await?;
        if self.names(&Reading::default(), key).await?.is_stale {
            self.take_stock(session).await?;
        }
        let wanted = key.clone();
        let (in_tree, mut names) =
            session.with(move |book| Ok::<_, DbError>((book.db.in_tree(&wanted)?, book.db.holding(&wanted)?))).await?;
        if !in_tree.is_empty() {
            if !self.is_lost(session, key, &in_tree).await? {
                // git-annex's own words.
                let why = "proxied special remote reports: This key is part of the exported tree, so can only be removed \
                           by exporting a tree that does not include it.";
                return Err(Failure::refused(why.into()));
            }
            self.tell_removed(session, key).await?;
            return self.forget(key).await;
        }
        if let Some(why) = self.keeps(key).await? {
            return Err(why);
        }
        self.tell_removed(session, key).await?;
        let outside = names::object(key);
        names.retain(|name| *name != outside);
        names.push(outside);
        for name in names {
            // What a person has put at a name of the tree since is theirs.
            let is_own = name.starts_with(b".git/") || name.starts_with(names::TEMPORARY);
            if is_own || self.prove(&name, key, None).await? != Known::Wrong {
                self.store.remove_until(&self.object(&name)?, until).await.map_err(|e| Failure::remote(&e))?;
            }
            let note = Note { name, key: key.clone(), holds: false };
            session.with(move |book| book.db.note(&book.lock, &[note])).await?;
        }
        self.forget(key).await
    }

    /// Whether the content of `key`, which belongs at `in_tree`, is nowhere there, for sure. What is in its place is put aside,
    /// so that it can come again; and where it is somewhere still, its other names are filled from there.
    async fn is_lost(&self, session: &Session, key: &Key, in_tree: &[Vec<u8>]) -> Result<bool, Failure> {
        let mut names: BTreeSet<Vec<u8>> = in_tree.iter().cloned().collect();
        let reading = Reading::default();
        names.extend(self.held(&reading, key).await?);
        names.insert(names::object(key));
        let (mut wrong, mut notes, mut is_lost) = (Vec::new(), Vec::new(), true);
        for name in names {
            match self.prove(&name, key, Some(self.context.idle)).await {
                Ok(Known::Right | Known::Untold) => {
                    is_lost = false;
                    continue;
                }
                Ok(Known::Wrong) => wrong.push(name.clone()),
                Ok(Known::Absent) => {}
                Err(e) => {
                    tracing::warn!("remote {}: cannot tell what is at {}: {e}", self.name, name.escape_ascii());
                    is_lost = false;
                    continue;
                }
            }
            notes.push(Note { name, key: key.clone(), holds: false });
        }
        if notes.is_empty() {
            return Ok(false);
        }
        session.with(move |book| book.db.note(&book.lock, &notes)).await?;
        for name in wrong {
            self.put_aside(&name).await?;
        }
        // A twin, an old version or this repository may have it.
        if let Err(e) = self.follow(session, When::Always).await {
            self.warn(&e);
        }
        Ok(is_lost && self.store.versions().is_none() && self.held(&reading, key).await?.is_empty())
    }
}
