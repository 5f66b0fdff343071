//! A version of a log that waited in the journal, laid onto one that came to the branch meanwhile.
//!
//! A file of the journal is a whole log, made from what the branch held then, and what it holds no more was replaced by
//! something newer. So it is not enough to take all lines of both: what was replaced would come back with every commit, and
//! the log grow for ever. A line of the branch is taken over where it tells something that the journal's version does not
//! tell as late or later. What a line tells of is different for each kind of log. Source: `internals`, and recorded from
//! git-annex 10.20261026.

use std::collections::{HashMap, HashSet};

use super::stamp::Stamp;
use super::union::union;
use super::uuid::split_time;
use super::{LocationLog, cut, is_location_file, is_of_key};

/// What a line of a log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `SUBJECT ... timestamp=TIME`: of a repository.
    TimeLast,
    /// `TIME SUBJECT ...`: of a remote, a pair of repositories, a setting, a group, ...
    Subject,
    /// `TIME STATUS SUBJECT`, the subject being all of the rest: of a url.
    Status,
    /// `TIME VALUE`: of the one thing the log is about.
    Single,
    /// `TIME FIELD +VALUE -VALUE FIELD ...`: of each field and value.
    Meta,
    /// Of itself. Each line stays.
    Line,
}

impl Shape {
    fn of(file: &[u8]) -> Self {
        let of_key = |ending: &[u8]| is_of_key(file) && file.ends_with(ending);
        match file {
            b"uuid.log"
            | b"remote.log"
            | b"trust.log"
            | b"group.log"
            | b"preferred-content.log"
            | b"required-content.log"
            | b"schedule.log"
            | b"activity.log"
            | b"difference.log"
            | b"multicast.log" => Self::TimeLast,
            b"export.log"
            | b"proxy.log"
            | b"cluster.log"
            | b"maxsize.log"
            | b"config.log"
            | b"group-preferred-content.log" => Self::Subject,
            b"numcopies.log" | b"mincopies.log" => Self::Single,
            _ if of_key(b".log.cnk") || of_key(b".log.rmt") || of_key(b".log.cid") => Self::Subject,
            _ if of_key(b".log.web") => Self::Status,
            _ if of_key(b".log.met") || of_key(b".log.rmet") => Self::Meta,
            _ => Self::Line,
        }
    }

    /// Calls `tell` with each thing that `line` tells of, and when it was told. False where the line is not understood.
    fn facts<'a>(self, line: &'a [u8], mut tell: impl FnMut((&'a [u8], &'a [u8]), Stamp)) -> bool {
        if self == Self::Line {
            return false;
        }
        if self == Self::TimeLast {
            let (subject, rest) = cut(line).unwrap_or((line, b""));
            tell((subject, b""), split_time(rest).0);
            return true;
        }
        let Some((stamp, rest)) = cut(line) else { return false };
        let Some(stamp) = Stamp::parse(stamp) else { return false };
        match self {
            Self::Single => tell((b"", b""), stamp),
            Self::Subject => tell((cut(rest).map_or(rest, |(subject, _)| subject), b""), stamp),
            Self::Status => match cut(rest) {
                Some((_, subject)) => tell((subject, b""), stamp),
                None => return false,
            },
            Self::Meta => {
                let mut field: &[u8] = b"";
                for word in rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                    match word {
                        [b'+' | b'-', value @ ..] => tell((field, value), stamp),
                        _ => field = word,
                    }
                }
            }
            Self::TimeLast | Self::Line => {}
        }
        true
    }
}

/// `journal`, with what `branch` tells that it does not: the lines that came to the branch after the journal's version was made
/// of it. Where there are none, that is `journal` as it is.
///
/// git-annex takes the journal's version, and so loses those lines.
pub fn onto(file: &[u8], journal: Vec<u8>, branch: &[u8]) -> Vec<u8> {
    if branch.is_empty() || journal == branch {
        return journal;
    }
    if is_location_file(file) {
        let mut both = LocationLog::parse(&journal);
        return if both.absorb(LocationLog::parse(branch)) { both.to_bytes() } else { journal };
    }
    let shape = Shape::of(file);
    let lines = |log| <[u8]>::split(log, |byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut told: HashMap<(&[u8], &[u8]), Stamp> = HashMap::new();
    let mut have: HashSet<&[u8]> = HashSet::new();
    for line in lines(&journal[..]) {
        have.insert(line);
        shape.facts(line, |subject, stamp| {
            let latest = told.entry(subject).or_insert(stamp);
            *latest = stamp.max(*latest);
        });
    }
    let mut new = Vec::new();
    for line in lines(branch) {
        let (mut is_new, mut tells) = (false, false);
        let understood = shape.facts(line, |subject, stamp| {
            tells = true;
            // Of the same time and not the same: who reads the log decides, as when two branches are merged.
            is_new |= told.get(&subject).is_none_or(|latest| stamp >= *latest);
        });
        if !have.contains(line) && (is_new || !understood || !tells) {
            new.extend_from_slice(line);
            new.push(b'\n');
        }
    }
    if new.is_empty() { journal } else { union(&journal, &new) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn laid(file: &str, journal: &str, branch: &str) -> String {
        String::from_utf8(onto(file.as_bytes(), journal.into(), branch.as_bytes())).expect("text")
    }

    /// Each kind of log: what the journal replaced stays away, and what came meanwhile is kept.
    #[test]
    fn what_came_is_kept_and_what_was_replaced_stays_away() {
        let k = "abc/def/SHA256--x.log";
        for (file, journal, branch, both) in [
            (
                "uuid.log",
                "a new name timestamp=9s\n",
                "a old timestamp=5s\nb pushed timestamp=7s\n",
                "a new name timestamp=9s\nb pushed timestamp=7s\n",
            ),
            ("uuid.log", "a new timestamp=9s\n", "a of old days\n", "a new timestamp=9s\n"),
            ("trust.log", "a 1 timestamp=5s\n", "a X timestamp=6s\n", "a 1 timestamp=5s\na X timestamp=6s\n"),
            ("remote.log", "a x=1 timestamp=5s\n", "a x=2 timestamp=5s\n", "a x=1 timestamp=5s\na x=2 timestamp=5s\n"),
            ("export.log", "9s a:x t2\n", "5s a:x t1 t2\n5s b:x t1\n", "5s b:x t1\n9s a:x t2\n"),
            ("proxy.log", "9s a x:n\n", "5s a x:m y:o\n6s b z:p\n", "6s b z:p\n9s a x:n\n"),
            ("cluster.log", "9s c n1\n", "5s c n1 n2\n", "9s c n1\n"),
            ("config.log", "9s annex.x 1\n", "5s annex.x 2\n5s annex.y 3\n", "5s annex.y 3\n9s annex.x 1\n"),
            ("numcopies.log", "9s 2\n", "5s 3\n", "9s 2\n"),
            ("numcopies.log", "5s 2\n", "9s 3\n", "5s 2\n9s 3\n"),
            (
                "transitions.log",
                "ForgetGitHistory 5s\n",
                "ForgetGitHistory 6s\n",
                "ForgetGitHistory 5s\nForgetGitHistory 6s\n",
            ),
            (k, "9s 0 a\n5s 1 b\n", "5s 1 a\n7s 0 b\n7s 1 c\n", "9s 0 a\n7s 0 b\n7s 1 c\n"),
            (&format!("{k}.web"), "9s 0 http://a b\n", "5s 1 http://a b\n5s 1 :c\n", "5s 1 :c\n9s 0 http://a b\n"),
            (&format!("{k}.cnk"), "9s a:10 0\n", "5s a:10 3\n5s a:20 1\n", "5s a:20 1\n9s a:10 0\n"),
            (&format!("{k}.rmet"), "9s a:V +2\n", "5s a:V +1\n", "5s a:V +1\n9s a:V +2\n"),
            (&format!("{k}.met"), "9s t -a +b\n", "5s t +a\n6s u +c\n", "6s u +c\n9s t -a +b\n"),
            (&format!("{k}.met"), "9s t -a\n", "5s t +a v +a\n", "5s t +a v +a\n9s t -a\n"),
            ("new.log", "b\n", "a\n", "a\nb\n"),
            ("uuid.log", "junk\n", "other\n", "junk\nother\n"),
            ("config.log", "9s a b\n", "junk\n", "9s a b\njunk\n"),
            ("uuid.log", "", "a b timestamp=1s\n", "a b timestamp=1s\n"),
            ("uuid.log", "b\na\n", "", "b\na\n"),
        ] {
            assert_eq!(laid(file, journal, branch), both, "{file}: {journal:?} onto {branch:?}");
        }
    }

    /// Made in a clock's order, as one repository changes a log: nothing comes back, however often it is committed.
    #[test]
    fn a_log_that_only_we_change_does_not_grow() {
        let mut branch = String::new();
        for n in 1..50 {
            let journal = format!("{n}s a:x {}\n", if n % 2 == 0 { "t" } else { "s" });
            branch = laid("export.log", &journal, &branch);
            assert_eq!(branch, journal);
        }
    }

    fn log() -> impl Strategy<Value = String> {
        let line = ("[1-9]", "[ab]", "[+-][xy]", "[ab]")
            .prop_map(|(time, one, two, three)| format!("{time}s {one} {two} {three}\n"));
        prop::collection::vec(line, 0..5).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn no_line_of_the_journal_is_lost_and_none_is_made_up(
            journal in log(),
            branch in log(),
            file in prop::sample::select(vec!["uuid.log", "config.log", "numcopies.log", "a/K.log.met", "abc/K.log.web", "x"]),
        ) {
            let both = laid(file, &journal, &branch);
            for line in journal.lines() {
                prop_assert!(both.lines().any(|have| have == line), "{} is gone", line);
            }
            for line in both.lines() {
                prop_assert!(journal.lines().chain(branch.lines()).any(|have| have == line));
            }
            prop_assert_eq!(laid(file, &both, &branch), both.clone(), "once is enough");
            // The newest line of each thing counts, as if the two logs had been merged.
            let newest = |log: &str| {
                let mut newest = HashMap::new();
                for line in log.lines().map(str::as_bytes) {
                    Shape::of(file.as_bytes()).facts(line, |(a, b), stamp| {
                        let entry = newest.entry((a.to_vec(), b.to_vec())).or_insert(stamp);
                        *entry = stamp.max(*entry);
                    });
                }
                newest
            };
            prop_assert_eq!(newest(&both), newest(&format!("{journal}{branch}")));
        }

        #[test]
        fn any_bytes_are_taken(journal in prop::collection::vec(any::<u8>(), 0..80), branch in prop::collection::vec(any::<u8>(), 0..80)) {
            for file in ["uuid.log", "config.log", "numcopies.log", "abc/def/K.log.met", "abc/def/K.log.web", "abc/def/K.log", "x"] {
                onto(file.as_bytes(), journal.clone(), &branch);
            }
        }
    }
}
