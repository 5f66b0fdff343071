//! Logs of a value for each of some subjects, the time in front: `group-preferred-content.log`.

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};

/// A log of lines `TIME SUBJECT VALUE`, read; the subject is a word, such as a group. The newest line of a subject
/// counts, of equals the last. Source: recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectLog {
    entries: BTreeMap<Vec<u8>, (Stamp, Vec<u8>)>,
}

impl SubjectLog {
    /// Reads a log. Malformed lines are left out, and so are those without a value; an empty value is one.
    pub fn parse(log: &[u8]) -> Self {
        let mut entries = BTreeMap::new();
        for (stamp, subject, value) in lines(log).filter_map(parse_line) {
            if entries.get(subject).is_none_or(|(have, _)| stamp >= *have) {
                entries.insert(subject.to_vec(), (stamp, value.to_vec()));
            }
        }
        Self { entries }
    }

    /// The value of `subject`.
    pub fn value(&self, subject: &[u8]) -> Option<&[u8]> {
        self.entries.get(subject).map(|(_, value)| value.as_slice())
    }

    /// All subjects and their values, by subject.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(subject, (_, value))| (subject.as_slice(), value.as_slice()))
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, &[u8], &[u8])> {
    let (stamp, rest) = cut(line)?;
    let (subject, value) = cut(rest)?;
    Some((Stamp::parse(stamp)?, subject, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: which of these expressions `groupwanted` stands for.
    #[test]
    fn the_last_of_the_newest_lines_counts() {
        for (log, value) in [
            ("1s g nothing\n1s g anything\n", Some("anything")),
            ("1s g anything\n1s g nothing\n", Some("nothing")),
            ("2s g anything\n1s g nothing\n", Some("anything")),
            ("1s g anything\n2s g\n", Some("anything")),
            ("1s g anything\n2s g \n", Some("")),
            ("1s g  a b\n", Some(" a b")),
            ("g anything\n", None),
            ("1s h anything\n", None),
        ] {
            let log_read = SubjectLog::parse(log.as_bytes());
            assert_eq!(log_read.value(b"g"), value.map(str::as_bytes), "{log:?}");
            assert_eq!(log_read.iter().count(), usize::from(log != "g anything\n"), "{log:?}");
        }
    }
}
