//! Keys that a store was asked for a moment ago and did not have.
//!
//! Whoever asks next where to begin an upload is told so without another round trip. Only the beginning of an upload may rest on this. If the content came meanwhile, by another way, it is sent once more, and that
//! is all. Whether content is there is asked of the store each time, since what a client is told of that may let it drop a copy.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::name::Key;

/// What git-annex asks in a row comes within moments.
const MOMENT: Duration = Duration::from_secs(10);

/// Keys that are remembered at most; those after them are asked for again.
const MOST: usize = 1024;

/// Of one store, for all threads.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Absences(Mutex<HashMap<Key, Instant>>);

impl Absences {
    /// The store was asked for `key` at `asked`, and does not have it.
    pub(in crate::gateway) fn note(&self, key: &Key, asked: Instant) {
        let mut keys = self.keys();
        if keys.len() >= MOST {
            keys.retain(|_, at| is_recent(*at, asked));
        }
        if keys.len() < MOST {
            keys.insert(key.clone(), asked);
        }
    }

    /// `key` is stored, or may be: nothing is known of it any more.
    pub(in crate::gateway) fn forget(&self, key: &Key) {
        self.keys().remove(key);
    }

    /// Whether the store was asked for `key` a moment before `now`, and did not have it. Says so once: who asks twice wants to know.
    pub(in crate::gateway) fn take(&self, key: &Key, now: Instant) -> bool {
        self.keys().remove(key).is_some_and(|asked| is_recent(asked, now))
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        // Each change is one step, so a panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(asked: Instant, now: Instant) -> bool {
    now.saturating_duration_since(asked) < MOMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::parse(format!("WORM-s1--{number}").as_bytes()).expect("a key")
    }

    #[test]
    fn an_absence_is_told_once_and_for_a_moment() {
        let (absences, begun) = (Absences::default(), Instant::now());
        assert!(!absences.take(&key(1), begun));
        absences.note(&key(1), begun);
        assert!(!absences.take(&key(2), begun));
        assert_eq!([(); 2].map(|()| absences.take(&key(1), begun + MOMENT / 2)), [true, false]);
        absences.note(&key(1), begun);
        assert!(!absences.take(&key(1), begun + MOMENT), "it is too long ago");
        absences.note(&key(1), begun);
        absences.forget(&key(1));
        assert!(!absences.take(&key(1), begun), "it came meanwhile");
    }

    #[test]
    fn only_so_many_are_remembered_and_old_ones_make_room() {
        let (absences, begun) = (Absences::default(), Instant::now());
        (0..=MOST).for_each(|number| absences.note(&key(number), begun));
        assert_eq!(absences.keys().len(), MOST);
        assert!(!absences.take(&key(MOST), begun));
        absences.note(&key(MOST), begun + MOMENT);
        assert_eq!(absences.keys().len(), 1);
    }
}
