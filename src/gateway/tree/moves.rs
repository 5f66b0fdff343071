//! Moving, copying and removing content without ever giving up verified content for unverified.
//!
//! Strangers change files whenever they like, and some stores take two names for one. So a name is looked at right before it is
//! filled, and what a removal rests on right before it. What is in the way is put aside and never written over; and
//! what cannot be removed, because what is kept is not as it was noted, is moved.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use remotes::{Kind, Op, Renames};

use super::Tree;
use super::export::Exported;
use super::outcome::Told;
use super::proof::Known;
use super::survey::Answer;
use crate::annex::export::db::Note;
use crate::annex::export::look::fits;
use crate::annex::export::names;
use crate::annex::export::plan::Place;
use crate::gateway::Failure;
use crate::name::Key;

/// From this length on a store may give a copy another identity than the original has, since it was stored in parts.
const IN_PARTS: u64 = 5 << 20;

/// Whether content can come to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clear {
    /// Nothing is there.
    Free,
    /// The content is there already, for sure.
    Has,
    /// The file of another name is there, which the store takes for the same.
    Taken,
}

/// What is at a name where content was noted to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The content, as far as a look tells.
    There,
    /// Something else.
    Damaged,
    /// Nothing.
    Gone,
}

impl Tree {
    /// Looks at a place that shall be filled with content of `key`. What a stranger has put there is put aside.
    pub(super) async fn clear(&self, key: &Key, to: &Place) -> Result<Clear, Failure> {
        let name = to.name(key);
        let Answer::There(there) = self.ask_one(&name).await? else { return Ok(Clear::Free) };
        if let Place::Tree(_) = to
            && let Some((_, like)) = self.shadows(BTreeSet::from([name.clone()])).await?.pop()
        {
            self.warn_of_alike(&name, &like);
            return Ok(Clear::Taken);
        }
        if self.prove_there(&name, &there, key, None).await? == Known::Right {
            return Ok(Clear::Has);
        }
        self.put_aside(&name).await?;
        Ok(Clear::Free)
    }

    /// What became of the content of `key` that was noted to be at `name`. It is read only where it is another than the one that was
    /// proven, by what the store calls it: to read all that moves would take days.
    pub(super) async fn source(&self, key: &Key, name: &[u8]) -> Result<Source, Failure> {
        let Answer::There(there) = self.ask_one(name).await? else { return Ok(Source::Gone) };
        if !fits(key, Some(there.len)) {
            return Ok(Source::Damaged);
        }
        let Some(identity) = &there.identity else { return Ok(Source::There) };
        if !self.is_another(identity, key).await? {
            return Ok(Source::There);
        }
        match self.prove_there(name, &there, key, None).await? {
            Known::Wrong => Ok(Source::Damaged),
            _ => Ok(Source::There),
        }
    }

    /// Notes that the content of `key` is not where it was noted to be: there is more to do. Nothing is moved aside for it: what is at
    /// the name that it was meant for may be that very content, which another gateway moved.
    pub(super) fn miss(&self, key: &Key, from: &Place) -> Told {
        let notes = vec![Note { name: from.name(key), key: key.clone(), holds: false }];
        Told::of(notes, Exported { again: true, ..Exported::default() })
    }

    /// Puts aside what is [damaged](Source::Damaged), and notes that the content of `key` is not there: there is more to do.
    pub(super) async fn drop_damaged(&self, key: &Key, from: &Place) -> Result<Told, Failure> {
        self.put_aside(&from.name(key)).await?;
        Ok(self.miss(key, from))
    }

    /// Gives content of `key` another place, at which nothing is. False where nothing is at the first either.
    async fn rename(&self, key: &Key, from: &Place, to: &Place) -> Result<bool, Failure> {
        let (name, target) = (from.name(key), to.name(key));
        let (source, object) = (self.object(&name)?, self.object(&target)?);
        let remote = |e: remotes::Error| Failure::remote(&e);
        let is_local = self.store.capabilities().local;
        // Such a store copies to rename, and what was proven of the original has to be kept of the copy.
        let in_parts =
            key.content_len().is_none_or(|len| len >= IN_PARTS) && !is_local && self.store.copies().is_some();
        let is_of_content = || self.store.identify(&source, 0, Some("x")) == self.store.identify(&object, 0, Some("x"));
        if self.store.versions().is_some() || in_parts && is_of_content() {
            if source == object || !self.copy_proven(key, &name, &target).await? {
                return Ok(false);
            }
            return self.store.remove(&source).await.map_err(remote).map(|()| true);
        }
        match self.renames()?.rename(&source, &object).await {
            Err(e) if e.kind() == Kind::NotFound => Ok(false),
            renamed => renamed.map_err(remote).map(|()| true),
        }
    }

    /// [`rename`](Self::rename) as a step. Where the content is gone, that is noted, and there is more to do.
    pub(super) async fn move_on(&self, key: &Key, from: &Place, to: &Place, mut told: Told) -> Result<Told, Failure> {
        if self.rename(key, from, to).await? {
            told.did.renamed = 1;
        } else {
            told.notes = vec![Note { name: from.name(key), key: key.clone(), holds: false }];
            told.did.again = true;
        }
        Ok(told)
    }

    /// Content of `key` cannot come to the name that was meant for it. At another name of the tree it would be in the way: it
    /// goes to where content lies that is not in the tree.
    pub(super) async fn stay_outside(&self, key: &Key, from: &Place) -> Result<Told, Failure> {
        let mut told = Told::refused(1);
        if let Place::Tree(name) = from {
            match self.clear(key, &Place::Object).await? {
                Clear::Free if self.rename(key, from, &Place::Object).await? => {
                    told.notes.push(Note { name: names::object(key), key: key.clone(), holds: true });
                }
                // It is there already, and whoever fills the name puts aside what is at it.
                Clear::Free | Clear::Has | Clear::Taken => {}
            }
            told.notes.push(Note { name: name.clone(), key: key.clone(), holds: false });
        }
        Ok(told)
    }

    /// Copies content of `key`. What was proven of the original is proven of the copy. False where there is no original any
    /// more.
    pub(super) async fn copy_proven(&self, key: &Key, from: &[u8], to: &[u8]) -> Result<bool, Failure> {
        let copies = self.store.copies().ok_or_else(|| self.cannot(Op::Copy, "copy"))?;
        let (source, object) = (self.object(from)?, self.object(to)?);
        let stat = match self.store.stat(&source).await.map_err(|e| Failure::remote(&e))? {
            Some(stat) => stat,
            None => return Ok(false),
        };
        let identity = self.identity(&source, stat.len, stat.tag.as_deref());
        let proven = self.proven(identity.into_iter().collect()).await?;
        let is_proven = proven.values().any(|proven| proven.is.contains(key));
        let tag = stat.tag.as_deref().filter(|_| is_proven);
        let stored = match copies.copy(&source, &object, tag).await {
            Ok(stored) => stored,
            Err(e) if matches!(e.kind(), Kind::NotFound) => return Ok(false),
            Err(e) => return Err(Failure::remote(&e)),
        };
        if is_proven {
            self.made(key, to, &stored).await?;
        }
        self.copied(key, stored).await?;
        Ok(true)
    }

    /// [`copy_proven`](Self::copy_proven) as a step. Where the original is gone, that is noted, and there is more to do.
    pub(super) async fn copy(&self, key: &Key, from: &Place, to: &Place, mut told: Told) -> Result<Told, Failure> {
        if self.copy_proven(key, &from.name(key), &to.name(key)).await? {
            told.did.copied = 1;
        } else {
            told.notes = vec![Note { name: from.name(key), key: key.clone(), holds: false }];
            told.did.again = true;
        }
        Ok(told)
    }

    /// Removes content of `key` that is also at `kept_at`, if that is found there now and proven to be it. Else it is moved to
    /// where content lies that is not in the tree, and there is more to do.
    pub(super) async fn remove_kept(&self, key: &Key, at: &Place, kept_at: &Place) -> Result<Told, Failure> {
        let (name, kept) = (at.name(key), kept_at.name(key));
        let mut told = Told::of(vec![Note { name: name.clone(), key: key.clone(), holds: false }], Exported::default());
        let Answer::There(there) = self.ask_one(&name).await? else { return Ok(told) };
        let is_right = match at {
            Place::Tree(_) => self.prove_there(&name, &there, key, None).await?,
            Place::Object | Place::Temporary => Known::Untold,
        };
        if is_right == Known::Wrong {
            self.put_aside(&name).await?;
            return Ok(told);
        }
        // Whether the last thing that was asked is what the removal rests on.
        let is_kept = self.is_kept(key, &name, &kept).await?;
        if is_kept == Known::Right && (is_right == Known::Right || !matches!(at, Place::Tree(_))) {
            self.take(&name).await?;
            told.did.removed = 1;
            return Ok(told);
        }
        told.did.again = true;
        if let (Place::Tree(_), Known::Absent | Known::Wrong) = (kept_at, is_kept) {
            tracing::warn!("remote {}: content of {key} was removed by somebody else", self.name);
            told.notes.push(Note { name: kept, key: key.clone(), holds: false });
        }
        let outside = names::object(key);
        match self.clear(key, &Place::Object).await? {
            Clear::Free if !self.rename(key, at, &Place::Object).await? => {}
            Clear::Free => {
                told.notes.push(Note { name: outside, key: key.clone(), holds: true });
                told.did.renamed = 1;
            }
            Clear::Has if is_right == Known::Right && self.prove(&outside, key, None).await? == Known::Right => {
                self.take(&name).await?;
                told.did.removed = 1;
            }
            _ => self.put_aside(&name).await?,
        }
        Ok(told)
    }

    /// What is known of the content at `kept`, in the end; nothing where that is the very file that is at `name`, since then
    /// both would be gone.
    async fn is_kept(&self, key: &Key, name: &[u8], kept: &[u8]) -> Result<Known, Failure> {
        let are_alike = names::folded(name) == names::folded(kept);
        if are_alike && !(self.is_spelled_so(name).await? && self.is_spelled_so(kept).await?) {
            return Ok(Known::Untold);
        }
        self.prove(kept, key, None).await
    }

    fn renames(&self) -> Result<&dyn Renames, Failure> {
        self.store.renames().ok_or_else(|| self.cannot(Op::Rename, "rename"))
    }

    fn cannot(&self, op: Op, what: &str) -> Failure {
        let words = format!("this kind of store cannot {what}");
        Failure::remote(&remotes::Error::new(op, Kind::Unsupported, words).on(self.store.label()))
    }

    /// Removes a file.
    pub(super) async fn take(&self, name: &[u8]) -> Result<(), Failure> {
        self.store.remove(&self.object(name)?).await.map_err(|e| Failure::remote(&e))
    }

    /// Moves what nobody knows out of the way, to a name that nothing ever had.
    pub(super) async fn put_aside(&self, name: &[u8]) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let aside = names::aside(&format!("{now}-{:016x}", remotes::sys::chance()), name);
        match self.renames()?.rename(&self.object(name)?, &self.object(&aside)?).await {
            Err(e) if e.kind() == Kind::NotFound => Ok(()),
            Err(e) => Err(Failure::remote(&e)),
            Ok(()) => {
                let (shown, aside) = (name.escape_ascii(), aside.escape_ascii());
                tracing::warn!(
                    "remote {}: what is at {shown} is not known to be content that belongs there; it is moved to {aside}",
                    self.name
                );
                Ok(())
            }
        }
    }
}
