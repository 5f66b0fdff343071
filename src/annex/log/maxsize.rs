//! `maxsize.log`: how much each repository may hold.

use std::collections::BTreeMap;
use std::io::Write;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// `maxsize.log`, read. Lines are `TIME UUID BYTES`; the newest line of a uuid counts, of equals the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaxSizeLog {
    sizes: BTreeMap<Uuid, (Stamp, i128)>,
}

impl MaxSizeLog {
    /// Reads a log. Malformed lines are left out, as git-annex leaves them out.
    pub fn parse(log: &[u8]) -> Self {
        let mut sizes = BTreeMap::new();
        for (stamp, uuid, bytes) in lines(log).filter_map(parse_line) {
            let newer = sizes.get(&uuid).is_none_or(|(have, _)| stamp >= *have);
            if newer {
                sizes.insert(uuid, (stamp, bytes));
            }
        }
        Self { sizes }
    }

    /// Bytes that `uuid` may hold; `None` where there is no limit. Nothing fits into zero. Less than nothing is nothing, and
    /// more than a `u64` holds is the most it holds.
    pub fn max_size(&self, uuid: &Uuid) -> Option<u64> {
        Some(u64::try_from(self.recorded(uuid)?.max(0)).unwrap_or(u64::MAX))
    }

    /// The number that is recorded for `uuid`, whatever it is.
    pub fn recorded(&self, uuid: &Uuid) -> Option<i128> {
        self.sizes.get(uuid).map(|(_, bytes)| *bytes)
    }

    /// The repositories with a limit, by uuid.
    pub fn uuids(&self) -> impl Iterator<Item = &Uuid> {
        self.sizes.keys()
    }

    /// Records that `uuid` may hold `bytes`, `now` being seconds since 1970.
    pub fn set(&mut self, uuid: &Uuid, bytes: u128, now: u64) {
        let old = self.sizes.get(uuid);
        let stamp = old.map_or(Stamp::of_seconds(now), |(stamp, _)| stamp.after(now));
        self.sizes.insert(uuid.clone(), (stamp, i128::try_from(bytes).unwrap_or(i128::MAX)));
    }

    /// The log as git-annex writes it: one line for each uuid, sorted by uuid.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.sizes.len() * 64);
        for (uuid, (stamp, bytes)) in &self.sizes {
            write!(out, "{stamp} ").expect("memory takes all writes");
            out.extend_from_slice(uuid.as_bytes());
            writeln!(out, " {bytes}").expect("memory takes all writes");
        }
        out
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, Uuid, i128)> {
    let (stamp, rest) = cut(line)?;
    let (uuid, bytes) = cut(rest)?;
    Some((Stamp::parse(stamp)?, Uuid::parse(uuid).ok()?, number(bytes)?))
}

/// A whole number as Haskell reads one, after spaces and before anything that is no part of it; at most what an `i128` holds.
/// A fraction or an exponent makes it another kind of number.
fn number(text: &[u8]) -> Option<i128> {
    let text = text.trim_ascii_start();
    let (sign, text) = text.strip_prefix(b"-").map_or((1, text), |rest| (-1, rest.trim_ascii_start()));
    let is_digit = |radix, at: usize| text.get(at).is_some_and(|byte| char::from(*byte).is_digit(radix));
    let (radix, start) = match text {
        [b'0', b'x' | b'X', ..] if is_digit(16, 2) => (16, 2),
        [b'0', b'o' | b'O', ..] if is_digit(8, 2) => (8, 2),
        _ => (10, 0),
    };
    let digits = text.get(start..)?.iter().map_while(|byte| char::from(*byte).to_digit(radix));
    let (mut value, mut end) = (0i128, start);
    for digit in digits {
        value = value.saturating_mul(i128::from(radix)).saturating_add(i128::from(digit));
        end += 1;
    }
    let is_sign = matches!(text.get(end + 1), Some(b'-' | b'+'));
    let is_other = radix == 10
        && match text.get(end) {
            Some(b'.') => is_digit(10, end + 1),
            Some(b'e' | b'E') => is_digit(10, end + 1 + usize::from(is_sign)),
            _ => false,
        };
    (end > start && !is_other).then_some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    /// Recorded: this journal file, and what git-annex 10.20261026 made of it when it set one more size.
    #[test]
    fn odd_lines_are_kept_or_dropped_as_git_annex_does() {
        let mut log = MaxSizeLog::parse(
            b"5s a 12\n5s a 9\n5s b 9\n5s b 12\n6s c 1\n5s c 2\n5s d -5\n5s e 1.5x\n5s e3 1.0\n5s e4 1e0\n5s f +5\n5s g  7\n5s h 7 \n5s i 7 8\n\
              5 j 9\n5.5s k 10\n5.50s k2 10\n5s l 007\n5s m 0x10\n5s m2 0x1g\n5s m3 0o17\n5s m4 0b11\n5s m5 0xg\n5s y - 5\n5s y2 -0x10\n5s o \n5s p\n5s  q 5\n\
              5s r 99999999999999999999999999999999999\n5s s 5kb\n5s u\t5\n5s v 5\r\n5s w 1_000\n xs y 5\n-5s z 6\n",
        );
        log.set(&uuid("0"), 5, 1_795_976_206);
        assert_eq!(
            String::from_utf8(log.to_bytes()).expect("text"),
            "1795976206s 0 5\n5s a 9\n5s b 12\n6s c 1\n5s d -5\n5s g 7\n5s h 7\n5s i 7\n5s j 9\n5.5s k 10\n\
             5.5s k2 10\n5s l 7\n5s m 16\n5s m2 1\n5s m3 15\n5s m4 0\n5s m5 0\n5s r 99999999999999999999999999999999999\n5s s 5\n5s v 5\n5s w 1\n5s y -5\n5s y2 -16\n-5s z 6\n"
        );
        for (of, max) in [("b", Some(12)), ("d", Some(0)), ("r", Some(u64::MAX)), ("p", None), ("nobody", None)] {
            assert_eq!(log.max_size(&uuid(of)), max, "{of}");
        }
    }

    /// Recorded: what `git annex maxsize` shows of these.
    #[test]
    fn numbers_are_read_as_git_annex_reads_them() {
        for (text, max) in [
            ("5x", Some(5)),
            ("1 kb", Some(1)),
            ("20.5", None),
            ("0x20", Some(32)),
            (" 20", Some(20)),
            ("-5", Some(0)),
            ("", None),
            ("zz", None),
            ("+4", None),
            ("99999999999999999999999", Some(u64::MAX)),
            ("9223372036854775808", Some(9_223_372_036_854_775_808)),
            ("000000000000000000000005", Some(5)),
        ] {
            let log = MaxSizeLog::parse(format!("1s a {text}\n").as_bytes());
            assert_eq!(log.max_size(&uuid("a")), max, "{text}");
        }
    }

    #[test]
    fn a_change_wins_over_any_clock() {
        let mut log = MaxSizeLog::parse(b"9s a 1\n7s b 1\n");
        log.set(&uuid("a"), 2, 7);
        log.set(&uuid("b"), 3, 8);
        assert_eq!(log.to_bytes(), b"10s a 2\n8s b 3\n");
        assert_eq!(MaxSizeLog::parse(&log.to_bytes()), log);
    }
}
