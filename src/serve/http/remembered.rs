//! What took long to find out, by a digest of the question, for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most answers that are remembered.
const MOST: usize = 4096;

/// The digest of a question, with a key that only this process has.
type Digest = [u8; 32];

/// Answers that are good for `keep`.
pub(super) struct Remembered<T> {
    keep: Duration,
    answers: Mutex<HashMap<Digest, (Instant, T)>>,
}

impl<T: Clone> Remembered<T> {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, answers: Mutex::default() }
    }

    /// The answer, where it is known and still good.
    pub(super) fn get(&self, question: &Digest) -> Option<T> {
        self.answers().get(question).filter(|(at, _)| at.elapsed() < self.keep).map(|(_, answer)| answer.clone())
    }

    /// Remembers it, instead of all others where there are too many.
    pub(super) fn put(&self, question: Digest, answer: T) {
        let mut answers = self.answers();
        if answers.len() >= MOST {
            answers.retain(|_, (at, _)| at.elapsed() < self.keep);
            if answers.len() >= MOST {
                answers.clear();
            }
        }
        answers.insert(question, (Instant::now(), answer));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers().len()
    }

    /// Held for a few assignments.
    fn answers(&self) -> MutexGuard<'_, HashMap<Digest, (Instant, T)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_and_are_never_too_many() {
        let digest = |n: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_le_bytes());
            digest
        };
        let known = Remembered::new(Duration::from_secs(3600));
        (0..2 * MOST + 1).for_each(|n| known.put(digest(n), n));
        assert!(known.len() <= MOST);
        assert_eq!((known.get(&digest(2 * MOST)), known.get(&digest(0))), (Some(2 * MOST), None));
        let never = Remembered::new(Duration::ZERO);
        never.put(digest(1), 1);
        assert_eq!(never.get(&digest(1)), None);
    }
}
