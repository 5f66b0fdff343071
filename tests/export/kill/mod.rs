//! Whoever exports a tree is killed at every step of it. No content is lost, none is denied to clients meanwhile, and the
//! next push, upload or `post-receive` makes the tree whole.
//!
//! `STREAM_TEST_WHOLE=yes` kills at every step there is; otherwise some are left out.

mod lab;
mod late;
mod shared;
mod stores;
mod together;
mod trees;

use lab::Lab;
use stores::{Bucket, Directory};
use testbed::faulty::At;
use testbed::way::Way;

fn whole() -> bool {
    std::env::var("STREAM_TEST_WHOLE").as_deref() == Ok("yes")
}

/// Of so many steps, how far from one to the next that is tried.
fn stride(most: usize, points: usize) -> usize {
    if whole() { 1 } else { most.div_ceil(points) }
}

/// How often a test kills, at least.
fn enough(kills: usize, points: usize) {
    assert!(kills * 10 >= points * 7, "{kills} of {points} kills hit");
}

fn every_request_is_the_last(at: At) {
    let mut bucket = Bucket::new();
    let most = bucket.count_requests();
    let (mut kills, mut points) = (0, 0);
    for nth in (1..=most).step_by(stride(most, 12)) {
        bucket.lab.push_other();
        points += 1;
        kills += usize::from(bucket.cut_hook(nth, at));
        bucket.lab.heals();
    }
    bucket.lab.git_annex_agrees();
    enough(kills, points);
}

#[test]
fn an_export_to_s3_is_killed_before_the_store_hears_of_a_request() {
    every_request_is_the_last(At::Sent);
}

#[test]
fn an_export_to_s3_is_killed_before_it_hears_what_the_store_did() {
    every_request_is_the_last(At::Done);
}

#[test]
fn an_export_to_a_directory_is_killed_at_every_change() {
    let mut directory = Directory::new();
    let most = directory.count_changes();
    let (mut kills, mut points) = (0, 0);
    for nth in (1..=most).step_by(stride(most, 20)) {
        directory.lab.push_other();
        points += 1;
        kills += usize::from(directory.cut_hook(nth));
        directory.lab.heals();
    }
    directory.lab.git_annex_agrees();
    enough(kills, points);
}

/// The upload is there, and its names in the tree are not.
#[test]
fn a_gateway_is_killed_while_an_upload_goes_to_its_names() {
    let mut bucket = Bucket::new();
    bucket.lab.push_other();
    bucket.lab.pushed();
    let late = bucket.lab.season.late[1].clone();
    bucket.cut_put(&late[1], usize::MAX, At::Done);
    let most = bucket.faulty.requests();
    bucket.lab.present.insert(late[1].clone());
    bucket.lab.put_aside_late();
    let (mut kills, mut points) = (0, 0);
    for nth in (1..=most).step_by(stride(most, 5)) {
        for at in [At::Sent, At::Done] {
            points += 1;
            let key = &late[1 + points % 2];
            kills += usize::from(bucket.cut_put(key, nth, at));
            let lab = &mut bucket.lab;
            if points % 4 < 2 {
                lab.hook();
            } else {
                let gateway = lab.gateway();
                lab.put(&gateway, &late[0]);
            }
            // The client was told nothing, so either is right as long as it is whole.
            let gateway = lab.gateway();
            if lab.has(&gateway, key) {
                lab.present.insert(key.clone());
            }
            lab.holds();
            lab.put(&gateway, key);
            lab.holds();
            lab.put_aside_late();
        }
    }
    assert!(kills >= 4, "{kills} kills");
    let gateway = bucket.lab.gateway();
    bucket.lab.put_late(&gateway);
    bucket.lab.git_annex_agrees();
}

/// A hook that is killed at once has done nothing that anybody could find.
#[test]
fn an_upload_makes_up_for_a_hook_that_did_not_run() {
    let mut directory = Directory::new();
    let lab = &mut directory.lab;
    for _ in 0..2 {
        lab.push_other();
        let gateway = lab.gateway();
        let key = lab.season.late[lab.at][0].clone();
        lab.put(&gateway, &key);
        lab.holds();
        lab.everything_is_served(Way::Http(&gateway));
        lab.forget_late(&gateway, 1 - lab.at);
    }
}

#[test]
fn a_database_that_is_lost_while_an_export_is_cut_is_made_anew_by_reading() {
    let mut directory = Directory::new();
    let most = directory.count_changes();
    for nth in (1..=most).step_by(stride(most, 6)) {
        directory.lab.push_other();
        // Nobody can tell two of them apart that have no digest.
        directory.cut_hook(nth);
        std::fs::remove_dir_all(directory.lab.repo.dir().join("annex/export")).expect("it is there");
        directory.lab.nothing_is_lost();
        directory.lab.hook();
        directory.lab.nothing_is_lost();
        let mut wrong = directory.lab.wrong();
        wrong.retain(|wrong| !wrong.contains("WORM") && !wrong.contains("worm"));
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", directory.lab.shown());
        directory = Directory::new();
    }
}

/// What strangers put there keeps a name from its file at most.
#[test]
fn strangers_in_the_way_lose_nothing() {
    let mut directory = Directory::new();
    for (path, inside) in [("three", "three/inside"), ("other place", ""), ("late/one", ""), ("d/two", "d/two/x")] {
        directory.lab.push(1, false);
        let lab = &mut directory.lab;
        let [path, inside] = [path, inside].map(|path| lab.place.path().join(path));
        let file = if inside.is_dir() { &path } else { &inside };
        std::fs::create_dir_all(file.parent().expect("below the store")).expect("a directory");
        std::fs::write(file, "a stranger's").expect("written");
        let (status, said) = Lab::end(lab.start_hook());
        assert!(status.code().is_some(), "{said}");
        lab.nothing_is_lost();
        let gateway = lab.gateway();
        lab.everything_is_served(Way::Http(&gateway));
        drop(gateway);
        assert!(status.success(), "{said}");
        if std::fs::read(file).is_ok_and(|there| there == b"a stranger's") {
            assert!(said.contains("a directory of that name is in its place"), "{said}");
            std::fs::remove_file(file).expect("removed");
            let _ = std::fs::remove_dir(&path);
        }
        lab.heals();
        lab.push_other();
        lab.hook();
        lab.heals();
    }
}

/// Files of the very length of what belongs there, or none: an upload is taken, and what a removal would rest on is looked at.
#[test]
fn strangers_of_equal_length_lose_nothing() {
    for edit in [None, Some(testbed::annex::content(9000, 1000))] {
        let mut directory = Directory::new();
        let lab = &mut directory.lab;
        let change = |lab: &Lab, path: &str| {
            let path = lab.place.path().join(path);
            let _ = std::fs::remove_file(&path);
            if let Some(content) = &edit {
                std::fs::create_dir_all(path.parent().expect("below the store")).expect("a directory");
                std::fs::write(path, content).expect("written");
            }
        };
        // The twin that stays is another's when the other is to be removed.
        change(lab, "kept as a twin 2");
        change(lab, "fewer/2");
        lab.push(1, false);
        lab.pushed();
        lab.nothing_is_lost();
        lab.holds();
        // A file where content is to come, and one where it came.
        change(lab, "late/one");
        let gateway = lab.gateway();
        lab.put_late(&gateway);
        lab.nothing_is_lost();
        let key = lab.season.late[1][1].clone();
        change(lab, "late/one");
        change(lab, "to a late twin");
        lab.put(&gateway, &key);
        lab.nothing_is_lost();
        drop(gateway);
        lab.hook();
        lab.push_other();
        lab.hook();
        lab.nothing_is_lost();
    }
}

/// Whatever becomes of the branch: content that is there is not denied.
#[test]
fn the_branch_goes_away_after_an_export_was_killed() {
    let mut directory = Directory::new();
    let most = directory.count_changes();
    for (n, nth) in (1..=most).step_by(stride(most, 6)).enumerate() {
        directory.lab.push_other();
        directory.cut_hook(nth);
        let lab = &mut directory.lab;
        let unset = n % 2 == 0;
        if unset {
            lab.repo.git(&["config", "--unset", "remote.far.annex-tracking-branch"]).ok();
        } else {
            lab.repo.git(&["update-ref", "-d", "refs/heads/main"]).ok();
        }
        let gateway = lab.gateway();
        lab.everything_is_served(Way::Http(&gateway));
        drop(gateway);
        if unset {
            lab.repo.git(&["config", "remote.far.annex-tracking-branch", "main"]).ok();
        } else {
            lab.push(lab.at, false);
        }
        lab.heals();
    }
}

/// The mark of a cut export, and what is remembered of the last one, name trees that git need not keep.
#[test]
fn trees_that_git_has_pruned_stop_no_export() {
    let mut directory = Directory::new();
    let gone = "1234567890123456789012345678901234567890";
    for (ending, content) in [
        ("mark", format!("{gone}\n")),
        ("mark", String::new()),
        ("mark", "\0\0\0".to_string()),
        ("tree", format!("{gone} {gone}\0")),
        ("tree", "junk".to_string()),
    ] {
        let lab = &mut directory.lab;
        let path = lab.repo.dir().join(format!("annex/stream/export/{}.{ending}", lab.uuid));
        std::fs::write(&path, &content).expect("written");
        lab.push_other();
        lab.heals();
        std::fs::write(&path, &content).expect("written");
        lab.heals();
    }
    directory.lab.git_annex_agrees();
}

#[test]
fn the_real_git_annex_goes_on_where_ours_was_killed() {
    let mut bucket = Bucket::new();
    let most = bucket.count_requests();
    for nth in (3..=most).step_by(stride(most, 3)) {
        bucket.lab.push_other();
        bucket.cut_hook(nth, At::Done);
        bucket.lab.nothing_is_lost();
        bucket.lab.git_annex_exports();
        bucket.lab.nothing_is_lost();
        // It makes a twin only of content that it has itself, and leaves files of git beside the tree.
        let mut wrong = bucket.lab.wrong();
        wrong.retain(|wrong| !wrong.contains("/GIT--"));
        assert!(wrong.iter().all(|wrong| wrong.starts_with("missing: ")) && wrong.len() <= 8, "{wrong:#?}");
        bucket.lab.blobs_may_lie_beside = true;
        bucket.lab.hook();
        bucket.lab.heals();
    }
}

#[test]
fn ours_goes_on_where_the_real_git_annex_was_killed() {
    let mut directory = Directory::new();
    directory.lab.push_other();
    let most = directory.count_changes_of_git_annex();
    directory.lab.heals();
    for nth in (2..=most).step_by(stride(most, 6)) {
        directory.lab.push_other();
        directory.cut_git_annex(nth);
        directory.lab.heals();
    }
    directory.lab.git_annex_agrees();
}
