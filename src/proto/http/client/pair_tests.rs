//! What the client writes is what the server reads, and the other way.

use super::super::auth::{Credentials, Password};
use super::super::body::BodyReader;
use super::super::head::{self, Body};
use super::super::json;
use super::super::response::Response;
use super::super::route::{Api, Op, route};
use super::answer::{self, PutOffset};
use super::request::{Endpoint, VERSIONS, lowest, write};
use super::response;
use crate::name::{Key, Uuid};

fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::parse(bytes).expect("a uuid")
}

#[test]
fn every_request_is_understood_at_every_version_that_has_it() {
    for key in [&b"SHA256E-s3--ab.txt"[..], b"WORM-s5-m1--a b/c%d+e&f=[g]", b"XYZ--\xff\xfe", b"XYZ--\xc3\xbc?#"] {
        let key = || Key::parse(key).expect("a key");
        for file in [None, Some(b"a/b c%\xc3\xbc.txt".to_vec()), Some(b"[x]".to_vec()), Some(b"\xff&x=+".to_vec())] {
            let put = |offset, data_present| Op::Put { key: key(), file: file.clone(), offset, len: 9, data_present };
            for op in [
                Op::CheckPresent { key: key() },
                Op::Lock { key: key() },
                Op::KeepLocked { lockid: b"an id".to_vec() },
                Op::Remove { key: key() },
                Op::RemoveBefore { key: key(), timestamp: 7 },
                Op::Timestamp,
                put(0, false),
                put(4, true),
                Op::PutOffset { key: key() },
                Op::Get { key: key(), offset: 0, file: file.clone() },
                Op::Get { key: key(), offset: 12, file: file.clone() },
            ] {
                for api in VERSIONS.into_iter().filter(|api| *api >= lowest(&op)) {
                    understood(api, &op);
                }
            }
        }
    }
}

fn understood(api: Api, op: &Op) {
    let (server, client) = (uuid(b"00000000-s"), uuid(b"c&d"));
    let place =
        Endpoint { host: "[::1]:9417", proxy: None, prefix: b"/a%20b", server: &server, client: &client, bypass: &[] };
    let credentials = Credentials { name: b"alice".to_vec(), password: Password::new(b"p:w".to_vec()) };
    let mut bytes = Vec::new();
    write(&place, api, op, Some(&credentials), &mut bytes);
    for n in 0..bytes.len() {
        assert_eq!(head::parse(&bytes[..n]), Ok(None));
    }
    let (head, len) = head::parse(&bytes).expect("a head").expect("all of it");
    assert_eq!(len, bytes.len());
    let call = route(&head).unwrap_or_else(|reject| panic!("{api:?} {op:?}: {reject:?}"));
    assert_eq!((&call.op, call.api, &call.uuid), (op, api, &server));
    assert_eq!((call.prefix, call.client, call.credentials), (&b"/a%20b"[..], Some(client), Some(credentials)));
    let body = match op {
        Op::Put { len, .. } => Body::Length(*len),
        Op::KeepLocked { .. } => Body::Chunked,
        Op::Get { .. } => Body::None,
        _ => head.body,
    };
    assert_eq!(head.body, body);
}

/// The body of an answer as the client gets it, whole and in chunks of any size, byte by byte.
fn heard(json: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    Response::json(json.len()).write("now", &mut whole);
    whole.extend_from_slice(json);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in json.chunks(5) {
        super::super::body::begin_chunk(piece.len(), &mut chunked);
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(super::super::body::CHUNK_END);
    }
    chunked.extend_from_slice(super::super::body::LAST_CHUNK);
    let bodies = [whole, chunked].map(|bytes| {
        let (head, len) = response::parse(&bytes).expect("HTTP").expect("all of it");
        assert!(head.status == 200 && head.keep_alive);
        let (mut reader, mut body) = (BodyReader::new(head.body), Vec::new());
        for byte in bytes[len..].chunks(1) {
            let mut rest = byte;
            while let Some(piece) = reader.next(&mut rest).expect("a body") {
                body.extend_from_slice(piece);
            }
        }
        assert!(reader.is_done());
        body
    });
    assert_eq!(bodies[0], bodies[1]);
    bodies.into_iter().next().expect("two of them")
}

#[test]
fn every_answer_is_understood_at_every_version() {
    for api in VERSIONS {
        let plus = [uuid(b"u2"), uuid(b"u1")];
        let listed = || if api.lists_uuids() { plus.to_vec() } else { Vec::new() };
        let said = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            heard(&out)
        };
        for yes in [true, false] {
            assert_eq!(answer::present(&said(&|out| json::present(yes, out))), Ok(yes));
            assert_eq!(answer::stored(&said(&|out| json::stored(api, yes, &plus, out))), Ok((yes, listed())));
            assert_eq!(answer::removed(&said(&|out| json::removed(api, yes, &plus, out))), Ok((yes, listed())));
        }
        assert_eq!(answer::put_offset(&said(&|out| json::offset(7, out))), Ok(PutOffset::Offset(7)));
        let have = said(&|out| json::already_have(api, &plus, out));
        assert_eq!(answer::put_offset(&have), Ok(PutOffset::AlreadyHave(listed())));
        assert_eq!(answer::timestamp(&said(&|out| json::timestamp(77, out))), Ok(77));
        assert_eq!(answer::locked(&said(&|out| json::locked(Some(b"id"), out))), Ok(Some(b"id".to_vec())));
        assert_eq!(answer::locked(&said(&|out| json::locked(None, out))), Ok(None));
    }
}

/// The answers git-annex's own server gave, from the recordings of what scripts asked it.
#[test]
fn recorded_answers_are_understood() {
    let text = include_str!("../../../../testdata/http/01-endpoints.txt").replace("SECONDS", "1998");
    let mut read = 0;
    for line in text.lines() {
        let Some(body) = line.split_once("< ").map(|(_, body)| body.trim()).filter(|body| body.starts_with("{\""))
        else {
            continue;
        };
        let body = body.as_bytes();
        let understood = answer::present(body).is_ok()
            || answer::stored(body).is_ok()
            || answer::removed(body).is_ok()
            || answer::put_offset(body).is_ok()
            || answer::timestamp(body).is_ok()
            || answer::locked(body).is_ok();
        assert!(understood, "{line}");
        read += 1;
    }
    assert!(read > 10, "{read}");
}
