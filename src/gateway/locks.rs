//! Locks that clients hold over requests.
//!
//! `lockcontent` takes one, `keeplocked` keeps it, and it lapses ten minutes after the client was last there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Failure, HeldLock, Lost, timestamp};

/// How long content stays locked after the client is gone, in seconds. Source: the P2P protocol, LOCKCONTENT.
pub const RETENTION: u64 = 600;

/// Most connections that keep one lock at once: a client has one, and another after a break that nobody saw.
const MOST_KEEPERS: usize = 4;

/// The name of a lock: a random uuid, which only its client knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LockId([u8; 36]);

/// All locks that clients hold. Cheap to clone.
#[derive(Clone, Default)]
pub struct ClientLocks(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    limit: usize,
    locks: HashMap<LockId, ClientLock>,
}

struct ClientLock {
    lock: HeldLock,
    /// When it lapses, on the clock of [`timestamp`].
    until: u64,
    /// Connections that keep it now.
    kept: usize,
}

impl ClientLocks {
    /// At most `limit` locks at a time.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { limit, locks: HashMap::new() })))
    }

    /// Whether there is room for another. Asked before content is locked, so that a full table locks nothing.
    pub fn check_room(&self) -> Result<(), Failure> {
        let table = self.table();
        if table.locks.len() < table.limit { Ok(()) } else { Err(Failure::busy("too many locks are held")) }
    }

    /// Holds `lock` for its client.
    ///
    /// # Errors
    ///
    /// `Busy` where there is no room; with the lock, since letting go of it touches files.
    pub fn add(&self, lock: HeldLock) -> Result<LockId, Box<(Failure, HeldLock)>> {
        let id = match LockId::random() {
            Ok(id) => id,
            Err(failure) => return Err(Box::new((failure, lock))),
        };
        let mut table = self.table();
        if table.locks.len() >= table.limit {
            return Err(Box::new((Failure::busy("too many locks are held"), lock)));
        }
        table.locks.insert(id.clone(), ClientLock { lock, until: timestamp() + RETENTION, kept: 0 });
        Ok(id)
    }

    /// A connection keeps the lock from now on, and is told when it is lost. `None` where there is no such lock, or none any
    /// more, or as many keep it as ever need to.
    pub fn keep(&self, id: &LockId) -> Option<Lost> {
        let mut table = self.table();
        let lock = table.locks.get_mut(id)?;
        let lost = lock.lock.lost();
        if lost.is_so() {
            table.locks.remove(id);
            return None;
        }
        if lock.kept >= MOST_KEEPERS {
            return None;
        }
        lock.kept += 1;
        Some(lost)
    }

    /// That connection broke: the lock stays for its time.
    pub fn leave(&self, id: &LockId) {
        if let Some(lock) = self.table().locks.get_mut(id) {
            lock.kept = lock.kept.saturating_sub(1);
            lock.until = timestamp() + RETENTION;
        }
    }

    /// The client is done with the lock. Gives it out, since letting go of it touches files.
    pub fn end(&self, id: &LockId) -> Option<HeldLock> {
        self.table().locks.remove(id).map(|lock| lock.lock)
    }

    /// The locks whose time is over, or that were lost, to be let go.
    pub fn lapsed(&self) -> Vec<HeldLock> {
        let now = timestamp();
        let is_over = |lock: &ClientLock| lock.kept == 0 && (lock.until <= now || lock.lock.lost().is_so());
        self.table().locks.extract_if(|_, lock| is_over(lock)).map(|(_, lock)| lock.lock).collect()
    }

    /// How many locks there are.
    pub fn len(&self) -> usize {
        self.table().locks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The server ends: content stays locked for what remains of the ten minutes, as if it had been killed.
    pub fn abandon(&self) {
        for (_, lock) in self.table().locks.drain() {
            lock.lock.leave();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LockId {
    /// What a client sent. `None` where it is no name of a lock.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes that the client is told.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn random() -> Result<Self, Failure> {
        let mut bytes: [u8; 16] = remotes::sys::secret().map_err(|e| Failure::internal(e.to_string()))?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            for digit in [byte >> 4, byte & 15] {
                text[at] = b"0123456789abcdef"[usize::from(digit)];
                at += 1;
            }
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows it can end the lock.
        f.write_str("LockId(REDACTED)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_random_uuids() {
        let (a, b) = (LockId::random().expect("random"), LockId::random().expect("random"));
        assert!(a != b);
        let text = std::str::from_utf8(a.as_bytes()).expect("text");
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(text[14..].starts_with('4') && matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(LockId::parse(a.as_bytes()), Some(a));
        assert!(LockId::parse(b"junk").is_none());
    }

    #[test]
    fn a_full_table_says_so_at_once() {
        let locks = ClientLocks::new(0);
        assert_eq!(locks.check_room().expect_err("no room").kind(), crate::gateway::FailureKind::Busy);
        assert!(locks.is_empty() && locks.lapsed().is_empty());
    }
}
