//! How much a repository may hold, and the largest content it takes, as git config has it.
//!
//! `stream.quota` and `stream.largest`, and `remote.NAME.stream-quota` and `-largest` for a remote behind it.

use std::collections::HashSet;

use annex_types::size;

use super::LocalRepository;
use crate::annex::content::unfinished;
use crate::annex::repository::Config;
use crate::gateway::{Failure, FailureKind};
use crate::name::Key;

/// Most unfinished uploads that are looked at.
const UNFINISHED: usize = 10_000;

/// What a place may hold. Nothing limits it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Quota {
    all: Limit,
    largest: Limit,
}

/// A limit as it is configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Limit {
    #[default]
    None,
    Bytes(u64),
    /// It is set, and says no size: nothing is stored until that is mended.
    Malformed,
}

impl Quota {
    /// That of a repository.
    pub(in crate::gateway) fn of(config: &Config) -> Self {
        Self::told(|name| config.value(&format!("stream.{name}")))
    }

    /// That of its remote `name`.
    pub(in crate::gateway) fn of_remote(config: &Config, name: &[u8]) -> Self {
        Self::told(|key| config.value_in("remote", name, &format!("stream-{key}")))
    }

    fn told(set: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let limit = |name: &str| match set(name) {
            None => Limit::None,
            Some(text) => size::parse(&text).map_or(Limit::Malformed, Limit::Bytes),
        };
        Self { all: limit("quota"), largest: limit("largest") }
    }

    /// Whether `key` may come, as far as its name tells. Failures: why not.
    pub(in crate::gateway) fn admits(&self, key: &Key) -> Result<(), Failure> {
        let malformed =
            |name: &str| Failure::internal(format!("git config: stream {name} is no size, so nothing is stored"));
        let largest = match self.largest {
            Limit::Malformed => return Err(malformed("largest")),
            Limit::Bytes(most) => Some(most),
            Limit::None => None,
        };
        match (self.all, largest) {
            (Limit::Malformed, _) => Err(malformed("quota")),
            (Limit::None, None) => Ok(()),
            _ => admits(largest, key),
        }
    }

    /// Bytes of all that it may hold, where that is limited.
    pub(in crate::gateway) fn all(&self) -> Option<u64> {
        match self.all {
            Limit::Bytes(most) => Some(most),
            Limit::None | Limit::Malformed => None,
        }
    }
}

/// Whether `key` may come where no content of more than `largest` may, and nothing whose size nobody knows. Failures: why not.
pub(in crate::gateway) fn admits(largest: Option<u64>, key: &Key) -> Result<(), Failure> {
    let more = |what: String| Err(Failure::new(FailureKind::NoRoom, what));
    match (largest, key.size()) {
        (Some(most), Some(len)) if len > most => more(format!(
            "{} is more than the largest content that is stored here ({})",
            size::show(len),
            size::show(most)
        )),
        (_, Some(_)) => Ok(()),
        // Nobody could tell how much there is.
        (_, None) => more("there is a quota, so only keys that tell their size are stored here".to_string()),
    }
}

impl LocalRepository {
    /// Bytes of unfinished uploads that lie here, but for those of `counted` and of uploads under way, which count as a whole. Blocks.
    ///
    /// # Errors
    ///
    /// That cannot be told, or there are too many.
    pub(in crate::gateway) fn left_unfinished(&self, counted: HashSet<Key>) -> Result<u64, Failure> {
        let failed = |e| Failure::internal(format!("tell how much room there is: {e}"));
        let under_way = self.sizes().under_way(self.uuid()).map_err(failed)?;
        let counted: HashSet<Key> = counted.into_iter().chain(under_way).collect();
        let found = unfinished(self.content().config(), &counted, UNFINISHED);
        found
            .map_err(|e| Failure::io("look for unfinished uploads", &e))?
            .ok_or_else(|| Failure::new(FailureKind::NoRoom, "too many unfinished uploads are kept here".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::Repository;
    use crate::annex::repository::tests::{git, make};

    fn key(text: &str) -> Key {
        Key::parse(text.as_bytes()).expect("a key")
    }

    #[test]
    fn what_a_name_tells_is_judged_before_anything_is_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let quota = |settings: &[(&str, &str)]| {
            settings.iter().for_each(|(name, value)| drop(git(dir.path(), &["config", name, value])));
            let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            let quotas = (Quota::of(&repository.settings()), Quota::of_remote(&repository.settings(), b"r"));
            settings.iter().for_each(|(name, _)| drop(git(dir.path(), &["config", "--unset", name])));
            quotas
        };
        let (here, there) = quota(&[]);
        assert_eq!((here.clone(), there), (Quota::default(), Quota::default()));
        assert!(here.admits(&key("URL--x")).is_ok());
        for (settings, key_name, says) in [
            (&[("stream.quota", "1kB")][..], "SHA256-s1--x", None),
            (&[("stream.quota", "1kB")], "URL--x", Some("only keys that tell their size")),
            (&[("stream.largest", "1kB")], "SHA256-s1000--x", None),
            (&[("stream.largest", "1kB")], "SHA256-s1001--x", Some("more than the largest content")),
            (&[("stream.largest", "1kB")], "URL--x", Some("only keys that tell their size")),
            (&[("stream.quota", "much")], "SHA256-s1--x", Some("quota is no size")),
            (&[("stream.largest", "much")], "SHA256-s1--x", Some("largest is no size")),
            (&[("remote.r.stream-quota", "1kB")], "URL--x", None),
        ] {
            let said = quota(settings).0.admits(&key(key_name)).err().map(|failure| failure.to_string());
            match says {
                None => assert_eq!(said, None, "{settings:?} {key_name}"),
                Some(says) => assert!(said.as_ref().is_some_and(|said| said.contains(says)), "{settings:?}: {said:?}"),
            }
        }
        let (_, there) = quota(&[("remote.r.stream-quota", "5"), ("remote.r.stream-largest", "4")]);
        assert_eq!(there, Quota { all: Limit::Bytes(5), largest: Limit::Bytes(4) });
    }
}
