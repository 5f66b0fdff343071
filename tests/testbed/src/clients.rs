//! Real git-annex clients of a server, and where content lies.

use std::path::{Path, PathBuf};

use super::annex::Repo;
use super::gateway::Gateway;
use super::ssh::Ssh;

/// A clone of what is served, which reaches its content through the server.
#[track_caller]
pub fn client_of(served: &Repo, server: &Gateway) -> Repo {
    let client = Repo::clone_of(served);
    annexurl(&client, "origin", &server.url());
    client.git(&["config", "remote.origin.annex-uuid", &served.uuid()]).ok();
    client
}

/// A clone of a gateway, which reaches what is behind it through the server.
#[track_caller]
pub(crate) fn client_over_http(gateway: &Repo, server: &Gateway) -> Repo {
    let settings = [("remote.origin.annexUrl", &*server.url()), ("remote.origin.annex-uuid", &*gateway.uuid())];
    Repo::clone_with(gateway, &settings, |_| {})
}

/// The same by way of `ssh`.
#[track_caller]
pub(crate) fn client_over_ssh(gateway: &Repo, ssh: &Ssh) -> Repo {
    let settings = [("remote.origin.url", &*Ssh::url(gateway)), ("remote.origin.annex-uuid", &*gateway.uuid())];
    Repo::clone_with(gateway, &settings, |client| ssh.lead(client))
}

/// One more remote.
#[track_caller]
pub fn remote(client: &Repo, name: &str, served: &Repo, url: &str) {
    client.git(&["remote", "add", name, &served.dir().display().to_string()]).ok();
    annexurl(client, name, url);
    client.git(&["config", &format!("remote.{name}.annex-uuid"), &served.uuid()]).ok();
}

/// Where a remote's content is reached.
#[track_caller]
pub fn annexurl(client: &Repo, name: &str, url: &str) {
    client.git(&["config", &format!("remote.{name}.annexUrl"), url]).ok();
}

/// Where the content of `key` is, or would be.
#[track_caller]
pub fn object(repo: &Repo, key: &str) -> PathBuf {
    let bare = repo.dir().join("annex").exists();
    let hash = if bare { "${hashdirlower}" } else { "${hashdirmixed}" };
    let format = format!("{}{hash}${{key}}/${{key}}", if bare { "annex/objects/" } else { ".git/annex/objects/" });
    repo.dir().join(repo.annex(&["examinekey", "--format", &format, key]).ok().stdout)
}

/// Bytes of the largest partial transfer.
pub fn partial(repo: &Repo) -> u64 {
    let dirs = [".git/annex/tmp", "annex/tmp"].map(|dir| repo.dir().join(dir));
    let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).max().unwrap_or(0)
}

/// A program of a test's own.
pub fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, script).expect("it is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}
