//! Same bytes in the same places: what git-annex's own `directory` and `S3` types store, ours finds, and the other way
//! round, so that nobody has to convert anything to change over or back.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use testbed::annex::{Repo, content};
use testbed::place::{Place, Whose};

const FILES: [(&str, u64, usize); 4] =
    [("empty", 1, 0), ("one.dat", 2, 1), ("with space.tar.gz", 3, 70_000), ("big.bin", 4, 9 << 20)];

/// A repository with the four files, stored through `whose` remote named `first`.
fn stored(place: &Place, whose: Whose, options: &[&str]) -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let mut keys: Vec<String> = FILES.iter().map(|&(name, seed, len)| repo.add(name, seed, len)).collect();
    keys.sort();
    repo.initremote("first", place, whose, options).ok();
    repo.annex(&["copy", "--to", "first", "--quiet"]).ok();
    (repo, keys)
}

/// What `first` stored is found, checked and fetched through a second remote of `whose` kind on the same place.
fn found_by(repo: &Repo, place: &Place, whose: Whose, options: &[&str]) {
    let options: Vec<&str> = ["--sameas=first"].iter().chain(options).copied().collect();
    repo.initremote("second", place, whose, &options).ok();
    repo.annex(&["fsck", "--from", "second", "--quiet"]).ok();
    repo.annex(&["drop", "--from", "first", "--force", "--quiet", "one.dat"]).ok();
    // Its own answer, and not the location log both share: dropped there means absent here.
    let key = repo.annex(&["lookupkey", "one.dat"]).ok().stdout;
    let asked = repo.annex(&["checkpresentkey", key.trim(), "second"]);
    assert_eq!(asked.status.code(), Some(1), "positively absent: {}", asked.all());
    repo.annex(&["copy", "--to", "second", "--quiet", "one.dat"]).ok();
    repo.annex(&["drop", "--quiet"]).ok();
    repo.annex(&["get", "--from", "second", "--quiet"]).ok();
    for (name, seed, len) in FILES {
        assert!(repo.read(name).as_deref() == Some(content(seed, len).as_slice()), "{name} came back different");
    }
    // And the first still finds what the second stored.
    repo.annex(&["fsck", "--from", "first", "--quiet"]).ok();
}

fn both_ways(place: impl Fn() -> Place, options: &[&str]) {
    let (theirs, ours) = (place(), place());
    let (their_repo, keys) = stored(&theirs, Whose::Theirs, options);
    let (our_repo, same_keys) = stored(&ours, Whose::Ours, options);
    assert_eq!(keys, same_keys, "the files are drawn from seeds");
    assert_eq!(theirs.names(), ours.names(), "names, theirs and ours");
    for key in &keys {
        // Chunks have fields of their own before the digest, which is the same.
        let digest = key.rsplit("--").next().expect("a key has two dashes");
        assert!(ours.names().iter().any(|name| name.ends_with(digest)), "{key} is in {:?}", ours.names());
    }
    found_by(&their_repo, &theirs, Whose::Ours, options);
    found_by(&our_repo, &ours, Whose::Theirs, options);
    assert_eq!(theirs.names(), ours.names(), "names after both wrote");
}

#[test]
fn directory_is_shared_both_ways() {
    both_ways(Place::fs, &[]);
}

#[test]
fn bucket_is_shared_both_ways() {
    both_ways(Place::weed, &[]);
}

#[test]
fn bucket_with_a_prefix_is_shared_both_ways() {
    both_ways(Place::weed, &["fileprefix=some/dir/pre_"]);
}

#[test]
fn multipart_objects_are_shared_both_ways() {
    // git-annex cuts parts a little below partsize, and S3 refuses those below 5 MiB.
    both_ways(Place::weed, &["partsize=8MiB"]);
}

#[test]
fn chunks_are_shared_both_ways() {
    both_ways(Place::fs, &["chunk=1MiB"]);
}

#[test]
fn directory_modes_are_those_git_annex_leaves() {
    let (theirs, ours) = (Place::fs(), Place::fs());
    stored(&theirs, Whose::Theirs, &[]);
    stored(&ours, Whose::Ours, &[]);
    assert_eq!(tree(&theirs.path()), tree(&ours.path()), "theirs on the left, ours on the right");
}

/// Every path below `dir` with its mode and, for files, its size; sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory of the store") {
            let path = entry.expect("an entry").path();
            let meta = path.symlink_metadata().expect("it exists");
            let size = if meta.is_file() { meta.len() } else { 0 };
            let name = path.strip_prefix(dir).expect("it is below").display();
            lines.push(format!("{:o} {size} {name}", meta.mode()));
            if meta.is_dir() {
                dirs.push(path);
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_bucket_of_another_remote_is_refused() {
    let place = Place::weed();
    Repo::new().initremote("first", &place, Whose::Theirs, &[]).ok();
    let refused = Repo::new().initremote("second", &place, Whose::Ours, &[]).failed();
    assert!(refused.all().contains("uuid") || refused.all().contains("UUID"), "{}", refused.all());
}
