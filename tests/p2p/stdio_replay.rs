//! Recorded conversations over stdio held again with the program itself.

use std::collections::BTreeMap;
use std::process::Command;

use testbed::annex::Repo;
use testbed::p2p::{Host, Session};
use testbed::recorded::transcript::{Section, at_time, quote, unquote};

/// What a special remote says of itself follows, and is not git-annex's.
const REPORTS: &str = "ERROR proxied special remote reports: ";

/// Where conversations are held.
pub struct Stage<'a> {
    pub repo: &'a Repo,
    /// Where commands of clients are run.
    pub host: &'a Host,
    /// Who is asked for, where a conversation does not say it.
    pub uuid: &'a str,
    /// Does what happens beside the conversation with this uuid: the word, and what follows it.
    pub outside: &'a dyn Fn(&str, &str, &str),
}

/// The product as a command in the environment of `repo`.
pub fn product(repo: &Repo) -> Command {
    repo.command(testbed::product())
}

impl Stage<'_> {
    /// Holds the conversation, of which `step` bytes are written at a time.
    pub fn hold(&self, section: &Section, items: &[String], step: usize) {
        let Stage { repo, host, .. } = *self;
        let uuid = section.to.as_deref().unwrap_or(self.uuid);
        let mut sessions: BTreeMap<&str, Session> = BTreeMap::new();
        let mut current = "";
        let (mut pending, mut due, mut now) = (Vec::new(), 0, 0);
        let title = &section.title;
        for (at, item) in items.iter().enumerate() {
            let (word, rest) = item.split_once(' ').unwrap_or((item, ""));
            let next_is = |start: &str| items.get(at + 1).is_some_and(|next| next.starts_with(start));
            if word == "conn" {
                current = rest;
                if next_is("run ") {
                    continue;
                }
            }
            if word == "run" {
                let line = rest.replace("$dir", &repo.dir().display().to_string());
                let started = sessions.insert(current, Session::of(host.command(repo, &line)));
                assert!(started.is_none(), "{title}: two servers on one connection");
            }
            let session = sessions.entry(current).or_insert_with(|| {
                let mut command = product(repo);
                command.envs(section.environment.iter().map(|(name, value)| (name, value)));
                Session::start(command, &repo.dir(), uuid)
            });
            match word {
                ">" => pending.extend([unquote(&at_time(rest, now)), b"\n".to_vec()].concat()),
                ">>" => pending.extend(unquote(rest)),
                "<" => {
                    let line = session.line();
                    let line = line.unwrap_or_else(|| panic!("{title}: the server left instead of saying {rest}"));
                    if let Some(time) = line.strip_prefix("TIMESTAMP ") {
                        now = time.parse().expect("a time");
                        assert_eq!("TIMESTAMP *", rest, "{title}, item {at}");
                    } else if rest.starts_with(REPORTS) {
                        assert!(line.starts_with(REPORTS), "{title}, item {at}: {line}");
                    } else {
                        assert_eq!(line, rest, "{title}, item {at}");
                    }
                    due = rest.strip_prefix("DATA ").map_or(0, |len| len.parse().expect("a length"));
                }
                "<<" => {
                    let payload = session.bytes(due);
                    assert!(payload == unquote(rest), "{title}, item {at}: {}", quote(&payload));
                }
                "gone" => assert_eq!(session.line(), None, "{title}: the server stayed"),
                "close" => session.close(),
                "exit" => {
                    assert_eq!(session.line(), None, "{title}: more than was to be said");
                    assert_eq!(session.ended().code(), rest.parse().ok(), "{title}: exit status");
                }
                "kill" => session.kill(),
                "setkey" | "here" | "annex" | "expire" | "unplug" | "plug" => (self.outside)(uuid, word, rest),
                _ => assert!(["conn", "run"].contains(&word), "{title}: {word}"),
            }
            // What a client says in one go is sent in one go.
            if !next_is(">") {
                std::mem::take(&mut pending).chunks(step).for_each(|piece| session.send(piece));
            }
        }
    }
}
