//! Finding the content of a key: at its names in the tree, or outside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::{ObjectName, Until};

use super::{Held, PAUSE, Tree, Why};
use crate::annex::branch::GitId;
use crate::annex::export::db::{DbError, ExportDb, Note};
use crate::annex::export::look::Found;
use crate::annex::export::{names, record};
use crate::gateway::export::questions::Answer;
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
        loop {
            let mut names = self.names(key).await?;
            if names.is_stale {
                self.surely_alone(async |held| self.catch_up(held).await).await?;
                names = self.names(key).await?;
            }
            let mut wrong = None;
            for name in names.held.iter().filter(|name| **name != outside).chain([&outside]) {
                match look(&self.object(name)?).await {
                    Ok(Some(found)) if *name == outside || self.holds(name, key).await? => {
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
                unnoted |= matches!(self.ask_one(name).await?, Answer::Found(Found::Present(_)));
            }
            if names.held.is_empty() && !unnoted {
                return Ok(None);
            }
            if begun.elapsed() > self.context.idle {
                return Err(Failure::busy(&format!("files of remote {} are being moved", self.name)));
            }
            // Where nothing changed meanwhile, somebody is between two steps, or was cut there. The next step is waited for,
            // not the end of what they do, which may be far.
            if self.names(key).await? == names {
                let cleared = self.alone(Duration::ZERO, async |held| self.clear_up(held, key).await).await?;
                if cleared.is_none() {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    async fn names(&self, key: &Key) -> Result<Names, Failure> {
        let (home, uuid, key) = (Arc::clone(&self.home), self.uuid.clone(), key.clone());
        let read = blocking(move || {
            let repository = home.repository();
            // Whoever exports here notes what it does, before and after it says so in the log.
            let log = record::exports(repository)?;
            let is_own = record::is_under_way(repository, &log, &uuid)?;
            let tree = log.held(repository.uuid(), &uuid);
            let Some(db) = ExportDb::existing(&repository.db_dir(), &uuid)? else {
                return Ok(Names { is_stale: tree != GitId::EMPTY_TREE, ..Names::default() });
            };
            let is_stale = !is_own && db.tree()?.unwrap_or(GitId::EMPTY_TREE) != tree;
            let mut names = Names { held: db.holding(&key)?, unfilled: db.in_tree(&key)?, is_stale };
            names.unfilled.retain(|name| !names.held.contains(name));
            Ok::<_, Why>(names)
        });
        read.await?.map_err(super::failed)
    }

    /// Whether `name` is noted to hold `key` still.
    async fn holds(&self, name: &[u8], key: &Key) -> Result<bool, Failure> {
        let (home, uuid, name, key) = (Arc::clone(&self.home), self.uuid.clone(), name.to_vec(), key.clone());
        let asked = blocking(move || match ExportDb::existing(&home.repository().db_dir(), &uuid)? {
            Some(db) => db.holds(&name, &key),
            None => Ok(false),
        });
        asked.await?.map_err(super::failed)
    }

    /// Finishes an export that was cut, or finds out what somebody elsewhere has exported.
    async fn catch_up(&self, held: &Held) -> Result<(), Failure> {
        if self.is_behind().await? {
            return self.run(held).await.map(drop);
        }
        self.adopt(held).await
    }

    /// Finishes what was cut, and notes of the names of `key` what is there. Nobody else may be at it.
    async fn clear_up(&self, held: &Held, key: &Key) -> Result<(), Failure> {
        let names = self.names(key).await?;
        if names.is_stale || self.is_behind().await? {
            return self.catch_up(held).await;
        }
        let mut notes = Vec::new();
        for (name, noted) in
            names.held.into_iter().map(|name| (name, true)).chain(names.unfilled.into_iter().map(|name| (name, false)))
        {
            let Answer::Found(found) = self.ask_one(&name).await? else { continue };
            let holds = match found {
                Found::Absent => false,
                // Nothing but content of the tree is put at a name of it.
                Found::Present(len) => {
                    noted || len.is_none() || key.content_len().is_none_or(|wanted| Some(wanted) == len)
                }
                Found::Verified(found) => found == *key,
            };
            if noted && !holds {
                tracing::warn!("remote {}: content of {key} was taken away by somebody else", self.name);
            }
            if noted != holds {
                notes.push(Note { name, key: key.clone(), holds });
            }
        }
        held.with(move |book| book.db.note(&book.lock, &notes)).await
    }

    /// Takes the content of `key` away from every name, while there is time. Failures: it is in the tree; `TooLate`.
    pub(in crate::gateway) async fn remove(&self, key: &Key, until: &Until) -> Result<(), Failure> {
        self.surely_alone(async |held| self.take_away(held, key, until).await).await
    }

    async fn take_away(&self, held: &Held, key: &Key, until: &Until) -> Result<(), Failure> {
        if self.names(key).await?.is_stale || self.is_behind().await? {
            self.catch_up(held).await?;
        }
        let wanted = key.clone();
        let (in_tree, mut names) =
            held.with(move |book| Ok::<_, DbError>((book.db.in_tree(&wanted)?, book.db.holding(&wanted)?))).await?;
        if !in_tree.is_empty() {
            // git-annex's own words.
            let why = "proxied special remote reports: This key is part of the exported tree, so can only be removed by \
                       exporting a tree that does not include it.";
            return Err(Failure::refused(why.into()));
        }
        if let Some(why) = self.keeps(key).await? {
            return Err(why);
        }
        let outside = names::object(key);
        names.retain(|name| *name != outside);
        names.push(outside);
        for name in names {
            self.store.remove_until(&self.object(&name)?, until).await.map_err(|e| Failure::remote(&e))?;
            let note = Note { name, key: key.clone(), holds: false };
            held.with(move |book| book.db.note(&book.lock, &[note])).await?;
        }
        Ok(())
    }
}
