//! A small S3 in memory that does as it is told, and lies on order.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET and the like.
    pub method: String,
    /// The key; empty for the bucket.
    pub key: String,
    /// Behind the `?`.
    pub query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether `name` is in the query.
    pub fn asks(&self, name: &str) -> bool {
        self.query.split('&').any(|pair| pair.split('=').next() == Some(name))
    }

    /// What S3 calls it.
    pub fn operation(&self) -> &'static str {
        match self.method.as_str() {
            "HEAD" if self.key.is_empty() => "HeadBucket",
            "HEAD" => "HeadObject",
            "GET" if self.asks("uploads") => "ListMultipartUploads",
            "GET" if self.asks("uploadId") => "ListParts",
            "GET" if self.key.is_empty() => "ListObjects",
            "GET" => "GetObject",
            "PUT" if self.asks("uploadId") && self.header("x-amz-copy-source").is_some() => "UploadPartCopy",
            "PUT" if self.asks("uploadId") => "UploadPart",
            "PUT" if self.header("x-amz-copy-source").is_some() => "CopyObject",
            "PUT" => "PutObject",
            "POST" if self.asks("uploads") => "CreateMultipartUpload",
            "POST" => "CompleteMultipartUpload",
            "DELETE" if self.asks("uploadId") => "AbortMultipartUpload",
            _ => "DeleteObject",
        }
    }
}

/// What is said instead of the truth.
#[derive(Clone, Debug)]
pub enum Lie {
    /// These bytes, and nothing is done. The connection ends.
    Say(String),
    /// It is done, and these bytes are said of it.
    DoAndSay(String),
    /// These bytes, once so many of the payload have come; then nothing is read any more.
    Early(usize, &'static str),
    /// The first bytes, and then the second ones again and again with a pause between, for as long as anybody listens.
    Forever(&'static str, &'static str, Duration),
}

/// A status without a payload. It says that the connection ends: who is told nothing may send the next request on it.
pub fn bare(status: &str) -> Lie {
    Lie::Say(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
}

/// 200 with a document.
pub fn document(text: &str) -> Lie {
    Lie::Say(format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    ))
}

/// 200 with a payload in these chunks.
pub fn chunked(chunks: &[&str]) -> Lie {
    let chunk = |text: &&str| format!("{:x}\r\n{text}\r\n", text.len());
    let payload: String = chunks.iter().map(chunk).collect();
    with_line("Transfer-Encoding: chunked", &format!("{payload}0\r\n\r\n"))
}

/// 200 with these bytes behind a head with this line; then the connection ends.
pub fn with_line(line: &str, payload: &str) -> Lie {
    Lie::Say(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{line}\r\n\r\n{payload}"))
}

type Faults = Arc<dyn Fn(&Request) -> Option<Lie> + Send + Sync>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    asked: Vec<Request>,
    /// Conditions are not looked at.
    careless: bool,
}

/// The server. Ends with the process.
pub struct Liar {
    /// Where it listens on loopback.
    pub port: u16,
    state: Arc<Mutex<State>>,
    said: Arc<AtomicU64>,
    open: Arc<AtomicUsize>,
}

impl Liar {
    /// One that lies where `faults` says so.
    pub fn start(faults: impl Fn(&Request) -> Option<Lie> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let liar = Self { port, state: Arc::default(), said: Arc::default(), open: Arc::default() };
        let faults: Faults = Arc::new(faults);
        let (state, said, open) = (Arc::clone(&liar.state), Arc::clone(&liar.said), Arc::clone(&liar.open));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (faults, state) = (Arc::clone(&faults), Arc::clone(&state));
                let (said, open) = (Arc::clone(&said), Arc::clone(&open));
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = serve(&stream, &faults, &state, &said);
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        liar
    }

    /// The same, but it looks at no condition.
    pub fn careless(self) -> Self {
        self.state.lock().expect("no panic").careless = true;
        self
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, content: &[u8]) {
        self.state.lock().expect("no panic").objects.insert(key.into(), content.to_vec());
    }

    /// What is there.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().expect("no panic").objects.get(key).cloned()
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: &str) -> usize {
        self.state.lock().expect("no panic").asked.iter().filter(|request| request.operation() == operation).count()
    }

    /// Operations that were asked for by the SDK, which says its name with each request, as nothing else here does.
    pub fn through_sdk(&self) -> Vec<&'static str> {
        let state = self.state.lock().expect("no panic");
        let named = state.asked.iter().filter(|request| request.header("user-agent").is_some());
        named.map(Request::operation).collect()
    }

    /// Bytes that were said without end.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// Connections that somebody holds still.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// The ETag of an object here: another for other content.
pub fn etag(content: &[u8]) -> String {
    let hash = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("\"{hash:016x}{:016x}\"", content.len())
}

fn serve(stream: &TcpStream, faults: &Faults, state: &Mutex<State>, said: &AtomicU64) -> std::io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    let mut to = stream;
    loop {
        let Some(request) = read_head(&mut from)? else { return Ok(()) };
        let len: usize = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        state.lock().expect("no panic").asked.push(request.clone());
        let lie = faults(&request);
        if let Some(Lie::Early(least, words)) = &lie {
            std::io::copy(&mut from.by_ref().take(*least as u64), &mut std::io::sink())?;
            to.write_all(words.as_bytes())?;
            // Held open, and read no more, until the other side is gone.
            let mut poll = [rustix::event::PollFd::new(stream, rustix::event::PollFlags::RDHUP)];
            let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
            rustix::event::poll(&mut poll, Some(&limit))?;
            return Ok(());
        }
        let mut body = vec![0; len];
        from.read_exact(&mut body)?;
        match lie {
            None => to.write_all(&answer(&mut state.lock().expect("no panic"), &request, body))?,
            Some(Lie::Say(words)) => return to.write_all(words.as_bytes()),
            Some(Lie::DoAndSay(words)) => {
                answer(&mut state.lock().expect("no panic"), &request, body);
                return to.write_all(words.as_bytes());
            }
            Some(Lie::Forever(first, then, pause)) => {
                to.write_all(first.as_bytes())?;
                let many = if pause.is_zero() { then.repeat((64 << 10) / then.len()) } else { then.to_string() };
                loop {
                    to.write_all(many.as_bytes())?;
                    said.fetch_add(many.len() as u64, Ordering::SeqCst);
                    std::thread::sleep(pause);
                }
            }
            Some(Lie::Early(..)) => {}
        }
    }
}

fn read_head(from: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or("").to_string(), words.next().unwrap_or("").to_string());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_string();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_string(), value.trim().to_string())),
            None => break,
        }
    }
    Ok(Some(Request { method, key, query: query.to_string(), headers }))
}

/// The truth.
fn answer(state: &mut State, request: &Request, body: Vec<u8>) -> Vec<u8> {
    let say = |status: &str, headers: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        let body = if request.method == "HEAD" { &[][..] } else { body };
        [head.as_bytes(), body].concat()
    };
    let refuse = |status: &str, code: &str| say(status, "", format!("<Error><Code>{code}</Code></Error>").as_bytes());
    let tagged = |content: &[u8]| format!("ETag: {}\r\n", etag(content));
    let of_upload =
        || request.query.split('&').find_map(|pair| pair.strip_prefix("uploadId=")).unwrap_or("").to_string();
    let number =
        || request.query.split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok()).unwrap_or(0);
    let source = |objects: &BTreeMap<String, Vec<u8>>| {
        let source = request.header("x-amz-copy-source")?.trim_start_matches('/').split_once('/')?.1.to_string();
        objects.get(&source).cloned()
    };
    let key = request.key.clone();
    let has = |key: &str, tag: &str| tag == "*" || state.objects.get(key).is_some_and(|content| etag(content) == tag);
    let is_there = state.objects.contains_key(&key);
    let refused = match request.operation() {
        "CopyObject" => {
            let replaced = || source(&state.objects).map(|content| etag(&content));
            request.header("if-none-match").is_some_and(|_| is_there)
                || request
                    .header("x-amz-copy-source-if-match")
                    .is_some_and(|tag| replaced().is_some_and(|is| is != tag))
        }
        "DeleteObject" => is_there && request.header("if-match").is_some_and(|tag| !has(&key, tag)),
        _ => false,
    };
    if refused && !state.careless {
        return refuse("412 Precondition Failed", "PreconditionFailed");
    }
    match request.operation() {
        "HeadObject" => match state.objects.get(&key) {
            Some(content) => say("200 OK", &tagged(content), content),
            None => say("404 Not Found", "", b""),
        },
        "GetObject" => match state.objects.get(&key) {
            None => refuse("404 Not Found", "NoSuchKey"),
            Some(content) => match request.header("range").and_then(|range| range.strip_prefix("bytes=")) {
                None => say("200 OK", &tagged(content), content),
                Some(range) => {
                    let (from, to) = range.split_once('-').expect("a range");
                    let from: usize = from.parse().expect("a number");
                    let end = to.parse::<usize>().map_or(content.len(), |to| (to + 1).min(content.len()));
                    if from >= content.len() {
                        return refuse("416 Range Not Satisfiable", "InvalidRange");
                    }
                    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", end - 1, content.len());
                    say("206 Partial Content", &(tagged(content) + &range), &content[from..end])
                }
            },
        },
        "PutObject" => {
            let told = say("200 OK", &tagged(&body), b"");
            state.objects.insert(key, body);
            told
        }
        "CopyObject" => match source(&state.objects) {
            None => refuse("404 Not Found", "NoSuchKey"),
            Some(content) => {
                let told = format!("<CopyObjectResult><ETag>{}</ETag></CopyObjectResult>", etag(&content));
                state.objects.insert(key, content);
                say("200 OK", "", told.as_bytes())
            }
        },
        "DeleteObject" => {
            state.objects.remove(&key);
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
        }
        "CreateMultipartUpload" => {
            let id = format!("u{}", state.asked.len());
            let told =
                format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
            state.uploads.insert(id, BTreeMap::new());
            say("200 OK", "", told.as_bytes())
        }
        "UploadPart" => {
            let told = say("200 OK", &tagged(&body), b"");
            match state.uploads.get_mut(&of_upload()) {
                Some(parts) => {
                    parts.insert(number(), body);
                    told
                }
                None => refuse("404 Not Found", "NoSuchUpload"),
            }
        }
        "UploadPartCopy" => {
            let range = request
                .header("x-amz-copy-source-range")
                .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let (Some(content), Some((from, to))) = (source(&state.objects), range) else {
                return refuse("404 Not Found", "NoSuchKey");
            };
            let content = &content[from.parse::<usize>().expect("a number")..=to.parse().expect("a number")];
            let told = format!("<CopyPartResult><ETag>{}</ETag></CopyPartResult>", etag(content));
            state.uploads.entry(of_upload()).or_default().insert(number(), content.to_vec());
            say("200 OK", "", told.as_bytes())
        }
        "CompleteMultipartUpload" => match state.uploads.remove(&of_upload()) {
            None => refuse("404 Not Found", "NoSuchUpload"),
            Some(parts) => {
                let content: Vec<u8> = parts.into_values().flatten().collect();
                let told = format!(
                    "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
                    etag(&content)
                );
                state.objects.insert(key, content);
                say("200 OK", "", told.as_bytes())
            }
        },
        "ListParts" => match state.uploads.get(&of_upload()) {
            None => refuse("404 Not Found", "NoSuchUpload"),
            Some(parts) => {
                let part = |(number, content): (&u32, &Vec<u8>)| {
                    let (tag, len) = (etag(content), content.len());
                    format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><Size>{len}</Size></Part>")
                };
                let parts: String = parts.iter().map(part).collect();
                let told = format!("<ListPartsResult>{parts}<IsTruncated>false</IsTruncated></ListPartsResult>");
                say("200 OK", "", told.as_bytes())
            }
        },
        "AbortMultipartUpload" => match state.uploads.remove(&of_upload()) {
            Some(_) => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            None => refuse("404 Not Found", "NoSuchUpload"),
        },
        "ListObjects" => {
            let one = |(key, content): (&String, &Vec<u8>)| {
                let (len, tag) = (content.len(), etag(content));
                format!("<Contents><Key>{key}</Key><Size>{len}</Size><ETag>{tag}</ETag></Contents>")
            };
            let after = request.query.split('&').find_map(|pair| pair.strip_prefix("start-after=")).unwrap_or("");
            let all: String = state.objects.iter().filter(|(key, _)| key.as_str() > after).map(one).collect();
            let told = format!("<ListBucketResult>{all}<IsTruncated>false</IsTruncated></ListBucketResult>");
            say("200 OK", "", told.as_bytes())
        }
        _ => say("200 OK", "", b""),
    }
}
