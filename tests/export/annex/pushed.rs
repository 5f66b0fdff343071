//! The season pushed to a gateway, which keeps a remote's tree as git-annex's own `directory` remote has it.

use std::time::{Duration, Instant};

use super::no_empty_directories;
use testbed::annex::Repo;
use testbed::gateway::SOON;
use testbed::place::{Place, Whose, subject};
use testbed::run::Done;
use testbed::season::{self, Theirs, Tree};
use testbed::tracked::{SEEN, Tracked, Wire, examine};

/// What is sent when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// `git push`, then `git annex copy`: the tree is incomplete in between.
    CommitsFirst,
    /// `git annex copy`, then `git push`: content waits beside the tree.
    ContentFirst,
    /// `git annex push`, which also gives the gateway's own repository a copy.
    AnnexPush,
}

fn pushed(place: Place, remote: Whose, below: &str, wire: Wire, manner: Manner) {
    let tree = season::tracked(below);
    // What the real gateway speaks to the remote; ours has its own way to all of them.
    let more: &[&str] = match (subject(), remote, &place) {
        (Whose::Theirs, Whose::Ours, _) => &["external"],
        (Whose::Theirs, Whose::Theirs, Place::S3(..)) => &["type=S3"],
        _ => &[],
    };
    let steps = season::steps(&place, below, more);
    let mut gateway = Tracked::new(subject(), place, remote, &tree, wire);
    if manner != Manner::AnnexPush {
        gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    }
    let client = gateway.client();
    let theirs = Theirs::new(&client);
    for (what, script) in steps {
        season::act(&client, &script);
        // One core for each.
        let (expected, said) = std::thread::scope(|scope| {
            let expected = scope.spawn(|| theirs.export(&client, &tree));
            let sent = send(&mut gateway, &client, manner);
            (expected.join().expect("git-annex exports"), sent)
        });
        let expected = gateway.holds(expected);
        if manner != Manner::CommitsFirst {
            settled(&gateway, what, &expected, &said);
            continue;
        }
        assert!(!said.all().contains("failed"), "{what}: {said:#?}");
        // A bucket takes a while to look at.
        if let Place::Fs(_) = gateway.place {
            season::part(what, &gateway.tree(), &expected, &said);
        }
        let said = client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
        settled(&gateway, what, &expected, &said);
    }
    examine(&gateway, &tree);
    // Nothing that ever was in the tree is lost. Content of plain files lies in git, and under no key that could be asked for.
    client.annex(&["drop", "--quiet", "--force", "--all"]).ok();
    client.annex(&["get", "--quiet", "--all", "--inbackend=SHA256E", "--from", SEEN]).ok();
    client.annex(&["fsck", "--quiet", "--all", "--numcopies=0"]).ok();
    if let Place::Fs(dir) = &gateway.place {
        no_empty_directories(dir.path());
    }
}

#[track_caller]
fn send(gateway: &mut Tracked, client: &Repo, manner: Manner) -> Done {
    match manner {
        Manner::CommitsFirst => gateway.push(client),
        Manner::ContentFirst => {
            client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
            gateway.push(client)
        }
        Manner::AnnexPush => {
            let pushed = client.git(&["rev-parse", "--verify", "--quiet", "refs/remotes/origin/main"]).stdout;
            let forward = ["merge-base", "--is-ancestor", pushed.trim(), "main"];
            if !pushed.is_empty() && !client.git(&forward).status.success() {
                gateway.push(client);
            }
            client.annex(&["push", "origin"]).ok()
        }
    }
}

/// The tree is as expected, at once or soon: a gateway may settle after it answered.
#[track_caller]
fn settled(gateway: &Tracked, what: &str, expected: &Tree, said: &Done) {
    let begun = Instant::now();
    loop {
        let found = gateway.tree();
        if found == *expected || begun.elapsed() > SOON {
            return season::same(what, &found, expected, said);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_season_pushed_by_ssh_commits_first_to_a_directory_of_git_annexs_type() {
    pushed(Place::fs(), Whose::Theirs, "", Wire::Ssh, Manner::CommitsFirst);
}

#[test]
fn a_season_pushed_by_http_content_first_to_a_directory() {
    pushed(Place::fs(), Whose::Ours, "", Wire::Http, Manner::ContentFirst);
}

#[test]
fn a_season_pushed_by_git_annex_push_below_a_directory_of_the_branch() {
    pushed(Place::fs(), Whose::Theirs, "pub", Wire::Ssh, Manner::AnnexPush);
}

#[test]
fn a_season_pushed_by_http_commits_first_to_seaweedfs_as_git_annexs_type() {
    pushed(Place::weed(), Whose::Theirs, "", Wire::Http, Manner::CommitsFirst);
}

#[test]
fn a_season_pushed_by_ssh_content_first_to_webdav() {
    pushed(Place::webdav(), Whose::Ours, "", Wire::Ssh, Manner::ContentFirst);
}
