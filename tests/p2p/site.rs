//! A server of several repositories, git's and git-annex's requests to which are judged by who asks.

use std::path::{Path, PathBuf};

use testbed::annex::Repo;
use testbed::gateway::Gateway;

/// A server of repositories in a directory, with some users.
pub(crate) struct Site {
    pub(crate) root: tempfile::TempDir,
    pub(crate) home: Repo,
    pub(crate) server: Option<Gateway>,
}

impl Site {
    pub(crate) fn new() -> Site {
        let mut home = Repo::homeless();
        for name in ["alice", "bob", "robot"] {
            home.set(&format!("GIT_ANNEX_P2PHTTP_PASSWORD_{name}"), format!("pw of {name}"));
        }
        home.set("GIT_ANNEX_P2PHTTP_PERMISSIONS_bob", "readonly");
        home.set("GIT_ANNEX_P2PHTTP_PERMISSIONS_robot", "appendonly");
        Site { root: tempfile::tempdir().expect("a directory"), home, server: None }
    }

    /// The same without users.
    pub(crate) fn open(flags: &[&str]) -> Site {
        let mut site = Site { home: Repo::homeless(), ..Site::new() };
        site.make("photos.git");
        site.start(flags);
        site
    }

    /// Serves a new repository without a work tree, and perhaps others.
    pub(crate) fn serving(flags: &[&str]) -> Site {
        let mut site = Site::new();
        site.make("photos.git");
        site.start(flags);
        site
    }

    pub(crate) fn make(&self, name: &str) {
        let at = self.at(name).display().to_string();
        self.home.git(&["init", "--quiet", "--bare", "--initial-branch=main", &at]).ok();
        self.home.git(&["-C", &at, "annex", "init", "--quiet", "the server"]).ok();
    }

    #[track_caller]
    pub(crate) fn start(&mut self, flags: &[&str]) {
        let root = self.root.path().display().to_string();
        let mut command = Gateway::command(&self.home);
        command.args(["--git", "--bind", "127.0.0.1", "--port", "0", "--directory", &root]).args(flags);
        self.server = Some(Gateway::start(&mut command));
    }

    pub(crate) fn server(&self) -> &Gateway {
        self.server.as_ref().expect("it runs")
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `git WORDS` in a repository on the server.
    #[track_caller]
    pub(crate) fn git(&self, name: &str, words: &[&str]) -> String {
        let at = self.at(name).display().to_string();
        self.home.git(&[&["-C", &at], words].concat()).ok().stdout.trim().to_string()
    }

    /// Where `photos.git` on the server has the content of `key`.
    pub(crate) fn object_of(&self, key: &str) -> PathBuf {
        let hash = self.git("photos.git", &["annex", "examinekey", "--format", "${hashdirlower}", key]);
        self.at("photos.git/annex/objects").join(hash).join(key).join(key)
    }

    pub(crate) fn url(&self, user: &str, name: &str) -> String {
        let who = if user.is_empty() { String::new() } else { format!("{user}:pw%20of%20{user}@") };
        format!("http://{who}{}/{name}", self.server().address)
    }

    /// A clone by `user`, who has no other setting than the url.
    #[track_caller]
    pub(crate) fn clone(&self, user: &str, name: &str) -> Repo {
        self.clone_from(user, &self.url(user, name))
    }

    /// The same with a name and a password as a url has them.
    #[track_caller]
    pub(crate) fn clone_as(&self, login: &str, name: &str) -> Repo {
        self.clone_from(login, &format!("http://{login}@{}/{name}", self.server().address))
    }

    /// The same with the programs in `dir`, such as another git-annex. The password is kept by git, and does not stand in the url: the
    /// git-annex of 2025 sends `...` in its place.
    #[track_caller]
    pub(crate) fn clone_with(&self, dir: &Path, user: &str, name: &str) -> Repo {
        let mut clone = Repo::homeless();
        clone.set("PATH", format!("{}:{}", dir.display(), clone.get("PATH")));
        let credentials = format!("{}/.git-credentials", clone.get("HOME"));
        if !user.is_empty() {
            std::fs::write(credentials, self.url(user, "") + "\n").expect("a file");
        }
        self.set_up(clone, user, &self.url("", name))
    }

    #[track_caller]
    fn clone_from(&self, user: &str, url: &str) -> Repo {
        self.set_up(Repo::homeless(), user, url)
    }

    #[track_caller]
    fn set_up(&self, mut clone: Repo, user: &str, url: &str) -> Repo {
        clone.set("GIT_TERMINAL_PROMPT", "0");
        clone.set("GIT_CONFIG_GLOBAL", format!("{}/.gitconfig", clone.get("HOME")));
        clone.git(&["config", "--global", "credential.helper", "store"]).ok();
        // Only since these tests are on loopback.
        clone.git(&["config", "--global", "annex.security.allowed-ip-addresses", "127.0.0.1"]).ok();
        clone.git(&["clone", "--quiet", url, "."]).ok();
        clone.git(&["annex", "init", "--quiet", &format!("clone of {user}")]).ok();
        clone
    }
}

/// An Authorization header.
pub(crate) fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = format!("{user}:{password}").into_bytes();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    format!("Authorization: Basic {text}")
}
