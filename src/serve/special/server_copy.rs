//! Content that is at another path of the tree already: the store copies it, and nothing is sent.
//!
//! git-annex stores a file with two names twice. Where else its content may be is read from the trees that were exported
//! before, and from what this process did; whether it really is there is asked of the store, whose ETag must be the one that
//! the local file has. So a wrong guess costs a request, and never a file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use md5::Md5;
use remotes::{ObjectName, Store, Stored};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::sync::OnceCell;

use crate::annex::layout;
use crate::proto::special::Key;

/// Length in bytes from which a copy pays: it takes four requests, and an upload one.
const WORTH: u64 = 64 << 10;

/// Most names that are remembered of what this process did, and of what was exported before.
const RECENT: usize = 10_000;
const EXPORTED: usize = 250_000;

/// Trees of earlier exports that are looked at.
const TREES: usize = 4;

/// Deepest directory a link is looked for in.
const DEPTH: usize = 12;

/// Longest wait for git to tell them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes read at once.
const STEP: usize = 1 << 20;

/// Part sizes that uploads and copies have here, where the parts themselves do not tell.
const PARTS: [u64; 2] = [8 << 20, 1 << 30];

/// Where content may be.
#[derive(Default)]
pub(super) struct ServerCopies {
    recent: RefCell<HashMap<Key, ObjectName>>,
    exported: OnceCell<HashMap<Vec<u8>, Vec<u8>>>,
}

impl ServerCopies {
    /// The content of `key` is at `name` now.
    pub(super) fn learn(&self, key: &Key, name: &ObjectName) {
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= RECENT {
            recent.clear();
        }
        recent.insert(key.clone(), name.clone());
    }

    /// Has the store make `to` out of another name of the same content. `None` where there is none, or it cannot.
    pub(super) async fn copy(
        &self,
        store: &Rc<dyn Store>,
        key: &Key,
        to: &ObjectName,
        file: &Arc<File>,
        len: u64,
    ) -> Option<(ObjectName, Stored)> {
        if len < WORTH || store.capabilities().local {
            return None;
        }
        let copies = store.copies()?;
        for from in self.candidates(key).await.into_iter().filter(|from| from != to) {
            let Ok(Some(stat)) = store.stat(&from).await else { continue };
            let Some(tag) = stat.tag.filter(|_| stat.len == len) else { continue };
            let (file, told) = (Arc::clone(file), tag.clone());
            let same = tokio::task::spawn_blocking(move || matches(&file, len, &told)).await;
            if !matches!(same, Ok(Ok(true))) {
                continue;
            }
            // What goes wrong here goes right, or wrong with a better reason, when the file is sent.
            if let Ok(stored) = copies.copy(&from, to, Some(&tag)).await
                && stored.len == len
            {
                return Some((from, stored));
            }
        }
        None
    }

    async fn candidates(&self, key: &Key) -> Vec<ObjectName> {
        let recent = self.recent.borrow().get(key).cloned();
        let read = || async {
            let reading = tokio::task::spawn_blocking(exported);
            // Without it files are sent, which is no worse than it was.
            tokio::time::timeout(PATIENCE, reading).await.ok().and_then(Result::ok).unwrap_or_default()
        };
        let exported = self.exported.get_or_init(read).await;
        let before = blobs(key.as_bytes()).into_iter().find_map(|blob| exported.get(&blob));
        recent.into_iter().chain(before.and_then(|name| ObjectName::new(name).ok())).collect()
    }
}

/// The names in the trees that were exported before, by the blobs that git has for them. Empty where there are none, or git
/// does not tell.
fn exported() -> HashMap<Vec<u8>, Vec<u8>> {
    let mut names = HashMap::new();
    let mut lines = Vec::new();
    git(&["cat-file", "blob", "git-annex:export.log"].map(OsStr::new), b'\n', |line| {
        lines.push(line.to_vec());
        lines.len() < RECENT
    });
    lines.sort_unstable();
    for line in lines.iter().rev().take(TREES) {
        let Some(tree) = line.split(|byte| *byte == b' ').nth(2).and_then(|tree| std::str::from_utf8(tree).ok()) else {
            continue;
        };
        if unhex(tree.as_bytes()).is_none() {
            continue;
        }
        entries(&["ls-tree", "-r", "-z", tree].map(OsStr::new), |blob, name| {
            names.entry(blob).or_insert_with(|| name.to_vec());
            names.len() < EXPORTED
        });
    }
    names
}

/// The blobs and names that `git ls-tree -z` says, until `take` has enough. Nothing where it cannot.
pub(super) fn entries(words: &[&OsStr], mut take: impl FnMut(Vec<u8>, &[u8]) -> bool) {
    git(words, 0, |entry| {
        // MODE SP "blob" SP HASH TAB NAME
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { return true };
        let hash = entry[..tab].rsplit(|byte| *byte == b' ').next().and_then(unhex);
        hash.is_none_or(|hash| take(hash, &entry[tab + 1..]))
    });
}

/// What git says, piece by piece, until `take` has enough. Nothing where it cannot.
pub(super) fn git(words: &[&OsStr], end: u8, mut take: impl FnMut(&[u8]) -> bool) {
    let mut command = Command::new("git");
    command.args(words).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return };
    if let Some(stdout) = child.stdout.take() {
        let mut pieces = BufReader::new(stdout).split(end).map_while(Result::ok);
        while pieces.next().is_some_and(|piece| take(&piece)) {}
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The bytes of a name of 40 or 64 hexadecimal digits.
fn unhex(hex: &[u8]) -> Option<Vec<u8>> {
    matches!(hex.len(), 40 | 64).then(|| annex_types::hex::read(hex))?
}

/// The blobs by which git knows an annexed file: as a pointer, and as a link from directories of every depth; by SHA-1 and by
/// SHA-256, of which a repository has one.
pub(super) fn blobs(key: &[u8]) -> Vec<Vec<u8>> {
    [blobs_by::<Sha1>(key), blobs_by::<Sha256>(key)].concat()
}

fn blobs_by<D: Digest>(key: &[u8]) -> Vec<Vec<u8>> {
    let file = layout::key_file(key);
    let blob = |content: &[u8]| -> Vec<u8> {
        let mut hasher = D::new();
        hasher.update(format!("blob {}\0", content.len()));
        hasher.update(content);
        hasher.finalize().to_vec()
    };
    let mut all = vec![blob(&[b"/annex/objects/", &file[..], b"\n"].concat())];
    let place = format!(".git/annex/objects/{}/", layout::hash_dir_mixed(key)).into_bytes();
    let link = [&place[..], &file, b"/", &file].concat();
    all.extend((0..DEPTH).map(|depth| blob(&[&b"../".repeat(depth)[..], &link].concat())));
    all
}

/// Whether a file's ETag is `tag`: the MD5 of its content, or that of the MD5s of its parts with their number.
fn matches(file: &File, len: u64, tag: &str) -> io::Result<bool> {
    let tag = tag.trim_matches('"');
    let Some((digest, count)) = tag.split_once('-') else {
        return Ok(annex_types::hex::show(&md5(file, 0, len)?) == tag);
    };
    let Some(count) = count.parse::<u64>().ok().filter(|count| *count > 0) else { return Ok(false) };
    let smallest = len.div_ceil(count).next_multiple_of(1 << 20);
    for part in PARTS.into_iter().chain([smallest]).filter(|part| len.div_ceil(*part) == count) {
        let mut whole = Md5::new();
        for number in 0..count {
            whole.update(md5(file, number * part, part.min(len - number * part))?);
        }
        if annex_types::hex::show(&whole.finalize()) == digest {
            return Ok(true);
        }
    }
    Ok(false)
}

fn md5(file: &File, mut at: u64, mut len: u64) -> io::Result<Vec<u8>> {
    let (mut hasher, mut block) = (Md5::new(), vec![0; STEP]);
    while len > 0 {
        let want = usize::try_from(len).map_or(STEP, |len| len.min(STEP));
        file.read_exact_at(&mut block[..want], at)?;
        hasher.update(&block[..want]);
        (at, len) = (at + want as u64, len - want as u64);
    }
    Ok(hasher.finalize().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: [&str; 3] = [
        "8a2a0c93f9046db131259fb7b300bf9d31f524a4",
        "0dc0b41f1c12de98effb26cc0a541995402e9cd4",
        "3de500c67b3d1748288b984f302576e8c71a845c",
    ];

    /// Recorded: `git ls-tree` of a repository with the file at its top, in a directory, and unlocked.
    #[test]
    fn blobs_are_those_git_annex_adds() {
        let key = b"SHA256E-s2--87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
        let all: Vec<_> = blobs(key).iter().map(|blob| annex_types::hex::show(blob)).collect();
        let by_sha256 = "6643b341974d50f4cd7d05b090d098bd9d802ec1eda28126e867200084682768";
        for known in RECORDED.into_iter().chain([by_sha256]) {
            assert!(all.iter().any(|blob| blob == known), "{known} in {all:?}");
        }
    }

    #[test]
    fn etags_of_one_part_and_of_many_are_told() {
        let content: Vec<u8> = (0..(9u32 << 20)).map(|n| (n % 251) as u8).collect();
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&content, 0).expect("written");
        let len = content.len() as u64;
        let one = annex_types::hex::show(&Md5::digest(&content));
        assert!(matches(&file, len, &format!("\"{one}\"")).expect("read"));
        let (first, second) = content.split_at(8 << 20);
        let two = annex_types::hex::show(&Md5::digest([Md5::digest(first), Md5::digest(second)].concat()));
        assert!(matches(&file, len, &format!("{two}-2")).expect("read"));
        for other in
            ["", "-", "x-2", &format!("{two}-3"), &format!("{one}-1"), &two[..], "W/\"1\"", &format!("{two}-0")]
        {
            assert!(!matches(&file, len, other).expect("read"), "{other}");
        }
    }
}
