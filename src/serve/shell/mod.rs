//! git-annex-shell: what a client runs on the server, over ssh.
//!
//! `command` reads arguments and environment, which is where everything is allowed or refused; here it is done, on a
//! repository that a [`Host`] knows. Source: `git-annex-shell` in git-annex's documentation, and what it does when run.

pub mod command;
mod host;
pub mod notify;
mod words;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::name::{Key, Uuid};
use crate::proto::p2p::Access;
use command::{Command, Permit, READ_ONLY, Refusal, Verb};
pub use host::LocalHost;

/// Who knows repositories. Errors are one line for people, without secrets.
pub trait Host {
    /// Looks at the repository in `directory`.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    fn open(&self, directory: &Path) -> Result<RepoInfo, String>;

    /// Makes it one of git-annex's: gives it a uuid, which is returned.
    ///
    /// # Errors
    ///
    /// It could not be.
    fn initialise(&self, directory: &Path) -> Result<Uuid, String>;

    /// Whether the content is there.
    ///
    /// # Errors
    ///
    /// Could not tell.
    fn is_present(&self, directory: &Path, key: &Key) -> Result<bool, String>;

    /// Removes the content, whatever other copies there are.
    ///
    /// # Errors
    ///
    /// It is still there, or could not tell.
    fn drop_key(&self, directory: &Path, key: &Key) -> Result<(), String>;

    /// Serves it over stdin and stdout, to the end.
    fn p2pstdio(&self, serve: Serve<'_>) -> ExitCode;
}

/// What is to be served over stdin and stdout.
#[derive(Debug, Clone, Copy)]
pub struct Serve<'a> {
    /// The repository.
    pub directory: &'a Path,
    /// Who is asking, if it was said.
    pub client: Option<&'a Uuid>,
    /// Whom the client wants to talk to: the repository, or a remote that it proxies.
    pub uuid: &'a Uuid,
    /// What may be done.
    pub access: Access,
}

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoInfo {
    /// Its git directory, which several work trees may share.
    pub git_dir: PathBuf,
    /// Its uuid; none before git-annex is used in it.
    pub uuid: Option<Uuid>,
    /// core.gcrypt-id of its config; empty where there is none.
    pub gcrypt_id: Vec<u8>,
    /// Remotes it proxies, and clusters.
    pub proxied: Vec<Uuid>,
    /// Whether somebody pushed a git-annex branch to it.
    pub pushed: bool,
}

/// Does what the arguments (without the program's own name) and the environment say.
pub fn main(arguments: Vec<OsString>, host: &dyn Host) -> ExitCode {
    crate::serve::warnings::start(|words| eprintln!("git-annex-shell: {words}{}", crate::request::tag()));
    let arguments: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
    let permit = Permit::read(|name| std::env::var_os(name));
    let checked = Permit::check(std::env::vars_os().map(|(name, _)| name));
    let done =
        checked.and_then(|()| permit.parse(&arguments)).map_err(|refusal| refusal.to_string()).and_then(|command| {
            match command {
                Command::GitShell(arguments) => git_shell(&arguments, &permit.home),
                Command::Annex { directory, uuid, verb } => run(host, &directory, uuid.as_deref(), verb),
            }
        });
    done.unwrap_or_else(|text| {
        eprintln!("git-annex-shell: {text}");
        ExitCode::FAILURE
    })
}

/// Status of `inannex` when it cannot be told.
const UNKNOWN: u8 = 100;

fn run(host: &dyn Host, directory: &Path, expected: Option<&[u8]>, verb: Verb) -> Result<ExitCode, String> {
    let info = host.open(directory)?;
    let own = info.uuid.as_ref();
    let served = match expected {
        Some(expected) if own.is_none_or(|own| own.as_bytes() != expected) => {
            match (info.proxied.iter().find(|uuid| uuid.as_bytes() == expected), &verb) {
                (Some(proxied), Verb::P2pStdio { .. }) => Some(proxied),
                (Some(_), verb) => return Err(format!("Cannot proxy {} command.", verb.name())),
                (None, _) => return Err(mismatch(expected, own)),
            }
        }
        _ => own,
    };
    match verb {
        Verb::ConfigList { autoinit, access } => {
            let uuid = match own {
                // Who may only read gives nobody a uuid.
                None if (autoinit || info.pushed) && access == Access::ReadOnly => {
                    return Err(Refusal::Blocked(READ_ONLY).to_string());
                }
                None if autoinit || info.pushed => Some(host.initialise(directory)?),
                own => own.cloned(),
            };
            let uuid = uuid.as_ref().map(Uuid::as_bytes).unwrap_or_default();
            let text = [b"annex.uuid=", uuid, b"\ncore.gcrypt-id=", &info.gcrypt_id, b"\n"].concat();
            let mut out = io::stdout().lock();
            out.write_all(&text).and_then(|()| out.flush()).map_err(|e| e.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::P2pStdio { client, access } => {
            let uuid = served.ok_or_else(|| format!("{} is not initialized for git-annex", directory.display()))?;
            Ok(host.p2pstdio(Serve { directory, client: client.as_ref(), uuid, access }))
        }
        Verb::NotifyChanges if own.is_none() => {
            Err(format!("{} is not initialized for git-annex", directory.display()))
        }
        Verb::NotifyChanges => {
            notify::run(&info.git_dir, &io::stdin(), &mut io::stdout().lock()).map_err(|e| e.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::InAnnex(keys) => Ok(in_annex(host, directory, &keys)),
        Verb::DropKey(keys) => {
            keys.iter().try_for_each(|key| host.drop_key(directory, key))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Absent beats could-not-tell: one key that is certainly absent is answer enough.
fn in_annex(host: &dyn Host, directory: &Path, keys: &[Key]) -> ExitCode {
    let mut worst = ExitCode::SUCCESS;
    for key in keys {
        match host.is_present(directory, key) {
            Ok(true) => {}
            Ok(false) => return ExitCode::FAILURE,
            Err(text) => {
                eprintln!("git-annex-shell: {text}");
                worst = ExitCode::from(UNKNOWN);
            }
        }
    }
    worst
}

fn mismatch(expected: &[u8], own: Option<&Uuid>) -> String {
    let found = own.map_or_else(|| "uninitialized repository".to_string(), |own| format!("UUID {own}"));
    format!("expected repository UUID {} but found {found}", expected.escape_ascii())
}

fn git_shell(arguments: &[OsString], home: &Path) -> Result<ExitCode, String> {
    let mut command = std::process::Command::new("git-shell");
    // What was allowed was allowed as a name below the home.
    if home.is_dir() {
        command.current_dir(home);
    }
    let status = command.args(arguments).status().map_err(|e| format!("git-shell: {e}"))?;
    if status.success() { Ok(ExitCode::SUCCESS) } else { Err("git-shell failed".to_string()) }
}

#[cfg(test)]
mod tests;
