//! Stores that give each connection little: further connections are opened, and what arrives is the content all the same.

use testbed::annex::content;
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, Proxy};
use testbed::trickle::Trickle;
use testbed::way::{Outcome, Way};
use testbed::wire::key_of;

/// Bytes a second of a connection: so little that all else is fast beside it, and that others may use the store meanwhile.
const RATE: u64 = 2 << 20;

fn there_and_back(line: &Trickle, proxy: &Proxy, way: Way<'_>, len: usize) {
    let body = content(len as u64, len);
    let (uuid, key) = (proxy.uuid(), key_of(&body));
    assert_eq!(way.put(&uuid, &key, &body), Outcome::Yes);
    line.most();
    assert!(way.get(&uuid, &key) == Outcome::Content(body), "it is what was put there");
    let most = line.most();
    assert!(most > 1, "{most} connections at a time");
    assert_eq!(way.remove(&uuid, &key), Outcome::Yes);
}

#[test]
fn several_connections_bring_the_content() {
    let place = Place::weed();
    let line = Trickle::start(place.port(), RATE);
    let proxy = Proxy::new(Behind::Special(place.through(line.port), Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
    there_and_back(&line, &proxy, Way::Http(&server), 64 << 20);
    there_and_back(&line, &proxy, Way::Stdio(&proxy.repo, "30"), 12 << 20);
    let free = || server.metric("budget_free_bytes") == server.metric("budget_bytes");
    eventually("no memory is kept", free);
    server.stop();
}

/// The only connection, and those after it.
#[test]
fn a_connection_that_breaks_is_replaced() {
    let place = Place::weed();
    let line = Trickle::start(place.port(), 16 << 20);
    let proxy = Proxy::new(Behind::Special(place.through(line.port), Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet", "--store-connections", "1"]);
    let body = content(10, 12 << 20);
    let (uuid, key) = (proxy.uuid(), key_of(&body));
    for way in [Way::Http(&server), Way::Stdio(&proxy.repo, "30")] {
        assert_eq!(way.put(&uuid, &key, &body), Outcome::Yes);
        line.cut(3);
        assert!(way.get(&uuid, &key) == Outcome::Content(body.clone()), "it is what was put there");
        assert_eq!(line.uncut(), 0);
        assert_eq!(way.remove(&uuid, &key), Outcome::Yes);
    }
    let free = || server.metric("budget_free_bytes") == server.metric("budget_bytes");
    eventually("no memory is kept", free);
    server.stop();
}

/// Others take their part of what there is, so nobody gets more than one.
#[test]
fn nobody_has_more_connections_than_are_allowed() {
    let place = Place::weed();
    let line = Trickle::start(place.port(), RATE);
    let proxy = Proxy::new(Behind::Special(place.through(line.port), Whose::Ours));
    let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet", "--store-connections", "1"]);
    let body = content(9, 8 << 20);
    let (uuid, key, way) = (proxy.uuid(), key_of(&body), Way::Http(&server));
    assert_eq!(way.put(&uuid, &key, &body), Outcome::Yes);
    line.most();
    assert!(way.get(&uuid, &key) == Outcome::Content(body), "it is what was put there");
    assert_eq!(line.most(), 1);
    server.stop();
}
