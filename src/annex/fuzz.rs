//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that plain tests can run them too.
//!
//! They panic when a promise of the module is broken.

use std::collections::BTreeSet;

use super::backend::{Verification, Verifier};
use super::export::exportable::Exportable;
use super::export::pointer::pointed_to;
use super::key::Fields;
use super::layout;
use super::log::cluster::ClusterLog;
use super::log::proxy::ProxyLog;
use super::log::remote::RemoteLog;
use super::log::union::union;
use super::log::uuid::UuidLog;
use super::log::{LocationLog, LogHashing, MaxSizeLog, Presence, is_cluster, is_location_file, location_file};
use super::log::{Metadata, SubjectLog, UrlLog, single};
use crate::annex::git::object::FileKind;
use crate::annex::log::export::ExportLog;
use crate::name::{Key, Uuid};

/// The first byte says what is recorded; the rest is two versions of a log, the first NUL between them. They are read as each
/// kind of log, and made one.
pub fn logs(data: &[u8]) {
    let Some((what, data)) = data.split_first() else { return };
    let at = data.iter().position(|byte| *byte == 0);
    let (ours, theirs) = at.map_or((data, &data[..0]), |at| (&data[..at], &data[at + 1..]));
    let both = union(ours, theirs);
    let lines: BTreeSet<_> = facts(ours).into_iter().chain(facts(theirs)).collect();
    assert_eq!(facts(&both), lines, "a union is not the lines of both sides");
    for (a, b) in [(theirs, ours), (&both[..], ours), (&both, theirs), (&both, &both)] {
        assert_eq!(facts(&union(a, b)), lines, "a union that depends on the order, or changes when it is made again");
    }
    location(ours, theirs, &both, *what);
    for log in [ours, theirs] {
        uuids(log);
        proxies(log);
        clusters(log, u64::from(*what));
        exports(log);
        wanted(log);
        max_sizes(log, u64::from(*what));
    }
}

/// Logs that preferred content rests on: a line that stands twice counts once, and what is not there has no value.
fn wanted(log: &[u8]) {
    let twice = [log, b"\n", log].concat();
    let subjects = SubjectLog::parse(log);
    assert_eq!(SubjectLog::parse(&twice), subjects, "a line that stands twice counts otherwise");
    for (subject, value) in subjects.iter() {
        assert!(!subject.contains(&b' ') && !value.contains(&b'\n'));
        assert_eq!(subjects.value(subject), Some(value));
    }
    let urls = UrlLog::parse(log);
    assert_eq!(UrlLog::parse(&twice), urls, "a line that stands twice counts otherwise");
    assert!(urls.urls().all(|url| !url.contains(&b'\n')));
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    assert_eq!(single(&twice, number), single(log, number), "a line that stands twice counts otherwise");
    let metadata = Metadata::parse(log);
    let mut dates = 0;
    metadata.values(b"lastchanged", &mut |_| dates += 1);
    assert!(dates > 0 || metadata == Metadata::default());
    metadata.values(b"d1:n-lastchanged", &mut |_| dates += 1);
}

/// What is recorded is read again, and nothing else changes.
fn max_sizes(log: &[u8], bytes: u64) {
    let read = MaxSizeLog::parse(log);
    assert_eq!(MaxSizeLog::parse(&read.to_bytes()), read, "what is written reads otherwise");
    let Some(uuid) = read.uuids().next().cloned() else { return };
    let mut set = read.clone();
    set.set(&uuid, bytes.into(), bytes);
    let written = MaxSizeLog::parse(&set.to_bytes());
    assert_eq!(written.max_size(&uuid), Some(bytes), "a size is lost");
    let others = |log: &MaxSizeLog| -> Vec<_> {
        log.uuids().filter(|other| **other != uuid).map(|other| (other.clone(), log.recorded(other))).collect()
    };
    assert_eq!(others(&written), others(&read), "a size of another is changed");
}

/// What is written of a log of exports, or of an exported tree, reads the same; pointers are told without a panic.
fn exports(log: &[u8]) {
    let read = ExportLog::parse(log);
    assert_eq!(ExportLog::parse(&read.to_bytes()), read, "what is written reads otherwise");
    if let Some(tree) = Exportable::parse(log) {
        assert_eq!(Exportable::parse(&tree.to_bytes()), Some(tree), "what is written reads otherwise");
    }
    for kind in [FileKind::Plain, FileKind::Link] {
        let _ = pointed_to(log, kind);
    }
}

/// The first byte says how content is cut into pieces; what follows is a key up to the first newline, and content.
pub fn keys(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (bytes, content) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    places(bytes);
    if let Some(key) = layout::key_of_file(bytes) {
        assert_eq!(layout::key_file(&key), bytes, "a file that is not its key's");
    }
    let fields = Fields::of(bytes);
    let whole = fields.unchunked();
    assert_eq!(Fields::of(&whole).unchunked(), whole, "a chunk of a chunk");
    let Ok(key) = Key::parse(bytes) else { return };
    assert_eq!(Key::parse(key.as_bytes()).as_ref(), Ok(&key), "what is written is another key");
    assert!(key.as_bytes().starts_with(key.backend()) && key.as_bytes().ends_with(key.name()));
    assert!(!key.backend().is_empty() && key.as_bytes().len() <= Key::LONGEST);
    places(key.as_bytes());
    assert!(Key::parse(&Fields::of(key.as_bytes()).unchunked()).is_ok(), "a chunk of no key");
    for hashing in [LogHashing::TwoLevels, LogHashing::OneLevel] {
        assert!(is_location_file(&location_file(&key, hashing)));
    }
    if let Some(len) = Fields::of(key.as_bytes()).stored_len() {
        assert_eq!(key.content_len(), Some(len), "two lengths of one key");
    }
    verify(&key, content, usize::from(*step).max(1));
}

/// Where content of `key` lies, whether these bytes are a key or not: always below its directories.
fn places(key: &[u8]) {
    let file = layout::key_file(key);
    assert!(!file.contains(&b'/'), "a name that leaves its directory");
    if !key.contains(&0) {
        assert_eq!(layout::key_of_file(&file).as_deref(), Some(key), "a file that is another key's");
    }
    let (lower, mixed) = (layout::hash_dir_lower(key), layout::hash_dir_mixed(key));
    assert_eq!((lower.len(), lower.find('/'), mixed.len(), mixed.find('/')), (7, Some(3), 5, Some(2)));
    let tree = layout::tree(key);
    assert_eq!(tree, [lower.as_bytes(), b"/", &file, b"/", &file].concat());
}

/// Content is right or wrong however it is cut.
fn verify(key: &Key, content: &[u8], step: usize) {
    crate::name::is_secure(key);
    let proven = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut verifier = Verifier::for_key(key)?;
        pieces.for_each(|piece| verifier.update(piece));
        Some(verifier.finish())
    };
    let whole = proven(&mut std::iter::once(content));
    assert_eq!(proven(&mut content.chunks(step)), whole, "pieces matter");
    assert_eq!(matches!(Verification::for_key(key), Verification::Digest(_)), whole.is_some());
    if whole == Some(true) {
        let other = proven(&mut [content, &b"x"[..]].into_iter());
        assert_eq!(other, Some(false), "any content is right");
    }
}

fn location(ours: &[u8], theirs: &[u8], both: &[u8], what: u8) {
    let read = LocationLog::parse(ours);
    let written = read.to_bytes();
    assert_eq!(LocationLog::parse(&written), read, "what is written reads otherwise");
    let mut absorbed = read.clone();
    absorbed.absorb(LocationLog::parse(theirs));
    assert!(!absorbed.clone().absorb(LocationLog::parse(theirs)), "something is absorbed twice");
    // Which of two facts of the same time counts depends on the order of lines; that they are there does not.
    let united = LocationLog::parse(both);
    assert!(!united.clone().absorb(absorbed.clone()) && !absorbed.clone().absorb(united), "a union loses a fact");

    let presence = [Presence::Present, Presence::Missing, Presence::Dead][usize::from(what % 3)];
    let name = facts(ours).first().and_then(|line| line.rsplit(|byte| *byte == b' ').next().map(<[u8]>::to_vec));
    let Some(uuid) = name.and_then(|name| Uuid::parse(&name).ok()) else { return };
    let mut set = read.clone();
    let changed = set.set(&uuid, presence, u64::from(what));
    assert_eq!(changed, !is_cluster(&uuid) && read.presence(&uuid) != Some(presence));
    assert!(!set.clone().set(&uuid, presence, u64::MAX), "recorded twice");
    if changed {
        assert_eq!(LocationLog::parse(&set.to_bytes()).presence(&uuid), Some(presence), "a record is lost");
        let holders = set.holders().filter(|holder| *holder != uuid);
        assert!(holders.eq(read.holders().filter(|holder| *holder != uuid)), "a record of another is changed");
    }
}

fn uuids(log: &[u8]) {
    let read = UuidLog::parse(log);
    let twice = UuidLog::parse(&[log, b"\n", log].concat());
    assert_eq!(read, twice, "a line that stands twice counts otherwise");
    for (uuid, value) in read.iter() {
        assert!(!value.contains(&b'\n'));
        assert_eq!(read.value(uuid), Some(value));
    }
    let specials = RemoteLog::parse(log);
    assert_eq!(specials.iter().count(), read.iter().count());
    for (uuid, config) in specials.iter() {
        assert_eq!(specials.config(uuid), Some(config));
        assert!(config.keys().all(|name| !name.contains(&b'=') && !name.contains(&b' ')));
    }
}

fn proxies(log: &[u8]) {
    let (read, twice) = (ProxyLog::parse(log), ProxyLog::parse(&[log, b"\n", log].concat()));
    assert_eq!(read, twice, "a line that stands twice counts otherwise");
    for line in facts(log) {
        let Some(proxy) = line.split(|byte| *byte == b' ').nth(1).and_then(|word| Uuid::parse(word).ok()) else {
            continue;
        };
        assert!(
            read.proxied(&proxy).iter().all(|remote| !remote.name.contains(&b' ') && !remote.name.contains(&b'\n'))
        );
    }
}

/// What is recorded of a cluster is read again, and nothing else changes.
fn clusters(log: &[u8], now: u64) {
    let read = ClusterLog::parse(log);
    assert_eq!(ClusterLog::parse(&[log, b"\n", log].concat()), read, "a line that stands twice counts otherwise");
    assert_eq!(ClusterLog::parse(&read.to_bytes()), read, "what is written reads otherwise");
    for cluster in read.clusters() {
        let nodes = read.nodes(cluster);
        assert!(nodes.is_sorted_by(|a, b| a < b), "a node that is two");
        assert!(nodes.iter().all(|node| read.clusters_of(node).any(|of| of == cluster)), "a node of no cluster");
    }
    let Some(cluster) = read.clusters().next().cloned() else { return };
    let mut set = read.clone();
    set.set(&cluster, [cluster.clone()].into(), now);
    let written = ClusterLog::parse(&set.to_bytes());
    assert!(written.nodes(&cluster).iter().eq([&cluster]), "nodes are lost");
    let others = |log: &ClusterLog| -> Vec<_> {
        let others = log.clusters().filter(|other| **other != cluster);
        others.map(|other| (other.clone(), log.nodes(other).to_vec())).collect()
    };
    assert_eq!(others(&written), others(&read), "another cluster is changed");
}

/// The lines of a log, each once.
fn facts(log: &[u8]) -> BTreeSet<Vec<u8>> {
    log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    /// Runs `body` over the named files of a target's corpus: whole, cut short anywhere, and with any byte lost or replaced.
    fn run_seeds(target: &str, body: fn(&[u8])) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus").join(target);
        let entries = std::fs::read_dir(&directory).expect("the seeds are part of the source");
        // Files named by a hash are what a fuzzer left here; the seeds have names.
        let seeds = entries.map(|entry| entry.expect("a readable directory").path());
        let seeds: Vec<_> = seeds.filter(|path| path.file_name().is_some_and(|name| name.len() != 40)).collect();
        assert!(seeds.len() >= 4, "seeds of {target} are missing");
        for seed in seeds {
            let seed = std::fs::read(seed).expect("a readable seed");
            body(&seed);
            for at in 0..seed.len() {
                body(&seed[..at]);
                body(&[&seed[..at], &seed[at + 1..]].concat());
                for byte in *b"\r\n -=:;&%/.0sX\0\xff" {
                    let mut input = seed.clone();
                    input[at] = byte;
                    body(&input);
                }
            }
        }
    }

    #[test]
    fn the_log_target_survives_its_seeds_and_small_changes() {
        run_seeds("annex_logs", super::logs);
    }

    #[test]
    fn the_key_target_survives_its_seeds_and_small_changes() {
        run_seeds("annex_keys", super::keys);
    }

    /// Bytes that look like a log or a key more often than chance would have it.
    fn words(words: Vec<&'static [u8]>) -> impl Strategy<Value = Vec<u8>> {
        let word = proptest::sample::select(words).prop_map(<[u8]>::to_vec);
        let noise = proptest::collection::vec(any::<u8>(), 0..3);
        proptest::collection::vec(prop_oneof![8 => word, 1 => noise], 0..16).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn anything_like_a_log_is_survived(data in words(vec![
            b"5s", b"999999999999999999s", b"-1.5s", b" 1 ", b" 0 ", b" X ", b"u", b"v", b" ", b"\n", b"\r\n", b"\0", b"d1:n ",
            b" timestamp=", b"name=a&32;b", b"ac7412cf-5f6b-8d89-beee-e97abd250740",
        ])) {
            super::logs(&data);
        }

        #[test]
        fn anything_like_a_key_is_survived(data in words(vec![
            b"SHA256E", b"WORM", b"GPGHMACSHA1", b"XXH3", b"A", b"-s5", b"-m7", b"-S2", b"-C1", b"-s007", b"--", b".txt", b"/",
            b"&", b"%", b":", b"&a", b"\n", b"x",
        ])) {
            super::keys(&data);
        }
    }
}
