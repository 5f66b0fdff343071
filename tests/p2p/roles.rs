//! Roles in two repositories of different rights, by the real git and git-annex: those of today and of 2025, over HTTP and HTTPS.
//!
//! Every request by hand is in `users_annex`; here is what people do: clone, init, push, get, and drop with a lock on the server.

use std::path::PathBuf;

use testbed::annex::{Repo, content};
use testbed::nginx::certificate;
use testbed::run::Done;
use testbed::servers::older;

use crate::site::Site;

/// `pw1`, by crypt(3), at the lowest cost.
const PW1: &str = "$2b$04$abcdefghijklmnopqrstuu8HU3pu3uDNsZeZ4Putj36gAGMqThibC";

const RIGHTS: &str = "\
[rights]
alice full photos
alice readonly public/papers
bob readonly photos
bob full public/papers
robot appendonly photos
robot readonly public/papers
anonymous readonly public/
";

const PHOTOS: &str = "photos.git";
const PAPERS: &str = "public/papers.git";

struct World {
    site: Site,
    scheme: &'static str,
    /// Where another git-annex is.
    programs: Option<PathBuf>,
}

/// A clone, and the program that it is used with.
struct Client(Repo);

impl World {
    fn new(scheme: &'static str, programs: Option<PathBuf>) -> World {
        let mut site = Site { home: Repo::homeless(), ..Site::new() };
        [PHOTOS, PAPERS].iter().for_each(|name| site.make(name));
        let users = site.home.dir().join("users");
        let logins = ["alice", "bob", "robot"].map(|name| format!("{name}:{PW1}\n")).concat();
        std::fs::write(&users, logins + RIGHTS).expect("a file");
        let ((pem, key), users) = (certificate(), users.display().to_string());
        match scheme {
            "https" => site.start(&["--users", &users, "--certfile", &pem, "--privatekeyfile", &key]),
            _ => site.start(&["--users", &users, "--auth-http"]),
        }
        World { site, scheme, programs }
    }

    /// Who has this login, which git keeps, and nothing else.
    fn client(&self, login: &str) -> Client {
        let mut repo = Repo::homeless();
        if let Some(programs) = &self.programs {
            repo.set("PATH", format!("{}:{}", programs.display(), repo.get("PATH")));
        }
        let (home, authority) = (repo.get("HOME"), certificate().0);
        repo.set("GIT_TERMINAL_PROMPT", "0");
        repo.set("GIT_CONFIG_GLOBAL", format!("{home}/.gitconfig"));
        repo.set("GIT_SSL_CAINFO", &*authority);
        // The git-annex of 2025 knows no other way but the system's authorities.
        repo.set("SYSTEM_CERTIFICATE_PATH", authority);
        repo.git(&["config", "--global", "credential.helper", "store"]).ok();
        repo.git(&["config", "--global", "annex.security.allowed-ip-addresses", "127.0.0.1 ::1"]).ok();
        if !login.is_empty() {
            let kept = format!("{}://{login}@localhost:{}\n", self.scheme, self.site.server().port());
            std::fs::write(format!("{home}/.git-credentials"), kept).expect("a file");
        }
        Client(repo)
    }

    fn url(&self, name: &str) -> String {
        format!("{}://localhost:{}/{name}", self.scheme, self.site.server().port())
    }

    fn try_clone(&self, login: &str, name: &str) -> (Client, Done) {
        let client = self.client(login);
        let done = client.0.git(&["clone", "--quiet", &self.url(name), "."]);
        (client, done)
    }

    #[track_caller]
    fn clone(&self, login: &str, name: &str) -> Client {
        let (client, done) = self.try_clone(login, name);
        done.ok();
        client.annex(&["init", "--quiet", "a clone"]).ok();
        client
    }
}

impl Client {
    fn annex(&self, words: &[&str]) -> Done {
        self.0.git(&[&["annex"], words].concat())
    }

    /// Adds content under a name, and commits it.
    #[track_caller]
    fn add(&self, name: &str, seed: u64) {
        std::fs::write(self.0.dir().join(name), content(seed, 100_000)).expect("a file");
        self.annex(&["add", "--quiet", name]).ok();
        self.0.git(&["commit", "--quiet", "-m", name]).ok();
    }

    #[track_caller]
    fn has(&self, name: &str, seed: u64) {
        self.annex(&["get", "--quiet", name]).ok();
        assert_eq!(self.0.read(name), Some(content(seed, 100_000)));
    }
}

fn roles(scheme: &'static str, programs: Option<PathBuf>) {
    let world = World::new(scheme, programs);
    // Who is nobody here, and who says to be somebody else.
    world.try_clone("", PHOTOS).1.failed();
    world.try_clone("alice:wrong", PHOTOS).1.failed();
    world.try_clone("eve:pw1", PHOTOS).1.failed();
    let alice = world.clone("alice:pw1", PHOTOS);
    alice.add("one", 1);
    alice.annex(&["push"]).ok();
    // Who may read gets, and lets go of it while the server's copy is locked.
    let bob = world.clone("bob:pw1", PHOTOS);
    bob.has("one", 1);
    bob.annex(&["drop", "--quiet", "one"]).ok();
    bob.add("two", 2);
    bob.annex(&["push"]).failed();
    bob.annex(&["copy", "--quiet", "--to", "origin", "two"]).failed();
    bob.annex(&["drop", "--quiet", "--from", "origin", "--force", "one"]).failed();
    // Who may append stores and removes nothing.
    let robot = world.clone("robot:pw1", PHOTOS);
    robot.add("three", 3);
    robot.annex(&["push"]).ok();
    robot.annex(&["drop", "--quiet", "--from", "origin", "--force", "three"]).failed();
    robot.0.git(&["push", "--quiet", "--force", "origin", "main~1:main"]).failed();
    alice.annex(&["sync", "--quiet", "--no-content"]).ok();
    alice.has("three", 3);
    alice.annex(&["drop", "--quiet", "--from", "origin", "three"]).ok();
    robot.annex(&["drop", "--quiet", "three"]).failed();
    // In the other repository each is somebody else.
    let bob = world.clone("bob:pw1", PAPERS);
    bob.add("four", 4);
    bob.annex(&["push"]).ok();
    let reader = world.clone("", PAPERS);
    reader.has("four", 4);
    reader.annex(&["drop", "--quiet", "four"]).ok();
    reader.annex(&["drop", "--quiet", "--from", "origin", "--force", "four"]).failed();
    for login in ["", "alice:pw1", "robot:pw1", "alice:wrong"] {
        let (pusher, from) = (world.client(login), bob.0.dir().display().to_string());
        pusher.0.git(&["clone", "--quiet", "--no-checkout", &from, "."]).ok();
        pusher.0.git(&["push", "--quiet", &world.url(PAPERS), "HEAD:other"]).failed();
    }
    bob.annex(&["drop", "--quiet", "--from", "origin", "four"]).ok();
    let refs = world.site.git(PAPERS, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
    assert!(!refs.contains("other"), "{refs}");
    assert!(world.site.git(PHOTOS, &["fsck", "--strict", "--no-dangling"]).is_empty());
    let log = world.site.server().log();
    assert!(!log.contains("pw1") && !log.contains("panicked"), "{log}");
}

#[test]
fn roles_over_http() {
    roles("http", None);
}

#[test]
fn roles_over_https() {
    roles("https", None);
}

#[test]
fn roles_over_http_with_a_git_annex_of_2025() {
    roles("http", Some(older()));
}

#[test]
fn roles_over_https_with_a_git_annex_of_2025() {
    roles("https", Some(older()));
}
