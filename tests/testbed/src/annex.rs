//! A scratch git-annex repository, cut off from the user's own configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::place::{Place, Whose};
use super::product;
use super::run::{Done, run};
use servers::peers;

/// Longest any git-annex command of these tests may take.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A repository in a temporary directory with a HOME of its own.
pub struct Repo {
    root: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Repo {
    /// A new repository, initialised for git-annex.
    pub fn new() -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["init", "--quiet", "--initial-branch=main", "."]).ok();
        repo.settle("origin-of-test")
    }

    /// A clone of this one, with its own HOME and without its credentials.
    pub fn clone_of(other: &Repo) -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["clone", "--quiet", &other.dir().display().to_string(), "."]).ok();
        repo.settle("clone-of-test")
    }

    /// A clone of this one with these settings of git config, which git-annex finds when it begins there.
    pub fn clone_with(other: &Repo, settings: &[(&str, &str)], environment: impl FnOnce(&mut Repo)) -> Repo {
        let mut repo = Repo::bare_home();
        environment(&mut repo);
        repo.git(&["clone", "--quiet", &other.dir().display().to_string(), "."]).ok();
        for (name, value) in settings {
            repo.git(&["config", name, value]).ok();
        }
        repo.settle("clone-of-test")
    }

    /// A new repository without a work tree, initialised for git-annex.
    pub fn bare() -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]).ok();
        repo.settle("bare-of-test")
    }

    /// A new repository whose objects git names by SHA-256, with a work tree or without.
    pub fn sha256(bare: bool) -> Repo {
        let repo = Repo::bare_home();
        let words = ["init", "--quiet", "--initial-branch=main", "--object-format=sha256", ".", "--bare"];
        repo.git(&words[..words.len() - usize::from(!bare)]).ok();
        repo.settle("sha256-of-test")
    }

    /// A new repository without a work tree in which git-annex was never used.
    pub fn untouched() -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]).ok();
        repo
    }

    /// A new repository initialised with settings, `annex.tune.NAME=VALUE`, that hold for good.
    pub fn tuned(settings: &[&str]) -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["init", "--quiet", "--initial-branch=main", "."]).ok();
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let words: Vec<&str> = settings.chain(["annex", "init", "--quiet", "tuned-of-test"]).collect();
        repo.git(&words).ok();
        repo
    }

    /// A home, and no repository.
    pub fn homeless() -> Repo {
        Repo::bare_home()
    }

    /// A new repository that is `uuid`.
    pub fn with_uuid(uuid: &str) -> Repo {
        let repo = Repo::bare_home();
        repo.git(&["init", "--quiet", "--initial-branch=main", "."]).ok();
        repo.git(&["config", "annex.uuid", uuid]).ok();
        repo.settle("repo-of-test")
    }

    /// Its uuid.
    #[track_caller]
    pub fn uuid(&self) -> String {
        self.git(&["config", "annex.uuid"]).ok().stdout.trim().to_string()
    }

    /// The work tree.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// Set a variable for every later command in this repository.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.retain(|(have, _)| have != name);
        self.environment.push((name.to_string(), value.into()));
    }

    /// What a variable is set to for commands in this repository; empty where it is not set.
    pub fn get(&self, name: &str) -> String {
        self.environment.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// `git annex WORDS`, to its end.
    #[track_caller]
    pub fn annex(&self, words: &[&str]) -> Done {
        self.annex_within(words, LIMIT)
    }

    /// `git annex WORDS`, to its end, which may be as late as `limit`.
    #[track_caller]
    pub fn annex_within(&self, words: &[&str], limit: Duration) -> Done {
        run(&mut self.annex_command(words), limit)
    }

    /// `git annex WORDS` as a command not yet started.
    pub fn annex_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(&peers().join("git-annex"));
        command.args(words);
        command
    }

    /// `git WORDS`, to its end.
    #[track_caller]
    pub fn git(&self, words: &[&str]) -> Done {
        run(self.command(Path::new("git")).args(words), LIMIT)
    }

    /// Lets every later command reach `place`: over ssh it takes an `ssh` that knows the server.
    pub fn reach(&mut self, place: &Place) {
        if let Place::Sftp(server, ..) = place {
            let path = format!("{}:{}", server.ssh().display(), self.get("PATH"));
            self.set("PATH", path);
        }
    }

    /// `git annex initremote NAME` for `place`, unencrypted, with further options.
    #[track_caller]
    pub fn initremote(&self, name: &str, place: &Place, whose: Whose, more: &[&str]) -> Done {
        self.remote_command("initremote", name, place.options(whose), place, more)
    }

    /// `git annex enableremote NAME` with the credentials of `place`.
    #[track_caller]
    pub fn enableremote(&self, name: &str, place: &Place, more: &[&str]) -> Done {
        self.remote_command("enableremote", name, Vec::new(), place, more)
    }

    /// Has looked at the configuration that came in by a clone, which is inert until then; `shown` by `enableremote`.
    #[track_caller]
    pub fn verify(&self, name: &str, shown: &str) {
        let id = shown.split("--safe ").nth(1).and_then(|rest| rest.split_whitespace().next());
        self.annex(&["verifyremote", name, "--safe", id.expect("how to verify it")]).ok();
    }

    #[track_caller]
    fn remote_command(&self, verb: &str, name: &str, options: Vec<String>, place: &Place, more: &[&str]) -> Done {
        let mut command = self.annex_command(&[verb, name]);
        // A remote that is the same as another takes its encryption from there.
        let settled = |word: &&str| word.starts_with("encryption=") || word.starts_with("--sameas=");
        if verb == "initremote" && !more.iter().any(settled) {
            command.arg("encryption=none");
        }
        command.args(options).args(more).envs(place.environment());
        run(&mut command, LIMIT)
    }

    /// Add a file of `len` bytes drawn from `seed`, commit it, and return its key.
    #[track_caller]
    pub fn add(&self, name: &str, seed: u64, len: usize) -> String {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().expect("a file in the work tree")).expect("its directory");
        std::fs::write(path, content(seed, len)).expect("the file is written");
        self.annex(&["add", "--quiet", "--", name]).ok();
        self.annex(&["lookupkey", "--", name]).ok().stdout.trim_end_matches('\n').to_string()
    }

    /// The bytes of `name` in the work tree, or None when they are not here.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.dir().join(name)).ok()
    }

    /// All location logs of the git-annex branch: for each key and uuid, whether the content is there.
    #[track_caller]
    pub fn recorded(&self) -> BTreeMap<(String, String), bool> {
        let lines = self.git(&["grep", "-a", "", "git-annex", "--", "*--*.log"]).ok().stdout;
        let parse = |line: &str| {
            let (path, value) = line.split_once(".log:")?;
            let key = path.rsplit_once('/')?.1;
            let mut words = value.split(' ').skip(1);
            let (present, uuid) = (words.next()?, words.next()?);
            Some(((key.to_string(), uuid.to_string()), present == "1"))
        };
        lines.lines().filter_map(parse).collect()
    }

    /// A command in this repository and its environment.
    pub fn command(&self, program: &Path) -> Command {
        // By its whole path: a name that is looked up in a PATH of the child's own makes std fork, which copies the page tables of
        // a test process that has grown, each time.
        let mut command = Command::new(in_path(program, &self.get("PATH")).as_deref().unwrap_or(program));
        command.current_dir(self.dir()).env_clear().envs(self.environment.iter().cloned());
        command
    }

    fn bare_home() -> Repo {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in ["repo", "home"] {
            std::fs::create_dir(root.path().join(dir)).expect("a directory in it");
        }
        let mut path = vec![product().parent().expect("it is in a directory").to_path_buf(), peers()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(path).expect("no colon in these directories");
        let mut repo = Repo { environment: Vec::new(), root };
        repo.set("PATH", path.into_string().expect("PATH is text"));
        repo.set("HOME", repo.root.path().join("home").display().to_string());
        let magic = peers().with_file_name("magic.mgc");
        if magic.exists() {
            repo.set("MAGIC", magic.display().to_string());
        }
        for (name, value) in [
            ("LC_ALL", "C.UTF-8"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Tester"),
            ("GIT_AUTHOR_EMAIL", "tester@example.org"),
            ("GIT_COMMITTER_NAME", "Tester"),
            ("GIT_COMMITTER_EMAIL", "tester@example.org"),
            // Nobody looks at IMDS from a test, and a machine in a cloud must not lend its credentials.
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            repo.set(name, value);
        }
        // What the caller sets for the product reaches it through git-annex.
        for (name, value) in std::env::vars() {
            if name == "TMPDIR" || (name.starts_with("STREAM_") && !name.starts_with("STREAM_TEST_")) {
                repo.set(&name, value);
            }
        }
        repo
    }

    fn settle(self, description: &str) -> Repo {
        // S3 and WebDAV of the tests are on loopback, which git-annex's own types refuse unless told.
        self.git(&["config", "annex.security.allowed-ip-addresses", "127.0.0.1"]).ok();
        self.annex(&["init", "--quiet", description]).ok();
        self
    }
}

/// Where a program that is named without a directory is found.
fn in_path(program: &Path, path: &str) -> Option<PathBuf> {
    let is_name = program.components().count() == 1 && program.is_relative();
    let mut found = std::env::split_paths(path).filter(|_| is_name).map(|dir| dir.join(program));
    found.find(|file| file.is_file())
}

/// `len` bytes drawn from `seed`: the same for the same arguments, and incompressible.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64: fast also without optimisation, which is how tests are built.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
