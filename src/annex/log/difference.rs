//! `difference.log`: how repositories are tuned, which holds for good from when they were made.

use std::collections::BTreeSet;
use std::fmt;

use super::uuid::UuidLog;

/// What a repository does otherwise than all others: the words of git-annex for `annex.tune.*`, and what a log says that makes
/// no sense here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tunings(BTreeSet<Vec<u8>>);

/// Words of the log, and the settings they stand for. Source: recorded.
const WORDS: [(&str, &str); 3] = [
    ("ObjectHashLower", "annex.tune.objecthashlower"),
    ("OneLevelBranchHash", "annex.tune.branchhash1"),
    ("OneLevelObjectHash", "annex.tune.objecthash1"),
];

impl Tunings {
    /// All that any repository has in a log, of lines `UUID fromList [WORD,WORD] timestamp=TIME`.
    pub fn parse(log: &[u8]) -> Self {
        let mut all = BTreeSet::new();
        for (_, value) in UuidLog::parse(log).iter() {
            let list = value.strip_prefix(b"fromList [").and_then(|rest| rest.strip_suffix(b"]"));
            match list {
                Some(list) => {
                    all.extend(list.split(|byte| *byte == b',').filter(|word| !word.is_empty()).map(<[u8]>::to_vec))
                }
                None => drop(all.insert(value.to_vec())),
            }
        }
        Self(all)
    }

    /// Those of the repository whose git config says whether a setting is true.
    pub fn of(is_set: impl Fn(&str) -> bool) -> Self {
        let set = WORDS.iter().filter(|(_, setting)| is_set(setting));
        Self(set.map(|(word, _)| word.as_bytes().to_vec()).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether keys have their logs elsewhere: `annex.tune.branchhash1`.
    pub fn moves_logs(&self) -> bool {
        self.0.contains(&b"OneLevelBranchHash"[..])
    }

    /// The settings of git config that make a repository such. `None` where there is something that this program does not know.
    pub fn settings(&self) -> Option<Vec<&'static str>> {
        let setting =
            |word: &Vec<u8>| WORDS.iter().find(|(known, _)| known.as_bytes() == word).map(|(_, setting)| *setting);
        self.0.iter().map(setting).collect()
    }

    /// What a repository says of itself in the log.
    pub fn to_value(&self) -> Vec<u8> {
        let words: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        [&b"fromList ["[..], &words.join(&b","[..]), b"]"].concat()
    }
}

impl fmt::Display for Tunings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no annex.tune.* settings");
        }
        let name = |word: &Vec<u8>| {
            let known = WORDS.iter().find(|(known, _)| known.as_bytes() == word);
            known.map_or_else(|| word.escape_ascii().to_string(), |(_, setting)| setting.to_string())
        };
        let names: Vec<String> = self.0.iter().map(name).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `git -c annex.tune.branchhash1=true -c annex.tune.objecthashlower=true annex init`.
    #[test]
    fn tunings_are_read_and_written_as_git_annex_does() {
        let recorded = b"8aeb97e3-433a fromList [ObjectHashLower,OneLevelBranchHash] timestamp=1795935042s\n";
        let read = Tunings::parse(recorded);
        let set = ["annex.tune.objecthashlower", "annex.tune.branchhash1"];
        assert_eq!(read, Tunings::of(|name| set.contains(&name)));
        assert_eq!(read.settings().as_deref(), Some(&set[..]));
        assert_eq!(read.to_value(), b"fromList [ObjectHashLower,OneLevelBranchHash]");
        assert!(read.moves_logs() && !read.is_empty());
        assert_eq!(read.to_string(), "annex.tune.objecthashlower, annex.tune.branchhash1");
    }

    #[test]
    fn what_makes_no_sense_is_a_tuning_too() {
        assert_eq!(Tunings::parse(b""), Tunings::default());
        assert_eq!(Tunings::parse(b"a fromList [] timestamp=1s\n"), Tunings::default());
        for log in [
            &b"a UnknownDifferences timestamp=1s\n"[..],
            b"a fromList [Later] timestamp=1s\n",
            b"a fromList [ObjectHashLower\n",
        ] {
            let read = Tunings::parse(log);
            assert!(!read.is_empty() && read.settings().is_none(), "{}", log.escape_ascii());
        }
        // Two repositories in one log: all of both.
        let both = Tunings::parse(
            b"a fromList [ObjectHashLower] timestamp=1s\nb fromList [OneLevelObjectHash] timestamp=1s\n",
        );
        assert_eq!(both.settings().map(|all| all.len()), Some(2));
    }
}
