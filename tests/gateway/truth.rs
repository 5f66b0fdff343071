//! What a gateway says and records of a special remote, and what it does not write to its own disk.

use std::path::{Path, PathBuf};

use testbed::annex::{Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::http::Client;
use testbed::p2p::Session;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy};
use testbed::rest::annex_dir;
use testbed::way::{Outcome, Way};
use testbed::wire::{CLIENT, Wire, key_of, length};

const MIB: usize = 1 << 20;

fn session(proxy: &Proxy) -> Session {
    let command = proxy.repo.command(product());
    Session::greeted(command, &proxy.repo.dir(), &proxy.uuid())
}

/// Where an object of a directory remote lies.
fn file_of(place: &Place, key: &str) -> PathBuf {
    let name = place.names().into_iter().find(|name| name.contains(key)).expect("it is there");
    place.path().join(name)
}

fn removal_has_a_last_moment(place: Place) {
    let proxy = Proxy::new(Behind::Special(place, Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let (http, uuid) = (Way::Http(&server), proxy.uuid());
    let body = content(1, 1000);
    let key = key_of(&body);
    assert_eq!(http.put(&uuid, &key, &body), Outcome::Yes);
    let mut stdio = session(&proxy);
    let told = stdio.ask("GETTIMESTAMP");
    let now: u64 = told.strip_prefix("TIMESTAMP ").and_then(|now| now.parse().ok()).expect("a timestamp");
    assert_eq!(stdio.ask(&format!("REMOVE-BEFORE {} {key}", now.saturating_sub(10))), "FAILURE", "it was too late");
    assert_eq!(http.check(&uuid, &key), Outcome::Yes);
    assert_eq!(stdio.ask(&format!("LOCKCONTENT {key}")), "FAILURE", "others may write to the store");
    assert_eq!(stdio.ask(&format!("REMOVE-BEFORE {} {key}", now + 600)), "SUCCESS");
    assert_eq!(http.check(&uuid, &key), Outcome::No);
    assert_eq!(stdio.ask(&format!("LOCKCONTENT {key}")), "FAILURE", "it is not there");

    // The same over HTTP.
    let post = |op: &str, more: &str| {
        let path = format!("/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}{more}");
        let answer = server.connect().post(&path, &[], b"");
        assert_eq!(answer.status, 200, "{op}: {}", answer.text());
        answer.text()
    };
    assert_eq!(http.put(&uuid, &key, &body), Outcome::Yes);
    let told = post("gettimestamp", "");
    let now: u64 = told.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a timestamp");
    let before = |at: u64| post("remove-before", &format!("&key={key}&timestamp={at}"));
    assert_eq!(before(now.saturating_sub(10)), r#"{"plusuuids":[],"removed":false}"#);
    assert_eq!(http.check(&uuid, &key), Outcome::Yes);
    assert_eq!(post("lockcontent", &format!("&key={key}")), r#"{"locked":false}"#);
    assert_eq!(before(now + 600), r#"{"plusuuids":[],"removed":true}"#);
    assert_eq!(http.check(&uuid, &key), Outcome::No);
    server.stop();
}

#[test]
fn removal_from_a_directory_has_a_last_moment() {
    removal_has_a_last_moment(Place::fs());
}

#[test]
fn removal_from_s3_has_a_last_moment() {
    removal_has_a_last_moment(Place::weed());
}

/// The client says that it has stored content by a way of its own.
#[test]
fn content_that_came_by_another_way_is_recorded_if_it_is_there() {
    let proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    let Behind::Special(place, _) = &proxy.behind else { panic!("a special remote") };
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let (http, uuid) = (Way::Http(&server), proxy.uuid());
    let over_http = |key: &str| {
        let path = format!("/git-annex/{uuid}/v4/put?clientuuid={CLIENT}&key={key}&data-present=true");
        server.connect().post(&path, &[&length(0)], b"")
    };
    let over_stdio = |key: &str| {
        let mut session = session(&proxy);
        assert_eq!(session.ask(&format!("PUT  {key}")), "PUT-FROM 0");
        session.ask("DATA-PRESENT")
    };
    for wire in ["http", "stdio"] {
        let body = content(wire.len() as u64, 5000);
        let key = key_of(&body);
        let (file, aside) = {
            // Where it would lie is found out by putting it, which is then undone.
            assert_eq!(http.put(&uuid, &key, &body), Outcome::Yes);
            let file = file_of(place, &key);
            let aside = proxy.repo.dir().with_file_name(format!("aside-{wire}"));
            std::fs::copy(&file, &aside).expect("copied");
            assert_eq!(http.remove(&uuid, &key), Outcome::Yes);
            (file, aside)
        };
        eventually("its absence is recorded", || !proxy.records(&key));
        let (nothing, recorded) = match wire {
            "http" => (over_http(&key).text() == r#"{"plusuuids":[],"stored":false}"#, proxy.records(&key)),
            _ => (over_stdio(&key) == "FAILURE", proxy.records(&key)),
        };
        assert!(nothing && !recorded, "{wire}: nothing is there");
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        std::fs::write(&file, &body[..4000]).expect("written");
        let failed = match wire {
            "http" => over_http(&key).status == 500,
            _ => over_stdio(&key).starts_with("ERROR "),
        };
        assert!(failed, "{wire}: it is not whole");
        std::fs::write(&file, std::fs::read(&aside).expect("read")).expect("written");
        let stored = match wire {
            "http" => over_http(&key).text() == r#"{"plusuuids":[],"stored":true}"#,
            _ => over_stdio(&key) == "SUCCESS",
        };
        assert!(stored, "{wire}: it is there");
        eventually("that is recorded", || proxy.records(&key));
    }
    server.stop();
}

/// What was said to be stored is recorded, whatever becomes of the gateway.
#[test]
fn what_was_stored_is_known_after_a_kill() {
    let proxy = Proxy::new(Behind::Special(Place::weed(), Whose::Ours));
    for n in 0..5 {
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let body = content(n, 2000);
        let key = key_of(&body);
        assert_eq!(Way::Http(&server).put(&proxy.uuid(), &key, &body), Outcome::Yes);
        server.kill();
        let there = proxy.repo.annex(&["findkeys", "--in", NAME]).ok().stdout;
        assert!(there.lines().any(|line| line == key), "{key} is not in {there}");
    }
}

/// A client that fetches a little later sees in the branch what was stored.
#[test]
fn what_was_stored_is_in_the_branch_soon() {
    let proxy = Proxy::new(Behind::Special(Place::weed(), Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    let client = proxy.client(&server);
    let body = content(3, 2000);
    let key = key_of(&body);
    assert_eq!(Way::Http(&server).put(&proxy.uuid(), &key, &body), Outcome::Yes);
    let begun = std::time::Instant::now();
    let uuid = proxy.uuid();
    eventually("a fetch brings it", || {
        client.git(&["fetch", "--quiet", "origin", "git-annex"]).ok();
        let found = client.git(&["grep", "-l", &format!("1 {uuid}"), "FETCH_HEAD"]);
        found.stdout.contains(&key)
    });
    let took = begun.elapsed();
    // Some three seconds on a machine that has time.
    assert!(took < std::time::Duration::from_secs(20), "a fetch brings it only after {took:?}");
    server.stop();
}

/// Files below a directory, with their lengths.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let below = entries.flatten().flat_map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => files(&entry.path()),
        Ok(metadata) => vec![(entry.path(), metadata.len())],
        Err(_) => Vec::new(),
    });
    below.collect()
}

/// Bytes that a process sent towards a disk.
fn written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("ours");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("write_bytes");
    line.parse().expect("a number")
}

/// Bytes in files of the repository, those that are open and have no name included.
fn on_disk(repo: &Repo, server: &Gateway) -> u64 {
    let named: u64 = files(&annex_dir(repo)).iter().map(|(_, len)| len).sum();
    let Ok(open) = std::fs::read_dir(format!("/proc/{}/fd", server.pid())) else { return named };
    let nameless = open.flatten().filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let deleted = target.to_string_lossy().ends_with(" (deleted)");
        deleted.then(|| std::fs::metadata(entry.path()).map_or(0, |metadata| metadata.len()))
    });
    named + nameless.sum::<u64>()
}

#[test]
fn what_goes_through_to_s3_never_touches_the_disk() {
    let proxy = Proxy::new(Behind::Special(Place::weed(), Whose::Ours));
    let uuid = proxy.uuid();
    let Proxy { repo, behind: _behind } = proxy;
    let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
    let wire = Wire::behind(repo, server, uuid);
    let warm = content(1, 1000);
    assert_eq!(wire.put(&key_of(&warm), &warm).status, 200);
    let body = content(2, 64 * MIB);
    let key = key_of(&body);
    let before = (written(wire.server.pid()), on_disk(&wire.repo, &wire.server));
    let mut most = 0;
    let mut client: Client = wire.server.connect();
    client.send(wire.put_head(&key, body.len()));
    for part in body.chunks(8 * MIB) {
        client.send(part);
        most = most.max(on_disk(&wire.repo, &wire.server));
    }
    assert!(client.answer(false).text().contains("\"stored\":true"));
    let mut client: Client = wire.server.connect();
    client.send(wire.get(&key));
    assert_eq!(client.head().expect("a head").expect("an answer").status, 200);
    for part in body.chunks(8 * MIB) {
        assert!(client.bytes(part.len()) == part, "the content comes back");
        most = most.max(on_disk(&wire.repo, &wire.server));
    }
    let wrote = written(wire.server.pid()) - before.0;
    assert!(wrote < MIB as u64, "{wrote} bytes went to the disk");
    assert!(most < before.1 + MIB as u64, "{most} bytes in files, and {} before", before.1);
    wire.server.stop();
}
