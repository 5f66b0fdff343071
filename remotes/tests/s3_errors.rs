//! How the S3 store fails: each failure has its kind and its words, and nothing is left behind.
//!
//! Refusals come from a real SeaweedFS; what no real server does on order (stalls, 503, nonsense) from a scripted one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use remotes::conformance::pattern;
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::retrieve;
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Error, Kind, ObjectName, Range, Store, Until};

const OWNER: &str = "00000000-0000-0000-0000-0000000000bb";

fn options(port: u16, user: &str, secret: &str, bucket: &str) -> Options {
    let mut o = Options::new();
    for (name, value) in [
        ("bucket", bucket),
        ("host", "127.0.0.1"),
        ("port", &port.to_string()),
        ("requeststyle", "path"),
        (KEY_ID, user),
        (SECRET, secret),
    ] {
        o.set(name, value);
    }
    o
}

/// Patient enough for a busy machine.
fn context() -> Context {
    let (idle, connect) = (Duration::from_secs(30), Duration::from_secs(30));
    Context { first_pause: Duration::from_millis(1), idle, connect, ..Context::default() }
}

fn open(options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(S3::open(options, context).expect("good options"))
}

fn on<T>(f: impl Future<Output = T>) -> T {
    remotes::sys::run(true, f).expect("a runtime")
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

fn file(content: &[u8]) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

async fn fill(store: &Rc<dyn Store>, object: &ObjectName, from: &FileSource) -> Result<(), Error> {
    let mut put = store.put(object, from.len).await?;
    match put.fill(from, &Meter::new()).await {
        Ok(()) => put.commit().await.map(|_| ()),
        Err(e) => {
            put.abort().await?;
            Err(e)
        }
    }
}

/// Every operation fails with `kind`, and presence is unknown.
async fn all_fail(store: &Rc<dyn Store>, kind: Kind) -> Error {
    let object = name("some-key");
    let e = store.stat(&object).await.expect_err("presence is unknown");
    assert_eq!(e.kind(), kind, "stat: {e}");
    let e = store.get(&object, Range::default()).await.err().expect("nothing to get");
    assert_eq!(e.kind(), kind, "get: {e}");
    let e = fill(store, &object, &file(b"content")).await.expect_err("nothing is stored");
    assert_eq!(e.kind(), kind, "put: {e}");
    let e = store.remove(&object).await.expect_err("nothing is removed");
    assert_eq!(e.kind(), kind, "remove: {e}");
    let e = store.prove(OWNER).await.expect_err("the place is not proved");
    assert_eq!(e.kind(), kind, "prove: {e}");
    assert!(!e.to_string().contains('\n'));
    e
}

#[test]
fn a_wrong_key_id_is_told_from_a_wrong_secret() {
    let weed = servers::weed();
    let bucket = servers::unique("keys");
    on(async {
        open(&options(weed.port, &weed.user, &weed.secret, &bucket), &context()).prove(OWNER).await.expect("made");
        let store = open(&options(weed.port, "nobody", &weed.secret, &bucket), &context());
        let e = all_fail(&store, Kind::WrongKeyId).await;
        assert!(e.to_string().contains("enableremote"), "it says the way out: {e}");
        let store = open(&options(weed.port, &weed.user, "not-the-secret", &bucket), &context());
        let e = all_fail(&store, Kind::WrongSecret).await;
        assert!(!e.to_string().contains("not-the-secret"), "and no secret: {e}");
    });
}

#[test]
fn a_removal_is_not_tried_again_when_its_time_is_over() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let script = Script::start(move |head| {
        heard.lock().expect("no panic").push(head.split(' ').next().unwrap_or_default().to_string());
        Answer::Text(503, "<Error><Code>SlowDown</Code></Error>")
    });
    let deletes = || asked.lock().expect("no panic").iter().filter(|method| *method == "DELETE").count();
    on(async {
        let store = open(&options(script.port, "any", "anykey", "bucket"), &context());
        for tries in [0_usize, 1, 2] {
            let left = Mutex::new(tries);
            let until = Until::new(move || {
                let mut left = left.lock().expect("no panic");
                let some = (*left > 0).then_some(Duration::from_secs(600));
                *left = left.saturating_sub(1);
                some
            });
            let before = deletes();
            let e = store.remove_until(&name("k"), &until).await.expect_err("it is never done");
            assert_eq!((e.kind(), deletes() - before), (Kind::TooLate, tries), "{e}");
        }
    });
}

#[test]
fn a_missing_bucket_is_no_absence() {
    let weed = servers::weed();
    on(async {
        let store = open(&options(weed.port, &weed.user, &weed.secret, &servers::unique("nowhere")), &context());
        let e = store.stat(&name("k")).await.expect_err("presence is unknown");
        assert_eq!(e.kind(), Kind::NoSuchPlace, "{e}");
        let e = store.get(&name("k"), Range::default()).await.err().expect("nothing to get");
        assert_eq!(e.kind(), Kind::NoSuchPlace, "{e}");
    });
}

#[test]
fn a_marker_of_another_remote_is_respected() {
    let weed = servers::weed();
    on(async {
        let o = options(weed.port, &weed.user, &weed.secret, &servers::unique("claimed"));
        open(&o, &context()).prove(OWNER).await.expect("ours");
        let e = open(&o, &context()).prove("another-uuid").await.expect_err("not theirs");
        assert!(e.to_string().contains("used by another special remote"), "{e}");
    });
}

#[test]
fn unreachable_servers_have_their_kinds() {
    on(async {
        // A port that was free a moment ago and stays bound to nobody.
        let closed = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port();
        all_fail(&open(&options(closed, "k", "s", "bucket"), &context()), Kind::Refused).await;
        let mut o = options(80, "k", "s", "bucket");
        o.set("host", "no-such-host.invalid");
        all_fail(&open(&o, &context()), Kind::Dns).await;
        let mut o = options(servers::weed().port, "k", "s", "bucket");
        o.set("protocol", "https");
        all_fail(&open(&o, &context()), Kind::Tls).await;
    });
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    on(async {
        let silent = Script::start(|_| Answer::Silence);
        let hasty = Context { idle: Duration::from_millis(400), ..context() };
        let e = all_fail(&open(&options(silent.port, "k", "s", "bucket"), &hasty), Kind::Timeout).await;
        assert!(e.to_string().len() < 300, "{e}");
    });
}

const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

#[test]
fn slow_down_is_obeyed_and_told() {
    on(async {
        let slow = Script::start(|_| Answer::Text(503, SLOW_DOWN));
        let store = open(&options(slow.port, "k", "s", "bucket"), &context());
        let e = fill(&store, &name("k"), &file(b"content")).await.expect_err("not stored");
        assert_eq!(e.kind(), Kind::Throttled);
        assert!(e.to_string().contains("SlowDown") && e.to_string().contains("after 5 tries"), "{e}");
        let e = store.stat(&name("k")).await.expect_err("presence is unknown");
        assert_eq!(e.kind(), Kind::Throttled);
        // Twice, and then it works.
        let count = Arc::new(Mutex::new(0));
        let recovering = Script::start(move |_| {
            let mut n = count.lock().expect("no panic");
            *n += 1;
            if *n <= 2 { Answer::Text(503, SLOW_DOWN) } else { Answer::Head("ETag: \"x\"\r\nContent-Length: 7") }
        });
        let store = open(&options(recovering.port, "k", "s", "bucket"), &context());
        assert_eq!(store.stat(&name("k")).await.expect("in the end").expect("present").len, 7);
    });
}

#[test]
fn what_says_200_to_everything_is_no_store() {
    on(async {
        let console = Script::start(|_| Answer::Text(200, "<html>Please log in</html>"));
        all_fail_or_lie(&open(&options(console.port, "k", "s", "bucket"), &context())).await;
    });
}

/// Nothing is believed: not the presence, not the upload, not the place.
async fn all_fail_or_lie(store: &Rc<dyn Store>) {
    for e in [
        store.stat(&name("k")).await.expect_err("presence is unknown"),
        fill(store, &name("k"), &file(b"content")).await.expect_err("not stored"),
        store.prove(OWNER).await.expect_err("no place"),
    ] {
        assert_eq!(e.kind(), Kind::Protocol, "{e}");
    }
}

#[test]
fn a_body_that_breaks_off_leaves_a_prefix_to_resume_from() {
    on(async {
        let short =
            Script::start(|head| if head.starts_with("GET") { Answer::Broken(1000, 100) } else { Answer::Silence });
        let store = open(&options(short.port, "k", "s", "bucket"), &context());
        let sink = file(b"").file;
        let e = retrieve::into_file(&store, &name("k"), &sink, 0, &Meter::new(), &context()).await.expect_err("broken");
        assert!(matches!(e.kind(), Kind::Truncated | Kind::Reset | Kind::Protocol | Kind::Corrupt), "{e:?}");
        assert_eq!(sink.metadata().expect("metadata").len(), 100, "what arrived is kept");
    });
}

#[test]
fn an_answer_in_mid_upload_ends_it_at_once() {
    on(async {
        let denied = "<Error><Code>AccessDenied</Code></Error>";
        let server = Script::start(move |_| Answer::Text(403, denied));
        let store = open(&options(server.port, "k", "s", "bucket"), &context());
        let from = file(&pattern(1, 64 << 20));
        let e = fill(&store, &name("k"), &from).await.expect_err("denied");
        assert_eq!(e.kind(), Kind::Denied, "{e}");
    });
}

#[test]
fn a_server_that_is_behind_for_a_moment_is_asked_again() {
    const BEHIND: &str = "ETag: \"x\"\r\nContent-Length: 2\r\n";
    const THERE: &str = "ETag: \"x\"\r\nContent-Length: 5\r\n";
    for (absent, behind, copied) in [
        (0, 0, Ok(5)),
        (0, 2, Ok(5)),
        (2, 0, Ok(5)),
        (0, usize::MAX, Err(Kind::Corrupt)),
        (usize::MAX, 0, Err(Kind::Protocol)),
    ] {
        let left = Mutex::new((absent, behind));
        let server = Script::start(move |head| {
            let mut left = left.lock().expect("no panic");
            match head.split(' ').next() {
                Some("HEAD") if !head.starts_with("HEAD /bucket/copy") => Answer::Head(THERE),
                Some("HEAD") if left.0 > 0 => {
                    left.0 -= 1;
                    Answer::Text(404, "")
                }
                Some("HEAD") if left.1 > 0 => {
                    left.1 -= 1;
                    Answer::Head(BEHIND)
                }
                Some("HEAD") => Answer::Head(THERE),
                _ => Answer::Text(200, "<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>"),
            }
        });
        let store = open(&options(server.port, "u", "s", "bucket"), &context());
        let done = on(store.copies().expect("it can").copy(&name("original"), &name("copy"), None));
        assert_eq!(done.map(|it| it.len).map_err(|e| e.kind()), copied, "{absent} times absent, {behind} behind");
    }
}

#[test]
fn who_may_not_list_gets_no_false_absence() {
    let weed = servers::weed();
    on(async {
        let bucket = servers::unique("narrow");
        open(&options(weed.port, &weed.user, &weed.secret, &bucket), &context()).prove(OWNER).await.expect("made");
        let store = open(&options(weed.port, "narrow", &weed.secret, &bucket), &context());
        fill(&store, &name("k"), &file(b"content")).await.expect("may write");
        assert_eq!(store.stat(&name("k")).await.expect("may read").expect("present").len, 7);
        // Servers differ here: some say 404 all the same, others 403. Both are right, absence after a 403 is not.
        match store.stat(&name("absent")).await {
            Ok(found) => assert_eq!(found, None),
            Err(e) => assert_eq!(e.kind(), Kind::Denied, "{e}"),
        }
    });
}

#[test]
fn an_aborted_upload_leaves_no_parts() {
    let weed = servers::weed();
    on(async {
        let mut o = options(weed.port, &weed.user, &weed.secret, &servers::unique("abort"));
        o.set("partsize", "5MiB");
        let store = open(&o, &context());
        store.prove(OWNER).await.expect("made");
        let content = pattern(2, 30 << 20);
        let from = file(&content);
        // Dropped in the middle, as a cancelled transfer is.
        let mut put = store.put(&name("k"), from.len).await.expect("opened");
        let meter = Meter::new();
        tokio::select! {
            _ = put.fill(&from, &meter) => panic!("30 MiB were stored before the first part was under way"),
            () = until(|| meter.bytes() > 3 << 20) => {}
        }
        put.abort().await.expect("aborted");
        assert_eq!(uploads(&o).await, 0, "after an abort");
        // The file became shorter: parts fail, the first failure is the answer.
        from.file.set_len(12 << 20).expect("cut");
        let e = fill(&store, &name("k"), &from).await.expect_err("the file is shorter than announced");
        assert_eq!(e.kind(), Kind::Corrupt, "{e}");
        assert_eq!(uploads(&o).await, 0, "after a failure");
        // From memory, given up before the end.
        let mut put = store.put(&name("k"), content.len() as u64).await.expect("opened");
        put.write(content.slice(..20 << 20)).await.expect("written");
        assert!(uploads(&o).await > 0, "it is under way");
        put.abort().await.expect("aborted");
        assert_eq!(uploads(&o).await, 0, "after giving up");
        assert_eq!(store.stat(&name("k")).await.expect("a clear answer"), None);
    });
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Unfinished uploads in the bucket, as the server tells.
async fn uploads(o: &Options) -> usize {
    let text = |n: &str| o.text(n).expect("text").expect("set").to_string();
    let credentials = aws_sdk_s3::config::Credentials::new(text(KEY_ID), text(SECRET), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(format!("http://127.0.0.1:{}", text("port")))
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let listed = client.list_multipart_uploads().bucket(text("bucket")).send().await.expect("listed");
    listed.uploads().len()
}

/// What a scripted server does with one request, whose body it has not read.
enum Answer {
    /// A status and a document.
    Text(u16, &'static str),
    /// 200 with these headers and no body, as to a HEAD.
    Head(&'static str),
    /// 200 with a body announced longer than it is.
    Broken(usize, usize),
    /// Nothing, ever.
    Silence,
}

/// A server on loopback that answers each request by a script. Ends with the process.
struct Script {
    port: u16,
}

impl Script {
    fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || {
                    let _ = serve(stream, &*answer);
                });
            }
        });
        Self { port }
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Answer) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    match answer(&head) {
        Answer::Text(status, text) => {
            let body = if head.starts_with("HEAD") { "" } else { text };
            let len = text.len();
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")?;
            // The peer may still be sending; closing now could reset the answer away.
            stream.shutdown(std::net::Shutdown::Write)?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Answer::Head(headers) => write!(stream, "HTTP/1.1 200 OK\r\n{headers}\r\nConnection: close\r\n\r\n")?,
        Answer::Broken(announced, sent) => {
            write!(stream, "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: {announced}\r\n\r\n")?;
            stream.write_all(&Bytes::from(vec![7; sent]))?;
        }
        Answer::Silence => {
            std::io::copy(&mut stream, &mut std::io::sink())?;
        }
    }
    Ok(())
}
