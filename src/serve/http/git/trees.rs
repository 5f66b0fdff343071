//! After a push: the trees of special remotes follow their branches, without a hook file.
//!
//! The command `post-receive` does it, in a process of its own: it may take long and much memory. What it says is shown to whoever
//! pushed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::{Failure, LocalRepository};
use crate::process::Process;
use crate::proto::git::packet::write_words;
use crate::proto::git::push::Commands;

/// How often the pusher is told that something goes on.
pub(in crate::serve::http) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What the process is not to know.
const PREFIXES: [&[u8]; 3] = [b"GIT_ANNEX_P2PHTTP_", b"LISTEN_", b"NOTIFY_"];

/// What there is to do once git has answered.
pub(in crate::serve::http) struct After {
    pub(in crate::serve::http) served: Arc<LocalRepository>,
    pub(in crate::serve::http) commands: Commands,
}

/// Whether trees follow branches of the repository.
pub(in crate::serve::http) fn has_trees(served: &LocalRepository) -> bool {
    let settings = served.repository().settings();
    let follows =
        |name: &Vec<u8>| settings.value_in("remote", name, "annex-tracking-branch").is_some_and(|set| !set.is_empty());
    settings.subsections("remote").iter().any(follows)
}

/// Starts what brings them up to date, and tells it what was pushed.
pub(in crate::serve::http) async fn start(after: &After) -> Result<Process, Failure> {
    let failed = |e| Failure::io("bring the trees up to date", &e);
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg("post-receive").current_dir(after.served.repository().git_dir());
    let hidden = |name: &OsStr| PREFIXES.iter().any(|prefix| name.as_bytes().starts_with(prefix));
    for (name, _) in std::env::vars_os().filter(|(name, _)| hidden(name)) {
        command.env_remove(name);
    }
    let mut process = Process::start(command).await?;
    let lines: Vec<u8> = after
        .commands
        .all
        .iter()
        .flat_map(|command| [command.old.as_bytes(), b" ", command.new.as_bytes(), b" ", &command.name, b"\n"].concat())
        .collect();
    process.write_all(&lines, KEEP_ALIVE).await.map_err(failed)?;
    process.close_input();
    Ok(process)
}

/// A packet that shows `text` to whoever pushed.
pub(in crate::serve::http) fn words(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_words(text.as_bytes(), &mut out);
    out
}
