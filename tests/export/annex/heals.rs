//! Files of a tree that somebody damaged behind everybody's back come right again, and what errors advise to do works.

use std::collections::BTreeMap;

use testbed::annex::{Repo, content};
use testbed::place::{Place, Whose};
use testbed::proxy::stream;
use testbed::run::Done;
use testbed::tracked::{NAME, SEEN, Tracked, Wire};

const LEN: usize = 5000;

/// What a stranger does to a file of this content.
const DAMAGE: [(&str, Option<&[u8]>); 4] =
    [("emptied", Some(b"")), ("truncated", Some(b"some")), ("replaced", Some(&[7; LEN])), ("removed", None)];

fn gateway(place: Place) -> Tracked {
    let gateway = Tracked::new(Whose::Ours, place, Whose::Ours, "main", Wire::Http);
    gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    gateway
}

fn damage(place: &Place, name: &str, with: Option<&[u8]>) {
    match with {
        Some(bytes) => place.write(name, bytes),
        None => place.delete(name),
    }
}

/// Those in the tree, and those put aside, the second without where.
fn files(place: &Place) -> (BTreeMap<String, Vec<u8>>, Vec<Vec<u8>>) {
    let (mut tree, mut aside) = (BTreeMap::new(), Vec::new());
    for (name, bytes) in place.files() {
        let name = String::from_utf8(name).expect("a name of this test");
        match name.starts_with(".git/") {
            true if name.starts_with(".git/annex/bad/") => aside.push(bytes),
            true => {}
            false => drop(tree.insert(name, bytes)),
        }
    }
    (tree, aside)
}

fn commit(client: &Repo, what: &str) {
    client.git(&["add", "--all"]).ok();
    client.git(&["commit", "--quiet", "-m", what]).ok();
}

#[track_caller]
fn is_whole(gateway: &Tracked, expected: &[(&str, Vec<u8>)], strangers: &[&[u8]], said: &str) {
    let (tree, aside) = files(&gateway.place);
    let expected: BTreeMap<String, Vec<u8>> =
        expected.iter().map(|(name, of)| (name.to_string(), of.clone())).collect();
    assert!(tree == expected, "{:?}, not {:?}: {said}", tree.keys(), expected.keys());
    let mut strangers: Vec<Vec<u8>> = strangers.iter().map(|bytes| bytes.to_vec()).collect();
    strangers.sort();
    let mut aside = aside;
    aside.sort();
    assert!(aside == strangers, "{} were put aside, not {}: {said}", aside.len(), strangers.len());
}

fn copied_again(place: Place) {
    let mut gateway = gateway(place);
    let client = gateway.client();
    client.add("f", 1, LEN);
    client.add("d/twin", 1, LEN);
    client.add("other", 2, LEN);
    commit(&client, "files");
    gateway.push(&client);
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    let whole = [("f", content(1, LEN)), ("d/twin", content(1, LEN)), ("other", content(2, LEN))];
    is_whole(&gateway, &whole, &[], "stored");
    let mut strangers: Vec<&[u8]> = Vec::new();
    for (what, with) in DAMAGE {
        damage(&gateway.place, "other", with);
        strangers.extend(with);
        // The length tells, or nothing does.
        if what == "replaced" {
            let said = client.annex(&["fsck", "--from", SEEN, "other"]).failed().all();
            assert!(said.contains("Bad file content") || said.contains("bad"), "{said}");
        }
        let said = client.annex(&["copy", "--to", SEEN, "other"]).ok().all();
        is_whole(&gateway, &whole, &strangers, &format!("{what}: {said}"));
        // And whoever goes by what is recorded, once fsck has set that right.
        damage(&gateway.place, "other", with);
        strangers.extend(with);
        client.annex(&["fsck", "--from", SEEN, "other"]).failed();
        let said = client.annex(&["copy", "--fast", "--to", SEEN, "other"]).ok().all();
        is_whole(&gateway, &whole, &strangers, &format!("{what}, fsck: {said}"));
        // One of two names: the other has it, and so does the remote.
        damage(&gateway.place, "f", with);
        strangers.extend(with);
        let refused = client.annex(&["drop", "--force", "--from", SEEN, "f"]).failed().all();
        assert!(refused.contains("part of the exported tree"), "{refused}");
        is_whole(&gateway, &whole, &strangers, &format!("{what}, twin"));
    }
    client.annex(&["fsck", "--quiet", "--from", SEEN]).ok();
}

#[test]
fn what_is_copied_again_heals_a_directory() {
    copied_again(Place::fs());
}

#[test]
fn what_is_copied_again_heals_a_bucket() {
    copied_again(Place::weed());
}

/// What was damaged is not carried to its new name, and comes again from wherever it is.
fn named_by_a_push(place: Place) {
    let mut gateway = gateway(place);
    let client = gateway.client();
    let mut whole: Vec<(&str, Vec<u8>)> = Vec::new();
    for (nth, (what, _)) in DAMAGE.iter().enumerate() {
        client.add(&format!("{what}.annexed"), nth as u64, LEN);
        std::fs::write(client.dir().join(format!("{what}.plain")), content(90 + nth as u64, LEN)).expect("written");
    }
    commit(&client, "files");
    gateway.push(&client);
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    client.annex(&["copy", "--quiet", "--to", "origin"]).ok();
    let mut strangers: Vec<&[u8]> = Vec::new();
    for (what, with) in DAMAGE {
        for kind in ["annexed", "plain"] {
            damage(&gateway.place, &format!("{what}.{kind}"), with);
            strangers.extend(with);
        }
    }
    for (what, _) in DAMAGE {
        for kind in ["annexed", "plain"] {
            client.git(&["mv", &format!("{what}.{kind}"), &format!("{what}.{kind}.moved")]).ok();
        }
    }
    let moved: Vec<String> =
        DAMAGE.iter().flat_map(|(what, _)| ["annexed", "plain"].map(|kind| format!("{what}.{kind}.moved"))).collect();
    for (nth, names) in moved.chunks(2).enumerate() {
        whole.push((&names[0], content(nth as u64, LEN)));
        whole.push((&names[1], content(90 + nth as u64, LEN)));
    }
    commit(&client, "moved");
    let said = gateway.push(&client).all();
    is_whole(&gateway, &whole, &strangers, &said);
}

#[test]
fn a_push_that_names_it_heals_a_directory() {
    named_by_a_push(Place::fs());
}

#[test]
fn a_push_that_names_it_heals_a_bucket() {
    named_by_a_push(Place::weed());
}

/// What a stranger puts where a directory or a file has to be is put aside, or stops no other name. Where names of a store are
/// never in each other's way, it `stays` beside them.
fn in_the_way(place: Place, stays: bool) {
    // A store that fails at a name does nothing to it later.
    let mut repo = Repo::bare();
    repo.set("STREAM_LATE", "0");
    let mut gateway = Tracked::of(repo, Whose::Ours, place, Whose::Ours, "main", Wire::Http);
    gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    let mut client = gateway.client();
    client.set("STREAM_LATE", "0");
    client.add("f", 1, LEN);
    commit(&client, "files");
    gateway.push(&client);
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    gateway.place.write("d", b"a stranger's");
    gateway.place.write("e/g/h", b"a stranger's, too");
    // The last has the content of what cannot come to its name.
    for (name, of) in [("d/e/f", 2), ("e/g.txt", 3), ("z", 4), ("y", 1)] {
        client.add(name, of, LEN);
    }
    // Content that moves to where nothing can be must not be lost on its way, nor what comes to where it was.
    client.git(&["mv", "f", "e/g"]).ok();
    std::fs::write(client.dir().join("f"), b"of git").expect("written");
    commit(&client, "more");
    let said = gateway.push(&client).all();
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    let mut whole = vec![
        ("d/e/f", content(2, LEN)),
        ("e/g.txt", content(3, LEN)),
        ("z", content(4, LEN)),
        ("y", content(1, LEN)),
        ("f", b"of git".to_vec()),
        ("e/g/h", b"a stranger's, too".to_vec()),
    ];
    if stays {
        whole.extend([("d", b"a stranger's".to_vec()), ("e/g", content(1, LEN))]);
        return is_whole(&gateway, &whole, &[], &said);
    }
    is_whole(&gateway, &whole, &[b"a stranger's"], &said);
    client.annex(&["fsck", "--quiet", "--from", SEEN]).ok();
    // Once he has left, it comes to its name.
    gateway.place.delete("e/g/h");
    gateway.place.remove_dir("e/g");
    let said = stream(&gateway.repo, &["post-receive"]).ok().all();
    whole.pop();
    whole.push(("e/g", content(1, LEN)));
    is_whole(&gateway, &whole, &[b"a stranger's"], &said);
}

#[test]
fn what_is_in_the_way_in_a_directory_stops_no_other_name() {
    in_the_way(Place::fs(), false);
}

#[test]
fn what_is_in_the_way_over_webdav_stops_no_other_name() {
    in_the_way(Place::webdav(), false);
}

#[test]
fn what_is_in_the_way_in_a_bucket_before_a_file_system_stops_no_other_name() {
    in_the_way(Place::rclone_s3(), false);
}

#[test]
fn what_is_in_the_way_in_a_bucket_stops_no_other_name() {
    in_the_way(Place::weed(), true);
}

fn repair(gateway: &Tracked) -> (Done, serde_json::Value) {
    let done = stream(&gateway.repo, &["post-receive", "--repair", "--json"]);
    let told = serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
    (done, told)
}

fn looked_at(place: Place) {
    let mut gateway = gateway(place);
    let client = gateway.client();
    client.add("here", 1, LEN);
    client.add("there", 2, LEN);
    client.add("whole", 3, LEN);
    std::fs::write(client.dir().join("plain"), b"a file of git\n").expect("written");
    std::fs::write(client.dir().join("gone"), b"another\n").expect("written");
    commit(&client, "files");
    gateway.push(&client);
    client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    client.annex(&["copy", "--quiet", "--to", "origin", "here"]).ok();
    let (done, told) = repair(&gateway);
    done.ok();
    assert_eq!(told[0]["remote"], NAME);
    assert_eq!((&told[0]["state"], &told[0]["branch"]), (&"done".into(), &"main".into()));
    assert_eq!((&told[0]["repair"]["looked"], &told[0]["repair"]["read"]), (&5.into(), &0.into()), "{told}");
    assert_eq!(told[0]["repair"]["damaged"], serde_json::json!([]));
    let strangers: [&[u8]; 3] = [&[7; LEN], &[8; LEN], b"a file of GIT\n"];
    for (name, with) in [("here", strangers[0]), ("there", strangers[1]), ("plain", strangers[2])] {
        gateway.place.write(name, with);
    }
    gateway.place.delete("gone");
    let (done, told) = repair(&gateway);
    let said = done.ok().all();
    let damaged = |name: &str| {
        let all = told[0]["repair"]["damaged"].as_array().expect("a list");
        let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {told}"));
        (one["found"].as_u64(), one["repaired"].as_bool())
    };
    assert_eq!(damaged("here"), (Some(LEN as u64), Some(true)));
    assert_eq!(damaged("there"), (Some(LEN as u64), Some(false)));
    assert_eq!(damaged("plain"), (Some(14), Some(true)));
    assert_eq!(damaged("gone"), (None, Some(true)));
    assert_eq!(told[0]["repair"]["read"], 3, "{told}");
    assert_eq!(told[0]["waiting"], 1, "{told}");
    let mut whole = vec![
        ("here", content(1, LEN)),
        ("whole", content(3, LEN)),
        ("plain", b"a file of git\n".to_vec()),
        ("gone", b"another\n".to_vec()),
    ];
    is_whole(&gateway, &whole, &strangers, &said);
    // It is recorded to be gone, so a client sends it by that alone.
    client.git(&["fetch", "--quiet", "origin"]).ok();
    client.annex(&["merge", "--quiet"]).ok();
    client.annex(&["copy", "--fast", "--to", SEEN]).ok();
    whole.push(("there", content(2, LEN)));
    is_whole(&gateway, &whole, &strangers, "copied");
    let line = stream(&gateway.repo, &["post-receive", "--repair"]).ok().stdout;
    assert_eq!(line.trim(), "repair main to tree: ok; 5 files looked at, 0 read, none damaged");
}

#[test]
fn all_of_a_directory_is_looked_at_and_put_right() {
    looked_at(Place::fs());
}

#[test]
fn all_of_a_bucket_is_looked_at_and_put_right() {
    looked_at(Place::weed());
}

/// Of a remote without a tree: drop it there, and copy it again.
#[test]
fn what_an_error_advises_about_a_key_works() {
    let repo = Repo::new();
    let place = Place::fs();
    repo.initremote("ours", &place, Whose::Ours, &[]).ok();
    let key = repo.add("f", 1, LEN);
    repo.annex(&["copy", "--quiet", "--to", "ours"]).ok();
    let stored = place.names().into_iter().find(|name| name.ends_with(&key)).expect("it is stored");
    place.write(&stored, b"some");
    let said = repo.annex(&["copy", "--to", "ours", "f"]).failed().all();
    assert!(said.contains("drop it there and copy it again"), "{said}");
    repo.annex(&["drop", "--from", "ours", "f"]).ok();
    repo.annex(&["copy", "--to", "ours", "f"]).ok();
    assert!(place.files()[stored.as_bytes()] == content(1, LEN));
}

/// Of a tree that git-annex exports: fsck, and export again.
#[test]
fn what_an_error_advises_about_an_exported_file_works() {
    let repo = Repo::new();
    let place = Place::fs();
    repo.initremote("ours", &place, Whose::Ours, &["exporttree=yes"]).ok();
    repo.add("f", 1, LEN);
    repo.git(&["commit", "--quiet", "-m", "one"]).ok();
    repo.annex(&["export", "--quiet", "main", "--to", "ours"]).ok();
    place.write("f", b"some");
    repo.annex(&["drop", "--quiet", "--force", "f"]).ok();
    let said = repo.annex(&["get", "f"]).failed().all();
    assert!(said.contains("git annex fsck --from it, then export again"), "{said}");
    std::fs::write(repo.dir().join("again"), content(1, LEN)).expect("written");
    repo.annex(&["reinject", "--quiet", "again", "f"]).ok();
    repo.annex(&["fsck", "--from", "ours"]).failed();
    repo.annex(&["export", "--quiet", "main", "--to", "ours"]).ok();
    assert!(place.files()[&b"f"[..]] == content(1, LEN));
}
