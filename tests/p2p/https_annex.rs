//! One address over HTTPS: the real git and git-annex against ours, and behind nginx as docs/server.md says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use testbed::annex::{Repo, content};
use testbed::clients::write_program;
use testbed::gateway::Gateway;
use testbed::nginx::{Nginx, certificate};

use crate::site::Site;

/// The page whose recipes are followed.
const PAGE: &str = include_str!("../../docs/server.md");

/// A client who trusts the certificate, keeps passwords as git does, and is asked by a program that writes down each question.
struct Client {
    repo: Repo,
    asked: PathBuf,
}

impl Client {
    #[track_caller]
    fn clone(user: &str, password: &str, url: &str) -> Client {
        let mut repo = Repo::homeless();
        let home = PathBuf::from(repo.get("HOME"));
        let asked = home.join("asked");
        let script = format!(
            "#!/bin/sh\necho \"$1\" >>'{}'\ncase $1 in Username*) echo '{user}';; *) echo '{password}';; esac\n",
            asked.display()
        );
        write_program(&home.join("askpass"), &script);
        repo.set("GIT_ASKPASS", home.join("askpass").display().to_string());
        repo.set("GIT_TERMINAL_PROMPT", "0");
        repo.set("GIT_SSL_CAINFO", certificate().0);
        repo.set("GIT_CONFIG_GLOBAL", home.join(".gitconfig").display().to_string());
        repo.git(&["config", "--global", "credential.helper", "store"]).ok();
        repo.git(&["config", "--global", "annex.security.allowed-ip-addresses", "127.0.0.1 ::1"]).ok();
        repo.git(&["clone", "--quiet", url, "."]).ok();
        repo.annex(&["init", "--quiet", &format!("clone of {user}")]).ok();
        Client { repo, asked }
    }

    fn questions(&self) -> usize {
        std::fs::read_to_string(&self.asked).unwrap_or_default().lines().count()
    }
}

/// What one does with a repository: alice stores, bob reads, and nobody is asked twice.
fn all_of_it(url: &str) {
    let alice = Client::clone("alice", "pw of alice", url);
    let key = alice.repo.add("one", 1, 3_000_000);
    alice.repo.git(&["commit", "--quiet", "-m", "one"]).ok();
    alice.repo.annex(&["push"]).ok();
    let bob = Client::clone("bob", "pw of bob", url);
    bob.repo.annex(&["get", "--quiet", "one"]).ok();
    assert_eq!(bob.repo.read("one"), Some(content(1, 3_000_000)));
    bob.repo.add("two", 2, 1000);
    bob.repo.git(&["commit", "--quiet", "-m", "two"]).ok();
    bob.repo.annex(&["push"]).failed();
    // With a lock on the server, then without content on the client.
    bob.repo.annex(&["drop", "--quiet", "one"]).ok();
    alice.repo.annex(&["drop", "--quiet", "--from", "origin", "--key", &key, "--force"]).ok();
    bob.repo.annex(&["get", "--quiet", "one"]).failed();
    assert_eq!((alice.questions(), bob.questions()), (2, 2), "a name and a password, once");
}

#[test]
fn over_tls_git_and_git_annex_ask_once_for_a_password() {
    let mut site = Site::new();
    site.make("photos.git");
    let (pem, key) = certificate();
    site.start(&["--authenv", "--certfile", &pem, "--privatekeyfile", &key]);
    all_of_it(&format!("https://localhost:{}/photos.git", site.server().port()));
    let log = site.server().log();
    assert!(log.contains("op=push") && log.contains("lane=tls") && !log.contains("pw of"), "{log}");
}

/// Their places among the blocks for nginx on the page.
const ASKS: usize = 0;
const TLS: usize = 1;

/// A block for nginx.
fn recipe(number: usize) -> &'static str {
    let block = PAGE.split("```nginx\n").nth(number + 1).and_then(|rest| rest.split("```").next());
    block.expect("the page has the recipe")
}

/// What the recipe says, with the places of the test.
fn here(recipe: &str, site: &Site, more: &[(&str, String)]) -> String {
    let (pem, key) = certificate();
    let places = [
        ("/run/git-annex-p2phttp.sock", site.home.dir().join("socket").display().to_string()),
        ("/etc/ssl/annex.example.org.pem", pem),
        ("/etc/ssl/annex.example.org.key", key),
        ("listen 443 ssl", "listen PORT ssl".to_string()),
        ("annex.example.org", "localhost".to_string()),
    ];
    more.iter().chain(&places).fold(recipe.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the recipe: {text}");
        text.replace(from, to)
    })
}

/// Serves `site` on a socket, to nginx with these `servers`.
fn behind(site: &mut Site, servers: &str, flags: &[&str]) -> Option<Nginx> {
    let dir = site.home.dir().join("nginx");
    std::fs::create_dir(&dir).expect("a directory");
    let nginx = Nginx::start(&dir, servers)?;
    let (root, socket) = (site.root.path().display().to_string(), site.home.dir().join("socket").display().to_string());
    let mut command = Gateway::command(&site.home);
    let url = format!("https://localhost:{}", nginx.port);
    command.args(["--git", "--socket", &socket, "--directory", &root, "--public-url", &url]).args(flags);
    site.server = Some(Gateway::start(&mut command));
    Some(nginx)
}

#[test]
fn behind_nginx_as_the_page_says() {
    let mut site = Site::new();
    site.make("photos.git");
    let servers = here(recipe(TLS), &site, &[]);
    let Some(nginx) = behind(&mut site, &servers, &["--authenv-http"]) else { return };
    all_of_it(&format!("https://localhost:{}/photos.git", nginx.port));
    assert_eq!(nginx.kept(), 0, "nothing lies on nginx's disk");
    assert_eq!(nginx.said(), "");
}

/// nginx asks another server about each request, and tells ours who it is.
#[test]
fn nginx_with_auth_request_as_the_page_says() {
    let checks = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = checks.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in checks.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (mut text, mut buf) = (String::new(), [0; 4096]);
            while !text.contains("\r\n\r\n") {
                match stream.read(&mut buf) {
                    Ok(n) if n > 0 => text += &String::from_utf8_lossy(&buf[..n]),
                    _ => break,
                }
            }
            // `alice:pw of alice` and `bob:pw of bob`.
            let user = [("alice", "YWxpY2U6cHcgb2YgYWxpY2U="), ("bob", "Ym9iOnB3IG9mIGJvYg==")];
            let user = user.iter().find(|(_, login)| text.contains(&format!("Authorization: Basic {login}\r\n")));
            let answer = match user {
                Some((name, _)) => format!("HTTP/1.1 200 OK\r\nX-Forwarded-User: {name}\r\nContent-Length: 0\r\n\r\n"),
                None if text.contains("Authorization:") => {
                    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"
                        .into()
                }
                None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let mut site = Site { home: Repo::homeless(), ..Site::new() };
    site.make("photos.git");
    site.make("public/papers.git");
    let users = site.home.dir().join("users");
    let text = "[rights]\nalice full *\nbob readonly photos\nanonymous readonly public/\n";
    std::fs::write(&users, text).expect("a file");
    let servers = here(recipe(ASKS), &site, &[("127.0.0.1:3000", address)]);
    let users = users.display().to_string();
    let flags = ["--users", &users, "--auth-http", "--auth-header", "X-Remote-User", "--auth-from", "socket"];
    let Some(nginx) = behind(&mut site, &servers, &flags) else { return };
    let base = format!("https://localhost:{}", nginx.port);
    all_of_it(&format!("{base}/photos.git"));
    // Nobody is who he says he is, and a stranger may do what strangers may.
    let status = |words: &[&str]| {
        let mut curl = site.home.command(std::path::Path::new("curl"));
        curl.args(["--silent", "--cacert", &certificate().0, "--output", "/dev/null", "--write-out", "%{http_code}"]);
        testbed::run::run(curl.args(words), testbed::annex::LIMIT).ok().stdout
    };
    let (photos, papers) = (format!("{base}/photos.git/config"), format!("{base}/public/papers.git/config"));
    assert_eq!(status(&["--header", "X-Remote-User: alice", &photos]), "401");
    assert_eq!(status(&["--header", "X-Remote-User: alice", "--user", "bob:wrong", &photos]), "401");
    assert_eq!((status(&[&papers]), status(&["--user", "alice:pw of alice", &photos])), ("200".into(), "200".into()));
    let push = format!("{base}/photos.git/info/refs?service=git-receive-pack");
    assert_eq!(status(&["--user", "bob:pw of bob", &papers]), "200", "what anyone may");
    assert_eq!(status(&["--user", "bob:pw of bob", "--header", "X-Remote-User: alice", &push]), "403");
    let log = site.server().log();
    assert!(log.contains("user=alice") && !log.contains("pw of"), "{log}");
}
