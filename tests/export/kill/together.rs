//! Others are at it at the same time, or the store fails: nobody gets wrong bytes, nothing is lost, and it ends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::lab::{HASTY, Lab, PATIENT};
use super::stores::{Bucket, Directory};
use super::trees::File;
use super::{stride, whole};
use testbed::annex::content;
use testbed::faulty::{At, How};
use testbed::proxy::NAME;
use testbed::way::{Outcome, Way};

/// Clients read while names go back and forth. Content that is there is never denied, nor is anything else given for it.
fn readers_see_nothing_of_it(lab: &mut Lab, turns: usize) {
    let gateway = lab.gateway();
    let (over, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let keys: Vec<(String, Vec<u8>)> =
        lab.present.iter().map(|key| (key.clone(), lab.season.contents.0[key].clone())).collect();
    let uuid = lab.uuid.clone();
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (keys, over, reads, gateway, uuid, repo) = (&keys, &over, &reads, &gateway, &uuid, &lab.repo);
            scope.spawn(move || {
                for (at, (key, body)) in keys.iter().cycle().skip(n * 13).enumerate() {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let way = if n == 0 { Way::Stdio(repo, PATIENT) } else { Way::Http(gateway) };
                    if at % 3 == 0 {
                        assert_eq!(way.check(uuid, key), Outcome::Yes, "CHECKPRESENT of {key}");
                    } else {
                        assert_eq!(way.get(uuid, key), Outcome::Content(body.clone()), "GET of {key}");
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Whatever goes wrong, the readers end.
        let end = End(&over);
        for turn in 0..turns {
            let at = (turn + 1) % 2;
            let commit = lab.commit(at);
            lab.repo.git(&["update-ref", "refs/heads/main", &commit]).ok();
            lab.pushed();
        }
        drop(end);
    });
    assert!(reads.load(Ordering::Relaxed) >= 100, "{reads:?} reads");
    lab.push(turns % 2, false);
    lab.hook();
    lab.holds();
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn files_in_a_directory_are_read_while_they_are_moved() {
    readers_see_nothing_of_it(&mut Directory::new().lab, if whole() { 40 } else { 20 });
}

#[test]
fn files_in_a_bucket_are_read_while_they_are_moved() {
    readers_see_nothing_of_it(&mut Bucket::new().lab, if whole() { 40 } else { 6 });
}

#[test]
fn two_hooks_uploads_and_removals_at_once_end_in_the_tree() {
    let mut lab = Directory::new().lab;
    for _ in 0..4 {
        lab.push_other();
        let gateway = lab.gateway();
        let late = lab.season.late[lab.at].clone();
        // It is in neither tree.
        let beside = lab.season.beside.clone();
        std::thread::scope(|scope| {
            let (lab, gateway) = (&lab, &gateway);
            let hooks = [0, 1].map(|_| scope.spawn(|| lab.pushed()));
            let puts: Vec<_> = (0..8)
                .map(|n| {
                    let key = &late[n % late.len()];
                    scope.spawn(move || Way::Http(gateway).put(&lab.uuid, key, &lab.season.contents.0[key]))
                })
                .collect();
            let removed = scope.spawn(|| Way::Http(gateway).remove(&lab.uuid, &beside));
            puts.into_iter().for_each(|put| assert_eq!(put.join().expect("no panic"), Outcome::Yes));
            assert_eq!(removed.join().expect("no panic"), Outcome::Yes);
            hooks.into_iter().for_each(|hook| drop(hook.join().expect("no panic")));
        });
        lab.present.extend(late);
        lab.present.remove(&beside);
        lab.hook();
        lab.holds();
        lab.put(&gateway, &beside);
        lab.forget_late(&gateway, 1 - lab.at);
    }
    lab.git_annex_agrees();
}

/// How a store fails in the middle of an export, and whether that is worth another try.
const FAULTS: &[(At, How)] = &[
    (At::Sent, How::Say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    (At::Sent, How::Say("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    (At::Sent, How::Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    (At::Done, How::Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
    (At::Sent, How::Stall),
    (At::Done, How::Stall),
    (At::Done, How::Close),
    (At::Sent, How::Reset),
];

#[test]
fn a_store_that_fails_in_an_export_is_told_of_and_loses_nothing() {
    let mut bucket = Bucket::new();
    bucket.lab.timeout = HASTY;
    let most = bucket.count_requests();
    let places = stride(most, 1);
    let mut failed = 0;
    for nth in (most / 3..=most).step_by(places) {
        for (at, how) in FAULTS {
            bucket.lab.push_other();
            let mut hook = bucket.lab.start_hook();
            bucket.faulty.strike(nth, *at, *how);
            Lab::tell(&mut hook);
            let begun = Instant::now();
            let (status, said) = Lab::end(hook);
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(60), "{nth}, {at:?}, {how:?}: it took {took:?}");
            bucket.faulty.heal();
            bucket.faulty.deserted();
            let is_told = status.code() == Some(1) && said.contains("failed");
            assert!(status.success() || is_told, "{nth}, {at:?}, {how:?}: {status}: {said}");
            failed += usize::from(!status.success());
            bucket.lab.heals();
        }
    }
    assert!(failed >= 2, "{failed} of them failed");
    bucket.lab.git_annex_agrees();
}

/// From the first request to the last nothing answers any more.
#[test]
fn a_store_that_goes_away_in_an_export_is_told_of() {
    let mut bucket = Bucket::new();
    let most = bucket.count_requests();
    for nth in (most / 3..=most / 2).step_by(stride(most / 2, 1)) {
        bucket.lab.push_other();
        let mut hook = bucket.lab.start_hook();
        bucket.faulty.strike(nth, At::Sent, How::Die);
        Lab::tell(&mut hook);
        let begun = Instant::now();
        let (status, said) = Lab::end(hook);
        assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
        assert!(status.code() == Some(1), "{status}: {said}");
        let gateway = bucket.lab.gateway();
        let key = bucket.lab.present.first().expect("a key");
        let told = Way::Http(&gateway).check(&bucket.lab.uuid, key);
        assert!(matches!(told, Outcome::Failed(_)), "a store that is away denies {key}: {told:?}");
        bucket.faulty.heal();
        bucket.lab.heals();
    }
}

#[test]
fn a_directory_that_can_only_be_read_is_told_of() {
    let mut lab = Directory::new().lab;
    lab.push_other();
    let Some(mut hook) = lab.start_hook_that_can_only_read() else {
        eprintln!("NOT TESTED: a directory that can only be read, since nothing can be mounted here (user namespaces)");
        return;
    };
    let before = lab.place.files();
    Lab::tell(&mut hook);
    let (status, said) = Lab::end(hook);
    assert!(status.code() == Some(1) && said.contains("Read-only file system"), "{status}: {said}");
    assert!(lab.place.files() == before, "{}", lab.shown());
    lab.heals();
    lab.git_annex_agrees();
}

/// The disk of a directory is full somewhere in an export: a swap of names needs next to no room, files of git need some.
#[test]
fn a_disk_that_is_full_in_an_export_is_told_of_and_loses_nothing() {
    let mut lab = Directory::new().lab;
    lab.repo.git(&["config", "annex.diskreserve", "0"]).ok();
    let plain = |n: u64| (format!("plain/{n}"), File::Plain(content(8000 + n, 12_000)));
    let plain = lab.commit_of((0..30).map(plain).collect());
    let mut failed = 0;
    for (n, pages) in [0, 1, 10, 40, 0, 60, 2, 300].into_iter().enumerate() {
        lab.push_other();
        if n % 4 != 0 {
            lab.repo.git(&["update-ref", "refs/heads/main", &plain]).ok();
        }
        let Some(mut hook) = lab.start_hook_with_room_for(pages) else {
            eprintln!("NOT TESTED: a full disk, since nothing can be mounted here (user namespaces)");
            return;
        };
        Lab::tell(&mut hook);
        let (status, said) = Lab::end(hook);
        let is_told = status.code() == Some(1) && (said.contains("free space") || said.contains("No space left"));
        assert!(status.success() || is_told, "{pages} pages: {status}: {said}");
        failed += usize::from(is_told);
        lab.nothing_is_lost();
        if n % 4 != 0 {
            lab.push_other();
        }
        lab.heals();
    }
    assert!((5..8).contains(&failed), "{failed} failed");
    lab.git_annex_agrees();
}

/// More files of git, and more content from the server itself, than memory may be used for.
#[test]
fn an_export_needs_less_memory_than_its_files() {
    let mut bucket = Bucket::new();
    let len = 3 << 20;
    let file = |n: u64| (format!("large/{n}"), File::Plain(content(7000 + n, len)));
    let commit = bucket.lab.commit_of((0..12).map(file).collect());
    bucket.lab.repo.git(&["update-ref", "refs/heads/main", &commit]).ok();
    bucket.lab.repo.set("STREAM_MEMORY", "8MiB");
    let begun = Instant::now();
    bucket.lab.pushed();
    assert!(begun.elapsed() < Duration::from_secs(60));
    let files = bucket.lab.place.files();
    for n in 0..12 {
        assert!(files.get(format!("large/{n}").as_bytes()) == Some(&content(7000 + n, len)), "large/{n}");
    }
}

/// The remote shall follow another branch from now on: the hook reads that for itself, the server when it is told to.
#[test]
fn another_branch_is_followed_after_the_configuration_was_read_again() {
    let mut directory = Directory::new();
    let lab = &mut directory.lab;
    let gateway = lab.gateway();
    lab.repo.git(&["update-ref", "refs/heads/other", &lab.commit(1)]).ok();
    lab.repo.git(&["config", &format!("remote.{NAME}.annex-tracking-branch"), "other"]).ok();
    gateway.signal(Signal::HUP);
    gateway.wait_for(|log| log.contains("reloaded").then_some(()));
    lab.at = 1;
    lab.hook();
    lab.holds();
    lab.put_late(&gateway);
    lab.holds();
    lab.everything_is_served(Way::Http(&gateway));
    lab.git_annex_agrees_on("other");
}
