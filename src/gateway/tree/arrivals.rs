//! New content, on its way to its names in the tree.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::export::{Exported, When};
use super::survey::Answer;
use super::{Session, Tree};
use crate::annex::export::WorkError;
use crate::annex::export::plan::{Place, Step};
use crate::annex::export::work::make_whole;
use crate::annex::export::{names, record};
use crate::annex::layout;
use crate::annex::lock::{LockFile, LockKind};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// How long a client waits for its content to get its names, when with it an export that was cut is resumed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names of a key in the tree: those without its content, and one with it.
struct Wanted {
    unfilled: Vec<Vec<u8>>,
    held: Option<Vec<u8>>,
}

impl Tree {
    /// Leaves word that the content of `key` may be there from now on. Who is killed before it has its names leaves the word
    /// behind, for whoever exports next.
    pub(in crate::gateway) async fn announce(&self, key: &Key) -> Result<Arrival, Failure> {
        let (home, uuid, key) = (Arc::clone(&self.home), self.uuid.clone(), key.clone());
        let left = blocking(move || {
            let dir = record::arrived(home.repository(), &uuid)?;
            fs::create_dir_all(&dir)?;
            let path = dir.join(file_of(&key));
            let lock = LockFile::try_lock(&path, LockKind::Exclusive, 0o666)?;
            Ok(Arrival { key, path, lock })
        });
        left.await?.map_err(|e: io::Error| super::failed(e))
    }

    /// The content of a key has come, and lies outside the tree: moves it to its names there. Where others export at the
    /// moment, that is left to them. What goes wrong is only warned of: the content is there, and can be read.
    ///
    /// Goes on when the client does not wait for it, or no longer.
    pub(in crate::gateway) async fn settle(self: &Rc<Self>, word: Arrival) {
        let tree = Rc::clone(self);
        let settled = tokio::task::spawn_local(async move {
            if let Err(e) = tree.try_settle(word).await {
                tree.warn(&e);
            }
        });
        let _ = tokio::time::timeout(PATIENCE, settled).await;
    }

    async fn try_settle(&self, word: Arrival) -> Result<(), Failure> {
        let key = word.key.clone();
        let work = async |session: &Session| {
            self.follow(session, When::Behind).await?;
            self.place(session, vec![key]).await
        };
        match self.alone(Duration::ZERO, work).await? {
            Some(()) => word.forget().await?,
            // Whoever lets go from now on sees the word; whoever has done so before left the lock to us.
            None => word.leave(),
        }
        while self.has_more().await? {
            let work = async |session: &Session| {
                self.follow(session, When::Behind).await?;
                self.take_in(session).await
            };
            if self.alone(Duration::ZERO, work).await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Whether something came while nobody else could see to it.
    pub(in crate::gateway) async fn has_more(&self) -> Result<bool, Failure> {
        Ok(!self.waiting().await?.is_empty() || self.is_behind().await?)
    }

    /// Moves all that others left word of to its names.
    pub(super) async fn take_in(&self, session: &Session) -> Result<(), Failure> {
        let words = self.waiting().await?;
        if words.is_empty() {
            return Ok(());
        }
        self.place(session, words.iter().map(|word| word.key.clone()).collect()).await?;
        for word in words {
            word.forget().await?;
        }
        Ok(())
    }

    /// Gives content of `keys` its names in the tree.
    async fn place(&self, session: &Session, keys: Vec<Key>) -> Result<(), Failure> {
        if !self.fill(session, keys).await? {
            self.follow(session, When::Always).await?;
        }
        Ok(())
    }

    /// Moves content of `keys` from outside the tree to the names that wait for it, and copies it to further ones. False where
    /// something is there of which nothing is noted: all has to be looked at.
    async fn fill(&self, session: &Session, keys: Vec<Key>) -> Result<bool, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let wanted = session
            .with(move |book| {
                make_whole(home.repository(), &mut book.db, &uuid)?;
                let mut wanted: BTreeMap<Key, Wanted> = BTreeMap::new();
                for key in keys {
                    let (filled, unfilled) = book
                        .db
                        .in_tree(&key)?
                        .into_iter()
                        .partition::<Vec<_>, _>(|name| book.db.holds(name, &key).unwrap_or(false));
                    if !unfilled.is_empty() {
                        wanted.insert(key, Wanted { unfilled, held: filled.into_iter().next() });
                    }
                }
                Ok::<_, WorkError>(wanted)
            })
            .await?;
        let asked = wanted.iter().flat_map(|(key, of_key)| of_key.unfilled.iter().cloned().chain([names::object(key)]));
        let answers: BTreeMap<Vec<u8>, Answer> = self.look(asked.collect()).await?.into_iter().collect();
        let is_there = |name: &[u8]| matches!(answers.get(name), Some(Answer::There(_)));
        if wanted.values().any(|of_key| of_key.unfilled.iter().any(|name| is_there(name))) {
            return Ok(false);
        }
        let mut steps = Vec::new();
        for (key, of_key) in wanted {
            let can_have = |name: &Vec<u8>| !matches!(answers.get(name), Some(Answer::Impossible));
            let mut unfilled = of_key.unfilled.into_iter().filter(can_have).map(Place::Tree);
            let from = match of_key.held {
                Some(held) => Place::Tree(held),
                None if is_there(&names::object(&key)) => {
                    let Some(first) = unfilled.next() else { continue };
                    steps.push(Step::Rename { key: key.clone(), from: Place::Object, to: first.clone() });
                    first
                }
                None => continue,
            };
            steps.extend(unfilled.map(|to| Step::Copy { key: key.clone(), from: from.clone(), to }));
        }
        steps.sort_by_key(Step::batch);
        let mut done = Exported::default();
        for turn in steps.chunk_by(|a, b| a.batch() == b.batch()) {
            let failures = self.do_batch(session, turn, 1, &mut done).await?;
            if let Some(failure) = failures.into_iter().next() {
                return Err(failure);
            }
        }
        Ok(!done.again)
    }

    /// Words that were left, by those who are gone or have other things to do.
    async fn waiting(&self) -> Result<Vec<Arrival>, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let read = blocking(move || {
            let dir = record::arrived(home.repository(), &uuid)?;
            let entries = match fs::read_dir(&dir) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut words = Vec::new();
            for entry in entries {
                let name = entry?.file_name().into_vec();
                let Some(key) = layout::key_of_file(&name).and_then(|key| Key::parse(&key).ok()) else { continue };
                let path = dir.join(file_of(&key));
                if let Some(lock) = LockFile::try_lock(&path, LockKind::Exclusive, 0o666)? {
                    words.push(Arrival { key, path, lock: Some(lock) });
                }
            }
            Ok(words)
        });
        read.await?.map_err(|e: io::Error| super::failed(e))
    }
}

/// Arrival that the content of a key may have come and not have its names yet: a file, locked while somebody sees to it.
pub(in crate::gateway) struct Arrival {
    key: Key,
    path: PathBuf,
    /// `None` where somebody else sees to the same key.
    lock: Option<LockFile>,
}

impl Arrival {
    /// Leaves it to others.
    fn leave(self) {
        drop(self.lock);
    }

    /// It has been seen to.
    async fn forget(self) -> Result<(), Failure> {
        let forgotten = blocking(move || {
            let Some(lock) = self.lock else { return Ok(()) };
            let removed = fs::remove_file(&self.path);
            drop(lock);
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            }
        });
        forgotten.await?.map_err(super::failed)
    }
}

fn file_of(key: &Key) -> std::ffi::OsString {
    std::ffi::OsStr::from_bytes(&layout::key_file(key.as_bytes())).to_os_string()
}
