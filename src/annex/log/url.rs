//! The log of a key's urls (`.log.web`).

use std::collections::BTreeMap;

use super::stamp::Stamp;
use super::{cut, lines};

/// What may stand before a url, and says what downloads it.
const DOWNLOADERS: [&[u8]; 3] = [b"yt:", b"quvi:", b":"];

/// Urls of a key, read from lines `TIME 1|0|X URL`. The newest line of a url counts, of equals the first, as in a location log.
/// Source: recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlLog {
    entries: BTreeMap<Vec<u8>, (Stamp, bool)>,
}

impl UrlLog {
    /// Reads a log. Malformed lines are left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut entries = BTreeMap::new();
        for (stamp, is_set, url) in lines(log).filter_map(parse_line) {
            if entries.get(url).is_none_or(|(have, _)| stamp > *have) {
                entries.insert(url.to_vec(), (stamp, is_set));
            }
        }
        Self { entries }
    }

    /// The urls that are recorded now, without what says who downloads them.
    pub fn urls(&self) -> impl Iterator<Item = &[u8]> {
        let set = self.entries.iter().filter(|(_, (_, is_set))| *is_set);
        set.map(|(url, _)| DOWNLOADERS.iter().find_map(|mark| url.strip_prefix(*mark)).unwrap_or(url))
    }
}

fn parse_line(line: &[u8]) -> Option<(Stamp, bool, &[u8])> {
    let (stamp, rest) = cut(line)?;
    let (status, url) = cut(rest)?;
    let is_set = match status {
        b"1" => true,
        b"0" | b"X" => false,
        _ => return None,
    };
    Some((Stamp::parse(stamp)?, is_set, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: which globs `url=` matches with these.
    #[test]
    fn urls_are_those_git_annex_has() {
        let log = UrlLog::parse(
            b"5s 1 http://a/b\n5s 1 :foo:bar\n5s 1 http://gone/\n6s 0 http://gone/\n6s X http://dead/\n7s 1 yt:http://y/z\n\
              7s 1 quvi:http://q/z\n5s 1 http://sp ace\n5s 1 first\n5s 0 first\n5s 0 second\n5s 1 second\nbad\n5s 2 x\n",
        );
        let urls: Vec<String> = log.urls().map(|url| String::from_utf8_lossy(url).into_owned()).collect();
        assert_eq!(urls, ["foo:bar", "first", "http://a/b", "http://sp ace", "http://q/z", "http://y/z"]);
    }
}
