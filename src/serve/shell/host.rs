//! Repositories as git's own configuration tells of them. Their content is not served from here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use super::{Host, RepoInfo, Serve};
use crate::name::{Key, Uuid};

/// Asks git who a repository is; everything that needs its content is refused.
#[derive(Debug, Clone, Copy)]
pub struct GitHost;

const NOT_SERVED: &str = "content is not served by this build";

impl Host for GitHost {
    fn open(&self, directory: &Path) -> Result<RepoInfo, String> {
        if !directory.is_dir() {
            return Err(format!("there is no git repository in {}", directory.display()));
        }
        let inner = directory.join(".git");
        let git_dir = if inner.exists() { inner } else { directory.to_path_buf() };
        // A directory that is none of git's has no settings, which is what git-annex says of it too.
        let uuid = setting(&git_dir, "annex.uuid")?;
        let gcrypt_id = setting(&git_dir, "core.gcrypt-id")?;
        let common = git(&git_dir, &["rev-parse", "--git-common-dir"])?;
        let git_dir = if common.is_empty() { git_dir } else { git_dir.join(OsStr::from_bytes(&common)) };
        Ok(RepoInfo { git_dir, uuid: Uuid::parse(&uuid).ok(), gcrypt_id, proxied: Vec::new() })
    }

    fn initialise(&self, directory: &Path) -> Result<Uuid, String> {
        Err(format!("{} is not initialized for git-annex", directory.display()))
    }

    fn is_present(&self, _: &Path, _: &Key) -> Result<bool, String> {
        Err(NOT_SERVED.to_string())
    }

    fn drop_key(&self, _: &Path, _: &Key) -> Result<(), String> {
        Err(NOT_SERVED.to_string())
    }

    fn p2pstdio(&self, _: Serve<'_>) -> ExitCode {
        eprintln!("git-annex-shell: {NOT_SERVED}");
        ExitCode::FAILURE
    }
}

fn setting(git_dir: &Path, name: &str) -> Result<Vec<u8>, String> {
    git(git_dir, &["config", "--get", name])
}

/// What git prints, without the newline; nothing where it fails, as it does for settings that are not there.
fn git(git_dir: &Path, words: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(git_dir).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|e| format!("git: {e}"))?;
    Ok(if output.status.success() { output.stdout.trim_ascii_end().to_vec() } else { Vec::new() })
}
