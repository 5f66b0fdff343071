//! git-annex's own examination of a special remote on every kind of place, with ASYNC and without.
//!
//! A whole run is some 60,000 requests one after the other (chunks of 1 KiB), minutes each, so by default these take
//! git-annex's own smaller set (`--fast`); `STREAM_TEST_WHOLE=yes` (`make test WHOLE=yes`) runs all whole.
//! `STREAM_TEST_SUBJECT=theirs` puts git-annex's own types in our place, which shows what is the examination's doing.

use std::time::{Duration, Instant};

use testbed::annex::Repo;
use testbed::place::{Place, subject};

/// Longest a whole run may take; on a loaded machine of two cores 200 s were seen for a network store.
const LIMIT: Duration = Duration::from_secs(900);

fn testremote(place: Place, with_async: bool) {
    testremote_with(place, with_async, &[]);
}

/// The same on a remote that trees are exported to, with which git-annex tries exports as well.
fn testremote_export(place: Place, with_async: bool) {
    testremote_with(place, with_async, &["exporttree=yes"]);
}

fn testremote_with(place: Place, with_async: bool, more: &[&str]) {
    let whole = std::env::var("STREAM_TEST_WHOLE").is_ok_and(|it| it == "yes");
    // Fewer tests than these would mean that git-annex left parts out: it has 573 whole and 125 fast.
    let (words, least): (&[&str], u32) =
        if whole { (&["testremote", "x"], 500) } else { (&["testremote", "--fast", "x"], 100) };
    let mut repo = Repo::new();
    if !with_async {
        repo.set("STREAM_ASYNC", "no");
    }
    repo.reach(&place);
    repo.initremote("x", &place, subject(), more).ok();
    let begun = Instant::now();
    let done = repo.annex_within(words, LIMIT).ok();
    let last = done.stdout.lines().rev().find(|line| line.starts_with("All ")).unwrap_or_else(|| panic!("{done:?}"));
    println!("{last} in {:.1} s", begun.elapsed().as_secs_f64());
    let count = last.split(' ').nth(1).and_then(|n| n.parse::<u32>().ok());
    assert!(count.is_some_and(|n| n >= least), "not all of it: {last}");
}

/// On a service that may not be installed here, which is said then: trees too.
fn testremote_if_installed(place: Option<Place>) {
    if let Some(place) = place {
        testremote_export(place, true);
    }
}

#[test]
fn sftp_with_trees() {
    testremote_if_installed(Place::sftp());
}

#[test]
fn azblob_with_trees() {
    testremote_if_installed(Place::azblob());
}

#[test]
fn swift_with_trees() {
    testremote_if_installed(Place::swift());
}

#[test]
fn moto_with_trees() {
    testremote_if_installed(Place::moto());
}

#[test]
fn fs_with_async() {
    testremote(Place::fs(), true);
}

#[test]
fn fs_without_async() {
    testremote(Place::fs(), false);
}

#[test]
fn seaweedfs_with_async() {
    testremote(Place::weed(), true);
}

#[test]
fn seaweedfs_without_async() {
    testremote(Place::weed(), false);
}

#[test]
fn rclone_s3_with_async() {
    testremote(Place::rclone_s3(), true);
}

#[test]
fn rclone_s3_without_async() {
    testremote(Place::rclone_s3(), false);
}

#[test]
fn webdav_with_async() {
    testremote(Place::webdav(), true);
}

#[test]
fn webdav_without_async() {
    testremote(Place::webdav(), false);
}

#[test]
fn exports_to_fs_with_async() {
    testremote_export(Place::fs(), true);
}

#[test]
fn exports_to_fs_without_async() {
    testremote_export(Place::fs(), false);
}

#[test]
fn exports_to_seaweedfs_with_async() {
    testremote_export(Place::weed(), true);
}

#[test]
fn exports_to_seaweedfs_without_async() {
    testremote_export(Place::weed(), false);
}

#[test]
fn exports_to_rclone_s3_with_async() {
    testremote_export(Place::rclone_s3(), true);
}

#[test]
fn exports_to_rclone_s3_without_async() {
    testremote_export(Place::rclone_s3(), false);
}

#[test]
fn exports_to_webdav_with_async() {
    testremote_export(Place::webdav(), true);
}

#[test]
fn exports_to_webdav_without_async() {
    testremote_export(Place::webdav(), false);
}
