//! What has to be recorded in the end, and whether it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use testbed::annex::{Repo, content};

/// For each key and uuid, whether the content was said to be there last.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<(String, String), bool>>);

impl Ledger {
    /// It was acknowledged that `uuid` has `key`, or has it no more.
    pub fn line(&self, key: &str, uuid: &str, present: bool) {
        self.0.lock().expect("no holder panics").insert((key.to_string(), uuid.to_string()), present);
    }

    /// Panics, naming all that is missing, where the branch of `server` does not say the same, or where what it says of
    /// `server` itself is not so, or where a lock is left.
    #[track_caller]
    pub fn hold_against(&self, server: &Repo) {
        let recorded = server.recorded();
        let expected = self.0.lock().expect("no holder panics");
        let wrong: Vec<_> = expected.iter().filter(|(line, present)| recorded.get(*line) != Some(*present)).collect();
        assert!(wrong.is_empty(), "{} of {} lines lost: {wrong:#?}", wrong.len(), expected.len());
        let own = server.uuid();
        let here: BTreeSet<&str> = recorded
            .iter()
            .filter(|((_, uuid), present)| **present && *uuid == own)
            .map(|((key, _), _)| key.as_str())
            .collect();
        let (objects, locks) = objects(server);
        let objects: BTreeSet<&str> = objects.iter().map(String::as_str).collect();
        assert_eq!(objects.difference(&here).collect::<Vec<_>>(), Vec::<&&str>::new(), "here and not recorded");
        assert_eq!(here.difference(&objects).collect::<Vec<_>>(), Vec::<&&str>::new(), "recorded and not here");
        assert_eq!(locks, Vec::<PathBuf>::new(), "locks are left");
    }
}

/// Key number `n` of part `part`, and its content of `len` bytes.
pub fn keyed(part: u64, n: u64, len: usize) -> (String, Vec<u8>) {
    let bytes = content(part << 32 | n, len);
    let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("SHA256-s{len}--{hex}"), bytes)
}

/// Where the annex of `repo` is.
pub fn annex_dir(repo: &Repo) -> PathBuf {
    let inner = repo.dir().join(".git");
    if inner.exists() { inner.join("annex") } else { repo.dir().join("annex") }
}

/// Keys whose content is there, and files that tell of a lock.
fn objects(server: &Repo) -> (Vec<String>, Vec<PathBuf>) {
    let (mut keys, mut locks) = (Vec::new(), Vec::new());
    let mut directories = vec![annex_dir(server).join("objects")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.file_name() == directory.file_name() {
                keys.push(name(&path));
            } else {
                locks.push(path);
            }
        }
    }
    (keys, locks)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
