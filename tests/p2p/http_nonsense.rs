//! Bytes that are no requests, or more than one: nothing in them is done that should not be.

use testbed::annex::{Repo, content};
use testbed::rest::{at_rest, returns_to, warm_up};
use testbed::wire::{Wire, key_of, length};

#[test]
fn nonsense_is_refused_and_nothing_in_it_is_done() {
    let repo = Repo::new();
    let kept = repo.add("kept", 1, 1000);
    let wire = Wire::open(repo, &["--quiet"]);
    warm_up(&wire, &kept);
    let before = at_rest(&wire);
    let remove =
        format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", wire.path("remove", &kept));
    let check = wire.path("checkpresent", &kept);
    let with = |headers: &str, body: &str| {
        format!("POST {check} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}").into_bytes()
    };
    let n = remove.len();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("noise", content(9, 100_000)),
        ("zeros", vec![0; 100_000]),
        ("a TLS hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &content(3, 507)[..]].concat()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec()),
        ("a head of 1 MiB", [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 1 << 20]].concat()),
        ("a target of 1 MiB", [b"GET /".to_vec(), vec![b'x'; 1 << 20]].concat()),
        ("10,000 headers", [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(10_000)].concat()),
        (
            "two ways of length",
            with(&format!("Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n"), &format!("0\r\n\r\n{remove}")),
        ),
        ("two lengths", with(&format!("Content-Length: 0\r\nContent-Length: {n}\r\n"), &remove)),
        ("a list of lengths", with("Content-Length: 0, 0\r\n", &remove)),
        ("a length with a sign", with("Content-Length: +0\r\n", &remove)),
        ("a length that is negative", with("Content-Length: -1\r\n", &remove)),
        ("a length beyond numbers", with("Content-Length: 99999999999999999999999\r\n", &remove)),
        (
            "an encoding of ours and another",
            with("Transfer-Encoding: gzip, chunked\r\n", &format!("0\r\n\r\n{remove}")),
        ),
        (
            "an encoding twice",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{remove}")),
        ),
        ("an encoding misspelt", with("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{remove}"))),
        ("a space before the colon", with("Transfer-Encoding : chunked\r\n", &format!("0\r\n\r\n{remove}"))),
        ("a folded header", with("X: y\r\n Content-Length: 5\r\n", &remove)),
        ("bare line feeds", format!("POST {check} HTTP/1.1\nHost: localhost\n\n{remove}").into_bytes()),
        ("a zero byte in a header", with("X: a\0b\r\n", &remove)),
        (
            "HTTP/1.0 in chunks",
            format!("POST {check} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{remove}").into_bytes(),
        ),
        ("a chunk that is no number", with("Transfer-Encoding: chunked\r\n", &format!("zz\r\n{remove}"))),
        ("a chunk beyond numbers", with("Transfer-Encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{remove}"))),
        ("a chunk with a sign", with("Transfer-Encoding: chunked\r\n", &format!("-1\r\n{remove}"))),
        (
            "a chunk longer than it said",
            with("Transfer-Encoding: chunked\r\n", &format!("1\r\nxyz\r\n0\r\n\r\n{remove}")),
        ),
        (
            "a chunk's endless extension",
            with("Transfer-Encoding: chunked\r\n", &format!("0;{}\r\n\r\n{remove}", "x".repeat(1 << 20))),
        ),
        (
            "endless trailers",
            with("Transfer-Encoding: chunked\r\n", &format!("0\r\n{}\r\n{remove}", "X: y\r\n".repeat(200_000))),
        ),
    ];
    for (what, bytes) in &cases {
        let mut client = wire.server.connect();
        // The server may close before it has all.
        let _ = client.try_send(bytes);
        client.finish();
        let mut answers = Vec::new();
        while let Ok(Some(answer)) = client.try_answer(false) {
            answers.push(answer);
        }
        assert!(answers.len() <= 1, "{what}: {} answers: {answers:?}", answers.len());
        assert_eq!(wire.ask("checkpresent", &kept), r#"{"present":true}"#, "after {what}: {answers:?}");
        println!("{what}: {:?}", answers.first().map(|answer| (answer.status, answer.text())));
    }
    // The same chunks as the body of a put.
    for chunks in ["zz\r\nx", "fffffffffffffffff\r\nx", "-1\r\nx", "1\r\nxyz\r\n", "5\r\nhello\r\nzz\r\n"] {
        let key = key_of(b"hello");
        let head =
            format!("POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n", wire.path("put", &key));
        let mut client = wire.server.connect();
        client.send(format!("{head}{}\r\n\r\n{chunks}{remove}", length(5)));
        client.finish();
        let rest = client.rest();
        assert!(!String::from_utf8_lossy(&rest).contains("true"), "{chunks:?}: {}", rest.escape_ascii());
        assert_eq!(wire.ask("checkpresent", &key), r#"{"present":false}"#, "{chunks:?}");
        assert_eq!(wire.ask("checkpresent", &kept), r#"{"present":true}"#, "{chunks:?}");
    }
    returns_to(&wire, before);
    wire.server.stop();
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let repo = Repo::new();
    let there = repo.add("there", 1, 100_000);
    let wire = Wire::open(repo, &["--quiet"]);
    let body = content(8, 50_000);
    let (key, gone) = (key_of(&body), key_of(b"gone"));
    let post = |op: &str, key: &str| {
        format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", wire.path(op, key))
    };
    let mut bytes = Vec::new();
    for _ in 0..15 {
        bytes.extend_from_slice(post("checkpresent", &there).as_bytes());
        bytes.extend_from_slice(post("checkpresent", &gone).as_bytes());
        bytes.extend_from_slice(wire.get(&there).as_bytes());
        bytes.extend_from_slice(wire.put_head(&key, body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&wire.put_chunk(&key, body.len(), &body));
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        bytes.extend_from_slice(wire.get(&key).as_bytes());
        bytes.extend_from_slice(post("remove", &key).as_bytes());
    }
    let mut client = wire.server.connect();
    let mut sender = client.again();
    let sending = std::thread::spawn(move || sender.send(bytes));
    for round in 0..15 {
        let mut next = || client.answer(false);
        assert_eq!(next().text(), r#"{"present":true}"#, "{round}");
        assert_eq!(next().text(), r#"{"present":false}"#, "{round}");
        assert_eq!(next().body, content(1, 100_000), "{round}");
        assert_eq!(next().text(), r#"{"plusuuids":[],"stored":true}"#, "{round}");
        assert_eq!(next().text(), r#"{"plusuuids":[],"stored":true}"#, "{round}");
        assert_eq!(next().body, body, "{round}");
        assert_eq!(next().text(), r#"{"plusuuids":[],"removed":true}"#, "{round}");
    }
    sending.join().expect("all was taken");
    wire.server.stop();
}
