//! The rights of a forge's users: its calls are replayed from a table, and the script of the page asks them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testbed::annex::Repo;
use testbed::servers::top;
use testbed::wire::CLIENT;

use crate::site::{Site, basic};

/// A program that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One row of `testdata/forge/forgejo.json`.
#[derive(Clone)]
struct Row(Value);

impl Row {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn authorization(&self) -> Option<String> {
        self.0["login"].as_str().map(|login| {
            let (user, password) = login.split_once(':').expect("NAME:PASSWORD");
            basic(user, password)
        })
    }

    /// What the forge answers to `path`; none where this is about another repository.
    fn answer(&self, path: &str) -> Option<String> {
        let repository = self.text("repository");
        let told = |status: &Value, json: &Value| {
            let status = status.as_u64().expect("a status");
            let (kind, body) = match (status, json) {
                (200, Value::Null) => ("application/x-git-upload-pack-advertisement", "0000".repeat(10_000)),
                (200, json) => ("application/json;charset=utf-8", json.to_string()),
                _ => ("text/plain", "Not Found".to_string()),
            };
            let more = if status == 401 { "WWW-Authenticate: Basic realm=\"Gitea\"\r\n" } else { "" };
            let more = if status == 307 { "Location: /api/v1/repositories/1\r\n" } else { more };
            format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let refs = |service: &str| format!("/{repository}.git/info/refs?service=git-{service}");
        match path {
            _ if path == refs("upload-pack") => Some(told(&self.0["fetch"], &Value::Null)),
            _ if path == refs("receive-pack") => Some(told(&self.0["push"], &Value::Null)),
            _ if path == format!("/api/v1/repos/{repository}") => Some(told(&self.0["api"]["status"], &self.0["api"])),
            _ => None,
        }
    }
}

/// What the forge answers, as its source has it: see `testdata/forge/README.md`.
fn pretended(rows: Vec<Row>, odd: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), rows) = (stream, rows.clone()) else { continue };
            let (mut text, mut buf) = (String::new(), [0; 4096]);
            while !text.ends_with("\r\n\r\n") {
                match stream.read(&mut buf) {
                    Ok(n) if n > 0 => text += &String::from_utf8_lossy(&buf[..n]),
                    _ => break,
                }
            }
            let path = text.split(' ').nth(1).unwrap_or_default();
            let login = text.lines().find(|line| line.starts_with("Authorization:")).map(str::to_string);
            let mut of_login = rows.iter().filter(|row| row.authorization() == login);
            let answer = match path {
                "/api/v1/user" => of_login.next().map(|row| {
                    let (status, body) = (&row.0["user"]["status"], row.0["user"].to_string());
                    let kind = "Content-Type: application/json";
                    format!("HTTP/1.1 {status} X\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }),
                path => of_login.find_map(|row| row.answer(path)),
            };
            if answer.is_none() {
                odd.lock().expect("nobody panics").push(path.to_string());
            }
            let lost = "HTTP/1.1 418 Not in the table\r\nContent-Length: 0\r\n\r\n".to_string();
            // It may have heard enough.
            let _ = stream.write_all(answer.unwrap_or(lost).as_bytes());
        }
    });
    url
}

/// The script of the page, which asks a pretended forge.
struct Asks {
    /// What `--auth-url` is.
    url: String,
    /// What the forge was asked that is not in the table.
    odd: Arc<Mutex<Vec<String>>>,
    _script: Ended,
}

impl Asks {
    fn start(rows: Vec<Row>) -> Asks {
        let odd = Arc::default();
        let mut script = Command::new("python3");
        script.arg(top().join("docs/forge/auth.py")).arg(pretended(rows, Arc::clone(&odd))).arg("0");
        let mut script = Ended(script.stderr(Stdio::piped()).spawn().expect("python3 runs"));
        let mut line = String::new();
        let stderr = script.0.stderr.take().expect("a pipe");
        std::io::BufReader::new(stderr).read_line(&mut line).expect("it says where");
        let port = line.trim().rsplit(':').next().expect("a port");
        Asks { url: format!("http://127.0.0.1:{port}/auth"), odd, _script: script }
    }

    /// Of repositories that are there at the start.
    fn site(&self, names: &[&str], cache: &str) -> Site {
        let mut site = Site { home: Repo::homeless(), ..Site::new() };
        names.iter().for_each(|name| site.make(&format!("{name}.git")));
        site.start(&["--auth-url", &self.url, "--auth-http", "--auth-cache", cache, "--realm", "Gitea"]);
        site
    }
}

fn table() -> Vec<Row> {
    let table = std::fs::read_to_string(top().join("testdata/forge/forgejo.json")).expect("it is there");
    let rows: Vec<Value> = serde_json::from_str(&table).expect("JSON");
    rows.into_iter().map(Row).collect()
}

/// The recipe with the forge's calls replayed: the script of the page asks, and the server does as it says.
#[test]
fn users_of_a_forge_may_do_what_the_forge_says() {
    let rows = table();
    let forge = Asks::start(rows.clone());
    let names: BTreeSet<&str> = rows.iter().map(|row| row.text("repository")).collect();
    let site = forge.site(&names.into_iter().collect::<Vec<_>>(), "0");
    for (n, row) in rows.iter().enumerate() {
        let name = row.text("repository");
        let uuid = site.git(&format!("{name}.git"), &["config", "annex.uuid"]);
        let login = row.authorization().map(|login| format!("{login}\r\n")).unwrap_or_default();
        for (action, op) in [("read", "checkpresent"), ("lock", "lockcontent"), ("store", "put"), ("remove", "remove")]
        {
            let path = format!("/{name}.git/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key=WORM-s0-m0--{n}");
            let length = testbed::wire::length(0);
            let mut client = site.server().connect();
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{login}{length}\r\nContent-Length: 0\r\n\r\n"));
            let answer = client.answer(false);
            let expected = row.0["expect"][action].as_u64().expect("a status");
            assert_eq!(u64::from(answer.status), expected, "{} {action}: {}", row.text("who"), answer.text());
            if answer.status == 401 {
                assert!(answer.header("www-authenticate").is_some_and(|said| said.contains("realm=\"Gitea\"")));
            }
        }
    }
    // Who it is, is what the forge says, and not what the client does.
    let log = site.server().log();
    assert!(log.contains("user=owner") && log.contains("user=writer") && !log.contains("user=eve"), "{log}");
    assert!(!log.contains("token-"), "{log}");
    // Nothing of what a client sends becomes another question to the forge.
    for name in
        ["org/private/../public", "org/private%3fx", "org/private%0d%0aX:%20y", "api/v1", "org", "org/private.wiki"]
    {
        let login = basic("owner", "pw");
        let head = format!("GET /{name}/git-annex/x/key/WORM-s0-m0--x HTTP/1.1\r\nHost: h\r\n{login}\r\n\r\n");
        let status = site.server().connect().ask(&head).status;
        assert!(matches!(status, 400 | 403 | 404 | 503), "{name}: {status}");
    }
    // Nor of what somebody else on the forge's computer asks the script.
    for name in ["../org", "org/..", "./private", "org/.git", "org/private/../../api"] {
        let address = forge.url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/auth")).expect("a url");
        let head = format!("GET /auth HTTP/1.1\r\nHost: h\r\nX-Repository: {name}\r\nX-Action: read\r\n\r\n");
        assert_eq!(testbed::http::Client::connect(address).ask(&head).status, 403, "{name}");
    }
    assert_eq!(*forge.odd.lock().expect("nobody panics"), ["/api/v1.git/info/refs?service=git-upload-pack"]);
}

/// The url that all repositories tell their clients has no name in it: `annex.url` on the page.
#[test]
fn a_repository_that_the_forge_has_just_made_is_found_by_its_uuid() {
    let forge = Asks::start(table());
    let site = forge.site(&["org/public"], "10");
    let ask = |uuid: &str, op: &str, login: &str| {
        let path = format!("/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key=WORM-s0-m0--x");
        let more = if op == "put" { testbed::wire::length(0) } else { "X-Nothing: 1".into() };
        let login = if login.is_empty() { String::new() } else { format!("{login}\r\n") };
        let mut client = site.server().connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{login}{more}\r\nContent-Length: 0\r\n\r\n"));
        client.answer(false).status
    };
    let owner = basic("owner", "pw");
    let known = site.git("org/public.git", &["config", "annex.uuid"]);
    testbed::gateway::eventually("it was searched", || ask(&known, "checkpresent", "") == 200);
    site.make("org/private.git");
    let uuid = site.git("org/private.git", &["config", "annex.uuid"]);
    assert_eq!(ask(&uuid, "checkpresent", ""), 401, "asked for a password by the forge, for this repository");
    assert_eq!(ask(&uuid, "put", &owner), 200);
    assert_eq!(ask(&uuid, "put", &basic("reader", "pw")), 403);
    assert_eq!(ask(CLIENT, "checkpresent", &owner), 403, "there is none of that uuid");
    // The forge moves it on its disk: its rights are those of where it is now.
    std::fs::rename(site.at("org/private.git"), site.at("org/archived.git")).expect("moved");
    assert_eq!((ask(&uuid, "checkpresent", &owner), ask(&uuid, "put", &owner)), (200, 403));
}

/// The forge's own limits see one address: that of the script.
#[test]
fn passwords_of_a_forge_are_guessed_no_faster_than_others() {
    let mut rows = table();
    let wrong = rows.iter().find(|row| row.text("who") == "a wrong password").expect("it is there").clone();
    rows.extend((0..40).map(|n| {
        let mut row = wrong.clone();
        row.0["login"] = Value::String(format!("owner:guess-{n}"));
        row
    }));
    let forge = Asks::start(rows);
    let site = forge.site(&["org/private"], "0");
    let ask = |user: &str, password: &str| {
        let head = format!("GET /org/private/config HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", basic(user, password));
        site.server().connect().ask(&head)
    };
    assert_eq!(ask("owner", "pw").status, 200);
    let statuses: Vec<u16> = (0..40).map(|n| ask("owner", &format!("guess-{n}")).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30, "{statuses:?}");
    assert_eq!(ask("owner", "guess-39").header("retry-after"), Some("60"));
    assert_eq!(ask("owner", "pw").status, 200, "what was right before is asked about");
    assert_eq!(ask("writer", "pw").status, 200, "and so are others");
}
