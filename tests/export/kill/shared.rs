//! Two gateways export to one store at the same time, neither knowing of the other: the content of no key is lost.

use std::process::{Child, ExitStatus};

use super::lab::{Lab, PATIENT};
use super::stores::{Bucket, Directory};
use super::whole;
use testbed::annex::{Repo, content};
use testbed::hook;
use testbed::neighbour::Neighbour;
use testbed::proxy::NAME;
use testbed::trees::{File, LEN, Tree};
use testbed::way::{Outcome, Way};

/// A second server with the remote of the first.
struct Other(Neighbour);

impl Other {
    fn of(lab: &mut Lab) -> Other {
        lab.words_may_lie_beside = true;
        let other = Other(Neighbour::of(&lab.repo, &[(NAME, &lab.place)]));
        other.gets_trees(lab);
        other
    }

    /// Each hears what the other recorded.
    fn learn(&self, lab: &Lab) {
        self.0.learn(&lab.repo);
        self.gets_trees(lab);
    }

    fn gets_trees(&self, lab: &Lab) {
        self.0.gets(&lab.repo, "+refs/kill/*:refs/kill/*");
    }

    fn push(&self, commit: &str) {
        self.repo().git(&["update-ref", "refs/heads/main", commit]).ok();
    }

    fn start_hook(&self) -> Child {
        hook::start(self.repo(), PATIENT)
    }

    fn repo(&self) -> &Repo {
        &self.0.0
    }

    /// Is pushed to, and exports. What it said.
    fn pushed(&self, commit: &str) -> (ExitStatus, String) {
        self.push(commit);
        let mut hook = self.start_hook();
        Lab::tell(&mut hook);
        Lab::end(hook)
    }

    #[track_caller]
    fn exports(&self, commit: &str) {
        let (status, said) = self.pushed(commit);
        assert!(status.success(), "{said}");
    }
}

#[track_caller]
fn is_refused((status, said): (ExitStatus, String), words: &str) {
    assert!(status.code() == Some(1) && said.contains(words), "{status}: {said}");
}

/// The tree is made whole again by one that knows of both. Content without a digest is put aside where it is not certain
/// whose it is, so that has to be sent again.
fn settles(lab: &mut Lab) {
    lab.hook();
    lab.nothing_is_lost();
    let mut wrong = lab.wrong();
    wrong.retain(|wrong| !wrong.contains("WORM") && !wrong.contains("worm"));
    assert!(wrong.is_empty(), "{}\nwrong: {wrong:#?}", lab.shown());
    let gateway = lab.gateway();
    let unsure: Vec<String> = lab.present.iter().filter(|key| key.starts_with("WORM")).cloned().collect();
    for key in unsure {
        lab.put(&gateway, &key);
    }
    lab.everything_is_served(Way::Http(&gateway));
    let mut wrong = lab.wrong();
    wrong.retain(|wrong| !wrong.starts_with("not in the tree: .git/annex/bad/"));
    assert!(wrong.is_empty(), "{}\nwrong: {wrong:#?}", lab.shown());
}

/// The other exports a tree, and after it heard of that the first finds it whole.
fn is_followed(other: &Other, lab: &mut Lab) {
    let elsewhere = 1 - lab.at;
    other.exports(&lab.commit(elsewhere));
    other.learn(lab);
    lab.push(elsewhere, false);
    settles(lab);
}

fn both_at_once(lab: &mut Lab) {
    let other = Other::of(lab);
    let turns = if whole() { 40 } else { 3 };
    for turn in 0..turns {
        let at = lab.at;
        if turn % 3 < 2 {
            lab.push_other();
        } else {
            lab.push(at, true);
        }
        other.push(&lab.commit(if turn % 3 == 0 { at } else { 1 - at }));
        let mut hooks = [lab.start_hook(), other.start_hook()];
        hooks.iter_mut().for_each(Lab::tell);
        let said = hooks.map(Lab::end);
        // The second one is told that it has to hear of the first.
        let done = said.iter().filter(|(status, _)| status.success()).count();
        let told = |said: &str| said.contains("is not known here what") || said.contains("is exporting there");
        assert!(done == 2 || done == 1 && said.iter().any(|(_, said)| told(said)), "{said:?}");
        lab.nothing_is_lost();
        other.learn(lab);
        settles(lab);
        other.learn(lab);
    }
    let gateway = lab.gateway();
    lab.put_late(&gateway);
    lab.git_annex_agrees();
    other.learn(lab);
    is_followed(&other, lab);
}

#[test]
fn two_gateways_export_to_one_directory_at_once() {
    both_at_once(&mut Directory::new().lab);
}

#[test]
fn two_gateways_export_to_one_bucket_at_once() {
    both_at_once(&mut Bucket::new().lab);
}

#[test]
fn what_another_gateway_exported_is_gone_on_with() {
    let mut lab = Directory::new().lab;
    let other = Other::of(&mut lab);
    for _ in 0..2 {
        let at = lab.at;
        other.exports(&lab.commit(1 - at));
        lab.push(at, true);
        let mut hook = lab.start_hook();
        Lab::tell(&mut hook);
        is_refused(Lab::end(hook), "is not known here what");
        other.learn(&lab);
        settles(&mut lab);
        other.learn(&lab);
    }
}

/// Content of a key without a digest is known by records alone, and those of another arrive later.
fn stored_meanwhile(lab: &mut Lab) {
    let other = Other::of(lab);
    let [stored, awaited] = [900, 901].map(|seed| lab.season.contents.unverifiable(seed));
    let tree = |names: [&str; 2]| {
        let keys = [&stored, &awaited].map(|key| File::Annexed(key.clone()));
        names.map(String::from).into_iter().zip(keys).collect::<Tree>()
    };
    let before = lab.commit_of(tree(["one", "two"]));
    lab.repo.git(&["update-ref", "refs/heads/main", &before]).ok();
    assert!(lab.hook().success());
    other.learn(lab);
    let gateway = lab.gateway();
    lab.put(&gateway, &stored);
    let mine = lab.season.contents.0[&stored].clone();
    let theirs = content(902, LEN);
    lab.place.write("two", &theirs);
    assert_eq!(lab.place.files().get(&b"one"[..]), Some(&mine), "it is at its name");
    let after = lab.commit_of(tree(["here", "there"]));
    other.gets_trees(lab);
    other.exports(&after);
    let files = lab.place.files();
    assert_eq!(files.get(&b"here"[..]), Some(&mine), "{}", lab.shown());
    assert!(!files.contains_key(&b"there"[..]), "nobody stored it: {}", lab.shown());
    let aside: Vec<_> = files.iter().filter(|(name, _)| name.starts_with(b".git/annex/bad/")).collect();
    assert!(matches!(aside[..], [(_, put)] if *put == theirs), "what a stranger put there: {}", lab.shown());
}

/// Content of such a key was lost, and a client was told that it is removed. What comes to lie at its name since is not it, for
/// another gateway either.
fn removed_meanwhile(lab: &mut Lab) {
    let other = Other::of(lab);
    let stored = lab.season.contents.unverifiable(904);
    let tree = |name: &str| Tree::from([(name.to_string(), File::Annexed(stored.clone()))]);
    let (before, after) = (lab.commit_of(tree("one")), lab.commit_of(tree("here")));
    lab.repo.git(&["update-ref", "refs/heads/main", &before]).ok();
    assert!(lab.hook().success());
    other.learn(lab);
    let gateway = lab.gateway();
    lab.put(&gateway, &stored);
    lab.place.delete("one");
    assert_eq!(Way::Http(&gateway).remove(&lab.uuid, &stored), Outcome::Yes, "it was lost");
    lab.present.remove(&stored);
    let theirs = content(905, LEN);
    lab.place.write("one", &theirs);
    other.gets_trees(lab);
    other.exports(&after);
    let files = lab.place.files();
    assert!(!files.contains_key(&b"here"[..]), "a stranger's: {}", lab.shown());
    assert!(files.values().any(|file| *file == theirs), "it is kept: {}", lab.shown());
}

#[test]
fn what_another_gateway_removed_from_a_directory_is_no_more_known() {
    removed_meanwhile(&mut Directory::new().lab);
}

#[test]
fn what_another_gateway_removed_from_a_bucket_is_no_more_known() {
    removed_meanwhile(&mut Bucket::new().lab);
}

#[test]
fn what_another_gateway_stored_in_a_directory_is_known_before_its_records_arrive() {
    stored_meanwhile(&mut Directory::new().lab);
}

#[test]
fn what_another_gateway_stored_in_a_bucket_is_known_before_its_records_arrive() {
    stored_meanwhile(&mut Bucket::new().lab);
}

/// Nobody can tell whether it is slow or dead, but it can go on itself.
#[test]
fn a_gateway_that_is_killed_keeps_the_others_out_until_it_goes_on() {
    let mut directory = Directory::new();
    let other = Other::of(&mut directory.lab);
    let most = directory.count_changes();
    directory.lab.push_other();
    assert!(directory.cut_hook(most / 2), "it was killed on its way");
    let lab = &mut directory.lab;
    lab.nothing_is_lost();
    is_refused(other.pushed(&lab.commit(lab.at)), "has to finish");
    lab.heals();
    other.learn(lab);
    is_followed(&other, lab);
}

#[test]
fn a_gateway_that_was_killed_while_it_asked_is_not_waited_for_long() {
    let mut lab = Directory::new().lab;
    let other = Other::of(&mut lab);
    let word = lab.place.path().join(".git/annex/stream").join(other.repo().uuid());
    std::fs::create_dir_all(word.parent().expect("a directory")).expect("made");
    std::fs::write(&word, "asks 1-2\n").expect("written");
    lab.push_other();
    lab.hook();
    lab.holds();
    assert_eq!(std::fs::read(&word).expect("it is there"), b"asks 1-2\n");
}
