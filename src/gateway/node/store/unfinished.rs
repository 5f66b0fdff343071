//! Uploads that were begun and not finished: what is known of them, and undoing those that nobody comes back for.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use remotes::{Context, ObjectName, Resumption, Store};

use crate::annex::remote::{Remote, remotes_of};
use crate::annex::repository::Repository;
use crate::annex::unfinished::{Begun, Entry, Ledgers, Taken};
use crate::gateway::Failure;
use crate::name::{Key, Uuid};
use crate::resolve::setup::Environment;
use crate::resolve::{Destination, destination};

/// What is to be done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Those that nothing was added to for as long are undone.
    pub older_than: Duration,
    /// Nothing is changed.
    pub dry_run: bool,
    /// What cannot be undone, because its remote is gone or its ledger is malformed, is forgotten.
    pub force: bool,
}

/// An upload that was not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What its ledger says; `None` where that is malformed.
    pub upload: Option<UnfinishedUpload>,
    /// The file that remembers it.
    pub file: std::path::PathBuf,
    /// Since something was added to it.
    pub age: Duration,
    /// What became of it.
    pub fate: Fate,
}

/// What is known of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The uuid of the remote it goes to.
    pub uuid: Uuid,
    /// What git calls the remote; `None` where it is gone.
    pub remote: Option<Vec<u8>>,
    /// What is uploaded.
    pub key: Key,
    /// How far it is.
    pub begun: Begun,
}

/// What became of a leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is not old enough.
    Kept,
    /// Another process is at work on it.
    UnderWay,
    /// It would have been undone.
    Due,
    /// It was undone: the store keeps nothing of it.
    Undone,
    /// Its ledger was removed; the store may keep something of it.
    Forgotten,
    /// It could not be undone, and is still remembered. Why, in a sentence.
    Stays(String),
}

/// Goes through all unfinished uploads of `repository`, and undoes those that are old enough. Blocks for as long as it takes
/// to read and remove small files; each store is given up after `context.idle` without an answer. Before each upload `far` is told how
/// many are done, and of how many.
///
/// # Errors
///
/// What is remembered, or which remotes there are, cannot be read.
pub async fn sweep(
    repository: &Repository,
    how: Sweep,
    environment: Environment,
    context: &Context,
    far: &dyn Fn(usize, usize),
) -> Result<Vec<Leftover>, Failure> {
    let ledgers = Ledgers::new(repository.annex_dir());
    let entries = ledgers.list().map_err(|e| Failure::io("read the ledgers of uploads", &e))?;
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let remotes = remotes_of(repository).map_err(|e| Failure::internal(e.to_string()))?;
    let sweeper = Sweeper { ledgers, remotes, how, environment, context };
    let all = entries.len();
    let mut leftovers = Vec::with_capacity(all);
    for (done, entry) in entries.into_iter().enumerate() {
        far(done, all);
        leftovers.extend(sweeper.settle(entry).await);
    }
    leftovers.sort_by_key(|leftover| std::cmp::Reverse(leftover.age));
    Ok(leftovers)
}

struct Sweeper<'a> {
    ledgers: Ledgers,
    remotes: Vec<Remote>,
    how: Sweep,
    environment: Environment,
    context: &'a Context,
}

impl Sweeper<'_> {
    /// `None` where it was finished meanwhile.
    async fn settle(&self, entry: Entry) -> Option<Leftover> {
        let (file, uuid, key, mut begun) = match entry {
            Entry::Corrupt { file, touched } => {
                let age = since(touched);
                let fate = self.settle_corrupt(&file, age);
                return Some(Leftover { upload: None, file, age, fate });
            }
            Entry::Upload { file, remote, key, begun } => (file, remote, key, begun),
        };
        let fate = match self.ledgers.take(&uuid, &key) {
            Ok(Taken::Busy) => Fate::UnderWay,
            Err(e) => Fate::Stays(format!("its ledger: {e}")),
            Ok(Taken::Free(ledger)) => {
                let own = ledger.begun().filter(|now| now.token == begun.token).cloned();
                if own.is_none() && !file.exists() {
                    return None;
                }
                let is_own = own.is_some();
                begun = own.unwrap_or(begun);
                let forget = || if is_own { ledger.remove() } else { self.ledgers.discard(&file) };
                self.undo(&uuid, &begun, forget).await
            }
        };
        let remote = self.remotes.iter().find(|remote| remote.uuid == uuid).map(|remote| remote.name.clone());
        let age = since(begun.touched);
        Some(Leftover { upload: Some(UnfinishedUpload { uuid, remote, key, begun }), file, age, fate })
    }

    async fn undo(&self, uuid: &Uuid, begun: &Begun, forget: impl FnOnce() -> std::io::Result<()>) -> Fate {
        if since(begun.touched) < self.how.older_than {
            return Fate::Kept;
        }
        if self.how.dry_run {
            return Fate::Due;
        }
        let undone = match self.store(uuid) {
            Ok(store) => match ObjectName::new(&begun.object) {
                Ok(object) => {
                    let limit = tokio::time::timeout(self.context.idle, abandon(&*store, &object, begun));
                    let late = |_| format!("{} did not answer within {} s", store.label(), self.context.idle.as_secs());
                    limit.await.map_err(late).and_then(|done| done.map_err(|e| e.to_string()))
                }
                Err(e) => Err(e.to_string()),
            },
            // Where the remote is there and does not answer, it may tomorrow.
            Err(why) if !self.how.force => Err(why),
            Err(_) => return forgotten(forget(), Fate::Forgotten),
        };
        match undone {
            Ok(()) => forgotten(forget(), Fate::Undone),
            Err(why) => Fate::Stays(why),
        }
    }

    fn settle_corrupt(&self, file: &std::path::Path, age: Duration) -> Fate {
        if age < self.how.older_than {
            return Fate::Kept;
        }
        match self.how {
            Sweep { dry_run: true, .. } => Fate::Due,
            Sweep { force: true, .. } => forgotten(self.ledgers.discard(file), Fate::Forgotten),
            Sweep { .. } => Fate::Stays("its ledger is malformed; --force removes it".into()),
        }
    }

    /// The store of the remote, where something may be removed. Why not, otherwise.
    fn store(&self, uuid: &Uuid) -> Result<Rc<dyn Store>, String> {
        let mut why = "its remote is gone; --force forgets it".to_string();
        for remote in self.remotes.iter().filter(|remote| remote.uuid == *uuid) {
            match destination(remote, self.environment) {
                Ok(Destination::Store(config)) if config.writable => match config.open(self.context) {
                    Ok(store) => return Ok(store),
                    Err(e) => why = e.to_string(),
                },
                Ok(Destination::Store(_)) => why = format!("remote {} is read-only", remote.name.escape_ascii()),
                Ok(Destination::Git(_)) => {
                    why = format!("remote {} no longer points to a special remote", remote.name.escape_ascii())
                }
                Err(refusal) => why = refusal.to_string(),
            }
        }
        Err(why)
    }
}

/// Leaves nothing of the upload in the store.
async fn abandon(store: &dyn Store, object: &ObjectName, begun: &Begun) -> remotes::Result<()> {
    // A store without such uploads keeps nothing of any.
    let Some(uploads) = store.uploads() else { return Ok(()) };
    if !begun.token.is_empty() {
        return uploads.abandon(object, &Resumption { token: begun.token.clone(), step: begun.step }).await;
    }
    match uploads.abandon_unnamed(object, begun.created).await? {
        true => Ok(()),
        false => {
            let words = "the store has an upload that may be this one, or another one in progress; a day after it began this can be told";
            Err(remotes::Error::new(remotes::Op::Put, remotes::Kind::Unavailable, words)
                .object(object)
                .on(store.label()))
        }
    }
}

fn forgotten(removed: std::io::Result<()>, fate: Fate) -> Fate {
    removed.map_or_else(|e| Fate::Stays(format!("its ledger: {e}")), |()| fate)
}

fn since(seconds: u64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(seconds))
}

#[cfg(test)]
#[path = "unfinished_tests.rs"]
mod tests;
