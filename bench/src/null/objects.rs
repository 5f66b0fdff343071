//! What the store pretends to hold, and its answers.

use super::request::{Received, Request};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects and unfinished uploads.
#[derive(Default)]
pub struct Objects(Mutex<Held>);

#[derive(Default)]
struct Held {
    objects: HashMap<String, Body>,
    uploads: HashMap<String, BTreeMap<u64, u64>>,
    count: u64,
}

/// Content of an object or an answer.
#[derive(Clone)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of the pattern.
    Pattern(u64),
}

/// An answer, before the range is cut out of it.
pub struct Answer {
    /// Code and words.
    pub status: &'static str,
    /// Given with objects and parts.
    pub etag: Option<String>,
    /// The whole content.
    pub body: Body,
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Pattern(len) => *len,
        }
    }
}

impl From<Received> for Body {
    fn from(received: Received) -> Self {
        match received {
            Received::Kept(bytes) => Self::Bytes(bytes),
            Received::Counted(len) => Self::Pattern(len),
        }
    }
}

impl Answer {
    fn new(status: &'static str, text: String) -> Self {
        Self { status, etag: None, body: Body::Bytes(text.into_bytes()) }
    }

    fn missing(code: &str) -> Self {
        Self::new("404 Not Found", format!("<Error><Code>{code}</Code><Message>not here</Message></Error>"))
    }

    /// What a store says that is asked too often.
    pub fn slow_down() -> Self {
        let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        Self::new("503 Slow Down", text.into())
    }

    fn tagged(number: u64, body: Body) -> Self {
        Self { status: "200 OK", etag: Some(etag(number)), body }
    }

    /// First byte that is sent.
    pub fn from(&self, request: &Request) -> u64 {
        self.range(request).map_or(0, |(from, _)| from)
    }

    /// Bytes that are sent, and the header that says which where it is a range.
    pub fn span(&self, request: &Request) -> (u64, String) {
        let whole = self.body.len();
        match self.range(request) {
            Some((from, to)) => (to + 1 - from, format!("Content-Range: bytes {from}-{to}/{whole}\r\n")),
            None => (whole, String::new()),
        }
    }

    fn range(&self, request: &Request) -> Option<(u64, u64)> {
        let last = self.body.len().checked_sub(1)?;
        let (from, to) = request.range.filter(|_| self.etag.is_some())?;
        (from <= last).then_some((from, to.map_or(last, |to| to.min(last))))
    }
}

impl Objects {
    /// Puts `len` bytes of the pattern at `path`.
    pub fn hold(&self, path: &str, len: u64) {
        self.held().objects.insert(path.into(), Body::Pattern(len));
    }

    /// Has nothing at `path` any more.
    pub fn forget(&self, path: &str) {
        self.held().objects.remove(path);
    }

    /// Length of the object at `path`.
    pub fn len(&self, path: &str) -> Option<u64> {
        self.held().objects.get(path).map(Body::len)
    }

    /// Does what `request` asks.
    pub fn answer(&self, request: &Request, received: Received) -> Answer {
        let mut held = self.held();
        let path = &request.path;
        let upload = request.parameter("uploadId").map(str::to_string);
        // The first slash is before the bucket, the second behind it.
        if path.matches('/').count() < 2 {
            if request.method == "GET" && request.parameter("list-type").is_some() {
                return Answer::new("200 OK", names(&held.objects, request));
            }
            return Answer::new("200 OK", String::new());
        }
        match (request.method.as_str(), upload) {
            ("POST", None) if request.parameter("uploads").is_some() => {
                held.count += 1;
                let id = held.count.to_string();
                let text =
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
                held.uploads.insert(id, BTreeMap::new());
                Answer::new("200 OK", text)
            }
            ("PUT", Some(id)) => {
                let number = request.parameter("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0);
                let Some(parts) = held.uploads.get_mut(&id) else { return Answer::missing("NoSuchUpload") };
                parts.insert(number, Body::from(received).len());
                Answer::tagged(number, Body::Bytes(Vec::new()))
            }
            ("GET", Some(id)) => {
                let Some(parts) = held.uploads.get(&id) else { return Answer::missing("NoSuchUpload") };
                Answer::new("200 OK", list(parts, request))
            }
            ("POST", Some(id)) => {
                let Some(parts) = held.uploads.remove(&id) else { return Answer::missing("NoSuchUpload") };
                held.objects.insert(path.clone(), Body::Pattern(parts.values().sum()));
                let text =
                    format!("<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>", etag(0));
                Answer::new("200 OK", text)
            }
            ("DELETE", Some(id)) if held.uploads.remove(&id).is_none() => Answer::missing("NoSuchUpload"),
            ("DELETE", Some(_)) => Answer::new("204 No Content", String::new()),
            ("DELETE", None) => {
                held.objects.remove(path);
                Answer::new("204 No Content", String::new())
            }
            ("PUT", None) => {
                held.objects.insert(path.clone(), received.into());
                Answer::tagged(0, Body::Bytes(Vec::new()))
            }
            ("GET" | "HEAD", None) => match held.objects.get(path) {
                Some(body) => Answer::tagged(0, body.clone()),
                None => Answer::missing("NoSuchKey"),
            },
            _ => Answer::new("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>".into()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All objects of the bucket whose names begin as is asked, in one page.
fn names(objects: &HashMap<String, Body>, request: &Request) -> String {
    let prefix = request.parameter("prefix").unwrap_or("").replace("%2F", "/");
    let begin = format!("{}/{prefix}", request.path);
    let bucket = request.path.len() + 1;
    let mut found: Vec<_> = objects.iter().filter(|(path, _)| path.starts_with(&begin)).collect();
    found.sort_by_key(|(path, _)| *path);
    let one = |(path, body): &(&String, &Body)| {
        let (key, size, tag) = (&path[bucket..], body.len(), etag(0));
        format!(
            "<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>{tag}</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let contents: String = found.iter().map(one).collect();
    let (name, count) = (request.path.trim_start_matches('/'), found.len());
    format!(
        "<ListBucketResult><Name>{name}</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount>\
         <MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    )
}

fn list(parts: &BTreeMap<u64, u64>, request: &Request) -> String {
    let after = request.parameter("part-number-marker").and_then(|n| n.parse().ok()).unwrap_or(0);
    let one = |(number, len): (&u64, &u64)| {
        let tag = etag(*number);
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><Size>{len}</Size></Part>")
    };
    let parts: String = parts.range(after + 1..).map(one).collect();
    format!("<ListPartsResult><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>")
}

/// Like that of an object which came in one part: whoever would hold content against its MD5 has none to believe in.
fn etag(number: u64) -> String {
    format!("\"{number:032x}-1\"")
}
