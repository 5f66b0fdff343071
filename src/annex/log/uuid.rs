//! `uuid.log` and its kin: one value for each repository, its time at the end of the line.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// A log of lines `UUID VALUE timestamp=TIME`, read: `uuid.log`, `trust.log`, `group.log`, `remote.log` and others.
///
/// The newest line of a uuid counts, of equals the last; a line without a time is older than all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UuidLog {
    entries: BTreeMap<Uuid, (Stamp, Vec<u8>)>,
}

impl UuidLog {
    /// Reads a log. Lines that make no sense are left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut entries = BTreeMap::new();
        for line in lines(log) {
            let (uuid, rest) = cut(line).unwrap_or((line, b""));
            let Ok(uuid) = Uuid::parse(uuid) else { continue };
            let (stamp, value) = split_time(rest);
            let newer = entries.get(&uuid).is_none_or(|(have, _)| stamp >= *have);
            if newer {
                entries.insert(uuid, (stamp, value.to_vec()));
            }
        }
        Self { entries }
    }

    /// The value of `uuid`: its description, in `uuid.log`.
    pub fn value(&self, uuid: &Uuid) -> Option<&[u8]> {
        self.entries.get(uuid).map(|(_, value)| value.as_slice())
    }

    /// All uuids and their values, by uuid.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &[u8])> {
        self.entries.iter().map(|(uuid, (_, value))| (uuid, value.as_slice()))
    }
}

/// The log with another line, in its place by uuid: `value` of a `uuid` that no line is about yet, since `now`, in seconds since
/// 1970. Lines that are there stay as they are.
pub fn with(log: &[u8], uuid: &Uuid, value: &[u8], now: u64) -> Vec<u8> {
    let line = [uuid.as_bytes(), b" ", value, format!(" timestamp={now}s\n").as_bytes()].concat();
    let mut at = 0;
    for have in log.split_inclusive(|byte| *byte == b'\n') {
        if have.split(|byte| *byte == b' ').next() > Some(uuid.as_bytes()) {
            break;
        }
        at += have.len();
    }
    let (before, after) = log.split_at(at);
    let end: &[u8] = if before.last().is_none_or(|byte| *byte == b'\n') { b"" } else { b"\n" };
    [before, end, &line, after].concat()
}

/// Takes the time off the end of a line; a time that cannot be read is part of the value.
pub(super) fn split_time(rest: &[u8]) -> (Stamp, &[u8]) {
    const MARK: &[u8] = b"timestamp=";
    let Some(at) = rest.windows(MARK.len()).rposition(|window| window == MARK) else {
        return (Stamp::UNKNOWN, rest);
    };
    let Some(stamp) = Stamp::parse(&rest[at + MARK.len()..]) else { return (Stamp::UNKNOWN, rest) };
    match rest[..at].split_last() {
        None => (stamp, b""),
        Some((b' ', value)) => (stamp, value),
        Some(_) => (Stamp::UNKNOWN, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex info` shows for these lines.
    #[test]
    fn descriptions_are_those_git_annex_shows() {
        let log = UuidLog::parse(
            b"n1 first timestamp=5s\nn1 second timestamp=5s\nn2 newer timestamp=7.5s\nn2 a b  c timestamp=5s\n\
              n3 no stamp\nn4 zz timestamp=xx\nn5\nn6  timestamp=5s\nn7 with timestamp=3s inside timestamp=5s\n\
              n8 n timestamp=5\n",
        );
        let shown: Vec<String> =
            log.iter().map(|(uuid, value)| format!("{uuid}={}", String::from_utf8_lossy(value))).collect();
        assert_eq!(
            shown,
            [
                "n1=second",
                "n2=newer",
                "n3=no stamp",
                "n4=zz timestamp=xx",
                "n5=",
                "n6=",
                "n7=with timestamp=3s inside",
                "n8=n"
            ]
        );
        assert_eq!(log.value(&Uuid::parse(b"n9").expect("a uuid")), None);
    }
}
