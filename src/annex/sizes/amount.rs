//! How much repositories hold, and what a location log says of that.

use std::collections::BTreeMap;

use crate::annex::log::LocationLog;
use crate::name::{Key, Uuid};

/// What one repository holds, or by how much that changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes of the keys that tell their size. Others count as none, as in git-annex.
    pub bytes: i128,
    /// Keys, whether they tell their size or not.
    pub keys: i64,
}

/// What repositories hold, or by how much that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Amounts(BTreeMap<Uuid, Amount>);

/// The most bytes that a key can tell, so that a sum over all keys there are has room. No content has so many.
const MOST: u128 = 10u128.pow(30);

impl Amount {
    /// Wraps around rather than stop at an end: what was added must be gone when it is taken off.
    pub(super) fn add(&mut self, other: Self) {
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.keys = self.keys.wrapping_add(other.keys);
    }

    fn negated(self) -> Self {
        Self { bytes: self.bytes.wrapping_neg(), keys: self.keys.wrapping_neg() }
    }

    /// The bytes as a number that is not negative, and has an end.
    pub fn clamped(self) -> u64 {
        u64::try_from(self.bytes.max(0)).unwrap_or(u64::MAX)
    }
}

impl Amounts {
    /// Adds what a log of `key` says now, and takes off what it said before.
    pub(super) fn change(&mut self, key: &Key, old: &[u8], new: &[u8]) {
        // What is stored on a chunked remote is not recorded as a chunk; git-annex passes such logs over.
        if old == new || key.is_chunk() {
            return;
        }
        let one = Amount { bytes: size(key), keys: 1 };
        for (log, amount) in [(old, one.negated()), (new, one)] {
            if !log.is_empty() {
                LocationLog::parse(log).holders().for_each(|uuid| self.add(&uuid, amount));
            }
        }
    }

    pub(super) fn add(&mut self, uuid: &Uuid, amount: Amount) {
        match self.0.get_mut(uuid) {
            Some(have) => {
                have.add(amount);
                if *have == Amount::default() {
                    self.0.remove(uuid);
                }
            }
            None if amount == Amount::default() => {}
            None => drop(self.0.insert(uuid.clone(), amount)),
        }
    }

    pub(super) fn of(&self, uuid: &Uuid) -> Amount {
        self.0.get(uuid).copied().unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Uuid, Amount)> {
        self.0.iter().map(|(uuid, amount)| (uuid, *amount))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The bytes that a key tells of its content. [`Key::size`] ends where a `u64` does, and git-annex does not.
fn size(key: &Key) -> i128 {
    let fields = &key.as_bytes()[key.backend().len()..];
    let digits = fields.strip_prefix(b"-s").unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    let bytes = digits.fold(0u128, |sum, digit| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0')));
    i128::try_from(bytes.min(MOST)).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex maxsize --bytes` of git-annex 10.20261026 says of these logs.
    #[test]
    fn logs_count_as_git_annex_counts_them() {
        for (key, log, counted) in [
            ("SHA256E-s500--x", "5s 1 a\n5s 1 b\n5s 0 c\n", "a=500/1 b=500/1"),
            ("SHA256E-s7--x", "5s X a\n", ""),
            ("SHA256E-s0--x", "5s 1 a\n", "a=0/1"),
            ("GPGHMACSHA1--abc", "5s 1 a\n", "a=0/1"),
            ("SHA256E-s16-m5--x", "5s 1 a\n", "a=16/1"),
            ("URL-s1024--http://x/y", "5s 1 a\n", "a=1024/1"),
            ("SHA256E-s1-S100-C1--x", "5s 1 a\n", ""),
            ("a-s16384--x", "5s 1 a\n", "a=16384/1"),
            ("SHA256E-s3--x", "5s 0 a\n5s 1 a\n", ""),
            ("SHA256E-s3--x", "5s 1 a\n5s 0 a\n", "a=3/1"),
            ("SHA256E-s3--x", "5s 1 a\n6s 0 a\n", ""),
            (
                "SHA256E-s64--x",
                "5s 1 ac7412cf-5f6b-8d89-beee-e97abd250740\n",
                "ac7412cf-5f6b-8d89-beee-e97abd250740=64/1",
            ),
            ("SHA256E-s99999999999999999999999999--x", "5s 1 a\n", "a=99999999999999999999999999/1"),
        ] {
            let mut amounts = Amounts::default();
            let parsed = Key::parse(key.as_bytes()).expect("a key");
            amounts.change(&parsed, b"", log.as_bytes());
            let shown: Vec<String> =
                amounts.iter().map(|(uuid, Amount { bytes, keys })| format!("{uuid}={bytes}/{keys}")).collect();
            assert_eq!(shown.join(" "), counted, "{key} {log}");
            amounts.change(&parsed, log.as_bytes(), b"");
            assert_eq!(amounts, Amounts::default(), "{key} {log}");
        }
    }

    #[test]
    fn what_was_added_is_gone_when_it_is_taken_off_however_large() {
        let huge = Key::parse(format!("A-s{}--x", "9".repeat(60)).as_bytes()).expect("a key");
        let small = Key::parse(b"A-s5--y").expect("a key");
        let mut amounts = Amounts::default();
        amounts.change(&small, b"", b"5s 1 a\n");
        amounts.change(&huge, b"", b"5s 1 a\n");
        let uuid = Uuid::parse(b"a").expect("a uuid");
        assert_eq!(amounts.of(&uuid).clamped(), u64::MAX);
        amounts.change(&huge, b"5s 1 a\n", b"6s 0 a\n");
        assert_eq!((amounts.of(&uuid).clamped(), amounts.count()), (5, 1));
    }
}
