//! Initialising a git repository for git-annex where git-annex is not installed.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::write::write;
use super::{Config, OpenError, Repository, open_git};
use crate::annex::branch::{Branch, BranchError, Edit};
use crate::annex::fresh;
use crate::annex::git::config::CurrentConfig;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::log::{DIFFERENCE_LOG, Tunings, UUID_LOG};
use crate::name::Uuid;

/// The version that a new repository gets.
const VERSION: &str = "10";

/// Longest wait for somebody else who makes the same repository one of git-annex's.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a repository could not be made one of git-annex's. Shown on one line.
#[derive(Debug)]
pub enum SetupError {
    /// It cannot be opened, before or after.
    Open(OpenError),
    /// A file could not be used.
    Io(PathBuf, io::Error),
    /// git did not write its configuration: what it said.
    Config(PathBuf, String),
    /// It could not be recorded.
    Branch(BranchError),
    /// The branch that is there is tuned in a way that this program does not know.
    Tuned(PathBuf, Tunings),
}

impl Repository {
    /// Makes the repository at `path` one of git-annex's: a uuid of its own, recorded in the git-annex branch with a description
    /// as git-annex gives one, and the version. Where a git-annex branch was pushed there already, it is tuned as those
    /// that the branch tells of, as `git annex init` does it. One that has a uuid stays as it is.
    ///
    /// What only a work tree needs is left to git-annex there: hooks, and filters for unlocked files.
    ///
    /// # Errors
    ///
    /// It has no uuid then, and the next try begins anew.
    pub fn initialise(path: &Path) -> Result<Self, SetupError> {
        Self::initialise_as(path, &path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
    }

    /// The same of one that is to be at `shown` in the end.
    ///
    /// # Errors
    ///
    /// As those of [`initialise`](Self::initialise).
    pub fn initialise_as(path: &Path, shown: &Path) -> Result<Self, SetupError> {
        let safe = open_git(path).map_err(SetupError::Open)?;
        let git_dir = safe.to_thread_local().common_dir().to_path_buf();
        let git_dir = git_dir.canonicalize().unwrap_or(git_dir);
        let annex_dir = git_dir.join("annex");
        let stream = annex_dir.join("stream");
        fs::create_dir_all(&stream).map_err(|e| SetupError::Io(stream.clone(), e))?;
        // Two who push for the first time must be told of one uuid.
        let lock = stream.join("setup.lck");
        let _alone =
            LockFile::wait(&lock, LockKind::Exclusive, 0o666, PATIENCE).map_err(|e| SetupError::Io(lock, e))?;
        let safe = open_git(path).map_err(SetupError::Open)?;
        let config = Config::of(&safe.to_thread_local());
        if config.value("annex.uuid").is_some() {
            return Self::open(path).map_err(SetupError::Open);
        }
        let uuid = fresh::uuid().map_err(|e| SetupError::Io(annex_dir.clone(), e))?;
        let file = git_dir.join("config");
        let private = config.bool("annex.private") == Some(true);
        let branch = Branch::new(safe, annex_dir, Arc::new(CurrentConfig::new(config)));
        let tuned = branch.tunings_of_all().map_err(SetupError::Branch)?;
        let tunings = tuned.settings().ok_or_else(|| SetupError::Tuned(path.to_path_buf(), tuned.clone()))?;
        for setting in tunings {
            set(&file, setting, "true")?;
        }
        set(&file, "annex.version", VERSION)?;
        let mut edits = vec![line(UUID_LOG, &uuid, describe(shown).as_bytes())];
        if !tuned.is_empty() {
            edits.push(line(DIFFERENCE_LOG, &uuid, &tuned.to_value()));
        }
        if private {
            edits = edits.into_iter().map(Edit::private).collect();
        }
        branch.change(edits).map_err(SetupError::Branch)?;
        branch.commit("update").map_err(SetupError::Branch)?;
        // Last, so that whoever finds a uuid finds the rest too.
        set(&file, "annex.uuid", &uuid.to_string())?;
        Self::open(path).map_err(SetupError::Open)
    }
}

/// Adds what `uuid` says of itself to a log that does not know it yet.
fn line(file: &[u8], uuid: &Uuid, value: &[u8]) -> Edit {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let line = [uuid.as_bytes(), b" ", value, format!(" timestamp={now}s\n").as_bytes()].concat();
    Edit::new(file.to_vec(), move |log| Some([log, &line].concat()))
}

/// USER@HOST:PATH, on one line.
fn describe(path: &Path) -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = set("USER").or_else(|| set("LOGNAME"));
    let user = user.unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let below = set("HOME").and_then(|home| Some(format!("~/{}", path.strip_prefix(home).ok()?.display())));
    let path = below.unwrap_or_else(|| path.display().to_string());
    format!("{user}@{host}:{path}").chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

fn set(file: &Path, name: &str, value: &str) -> Result<(), SetupError> {
    write(file, &[name.as_ref(), value.as_ref()]).map_err(|why| SetupError::Config(file.to_path_buf(), why))
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "{error}"),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Config(path, why) => write!(f, "write {}: {why}", path.display()),
            Self::Branch(error) => write!(f, "{error}"),
            Self::Tuned(path, tunings) => write!(
                f,
                "{}: the git-annex branch that was pushed there is of repositories with {tunings}, which is not known here; run \
                 git annex init in it with a git-annex that knows it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SetupError {}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::tests::git;
    use super::*;

    fn bare(more: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        git(dir.path(), &[&["init", "--quiet", "--bare"], more].concat());
        dir
    }

    #[test]
    fn a_new_repository_gets_a_uuid_that_its_branch_knows() {
        for format in ["sha1", "sha256"] {
            let dir = bare(&[&format!("--object-format={format}")]);
            let made = Repository::initialise(dir.path()).unwrap_or_else(|e| panic!("{format}: {e}"));
            let uuid = made.uuid().to_string();
            assert_eq!(git(dir.path(), &["config", "annex.uuid"]), uuid);
            assert_eq!(git(dir.path(), &["config", "annex.version"]), "10");
            let log = git(dir.path(), &["show", "refs/heads/git-annex:uuid.log"]);
            assert!(
                log.starts_with(&format!("{uuid} ")) && log.contains(&format!(":{}", dir.path().display())),
                "{log}"
            );
            git(dir.path(), &["fsck", "--strict"]);
            let again = Repository::initialise(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(again.uuid(), made.uuid(), "it stays what it is");
        }
    }

    #[test]
    fn two_who_are_first_are_told_of_one_uuid() {
        let dir = bare(&[]);
        let made: Vec<Uuid> = std::thread::scope(|scope| {
            let make = || Repository::initialise(dir.path()).map(|made| made.uuid().clone());
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|it| it.join().expect("it ends").unwrap_or_else(|e| panic!("{e}"))).collect()
        });
        assert!(made.iter().all(|uuid| *uuid == made[0]), "{made:?}");
        assert_eq!(git(dir.path(), &["show", "refs/heads/git-annex:uuid.log"]).lines().count(), 1);
    }

    /// As git-annex does it: recorded.
    #[test]
    fn it_is_tuned_as_the_branch_that_was_pushed() {
        let dir = bare(&[]);
        let push = |log: &str| {
            let path = dir.path().join("log");
            fs::write(&path, log).expect("written");
            let blob = git(dir.path(), &["hash-object", "-w", path.to_str().expect("a path")]);
            let entry = dir.path().join("entry");
            fs::write(&entry, format!("100644 blob {blob}\tdifference.log\n")).expect("written");
            let mut mktree = Command::new("git");
            mktree.arg("mktree").current_dir(dir.path()).stdin(fs::File::open(&entry).expect("it is there"));
            let tree = String::from_utf8(mktree.output().expect("git runs").stdout).expect("an id");
            let commit = git(dir.path(), &["commit-tree", tree.trim(), "-m", "x"]);
            git(dir.path(), &["update-ref", "refs/heads/synced/git-annex", &commit]);
        };
        push("a fromList [Later] timestamp=1s\n");
        let refused = Repository::initialise(dir.path()).err().expect("it is refused").to_string();
        assert!(refused.contains("Later"), "{refused}");
        push("a fromList [ObjectHashLower,OneLevelBranchHash] timestamp=1s\n");
        let made = Repository::initialise(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(made.config_bool("annex.tune.branchhash1"), Some(true));
        assert_eq!(made.config_bool("annex.tune.objecthashlower"), Some(true));
        assert_eq!(made.config_bool("annex.tune.objecthash1"), None);
        let log = git(dir.path(), &["show", "refs/heads/git-annex:difference.log"]);
        assert!(log.contains(&format!("{} fromList [ObjectHashLower,OneLevelBranchHash]", made.uuid())), "{log}");
    }
}
