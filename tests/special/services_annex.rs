//! The real git-annex and services that it has no types for: trees exported, renamed and interrupted, straight and behind a
//! gateway. git-annex's own examination of them is in `annex_testremote`.

use std::collections::BTreeMap;
use std::path::Path;

use testbed::annex::{Repo, content};
use testbed::place::{Place, Whose};
use testbed::relay::Relay;
use testbed::season::{Tree, same};
use testbed::tracked::{SEEN, Tracked, Wire, examine};

const MIB: usize = 1 << 20;

/// Files whose names are like those that stores use for themselves.
fn files(moved: bool) -> Tree {
    let (a, b) = if moved { ("new/name", "d/b") } else { ("a", "d/deep/b") };
    let names = [(a, 1, 70_000), (b, 2, 100), ("tmp/x", 3, 10), ("d/é ü", 4, 9 * MIB)];
    names.map(|(name, seed, len)| (name.as_bytes().to_vec(), content(seed, len))).into_iter().collect()
}

fn commit(repo: &Repo) {
    for (name, seed, len) in [("a", 1, 70_000), ("d/deep/b", 2, 100), ("tmp/x", 3, 10), ("d/é ü", 4, 9 * MIB)] {
        repo.add(name, seed, len);
    }
    repo.git(&["commit", "--quiet", "-m", "files"]).ok();
}

fn rename(repo: &Repo) {
    std::fs::create_dir_all(repo.dir().join("new")).expect("a directory");
    repo.git(&["mv", "a", "new/name"]).ok();
    repo.git(&["mv", "d/deep/b", "d/b"]).ok();
    repo.git(&["commit", "--quiet", "-m", "renamed"]).ok();
}

/// All directories below `top` but those of git-annex's own, where the place is on this machine.
fn directories(place: &Place) -> Vec<String> {
    let (Place::Fs(_) | Place::Sftp(..)) = place else { return Vec::new() };
    let top = place.path();
    let (mut found, mut todo) = (Vec::new(), vec![top.clone()]);
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).expect("a directory").flatten().filter(|entry| entry.path().is_dir()) {
            let path = entry.path();
            found.push(path.strip_prefix(&top).expect("below it").display().to_string());
            todo.push(path);
        }
    }
    found.sort();
    found
}

fn expected(tree: &Tree) -> Vec<String> {
    let mut all = std::collections::BTreeSet::new();
    for name in tree.keys() {
        let name = String::from_utf8_lossy(name).into_owned();
        let above = Path::new(&name).ancestors().skip(1).map(|dir| dir.display().to_string());
        all.extend(above.filter(|dir| !dir.is_empty()));
    }
    all.into_iter().collect()
}

#[track_caller]
fn holds(what: &str, place: &Place, tree: &Tree, said: &testbed::run::Done) {
    same(what, &place.files(), tree, said);
    if let Place::Fs(_) | Place::Sftp(..) = place {
        assert_eq!(directories(place), expected(tree), "{what}: directories");
    }
}

/// No `ssh` of ours outlives the command that it was for: each has a directory there, which goes with it.
#[track_caller]
fn no_ssh_stays(repo: &Repo) {
    let state = Path::new(&repo.get("HOME")).join(".local/state");
    let left: Vec<_> = std::fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn exported(place: Option<Place>) {
    let Some(place) = place else { return };
    let mut repo = Repo::new();
    repo.reach(&place);
    repo.initremote("x", &place, Whose::Ours, &["exporttree=yes"]).ok();
    holds("before the first export", &place, &BTreeMap::new(), &repo.git(&["status"]));
    commit(&repo);
    let said = repo.annex(&["export", "-J2", "main", "--to", "x"]).ok();
    holds("exported", &place, &files(false), &said);
    no_ssh_stays(&repo);
    rename(&repo);
    let said = repo.annex(&["export", "main", "--to", "x"]).ok();
    holds("renamed", &place, &files(true), &said);
    repo.annex(&["fsck", "--quiet", "--from", "x"]).ok();
    repo.annex(&["drop", "--quiet", "--force", "."]).ok();
    repo.annex(&["get", "--quiet", "--from", "x", "."]).ok();
    repo.annex(&["fsck", "--quiet"]).ok();
    repo.git(&["rm", "--quiet", "-r", "."]).ok();
    repo.git(&["commit", "--quiet", "-m", "nothing"]).ok();
    let said = repo.annex(&["export", "main", "--to", "x"]).ok();
    holds("emptied", &place, &BTreeMap::new(), &said);
    no_ssh_stays(&repo);
}

#[test]
fn a_tree_over_sftp() {
    exported(Place::sftp());
}

#[test]
fn a_tree_in_a_directory() {
    exported(Some(Place::fs()));
}

#[test]
fn a_tree_on_azblob() {
    exported(Place::azblob());
}

#[test]
fn a_tree_on_swift() {
    exported(Place::swift());
}

#[test]
fn a_tree_on_moto() {
    exported(Place::moto());
}

/// A tree that follows a branch, pushed to a gateway that alone can reach the service.
fn behind_a_gateway(place: Option<Place>) {
    let Some(place) = place else { return };
    let mut gateway = Tracked::new(Whose::Ours, place, Whose::Ours, "main", Wire::Http);
    gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    let mut client = gateway.client();
    // Over a path it is the client who runs the hook.
    client.reach(&gateway.place);
    commit(&client);
    gateway.push(&client);
    let said = client.annex(&["copy", "--quiet", "--to", SEEN]).ok();
    testbed::gateway::eventually("the tree is there", || gateway.tree() == files(false));
    if let Place::Fs(_) | Place::Sftp(..) = gateway.place {
        let mut shown = directories(&gateway.place);
        // Over sftp directories of content that got its names stay, empty, where no tree can have one.
        shown.retain(|dir| dir != ".git" && !dir.starts_with(".git/"));
        assert_eq!(shown, expected(&files(false)), "{said:?}");
    }
    rename(&client);
    let said = gateway.push(&client);
    let renamed = format!("the tree is renamed by {}", said.all());
    testbed::gateway::eventually(&renamed, || gateway.tree() == files(true));
    same("renamed", &gateway.tree(), &files(true), &said);
    examine(&gateway, "main");
    client.annex(&["drop", "--quiet", "--force", "."]).ok();
    client.annex(&["get", "--quiet", "--from", SEEN, "."]).ok();
    client.annex(&["fsck", "--quiet"]).ok();
}

#[test]
fn a_tree_over_sftp_behind_a_gateway() {
    behind_a_gateway(Place::sftp());
}

#[test]
fn a_tree_in_a_directory_behind_a_gateway() {
    behind_a_gateway(Some(Place::fs()));
}

#[test]
fn a_tree_on_azblob_behind_a_gateway() {
    behind_a_gateway(Place::azblob());
}

#[test]
fn a_tree_on_swift_behind_a_gateway() {
    behind_a_gateway(Place::swift());
}

#[test]
fn a_tree_on_moto_behind_a_gateway() {
    behind_a_gateway(Place::moto());
}

/// An export that is killed in the middle shows no part of a file and no directory of ours; the next one ends it.
#[test]
fn an_interrupted_export_over_sftp_shows_no_directory_of_ours() {
    let Some(place) = Place::sftp() else { return };
    let relay = Relay::start(place.port(), 2 * MIB as u64);
    let mut repo = Repo::new();
    repo.reach(&place);
    repo.initremote("x", &place, Whose::Ours, &["exporttree=yes"]).ok();
    commit(&repo);
    repo.enableremote("x", &place, &[&format!("endpoint=ssh://127.0.0.1:{}", relay.port)]).ok();
    let mut export = repo.annex_command(&["export", "main", "--to", "x"]);
    use std::os::unix::process::CommandExt;
    let mut export = export.process_group(0).stdout(std::process::Stdio::null()).spawn().expect("it starts");
    relay.wait_stalled();
    let group = rustix::process::Pid::from_child(&export);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("killed");
    export.wait().expect("it ends");
    let top = std::fs::read_dir(place.path()).expect("a directory").flatten();
    let mut shown: Vec<_> = top.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    shown.retain(|name| ![".git", "a", "d", "tmp"].contains(&&**name));
    assert_eq!(shown, Vec::<String>::new());
    relay.open();
    let said = repo.annex(&["export", "main", "--to", "x"]).ok();
    let mut found = place.files();
    found.retain(|name, _| !name.starts_with(b".git/annex/stream-tmp"));
    same("after the next export", &found, &files(false), &said);
}

/// Told before anything can fail, and once.
#[test]
fn a_service_that_nobody_tried_says_so_in_one_line() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("endpoint=http://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let repo = Repo::new();
    let external = ["initremote", "x", "type=external", "externaltype=stream", "encryption=none"];
    let told = |more: &[&str]| {
        let said = repo.annex(&[&external, more].concat()).all();
        said.lines().filter(|line| line.contains("never tried")).count()
    };
    assert_eq!(told(&["scheme=gcs", "bucket=b", "token=t", &endpoint]), 1);
    assert_eq!(told(&["scheme=webdav", &endpoint]), 0);
}
