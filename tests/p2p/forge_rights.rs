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

/// The recipe with the forge's calls replayed: the script of the page asks, and the server does as it says.
#[test]
fn users_of_a_forge_may_do_what_the_forge_says() {
    let table = std::fs::read_to_string(top().join("testdata/forge/forgejo.json")).expect("it is there");
    let rows: Vec<Value> = serde_json::from_str(&table).expect("JSON");
    let rows: Vec<Row> = rows.into_iter().map(Row).collect();
    let odd = Arc::default();
    let mut script = Command::new("python3");
    script.arg(top().join("docs/forge/auth.py")).arg(pretended(rows.clone(), Arc::clone(&odd))).arg("0");
    let mut script = Ended(script.stderr(Stdio::piped()).spawn().expect("python3 runs"));
    let mut line = String::new();
    let stderr = script.0.stderr.take().expect("a pipe");
    std::io::BufReader::new(stderr).read_line(&mut line).expect("it says where");
    let port = line.trim().rsplit(':').next().expect("a port");
    let mut site = Site { home: Repo::homeless(), ..Site::new() };
    let names: BTreeSet<&str> = rows.iter().map(|row| row.text("repository")).collect();
    names.iter().for_each(|name| site.make(&format!("{name}.git")));
    let url = format!("http://127.0.0.1:{port}/auth");
    site.start(&["--auth-url", &url, "--auth-http", "--auth-cache", "0", "--realm", "Gitea"]);
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
    assert_eq!(*odd.lock().expect("nobody panics"), ["/api/v1.git/info/refs?service=git-upload-pack"]);
}
