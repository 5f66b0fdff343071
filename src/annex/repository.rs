//! A git-annex repository on this machine: where its parts are, who it is, and how it is configured.

mod attributes;
mod content;
pub mod settings;
mod setup;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use attributes::Attributes;
pub use setup::SetupError;

pub use super::git::config::Config;

use super::branch::Branch;
use super::content::ContentConfig;
use super::git::config::CurrentConfig;
use super::git::error::one_line;
use super::git::open::{MOST_UNPACKED, options};
use crate::name::Uuid;

/// An open repository. All of it may be used from any thread.
pub struct Repository {
    path: PathBuf,
    git_dir: PathBuf,
    annex_dir: PathBuf,
    work_tree: Option<PathBuf>,
    uuid: Uuid,
    config: Arc<CurrentConfig>,
    branch: Branch,
}

/// Why a directory cannot be served. Shown on one line, with the way out.
#[derive(Debug)]
pub enum OpenError {
    /// There is no git repository there, or not one that can be read.
    NotARepository(PathBuf, String),
    /// It belongs to another user, and git's `safe.directory` does not allow it.
    NotOurs(PathBuf, String),
    /// git-annex was never set up in it.
    NoUuid(PathBuf),
    /// Its `annex.version` is not one of [`Repository::VERSIONS`].
    Version(PathBuf, Vec<u8>),
    /// Its git-annex branch has the logs of keys where `annex.tune.branchhash1` puts them, and git config does not say so: what
    /// would be recorded, nobody would find.
    Tuned(PathBuf),
    /// `annex.pidlock` is set: git-annex then guards nothing with the lock files we would take.
    PidLock(PathBuf),
}

impl Repository {
    /// The versions of repositories that are served.
    pub const VERSIONS: std::ops::RangeInclusive<u32> = 8..=10;

    /// Opens the repository at `path`: a work tree, a linked one or a submodule's, a bare repository, a `.git` directory, or
    /// any of them without its `.git` ending. Its parents are not searched.
    ///
    /// As git does, refuses one of another user, unless `safe.directory` of the user's or system's configuration names
    /// it.
    ///
    /// # Errors
    ///
    /// [`OpenError`], each with the path, what was found, and what to do.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let safe = open_git(path)?;
        let git = safe.to_thread_local();
        let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let config = Config::of(&git);
        if config.bool("annex.pidlock") == Some(true) {
            return Err(OpenError::PidLock(path.to_path_buf()));
        }
        let uuid = config.value("annex.uuid").and_then(|uuid| Uuid::parse(&uuid).ok());
        let uuid = uuid.ok_or_else(|| OpenError::NoUuid(path.to_path_buf()))?;
        let version = config.value("annex.version").unwrap_or_default();
        let number = std::str::from_utf8(&version).ok().and_then(|text| text.parse().ok());
        if !number.is_some_and(|number| Self::VERSIONS.contains(&number)) {
            return Err(OpenError::Version(path.to_path_buf(), version));
        }
        let git_dir = absolute(git.common_dir());
        let annex_dir = git_dir.join("annex");
        let work_tree = git.workdir().map(absolute);
        let config = Arc::new(CurrentConfig::new(config));
        let branch = Branch::new(safe, annex_dir.clone(), Arc::clone(&config));
        // What cannot be read now is told of by whoever needs it.
        let moves_logs = branch.recorded_tunings().is_ok_and(|recorded| recorded.moves_logs());
        if moves_logs && !branch.tunings().moves_logs() {
            return Err(OpenError::Tuned(path.to_path_buf()));
        }
        Ok(Self { path: path.to_path_buf(), git_dir, annex_dir, work_tree, uuid, config, branch })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that holds objects, branches and `annex/`: in a linked work tree that of the main one.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The `annex` directory in the git directory.
    pub fn annex_dir(&self) -> &Path {
        &self.annex_dir
    }

    /// Where git-annex keeps its databases, with their locks: a directory named by the uuid in `annex.dbdir`, else the `annex`
    /// directory. A relative path is one from the top of the work tree, or from the git directory where there is none.
    /// Source: recorded.
    pub fn db_dir(&self) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        let Some(set) = self.config("annex.dbdir").filter(|set| !set.is_empty()) else { return self.annex_dir.clone() };
        let dir = self.work_tree().unwrap_or(&self.git_dir).join(std::ffi::OsString::from_vec(set));
        // A uuid is no path: git-annex itself would not work in a repository whose uuid is one.
        dir.join(std::ffi::OsString::from_vec(self.uuid.as_bytes().to_vec()))
    }

    /// Where hooks are looked for: `core.hooksPath`, else `hooks` in the git directory.
    pub fn hooks_dir(&self) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        let Some(set) = self.config("core.hooksPath") else { return self.git_dir.join("hooks") };
        if let Some(below_home) = set.strip_prefix(b"~/")
            && let Some(home) = std::env::var_os("HOME")
        {
            return Path::new(&home).join(std::ffi::OsString::from_vec(below_home.to_vec()));
        }
        // git runs hooks in the work tree, and in the git directory where there is none.
        self.work_tree().unwrap_or(&self.git_dir).join(std::ffi::OsString::from_vec(set))
    }

    /// The work tree, where there is one.
    pub fn work_tree(&self) -> Option<&Path> {
        self.work_tree.as_deref()
    }

    /// Whether it has no work tree.
    pub fn is_bare(&self) -> bool {
        self.work_tree.is_none()
    }

    /// `annex.uuid`.
    pub fn uuid(&self) -> &Uuid {
        &self.uuid
    }

    /// The configuration as last read.
    pub fn settings(&self) -> Arc<Config> {
        self.config.get()
    }

    /// The value of `name` in git config; the last one where there are several.
    pub fn config(&self, name: &str) -> Option<Vec<u8>> {
        self.settings().value(name)
    }

    /// All values of `name` in git config.
    pub fn config_all(&self, name: &str) -> Vec<Vec<u8>> {
        self.settings().values(name)
    }

    /// Whether `name` is true in git config; `None` where it is unset or neither true nor false.
    pub fn config_bool(&self, name: &str) -> Option<bool> {
        self.settings().bool(name)
    }

    /// The size in bytes that `name` is set to in git config, written as git-annex reads sizes.
    pub fn config_size(&self, name: &str) -> Option<u64> {
        self.settings().size(name)
    }

    /// `annex.diskreserve`: bytes that stay free on disks of this computer.
    pub fn reserve(&self) -> u64 {
        self.config_size("annex.diskreserve").unwrap_or(ContentConfig::RESERVE)
    }

    /// Whether what is recorded of `uuid` stays here: `annex.private` for this repository, `remote.NAME.annex-private` for a
    /// remote. A second name for a remote (`--sameas`) that is private keeps its own configuration private, which has a uuid
    /// of its own, and not what the remote holds. Source: recorded.
    pub fn is_private(&self, uuid: &Uuid) -> bool {
        let settings = self.settings();
        if *uuid == self.uuid {
            return settings.bool("annex.private") == Some(true);
        }
        settings.subsections("remote").iter().any(|name| {
            let value = |key: &str| settings.value_in("remote", name, key);
            settings.bool_in("remote", name, "annex-private") == Some(true)
                && value("annex-config-uuid").or_else(|| value("annex-uuid")).as_deref() == Some(uuid.as_bytes())
        })
    }

    /// Reads the configuration again where one of its files changed. Tells whether it did.
    ///
    /// A few calls of stat(2) where nothing did. Where it cannot be read, the last reading stays. The uuid stays, too.
    pub fn reload_config(&self) -> bool {
        if !self.settings().is_stale() {
            return false;
        }
        let Ok(safe) = open_git(&self.path) else { return false };
        let git = safe.to_thread_local();
        self.config.set(Config::of(&git));
        self.branch.reopen(safe);
        true
    }

    /// The git-annex branch.
    pub fn branch(&self) -> &Branch {
        &self.branch
    }
}

fn open_git(path: &Path) -> Result<gix::ThreadSafeRepository, OpenError> {
    let options = || options(MOST_UNPACKED);
    // What looks like a bare repository beside a `.git` may have been pushed there, and must not be opened in its place where
    // `.git` leads nowhere.
    let inner = path.join(".git");
    let target = if std::fs::symlink_metadata(&inner).is_ok() { inner.as_path() } else { path };
    let first = match gix::ThreadSafeRepository::open_opts(target, options()) {
        Ok(git) => return Ok(git),
        Err(e) => e,
    };
    let mut with_ending = path.as_os_str().to_os_string();
    with_ending.push(".git");
    if !path.exists() && Path::new(&with_ending).exists() {
        return open_git(Path::new(&with_ending));
    }
    let trusting = || options().bail_if_untrusted(false);
    let text = one_line(&first);
    // The library has no kind for this; that it would open otherwise tells it apart.
    match gix::ThreadSafeRepository::open_opts(target, trusting()) {
        Ok(_) => Err(OpenError::NotOurs(path.to_path_buf(), text)),
        Err(_) => Err(OpenError::NotARepository(path.to_path_buf(), text)),
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARepository(path, why) => {
                write!(f, "{}: not a git repository ({why}); give its top directory", path.display())
            }
            Self::NotOurs(path, why) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: belongs to another user ({why}); run as its owner, or allow it: git config --global --add safe.directory {path}"
                )
            }
            Self::NoUuid(path) => {
                write!(f, "{}: has no annex.uuid; run git annex init in it", path.display())
            }
            Self::Version(path, found) if found.is_empty() => {
                write!(f, "{}: has no annex.version; run git annex init in it", path.display())
            }
            Self::Version(path, found) => {
                write!(
                    f,
                    "{}: annex.version is {}, but {} to {} are served; run git annex upgrade in it, or a newer git-annex-remote-stream",
                    path.display(),
                    found.escape_ascii(),
                    Repository::VERSIONS.start(),
                    Repository::VERSIONS.end()
                )
            }
            Self::Tuned(path) => {
                write!(
                    f,
                    "{}: its git-annex branch is of repositories with annex.tune.branchhash1, and git config here does not say \
                     so; where nothing was recorded here yet: git config annex.tune.branchhash1 true, and the other annex.tune.* \
                     settings of the repository it came from",
                    path.display()
                )
            }
            Self::PidLock(path) => {
                write!(
                    f,
                    "{}: annex.pidlock is set, and such repositories are not served; git config --unset annex.pidlock where the file system has locks",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for OpenError {}
