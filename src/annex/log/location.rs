//! The location log of a key: who has its content.

use std::collections::BTreeMap;
use std::io::Write;

use super::stamp::Stamp;
use super::{cut, is_cluster, lines};
use crate::name::Uuid;

/// What is recorded of one repository and one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// `1`: it has the content.
    Present,
    /// `0`: it had it and has it no more.
    Missing,
    /// `X`: the key is dead; nobody is expected to have it.
    Dead,
}

/// What is recorded of one repository and one key, with its time, to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocationLine((Stamp, Presence));

/// A location log, read. Lines are `TIME 1|0|X UUID`; the newest line of a uuid counts, of equals the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocationLog {
    // Whatever stands after the second space, which git-annex keeps although it may be no uuid.
    entries: BTreeMap<Vec<u8>, (Stamp, Presence)>,
}

impl LocationLog {
    /// Reads a log. Lines that make no sense are left out, as git-annex leaves them out.
    pub fn parse(log: &[u8]) -> Self {
        let mut entries = BTreeMap::new();
        for (stamp, presence, uuid) in lines(log).filter_map(parse_line) {
            let newer = entries.get(uuid).is_none_or(|(have, _)| stamp > *have);
            if newer {
                entries.insert(uuid.to_vec(), (stamp, presence));
            }
        }
        Self { entries }
    }

    /// What is recorded of `uuid`; `None` where nothing is.
    pub fn presence(&self, uuid: &Uuid) -> Option<Presence> {
        self.entries.get(uuid.as_bytes()).map(|(_, presence)| *presence)
    }

    /// What is recorded of `uuid`, with its time.
    pub fn line(&self, uuid: &Uuid) -> Option<LocationLine> {
        self.entries.get(uuid.as_bytes()).copied().map(LocationLine)
    }

    /// Who has the content, by uuid. What is no uuid is left out.
    pub fn holders(&self) -> impl Iterator<Item = Uuid> {
        self.entries
            .iter()
            .filter(|(_, (_, presence))| *presence == Presence::Present)
            .filter_map(|(uuid, _)| Uuid::parse(uuid).ok())
    }

    /// Records that `presence` of `uuid` was seen, `now` being seconds since 1970. Tells whether that changed anything: what is
    /// recorded already keeps its time, and clusters are never recorded.
    pub fn set(&mut self, uuid: &Uuid, presence: Presence, now: u64) -> bool {
        self.presence(uuid) != Some(presence) && self.renew(uuid, presence, now)
    }

    /// Records that `presence` of `uuid` came about just now: as [`set`](Self::set), but what is recorded already gets the new
    /// time. Somebody else's line, which is not known here yet, may say the opposite and be older than this.
    ///
    /// A line that changes twice within a second runs ahead of the clock: so it does in the clones of clients, where git-annex records
    /// the same changes, and a line here that kept to the clock would lose against those.
    pub fn renew(&mut self, uuid: &Uuid, presence: Presence, now: u64) -> bool {
        if is_cluster(uuid) {
            return false;
        }
        let old = self.entries.get(uuid.as_bytes());
        let stamp = old.map_or(Stamp::of_seconds(now), |(stamp, _)| stamp.after(now));
        self.entries.insert(uuid.as_bytes().to_vec(), (stamp, presence));
        true
    }

    /// Takes over what `other` knows and this does not, or knows later. Tells whether that was anything.
    pub fn absorb(&mut self, other: Self) -> bool {
        let mut changed = false;
        for (uuid, (stamp, presence)) in other.entries {
            if self.entries.get(&uuid).is_none_or(|(have, _)| stamp > *have) {
                self.entries.insert(uuid, (stamp, presence));
                changed = true;
            }
        }
        changed
    }

    /// The log as git-annex writes it: one line for each uuid, sorted by uuid.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * 51);
        for (uuid, (stamp, presence)) in &self.entries {
            let status = match presence {
                Presence::Present => '1',
                Presence::Missing => '0',
                Presence::Dead => 'X',
            };
            write!(out, "{stamp} {status} ").expect("memory takes all writes");
            out.extend_from_slice(uuid);
            out.push(b'\n');
        }
        out
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Presence, &[u8])> {
    let (stamp, rest) = cut(line)?;
    let (status, uuid) = cut(rest)?;
    let presence = match status {
        b"1" => Presence::Present,
        b"0" => Presence::Missing,
        b"X" => Presence::Dead,
        _ => return None,
    };
    Some((Stamp::parse(stamp)?, presence, uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    /// Recorded: this journal file, and what git-annex made of it when it set one more value.
    #[test]
    fn odd_lines_are_kept_or_dropped_as_git_annex_does() {
        let mut log = LocationLog::parse(
            b"1795388387.5s 1 n9\n1795388387s 1 n1\n1795388390s 0 n1\njunk line here\n1795388387s X n4\n\
              1795388387s 1 n5 extra\n  1795388387s 1 n6\n1795388387 1 n7\n1795388387s 2 n8\n-5s 1 na\n\n\
              1795388387s 1 ac7412cf-5f6b-8d89-beee-e97abd250740\n1795388387s 1  dd\n1.5e3s 1 ee\n\
              1795388399.123456789123s 1 ff\n1795388399.123456789123s 0 ff\n1795388399s 1 gg\n1795388399s 0 gg\n\
              1795388399s 0 hh\n1795388399s 1 hh\n1795388399s\t1\tii\n99999999999s 1 jj\n1s 0 \n5s 1 kk\r\n",
        );
        assert!(log.set(&uuid("n2"), Presence::Present, 1_795_404_640));
        assert_eq!(
            String::from_utf8(log.to_bytes()).expect("text"),
            "1s 0 \n1795388387s 1  dd\n1795388387s 1 ac7412cf-5f6b-8d89-beee-e97abd250740\n\
             1795388399.123456789123s 1 ff\n1795388399s 1 gg\n1795388399s 0 hh\n99999999999s 1 jj\n5s 1 kk\n\
             1795388390s 0 n1\n1795404640s 1 n2\n1795388387s X n4\n1795388387s 1 n5 extra\n1795388387s 1 n7\n\
             1795388387.5s 1 n9\n-5s 1 na\n"
        );
        let holders: Vec<String> = log.holders().map(|uuid| uuid.to_string()).collect();
        assert_eq!(holders, ["ac7412cf-5f6b-8d89-beee-e97abd250740", "ff", "gg", "jj", "kk", "n2", "n7", "n9", "na"]);
    }

    /// Recorded: what git-annex made of these when it set one more value.
    #[test]
    fn a_carriage_return_ends_a_line() {
        let log = LocationLog::parse(b"5s 1 kk\r\r\n6s 1 mm\r\n7s 0 n\r8s 1 z\n9s 1 \ry\n");
        assert_eq!(log.to_bytes(), b"9s 1 \n5s 1 kk\n6s 1 mm\n7s 0 n\n8s 1 z\n");
    }

    #[test]
    fn a_change_wins_over_any_clock_and_no_change_writes_nothing() {
        for (have, set, now, after) in [
            ("", Presence::Present, 7, Some("7s 1 u\n")),
            ("", Presence::Missing, 7, Some("7s 0 u\n")),
            ("5s 1 u\n", Presence::Present, 7, None),
            ("5s 1 u\n", Presence::Missing, 7, Some("7s 0 u\n")),
            ("7s 1 u\n", Presence::Missing, 7, Some("8s 0 u\n")),
            ("9.5s 0 u\n", Presence::Present, 7, Some("10.5s 1 u\n")),
            ("5s X u\n", Presence::Present, 7, Some("7s 1 u\n")),
            ("5s 1 u\n6s 0 u\n", Presence::Missing, 7, None),
        ] {
            let mut log = LocationLog::parse(have.as_bytes());
            let changed = log.set(&uuid("u"), set, now);
            assert_eq!(changed.then(|| String::from_utf8(log.to_bytes()).expect("text")).as_deref(), after, "{have}");
        }
        let mut log = LocationLog::parse(b"5s 1 u\n");
        assert!(log.renew(&uuid("u"), Presence::Present, 7), "it came about anew");
        assert_eq!(log.to_bytes(), b"7s 1 u\n");
        let mut log = LocationLog::default();
        assert!(!log.renew(&uuid("ac7412cf-5f6b-8d89-beee-e97abd250740"), Presence::Present, 7), "a cluster");
        assert!(!log.set(&uuid("ac7412cf-5f6b-8d89-beee-e97abd250740"), Presence::Present, 7));
        assert!(log.to_bytes().is_empty());
    }

    #[test]
    fn absorbing_keeps_the_newest_of_both() {
        let mut log = LocationLog::parse(b"5s 1 a\n5s 1 b\n5s 1 c\n");
        assert!(log.absorb(LocationLog::parse(b"4s 0 a\n5s 0 b\n6s 0 c\n1s 1 d\n")));
        assert_eq!(log.to_bytes(), b"5s 1 a\n5s 1 b\n6s 0 c\n1s 1 d\n");
        assert!(!log.absorb(LocationLog::parse(b"4s 0 a\n1s 0 d\n")));
    }

    #[test]
    fn nothing_recorded_and_missing_are_two_answers() {
        let log = LocationLog::parse(b"5s 0 u\n");
        assert_eq!(log.presence(&uuid("u")), Some(Presence::Missing));
        assert_eq!(log.presence(&uuid("v")), None);
    }
}
