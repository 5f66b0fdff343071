//! How a git remote is reached.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::annex::remote::GitRemote;

/// Where a git repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitPlace {
    /// On this computer.
    Path(PathBuf),
    /// Behind ssh or HTTP.
    Url {
        /// `ssh://HOST/PATH` or `HOST:PATH`, for git-annex-shell; or `annex+http://` and `annex+https://`.
        url: Vec<u8>,
        /// What is run there in place of git-annex-shell.
        shell: Option<Vec<u8>>,
        /// Words for ssh.
        ssh_options: Vec<Vec<u8>>,
    },
}

/// Where `git` is; why it cannot be reached, otherwise.
pub(super) fn place(git: &GitRemote, name: &str) -> Result<GitPlace, String> {
    let url = git.annex_url.as_ref().unwrap_or(&git.url).as_slice();
    let far = || GitPlace::Url { url: url.to_vec(), shell: git.shell.clone(), ssh_options: git.ssh_options.clone() };
    let path = |path: &[u8]| GitPlace::Path(git.base.join(Path::new(OsStr::from_bytes(path))));
    if let Some(local) = url.strip_prefix(b"file://") {
        // As git reads it: to the first slash, the name of this computer.
        let at = local.iter().position(|byte| *byte == b'/').unwrap_or(local.len());
        return Ok(path(&local[at..]));
    }
    if let Some(at) = url.windows(3).position(|window| window == b"://") {
        return match &url[..at] {
            b"ssh" | b"git+ssh" | b"ssh+git" | b"annex+http" | b"annex+https" => Ok(far()),
            b"http" | b"https" => Err(format!(
                "is reached by http, which takes no content; if git-annex is served there: git config remote.{name}.annexurl annex+http(s)://..."
            )),
            other => Err(format!("has a url of a kind that is not proxied: {}", other.escape_ascii())),
        };
    }
    let colon = url.iter().position(|byte| *byte == b':');
    match colon.filter(|at| *at > 0 && !url[..*at].contains(&b'/')) {
        Some(at) if url[at..].starts_with(b"::") => {
            Err(format!("has a url of a kind that is not proxied: {}", url[..at].escape_ascii()))
        }
        Some(_) => Ok(far()),
        None if url.is_empty() => Err("has an empty url".into()),
        None => Ok(path(url)),
    }
}
