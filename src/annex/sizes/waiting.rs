//! Changes of sizes in the journals, on top of what was counted at a commit.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::amount::{Amount, Amounts};
use crate::annex::branch::{Branch, BranchError, FileVersion, GitId, WaitingLocation};
use crate::annex::log::{LocationLog, location_file};
use crate::name::{Key, Uuid};

/// What waits, as it was found last. What did not change since is not read again.
#[derive(Default)]
pub(super) struct Waiting {
    /// Whose commit it is compared with.
    turn: Option<i64>,
    sum: Amounts,
    files: HashMap<Vec<u8>, File>,
    /// Whether `files` are all that wait.
    is_whole: bool,
    /// Who has a key, as far as it was asked and no log of it waits.
    committed: HashMap<Key, Vec<Uuid>>,
}

/// A log that waits.
struct File {
    versions: [Option<FileVersion>; 2],
    change: Vec<(Uuid, Amount)>,
    holders: Vec<Uuid>,
}

/// Most logs that are remembered. A journal that is never committed may have any number.
const MOST: usize = 20_000;

/// How old a version of a file must be to be told from the next one: clocks of file systems tick, and inodes are used again.
const SETTLED: Duration = Duration::from_millis(50);

impl Waiting {
    /// Looks at the journals. The sums are those of `turn`, of the commit `at`.
    ///
    /// # Errors
    ///
    /// What they say is unknown.
    pub(super) fn look(&mut self, branch: &Branch, turn: i64, at: Option<GitId>) -> Result<(), BranchError> {
        if self.turn != Some(turn) {
            *self = Self { turn: Some(turn), ..Self::default() };
        }
        let mut known = std::mem::take(&mut self.files);
        self.sum = Amounts::default();
        self.is_whole = true;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        branch.waiting_locations(&mut |found| {
            let unchanged = known.remove(&found.file).filter(|file| file.versions == found.versions);
            let file = match unchanged {
                Some(file) => file,
                None => File::read(branch, at, &found)?,
            };
            for (uuid, amount) in &file.change {
                self.sum.add(uuid, *amount);
            }
            let is_settled = found.versions.iter().flatten().all(|version| version.modified() + SETTLED < now);
            if self.files.len() < MOST {
                let versions = if is_settled { file.versions } else { [None, None] };
                self.files.insert(found.file, File { versions, ..file });
            } else {
                self.is_whole = false;
            }
            Ok(())
        })
    }

    /// By how much the journals change what is counted.
    pub(super) fn sum(&self) -> &Amounts {
        &self.sum
    }

    /// Whether `uuid` is recorded to have `key`, as of the last look.
    ///
    /// # Errors
    ///
    /// That is unknown.
    pub(super) fn has(
        &mut self,
        branch: &Branch,
        at: Option<GitId>,
        key: &Key,
        uuid: &Uuid,
    ) -> Result<bool, BranchError> {
        let file = location_file(key, branch.log_hashing());
        if let Some(found) = self.files.get(&file) {
            return Ok(found.holders.contains(uuid));
        }
        if let Some(holders) = self.committed.get(key).filter(|_| self.is_whole) {
            return Ok(holders.contains(uuid));
        }
        let (committed, now) = branch.log_at(at, &file)?;
        if !self.is_whole {
            return Ok(LocationLog::parse(&now).holders().any(|holder| holder == *uuid));
        }
        let holders: Vec<Uuid> = LocationLog::parse(&committed).holders().collect();
        let has = holders.contains(uuid);
        if self.committed.len() >= MOST {
            self.committed.clear();
        }
        self.committed.insert(key.clone(), holders);
        Ok(has)
    }
}

impl File {
    fn read(branch: &Branch, at: Option<GitId>, found: &WaitingLocation) -> Result<Self, BranchError> {
        let (committed, now) = branch.log_at(at, &found.file)?;
        let mut change = Amounts::default();
        change.change(&found.key, &committed, &now);
        let change = change.iter().map(|(uuid, amount)| (uuid.clone(), amount)).collect();
        Ok(Self { versions: found.versions, change, holders: LocationLog::parse(&now).holders().collect() })
    }
}
