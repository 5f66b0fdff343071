//! Bodies of the fuzz targets in `testdata/fuzz/`, here so that plain tests can run them too.
//!
//! They panic when a promise of the module is broken.

use super::access::{Access, Logins};
use super::body::{BadBody, BodyReader};
use super::head::{Body, Head, Refusal, parse, parse_more};
use super::json::{KeepLocked, Wish};
use super::range::{Choice, choose};
use super::reject::Reject;
use super::response::{Connection, Response};
use super::route::route;

/// The first byte says how the rest is cut into pieces; the rest is a head and what follows it.
pub fn head(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let whole = parse(data);
    let fed = feed(data, usize::from(*step).max(1));
    match (&whole, fed) {
        (Ok(Some((_, length))), Ok(fed)) => {
            assert_eq!(Some(*length), fed, "the head ends elsewhere when fed");
            assert!(data[..*length].ends_with(b"\r\n\r\n"));
        }
        // What is wrong may show only at the end of the head; a limit, only in all the bytes.
        (Err(_), _) | (Ok(None), Ok(None)) => {}
        (whole, fed) => panic!("{whole:?} at once and {fed:?} when fed"),
    }
    if let Ok(Some((head, length))) = whole {
        follow(&head);
        // A body may be wrong; that reading it agrees with itself is all that is asked.
        let _ = read_body(head.body, &data[length..], 7);
    }
}

/// The first byte says how the rest is cut into pieces, the second which kind of body it is; the rest is the body.
pub fn body(data: &[u8]) {
    let [step, kind, data @ ..] = data else { return };
    let kind = match kind {
        b'c' => Body::Chunked,
        b'n' => Body::None,
        length => Body::Length(u64::from(*length)),
    };
    let whole = read_body(kind, data, data.len().max(1));
    assert_eq!(whole, read_body(kind, data, 1), "{}", data.escape_ascii());
    assert_eq!(whole, read_body(kind, data, usize::from(*step).max(1)), "{}", data.escape_ascii());
    assert_eq!(keep_locked(data, data.len().max(1)), keep_locked(data, 1), "{}", data.escape_ascii());
}

fn feed(data: &[u8], step: usize) -> Result<Option<usize>, Refusal> {
    let mut seen = 0;
    while seen < data.len() {
        let end = data.len().min(seen + step);
        if let Some((_, length)) = parse_more(&data[..end], seen)? {
            return Ok(Some(length));
        }
        seen = end;
    }
    Ok(None)
}

/// What a server would do with a head.
fn follow(head: &Head<'_>) {
    let mut out = Vec::new();
    let status = match route(head) {
        Ok(call) => {
            assert!(call.prefix.is_empty() || (call.prefix.starts_with(b"/") && !call.prefix.ends_with(b"/")));
            let access = Access { logins: Logins::Anyhow, ..Access::default() };
            let who = access.identify(call.credentials.as_ref(), false);
            access.decide(who, call.op.action());
            200
        }
        Err(Reject { status, body }) => {
            assert!(matches!(status, 400 | 404 | 405 | 406), "{status}");
            assert!(body.len() <= 4 * super::head::LONGEST_TARGET, "an answer of {} bytes", body.len());
            status
        }
    };
    if let Choice::Part { first, length } = choose(head.range, 1000) {
        assert!(length > 0 && first + length <= 1000);
    }
    Response { connection: Connection::of(head.version, head.keep_alive), ..Response::of(status) }
        .write("Sun, 06 Nov 1994 08:49:37 GMT", &mut out);
    assert!(out.ends_with(b"\r\n\r\n"));
}

/// Payload, bytes used, and whether the end was reached, read in two ways.
fn read_body(body: Body, data: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BadBody> {
    let mut pointed = BodyReader::new(body);
    let mut moved = BodyReader::new(body);
    let (mut payload, mut used) = (Vec::new(), 0);
    for part in data.chunks(step) {
        let mut rest = part;
        let mut pieces = Vec::new();
        let result = loop {
            match pointed.next(&mut rest) {
                Ok(Some(piece)) => pieces.extend_from_slice(piece),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let mut buffer = part.to_vec();
        let compacted = moved.compact(&mut buffer);
        assert_eq!(result, compacted.map(drop));
        let compacted = compacted?;
        assert_eq!((&buffer[..compacted.payload], compacted.used), (pieces.as_slice(), part.len() - rest.len()));
        payload.extend(pieces);
        used += compacted.used;
    }
    assert_eq!(pointed.is_done(), moved.is_done());
    Ok((payload, used, moved.is_done()))
}

fn keep_locked(data: &[u8], step: usize) -> bool {
    let mut reader = KeepLocked::new();
    data.chunks(step).any(|piece| reader.push(piece) == Wish::Unlock)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Bytes that look like a request more often than chance would have it.
    fn request_like() -> impl Strategy<Value = Vec<u8>> {
        let words: Vec<&[u8]> = vec![
            b"GET ",
            b"POST ",
            b"/git-annex/",
            b"u/v4/checkpresent?key=A--b&clientuuid=c",
            b"u/key/A--b",
            b"u/v4/put?key=[QS0tYg==]&clientuuid=%5bYw%5D;offset=1",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: x\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Authorization: Basic YTpi\r\n",
            b"X-git-annex-data-length: 5\r\n",
            b"Range: bytes=1-\r\n",
            b"\r\n",
            b"\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"{\"unlock\":false}\n",
        ];
        let word = proptest::sample::select(words).prop_map(<[u8]>::to_vec);
        let noise = proptest::collection::vec(any::<u8>(), 0..3);
        proptest::collection::vec(prop_oneof![8 => word, 1 => noise], 0..12).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn anything_like_a_request_is_survived(step in 1u8.., data in request_like()) {
            super::head(&[&[step][..], &data].concat());
            super::body(&[&[step, b'c'][..], &data].concat());
        }

        #[test]
        fn anything_at_all_is_survived(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::head(&data);
            super::body(&data);
        }
    }
}
