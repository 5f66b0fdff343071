//! The log of what remotes keep of a key for themselves (`.log.rmet`), such as the versions of its objects.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::stamp::Stamp;
use super::{cut, lines};
use crate::name::Uuid;

/// What git-annex's S3 type calls versions: each is `ID#OBJECT`.
pub const VERSION: &str = "V";

/// Such a log, read. Lines are `TIME FIELD +VALUE -VALUE FIELD ...`, a field being `UUID:NAME`. Of a field and a value the
/// newest line counts: `+` where the value is set, `-` where it no longer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaLog {
    values: BTreeMap<(Vec<u8>, Vec<u8>), (Stamp, bool)>,
    newest: Option<Stamp>,
}

impl MetaLog {
    /// Reads a log. What is malformed is left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut read = Self::default();
        for (stamp, rest) in lines(log).filter_map(cut) {
            let Some(stamp) = Stamp::parse(stamp) else { continue };
            read.newest = read.newest.max(Some(stamp));
            let mut field: &[u8] = b"";
            for word in rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                let (is_set, value) = match word {
                    [b'+', value @ ..] => (true, value),
                    [b'-', value @ ..] => (false, value),
                    _ => {
                        field = word;
                        continue;
                    }
                };
                let Some(value) = plain(value) else { continue };
                let entry = read.values.entry((field.to_vec(), value)).or_insert((stamp, is_set));
                // Of equals, what is set stays set: nothing is lost by looking for it.
                if stamp > entry.0 || (stamp == entry.0 && is_set) {
                    *entry = (stamp, is_set);
                }
            }
        }
        read
    }

    /// The values of `name` that `uuid` keeps, newest first.
    pub fn values(&self, uuid: &Uuid, name: &str) -> Vec<&[u8]> {
        let wanted = field(uuid, name);
        let set = self.values.iter().filter(|((field, _), (_, is_set))| *field == wanted && *is_set);
        let mut set: Vec<(Stamp, &[u8])> = set.map(|((_, value), (stamp, _))| (*stamp, &value[..])).collect();
        set.sort_by_key(|(stamp, _)| std::cmp::Reverse(*stamp));
        set.into_iter().map(|(_, value)| value).collect()
    }
}

/// `log` with a line more, which says that `value` is one of `name` for `uuid`, `now` being seconds since 1970; `None` where
/// it says that already. Lines that are there stay as they are.
pub fn with_value(log: &[u8], uuid: &Uuid, name: &str, value: &[u8], now: u64) -> Option<Vec<u8>> {
    let read = MetaLog::parse(log);
    if read.values(uuid, name).contains(&value) {
        return None;
    }
    let mut new = log.to_vec();
    if new.last().is_some_and(|byte| *byte != b'\n') {
        new.push(b'\n');
    }
    let stamp = read.newest.map_or(Stamp::of_seconds(now), |newest| newest.after(now));
    new.extend_from_slice(format!("{stamp} ").as_bytes());
    new.extend_from_slice(&field(uuid, name));
    new.extend_from_slice(b" +");
    new.extend_from_slice(&word(value));
    new.push(b'\n');
    Some(new)
}

fn field(uuid: &Uuid, name: &str) -> Vec<u8> {
    [uuid.as_bytes(), b":", name.as_bytes()].concat()
}

/// A value as it stands in a line: base64 behind a `!` where it would not be one word.
pub fn word(value: &[u8]) -> Vec<u8> {
    let parts = || String::from_utf8_lossy(value).chars().any(char::is_whitespace);
    if value.is_empty() || value.starts_with(b"!") || parts() {
        return format!("!{}", STANDARD.encode(value)).into_bytes();
    }
    value.to_vec()
}

/// What a word of a value stands for; `None` where it is malformed.
pub(super) fn plain(word: &[u8]) -> Option<Vec<u8>> {
    match word {
        [b'!', coded @ ..] => STANDARD.decode(coded).ok(),
        _ => Some(word.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const US: &str = "9a104b99-c5e2-4144-b0f4-a09d5c2215a1";

    fn us() -> Uuid {
        Uuid::parse(US.as_bytes()).expect("a uuid")
    }

    fn versions(log: &str) -> Vec<String> {
        let log = MetaLog::parse(log.as_bytes());
        log.values(&us(), VERSION).iter().map(|value| value.escape_ascii().to_string()).collect()
    }

    /// Recorded: what git-annex 10.20261026 writes for its S3 type, and in which order `git annex whereis` shows it.
    #[test]
    fn versions_are_read_newest_first() {
        let log = format!(
            "1795428140s {US}:V +671#.git/annex/objects/171/8dc/K/K\n1795428141s {US}:V +672#a\n\
             1795428143s {US}:V +!NjczI2Qvc3AgYWNl\n1795428142s other:V +674#a {US}:v +9 {US}:V +675#twin -672#gone\n"
        );
        assert_eq!(versions(&log), ["673#d/sp ace", "675#twin", "672#a", "671#.git/annex/objects/171/8dc/K/K"]);
    }

    #[test]
    fn what_git_annex_recorded_is_what_would_be_written() {
        let recorded = include_str!("../../../testdata/s3/versions.txt").lines();
        let (mut logs, mut open) = (Vec::new(), false);
        for line in recorded {
            match line.starts_with("> ") {
                true => logs.push(Vec::new()),
                false if open && line.contains(" REMOTE:V +") => logs.last_mut().expect("a file").push(line),
                false => {}
            }
            open = line.starts_with("> ") || (open && line.contains(" REMOTE:V +"));
        }
        let uuid = Uuid::parse(b"REMOTE").expect("a uuid");
        let (mut twins, count) = (0, logs.len());
        for lines in logs {
            let theirs = lines.join("\n") + "\n";
            let read = MetaLog::parse(theirs.as_bytes());
            let mut values = read.values(&uuid, VERSION);
            assert_eq!(values.len(), lines.len(), "{theirs}");
            assert!(values.iter().all(|value| value.windows(5).any(|part| part == b"#pre/")), "{theirs}");
            values.reverse();
            let ours = values.iter().zip(&lines).fold(Vec::new(), |log, (value, line)| {
                let time = line.split_once('s').and_then(|(time, _)| time.parse().ok()).expect("a time");
                with_value(&log, &uuid, VERSION, value, time).expect("a new one")
            });
            assert_eq!(String::from_utf8(ours).expect("text"), theirs);
            twins += usize::from(lines.len() > 1);
        }
        assert!(count >= 10 && twins > 0, "{count} logs, {twins} with more than one version");
    }

    #[test]
    fn what_was_taken_back_is_no_value_and_nonsense_is_none() {
        assert_eq!(versions(&format!("5s {US}:V +a +b\n6s {US}:V -a\n7s {US}:V -c +d\n")), ["d", "b"]);
        assert_eq!(versions(&format!("6s {US}:V -a\n5s {US}:V +a\n6s {US}:V +e\n6s {US}:V -e\n")), ["e"]);
        assert_eq!(versions(&format!("x {US}:V +a\n5s +a\n5s\n{US}:V +b\n5s {US}:V +!! +!Yg== +\n")), ["", "b"]);
    }

    /// Recorded: the names `d/sp ace` and `\u{e4}` of git-annex's S3 type.
    #[test]
    fn a_value_is_one_word() {
        let line = |value: &str| {
            let log = with_value(b"", &us(), VERSION, value.as_bytes(), 7).expect("new");
            assert_eq!(MetaLog::parse(&log).values(&us(), VERSION), [value.as_bytes()]);
            String::from_utf8(log).expect("text").split_once(":V ").expect("a value").1.to_string()
        };
        assert_eq!(
            line("67155bb2398afd230efccd063aa61709#d/sp ace"),
            "+!NjcxNTViYjIzOThhZmQyMzBlZmNjZDA2M2FhNjE3MDkjZC9zcCBhY2U=\n"
        );
        assert_eq!(line("1#\u{e4}"), "+1#\u{e4}\n");
        assert_eq!(line("1#+plus"), "+1#+plus\n");
        assert_eq!(line("!x"), "+!IXg=\n");
    }

    #[test]
    fn a_new_value_is_later_than_all_others_and_a_known_one_changes_nothing() {
        let with = |log: &str, value: &str, now| {
            let new = with_value(log.as_bytes(), &us(), VERSION, value.as_bytes(), now);
            new.map(|log| String::from_utf8(log).expect("text"))
        };
        let add = |log: &str, value: &str, now| with(log, value, now).expect("new");
        let one = add("", "1#a", 7);
        assert_eq!(one, format!("7s {US}:V +1#a\n"));
        assert_eq!(with(&one, "1#a", 9), None);
        let two = add(&one, "2#b", 7);
        assert_eq!(two, format!("7s {US}:V +1#a\n8s {US}:V +2#b\n"));
        assert_eq!(add("9s x:V +1#a", "3#c", 7), format!("9s x:V +1#a\n10s {US}:V +3#c\n"));
        assert_eq!(versions(&add(&format!("9s {US}:V -1#a\n"), "1#a", 7)), ["1#a"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_what_is_added_is_found(log in prop::collection::vec(any::<u8>(), 0..200), value in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(new) = with_value(&log, &us(), VERSION, &value, 7) {
                prop_assert!(new.starts_with(&log));
                let read = MetaLog::parse(&new);
                prop_assert_eq!(read.values(&us(), VERSION)[0], &value[..]);
            }
        }

        #[test]
        fn a_union_of_two_clones_has_the_values_of_both(a in "[a-c]", b in "[a-c]", before in "[a-c]") {
            let add = |log: &[u8], value: &str| with_value(log, &us(), VERSION, value.as_bytes(), 7).unwrap_or(log.to_vec());
            let start = add(b"", &before);
            let merged = crate::annex::log::union::union(&add(&start, &a), &add(&start, &b));
            let read = MetaLog::parse(&merged);
            for value in [&a, &b, &before] {
                prop_assert!(read.values(&us(), VERSION).contains(&value.as_bytes()));
            }
        }
    }
}
