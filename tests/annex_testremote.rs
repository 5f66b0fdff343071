//! git-annex's own examination of a special remote, whole, on every kind of place, with ASYNC and without.
//!
//! `STREAM_TEST_SUBJECT=theirs` puts git-annex's own types in our place, which shows what is the examination's doing.

mod support;

use std::time::Instant;

use support::annex::Repo;
use support::place::{Place, subject};

/// Fewer tests than this would mean that git-annex left parts out; it has 573 for a directory and for S3.
const WHOLE: u32 = 500;

fn testremote(place: Place, with_async: bool) {
    let mut repo = Repo::new();
    if !with_async {
        repo.set("STREAM_ASYNC", "no");
    }
    repo.initremote("x", &place, subject(), &[]).ok();
    let begun = Instant::now();
    let done = repo.annex(&["testremote", "x"]).ok();
    let last = done.stdout.lines().rev().find(|line| line.starts_with("All ")).unwrap_or_else(|| panic!("{done:?}"));
    println!("{last} in {:.1} s", begun.elapsed().as_secs_f64());
    let count = last.split(' ').nth(1).and_then(|n| n.parse::<u32>().ok());
    assert!(count.is_some_and(|n| n >= WHOLE), "not the whole of it: {last}");
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
