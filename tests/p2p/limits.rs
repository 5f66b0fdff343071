//! What a server lets clients have: room within a quota, and bandwidth.

use std::time::{Duration, Instant};

use testbed::annex::{Repo, content};
use testbed::cluster::Cluster;
use testbed::gateway::Gateway;
use testbed::p2p::Session;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy};
use testbed::wire::{CLIENT, Wire, key_of, length};

use crate::site::Site;

/// A server of a repository with these settings, and what a client on the other wire asks.
fn limited(settings: &[(&str, &str)]) -> (Wire, Session) {
    let repo = Repo::new();
    settings.iter().for_each(|(name, value)| drop(repo.git(&["config", name, value]).ok()));
    let wire = Wire::open(repo, &[]);
    let session = Session::greeted(wire.repo.command(product()), &wire.repo.dir(), &wire.repo.uuid());
    (wire, session)
}

/// Both wires refuse with the same words, before a byte is sent. What is there costs nothing, and what goes is given back.
#[test]
fn a_quota_is_kept_on_both_wires() {
    let (wire, mut session) = limited(&[("stream.quota", "100kB"), ("stream.largest", "70kB")]);
    let [first, second, third, large] = [60_000, 39_000, 2000, 70_001].map(|len| content(len as u64, len));
    let [a, b, c, d] = [&first, &second, &third, &large].map(|content| key_of(content));
    assert_eq!(wire.put(&a, &first).status, 200);
    assert!(session.put(&b, &second).starts_with("SUCCESS"));
    for (key, content, says) in [
        (&c, &third, "the quota is used up: 96.7 KiB of 97.7 KiB, and 2.0 KiB more do not fit"),
        (&d, &large, "68.4 KiB is more than the largest content that is stored here (68.4 KiB)"),
    ] {
        let refused = wire.put(key, content);
        assert_eq!((refused.status, refused.text()), (507, says.to_string()));
        assert_eq!(session.ask(&format!("PUT  {key}")), format!("ERROR {says}"));
    }
    // Whoever waits to be told sends nothing; whoever does not is understood on the same connection.
    let mut client = wire.server.connect();
    client.send(wire.put_head(&c, third.len()).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(client.answer(false).status, 507);
    let mut client = wire.server.connect();
    client.send(wire.put_head(&c, third.len()));
    client.send(&third);
    client.send(wire.put_head(&a, first.len()));
    client.send(&first);
    assert_eq!((client.answer(false).status, client.answer(false).status), (507, 200));
    assert!(session.ask(&format!("PUT  {a}")).starts_with("ALREADY-HAVE"));
    // Nothing of what was refused lies anywhere.
    assert_eq!(std::fs::read_dir(wire.repo.dir().join(".git/annex/tmp")).map_or(0, Iterator::count), 0);
    assert!(wire.ask("remove", &b).contains("true"));
    assert_eq!(wire.put(&c, &third).status, 200);
    assert_eq!(wire.server.metric("failures_total{kind=\"no_room\"}"), 4);
    wire.server.stop();
}

/// Of many that come at once as many are stored as fit, through two servers and over stdio.
#[test]
fn a_quota_is_not_exceeded_by_many_at_once() {
    let (wire, mut session) = limited(&[("stream.quota", "100kB")]);
    let other = Gateway::serve(&wire.repo, &["--wideopen"]);
    let bodies: Vec<Vec<u8>> = (0..24).map(|seed| content(seed, 15_000)).collect();
    let stored = std::thread::scope(|scope| {
        let put = |(n, body): (usize, &Vec<u8>)| {
            let (path, server) = (wire.path("put", &key_of(body)), if n % 2 == 0 { &wire.server } else { &other });
            let body = body.clone();
            let mut client = server.connect();
            scope.spawn(move || client.post(&path, &[&length(body.len())], &body).status)
        };
        let threads: Vec<_> = bodies.iter().enumerate().map(put).collect();
        let statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().expect("it ends")).collect();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 507)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 200).count()
    });
    // One that was refused may have been in the way of another for a moment, which comes again.
    let more = bodies.iter().filter(|body| session.put(&key_of(body), body).starts_with("SUCCESS")).count();
    let there = bodies.iter().filter(|body| wire.ask("checkpresent", &key_of(body)).contains("true")).count();
    assert!(stored <= 6 && stored + more >= 6, "{stored} and {more}");
    assert_eq!(there, 6);
    other.stop();
    wire.server.stop();
}

#[test]
fn a_quota_that_is_no_size_lets_nothing_in() {
    let (wire, mut session) = limited(&[("stream.quota", "much")]);
    let body = content(1, 10);
    let refused = wire.put(&key_of(&body), &body);
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("stream quota is no size"), "{}", refused.text());
    let said = session.ask(&format!("PUT  {}", key_of(&body)));
    assert!(said.starts_with("ERROR ") && said.contains("stream quota is no size"), "{said}");
    wire.server.stop();
}

/// A remote behind a repository has a quota of its own, on both wires. Content in the repository is no part of it.
#[test]
fn a_remote_has_a_quota_of_its_own() {
    let proxy = Proxy::new(Behind::Special(Place::fs(), Whose::Ours));
    for (name, value) in [("quota", "100kB"), ("largest", "70kB")] {
        proxy.repo.git(&["config", &format!("remote.{}.stream-{name}", NAME), value]).ok();
    }
    let uuid = proxy.uuid();
    let Proxy { repo, behind: _behind } = proxy;
    let mut session = Session::greeted(repo.command(product()), &repo.dir(), &uuid);
    let near = key_of(&content(9, 150_000));
    let mut own = Session::greeted(repo.command(product()), &repo.dir(), &repo.uuid());
    assert!(own.put(&near, &content(9, 150_000)).starts_with("SUCCESS"));
    let server = Gateway::serve(&repo, &["--wideopen"]);
    let far = Wire::behind(repo, server, uuid);
    let [first, second, third, large] = [60_000, 39_000, 2000, 70_001].map(|len| content(len as u64, len));
    let [a, b, c, d] = [&first, &second, &third, &large].map(|content| key_of(content));
    assert_eq!(far.put(&a, &first).status, 200);
    assert!(session.put(&b, &second).starts_with("SUCCESS"));
    for (key, content, says) in [
        (&c, &third, "the quota is used up: 96.7 KiB of 97.7 KiB, and 2.0 KiB more do not fit"),
        (&d, &large, "68.4 KiB is more than the largest content that is stored here (68.4 KiB)"),
    ] {
        let refused = far.put(key, content);
        assert_eq!((refused.status, refused.text()), (507, says.to_string()));
        assert_eq!(session.ask(&format!("PUT  {key}")), format!("ERROR {says}"));
    }
    assert!(far.ask("remove", &b).contains("true"));
    assert_eq!(far.put(&c, &third).status, 200);
    far.server.stop();
}

/// A node that is full is left out, and where all are the upload is refused. No node is taken to be down for it.
#[test]
fn nodes_of_a_cluster_have_quotas_of_their_own() {
    let directory = || Behind::Special(Place::fs(), Whose::Ours);
    let cluster = Cluster::new(vec![directory(), directory()]);
    let quota = |node: &str, value: &str| {
        cluster.repo.git(&["config", &format!("remote.{node}.stream-quota"), value]).ok();
    };
    quota("m0", "100kB");
    quota("m1", "150kB");
    let server = Gateway::serve(&cluster.repo, &["--wideopen"]);
    let put = |body: &[u8]| {
        let path = format!("/git-annex/{}/v4/put?clientuuid={CLIENT}&key={}", cluster.uuid, key_of(body));
        server.connect().post(&path, &[&length(body.len())], body)
    };
    let [first, second, third, small] = [60_000, 61_000, 62_000, 1000].map(|len| content(len as u64, len));
    let holders = |body: &[u8]| cluster.holders(&key_of(body));
    assert_eq!((put(&first).status, holders(&first)), (200, vec![0, 1]));
    assert_eq!((put(&second).status, holders(&second)), (200, vec![1]));
    for _ in 0..4 {
        let refused = put(&third);
        assert_eq!((refused.status, holders(&third)), (507, vec![]), "{}", refused.text());
    }
    let mut session = Session::greeted(cluster.repo.command(product()), &cluster.repo.dir(), &cluster.uuid);
    let said = session.ask(&format!("PUT  {}", key_of(&third)));
    assert!(said.starts_with("ERROR ") && said.contains("the quota is used up"), "{said}");
    assert_eq!((put(&small).status, holders(&small)), (200, vec![0, 1]));
    assert_eq!(server.metric("nodes_down"), 0);
    server.stop();
}

/// git says so to the pusher.
#[test]
fn a_push_that_is_too_large_is_refused() {
    let site = Site::open(&["--wideopen"]);
    let clone = site.clone("", "photos.git");
    site.git("photos.git", &["config", "receive.maxInputSize", "100k"]);
    std::fs::write(clone.dir().join("big"), content(1, 200_000)).expect("a file");
    clone.git(&["add", "big"]).ok();
    clone.git(&["commit", "--quiet", "-m", "big"]).ok();
    let refused = clone.git(&["push", "origin", "HEAD:main"]).failed();
    assert!(refused.stderr.contains("exceeds maximum allowed size"), "{}", refused.stderr);
    assert_eq!(site.git("photos.git", &["for-each-ref", "refs/heads/main"]), "");
}

/// Each way, and over every wire; and who is slowed by the server is not cut off for being slow.
#[test]
fn bandwidth_is_limited_each_way() {
    let rate = 400_000;
    let site = Site::open(&[
        "--wideopen",
        "--bwlimit-user",
        "400kB",
        "--bwlimit",
        "1GB",
        "--timeout",
        "1",
        "--git-min-rate",
        "1MiB",
    ]);
    let uuid = site.git("photos.git", &["config", "annex.uuid"]);
    let body = content(1, 700_000);
    let path = |op: &str| format!("/photos.git/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={}", key_of(&body));
    // Of what moves, a turn is free.
    let least = |bytes: usize| Duration::from_secs_f64((bytes - rate / 4) as f64 / rate as f64 * 0.9);
    let begun = Instant::now();
    assert_eq!(site.server().connect().post(&path("put"), &[&length(body.len())], &body).status, 200);
    assert!(begun.elapsed() >= least(body.len()), "put took {:?}", begun.elapsed());
    let begun = Instant::now();
    let key = format!("/photos.git/git-annex/{uuid}/key/{}", key_of(&body));
    let got = site.server().connect().ask(&format!("GET {key} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(got.body == body && begun.elapsed() >= least(body.len()), "get took {:?}", begun.elapsed());
    let clone = site.clone("", "photos.git");
    std::fs::write(clone.dir().join("big"), content(2, 700_000)).expect("a file");
    clone.git(&["add", "big"]).ok();
    clone.git(&["commit", "--quiet", "-m", "big"]).ok();
    let begun = Instant::now();
    clone.git(&["push", "--quiet", "origin", "HEAD:main"]).ok();
    assert!(begun.elapsed() >= least(700_000), "push took {:?}", begun.elapsed());
    let begun = Instant::now();
    Repo::homeless().git(&["clone", "--quiet", &site.url("", "photos.git"), "."]).ok();
    assert!(begun.elapsed() >= least(700_000), "clone took {:?}", begun.elapsed());
}
