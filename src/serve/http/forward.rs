//! Asking another server who may do what: a forge, or whatever nginx's `auth_request` could ask.
//!
//! ```text
//! GET PATH HTTP/1.1                         -->  200, perhaps X-Forwarded-User: NAME    allowed
//! Authorization: as the client sent it           401                                    asks for a password
//! X-Original-Method, X-Original-URI              403                                    refused
//! X-Repository, X-Action                         anything else, or nothing in time      503: it could not be told
//! ```
//!
//! Nobody is let in by an answer that is not understood, nor by one that does not come.

use std::time::Duration;

use annex_types::percent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::remembered::Remembered;
use crate::gateway::Failure;
use crate::proto::http::access::Action;
use crate::proto::http::auth::Credentials;
use crate::proto::http::client::response;
use crate::serve::conn::link::within;

/// Longest wait for an answer, with all that is before it.
const LIMIT: Duration = Duration::from_secs(10);

/// Questions at a time; others wait, for no longer than [`LIMIT`].
const MOST: usize = 64;

/// Longest name of a user, in bytes.
const LONGEST_NAME: usize = 255;

/// Whom to ask, and for how long an answer is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardTo {
    /// `host` or `[address]`, and the port.
    host: String,
    port: u16,
    path: String,
    /// For how long an answer is remembered.
    keep: Duration,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may be done, by this user.
    Allowed(Option<Vec<u8>>),
    /// 401
    Authenticate,
    /// 403
    Forbidden,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) method: &'a str,
    pub(super) action: Action,
    /// What the repository is called.
    pub(super) name: &'a [u8],
}

/// A server that is asked.
pub(super) struct Forward {
    to: ForwardTo,
    key: [u8; 32],
    known: Remembered<Decision>,
    turns: Semaphore,
}

impl ForwardTo {
    /// Reads `http://HOST:PORT/PATH`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{url}: give the url of a server on this computer or in its network, such as http://127.0.0.1:3000/auth"
            )
        };
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, 80),
        };
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'@');
        if !plain(host) || !plain(path) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_string(), port, path: path.to_string(), keep: Duration::ZERO })
    }

    /// The same, whose answers are good for so long.
    #[must_use]
    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }
}

impl Forward {
    /// One to ask. Its cache is made with a key by chance.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub(super) fn new(to: ForwardTo) -> std::io::Result<Self> {
        let known = Remembered::new(to.keep);
        Ok(Self { to, key: remotes::sys::secret()?, known, turns: Semaphore::new(MOST) })
    }

    /// What the server says of a request, or said a moment ago.
    ///
    /// # Errors
    ///
    /// It could not be told.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Decision, Failure> {
        let key = self.key_of(&question);
        if let Some(decision) = self.known.get(&key) {
            return Ok(decision);
        }
        let answered = within(LIMIT, async {
            // It is never closed.
            let _turn = self.turns.acquire().await.map_err(std::io::Error::other)?;
            self.exchange(&question).await
        });
        let decision = answered
            .await
            .map_err(|e| Failure::busy(&format!("the server of --auth-url does not tell who may do this ({e})")))?;
        self.known.put(key, decision.clone());
        Ok(decision)
    }

    fn key_of(&self, question: &Question<'_>) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let credentials = question.credentials.map(Credentials::encode);
        let is_there: &[u8] = if credentials.is_some() { b"1" } else { b"0" };
        let parts = [is_there, credentials.as_deref().unwrap_or_default().as_bytes(), word(question.action).as_bytes()];
        for part in parts.into_iter().chain([question.name]) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    async fn exchange(&self, question: &Question<'_>) -> std::io::Result<Decision> {
        let ForwardTo { host, port, path, .. } = &self.to;
        let mut stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), *port)).await?;
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n");
        if let Some(credentials) = question.credentials {
            head += &format!("Authorization: Basic {}\r\n", credentials.encode());
        }
        let name = percent::encode(question.name, b"/");
        head += &format!("X-Original-Method: {}\r\nX-Original-URI: /{name}\r\n", question.method);
        head += &format!("X-Repository: {name}\r\nX-Action: {}\r\n\r\n", word(question.action));
        stream.write_all(head.as_bytes()).await?;
        let mut bytes = Vec::new();
        let head = loop {
            match response::parse(&bytes).map_err(|bad| std::io::Error::other(bad.0))? {
                Some((head, _)) if head.status >= 200 => break head,
                Some((_, len)) => drop(bytes.drain(..len)),
                None => {
                    let mut buf = [0; 4096];
                    let n = stream.read(&mut buf).await?;
                    if n == 0 {
                        return Err(std::io::Error::other("it closed the connection without an answer"));
                    }
                    bytes.extend_from_slice(&buf[..n]);
                }
            }
        };
        match head.status {
            200 | 204 => match head.user {
                Some(name) if !is_name(&name) => Err(std::io::Error::other("it names a user whom nobody can be")),
                user => Ok(Decision::Allowed(user)),
            },
            401 => Ok(Decision::Authenticate),
            403 => Ok(Decision::Forbidden),
            status => Err(std::io::Error::other(format!("it answers {status}"))),
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.iter().any(|byte| byte.is_ascii_control() || *byte == b':')
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Lock => "lock",
        Action::Store => "store",
        Action::Remove => "remove",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one to each connection, and tells what it was asked.
    fn server(answers: Vec<&'static str>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut bytes = Vec::new();
                let mut buf = [0; 1024];
                while !bytes.ends_with(b"\r\n\r\n") {
                    let n = stream.read(&mut buf).expect("a request");
                    assert!(n > 0, "a whole request");
                    bytes.extend_from_slice(&buf[..n]);
                }
                asked.push(String::from_utf8(bytes).expect("text"));
                let _ = stream.write_all(answer.as_bytes());
            }
            asked
        });
        (port, asked)
    }

    fn forward(port: u16, keep: u64) -> Forward {
        let to = ForwardTo::parse(&format!("http://127.0.0.1:{port}/auth?x=1")).expect("a url");
        Forward::new(to.keeping(Duration::from_secs(keep))).expect("made")
    }

    fn question<'a>(credentials: Option<&'a Credentials>, action: Action) -> Question<'a> {
        Question { credentials, method: "POST", action, name: b"org/my photos.git" }
    }

    #[tokio::test]
    async fn answers_are_believed_only_where_they_are_clear() {
        let alice = |text: &str| Some(Decision::Allowed(Some(text.as_bytes().to_vec())));
        let table = vec![
            ("HTTP/1.1 200 OK\r\nX-Forwarded-User: alice\r\nContent-Length: 0\r\n\r\n", alice("alice")),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some(Decision::Allowed(None))),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nhello",
                Some(Decision::Authenticate),
            ),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Some(Decision::Forbidden)),
            ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", None),
            ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nX-Forwarded-User: a:b\r\nContent-Length: 0\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nX-Forwarded-User: a\r\nX-Forwarded-User: b\r\nContent-Length: 0\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Le", None),
            ("nonsense\r\n\r\n", None),
            ("", None),
        ];
        let (port, asked) = server(table.iter().map(|(answer, _)| *answer).collect());
        let forward = forward(port, 0);
        let credentials = Credentials::parse(b"Basic YWxpY2U6cHcx").expect("right");
        for (answer, expected) in table {
            let got = forward.ask(question(Some(&credentials), Action::Store)).await;
            assert_eq!(got.as_ref().ok(), expected.as_ref(), "{answer:?}: {got:?}");
            assert!(got.is_ok() || got.is_err_and(|e| e.to_string().contains("--auth-url")));
        }
        let asked = asked.join().expect("it ends");
        let first = &asked[0];
        for line in [
            "GET /auth?x=1 HTTP/1.1\r\n",
            "Authorization: Basic YWxpY2U6cHcx\r\n",
            "X-Original-Method: POST\r\n",
            "X-Repository: org/my%20photos.git\r\n",
            "X-Action: store\r\n",
        ] {
            assert!(first.contains(line), "{first}");
        }
        // Nobody listens any more.
        assert!(forward.ask(question(None, Action::Read)).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_is_remembered_for_who_asked_and_for_what() {
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        let (port, asked) = server(vec![yes, no, no]);
        let forward = forward(port, 60);
        let credentials = Credentials::parse(b"Basic YWxpY2U6cHcx").expect("right");
        for _ in 0..3 {
            let got = forward.ask(question(Some(&credentials), Action::Read)).await.expect("told");
            assert_eq!(got, Decision::Allowed(None));
            assert_eq!(forward.ask(question(None, Action::Read)).await.expect("told"), Decision::Forbidden);
            let got = forward.ask(question(Some(&credentials), Action::Remove)).await.expect("told");
            assert_eq!(got, Decision::Forbidden);
        }
        assert_eq!(asked.join().expect("it ends").len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stalls_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let forward = forward(listener.local_addr().expect("an address").port(), 0);
        let failure = forward.ask(question(None, Action::Read)).await.expect_err("nobody answers");
        assert!(failure.to_string().contains("--auth-url"), "{failure}");
    }

    #[test]
    fn urls_are_those_of_servers_nearby() {
        for url in ["http://127.0.0.1:3000/auth", "http://forge", "http://[::1]:8/x", "http://[::1]/x"] {
            assert!(ForwardTo::parse(url).is_ok(), "{url}");
        }
        for url in [
            "https://forge/",
            "forge",
            "http://",
            "http://u@forge/",
            "http://forge:x/",
            "http://forge/ x",
            "http://forge/\r\n",
        ] {
            assert!(ForwardTo::parse(url).is_err(), "{url}");
        }
    }
}
