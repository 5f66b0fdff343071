//! Choosing where an upload goes and reserving room for it there, at once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::TransactionBehavior::Immediate;

use super::amount::Amount;
use super::count::{self, BATCH, Batch};
use super::db::Db;
use super::error::SizesError;
use super::owner::{Gone, Owner};
use super::tables::{self, Counted, Upload};
use super::waiting::Waiting;
use super::{Sizes, TRIES};
use crate::annex::branch::{Branch, BranchError};
use crate::name::{Key, Uuid};

/// Room for one upload in the repositories that were chosen for it. It is given up when this is dropped, which takes the
/// database for a moment.
///
/// Content that was stored is to be recorded before: from then on the location log alone tells that it is there.
#[must_use = "room that is dropped is given up"]
pub struct Reservation {
    sizes: Arc<Sizes>,
    serials: BTreeMap<Uuid, u64>,
}

/// What is known of the candidates at the moment of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    bytes: u64,
    candidates: BTreeMap<Uuid, Used>,
}

/// How full a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    bytes: i128,
    is_counted: bool,
}

/// Where reservations of this process are made, one after the other.
pub(super) struct Desk {
    db: Db,
    waiting: Waiting,
    owner: Option<Owner>,
    next: u64,
    /// Uploads whose end could not be noted.
    unsettled: BTreeSet<u64>,
    /// When it was looked for processes that are gone.
    looked: Option<Instant>,
    /// Uploads that had ended before the last look.
    ended: HashSet<(String, u64)>,
}

/// How often it is looked for processes that are gone.
const OWNERS: Duration = Duration::from_secs(1);

/// How many uploads that have ended are kept while no commit comes.
const MOST_ENDED: usize = 256;

impl Usage {
    /// Bytes that `uuid` holds, or room is reserved for there: less than nothing is nothing, more than a `u64` is the most it
    /// holds. `None` for who is no candidate.
    pub fn used(&self, uuid: &Uuid) -> Option<u64> {
        Some(Amount { bytes: self.candidates.get(uuid)?.bytes, keys: 0 }.clamped())
    }

    /// Whether the content is part of that: recorded, or on its way there.
    pub fn is_counted(&self, uuid: &Uuid) -> bool {
        self.candidates.get(uuid).is_some_and(|used| used.is_counted)
    }

    /// Whether `uuid` is a candidate and the content fits there, if it may hold `max_size` bytes. It may be filled to the last.
    pub fn fits(&self, uuid: &Uuid, max_size: u64) -> bool {
        self.candidates.get(uuid).is_some_and(|used| {
            let more = if used.is_counted { 0 } else { i128::from(self.bytes) };
            used.bytes.saturating_add(more) <= i128::from(max_size)
        })
    }

    /// The length of the content, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Sizes {
    /// Has `choose` choose where `key`, of `bytes` bytes, goes, and reserves room for it there. Between what it is told and the
    /// reservation nobody else reserves anything, in no process: so a choice that fits leaves no repository fuller than it may
    /// be. It must be quick, and may be asked again. Who is no candidate is not chosen.
    ///
    /// # Errors
    ///
    /// Nothing is reserved. [`SizesError::Counting`] where they are not counted yet; that has been begun.
    pub fn reserve(
        self: &Arc<Self>,
        key: &Key,
        bytes: u64,
        candidates: &[Uuid],
        choose: &mut dyn FnMut(&Usage) -> Vec<Uuid>,
    ) -> Result<Reservation, SizesError> {
        let serials = self.desk().reserve(self.branch(), (key, bytes), candidates, choose);
        if let Err(SizesError::Counting) = serials {
            self.count_in_background()?;
        }
        Ok(Reservation { sizes: Arc::clone(self), serials: serials? })
    }

    /// The keys that are being uploaded to `uuid`, in any process.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn under_way(&self, uuid: &Uuid) -> Result<Vec<Key>, SizesError> {
        let uploads = self.desk().db.with(&mut |db| tables::uploads(db))?;
        let is_it = |upload: &Upload| !upload.ended && upload.uuid == *uuid;
        Ok(uploads.into_iter().filter(is_it).map(|upload| upload.key).collect())
    }

    /// How full each of `candidates` is for `key`, without reserving anything.
    ///
    /// # Errors
    ///
    /// As those of [`reserve`](Self::reserve).
    pub fn usage(self: &Arc<Self>, key: &Key, bytes: u64, candidates: &[Uuid]) -> Result<Usage, SizesError> {
        let mut seen = None;
        let none = self.reserve(key, bytes, candidates, &mut |usage| {
            seen = Some(usage.clone());
            Vec::new()
        })?;
        drop(none);
        seen.ok_or(SizesError::Busy)
    }
}

impl Reservation {
    /// The repositories that were chosen, by uuid.
    pub fn chosen(&self) -> impl Iterator<Item = &Uuid> {
        self.serials.keys()
    }

    /// The upload to `uuid` has ended: its content is recorded, or not there.
    ///
    /// # Errors
    ///
    /// That could not be noted. The room stays reserved until it can, with the next reservation, or until this process ends.
    pub fn end(&mut self, uuid: &Uuid) -> Result<(), SizesError> {
        match self.serials.remove(uuid) {
            Some(serial) => self.sizes.desk().end([serial]),
            None => Ok(()),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.serials.is_empty() {
            return;
        }
        let serials: Vec<u64> = std::mem::take(&mut self.serials).into_values().collect();
        if let Err(e) = self.sizes.desk().end(serials) {
            tracing::warn!("room stays reserved for now: {e}");
        }
    }
}

impl Desk {
    pub(super) fn new(db: Db) -> Self {
        let (unsettled, ended) = (BTreeSet::new(), HashSet::new());
        Self { db, waiting: Waiting::default(), owner: None, next: 0, unsettled, looked: None, ended }
    }

    pub(super) fn db(&mut self) -> &mut Db {
        &mut self.db
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    fn reserve(
        &mut self,
        branch: &Branch,
        content: (&Key, u64),
        candidates: &[Uuid],
        choose: &mut dyn FnMut(&Usage) -> Vec<Uuid>,
    ) -> Result<BTreeMap<Uuid, u64>, SizesError> {
        if !self.unsettled.is_empty() {
            self.end([])?;
        }
        if self.owner.is_none() {
            self.owner = Some(Owner::new(self.db.dir())?);
        }
        if self.looked.is_none_or(|looked| looked.elapsed() > OWNERS) {
            self.end_gone()?;
        }
        for _ in 0..TRIES {
            let Some(state) = self.look(branch, true)? else { continue };
            let Some(reserved) = self.choose(branch, &state, content, candidates, choose)? else { continue };
            // Room may be kept by somebody who is gone since.
            if reserved.is_empty() && self.end_gone()? {
                continue;
            }
            return Ok(reserved);
        }
        Err(SizesError::Busy)
    }

    /// Looks at what is recorded: counts what changed, if that is little and `is_hurried`, and looks at the journals. `None` where
    /// it changed meanwhile.
    pub(super) fn look(&mut self, branch: &Branch, is_hurried: bool) -> Result<Option<Counted>, SizesError> {
        if is_hurried && self.db.with(&mut |db| tables::state(db))?.counting.is_some() {
            return Err(SizesError::Counting);
        }
        let state = match count::step(&mut self.db, branch, if is_hurried { BATCH } else { 1 }, &|| false)? {
            Batch::Arrived(state) => state,
            Batch::More => return Ok(None),
        };
        // The uploads that have ended are those of this turn, and what they recorded is found by what is read from now on.
        let (now, uploads) = self.db.with(&mut |db| {
            let read = db.transaction()?;
            Ok((tables::state(&read)?, tables::uploads(&read)?))
        })?;
        if now.turn != state.turn {
            return Ok(None);
        }
        let ended = uploads.into_iter().filter(|upload| upload.ended);
        self.ended = ended.map(|upload| (upload.owner, upload.serial)).collect();
        if self.ended.len() > MOST_ENDED {
            self.db.with(&mut |db| {
                let change = db.transaction_with_behavior(Immediate)?;
                tables::turn(&change)?;
                change.commit()
            })?;
            return Ok(None);
        }
        self.waiting.look(branch, state.turn, state.at)?;
        // Whoever commits moves the branch first, and then takes files from the journal.
        Ok((branch.tip()? == state.at).then_some(state))
    }

    /// Chooses and reserves. `None` where the sums are of another commit by now.
    fn choose(
        &mut self,
        branch: &Branch,
        state: &Counted,
        (key, bytes): (&Key, u64),
        candidates: &[Uuid],
        choose: &mut dyn FnMut(&Usage) -> Vec<Uuid>,
    ) -> Result<Option<BTreeMap<Uuid, u64>>, SizesError> {
        let Self { db, waiting, owner, next, ended, .. } = self;
        let Some(owner) = owner else { return Ok(None) };
        let first = *next;
        let mut made: Vec<Upload> = Vec::new();
        let done = db.with(&mut |db| {
            made.clear();
            let change = db.transaction_with_behavior(Immediate)?;
            if tables::state(&change)?.turn != state.turn {
                return Ok(Ok(false));
            }
            let used = match used(&change, branch, state, waiting, ended, key, candidates)? {
                Ok(candidates) => candidates,
                Err(e) => return Ok(Err(e)),
            };
            let usage = Usage { bytes, candidates: used };
            let chosen: BTreeSet<Uuid> = choose(&usage).into_iter().collect();
            for (serial, uuid) in (first..).zip(chosen.into_iter().filter(|uuid| usage.candidates.contains_key(uuid))) {
                // What no disk holds is as good as all that one does.
                let bytes = bytes.min(i64::MAX.cast_unsigned());
                let upload =
                    Upload { owner: owner.name().to_string(), serial, uuid, key: key.clone(), bytes, ended: false };
                tables::put_upload(&change, &upload)?;
                made.push(upload);
            }
            if made.is_empty() {
                return Ok(Ok(true));
            }
            change.commit()?;
            Ok(Ok(true))
        })?;
        if !done? {
            return Ok(None);
        }
        *next += made.len() as u64;
        let serials = made.iter().map(|upload| (upload.uuid.clone(), upload.serial)).collect();
        db.mine().extend(made.into_iter().map(|upload| (upload.serial, upload)));
        Ok(Some(serials))
    }

    /// Notes that these uploads have ended, and those that it could not be noted of before.
    fn end(&mut self, serials: impl IntoIterator<Item = u64>) -> Result<(), SizesError> {
        self.unsettled.extend(serials);
        let Self { db, owner: Some(owner), unsettled, .. } = self else { return Ok(()) };
        db.with(&mut |db| {
            let change = db.transaction_with_behavior(Immediate)?;
            unsettled.iter().try_for_each(|serial| tables::end_upload(&change, owner.name(), *serial))?;
            change.commit()
        })?;
        for serial in std::mem::take(unsettled) {
            db.mine().remove(&serial);
        }
        Ok(())
    }

    /// Ends the uploads of processes that are gone. Tells whether there were any.
    fn end_gone(&mut self) -> Result<bool, SizesError> {
        // Who was killed before it had an upload left a lock file alone; that is looked for once.
        let is_first = self.looked.replace(Instant::now()).is_none();
        let mut others = if is_first { Gone::all(self.db.dir()) } else { BTreeSet::new() };
        let uploads = self.db.with(&mut |db| tables::uploads(db))?;
        others.extend(uploads.into_iter().filter(|upload| !upload.ended).map(|upload| upload.owner));
        let mine = self.owner.as_ref().map(Owner::name);
        let mut any = false;
        for name in others.iter().filter(|name| Some(name.as_str()) != mine) {
            let Some(gone) = Gone::look(self.db.dir(), name)? else { continue };
            self.db.with(&mut |db| tables::end_uploads_of(db, name))?;
            gone.forget();
            any = true;
        }
        Ok(any)
    }
}

#[cfg(test)]
impl Desk {
    /// All that is left of this process is in the database.
    pub(super) fn die(&mut self) {
        self.owner = None;
        self.db.mine().clear();
        self.unsettled.clear();
    }

    pub(super) fn look_for_gone_now(&mut self) {
        self.looked = None;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let left: Vec<u64> = self.db.mine().keys().copied().collect();
        // Else the next process finds out that this one is gone.
        if !left.is_empty() && self.end(left).is_err() {
            tracing::debug!("uploads are left to be ended by others");
        }
    }
}

/// How full each of `candidates` is: what is counted, what waits, and the uploads that neither tells of.
fn used(
    db: &Connection,
    branch: &Branch,
    state: &Counted,
    waiting: &mut Waiting,
    ended: &HashSet<(String, u64)>,
    key: &Key,
    candidates: &[Uuid],
) -> rusqlite::Result<Result<BTreeMap<Uuid, Used>, BranchError>> {
    let mut used = BTreeMap::new();
    for uuid in candidates {
        let mut amount = tables::sum(db, uuid)?;
        amount.add(waiting.sum().of(uuid));
        let is_counted = match waiting.has(branch, state.at, key, uuid) {
            Ok(has) => has,
            Err(e) => return Ok(Err(e)),
        };
        used.insert(uuid.clone(), Used { bytes: amount.bytes, is_counted });
    }
    // Of two uploads of one key to one repository, one will count.
    let mut under_way: BTreeMap<(Uuid, Key), u64> = BTreeMap::new();
    for upload in tables::uploads(db)? {
        let is_told = upload.ended && ended.contains(&(upload.owner.clone(), upload.serial));
        if is_told || !used.contains_key(&upload.uuid) {
            continue;
        }
        match waiting.has(branch, state.at, &upload.key, &upload.uuid) {
            Ok(true) => {}
            Ok(false) => {
                let bytes = under_way.entry((upload.uuid, upload.key)).or_default();
                *bytes = upload.bytes.max(*bytes);
            }
            Err(e) => return Ok(Err(e)),
        }
    }
    for ((uuid, of), bytes) in under_way {
        if let Some(used) = used.get_mut(&uuid) {
            used.bytes = used.bytes.saturating_add(i128::from(bytes));
            used.is_counted |= of == *key;
        }
    }
    Ok(Ok(used))
}
