//! The OpenDAL store on real WebDAV and HTTP servers.

mod behind;
#[allow(dead_code, reason = "shared with the other tests, each of which uses a part")]
mod support;

use std::io::{Read, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use behind::Behind;
use bytes::Bytes;
use remotes::conformance::{examine, pattern};
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::retrieve::{self, read_small};
use remotes::{Context, Kind, ObjectName, Range, Store, Until, Write, opendal};
use support::{Relay, Server};

fn options(server: &Server) -> Options {
    let mut options = Options::new();
    options.set("endpoint", server.endpoint.as_str());
    options.set("username", server.user);
    options.set("password", server.password);
    options.set("root", "/annex");
    options
}

fn open(scheme: &str, options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(opendal::open(scheme, options, context).expect("opens"))
}

fn quick() -> Context {
    Context { first_pause: Duration::from_millis(1), ..Context::default() }
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(format!("36a/30d/{text}/{text}")).expect("a name")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    remotes::sys::run(false, future).expect("a runtime")
}

async fn put(store: &dyn Store, object: &ObjectName, content: &Bytes) {
    let mut put = store.put(object, content.len() as u64).await.expect("opened");
    put.write(content.clone()).await.expect("written");
    put.commit().await.expect("committed");
}

fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

fn examined(uring: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &[]);
    // Both with either would tell no more.
    let context = Context { tree: uring, ..quick() };
    remotes::sys::run(uring, async {
        let store = open("webdav", &options(&server), &context);
        assert_eq!(store.capabilities().write, Write::Memory(opendal::MEMORY_CAP));
        examine(&store, &context).await;
    })
    .expect("a runtime");
    assert_eq!(files(dir.path()), Vec::<String>::new(), "nothing is left behind");
    assert_eq!(context.budget.free(), context.budget.total(), "all memory was given back");
}

#[test]
fn conformance_on_threads() {
    examined(false);
}

#[test]
fn conformance_on_whichever_engine_the_kernel_grants() {
    examined(true);
}

#[test]
fn the_cap_is_exact_and_told_before_the_first_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &[]);
    let context = quick();
    let mut options = options(&server);
    options.set("memory-cap", "1 MiB");
    let store = open("webdav", &options, &context);
    run(async {
        assert_eq!(store.capabilities().write, Write::Memory(1 << 20));
        store.prove("owner").await.expect("proves itself");
        for len in [0, 1 << 20] {
            let content = pattern(1, len);
            put(&*store, &name("fits"), &content).await;
            assert!(read_small(&*store, &name("fits"), 1 << 20, &context).await.expect("read") == content);
        }
        let e = store.put(&name("more"), (1 << 20) + 1).await.err().expect("refused");
        assert_eq!(e.kind(), Kind::TooLarge);
        assert!(e.to_string().contains("chunk=") && e.to_string().contains("memory-cap="), "{e}");
        let meter = Meter::new();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&pattern(2, 1 << 20)).expect("its content");
        let mut put = store.put(&name("file"), 1 << 20).await.expect("opened");
        put.fill(&FileSource { file: Arc::new(file), at: 0, len: 1 << 20 }, &meter).await.expect("filled");
        assert_eq!(meter.bytes(), 1 << 20);
        put.commit().await.expect("committed");
    });
}

#[test]
fn objects_lie_where_git_annex_would_put_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &[]);
    let context = quick();
    let store = open("webdav", &options(&server), &context);
    run(async {
        store.prove("owner").await.expect("proves itself");
        let content = pattern(3, 1000);
        put(&*store, &name("K%1"), &content).await;
        assert_eq!(std::fs::read(dir.path().join("annex/36a/30d/K%1/K%1")).expect("there"), content);
        store.remove(&name("K%1")).await.expect("removed");
        assert!(!dir.path().join("annex/36a/30d/K%1").exists(), "its directory goes with it");
    });
}

#[test]
fn what_cannot_be_told_is_not_absent() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start("webdav", dir.path(), &[]);
    let context = quick();
    let mut wrong = options(&server);
    wrong.set("password", "hunter2");
    let store = open("webdav", &options(&server), &context);
    run(async {
        let kind = |e: remotes::Error| e.kind();
        // Nothing made the root yet.
        assert_eq!(store.stat(&name("a")).await.map_err(kind), Err(Kind::NoSuchPlace));
        assert_eq!(store.get(&name("a"), Range::default()).await.err().map(kind), Some(Kind::NoSuchPlace));
        store.prove("owner").await.expect("proves itself");
        assert_eq!(store.stat(&name("a")).await.map_err(kind), Ok(None));
        put(&*store, &ObjectName::new("36a/30d/D/D/below").expect("a name"), &pattern(7, 7)).await;
        assert_eq!(store.stat(&name("D")).await.map_err(kind), Err(Kind::Protocol), "a directory is no object");

        let stranger = open("webdav", &wrong, &context);
        let e = stranger.stat(&name("a")).await.expect_err("unknown");
        assert_eq!(e.kind(), Kind::WrongSecret, "{e}");
        assert!(!e.to_string().contains("hunter2"), "{e}");
        assert_eq!(stranger.prove("owner").await.map_err(kind), Err(Kind::WrongSecret));
        let mut put = stranger.put(&name("a"), 3).await.expect("nothing is asked yet");
        assert_eq!(put.write(Bytes::from_static(b"abc")).await.map_err(kind), Err(Kind::WrongSecret));

        server.kill();
        let e = store.stat(&name("a")).await.expect_err("unknown");
        assert_eq!(e.kind(), Kind::Refused, "{e}");
        assert!(e.to_string().contains("after 5 tries"), "{e}");
        assert_eq!(store.remove(&name("a")).await.map_err(kind), Err(Kind::Refused));
        assert_eq!(store.get(&name("a"), Range::default()).await.err().map(kind), Some(Kind::Refused));
        let mut put = store.put(&name("a"), 3).await.expect("nothing is asked yet");
        assert_eq!(put.write(Bytes::from_static(b"abc")).await.map_err(kind), Err(Kind::Refused));
    });
    let mut nowhere = Options::new();
    nowhere.set("endpoint", "http://does-not-exist.invalid");
    run(async {
        let store = open("webdav", &nowhere, &context);
        let e = store.stat(&name("a")).await.expect_err("unknown");
        assert_eq!(e.kind(), Kind::Dns, "{e}");
    });
}

#[test]
fn a_server_killed_in_the_middle_leaves_a_prefix_to_resume_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = quick();
    let content = pattern(4, 16 << 20);
    // Slow enough to be in the middle for a while.
    let mut server = Server::start("webdav", dir.path(), &["--bwlimit", "4M"]);
    let place = dir.path().join("annex/36a/30d/K/K");
    std::fs::create_dir_all(place.parent().expect("a directory")).expect("made");
    std::fs::write(&place, &content).expect("stored");
    let store = open("webdav", &options(&server), &context);
    let file = Arc::new(tempfile::tempfile().expect("a file"));
    run(async {
        let meter = Meter::new();
        let object = name("K");
        let fetched = retrieve::into_file(&store, &object, &file, 0, &meter, &context);
        let killer = async {
            while meter.bytes() == 0 {
                tokio::task::yield_now().await;
            }
            server.kill();
        };
        let (done, ()) = tokio::join!(fetched, killer);
        let e = done.expect_err("the server is gone");
        assert!(e.kind().retry() && e.kind() != Kind::NotFound, "{e}");
    });
    let mut prefix = Vec::new();
    std::io::Seek::rewind(&mut &*file).expect("rewound");
    (&*file).read_to_end(&mut prefix).expect("read");
    assert!(!prefix.is_empty() && prefix.len() < content.len(), "{} bytes arrived", prefix.len());
    assert!(content.starts_with(&prefix), "what arrived is a prefix");
    let server = Server::start("webdav", dir.path(), &[]);
    let store = open("webdav", &options(&server), &context);
    run(async {
        let done = retrieve::into_file(&store, &name("K"), &file, prefix.len() as u64, &Meter::new(), &context).await;
        assert_eq!(done.expect("resumed").resumed, prefix.len() as u64);
    });
    std::io::Seek::rewind(&mut &*file).expect("rewound");
    let mut all = Vec::new();
    (&*file).read_to_end(&mut all).expect("read");
    assert!(all == content, "the rest was added");
}

#[test]
fn a_server_killed_while_it_takes_an_object_shows_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start("webdav", dir.path(), &[]);
    let context = quick();
    run(open("webdav", &options(&server), &context).prove("owner")).expect("proves itself");
    let relay = Relay::start(&server.endpoint, 4 << 20);
    let mut through = options(&server);
    through.set("endpoint", relay.endpoint.as_str());
    let store = open("webdav", &through, &context);
    run(async {
        let len = 48 << 20;
        let mut source = tempfile::tempfile().expect("a file");
        source.write_all(&pattern(5, len as usize)).expect("its content");
        let meter = Meter::new();
        let mut put = store.put(&name("K"), len).await.expect("opened");
        let from = FileSource { file: Arc::new(source), at: 0, len };
        let filled = put.fill(&from, &meter);
        let killer = async {
            while meter.bytes() == 0 {
                tokio::task::yield_now().await;
            }
            assert!(meter.bytes() < len, "progress shows while bytes move");
            server.kill();
            relay.cut();
        };
        let (done, ()) = tokio::join!(filled, killer);
        let e = done.expect_err("the server is gone");
        assert!(e.kind().retry(), "{e}");
        let e = put.commit().await.expect_err("never committed");
        assert_ne!(e.kind(), Kind::NotFound, "{e}");
    });
    assert!(!dir.path().join("annex/36a/30d/K").exists(), "nothing is visible");
}

#[test]
fn a_web_server_is_read_and_only_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let content = pattern(6, 3 << 20);
    let place = dir.path().join("annex/36a/30d/K 1/K 1");
    std::fs::create_dir_all(place.parent().expect("a directory")).expect("made");
    std::fs::write(&place, &content).expect("stored");
    let server = Server::start("http", dir.path(), &[]);
    let context = quick();
    let store = open("http", &options(&server), &context);
    run(async {
        examine(&store, &context).await;
        assert_eq!(store.capabilities().write, Write::ReadOnly);
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        retrieve::into_file(&store, &name("K 1"), &file, 0, &Meter::new(), &context).await.expect("fetched");
        assert_eq!(file.metadata().expect("its length").len(), content.len() as u64);
        let get = store.get(&name("K 1"), Range { from: 10, len: Some(5), tag: None }).await.expect("got");
        assert_eq!(remotes::retrieve::collect(get, 5, &context).await.expect("read"), content.slice(10..15));
    });
}

/// Answers every request with the same response.
fn parrot(response: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn an_endpoint_that_says_yes_to_everything_is_refused() {
    for (scheme, response, kind) in [
        ("http", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", Kind::Protocol),
        ("webdav", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", Kind::Protocol),
        ("webdav", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Kind::NoSuchPlace),
    ] {
        let endpoint = parrot(response);
        let mut options = Options::new();
        options.set("endpoint", endpoint);
        let context = quick();
        let store = open(scheme, &options, &context);
        let e = run(store.prove("owner")).expect_err("no store at all");
        assert!(e.kind() == kind || (kind == Kind::NoSuchPlace && e.kind() == Kind::NotFound), "{scheme}: {e:?}");
        let stat = run(store.stat(&name("a")));
        assert_ne!(stat.map_err(|e| e.kind()), Ok(None), "{scheme}: it can't tell");
    }
}

#[test]
fn a_server_that_is_behind_for_a_moment_is_asked_again() {
    let content = pattern(8, 70_000);
    let honest = Behind { times: 0, stale: None, refused: 0 };
    for (server, stored) in [
        (honest, Ok(())),
        (Behind { times: 1, stale: Some(65_536), ..honest }, Ok(())),
        (Behind { times: 3, stale: Some(0), ..honest }, Ok(())),
        (Behind { times: 2, stale: None, ..honest }, Ok(())),
        (Behind { refused: 2, ..honest }, Ok(())),
        (Behind { times: usize::MAX, stale: Some(65_536), ..honest }, Err(Kind::Corrupt)),
        (Behind { times: usize::MAX, stale: None, ..honest }, Err(Kind::Protocol)),
        (Behind { refused: usize::MAX, ..honest }, Err(Kind::NoSuchPlace)),
    ] {
        let (endpoint, requests) = server.start();
        let mut options = Options::new();
        options.set("endpoint", endpoint);
        options.set("root", "/annex");
        let context = quick();
        let store = open("webdav", &options, &context);
        let done = run(async {
            let mut put = store.put(&name("K"), content.len() as u64).await.expect("opened");
            put.write(content.clone()).await.expect("written");
            put.commit().await
        });
        assert_eq!(done.map(|_| ()).map_err(|e| e.kind()), stored, "{server:?}");
        let requests: Vec<String> = requests.try_iter().collect();
        let count = |method: &str| requests.iter().filter(|asked| *asked == method).count();
        assert_eq!(count("PUT"), 1, "{server:?}: {requests:?}");
        // What is wrong is taken away, and nothing else.
        assert_eq!(count("DELETE"), usize::from(stored.is_err()), "{server:?}: {requests:?}");
        assert!(count("MOVE") > 0 || stored.is_err(), "{server:?}: {requests:?}");
    }
}

#[test]
fn a_removal_is_not_tried_again_when_its_time_is_over() {
    let (asked, requests) = std::sync::mpsc::channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut options = Options::new();
    options.set("endpoint", format!("http://{}", listener.local_addr().expect("its address")));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let method = request[..n].split(|b| *b == b' ').next().unwrap_or_default().to_vec();
            let _ = asked.send(method);
            let _ = stream.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let context = quick();
    let store = open("webdav", &options, &context);
    for tries in [0_usize, 1, 2] {
        let left = std::sync::Mutex::new(tries);
        let until = Until::new(move || {
            let mut left = left.lock().expect("no panic");
            let some = (*left > 0).then_some(Duration::from_secs(600));
            *left = left.saturating_sub(1);
            some
        });
        let e = run(store.remove_until(&name("K"), &until)).expect_err("it is never done");
        let deletes = requests.try_iter().filter(|method| method == b"DELETE").count();
        assert_eq!((e.kind(), deletes), (Kind::TooLate, tries), "{e}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut options = Options::new();
    options.set("endpoint", format!("http://{}", listener.local_addr().expect("its address")));
    let context = Context { idle: Duration::from_millis(50), ..quick() };
    let store = open("webdav", &options, &context);
    let e = run(store.stat(&name("a"))).expect_err("no answer");
    assert_eq!(e.kind(), Kind::Timeout, "{e}");
}

#[test]
fn a_server_without_ranges_never_passes_its_head_for_the_tail() {
    let endpoint = parrot("HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789");
    let mut options = Options::new();
    options.set("endpoint", endpoint);
    let context = quick();
    let store = open("http", &options, &context);
    run(async {
        let get = store.get(&name("a"), Range::from(5)).await.expect("the tail");
        assert_eq!((get.len, get.total), (5, 10));
        assert_eq!(remotes::retrieve::collect(get, 10, &context).await.expect("read"), "56789");
        let get = store.get(&name("a"), Range { from: 0, len: Some(4), tag: None }).await.expect("the head");
        assert_eq!(remotes::retrieve::collect(get, 10, &context).await.expect("read"), "0123");
    });
}

/// On `rclone serve webdav`, which finds files by names of other case and of another form where it is told to.
#[test]
fn conformance_on_a_server_that_folds_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &["--vfs-case-insensitive"]);
    let context = Context { tree: true, ..quick() };
    run(async {
        let store = open("webdav", &options(&server), &context);
        let folding = store.folding().await.expect("told");
        assert!(folding.case && folding.unicode, "{folding:?}");
        examine(&store, &context).await;
    });
    assert_eq!(files(dir.path()), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn staging_leaves_no_directory_of_its_own_in_a_tree() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &[]);
    let context = Context { tree: true, ..quick() };
    let annex = dir.path().join("annex");
    run(async {
        let store = open("webdav", &options(&server), &context);
        let file = ObjectName::new("tmp").expect("a name");
        put(&*store, &file, &Bytes::from_static(b"content")).await;
        store.prove("owner").await.expect("proves itself");
        let staged = std::fs::read_dir(annex.join(".git/annex")).expect("staged below it").count();
        assert!(staged <= 1, "one directory for all");
        store.directories().expect("it has some").tidy().await;
        assert_eq!(std::fs::read_dir(annex.join(".git/annex")).expect("there").count(), 0, "and none in the end");
        assert_eq!(std::fs::read(annex.join("tmp")).expect("there"), b"content");
        put(&*store, &file, &Bytes::from_static(b"another")).await;
        assert_eq!(std::fs::read(annex.join("tmp")).expect("there"), b"another");
    });
}

/// Where both names are there the store tells them apart, and nothing is looked up in lists, which may be behind.
#[test]
fn two_files_whose_names_differ_in_case_are_two_where_the_server_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("webdav", dir.path(), &[]);
    let context = Context { tree: true, ..quick() };
    run(async {
        let store = open("webdav", &options(&server), &context);
        let (upper, lower) = (ObjectName::new("Case").expect("a name"), ObjectName::new("case").expect("a name"));
        for round in 0..2 {
            put(&*store, &upper, &Bytes::from_static(b"1")).await;
            put(&*store, &lower, &Bytes::from_static(b"22")).await;
            for (name, len) in [(&upper, 1), (&lower, 2)] {
                assert_eq!(store.stat(name).await.expect("told").expect("there").len, len, "{round}");
            }
            store.remove(&lower).await.expect("removed");
            assert!(
                store.stat(&upper).await.expect("told").is_some() && store.stat(&lower).await.expect("told").is_none()
            );
            store.renames().expect("it can").rename(&upper, &lower).await.expect("renamed");
            assert!(
                store.stat(&upper).await.expect("told").is_none() && store.stat(&lower).await.expect("told").is_some()
            );
            store.remove(&lower).await.expect("removed");
        }
        assert!(!store.folding().await.expect("told").case);
    });
}
