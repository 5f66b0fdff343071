//! A store that costs nothing: speaks as much S3 as the gateway needs, throws away what it is given, and serves a pattern.
//!
//! It runs in threads of the bench, so that the CPU of the gateway is the gateway's alone and no disk is the wall.

mod objects;
mod pattern;
mod request;
mod temper;
mod wire;

pub use pattern::{Keys, Pattern};

use objects::{Answer, Body, Objects};
use request::{Connection, Request};
use rustls::ServerConfig;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use temper::Temper;
use wire::Wire;

/// How often one that was killed looks whether it is to be there again.
const LOOK: Duration = Duration::from_millis(5);

/// For how long it is waited for.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

// A request and its answer need no more; there are some hundred of these threads at most.
const STACK: usize = 256 << 10;

/// A running store; it takes no more connections once this is dropped.
pub struct NullStore {
    /// Port on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    objects: Objects,
    pattern: Pattern,
    temper: Temper,
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
}

impl NullStore {
    /// Starts it, empty. Every bucket is there. Errors: no port.
    pub fn start() -> io::Result<Self> {
        Self::serve(None)
    }

    /// The same, which speaks TLS with this certificate and its key. What it is given costs the bench as much as decrypting takes.
    pub fn start_with_tls((certificate, key): (impl AsRef<Path>, impl AsRef<Path>)) -> io::Result<Self> {
        Self::serve(Some(wire::config(certificate.as_ref(), key.as_ref())?))
    }

    fn serve(tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            objects: Objects::default(),
            pattern: Pattern::new(),
            temper: Temper::new(),
            tls,
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::Builder::new().name("null store".into()).spawn(move || accept(listener, port, &accepting))?;
        Ok(Self { port, shared })
    }

    /// Holds an object of `len` bytes of the pattern at `path`, which begins with the bucket.
    pub fn hold(&self, path: &str, len: u64) {
        self.shared.objects.hold(path, len);
    }

    /// Has nothing at `path` any more.
    pub fn forget(&self, path: &str) {
        self.shared.objects.forget(path);
    }

    /// The same, which takes and gives `rate` bytes a second.
    pub fn start_with_rate(rate: u64) -> io::Result<Self> {
        let store = Self::start()?;
        store.shared.temper.set_rate(rate);
        Ok(store)
    }

    /// Takes no more than `bytes` bytes of each body from now on, and says nothing.
    pub fn stall(&self, bytes: u64) {
        self.shared.temper.set_stall(bytes);
    }

    /// Ends all connections and refuses new ones, as if it were killed.
    pub fn kill(&self) {
        self.shared.temper.kill();
        self.wake();
    }

    /// Has the thread that accepts look around; where that fails it has gone.
    fn wake(&self) {
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }

    /// Is there again, with all it had, when this returns.
    pub fn revive(&self) {
        self.shared.temper.revive();
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() && begin.elapsed() < AGAIN_WITHIN {
            thread::sleep(LOOK);
        }
    }

    /// Bytes of bodies that it took and gave so far.
    pub fn passed(&self) -> u64 {
        self.shared.temper.passed()
    }

    /// Requests that came so far.
    pub fn requests(&self) -> u64 {
        self.shared.temper.requests()
    }

    /// Answers one request in so many with 503 from now on; none for 0.
    pub fn refuse_one_in(&self, every: u64) {
        self.shared.temper.set_refusals(every);
    }

    /// Answers with 503 what comes above so many requests a second; all are welcome for 0.
    pub fn welcome(&self, rate: u64) {
        self.shared.temper.set_welcome(rate);
    }

    /// Requests that were answered with 503, so far.
    pub fn refused(&self) -> u64 {
        self.shared.temper.refused()
    }

    /// Length of what is at `path`, which begins with the bucket.
    pub fn holds(&self, path: &str) -> Option<u64> {
        self.shared.objects.len(path)
    }
}

impl Drop for NullStore {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.temper.kill();
        self.wake();
    }
}

fn accept(listener: TcpListener, port: u16, shared: &Arc<Shared>) {
    let mut listening = Some(listener);
    while !shared.stop.load(Ordering::Relaxed) {
        if shared.temper.is_dead() {
            // Whoever connects is refused.
            listening = None;
            thread::sleep(LOOK);
            continue;
        }
        if listening.is_none() {
            listening = TcpListener::bind(("127.0.0.1", port)).ok();
        }
        let Some(Ok((stream, _))) = listening.as_ref().map(TcpListener::accept) else { continue };
        let shared = Arc::clone(shared);
        // A client whose connection fails has gone, as clients do here.
        let serve = move || drop(serve(stream, &shared));
        if let Err(error) = thread::Builder::new().stack_size(STACK).spawn(serve) {
            eprintln!("null store: {error}");
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let _mortal = shared.temper.connected(&stream)?;
    let mut connection = Connection::new(stream, shared.tls.as_ref())?;
    while let Some(request) = connection.next()? {
        let is_welcome = shared.temper.welcomes();
        let answer = match connection.body(&request, &shared.temper)? {
            Some(body) if is_welcome => shared.objects.answer(&request, body),
            Some(_) => Answer::slow_down(),
            None => return Ok(()),
        };
        send(connection.stream(), &request, &answer, shared)?;
    }
    Ok(())
}

fn send(stream: &mut Wire, request: &Request, answer: &Answer, shared: &Shared) -> io::Result<()> {
    let (len, range) = answer.span(request);
    let status = if range.is_empty() { answer.status } else { "206 Partial Content" };
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: null\r\nContent-Length: {len}\r\n{range}{}\r\n",
        answer.etag.as_ref().map_or(String::new(), |tag| format!(
            "ETag: {tag}\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
        ))
    );
    let (from, send_body) = (answer.from(request), request.method != "HEAD");
    match &answer.body {
        Body::Bytes(bytes) if send_body => {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            let end = (from + usize::try_from(len).unwrap_or(usize::MAX)).min(bytes.len());
            stream.write_all(&[head.as_bytes(), &bytes[from..end]].concat())
        }
        Body::Pattern(_) if send_body => {
            stream.write_all(head.as_bytes())?;
            let mut sent = 0;
            while sent < len {
                let bytes = (len - sent).min(shared.temper.step(1 << 20) as u64);
                shared.temper.pass(sent, bytes)?;
                shared.pattern.write(stream, from + sent, bytes)?;
                sent += bytes;
            }
            Ok(())
        }
        Body::Bytes(_) | Body::Pattern(_) => stream.write_all(head.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(store: &NullStore, requests: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", store.port)).expect("connect");
        stream.write_all(requests.as_bytes()).expect("send");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn what_was_put_has_its_length_and_what_was_not_is_absent() {
        let store = NullStore::start().expect("start");
        let body = "x".repeat(200_000);
        let put = format!("PUT /b/k HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answers = ask(&store, &format!("{put}HEAD /b/k HTTP/1.1\r\n\r\nHEAD /b/none HTTP/1.1\r\n\r\n"));
        assert!(answers.contains("Content-Length: 200000\r\n") && answers.contains("404"), "{answers}");
        assert_eq!(store.holds("/b/k"), Some(200_000));
    }

    #[test]
    fn a_store_with_a_certificate_speaks_tls_alone() {
        let store = NullStore::start_with_tls(crate::lab::certificate()).expect("start");
        store.hold("/b/k", 3 << 20);
        let mut roots = rustls::RootCertStore::empty();
        let authority = rustls::pki_types::pem::PemObject::from_pem_file(crate::lab::certificate().0);
        roots.add(authority.expect("a certificate")).expect("it is one");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = TcpStream::connect(("127.0.0.1", store.port)).expect("connect");
        let mut stream = rustls::StreamOwned::new(client, stream);
        let body = vec![7; 200_000];
        write!(stream, "PUT /b/own HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).expect("sent");
        stream.write_all(&body).expect("sent");
        write!(stream, "GET /b/k HTTP/1.1\r\n\r\n").expect("sent");
        let mut answers = Vec::new();
        while answers.len() < 3 << 20 {
            let mut bytes = [0; 64 << 10];
            let n = stream.read(&mut bytes).expect("answers");
            answers.extend_from_slice(&bytes[..n]);
        }
        assert!(answers.starts_with(b"HTTP/1.1 200 OK"));
        assert_eq!(store.holds("/b/own"), Some(200_000));
        let plain = ask(&store, "HEAD /b/k HTTP/1.1\r\n\r\n");
        assert!(!plain.contains("HTTP/1.1"), "{plain}");
    }

    #[test]
    fn a_put_that_is_cut_short_leaves_nothing() {
        let store = NullStore::start().expect("start");
        ask(&store, "PUT /b/k HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nshort");
        assert_eq!(store.holds("/b/k"), None);
    }

    #[test]
    fn parts_become_an_object_only_when_they_are_completed() {
        let store = NullStore::start().expect("start");
        let answer = ask(&store, "POST /b/k?uploads HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        let id = answer.split("<UploadId>").nth(1).and_then(|t| t.split('<').next()).expect("an id").to_string();
        for number in [1, 2] {
            let put = format!("PUT /b/k?partNumber={number}&uploadId={id} HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
            assert!(ask(&store, &put).contains("ETag"), "part {number}");
        }
        let listed = ask(&store, &format!("GET /b/k?uploadId={id} HTTP/1.1\r\n\r\n"));
        assert_eq!(listed.matches("<Size>3</Size>").count(), 2, "{listed}");
        assert_eq!(store.holds("/b/k"), None);
        let complete = format!("POST /b/k?uploadId={id} HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        assert!(ask(&store, &complete).contains("200 OK"));
        assert_eq!(store.holds("/b/k"), Some(6));
        assert!(ask(&store, &complete).contains("NoSuchUpload"));
    }

    #[test]
    fn one_that_was_killed_answers_nobody_until_it_is_revived() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 5);
        let mut stream = TcpStream::connect(("127.0.0.1", store.port)).expect("connect");
        write!(stream, "HEAD /b/k HTTP/1.1\r\n\r\n").expect("send");
        stream.read_exact(&mut [0; 4]).expect("an answer");
        store.kill();
        // It ends, in whatever way.
        let _ = stream.read_to_end(&mut Vec::new());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", store.port)).is_ok() {
            assert!(begin.elapsed() < AGAIN_WITHIN, "it still listens");
        }
        store.revive();
        assert!(ask(&store, "HEAD /b/k HTTP/1.1\r\n\r\n").contains("200 OK"));
    }

    #[test]
    fn a_store_that_is_asked_too_often_says_so_and_does_nothing() {
        let store = NullStore::start().expect("start");
        store.refuse_one_in(3);
        let put = |key: &str| format!("PUT /b/{key} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
        let answers = ask(&store, &["1", "2", "3", "4"].map(put).concat());
        assert_eq!((answers.matches("200 OK").count(), answers.matches("SlowDown").count()), (3, 1), "{answers}");
        assert_eq!(
            ["1", "2", "3", "4"].map(|key| store.holds(&format!("/b/{key}"))),
            [Some(1), Some(1), None, Some(1)]
        );
        assert_eq!((store.requests(), store.refused()), (4, 1));
    }

    #[test]
    fn ranges_are_cut_out_of_the_pattern() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 3 << 20);
        let whole = {
            let mut bytes = Vec::new();
            Pattern::new().write(&mut bytes, 0, 3 << 20).expect("memory");
            bytes
        };
        let mut stream = TcpStream::connect(("127.0.0.1", store.port)).expect("connect");
        write!(stream, "GET /b/k HTTP/1.1\r\nRange: bytes=1048570-1048585\r\n\r\n").expect("send");
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.ends_with(&whole[1_048_570..1_048_586]));
        let head = String::from_utf8_lossy(&answer).into_owned();
        assert!(head.contains("Content-Range: bytes 1048570-1048585/3145728"), "{head}");
    }
}
