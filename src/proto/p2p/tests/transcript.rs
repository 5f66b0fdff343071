//! The conversations in `testdata/p2p/`, and how they are held again. The format is told in its README.

use std::collections::BTreeMap;

use super::model::{Connection, NOW, Repository};
use crate::name::Key;
use crate::proto::p2p::Access;

/// One file of conversations, which follow each other in the same repository.
pub struct File {
    names: Vec<(String, String)>,
    pub have: Vec<(Key, Vec<u8>)>,
    pub sections: Vec<Section>,
}

/// One conversation. Names are replaced in its items.
pub struct Section {
    pub title: String,
    pub access: Access,
    pub items: Vec<String>,
}

impl File {
    pub fn parse(text: &str) -> Self {
        let mut file = Self { names: Vec::new(), have: Vec::new(), sections: Vec::new() };
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, file.sections.last_mut()) {
                ("" | "#", _) => {}
                ("==", _) => {
                    file.sections.push(Section { title: rest.to_string(), access: Access::Full, items: Vec::new() });
                }
                ("name", None) => {
                    let (name, value) = rest.split_once(' ').expect("name NAME VALUE");
                    file.names.push((format!("${name}"), value.to_string()));
                }
                ("have", None) => {
                    let (name, content) = rest.split_once(' ').expect("have NAME CONTENT");
                    let key = Key::parse(file.expand(&format!("${name}")).as_bytes()).expect("a key");
                    file.have.push((key, unquote(content)));
                }
                ("env", Some(section)) => section.access = access(rest, section.access),
                (_, Some(_)) => {
                    let item = file.expand(line);
                    file.sections.last_mut().expect("just seen").items.push(item);
                }
                _ => panic!("{line}"),
            }
        }
        assert!(!file.sections.is_empty());
        file
    }

    pub fn expand(&self, text: &str) -> String {
        let times = [("$now-5", NOW - 5), ("$now+100", NOW + 100)];
        let text = times.iter().fold(text.to_string(), |text, (name, time)| text.replace(name, &time.to_string()));
        self.names.iter().fold(text, |text, (name, value)| text.replace(name, value))
    }
}

fn access(setting: &str, before: Access) -> Access {
    match setting {
        "GIT_ANNEX_SHELL_READONLY=" => before,
        set if set.starts_with("GIT_ANNEX_SHELL_READONLY=") => Access::ReadOnly,
        "GIT_ANNEX_SHELL_APPENDONLY=1" if before == Access::ReadOnly => before,
        "GIT_ANNEX_SHELL_APPENDONLY=1" => Access::AppendOnly,
        other => panic!("{other}"),
    }
}

/// Puts `ours` in the place of the one run of items that are `theirs`; a `*` at the end of an item stands for anything.
pub fn replace(items: &mut Vec<String>, theirs: &[&str], ours: &[&str]) -> Option<()> {
    let same = |item: &String, pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => item.starts_with(start),
        None => item == pattern,
    };
    let at = items.windows(theirs.len()).position(|run| run.iter().zip(theirs).all(|(a, b)| same(a, b)))?;
    let run: Vec<String> = items.splice(at..at + theirs.len(), Vec::new()).collect();
    let filled = ours.iter().map(|item| match item.strip_suffix('*') {
        Some(start) => run.iter().find(|item| item.starts_with(start)).expect("an item to copy").clone(),
        None => (*item).to_string(),
    });
    let filled: Vec<String> = filled.collect();
    items.splice(at..at, filled);
    Some(())
}

/// Holds a conversation: what a client says and does is taken from `items`, all else is what came of it.
pub fn play(repository: &mut Repository, section: &Section, items: &[String], step: usize) -> Vec<String> {
    let mut connections: BTreeMap<&str, Connection> = BTreeMap::new();
    let mut current = "";
    let mut heard = Vec::new();
    let mut pending = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        if word == "conn" {
            current = rest;
            heard.push(item.clone());
        }
        let own = repository.own.clone();
        let connection = connections.entry(current).or_insert_with(|| Connection::new(&own, section.access));
        match word {
            ">" => pending.extend([unquote(rest), b"\n".to_vec()].concat()),
            ">>" => pending.extend(unquote(rest)),
            _ => {}
        }
        if matches!(word, ">" | ">>" | "setkey" | "close" | "kill" | "expire") {
            heard.push(item.clone());
        }
        // What a client says in one go is heard in one go.
        if word.starts_with('>') && items.get(at + 1).is_some_and(|next| next.starts_with('>')) {
            continue;
        }
        connection.hear(repository, &std::mem::take(&mut pending), step.min(1 << 20));
        match word {
            "setkey" | "expire" => {
                let (key, content) = rest.split_once(' ').unwrap_or((rest, ""));
                let key = Key::parse(key.as_bytes()).expect("a key");
                if word == "expire" {
                    repository.locks.remove(&key);
                } else {
                    repository.content.insert(key, unquote(content));
                }
            }
            "close" if connection.closed.is_none() => connection.eof(repository),
            _ => {}
        }
        heard.extend(connection.said.drain(..).map(|line| hide_time(&line)));
        if let Some(close) = connection.closed {
            if word == "close" {
                heard.push(format!("exit {}", close.status()));
            } else if !heard.iter().rev().take(1).any(|item| item == "gone") && word.starts_with('>') {
                heard.push("gone".to_string());
            }
        }
    }
    heard
}

fn hide_time(line: &str) -> String {
    if line.starts_with("< TIMESTAMP ") { "< TIMESTAMP *".to_string() } else { line.to_string() }
}

/// Bytes as a transcript shows them; runs of `x` by their length.
pub fn quote(bytes: &[u8]) -> String {
    if bytes.len() > 1000 && bytes.iter().all(|byte| *byte == b'x') {
        return format!("{}*x", bytes.len());
    }
    bytes.escape_ascii().to_string()
}

fn unquote(text: &str) -> Vec<u8> {
    if let Some(count) = text.strip_suffix("*x") {
        return vec![b'x'; count.parse().expect("a number")];
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'\\', [b'n', after @ ..]) => {
                bytes.push(b'\n');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}
