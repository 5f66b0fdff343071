//! What a server holds when it is at rest, and that it comes back to that.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::annex::{Repo, content};
use super::gateway::{Held, SOON, eventually};
use super::wire::{Wire, key_of};

/// What is done once stays: threads are started, files opened.
#[track_caller]
pub fn warm_up(wire: &Wire, key: &str) {
    let body = content(4242, 600_000);
    assert_eq!(wire.put(&key_of(&body), &body).status, 200);
    wire.unlock(&wire.lock(key));
    assert_eq!(wire.server.connect().ask(&wire.get(key)).status, 200);
    wire.ask("remove", &key_of(&body));
}

/// What the server holds when nobody wants anything of it.
#[track_caller]
pub fn at_rest(wire: &Wire) -> Held {
    eventually("it comes to rest", || wire.server.metric("connections") == 0 && journal(&wire.repo).is_empty());
    // Threads that wait for work go after ten seconds. One test waits for that.
    Held { threads: 64, ..wire.server.held() }
}

/// Puts a little content and gives its key.
#[track_caller]
pub fn put_some(wire: &Wire, seed: u64) -> String {
    let body = content(seed, 1000);
    assert_eq!(wire.put(&key_of(&body), &body).status, 200);
    key_of(&body)
}

/// Waits until the server holds what it held.
#[track_caller]
pub fn returns_to(wire: &Wire, before: Held) {
    let begun = Instant::now();
    loop {
        let now = wire.server.held();
        if now.no_more_than(&before) {
            break;
        }
        assert!(begun.elapsed() < SOON, "it held {before:?} and holds {now:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let annex = annex_dir(&wire.repo);
    let locked = leftovers_in(&annex.join("transfer"), &["lck."]);
    assert_eq!(locked, Vec::<PathBuf>::new(), "locks of transfers");
    assert_eq!(leftovers_in(&annex.join("othertmp"), &[""]), Vec::<PathBuf>::new(), "private files");
}

/// The annex of a repository, bare or not.
pub fn annex_dir(repo: &Repo) -> PathBuf {
    let bare = repo.dir().join("annex");
    if bare.exists() { bare } else { repo.dir().join(".git/annex") }
}

/// What is recorded and not committed.
pub fn journal(repo: &Repo) -> Vec<PathBuf> {
    leftovers_in(&annex_dir(repo).join("journal"), &[""])
}

/// Files below the objects whose names contain one of `names`.
pub fn leftovers(repo: &Repo, names: &[&str]) -> Vec<PathBuf> {
    leftovers_in(&annex_dir(repo).join("objects"), names)
}

fn leftovers_in(dir: &Path, names: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(leftovers_in(&path, names));
        } else if names.iter().any(|name| entry.file_name().to_string_lossy().contains(name)) {
            found.push(path);
        }
    }
    found
}
