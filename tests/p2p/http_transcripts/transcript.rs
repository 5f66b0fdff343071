//! The files of `testdata/http/`; their README tells the format.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// One request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    pub file: String,
    /// The section's flags, where this exchange begins one.
    pub flags: Option<String>,
    /// What the repository got before, of a put that was broken off: the key, and its first bytes.
    pub partial: Option<(String, Vec<u8>)>,
    pub name: String,
    /// The head, where `$LOCKID` and the like stand for what the server told.
    pub head: String,
    /// All after the head, as it went over the wire.
    pub body: Vec<u8>,
    /// The client went away after the request.
    pub closed: bool,
    pub answer: Answer,
    /// What was recorded in the repository, and when after the answer.
    pub observed: Vec<(String, String)>,
}

/// What is compared of an answer. The status is 0 where none came.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Lower case names, sorted.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What the server told that later requests repeat.
#[derive(Debug, Default)]
pub struct Told {
    pub locks: Vec<String>,
    pub now: u64,
}

impl Exchange {
    /// The request as it goes over the wire.
    pub fn request(&self, told: &Told) -> Vec<u8> {
        let mut head = self.head.replace("$LOCKID", told.locks.last().map_or("none", String::as_str));
        for (at, lock) in told.locks.iter().enumerate().rev() {
            head = head.replace(&format!("$LOCK{}", at + 1), lock);
        }
        if let Some((before, after)) = head.clone().split_once("$NOW+") {
            let (seconds, after) = after.split_once(' ').expect("the rest of the line");
            head = format!("{before}{} {after}", told.now + seconds.parse::<u64>().expect("seconds"));
        }
        [head.as_bytes(), &self.body].concat()
    }
}

/// The exchanges of all files.
pub fn all() -> Vec<Exchange> {
    let clients = ["11-client-origin", "12-client-jobs", "13-client-big", "15-client-locks", "16-client-testremote"];
    let names = ["01-endpoints", "02-errors", "03-auth"].into_iter().chain(clients);
    names.chain(["18-client-login", "19-journal", "20-names"]).flat_map(of_file).collect()
}

/// The exchanges of the files with remotes behind the repository.
pub fn proxied() -> Vec<Exchange> {
    let scripts = ["31-proxied-special", "32-proxied-git"];
    scripts.into_iter().chain(["33-proxied-client-special", "34-proxied-client-git"]).flat_map(of_file).collect()
}

fn of_file(name: &str) -> Vec<Exchange> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/http");
    read(name, &std::fs::read_to_string(directory.join(name).with_extension("txt")).expect("a transcript"))
}

fn read(file: &str, text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let (mut flags, mut partial) = (None, None);
    let payloads = Payloads::of(text);
    for block in text.split("\n-- ") {
        let mut lines = block.lines();
        let name = lines.next().unwrap_or_default();
        // The first block, and the end of each block before a new server, name no exchange.
        let next_flags = block.lines().find_map(|line| line.strip_prefix("==")).map(|flags| flags.trim().to_owned());
        if !name.starts_with('#') {
            let exchange = exchange(&payloads, lines);
            let (flags, partial) = (flags.take(), partial.take());
            all.push(Exchange { file: file.to_owned(), name: name.to_owned(), flags, partial, ..exchange });
        }
        flags = next_flags.or(flags);
        let next_partial = block.lines().find_map(|line| line.strip_prefix("=+ ")?.split_once(' '));
        partial = next_partial.map(|(key, text)| (key.to_owned(), payloads.bytes(text))).or(partial);
    }
    all
}

fn exchange<'a>(payloads: &Payloads, lines: impl Iterator<Item = &'a str>) -> Exchange {
    let mut exchange = Exchange::default();
    let mut chunks = Vec::new();
    for line in lines {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            ">" => exchange.head.push_str(&format!("{rest}\r\n")),
            ">>" => exchange.body = payloads.bytes(rest),
            ">+" => {
                let chunk = payloads.bytes(rest);
                chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunks.extend_from_slice(&chunk);
                chunks.extend_from_slice(b"\r\n");
            }
            ">#" => exchange.closed = true,
            "<" => match rest.split_once(": ") {
                Some((name, value)) => exchange.answer.headers.push((name.to_lowercase(), value.to_owned())),
                None if rest == "hangs" => {}
                None => exchange.answer.status = rest.parse().expect("a status"),
            },
            "<<" if rest.starts_with('$') => exchange.answer.body = escaped(&payloads.bytes(rest)),
            "<<" => exchange.answer.body = rest.to_owned(),
            "=?" => {
                let (when, state) = rest.split_once(": ").expect("when, and what");
                exchange.observed.push((when.to_owned(), state.to_owned()));
            }
            _ => {}
        }
    }
    exchange.answer.headers.sort();
    exchange.head.push_str("\r\n");
    if !chunks.is_empty() {
        exchange.body.extend_from_slice(&chunks);
        if !exchange.closed {
            exchange.body.extend_from_slice(b"0\r\n\r\n");
        }
    }
    exchange
}

/// What a file tells once and names then.
struct Payloads(Vec<(String, Vec<u8>)>);

impl Payloads {
    fn of(text: &str) -> Self {
        let data = text.lines().filter_map(|line| line.strip_prefix("data ")?.split_once(' '));
        let decoded = |text: &str| BASE64_STANDARD.decode(text).expect("base64");
        let mut all: Vec<_> = data.map(|(name, text)| (name.to_owned(), decoded(text))).collect();
        if text.contains(" $lines+") {
            all.push(("lines".to_owned(), (0..375_000).flat_map(|n| format!("{n:07}\n").into_bytes()).collect()));
        }
        Self(all)
    }

    fn bytes(&self, escaped: &str) -> Vec<u8> {
        if let Some(part) = escaped.strip_prefix('$') {
            let mut words = part.split('+');
            let name = words.next().expect("a name");
            let mut number = || words.next().and_then(|word| word.parse::<usize>().ok()).expect("$NAME+FROM+LEN");
            let (from, len) = (number(), number());
            let (_, data) = self.0.iter().find(|(have, _)| have == name).expect("data of this name");
            return data[from..from + len].to_vec();
        }
        let mut parts = escaped.split("\\x");
        let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            out.push(u8::from_str_radix(&part[..2], 16).expect("two hex digits"));
            out.extend_from_slice(&part.as_bytes()[2..]);
        }
        out
    }
}

/// Bytes as the transcripts show them.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
