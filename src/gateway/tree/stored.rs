//! What gateways tell each other about keys without a digest, apart from their git-annex branches.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use remotes::Kind;
use remotes::retrieve::read_small;

use super::{Session, Tree};
use crate::annex::export::db::Note;
use crate::annex::export::names::TEMPORARY;
use crate::annex::export::stored::{self, StoredKeys};
use crate::gateway::Failure;
use crate::name::Key;

/// Keys without a digest whose content came to names of the tree.
#[derive(Default)]
pub(super) struct NewlyStored(Mutex<BTreeSet<Key>>);

impl NewlyStored {
    /// What is noted once something was done, or found. What left one name of the tree for another came before.
    pub(super) fn see(&self, notes: &[Note]) {
        let is_of_tree = |note: &&Note| !note.name.starts_with(b".git/") && !note.name.starts_with(TEMPORARY);
        let of_tree = |holds: bool| notes.iter().filter(is_of_tree).filter(move |note| note.holds == holds);
        let left: BTreeSet<&Key> = of_tree(false).map(|note| &note.key).collect();
        let came = of_tree(true).map(|note| &note.key).filter(|key| StoredKeys::concerns(key) && !left.contains(key));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(came.cloned());
    }

    fn take(&self) -> BTreeSet<Key> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tree {
    /// Tells other gateways what came to names of the tree while it was our turn. Whoever is killed before that keeps the turn,
    /// and finds the content again at its names.
    pub(super) async fn tell_stored(&self, session: &Session) -> Result<(), Failure> {
        let keys = session.newly_stored.take();
        if !session.turn || keys.is_empty() {
            return Ok(());
        }
        let mut list = self.stored_keys().await?;
        let mut is_new = false;
        for key in &keys {
            is_new |= list.add(key);
        }
        if is_new { self.write_stored(&list).await } else { Ok(()) }
    }

    /// Those of `keys` of which others told that they store them.
    pub(super) async fn heard_stored(&self, session: &Session, keys: BTreeSet<Key>) -> Result<BTreeSet<Key>, Failure> {
        let keys: BTreeSet<Key> = keys.into_iter().filter(StoredKeys::concerns).collect();
        if !session.turn || keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let list = self.stored_keys().await?;
        Ok(keys.into_iter().filter(|key| list.contains(key)).collect())
    }

    /// Tells other gateways that content of `key` is about to go.
    pub(super) async fn tell_removed(&self, session: &Session, key: &Key) -> Result<(), Failure> {
        if !session.turn || !StoredKeys::concerns(key) {
            return Ok(());
        }
        let mut list = self.stored_keys().await?;
        if list.remove(key) { self.write_stored(&list).await } else { Ok(()) }
    }

    async fn stored_keys(&self) -> Result<StoredKeys, Failure> {
        match read_small(&*self.store, &self.object(stored::NAME)?, stored::LONGEST as u64, &self.context).await {
            Ok(text) => Ok(StoredKeys::parse(&text)),
            // What is too long was not written by a gateway.
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::TooLarge) => Ok(StoredKeys::default()),
            Err(e) => Err(Failure::remote(&e)),
        }
    }

    async fn write_stored(&self, list: &StoredKeys) -> Result<(), Failure> {
        self.write_small(stored::NAME, Bytes::from(list.to_bytes())).await
    }

    /// Writes a file of the gateways' own.
    pub(super) async fn write_small(&self, name: &[u8], text: Bytes) -> Result<(), Failure> {
        let object = self.object(name)?;
        let written = async {
            let mut put = self.store.put(&object, text.len() as u64).await?;
            put.write(text).await?;
            put.commit().await
        };
        written.await.map(drop).map_err(|e| Failure::remote(&e))
    }
}
