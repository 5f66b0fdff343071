//! Objects that are replaced while parts of them are read, at a web server that says what it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;
use crate::budget::Budget;
use crate::pump::Meter;
use crate::retrieve::{collect, into_file};

/// Bytes of an object, all of them alike.
const LEN: usize = 3 << 20;

/// What is at every path of the server, and how it tells of it.
struct Nature {
    byte: u8,
    tag: &'static str,
    /// It knows `If-Match`.
    heeds: bool,
    /// Content comes with its tag.
    tells: bool,
}

#[derive(Default)]
struct Asked {
    heads: usize,
    gets: usize,
}

struct Server {
    port: u16,
    nature: Arc<Mutex<(Nature, Asked)>>,
}

impl Server {
    fn start(nature: Nature) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let nature = Arc::new(Mutex::new((nature, Asked::default())));
        let shared = Arc::clone(&nature);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines();
                let head: Vec<String> = lines.by_ref().map_while(|l| l.ok().filter(|l| !l.is_empty())).collect();
                let answer = answer(&head, &mut shared.lock().expect("nobody panicked"));
                // A client that has gone does not matter.
                let _ = (&stream).write_all(&answer);
            }
        });
        Self { port, nature }
    }

    fn store(&self) -> OpendalStore {
        let mut options = Options::new();
        options.set("endpoint", format!("http://127.0.0.1:{}", self.port));
        let first_pause = std::time::Duration::from_millis(1);
        open("http", &options, &Context { first_pause, ..Context::default() }).expect("opened")
    }

    fn replace(&self, byte: u8, tag: &'static str) {
        let mut nature = self.nature.lock().expect("nobody panicked");
        (nature.0.byte, nature.0.tag) = (byte, tag);
    }

    /// HEADs and GETs so far.
    fn asked(&self) -> (usize, usize) {
        let Asked { heads, gets } = self.nature.lock().expect("nobody panicked").1;
        (heads, gets)
    }
}

fn answer(head: &[String], (nature, asked): &mut (Nature, Asked)) -> Vec<u8> {
    let header = |name: &str| {
        let line = head.iter().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    };
    let tag = if nature.tag.is_empty() { String::new() } else { format!("ETag: {}\r\n", nature.tag) };
    let fixed = "Connection: close\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    if head.first().is_some_and(|line| line.starts_with("HEAD")) {
        asked.heads += 1;
        return format!("HTTP/1.1 200 OK\r\n{fixed}{tag}Content-Length: {LEN}\r\n\r\n").into_bytes();
    }
    asked.gets += 1;
    if nature.heeds && header("if-match").is_some_and(|wanted| wanted != nature.tag) {
        return format!("HTTP/1.1 412 Precondition Failed\r\n{fixed}Content-Length: 0\r\n\r\n").into_bytes();
    }
    let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (first, last) = range.unwrap_or(("0", ""));
    let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().unwrap_or(LEN - 1));
    let (tag, len) = (if nature.tells { tag } else { String::new() }, last + 1 - first);
    let mut answer = format!(
        "HTTP/1.1 206 Partial Content\r\n{fixed}{tag}Content-Range: bytes {first}-{last}/{LEN}\r\nContent-Length: {len}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + len, nature.byte);
    answer
}

/// A part of the object, beginning with byte `from`, of what has this tag: its bytes, and the tag.
async fn part(store: &OpendalStore, from: u64, tag: Option<String>) -> Result<(Bytes, Option<String>)> {
    let object = ObjectName::new("k").expect("a name");
    let get = store.get(&object, Range { from, len: Some(1000), tag }).await?;
    assert_eq!((get.len, get.total), (1000, LEN as u64));
    let tag = get.tag.clone();
    Ok((collect(get, 1000, &store.link.context).await?, tag))
}

fn on(f: impl Future<Output = ()>) {
    crate::sys::run(false, f).expect("a runtime");
}

#[test]
fn an_object_is_looked_at_once_and_its_parts_are_proven_by_its_tag() {
    on(async {
        for heeds in [true, false] {
            let server = Server::start(Nature { byte: b'a', tag: "\"1\"", heeds, tells: true });
            let store = server.store();
            let (bytes, tag) = part(&store, 0, None).await.expect("read");
            assert!(bytes.iter().all(|byte| *byte == b'a') && server.asked() == (1, 1));
            for from in [1000, 2000] {
                part(&store, from, tag.clone()).await.expect("read");
            }
            assert_eq!((server.asked(), store.capabilities().width), ((1, 3), 4), "{heeds}");
            server.replace(b'b', "\"2\"");
            let error = part(&store, 3000, tag.clone()).await.expect_err("it is another object");
            if !heeds {
                // It sent what it had, and that told whose it is. The next try looks.
                assert!(error.kind().retry(), "{error}");
                let error = part(&store, 3000, tag).await.expect_err("it is another object");
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
            } else {
                assert_eq!(error.kind(), Kind::Corrupt, "{error}");
            }
            let (bytes, _) = part(&store, 0, None).await.expect("read");
            assert!(bytes.iter().all(|byte| *byte == b'b'));
        }
    });
}

#[test]
fn where_parts_do_not_tell_whose_they_are_each_costs_a_look() {
    on(async {
        let server = Server::start(Nature { byte: b'a', tag: "\"1\"", heeds: true, tells: false });
        let store = server.store();
        let (_, tag) = part(&store, 0, None).await.expect("read");
        let error = part(&store, 1000, tag.clone()).await.expect_err("it may be of another object");
        assert!(error.kind().retry(), "{error}");
        for from in [1000, 2000] {
            part(&store, from, tag.clone()).await.expect("read");
        }
        assert_eq!(server.asked(), (3, 4));
    });
}

/// How many requests they are, the last of which is for all of it.
#[test]
fn what_no_request_can_depend_on_is_read_by_one_connection() {
    on(async {
        let context = Context { budget: Budget::new(32 << 20), ..Context::default() };
        let object = ObjectName::new("k").expect("a name");
        for (tag, gets) in [("W/\"1\"", 2), ("", 2), ("\"1\"", 3)] {
            let server = Server::start(Nature { byte: b'a', tag, heeds: true, tells: true });
            let store: Rc<dyn Store> = Rc::new(server.store());
            let file = Arc::new(tempfile::tempfile().expect("a file"));
            let done = into_file(&store, &object, &file, 0, &Meter::new(), &context).await.expect("read");
            assert_eq!((done.total, file.metadata().expect("it is there").len()), (LEN as u64, LEN as u64), "{tag}");
            assert_eq!(server.asked().1, gets, "{tag}");
        }
    });
}
