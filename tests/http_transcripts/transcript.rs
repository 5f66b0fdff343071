//! The files of `testdata/http/`; their README tells the format.

use std::path::PathBuf;

/// One request and its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    pub file: String,
    /// The section's flags, where this exchange begins one.
    pub flags: Option<String>,
    pub name: String,
    /// Head and body as they went over the wire, `$LOCKID` still in it.
    pub request: Vec<u8>,
    /// The client went away after the request.
    pub closed: bool,
    pub answer: Answer,
}

/// What is compared of an answer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Lower case names, sorted.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

pub fn all() -> Vec<Exchange> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/http");
    ["01-endpoints", "02-errors", "03-auth", "20-names"]
        .into_iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(directory.join(name).with_extension("txt")).expect("a transcript");
            read(name, &text)
        })
        .collect()
}

fn read(file: &str, text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let mut flags = None;
    for block in text.split("\n-- ") {
        let mut lines = block.lines();
        let name = lines.next().unwrap_or_default();
        // The first block, and the end of each block before a new server, name no exchange.
        let next_flags = block.lines().find_map(|line| line.strip_prefix("==")).map(|flags| flags.trim().to_owned());
        if !name.starts_with('#') {
            all.push(exchange(file, name, lines, flags.take()));
        }
        flags = next_flags.or(flags);
    }
    all
}

fn exchange<'a>(file: &str, name: &str, lines: impl Iterator<Item = &'a str>, flags: Option<String>) -> Exchange {
    let mut exchange = Exchange { file: file.to_owned(), name: name.to_owned(), flags, ..Exchange::default() };
    let (mut body, mut chunks) = (Vec::new(), Vec::new());
    for line in lines {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            ">" => exchange.request.extend_from_slice(format!("{rest}\r\n").as_bytes()),
            ">>" => body = bytes(rest),
            ">+" => {
                let chunk = bytes(rest);
                chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunks.extend_from_slice(&chunk);
                chunks.extend_from_slice(b"\r\n");
            }
            ">#" => exchange.closed = true,
            "<" => match rest.split_once(": ") {
                Some((name, value)) => exchange.answer.headers.push((name.to_lowercase(), value.to_owned())),
                None => exchange.answer.status = rest.parse().expect("a status"),
            },
            "<<" => exchange.answer.body = rest.to_owned(),
            _ => {}
        }
    }
    exchange.answer.headers.sort();
    exchange.request.extend_from_slice(b"\r\n");
    exchange.request.extend_from_slice(&body);
    if !chunks.is_empty() {
        exchange.request.extend_from_slice(&chunks);
        if !exchange.closed {
            exchange.request.extend_from_slice(b"0\r\n\r\n");
        }
    }
    exchange
}

fn bytes(escaped: &str) -> Vec<u8> {
    let mut parts = escaped.split("\\x");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).expect("two hex digits"));
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out
}

pub fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b' '..=b'~' if *byte != b'\\' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}
