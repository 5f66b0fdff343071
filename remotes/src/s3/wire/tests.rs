//! Requests and answers over loopback, against a server that says what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Body, Connector, Pool, Request, Response};
use crate::s3::region::Region;
use crate::{Context, Kind, Op, Result};

const LIMIT: Duration = Duration::from_secs(30);

/// What a server has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Seen {
    fn both(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// A server that gives these answers, one to each request. The connection ends with an empty one, and with one that says so.
fn server(answers: &'static [&'static str]) -> (Pool, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            told.connections.fetch_add(1, Ordering::SeqCst);
            let mut lines = BufReader::new(&stream).lines();
            // A request ends with an empty line; the connection, with no line.
            while lines.by_ref().find(|line| line.as_ref().is_ok_and(String::is_empty)).is_some() {
                let answer = answers.get(told.requests.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or("");
                let sent = (&stream).write_all(answer.as_bytes());
                if answer.is_empty() || sent.is_err() || answer.contains("Connection: close") {
                    break;
                }
            }
        }
    });
    let context = Context { idle: LIMIT, connect: LIMIT, ..Context::default() };
    (Pool::new("127.0.0.1".into(), port, Connector::Plain(None), Arc::new(Region::new("r")), &context), seen)
}

fn request(method: &str) -> Request {
    Request::signed(Op::Remove, method, "http://127.0.0.1:81/bucket/k", std::iter::empty(), "r").expect("one")
}

async fn once(pool: &Pool) -> Result<Response> {
    request("DELETE").exchange_once(pool, LIMIT).await
}

fn on(f: impl Future<Output = ()>) {
    crate::sys::run(false, f).expect("a runtime");
}

#[test]
fn what_changes_something_is_not_repeated_in_silence() {
    on(async {
        let (pool, seen) = server(&["HTTP/1.1 204 No Content\r\n\r\n", "", "HTTP/1.1 204 No Content\r\n\r\n"]);
        once(&pool).await.expect("answered").finish().await;
        let e = once(&pool).await.err().expect("the server had it, and may have done it");
        assert_eq!((e.kind(), seen.both()), (Kind::Reset, (1, 2)));
        // What changes nothing is.
        let (pool, seen) = server(&["HTTP/1.1 204 No Content\r\n\r\n", "", "HTTP/1.1 200 OK\r\n\r\n"]);
        once(&pool).await.expect("answered").finish().await;
        let answer = request("HEAD").exchange(&pool, Body::Empty).await.expect("answered");
        assert_eq!((answer.status(), seen.both()), (200, (2, 3)));
    });
}

#[test]
fn a_connection_serves_again_when_its_answer_was_read_to_the_end() {
    const NEXT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    on(async {
        for (first, text, connections) in [
            (NEXT, "", 1),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 1),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", 1),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", 2),
            ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 2),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc", 2),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "", 2),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "", 2),
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([first, NEXT]));
            let (pool, seen) = server(answers);
            let answer = once(&pool).await.expect("answered");
            assert_eq!(answer.into_text(LIMIT).await.expect("read"), text, "{first}");
            assert_eq!(once(&pool).await.expect("answered").status(), 204, "{first}");
            assert_eq!(seen.both(), (connections, 2), "{first}");
        }
    });
}

#[test]
fn a_document_has_an_end() {
    const LONG: &str = concat!("HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n", "<a>");
    on(async {
        for (answer, kind) in [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", Kind::Protocol),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", Kind::Protocol),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabc", Kind::Reset),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Kind::Reset),
            (LONG, Kind::Timeout),
        ] {
            let (pool, _) = server(Box::leak(Box::new([answer])));
            let limit = if answer == LONG { Duration::from_millis(50) } else { LIMIT };
            let e = once(&pool).await.expect("answered").into_text(limit).await.expect_err(answer);
            assert_eq!(e.kind(), kind, "{answer}: {e}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n{}", " ".repeat(1 << 20));
        let (pool, _) = server(Box::leak(Box::new([&*Box::leak(long.into_boxed_str())])));
        let e = once(&pool).await.expect("answered").into_text(LIMIT).await.expect_err("it is too long");
        assert_eq!(e.kind(), Kind::Protocol, "{e}");
        // A refusal is told by what can be read of it.
        let code = "<Error><Code>SlowDown</Code><Message>it&apos;s busy</Message>";
        let text = format!(
            "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n<\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            code.len() - 1,
            &code[1..]
        );
        let (pool, _) = server(Box::leak(Box::new([&*Box::leak(text.into_boxed_str())])));
        let refusal = once(&pool).await.expect("answered").into_refusal().await;
        assert_eq!((refusal.error.kind(), &*refusal.code), (Kind::Throttled, "SlowDown"));
        assert!(refusal.error.to_string().contains("it's busy"), "{}", refusal.error);
    });
}
