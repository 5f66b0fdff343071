//! The files of the git-annex branch: text, a line for each fact, each line with the time it was recorded.
//!
//! Reading forgives: a line that is not understood is left out. What was tolerated, and how ties fall, was recorded from
//! git-annex 10.20261026. Everything here is pure; time is an argument.

pub mod cluster;
mod difference;
pub mod export;
pub mod limit;
pub mod location;
pub mod maxsize;
pub mod meta;
pub mod metadata;
pub mod onto;
pub mod proxy;
pub mod remote;
pub mod single;
pub mod stamp;
pub mod subject;
pub mod union;
pub mod url;
pub mod uuid;

pub use difference::Tunings;
pub use limit::Limit;
pub use location::{LocationLine, LocationLog, Presence};
pub use maxsize::MaxSizeLog;
pub use meta::MetaLog;
pub use metadata::Metadata;
pub use single::single;
pub use stamp::Stamp;
pub use subject::SubjectLog;
pub use url::UrlLog;

use crate::annex::layout;
use crate::name::{Key, Uuid};

/// How the logs of keys are spread over directories of the branch, for good from when the repository was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogHashing {
    /// `abc/def/`.
    #[default]
    TwoLevels,
    /// `abc/`: `annex.tune.branchhash1`.
    OneLevel,
}

/// The name in the branch of the location log of `key`: `abc/def/KEYFILE.log`, or `abc/KEYFILE.log`.
pub fn location_file(key: &Key, hashing: LogHashing) -> Vec<u8> {
    let dirs = layout::hash_dir_lower(key.as_bytes());
    let dirs = match hashing {
        LogHashing::TwoLevels => &*dirs,
        LogHashing::OneLevel => dirs.split('/').next().unwrap_or_default(),
    };
    let mut name = dirs.as_bytes().to_vec();
    name.push(b'/');
    name.extend_from_slice(&layout::key_file(key.as_bytes()));
    name.extend_from_slice(b".log");
    name
}

/// The name in the branch of the metadata of `key`: `abc/def/KEYFILE.log.met`.
pub fn metadata_file(key: &Key, hashing: LogHashing) -> Vec<u8> {
    [&location_file(key, hashing)[..], b".met"].concat()
}

/// The name in the branch of the urls of `key`: `abc/def/KEYFILE.log.web`.
pub fn url_file(key: &Key, hashing: LogHashing) -> Vec<u8> {
    [&location_file(key, hashing)[..], b".web"].concat()
}

/// The key whose location log has this name in the branch; `None` where it is no location log.
pub fn key_of_location_file(file: &[u8]) -> Option<Key> {
    let name = file.rsplit(|byte| *byte == b'/').next().filter(|_| is_location_file(file))?;
    Key::parse(&layout::key_of_file(name.strip_suffix(b".log")?)?).ok()
}

/// The name in the branch of what remotes keep of `key` for themselves: `abc/def/KEYFILE.log.rmet`.
pub fn remote_meta_file(key: &Key, hashing: LogHashing) -> Vec<u8> {
    let mut name = location_file(key, hashing);
    name.extend_from_slice(b".rmet");
    name
}

/// Whether a file of the branch is a location log, of either hashing.
pub fn is_location_file(file: &[u8]) -> bool {
    let mut parts = file.rsplit(|byte| *byte == b'/');
    let is_log = parts.next().is_some_and(|name| name.ends_with(b".log"));
    let dirs: Vec<&[u8]> = parts.collect();
    is_log && matches!(dirs.len(), 1 | 2) && dirs.iter().all(|dir| dir.len() == 3)
}

/// Whether a file of the branch is one of those kept of a single key, which lie in one or two directories.
pub fn is_of_key(file: &[u8]) -> bool {
    file.contains(&b'/')
}

/// The name in the branch of the log of repositories and their descriptions.
pub const UUID_LOG: &[u8] = b"uuid.log";

/// The name in the branch of the log of special remotes and their configuration.
pub const REMOTE_LOG: &[u8] = b"remote.log";

/// The name in the branch of the log of what proxies offer.
pub const PROXY_LOG: &[u8] = b"proxy.log";

/// The name in the branch of the log of clusters and their nodes.
pub const CLUSTER_LOG: &[u8] = b"cluster.log";

/// The name in the branch of the log of what repositories prefer to have.
pub const PREFERRED_LOG: &[u8] = b"preferred-content.log";

/// The name in the branch of the log of what repositories are required to have.
pub const REQUIRED_LOG: &[u8] = b"required-content.log";

/// The name in the branch of the log of what `groupwanted` stands for in each group.
pub const GROUP_PREFERRED_LOG: &[u8] = b"group-preferred-content.log";

/// The name in the branch of the log of the groups that repositories are in.
pub const GROUP_LOG: &[u8] = b"group.log";

/// The name in the branch of the log of how much repositories may hold.
pub const MAXSIZE_LOG: &[u8] = b"maxsize.log";

/// The name in the branch of the log of how far repositories are trusted.
pub const TRUST_LOG: &[u8] = b"trust.log";

/// The name in the branch of the log of how many copies there are to be.
pub const NUMCOPIES_LOG: &[u8] = b"numcopies.log";

/// The name in the branch of the log of how many copies there must be.
pub const MINCOPIES_LOG: &[u8] = b"mincopies.log";

/// The name in the branch of the log of how repositories are tuned.
pub const DIFFERENCE_LOG: &[u8] = b"difference.log";

/// The name in the branch of the log of rewrites of the branch itself, such as `git annex forget`.
pub const TRANSITIONS_LOG: &[u8] = b"transitions.log";

/// Whether `uuid` is of the form git-annex gives to clusters, which never stand in location logs.
pub fn is_cluster(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    bytes.len() == 36 && bytes.starts_with(b"ac") && bytes[14] == b'8'
}

/// The lines of a log, without empty ones. A carriage return ends a line too, wherever it stands.
fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    log.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

/// What stands before and after the first space.
fn cut(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b' ')?;
    Some((&line[..at], &line[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: names in the branch of git-annex 10.20261026.
    #[test]
    fn location_logs_lie_where_git_annex_looks() {
        for (key, file) in
            [("WORM-s4--a_b__c", "ad1/82e/WORM-s4--a_b__c.log"), ("WORM-s1--x", "3aa/b9d/WORM-s1--x.log")]
        {
            let key = Key::parse(key.as_bytes()).expect("a key");
            assert_eq!(location_file(&key, LogHashing::TwoLevels), file.as_bytes(), "{key}");
            let one = [&file[..4], &file[8..]].concat();
            assert_eq!(location_file(&key, LogHashing::OneLevel), one.as_bytes(), "{key}");
            assert_eq!(remote_meta_file(&key, LogHashing::OneLevel), format!("{one}.rmet").as_bytes(), "{key}");
            assert!(is_location_file(file.as_bytes()) && is_location_file(one.as_bytes()), "{key}");
        }
    }

    #[test]
    fn location_logs_are_told_by_their_name() {
        for (file, is) in [
            ("abc/def/K.log", true),
            ("abc/def/K.log.web", false),
            ("uuid.log", false),
            ("a/b/K.log", false),
            ("abc/de/K.log", false),
        ] {
            assert_eq!(is_location_file(file.as_bytes()), is, "{file}");
        }
    }

    #[test]
    fn clusters_are_told_by_their_uuid() {
        for (uuid, is) in [
            ("ac7412cf-5f6b-8d89-beee-e97abd250740", true),
            ("ac7412cf-5f6b-4d89-beee-e97abd250740", false),
            ("bc7412cf-5f6b-8d89-beee-e97abd250740", false),
            ("ac", false),
        ] {
            assert_eq!(is_cluster(&Uuid::parse(uuid.as_bytes()).expect("a uuid")), is, "{uuid}");
        }
    }
}
