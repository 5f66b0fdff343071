//! What browsers and download tools ask for, of content behind the gateway.

use testbed::annex::content;
use testbed::gateway::Gateway;
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, Proxy};
use testbed::wire::{Wire, key_of};

const LEN: usize = 3_000_000;

fn parts_can_be_asked_for(place: Place) {
    let proxy = Proxy::new(Behind::Special(place, Whose::Ours));
    let uuid = proxy.uuid();
    let Proxy { repo, behind } = proxy;
    let server = Gateway::serve(&repo, &["--wideopen", "--quiet"]);
    let wire = Wire::behind(repo, server, uuid.clone());
    let body = content(5, LEN);
    let key = key_of(&body);
    let url = format!("/git-annex/{uuid}/key/{key}");
    let mut client = wire.server.connect();
    assert_eq!(client.ask(&format!("HEAD {url} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 404);
    assert_eq!(client.ask(&format!("GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 404);
    assert_eq!(wire.put(&key, &body).status, 200);
    let head = client.ask(&format!("HEAD {url} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("3000000")));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=5-99", 5, 100),
        ("bytes=2999990-", 2_999_990, LEN),
        ("bytes=-7", LEN - 7, LEN),
        ("bytes=0-2999999", 0, LEN),
    ] {
        let got = client.ask(&format!("GET {url} HTTP/1.1\r\nHost: localhost\r\nRange: {range}\r\n\r\n"));
        assert!(got.body == body[from..to], "{range}: {} bytes", got.body.len());
        let told = format!("bytes {from}-{}/{LEN}", to - 1);
        assert_eq!((got.status, got.header("content-range")), (206, Some(told.as_str())), "{range}");
    }
    let beyond = client.ask(&format!("GET {url} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=3000000-\r\n\r\n"));
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
    let whole = client.ask(&format!("GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(whole.status == 200 && whole.body == body, "{}", whole.status);
    for offset in [0, 1, LEN - 1, LEN, LEN + 5] {
        let path = format!("/git-annex/{uuid}/v4/key/{key}?clientuuid=c&offset={offset}");
        let got = client.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(got.status == 200 && got.body == body[offset.min(LEN)..], "{offset}: {}", got.body.len());
    }
    wire.server.stop();
    drop(behind);
}

#[test]
fn parts_can_be_asked_for_in_a_directory() {
    parts_can_be_asked_for(Place::fs());
}

#[test]
fn parts_can_be_asked_for_in_s3() {
    parts_can_be_asked_for(Place::weed());
}

#[test]
fn parts_can_be_asked_for_over_webdav() {
    parts_can_be_asked_for(Place::webdav());
}
