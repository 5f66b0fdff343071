//! Room for uploads within a quota, which is reserved before the first byte.
//!
//! What a repository holds is what the git-annex branch says of it, with what is being uploaded through any process, and with unfinished
//! uploads that lie in it. The look at that and the reservation are one step: see [`Sizes`](crate::annex::sizes::Sizes).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use annex_types::size;

use super::repository::Quota;
use super::room::{Room, Unreserved, once_counted};
use super::{Failure, FailureKind, LocalRepository};
use crate::annex::content::unfinished;
use crate::name::{Key, Uuid};

/// Most unfinished uploads that are looked at.
const UNFINISHED: usize = 10_000;

/// Reserves room for `key` in `uuid`, whose sizes `home` knows; `lies_here`, where that is the repository itself. `patience` is for
/// the first count. Failures: it does not fit, or that cannot be told.
pub(in crate::gateway) async fn reserve(
    quota: &Quota,
    home: &Arc<LocalRepository>,
    uuid: &Uuid,
    key: &Key,
    lies_here: bool,
    patience: Duration,
) -> Result<Room, Failure> {
    quota.admits(key)?;
    let (Some(most), Some(len)) = (quota.all(), key.size()) else { return Ok(Room::default()) };
    let (home, uuid, key) = (Arc::clone(home), uuid.clone(), key.clone());
    once_counted(patience, move || reserve_now(&home, &uuid, &key, len, most, lies_here)).await
}

/// Blocks.
fn reserve_now(
    home: &LocalRepository,
    uuid: &Uuid,
    key: &Key,
    len: u64,
    most: u64,
    lies_here: bool,
) -> Result<Room, Unreserved> {
    let failed = Unreserved::Failed;
    let mut others = 0;
    if lies_here {
        // What is under way counts as a whole already, and what this upload resumes is part of it.
        let mut counted: HashSet<Key> = home.sizes().under_way(uuid)?.into_iter().collect();
        counted.insert(key.clone());
        let found = unfinished(home.content().config(), &counted, UNFINISHED);
        others = found.map_err(|e| failed(Failure::io("look for unfinished uploads", &e)))?.ok_or_else(|| {
            failed(Failure::new(FailureKind::NoRoom, "too many unfinished uploads are kept here".to_string()))
        })?;
    }
    let mut used = 0;
    let reservation = home.sizes().reserve(key, len, std::slice::from_ref(uuid), &mut |usage| {
        used = usage.used(uuid).unwrap_or_default().saturating_add(others);
        match most.checked_sub(others) {
            Some(most) if usage.fits(uuid, most) => vec![uuid.clone()],
            _ => Vec::new(),
        }
    });
    let reservation = reservation?;
    if reservation.chosen().next().is_none() {
        let (used, most, len) = (size::show(used), size::show(most), size::show(len));
        let words = format!("the quota is used up: {used} of {most}, and {len} more do not fit");
        return Err(failed(Failure::new(FailureKind::NoRoom, words)));
    }
    Ok(Room::of(reservation))
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
        let (quota, uuid) = (Quota::of(&home.repository().settings()), home.uuid().clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let patience = Duration::from_secs(60);
        runtime.block_on(async {
            let reserve = |name: &str| {
                let (quota, home, uuid, key) = (quota.clone(), Arc::clone(&home), uuid.clone(), key(name));
                async move { super::reserve(&quota, &home, &uuid, &key, true, patience).await }
            };
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
