//! The S3 store over TLS: a relay with a certificate in front of a real server, and servers that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use remotes::conformance::{examine, pattern};
use remotes::options::Options;
use remotes::pump::{FileSource, Meter, Source};
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::site::Site;
use remotes::{Context, Error, Kind, ObjectName, Range, Store, retrieve};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

const OWNER: &str = "00000000-0000-0000-0000-0000000000dd";

fn on(f: impl Future<Output = ()>) {
    remotes::sys::run(true, f).expect("a runtime");
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

fn certificate(file: &str) -> String {
    format!("{}/../testdata/tls/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// Patient enough for a busy machine, and trusting this certificate alone.
fn trusting(file: &str) -> Context {
    let file = certificate(file);
    let site = Site::new(&|name| (name == "AWS_CA_BUNDLE").then(|| file.clone().into()), None);
    let (idle, connect) = (Duration::from_secs(30), Duration::from_secs(30));
    Context { first_pause: Duration::from_millis(1), idle, connect, site: Arc::new(site), ..Context::default() }
}

fn options(port: u16, bucket: &str) -> Options {
    let mut options = Options::new();
    for (name, value) in [
        ("bucket", bucket),
        ("host", "localhost"),
        ("protocol", "https"),
        ("requeststyle", "path"),
        ("fileprefix", "p/"),
    ] {
        options.set(name, value);
    }
    options.set("port", port.to_string());
    options.set(KEY_ID, "any");
    options.set(SECRET, "anykey");
    options
}

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// A server on this computer that calls itself localhost, with a thread for each connection. Counts those that are new, and
/// those whose session was resumed.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Server {
    fn start(serve: impl Fn(TlsStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let chain = vec![CertificateDer::from_pem_file(certificate("first.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(certificate("first.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("they fit");
        let (config, serve) = (Arc::new(config), Arc::new(serve));
        let server = Self { port, connections: Arc::default(), resumed: Arc::default() };
        let (connections, resumed) = (Arc::clone(&server.connections), Arc::clone(&server.resumed));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (config, serve) = (Arc::clone(&config), Arc::clone(&serve));
                let (connections, resumed) = (Arc::clone(&connections), Arc::clone(&resumed));
                std::thread::spawn(move || {
                    let mut tls = ServerConnection::new(config).expect("a connection");
                    while tls.is_handshaking() {
                        tls.complete_io(&mut stream)?;
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
                    resumed.fetch_add(usize::from(is_resumed), Ordering::SeqCst);
                    serve(StreamOwned::new(tls, stream))
                });
            }
        });
        server
    }

    /// Answers each head with what a function makes of it, until that is nothing.
    fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream| {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte)?;
                    head.push(byte[0]);
                }
                let answer = answer(&String::from_utf8_lossy(&head));
                if answer.is_empty() {
                    return Ok(());
                }
                stream.write_all(&answer)?;
                stream.flush()?;
            }
        })
    }
}

/// SeaweedFS behind TLS.
fn weed() -> (Server, Options, Context) {
    let weed = servers::weed();
    let to = weed.port;
    let relay = Server::start(move |stream| relay(stream, to));
    let mut options = options(relay.port, &servers::unique("tls"));
    options.set(KEY_ID, weed.user.clone());
    options.set(SECRET, weed.secret.clone());
    (relay, options, trusting("first.pem"))
}

/// Passes everything on, both ways.
fn relay(stream: TlsStream, to: u16) -> std::io::Result<()> {
    let mut plain = TcpStream::connect(("127.0.0.1", to))?;
    let socket = stream.sock.try_clone()?;
    let sealed = Arc::new(Mutex::new(stream));
    let (mut back, towards) = (plain.try_clone()?, Arc::clone(&sealed));
    socket.set_nonblocking(true)?;
    let down = std::thread::spawn(move || {
        let mut buf = vec![0; 1 << 16];
        loop {
            let n = back.read(&mut buf).unwrap_or(0);
            let mut rest = &buf[..n];
            while !rest.is_empty() {
                let wrote = towards.lock().expect("no panic").write(rest);
                match wrote {
                    Ok(n) => rest = &rest[n..],
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                        wait(&socket, rustix::event::PollFlags::OUT)
                    }
                    Err(_) => return,
                }
            }
            let mut sealed = towards.lock().expect("no panic");
            if n == 0 {
                sealed.conn.send_close_notify();
            }
            while sealed.conn.wants_write()
                && !matches!(sealed.flush(), Err(e) if e.kind() != std::io::ErrorKind::WouldBlock)
            {
                wait(&socket, rustix::event::PollFlags::OUT);
            }
            if n == 0 {
                let _ = socket.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    });
    let waits = sealed.lock().expect("no panic").sock.try_clone()?;
    let mut buf = vec![0; 1 << 16];
    loop {
        let read = sealed.lock().expect("no panic").read(&mut buf);
        match read {
            Ok(0) => break,
            Ok(n) => plain.write_all(&buf[..n])?,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => wait(&waits, rustix::event::PollFlags::IN),
            Err(_) => break,
        }
    }
    let _ = plain.shutdown(std::net::Shutdown::Both);
    let _ = down.join();
    Ok(())
}

fn wait(socket: &TcpStream, flags: rustix::event::PollFlags) {
    let _ = rustix::event::poll(&mut [rustix::event::PollFd::new(socket, flags)], None);
}

fn open(options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(S3::open(options, context).expect("good options"))
}

async fn put(store: &Rc<dyn Store>, object: &ObjectName, content: &Bytes) -> Result<String, Error> {
    let mut put = store.uploads().expect("it streams").put_stream(object, content.len() as u64).await?;
    let lane = put.lane();
    for at in (0..content.len()).step_by(1 << 20) {
        put.write(content.slice(at..content.len().min(at + (1 << 20)))).await?;
    }
    put.commit().await.map(|_| lane)
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

#[test]
fn seaweedfs_passes_the_examination_over_tls() {
    let (_relay, mut options, context) = weed();
    on(async {
        examine(&open(&options, &context), &context).await;
        options.set("partsize", "5MiB");
        options.set("fileprefix", "small/");
        examine(&open(&options, &context), &context).await;
    });
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
}

#[test]
fn large_content_goes_both_ways_on_connections_of_our_own() {
    let (relay, mut options, context) = weed();
    options.set("partsize", "5MiB");
    on(async {
        let store = open(&options, &context);
        store.prove(OWNER).await.expect("proved");
        let content = pattern(5, (23 << 20) + 7);
        let lane = put(&store, &name("streamed"), &content).await.expect("stored");
        assert_eq!(lane, "stream parts=5x5 MiB");
        assert!(get(&store, &name("streamed"), &content[..1_000_000], &context).await.expect("read") == content);
        let file = tempfile::tempfile().expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).expect("its content");
        let from = FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 };
        let (meter, object) = (Meter::new(), name("from a file"));
        let mut put = store.put(&object, from.len).await.expect("opened");
        assert_eq!(put.lane(), "tls parts=5x5 MiB");
        put.fill(&from, &meter).await.expect("sent");
        assert_eq!(meter.bytes(), from.len);
        put.commit().await.expect("stored");
        assert!(get(&store, &object, b"", &context).await.expect("read") == content);
    });
    let (connections, resumed) = (relay.connections.load(Ordering::SeqCst), relay.resumed.load(Ordering::SeqCst));
    // Those that are opened side by side at the very first know of no session yet, and the SDK keeps its own.
    assert!(resumed > 0 && connections < 40, "{resumed} of {connections} sessions were resumed");
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
}

#[test]
fn a_certificate_that_nobody_trusts_is_told() {
    let server = Server::answering(|_| Vec::new());
    let (context, options) = (trusting("second.pem"), options(server.port, "bucket"));
    on(async {
        let e = open(&options, &context).stat(&name("k")).await.expect_err("nobody is trusted");
        assert_eq!(e.kind(), Kind::Tls, "{e}");
        assert!(e.to_string().contains("certificate"), "{e}");
    });
}

#[test]
fn what_ends_early_is_no_content() {
    let (whole, tag) = (1000, "ETag: \"x\"\r\n");
    let server = Server::answering(move |head| {
        if head.starts_with("HEAD") {
            return format!("HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\n{tag}\r\n").into_bytes();
        }
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {whole}\r\n{tag}\r\n");
        // The thread waits for another request, which does not come; whoever reads gives up by himself.
        [head.into_bytes(), vec![b'x'; 600]].concat()
    });
    let context = Context { idle: Duration::from_millis(300), ..trusting("first.pem") };
    let options = options(server.port, "bucket");
    on(async {
        let store = open(&options, &context);
        let opened = store.get(&name("k"), Range::default()).await.expect("it begins");
        let e = retrieve::collect(opened, 1000, &context).await.expect_err("it stalls");
        assert_eq!(e.kind(), Kind::Timeout, "{e}");
    });
    let server = Server::start(move |mut stream| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head)?;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\n{tag}\r\n{}", "x".repeat(600));
        stream.write_all(answer.as_bytes())?;
        // Without a word of TLS.
        stream.sock.shutdown(std::net::Shutdown::Both)
    });
    let context = trusting("first.pem");
    let mut options = options.clone();
    options.set("port", server.port.to_string());
    on(async {
        let store = open(&options, &context);
        let opened = store.get(&name("k"), Range::default()).await.expect("it begins");
        let e = retrieve::collect(opened, 1000, &context).await.expect_err("it ends");
        assert_eq!(e.kind(), Kind::Truncated, "{e}");
    });
}

/// The rest of a payload need not travel, and why it is refused is told, though the server reads no further.
#[test]
fn a_refusal_before_all_was_sent_is_heard() {
    let refused = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
    let server = Server::answering(move |head| {
        if !head.starts_with("PUT") {
            return b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        format!("HTTP/1.1 403 x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{refused}", refused.len())
            .into_bytes()
    });
    let (context, mut options) = (trusting("first.pem"), options(server.port, "bucket"));
    options.set("partsize", "5GiB");
    on(async {
        let store = open(&options, &context);
        let e = put(&store, &name("k"), &Bytes::from(vec![7; 30 << 20])).await.expect_err("refused");
        assert_eq!(e.kind(), Kind::Denied, "{e}");
        assert!(e.to_string().contains("not you"), "{e}");
    });
}

/// What nobody asked for is not taken for the answer to the next request.
#[test]
fn a_connection_with_more_on_it_serves_no_more() {
    let server = Server::answering(|head| {
        let body = if head.starts_with("HEAD") { "" } else { "xy" };
        let more = "HTTP/1.1 200 OK\r\nContent-Length: 666\r\nETag: \"evil\"\r\n\r\n";
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"x\"\r\n\r\n{body}{more}").into_bytes()
    });
    let (context, options) = (trusting("first.pem"), options(server.port, "bucket"));
    on(async {
        let store = open(&options, &context);
        for _ in 0..3 {
            let stat = store.stat(&name("k")).await.expect("answered").expect("there");
            assert_eq!((stat.len, stat.tag.as_deref()), (2, Some("\"x\"")));
            assert_eq!(retrieve::read_small(&*store, &name("k"), 10, &context).await.expect("read"), "xy");
        }
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 6, "each served once");
}

/// A whole block is waited for where many are to come, but a server that is slow is not one that is silent.
#[test]
fn what_a_slow_server_brings_is_taken_before_it_is_given_up() {
    const FIRST: usize = 512 << 10;
    const FEW: usize = 1000;
    const WHOLE: usize = 2 << 20;
    let (more, told) = std::sync::mpsc::channel::<()>();
    let told = Mutex::new(told);
    let server = Server::start(move |mut stream| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head)?;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\nETag: \"x\"\r\n\r\n")?;
        stream.write_all(&[b'x'; FIRST])?;
        // A few only once all before them has arrived, and the rest once those have.
        for len in [FEW, WHOLE - FIRST - FEW] {
            stream.flush()?;
            told.lock().expect("no panic").recv().expect("it is told");
            stream.write_all(&vec![b'x'; len])?;
        }
        stream.flush()
    });
    let context = Context { idle: Duration::from_secs(3), ..trusting("first.pem") };
    let options = options(server.port, "bucket");
    on(async {
        let store = open(&options, &context);
        let opened = store.get(&name("k"), Range::default()).await.expect("it begins");
        let Source::Stream(mut blocks) = opened.source else { panic!("over TLS it is a stream") };
        let mut got = 0;
        while let Some(block) = blocks.next().await.expect("it goes on") {
            let before = got;
            got += block.len();
            for _ in [FIRST, FIRST + FEW].iter().filter(|mark| before < **mark && got >= **mark) {
                more.send(()).expect("the server waits");
            }
        }
        assert_eq!(got, WHOLE);
    });
}
