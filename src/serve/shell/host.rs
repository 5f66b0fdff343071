//! Repositories on this computer's disk, as git-annex-shell serves them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use super::{Host, RepoInfo, Serve};
use crate::annex::remote::proxied;
use crate::annex::repository::{OpenError, Repository};
use crate::gateway::{Asker, Limits, LocalRepository, node};
use crate::name::{Key, Uuid};
use crate::serve::stdio;

/// Serves repositories from the disk.
#[derive(Debug, Clone, Copy)]
pub struct LocalHost;

impl Host for LocalHost {
    fn open(&self, directory: &Path) -> Result<RepoInfo, String> {
        match Repository::open(directory) {
            Ok(repository) => Ok(RepoInfo {
                git_dir: repository.git_dir().to_path_buf(),
                uuid: Some(repository.uuid().clone()),
                gcrypt_id: repository.config("core.gcrypt-id").unwrap_or_default(),
                proxied: proxied(&repository)
                    .map(|remotes| remotes.uuids().cloned().collect())
                    .map_err(|e| e.to_string())?,
                ..RepoInfo::default()
            }),
            // There is a repository, which git-annex was not used in yet.
            Err(OpenError::NoUuid(_)) => {
                Ok(RepoInfo { git_dir: git_dir(directory)?, pushed: has_branch(directory), ..RepoInfo::default() })
            }
            // git-annex says of any directory that it has no uuid.
            Err(OpenError::NotARepository(..)) if directory.is_dir() => Ok(RepoInfo::default()),
            Err(OpenError::NotARepository(..)) => Err(format!("there is no git repository in {}", directory.display())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn initialise(&self, directory: &Path) -> Result<Uuid, String> {
        // What a new repository needs is git-annex's to decide, where it is there.
        if !is_installed("git-annex") {
            return match Repository::initialise(directory) {
                Ok(repository) => Ok(repository.uuid().clone()),
                Err(e) => Err(e.to_string()),
            };
        }
        let status = Command::new("git")
            .arg("-C")
            .arg(directory)
            .args(["annex", "init", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .map_err(|e| format!("git annex init: {e}"))?;
        if !status.success() {
            return Err(format!("git annex init failed in {}", directory.display()));
        }
        Repository::open(directory).map(|repository| repository.uuid().clone()).map_err(|e| e.to_string())
    }

    fn is_present(&self, directory: &Path, key: &Key) -> Result<bool, String> {
        on_served(directory, async |served, _| served.check(key).await)
    }

    fn drop_key(&self, directory: &Path, key: &Key) -> Result<(), String> {
        on_served(directory, async |served, limits| {
            let asker = Asker { client: served.uuid().clone(), bypass: Vec::new() };
            node::here(served, limits, &asker).remove(key, None).await.map(drop)
        })
    }

    fn p2pstdio(&self, serve: Serve<'_>) -> ExitCode {
        let unknown = Uuid::parse(b"unknown").expect("a word is a uuid");
        let client = serve.client.unwrap_or(&unknown);
        stdio::main(serve.directory, client, Some(serve.uuid), serve.access)
    }
}

fn on_served<T>(
    directory: &Path,
    f: impl AsyncFnOnce(&Arc<LocalRepository>, &Limits) -> Result<T, crate::gateway::Failure>,
) -> Result<T, String> {
    let served = Arc::new(LocalRepository::open(directory).map_err(|e| e.to_string())?);
    let limits = stdio::limits()?;
    let done = remotes::sys::run(false, f(&served, &limits)).map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    served.settle().map_err(|e| e.to_string())?;
    Ok(done)
}

/// Whether a program is in the PATH.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |path: PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    std::env::split_paths(&path).any(|dir| is_program(dir.join(program)))
}

/// Whether any git-annex branch is there. Where git cannot tell, none is.
fn has_branch(directory: &Path) -> bool {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).args(["for-each-ref", "--format=%(refname)"]).stdin(Stdio::null());
    let listed = git.stderr(Stdio::null()).output().map(|output| output.stdout).unwrap_or_default();
    listed.split(|byte| *byte == b'\n').any(|name| name.ends_with(b"/git-annex"))
}

/// Where git keeps the repository in `directory`.
fn git_dir(directory: &Path) -> Result<PathBuf, String> {
    let inner = directory.join(".git");
    if inner.is_dir() {
        return Ok(inner);
    }
    if directory.join("HEAD").exists() {
        return Ok(directory.to_path_buf());
    }
    Err(format!("there is no git repository in {}", directory.display()))
}
