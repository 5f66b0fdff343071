//! Checking all files of a tree, and repairing damaged ones.
//!
//! What was proven before is known again by what the store calls it; the rest is read. What is not the content that belongs
//! there is noted to be none, and the export after it does what it does with every such name: it puts aside what is in the
//! way, and fills the name from wherever on the store, in git or in this repository the content is.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::export::{Exported, When};
use super::proof::Known;
use super::reading::Reading;
use super::survey::{Answer, There};
use super::{Session, Tree};
use crate::annex::export::check::Check;
use crate::annex::export::db::{DbError, Note};
use crate::annex::export::names;
use crate::annex::export::tree::blob_of;
use crate::annex::log::Presence;
use crate::gateway::Failure;
use crate::name::Key;

/// Files that are read at once.
const READ_AT_ONCE: usize = 4;

/// How far a look is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that were looked at.
    pub looked: usize,
    /// Files that there are.
    pub total: usize,
}

/// What a look at a tree found, and what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Files that were looked at.
    pub looked: usize,
    /// Those of them that were read, since nothing else told what they are.
    pub read: usize,
    /// Files of keys without a digest, of which nothing but the length was compared.
    pub untold: usize,
    /// Files of which nobody could find out what they are now.
    pub unknown: usize,
    /// Files that were not what belongs there.
    pub damaged: Vec<Damaged>,
    /// What the exports before and after the look did.
    pub exported: Exported,
}

/// A file that was not what belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its name.
    pub name: Vec<u8>,
    /// The key that belongs there.
    pub key: Key,
    /// What was found.
    pub damage: Damage,
    /// Whether the name has its content again. Where not, that has to come: its key is recorded to be gone, unless it is
    /// somewhere else on the remote.
    pub is_repaired: bool,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Nothing was there.
    Missing,
    /// Something of so many bytes was there, which is not the content.
    Other(u64),
}

/// What is known of one file.
struct Looked {
    name: Vec<u8>,
    key: Key,
    /// Whether it was noted to be there.
    noted: bool,
    found: Result<Known, Failure>,
    len: Option<u64>,
    was_read: bool,
}

impl Tree {
    /// Looks at every file of the tree it holds, once that is the one its branch is at, and puts right what is damaged. Waits up to
    /// `limit` for others who export to it; `None` where they are still exporting then, or there is no branch.
    ///
    /// Failures: it could not be looked at, or not be brought up to date. What was found damaged until then is noted, so the next
    /// export goes on with it.
    pub(in crate::gateway) async fn repair(
        &self,
        limit: Duration,
        told: &dyn Fn(Progress),
    ) -> Result<Option<Repaired>, Failure> {
        let work = async |session: &Session| {
            let before = self.follow(session, When::Always).await?;
            if before.tree.is_none() {
                return Ok(Repaired { exported: before, ..Repaired::default() });
            }
            let mut repaired = self.look_at_all(session, told).await?;
            // It also fills names whose content somebody else has put back.
            let after = self.follow(session, When::Always).await?;
            self.take_in(session).await?;
            repaired.exported = after.after(Some(before));
            self.see_what_is_gone(&mut repaired).await?;
            Ok(repaired)
        };
        self.alone(limit, work).await
    }

    async fn look_at_all(&self, session: &Session, told: &dyn Fn(Progress)) -> Result<Repaired, Failure> {
        let files = session.with(|book| {
            let mut files = Vec::new();
            book.db.tree_files(|name, key| files.push((name, key, false)))?;
            for (name, key, noted) in &mut files {
                *noted = book.db.holds(name, key)?;
            }
            Ok::<_, DbError>(files)
        });
        let files = files.await?;
        let total = files.len();
        let answers = self.look(files.iter().map(|(name, ..)| name.clone()).collect()).await?;
        let mut answers: std::collections::HashMap<Vec<u8>, Answer> = answers.into_iter().collect();
        let mut repaired = Repaired::default();
        let looks = files.into_iter().map(|(name, key, noted)| {
            let answer = answers.remove(&name).unwrap_or(Answer::Impossible);
            self.look_at_one(name, key, noted, answer)
        });
        let mut looks = stream::iter(looks).buffer_unordered(READ_AT_ONCE);
        let mut notes = Vec::new();
        while let Some(one) = looks.next().await {
            repaired.looked += 1;
            if let Some(note) = repaired.take(one) {
                notes.push(note);
            }
            told(Progress { looked: repaired.looked, total });
        }
        drop(looks);
        session.with(move |book| book.db.note(&book.lock, &notes)).await?;
        repaired.damaged.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(repaired)
    }

    async fn look_at_one(&self, name: Vec<u8>, key: Key, noted: bool, answer: Answer) -> Looked {
        let (found, len, was_read) = match answer {
            // It was told of by the export, and nothing was put there.
            Answer::Impossible => (Ok(Known::Right), None, false),
            Answer::Absent => (Ok(Known::Absent), None, false),
            Answer::There(there) => {
                let was_read = self.has_to_be_read(&there, &key).await;
                let found = self.prove_there(&name, &there, &key, None).await;
                (found, Some(there.len), was_read)
            }
        };
        if let Err(e) = &found {
            tracing::warn!("remote {}: cannot tell what is at {}: {e}", self.name, name.escape_ascii());
        }
        Looked { name, key, noted, found, len, was_read }
    }

    async fn has_to_be_read(&self, there: &There, key: &Key) -> bool {
        let known = match &there.identity {
            Some(identity) => self.proven(vec![identity.clone()]).await.unwrap_or_default(),
            None => Default::default(),
        };
        let is_known = known.values().any(|known| known.is.contains(key) || known.is_not.contains(key));
        !is_known && Check::is_known(key) && crate::annex::export::look::fits(key, Some(there.len))
    }

    /// Of what was damaged: what has its content again. Keys whose content is nowhere on the remote are recorded to be gone, so that
    /// clients send them again.
    async fn see_what_is_gone(&self, repaired: &mut Repaired) -> Result<(), Failure> {
        let (mut gone, reading) = (BTreeSet::new(), Reading::default());
        for one in &mut repaired.damaged {
            one.is_repaired = self.holds(&reading, &one.name, &one.key).await?;
            if !one.is_repaired && blob_of(&one.key).is_none() {
                gone.insert(one.key.clone());
            }
        }
        for key in self.recorded(gone).await? {
            let mut is_there = !self.held(&reading, &key).await?.is_empty();
            is_there |= !matches!(self.prove(&names::object(&key), &key, None).await?, Known::Absent | Known::Wrong);
            is_there |= self.find_version(&key, async |_, _| Ok(Some(()))).await?.is_some();
            if !is_there {
                self.forget(&key).await?;
                self.home.record_seen(&key, &self.uuid, Presence::Missing).await?;
            }
        }
        Ok(())
    }
}

impl Repaired {
    /// Counts a file; what is to be noted of it.
    fn take(&mut self, one: Looked) -> Option<Note> {
        let Looked { name, key, noted, found, len, was_read } = one;
        self.read += usize::from(was_read);
        let damage = match found {
            Ok(Known::Right) => return None,
            Ok(Known::Untold) => {
                self.untold += 1;
                return None;
            }
            Err(_) => {
                self.unknown += 1;
                return None;
            }
            Ok(Known::Absent) => Damage::Missing,
            Ok(Known::Wrong) => Damage::Other(len.unwrap_or_default()),
        };
        // Content that has not come yet is no damage.
        if !noted && damage == Damage::Missing {
            return None;
        }
        self.damaged.push(Damaged { name: name.clone(), key: key.clone(), damage, is_repaired: false });
        noted.then_some(Note { name, key, holds: false })
    }
}
