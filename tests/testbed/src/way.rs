//! One request over either wire, and what its client would make of the answer.

use super::annex::Repo;
use super::gateway::Gateway;
use super::http::{Client, post_head};
use super::p2p::Session;
use super::product;
use super::wire::{CLIENT, length};

/// How a client gets to what is behind a gateway.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// By a server that runs.
    Http(&'a Gateway),
    /// By a process for each request, which waits for stores no longer than so many seconds.
    Stdio(&'a Repo, &'a str),
}

/// What a client learns.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, stored, removed.
    Yes,
    /// It is not.
    No,
    /// Content that looks whole.
    Content(Vec<u8>),
    /// Nothing, for this reason.
    Failed(String),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Yes => f.write_str("yes"),
            Outcome::No => f.write_str("no"),
            Outcome::Content(bytes) => write!(f, "{} bytes", bytes.len()),
            Outcome::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl Way<'_> {
    /// CHECKPRESENT.
    #[track_caller]
    pub fn check(self, uuid: &str, key: &str) -> Outcome {
        match self {
            Way::Http(_) => self.post(uuid, "checkpresent", key, None),
            Way::Stdio(..) => by_line::check(&mut self.session(uuid), key),
        }
    }

    /// REMOVE.
    #[track_caller]
    pub fn remove(self, uuid: &str, key: &str) -> Outcome {
        match self {
            Way::Http(_) => self.post(uuid, "remove", key, None),
            Way::Stdio(..) => by_line::remove(&mut self.session(uuid), key),
        }
    }

    /// What the server's clock says.
    #[track_caller]
    pub fn timestamp(self, uuid: &str) -> Option<u64> {
        match self {
            Way::Http(server) => {
                let path = format!("/git-annex/{uuid}/v4/gettimestamp?clientuuid={CLIENT}");
                let mut client = Client::try_connect(&server.address).ok()?;
                client.try_send(post_head(&path, &[], 0)).ok()?;
                let text = client.try_answer(false).ok()??.text();
                text.strip_prefix("{\"timestamp\":")?.trim_end().strip_suffix('}')?.parse().ok()
            }
            Way::Stdio(..) => by_line::timestamp(&mut self.session(uuid)),
        }
    }

    /// REMOVE-BEFORE.
    #[track_caller]
    pub fn remove_before(self, uuid: &str, key: &str, limit: u64) -> Outcome {
        match self {
            Way::Http(_) => self.post(uuid, &format!("remove-before?timestamp={limit}&"), key, None),
            Way::Stdio(..) => by_line::remove_before(&mut self.session(uuid), key, limit),
        }
    }

    /// PUT, from the start.
    #[track_caller]
    pub fn put(self, uuid: &str, key: &str, content: &[u8]) -> Outcome {
        if let Way::Http(_) = self {
            return self.post(uuid, "put", key, Some(content));
        }
        by_line::put(&mut self.session(uuid), key, content)
    }

    /// GET, whole.
    #[track_caller]
    pub fn get(self, uuid: &str, key: &str) -> Outcome {
        let Way::Http(server) = self else { return by_line::get(&mut self.session(uuid), key) };
        let mut client = match Client::try_connect(&server.address) {
            Ok(client) => client,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let path = format!("/git-annex/{uuid}/v4/key/{key}?clientuuid={CLIENT}");
        let _ = client.try_send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        match client.try_answer(false) {
            Ok(Some(answer)) if answer.status == 200 && answer.body.is_empty() => Outcome::No,
            Ok(Some(answer)) if answer.status == 200 => Outcome::Content(answer.body),
            Ok(Some(answer)) if answer.status == 404 => Outcome::No,
            Ok(Some(answer)) => Outcome::Failed(format!("{} {}", answer.status, answer.text())),
            Ok(None) => Outcome::Failed("the connection was closed".into()),
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }

    #[track_caller]
    fn session(self, uuid: &str) -> Session {
        let Way::Stdio(repo, timeout) = self else { panic!("a process for each request") };
        let mut command = repo.command(product());
        command.env("STREAM_TIMEOUT", timeout);
        Session::greeted(command, &repo.dir(), uuid)
    }

    #[track_caller]
    fn post(self, uuid: &str, op: &str, key: &str, content: Option<&[u8]>) -> Outcome {
        let Way::Http(server) = self else { panic!("a server") };
        let mut client = match Client::try_connect(&server.address) {
            Ok(client) => client,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let op = if op.contains('?') { op.to_string() } else { format!("{op}?") };
        let path = format!("/git-annex/{uuid}/v4/{op}clientuuid={CLIENT}&key={key}");
        let header = length(content.map_or(0, <[u8]>::len));
        let headers: &[&str] = if content.is_some() { &[&header] } else { &[] };
        let body = content.unwrap_or_default();
        // A server that has failed need not read on; what it answered counts.
        let _ = client.try_send(post_head(&path, headers, body.len() as u64));
        let _ = client.try_send(body);
        match client.try_answer(false) {
            Ok(Some(answer)) if answer.status == 200 => {
                let text = answer.text();
                let said = ["\"present\":", "\"stored\":", "\"removed\":"]
                    .iter()
                    .find_map(|name| Some(&text[text.find(name)? + name.len()..]));
                match said {
                    Some(rest) if rest.starts_with("true") => Outcome::Yes,
                    Some(rest) if rest.starts_with("false") => Outcome::No,
                    _ => panic!("{op} is answered with {text}"),
                }
            }
            Ok(Some(answer)) => Outcome::Failed(format!("{} {}", answer.status, answer.text())),
            Ok(None) => Outcome::Failed("the connection was closed".into()),
            Err(e) => Outcome::Failed(e.to_string()),
        }
    }
}

/// The same requests by lines, in a session that was greeted.
pub mod by_line {
    use super::{Outcome, Session};

    /// CHECKPRESENT.
    #[track_caller]
    pub fn check(session: &mut Session, key: &str) -> Outcome {
        verdict(session, &format!("CHECKPRESENT {key}\n"))
    }

    /// REMOVE.
    #[track_caller]
    pub fn remove(session: &mut Session, key: &str) -> Outcome {
        verdict(session, &format!("REMOVE {key}\n"))
    }

    /// GETTIMESTAMP.
    #[track_caller]
    pub fn timestamp(session: &mut Session) -> Option<u64> {
        session.send(b"GETTIMESTAMP\n");
        session.line()?.strip_prefix("TIMESTAMP ")?.parse().ok()
    }

    /// REMOVE-BEFORE.
    #[track_caller]
    pub fn remove_before(session: &mut Session, key: &str, limit: u64) -> Outcome {
        verdict(session, &format!("REMOVE-BEFORE {limit} {key}\n"))
    }

    /// PUT, of what is not there yet.
    #[track_caller]
    pub fn put(session: &mut Session, key: &str, content: &[u8]) -> Outcome {
        session.send(format!("PUT  {key}\n").as_bytes());
        let from: usize = match session.line() {
            Some(line) if line.starts_with("ALREADY-HAVE") => return Outcome::Yes,
            Some(line) if line.starts_with("PUT-FROM ") => line[9..].parse().expect("an offset"),
            other => return failed(other),
        };
        session.send(format!("DATA {}\n", content.len() - from).as_bytes());
        session.send(&content[from..]);
        verdict(session, "VALID\n")
    }

    /// GET, whole.
    #[track_caller]
    pub fn get(session: &mut Session, key: &str) -> Outcome {
        session.send(format!("GET 0  {key}\n").as_bytes());
        let len = match session.line() {
            Some(line) if line.starts_with("DATA ") => line[5..].parse::<usize>().expect("a length"),
            other => return failed(other),
        };
        let content = session.bytes(len);
        if content.len() < len {
            return Outcome::Failed(format!("{} of {len} bytes", content.len()));
        }
        match session.line().as_deref() {
            Some("VALID") => Outcome::Content(content),
            Some("INVALID") if len == 0 => Outcome::No,
            other => Outcome::Failed(format!("{other:?}")),
        }
    }

    #[track_caller]
    fn verdict(session: &mut Session, request: &str) -> Outcome {
        session.send(request.as_bytes());
        match session.line() {
            Some(line) if line.starts_with("SUCCESS") => Outcome::Yes,
            Some(line) if line.starts_with("FAILURE") => Outcome::No,
            other => failed(other),
        }
    }

    fn failed(line: Option<String>) -> Outcome {
        match line {
            Some(line) if line.starts_with("ERROR ") => Outcome::Failed(line),
            Some(line) => panic!("the server says {line:?}"),
            None => Outcome::Failed("the server left".into()),
        }
    }
}
