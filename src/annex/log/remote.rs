//! `remote.log`: the special remotes and what they were configured with.

use std::collections::BTreeMap;

use super::uuid::UuidLog;
use crate::name::Uuid;

/// The configuration of one special remote, `name=`, `type=` and all the others, values unescaped.
pub type RemoteConfig = BTreeMap<Vec<u8>, Vec<u8>>;

/// `remote.log`, read. `.git/annex/verified-remote.log` has the same form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteLog {
    configs: BTreeMap<Uuid, RemoteConfig>,
}

impl RemoteLog {
    /// Reads a log of lines `UUID KEY=VALUE KEY=VALUE timestamp=TIME`.
    pub fn parse(log: &[u8]) -> Self {
        let configs = UuidLog::parse(log).iter().map(|(uuid, line)| (uuid.clone(), config(line))).collect();
        Self { configs }
    }

    /// The configuration of `uuid`.
    pub fn config(&self, uuid: &Uuid) -> Option<&RemoteConfig> {
        self.configs.get(uuid)
    }

    /// All special remotes, by uuid.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &RemoteConfig)> {
        self.configs.iter()
    }
}

fn config(line: &[u8]) -> RemoteConfig {
    line.split(u8::is_ascii_whitespace)
        .filter_map(|word| {
            let at = word.iter().position(|byte| *byte == b'=')?;
            Some((word[..at].to_vec(), unescape(&word[at + 1..])))
        })
        .collect()
}

/// `&32;` is a space: the number of a character between `&` and `;`. Anything else between them stays as it is.
fn unescape(mut value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    while let Some((first, rest)) = value.split_first() {
        let end = rest.iter().position(|byte| *byte == b';');
        let code = end.filter(|_| *first == b'&').and_then(|end| character(&rest[..end]).map(|c| (c, end)));
        match code {
            Some((c, end)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                value = &rest[end + 1..];
            }
            None => {
                out.push(*first);
                value = rest;
            }
        }
    }
    out
}

fn character(digits: &[u8]) -> Option<char> {
    if digits.is_empty() || digits.len() > 7 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_and_unescaped() {
        let log = RemoteLog::parse(
            b"d1 directory=/a&32;b&38;c encryption=none name=d1 type=directory timestamp=1795388343s\n\
              d1 name=old timestamp=5s\nd2 name=x&y;&;&99999999;&9 odd timestamp=5s\n",
        );
        let uuid = |text: &[u8]| Uuid::parse(text).expect("a uuid");
        let d1 = log.config(&uuid(b"d1")).expect("it is there");
        assert_eq!(d1.get(&b"directory"[..]).map(Vec::as_slice), Some(&b"/a b&c"[..]));
        assert_eq!(d1.get(&b"name"[..]).map(Vec::as_slice), Some(&b"d1"[..]));
        assert_eq!(d1.len(), 4);
        let d2 = log.config(&uuid(b"d2")).expect("it is there");
        assert_eq!(d2.get(&b"name"[..]).map(Vec::as_slice), Some(&b"x&y;&;&99999999;&9"[..]));
        assert_eq!(log.iter().count(), 2);
        assert_eq!(log.config(&uuid(b"d3")), None);
    }
}
