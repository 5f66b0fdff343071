//! Room for uploads within a quota, which is reserved before the first byte.
//!
//! What a repository holds is what the git-annex branch says of it, with what is being uploaded through any process, and with unfinished
//! uploads that lie in it. The look at that and the reservation are one step: see [`Sizes`](crate::annex::sizes::Sizes).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annex_types::size;

use super::prefix_quotas::Claim;
use super::repository::Quota;
use super::room::{Room, Unreserved, once_counted};
use super::{Failure, FailureKind, LocalRepository};
use crate::name::{Key, Uuid};

/// Room that is wanted for a key.
#[derive(Clone)]
pub(in crate::gateway) struct RoomRequest {
    home: Arc<LocalRepository>,
    uuid: Uuid,
    key: Key,
    quota: Quota,
    /// Its claim on quotas by prefix.
    claim: Option<Claim>,
    /// It is in `home` itself, where unfinished uploads lie.
    lies_here: bool,
}

impl RoomRequest {
    /// In the remote `uuid` of `home`.
    pub(in crate::gateway) fn behind(home: &Arc<LocalRepository>, uuid: &Uuid, key: &Key, quota: Quota) -> Self {
        let (home, uuid, key) = (Arc::clone(home), uuid.clone(), key.clone());
        Self { home, uuid, key, quota, claim: None, lies_here: false }
    }

    /// In `home` itself, which may have a `claim` on quotas by prefix.
    pub(in crate::gateway) fn here(home: &Arc<LocalRepository>, key: &Key, claim: Option<Claim>) -> Self {
        let quota = Quota::of(&home.repository().settings());
        Self { claim, lies_here: true, ..Self::behind(home, home.uuid(), key, quota) }
    }

    /// Reserves it. `patience` is for the first count. Failures: it does not fit, or that cannot be told.
    pub(in crate::gateway) async fn reserve(self, patience: Duration) -> Result<Room, Failure> {
        self.quota.admits(&self.key)?;
        if self.quota.all().is_none() && self.claim.is_none() {
            return Ok(Room::default());
        }
        once_counted(patience, move || self.reserve_now()).await
    }

    /// Blocks.
    fn reserve_now(&self) -> Result<Room, Unreserved> {
        let failed = Unreserved::Failed;
        let own = self.quota.all();
        let claim = match &self.claim {
            Some(claim) => claim.admits(&self.key).map_err(failed)?.then_some(claim),
            None => None,
        };
        let Some(len) = self.key.size().filter(|_| own.is_some() || claim.is_some()) else {
            return Ok(Room::default());
        };
        let begun = Instant::now();
        let others = match self.lies_here {
            // What this upload resumes is part of it.
            true => self.home.left_unfinished(HashSet::from([self.key.clone()])).map_err(failed)?,
            false => 0,
        };
        let (mut refused, mut is_taken) = (None, false);
        let uuid = &self.uuid;
        let reservation = self.home.sizes().reserve(&self.key, len, std::slice::from_ref(uuid), &mut |usage| {
            let used = usage.used(uuid).unwrap_or_default().saturating_add(others);
            refused = match own {
                Some(most) if !most.checked_sub(others).is_some_and(|most| usage.fits(uuid, most)) => {
                    let (used, most, len) = (size::show(used), size::show(most), size::show(len));
                    let words = format!("the quota is used up: {used} of {most}, and {len} more do not fit");
                    Some(failed(Failure::new(FailureKind::NoRoom, words)))
                }
                _ => {
                    let more = if usage.is_counted(uuid) { 0 } else { len };
                    let taken = claim.map(|claim| claim.take(used, more, begun));
                    is_taken |= matches!(taken, Some(Ok(())));
                    taken.and_then(Result::err)
                }
            };
            if refused.is_none() { vec![uuid.clone()] } else { Vec::new() }
        });
        // Whatever becomes of it is to be looked at: also where nothing was reserved after all.
        let taken = claim.filter(|_| is_taken).map(|claim| Box::new(claim.clone().taken()) as Box<dyn Send>);
        let reservation = reservation?;
        match refused {
            Some(refused) => Err(refused),
            None => Ok(Room::before(reservation, taken)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::log::Presence;
    use crate::annex::repository::tests::{git, make};

    fn key(text: &str) -> Key {
        Key::parse(text.as_bytes()).expect("a key")
    }

    /// What is recorded, what is on its way, and what was left unfinished.
    #[test]
    fn the_quota_is_never_exceeded_and_what_is_given_back_can_be_used() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        git(dir.path(), &["config", "stream.quota", "100"]);
        let home = Arc::new(LocalRepository::open(dir.path()).expect("a repository"));
        let uuid = home.uuid().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let patience = Duration::from_secs(60);
        runtime.block_on(async {
            let reserve = |name: &str| RoomRequest::here(&home, &key(name), None).reserve(patience);
            let first = reserve("SHA256-s60--a").await.expect("it fits");
            let refused = reserve("SHA256-s41--b").await.err().expect("it does not").to_string();
            assert_eq!(refused, "the quota is used up: 60 B of 100 B, and 41 B more do not fit");
            let same = reserve("SHA256-s60--a").await.expect("the same content counts once");
            let second = reserve("SHA256-s40--c").await.expect("to the last byte");
            // Recorded, and then over: counted all the while.
            home.record(&key("SHA256-s60--a"), &uuid, Presence::Present).await.expect("recorded");
            drop((first, same));
            assert!(reserve("SHA256-s1--d").await.is_err());
            drop(second);
            let mut room = None;
            for _ in 0..1000 {
                // It is given up beside.
                room = reserve("SHA256-s40--d").await.ok();
                if room.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(room.expect("what was given up is free"));
            home.record(&key("SHA256-s60--a"), &uuid, Presence::Missing).await.expect("recorded");
            // What lies unfinished takes room, but for the upload that resumes it.
            let tmp = dir.path().join(".git/annex/tmp");
            std::fs::create_dir_all(&tmp).expect("a directory");
            std::fs::write(tmp.join("SHA256-s90--u"), [0; 80]).expect("a file");
            let refused = reserve("SHA256-s21--e").await.err().expect("it does not fit").to_string();
            assert!(refused.contains("of 100 B, and 21 B more"), "{refused}");
            drop(reserve("SHA256-s90--u").await.expect("it resumes"));
        });
    }
}
