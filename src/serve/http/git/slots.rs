//! How many of git's programs run at a time, and whose they are.
//!
//! All together there are no more than the limit; of strangers half as many, and of one user three quarters. The last quarter is for
//! those who have none: whoever has one already leaves it, so that two together do not take all of it either.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Longest wait for another program to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for so many programs.
pub(in crate::serve::http) struct Slots {
    most: usize,
    table: Mutex<HashMap<Option<Vec<u8>>, usize>>,
    freed: Notify,
}

/// Leave to run one program, given back when dropped.
pub(in crate::serve::http) struct Slot {
    slots: Arc<Slots>,
    who: Option<Vec<u8>>,
}

impl Slots {
    pub(in crate::serve::http) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), table: Mutex::default(), freed: Notify::new() })
    }

    /// For the user `who`, or for a stranger. None where there was no room for too long.
    pub(in crate::serve::http) async fn take(self: &Arc<Self>, who: Option<&[u8]>) -> Option<Slot> {
        let wait = async {
            loop {
                // Registered before looking, so that nothing is missed between the two.
                let freed = self.freed.notified();
                if let Some(slot) = self.try_take(who) {
                    return slot;
                }
                freed.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok()
    }

    fn try_take(self: &Arc<Self>, who: Option<&[u8]>) -> Option<Slot> {
        let who = who.map(<[u8]>::to_vec);
        let share = if who.is_some() { self.most * 3 / 4 } else { self.most / 2 };
        let mut table = self.table();
        let all: usize = table.values().sum();
        let own = table.get(&who).copied().unwrap_or_default();
        let left = self.most.saturating_sub(all);
        let kept = if own > 0 { self.most / 4 } else { 0 };
        if left <= kept || own >= share.max(1) {
            return None;
        }
        table.insert(who.clone(), own + 1);
        Some(Slot { slots: Arc::clone(self), who })
    }

    /// How many run now.
    pub(in crate::serve::http) fn taken(&self) -> usize {
        self.table().values().sum()
    }

    /// Held for a few assignments.
    fn table(&self) -> MutexGuard<'_, HashMap<Option<Vec<u8>>, usize>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut table = self.slots.table();
            match table.get_mut(&self.who) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(table.remove(&self.who)),
            }
        }
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_of_it() {
        let slots = Slots::new(8);
        let take = |who: Option<&str>, count: usize| -> Vec<Slot> {
            (0..count).filter_map(|_| slots.try_take(who.map(str::as_bytes))).collect()
        };
        let strangers = take(None, 8);
        assert_eq!(strangers.len(), 4);
        let alice = take(Some("alice"), 8);
        assert_eq!(alice.len(), 2, "all but the last quarter");
        let (bob, carol) = (take(Some("bob"), 8), take(Some("carol"), 8));
        assert_eq!((bob.len(), carol.len()), (1, 1), "one for each who has none");
        assert_eq!(take(Some("dora"), 1).len(), 0);
        drop((strangers, carol));
        let more = take(Some("alice"), 8);
        assert_eq!(more.len(), 3, "three quarters at the most, and the last quarter stays");
        drop((alice, more, bob));
        assert!(slots.taken() == 0 && slots.table().is_empty());
        assert_eq!(take(None, 1).len(), 1);
        let one = Slots::new(1);
        assert!(one.try_take(None).is_some() && one.try_take(Some(b"alice")).is_some());
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let slots = Slots::new(1);
        let first = slots.take(None).await.expect("room");
        let waits = slots.take(Some(b"alice"));
        let gives = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(waits, gives);
        assert!(second.is_some() && slots.taken() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let slots = Slots::new(1);
        let _first = slots.take(None).await.expect("room");
        assert!(slots.take(Some(b"alice")).await.is_none());
    }
}
