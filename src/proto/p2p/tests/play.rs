//! Recorded conversations held again with the server and the repository in memory.

use std::collections::BTreeMap;

use super::model::{Connection, NOW, Repository};
use crate::name::Key;
use crate::proto::p2p::Access;
use testbed::recorded::transcript::{Section, at_time, unquote};

/// Holds a conversation with one of `repositories`, which is the first where nothing is said: what a client says and does is
/// taken from `items`, all else is what came of it.
pub fn play(repositories: &mut [Repository], section: &Section, items: &[String], step: usize) -> Vec<String> {
    let access = access(section);
    let mut connections: BTreeMap<&str, (usize, Connection, bool)> = BTreeMap::new();
    let mut current = "";
    let mut heard = Vec::new();
    let mut pending = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
        if word == "conn" {
            current = rest;
            heard.push(item.clone());
            // The server speaks once it is run, where the transcript tells that.
            if items.get(at + 1).is_some_and(|next| next.starts_with("run ")) {
                continue;
            }
        }
        let run = rest.split_once(" --uuid ").filter(|_| word == "run").map(|(_, uuid)| uuid);
        let (of, connection, gone) = connections.entry(current).or_insert_with(|| {
            let wanted = run.or(section.to.as_deref()).map(str::as_bytes);
            let of = repositories.iter().position(|one| wanted.is_none_or(|wanted| one.own.as_bytes() == wanted));
            let of = of.expect("a repository of this uuid");
            (of, Connection::new(&repositories[of].own, access), false)
        });
        let repository = &mut repositories[*of];
        match word {
            ">" => pending.extend([unquote(&at_time(rest, NOW)), b"\n".to_vec()].concat()),
            ">>" => pending.extend(unquote(rest)),
            _ => {}
        }
        if matches!(word, ">" | ">>" | "run" | "setkey" | "close" | "kill" | "expire" | "unplug" | "plug") {
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
            "unplug" | "plug" => repository.away = word == "unplug",
            "close" if connection.closed.is_none() => connection.eof(repository),
            _ => {}
        }
        heard.extend(connection.said.drain(..).map(|line| hide_time(&line)));
        if let Some(close) = connection.closed {
            if word == "close" {
                heard.push(format!("exit {}", close.status()));
            } else if word.starts_with('>') && !std::mem::replace(gone, true) {
                heard.push("gone".to_string());
            }
        }
    }
    heard
}

fn hide_time(line: &str) -> String {
    let changing = ["< TIMESTAMP ", "< ERROR proxied special remote reports: "];
    changing.iter().find(|start| line.starts_with(**start)).map_or(line.to_string(), |start| format!("{start}*"))
}

/// What git-annex-shell makes of the environment.
fn access(section: &Section) -> Access {
    let set = |name: &str| section.environment.iter().any(|(have, value)| have == name && !value.is_empty());
    match (set("GIT_ANNEX_SHELL_READONLY"), set("GIT_ANNEX_SHELL_APPENDONLY")) {
        (true, _) => Access::ReadOnly,
        (false, true) => Access::AppendOnly,
        (false, false) => Access::Full,
    }
}
