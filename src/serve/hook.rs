//! What is done after a push: the trees of special remotes are made to follow their branches.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remotes::pump::Budget;

use super::special::Settings;
use crate::annex::export::tracking::Tracking;
use crate::gateway::{Exported, Failure, Means, Node, Served};

/// What became of one remote. Displayed as a line for whoever pushed.
#[derive(Debug)]
pub struct Followed {
    /// What this repository calls the remote.
    pub remote: String,
    /// What it follows.
    pub branch: String,
    /// What was done; `None` where others are at it, who will see to the rest.
    pub done: Result<Option<Exported>, Failure>,
}

/// Files that are refused for their names and named.
const NAMED: usize = 20;

/// Longest wait for others who export to the same remote. They look for more to do before they end.
const WAIT: Duration = Duration::from_secs(600);

/// Makes the proxied special remotes of the repository at `path` that hold a tree follow their branches: those whose branch is
/// among `pushed`, as `refs/heads/NAME`, and those that an earlier push left behind; all where nothing was pushed. Calls
/// `told` for each, once it is done. Pushed versions of the git-annex branch are merged first.
///
/// Errors: the repository or its configuration cannot be read. What goes wrong at one remote is told of it alone.
pub fn follow(path: &Path, pushed: &[Vec<u8>], mut told: impl FnMut(Followed)) -> Result<(), String> {
    super::warnings::start(|words| eprintln!("git-annex-remote-stream: {words}"));
    let settings = Settings::from_env(&|name| std::env::var_os(name))?;
    let served = Served::open(path).map_err(|e| e.to_string()).map(Arc::new)?;
    // The server leaves to this process what would keep others waiting.
    served.repository().branch().take_all();
    served.merge_arrived();
    let means = Means { budget: Budget::new(settings.memory), idle: settings.idle };
    let work = async {
        for uuid in served.proxied_uuids()? {
            let node = match Node::find(&served, &uuid, &means).await {
                Ok(Some(node)) => node,
                Ok(None) => continue,
                Err(done) => {
                    // Which remote that is, and that it is not reached, was said where it is served.
                    tracing::warn!("remote {uuid}: {done}");
                    continue;
                }
            };
            let Some(special) = node.special() else { continue };
            let Some(branch) = special.tracking().map(Tracking::to_string) else { continue };
            let is_pushed = |tracking: &Tracking| pushed.iter().any(|reference| tracking.is_of(reference));
            if let Some(tracking) = special.tracking().filter(|tracking| has_diverged(tracking, &served)) {
                let (name, branch) = (special.name(), tracking.branch());
                tracing::warn!(
                    "{branch} and synced/{branch} have diverged; {name} follows {branch}; git annex sync in the \
                     repository on the server merges them"
                );
            }
            if pushed.is_empty()
                || special.tracking().is_some_and(is_pushed)
                || special.is_behind().await.unwrap_or(true)
            {
                let done = special.export(WAIT).await;
                told(Followed { remote: special.name().to_string(), branch, done });
            }
        }
        Ok::<_, Failure>(())
    };
    let worked: io::Result<_> = remotes::sys::run(settings.uring, work);
    let settled = served.settle();
    worked.map_err(|e| e.to_string())?.and(settled).map_err(|e| e.to_string())
}

fn has_diverged(tracking: &Tracking, served: &Served) -> bool {
    // What cannot be read is told by the export.
    tracking.has_diverged(served.repository().branch()).unwrap_or(false)
}

impl std::fmt::Display for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "export {} to {}: ", self.branch, self.remote)?;
        let done = match &self.done {
            Err(failure) => return write!(f, "failed: {failure}; the next push goes on with it"),
            Ok(None) => return f.write_str("somebody else is at it"),
            Ok(Some(done)) => done,
        };
        let counts =
            [(done.renamed, "renamed"), (done.copied, "copied"), (done.stored, "stored"), (done.removed, "removed")];
        let words: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        match (&words[..], done.tree) {
            (_, None) => f.write_str("there is no such branch or directory")?,
            ([], Some(_)) => f.write_str("ok")?,
            (words, Some(_)) => write!(f, "ok, {}", words.join(", "))?,
        }
        if done.waiting > 0 {
            write!(f, "; content of {} not here yet, git annex copy it to {}", files(done.waiting), self.remote)?;
        }
        if done.impossible > 0 {
            write!(f, "; {} left out, whose names it cannot have", files(done.impossible))?;
        }
        if !done.refused.is_empty() {
            let named = done.refused.iter().take(NAMED);
            let named: Vec<String> =
                named.map(|(name, other)| format!("{} (as {})", name.escape_ascii(), other.escape_ascii())).collect();
            let rest = done.refused.len() - named.len();
            let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            write!(
                f,
                "; {} left out, whose names {} does not tell from others, rename them: {}{rest}",
                files(done.refused.len()),
                self.remote,
                named.join(", ")
            )?;
        }
        if done.has_wishes {
            f.write_str("; all files, since its preferred content is not asked here")?;
        }
        Ok(())
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::branch::GitId;

    #[test]
    fn whoever_pushed_reads_what_was_done() {
        let line = |done| Followed { remote: "bucket".into(), branch: "main".into(), done }.to_string();
        let done = Exported { tree: Some(GitId::EMPTY_TREE), ..Exported::default() };
        assert_eq!(line(Ok(Some(done.clone()))), "export main to bucket: ok");
        let much = Exported { renamed: 2, stored: 1, waiting: 1, impossible: 2, ..done };
        assert_eq!(
            line(Ok(Some(much))),
            "export main to bucket: ok, 2 renamed, 1 stored; content of 1 file not here yet, git annex copy it to bucket; \
             2 files left out, whose names it cannot have"
        );
        let twins =
            [("A", "a"), ("caf\u{e9}", "cafe\u{301}")].map(|(a, b)| (a.as_bytes().to_vec(), b.as_bytes().to_vec()));
        let refused =
            Exported { refused: twins.to_vec(), ..Exported { tree: Some(GitId::EMPTY_TREE), ..Exported::default() } };
        assert_eq!(
            line(Ok(Some(refused))),
            "export main to bucket: ok; 2 files left out, whose names bucket does not tell from others, rename them: A (as a), \
             caf\\xc3\\xa9 (as cafe\\xcc\\x81)"
        );
        assert_eq!(line(Ok(Some(Exported::default()))), "export main to bucket: there is no such branch or directory");
        assert_eq!(line(Ok(None)), "export main to bucket: somebody else is at it");
        assert_eq!(
            line(Err(Failure::busy("x"))),
            "export main to bucket: failed: x; try again later; the next push goes on with it"
        );
    }
}
