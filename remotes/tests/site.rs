//! Stores as sites have them: behind a proxy, with redirects, without ranges, without lengths, in other regions, for everybody.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use remotes::conformance::pattern;
use remotes::options::Options;
use remotes::pump::Meter;
use remotes::retrieve;
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::site::{Settings, Site};
use remotes::{Context, Error, Kind, ObjectName, Range, Store, Write as Writes, opendal};

const OWNER: &str = "00000000-0000-0000-0000-0000000000cc";

fn on<T>(f: impl Future<Output = T>) -> T {
    remotes::sys::run(false, f).expect("a runtime")
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

fn made(pairs: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    for (name, value) in pairs {
        options.set(*name, *value);
    }
    options
}

fn keys(pairs: &[(&str, &str)]) -> Options {
    let mut options = made(pairs);
    options.set(KEY_ID, "any");
    options.set(SECRET, "anykey");
    options
}

/// Patient enough for a busy machine.
fn context(environment: &[(&str, &str)], settings: Option<Settings>) -> Context {
    let site = Site::new(&|name| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()), settings);
    let (idle, connect) = (Duration::from_secs(30), Duration::from_secs(30));
    Context { first_pause: Duration::from_millis(1), idle, connect, site: Arc::new(site), ..Context::default() }
}

fn s3(options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(S3::open(options, context).expect("good options"))
}

fn web(endpoint: &str, context: &Context) -> Rc<dyn Store> {
    Rc::new(opendal::open("http", &made(&[("endpoint", endpoint)]), context).expect("good options"))
}

async fn put(store: &Rc<dyn Store>, object: &ObjectName, content: &Bytes) -> Result<(), Error> {
    let mut put = store.put(object, content.len() as u64).await?;
    put.write(content.clone()).await?;
    put.commit().await.map(drop)
}

/// All of an object, where the file has its first bytes already.
async fn get(store: &Rc<dyn Store>, object: &ObjectName, have: &[u8], context: &Context) -> Result<Vec<u8>, Error> {
    let file = Arc::new(tempfile::tempfile().expect("a file"));
    std::os::unix::fs::FileExt::write_all_at(&*file, have, 0).expect("its beginning");
    retrieve::into_file(store, object, &file, have.len() as u64, &Meter::new(), context).await?;
    let mut got = Vec::new();
    (&*file).read_to_end(&mut got).expect("what came");
    Ok(got)
}

/// A server that answers each head with what a function makes of it, and closes. It remembers the first lines.
struct Script {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::with(move |mut stream, head| stream.write_all(&answer(head)))
    }

    fn with(answer: impl Fn(TcpStream, &str) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (answer, heard) = (Arc::new(answer), Arc::<Mutex<Vec<String>>>::default());
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&hears));
                std::thread::spawn(move || serve(stream, &*answer, &heard));
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(TcpStream, &str) -> std::io::Result<()>,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heard.lock().expect("no panic").push(head.lines().next().unwrap_or_default().to_string());
    answer(stream.try_clone()?, &head)?;
    let _ = stream.shutdown(std::net::Shutdown::Write);
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn reply(head: &str, status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let body = if head.starts_with("HEAD ") { &[] } else { body };
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {len}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

/// A proxy that passes everything on to one port of this computer, whatever it is asked for.
fn proxy(target: u16) -> Script {
    Script::with(move |stream, head| {
        let mut to = TcpStream::connect(("127.0.0.1", target))?;
        if head.starts_with("CONNECT ") {
            (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        } else {
            // One request a connection, and none of what is for the proxy.
            let (line, rest) = head.split_once("\r\n").expect("a line");
            let (method, url) = line.split_once(' ').expect("a method");
            let path = url.strip_prefix("http://").map_or(url, |url| &url[url.find('/').expect("a path")..]);
            let kept = rest.split("\r\n").filter(|l| {
                let l = l.to_ascii_lowercase();
                !l.starts_with("proxy-") && !l.starts_with("connection:")
            });
            let kept: Vec<&str> = kept.collect();
            to.write_all(format!("{method} {path}\r\nConnection: close\r\n{}", kept.join("\r\n")).as_bytes())?;
        }
        let (mut out, mut up) = (to.try_clone()?, stream.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut up, &mut out));
        std::io::copy(&mut to, &mut &stream)?;
        stream.shutdown(std::net::Shutdown::Both)
    })
}

fn variable(script: &Script) -> String {
    format!("http://me:secret@127.0.0.1:{}", script.port)
}

#[test]
fn s3_goes_by_the_proxy() {
    let weed = servers::weed();
    let proxy = proxy(weed.port);
    let url = variable(&proxy);
    let context = context(&[("HTTP_PROXY", &url)], None);
    let (bucket, port) = (servers::unique("proxied"), weed.port.to_string());
    let mut options = made(&[("bucket", &bucket), ("host", "s3.corp.test"), ("port", &port), ("requeststyle", "path")]);
    options.set(KEY_ID, weed.user.as_str());
    options.set(SECRET, weed.secret.as_str());
    on(async {
        let sdk: Rc<dyn Store> = Rc::new(S3::open_through_sdk(&options, &context).expect("good options"));
        for (store, key) in [(s3(&options, &context), "k1"), (sdk, "k2")] {
            store.prove(OWNER).await.expect("the place is there");
            let content = pattern(7, 300_000);
            put(&store, &name(key), &content).await.expect("stored");
            assert_eq!(get(&store, &name(key), &content[..1000], &context).await.expect("read"), content);
        }
    });
    let heard = proxy.heard();
    let to = format!("http://s3.corp.test:{port}/{bucket}");
    for asked in [format!("PUT {to}/k1"), format!("GET {to}/k1"), format!("PUT {to}/k2"), format!("GET {to}/k2")] {
        assert!(heard.iter().any(|line| line.starts_with(&asked)), "{asked}: {heard:?}");
    }
}

#[test]
fn what_no_proxy_covers_goes_directly_and_what_makes_no_sense_goes_nowhere() {
    let weed = servers::weed();
    let mut options = made(&[("bucket", "nosuchbucket"), ("host", "127.0.0.1"), ("port", &weed.port.to_string())]);
    options.set(KEY_ID, weed.user.as_str());
    options.set(SECRET, weed.secret.as_str());
    on(async {
        let direct = context(&[("http_proxy", "http://127.0.0.1:1"), ("no_proxy", "127.0.0.0/8")], None);
        let e = s3(&options, &direct).stat(&name("k")).await.expect_err("there is no bucket");
        assert_eq!(e.kind(), Kind::NoSuchPlace, "{e}");
        let odd = context(&[("http_proxy", "socks5://127.0.0.1:1")], None);
        let e = s3(&options, &odd).stat(&name("k")).await.expect_err("no way");
        assert!(e.to_string().contains("http_proxy= names a SOCKS proxy"), "{e}");
        let e = web("http://127.0.0.1:1", &odd).stat(&name("k")).await.expect_err("no way");
        assert!(e.to_string().contains("http_proxy= names a SOCKS proxy"), "{e}");
    });
}

#[test]
fn https_is_asked_for_by_connect() {
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let hears = Arc::clone(&heads);
    let proxy = Script::start(move |head| {
        hears.lock().expect("no panic").push(head.to_string());
        reply(head, 407, "", b"")
    });
    let url = variable(&proxy);
    let context = context(&[("all_proxy", &url)], None);
    on(async {
        let options = keys(&[("bucket", "bucket"), ("host", "s3.corp.test"), ("protocol", "https")]);
        s3(&options, &context).stat(&name("k")).await.expect_err("the proxy refuses");
        web("https://web.corp.test", &context).stat(&name("k")).await.expect_err("the proxy refuses");
    });
    let heads = heads.lock().expect("no panic");
    for host in ["bucket.s3.corp.test:443", "web.corp.test:443"] {
        let head = heads.iter().find(|head| head.starts_with(&format!("CONNECT {host} ")));
        let head = head.unwrap_or_else(|| panic!("{host}: {heads:?}"));
        assert_eq!(header(head, "Proxy-Authorization"), Some("Basic bWU6c2VjcmV0"), "{head}");
    }
}

/// A server whose files are elsewhere.
fn elsewhere(to: String) -> Script {
    Script::start(move |head| reply(head, 302, &format!("Location: {to}\r\n"), b""))
}

#[test]
fn redirects_are_followed_and_none_leads_inside() {
    let content = b"what only this computer may see";
    let secret = Script::start(|head| {
        assert_eq!(header(head, "Authorization"), None, "passwords are for the host they are for");
        reply(head, 200, "ETag: \"x\"\r\n", content)
    });
    on(async {
        // A store that is on this computer itself, and its files on another port of it.
        let here = elsewhere(format!("{}/file", secret.url()));
        let plain = context(&[], None);
        let mut options = made(&[("endpoint", &here.url()), ("username", "me"), ("password", "pw")]);
        let store: Rc<dyn Store> = Rc::new(opendal::open("http", &options, &plain).expect("good options"));
        assert_eq!(get(&store, &name("k"), b"", &plain).await.expect("it is let there"), content);
        // One out in the world, as far as is known here, that leads here: by address, and by name.
        options.set("endpoint", "http://far.corp.test");
        for (host, except) in
            [("127.0.0.1", ""), ("localhost", ""), ("localhost", "localhost"), ("[::ffff:127.0.0.1]", "")]
        {
            let far = elsewhere(format!("http://{host}:{}/file", secret.port));
            let by = variable(&proxy(far.port));
            let environment = [("http_proxy", by.as_str()), ("no_proxy", except)];
            let before = secret.heard().len();
            let context1 = context(&environment, None);
            let store: Rc<dyn Store> = Rc::new(opendal::open("http", &options, &context1).expect("good options"));
            let e = get(&store, &name("k"), b"", &context1).await.expect_err("it is not let there");
            assert!(e.to_string().contains("annex.security.allowed-ip-addresses"), "{host}: {e}");
            assert_eq!(secret.heard().len(), before, "{host}");
        }
        let far = elsewhere(format!("http://localhost:{}/file", secret.port));
        let by = variable(&proxy(far.port));
        let allowed: Settings = Arc::new(|_, _| vec!["127.0.0.1 ::1".into()]);
        let allowing = context(&[("http_proxy", &by), ("no_proxy", "localhost")], Some(allowed));
        let store: Rc<dyn Store> = Rc::new(opendal::open("http", &options, &allowing).expect("good options"));
        assert_eq!(get(&store, &name("k"), b"", &allowing).await.expect("it is allowed there"), content);
    });
}

#[test]
fn redirects_end() {
    let ring = Script::start(|head| reply(head, 301, "Location: /again\r\n", b""));
    on(async {
        let e = web(&ring.url(), &context(&[], None)).stat(&name("k")).await.expect_err("nowhere");
        assert!(e.to_string().contains("redirects without end"), "{e}");
    });
}

/// The sizes that matter: less than one range, and more than all that are read side by side.
const SIZES: [usize; 2] = [3_000_000, 40 << 20];

#[test]
fn a_web_server_without_ranges_sends_what_is_missing() {
    for size in SIZES {
        let content = pattern(3, size);
        let sent = content.clone();
        let server = Script::start(move |head| reply(head, 200, "ETag: \"x\"\r\n", &sent));
        let context = context(&[], None);
        on(async {
            let store = web(&server.url(), &context);
            assert_eq!(get(&store, &name("k"), b"", &context).await.expect("all of it"), content);
            assert_eq!(get(&store, &name("k"), &content[..1_000_000], &context).await.expect("the rest"), content);
            let part = store.get(&name("k"), Range { from: 10, len: Some(20), tag: None }).await.expect("a part");
            assert_eq!((part.len, part.total), (20, size as u64));
            assert_eq!(remotes::retrieve::collect(part, 20, &context).await.expect("it comes"), content[10..30]);
        });
        let gets = server.heard().iter().filter(|line| line.starts_with("GET ")).count();
        assert!(gets <= 5, "each range would be all of it: {:?}", server.heard());
    }
}

#[test]
fn an_s3_without_ranges_sends_what_is_missing() {
    for size in SIZES {
        let content = pattern(4, size);
        let sent = content.clone();
        let server = Script::start(move |head| reply(head, 200, "ETag: \"x\"\r\n", &sent));
        let context = context(&[], None);
        let options = keys(&[("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &server.port.to_string())]);
        on(async {
            let sdk: Rc<dyn Store> = Rc::new(S3::open_through_sdk(&options, &context).expect("good options"));
            for store in [s3(&options, &context), sdk] {
                assert_eq!(get(&store, &name("k"), &content[..1_000_000], &context).await.expect("the rest"), content);
                let part = store.get(&name("k"), Range { from: 10, len: Some(20), tag: None }).await.expect("a part");
                assert_eq!((part.len, part.total), (20, size as u64));
                assert_eq!(remotes::retrieve::collect(part, 20, &context).await.expect("it comes"), content[10..30]);
            }
        });
        let gets = server.heard().iter().filter(|line| line.starts_with("GET ")).count();
        assert!(gets <= 8, "each range would be all of it: {:?}", server.heard());
    }
}

#[test]
fn a_web_server_need_not_say_how_long_things_are() {
    let content = pattern(5, 2_000_000);
    for (ranges, head_is_known) in [(true, true), (false, true), (true, false), (false, false)] {
        let sent = content.clone();
        let server = Script::start(move |head| {
            assert_eq!(header(head, "Accept-Encoding"), Some("identity"), "{head}");
            let close = "Connection: close\r\n";
            if head.starts_with("HEAD ") {
                return format!("HTTP/1.1 {} x\r\n{close}\r\n", if head_is_known { 200 } else { 405 }).into_bytes();
            }
            match header(head, "Range").and_then(|r| r.strip_prefix("bytes=")?.split_once('-')).filter(|_| ranges) {
                Some((first, last)) => {
                    let first: usize = first.parse().expect("a number");
                    let last = last.parse().unwrap_or(usize::MAX).min(sent.len() - 1);
                    let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", sent.len());
                    [format!("HTTP/1.1 206 x\r\n{close}{range}\r\n").as_bytes(), &sent[first..=last]].concat()
                }
                None => [format!("HTTP/1.1 200 x\r\n{close}\r\n").as_bytes(), &sent].concat(),
            }
        });
        let context = context(&[], None);
        on(async {
            let store = web(&server.url(), &context);
            let stat = store.stat(&name("k")).await.expect("it is there").expect("present");
            assert_eq!(stat.len, content.len() as u64, "{ranges} {head_is_known}");
            assert_eq!(get(&store, &name("k"), b"", &context).await.expect("all of it"), content);
            assert_eq!(get(&store, &name("k"), &content[..1_000_000], &context).await.expect("the rest"), content);
        });
    }
}

/// An S3 in one region, which refuses whoever signs for another. `has` are its objects.
fn regional(region: &'static str, has: Arc<Mutex<HashMap<String, Vec<u8>>>>, busy: bool) -> Script {
    let refused = Mutex::new(HashMap::<String, usize>::new());
    Script::with(move |mut stream, head| {
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut body = vec![0; header(head, "content-length").map_or(0, |len| len.parse().expect("a length"))];
        stream.read_exact(&mut body)?;
        let path = target.split('?').next().unwrap_or_default().to_string();
        let signed = [target, header(head, "Authorization").unwrap_or_default()].concat().replace("%2F", "/");
        let named = format!("x-amz-bucket-region: {region}\r\n");
        let answer = if !signed.contains(&format!("/{region}/s3/aws4_request")) {
            reply(
                head,
                400,
                &named,
                b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message></Error>",
            )
        } else if busy
            && *refused.lock().expect("no panic").entry(format!("{method} {path}")).and_modify(|n| *n += 1).or_default()
                < 2
        {
            reply(head, 503, "", b"<Error><Code>SlowDown</Code></Error>")
        } else {
            let mut has = has.lock().expect("no panic");
            match (method, has.get(&path)) {
                ("PUT", _) => {
                    has.insert(path, body);
                    reply(head, 200, "ETag: \"x\"\r\n", b"")
                }
                ("HEAD", None) if path.trim_matches('/') == "bucket" => reply(head, 200, &named, b""),
                (_, Some(content)) => reply(head, 200, "ETag: \"x\"\r\n", content),
                (_, None) => reply(head, 404, "", b"<Error><Code>NoSuchKey</Code></Error>"),
            }
        };
        stream.write_all(&answer)
    })
}

#[test]
fn the_right_region_is_learnt_by_every_operation() {
    let content = pattern(6, 100_000);
    let has = Arc::<Mutex<HashMap<String, Vec<u8>>>>::default();
    has.lock().expect("no panic").insert("/bucket/there".into(), content.to_vec());
    let server = regional("eu-central-1", Arc::clone(&has), false);
    let context = context(&[], None);
    let options = keys(&[("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &server.port.to_string())]);
    on(async {
        for through_sdk in [false, true] {
            let open = || -> Rc<dyn Store> {
                if through_sdk {
                    Rc::new(S3::open_through_sdk(&options, &context).expect("good options"))
                } else {
                    s3(&options, &context)
                }
            };
            let proved = open();
            assert_eq!(proved.learnt(), []);
            proved.prove(OWNER).await.expect("found out");
            assert_eq!(proved.learnt(), [("region", "eu-central-1".to_string())], "for git-annex to keep");
            assert_eq!(open().stat(&name("there")).await.expect("found out").expect("present").len, 100_000);
            assert_eq!(get(&open(), &name("there"), &content[..10], &context).await.expect("found out"), content);
            put(&open(), &name("new"), &content).await.expect("found out");
            assert_eq!(has.lock().expect("no panic").remove("/bucket/new"), Some(content.to_vec()));
        }
    });
}

#[test]
fn initremote_is_tried_again_request_by_request() {
    let has = Arc::<Mutex<HashMap<String, Vec<u8>>>>::default();
    let server = regional("us-east-1", Arc::clone(&has), true);
    let options = keys(&[("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &server.port.to_string())]);
    on(async { s3(&options, &context(&[], None)).prove(OWNER).await.expect("in the end") });
    let has = has.lock().expect("no panic");
    assert_eq!(has.get("/bucket/annex-uuid").map(Vec::as_slice), Some(OWNER.as_bytes()));
}

#[test]
fn a_refusal_of_a_head_is_explained() {
    for (status, code, kind, says) in [
        (400, "ExpiredToken", Kind::WrongKeyId, "ExpiredToken"),
        (403, "RequestTimeTooSkewed", Kind::Other, "clock"),
        (400, "AuthorizationHeaderMalformed", Kind::Option, "is region= right?"),
        (301, "PermanentRedirect", Kind::Option, "is region= right?"),
    ] {
        let server = Script::start(move |head| {
            // Always the same region: there is nothing to learn.
            let body = format!("<Error><Code>{code}</Code><Message>words</Message></Error>");
            reply(head, status, "x-amz-bucket-region: us-east-1\r\n", body.as_bytes())
        });
        let options = keys(&[("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &server.port.to_string())]);
        let context = context(&[], None);
        on(async {
            let store = s3(&options, &context);
            let stat = store.stat(&name("k")).await.expect_err("unknown");
            let got = store.get(&name("k"), Range::default()).await.err().expect("nothing");
            let put = put(&store, &name("k"), &Bytes::from_static(b"x")).await.expect_err("nothing");
            let removed = store.remove(&name("k")).await.expect_err("nothing");
            let proved = store.prove(OWNER).await.expect_err("nothing");
            for e in [stat, got, put, removed, proved] {
                assert_eq!(e.kind(), kind, "{e}");
                assert!(e.to_string().contains(says), "{e}");
            }
        });
    }
}

#[test]
fn a_public_bucket_is_read_by_nobody() {
    let content = pattern(8, 3_000_000);
    let sent = content.clone();
    let public = Script::start(move |head| match head.split(' ').nth(1) {
        Some("/data/k%20%231") => reply(head, 200, "ETag: \"x\"\r\n", &sent),
        Some("/data/annex-uuid") => reply(head, 200, "ETag: \"y\"\r\n", OWNER.as_bytes()),
        _ => reply(head, 404, "", b""),
    });
    let refused = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let closed = Script::start(|head| reply(head, 403, "", refused));
    let port = closed.port.to_string();
    let url = format!("{}/data/", public.url());
    let context = context(&[], None);
    on(async {
        let bucket = [("bucket", "nobodys"), ("host", "127.0.0.1"), ("port", port.as_str())];
        let store = s3(&made(&[&bucket[..], &[("publicurl", &url)]].concat()), &context);
        assert_eq!(store.locate(&name("k #1")), Some(format!("{url}k%20%231")));
        assert_eq!(store.stat(&name("k #1")).await.expect("it is there").expect("present").len, 3_000_000);
        assert_eq!(store.stat(&name("other")).await.expect("it is not"), None);
        assert_eq!(get(&store, &name("k #1"), &content[..1000], &context).await.expect("the rest"), content);
        let none = "no credentials: none are kept, and no other source is configured";
        for e in [
            put(&store, &name("k2"), &content).await.expect_err("nobody stores"),
            store.remove(&name("k #1")).await.expect_err("nobody removes"),
        ] {
            assert_eq!(e.kind(), Kind::NoCredentials, "{e}");
            assert!(e.to_string().contains(none), "{e}");
        }
        assert_eq!(store.capabilities().write, Writes::ReadOnly);
        store.prove(OWNER).await.expect("enabled by whoever may only read");
        let e = store.prove("another").await.expect_err("it is another remote's");
        assert!(e.to_string().contains(none), "{e}");
        // No place for everybody, and a bucket that is not for everybody either.
        let closed = s3(&made(&bucket), &context);
        for e in [
            closed.prove(OWNER).await.expect_err("nobody may"),
            closed.stat(&name("k")).await.expect_err("nobody may"),
            closed.get(&name("k"), Range::default()).await.err().expect("nobody may"),
            put(&closed, &name("k"), &content).await.expect_err("nobody may"),
        ] {
            assert_eq!(e.kind(), Kind::NoCredentials, "{e}");
            assert!(e.to_string().contains(none), "{e}");
        }
    });
}

#[test]
fn a_bucket_that_everybody_may_read_needs_no_public_url() {
    let content = pattern(9, 300_000);
    let sent = content.clone();
    let open = Script::start(move |head| {
        assert_eq!(header(head, "Authorization"), None, "{head}");
        match head.split(' ').nth(1).and_then(|target| target.split('?').next()) {
            Some("/bucket/k") => reply(head, 200, "ETag: \"x\"\r\n", &sent),
            Some("/bucket/annex-uuid") => reply(head, 200, "ETag: \"y\"\r\n", OWNER.as_bytes()),
            Some("/bucket" | "/bucket/") => reply(head, 200, "", b""),
            _ => reply(head, 404, "", b"<Error><Code>NoSuchKey</Code></Error>"),
        }
    });
    let context = context(&[], None);
    on(async {
        let store = s3(&made(&[("bucket", "bucket"), ("host", &format!("127.0.0.1:{}", open.port))]), &context);
        store.prove(OWNER).await.expect("whoever may read may enable it");
        assert_eq!(store.stat(&name("k")).await.expect("it is there").expect("present").len, 300_000);
        assert_eq!(store.stat(&name("other")).await.expect("it is not"), None);
        assert_eq!(get(&store, &name("k"), &content[..1000], &context).await.expect("the rest"), content);
    });
}
