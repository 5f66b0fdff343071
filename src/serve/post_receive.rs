//! After a push: making the trees of special remotes follow their branches.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remotes::budget::Budget;

use super::special::Settings;
use crate::annex::export::tracking::Tracking;
use crate::gateway::{Asker, Damage, Exported, Failure, Limits, LocalRepository, Progress, Repaired, StoreNode, node};

/// What became of one remote. Displayed as a line for whoever pushed.
#[derive(Debug)]
pub struct Followed {
    /// What this repository calls the remote.
    pub remote: String,
    /// What it follows.
    pub branch: String,
    /// What was done; `None` where others are exporting, who will see to the rest.
    pub done: Result<Option<Done>, Failure>,
}

/// What was done at one remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was made to hold the tree of its branch.
    Exported(Exported),
    /// And all its files were looked at.
    Repaired(Repaired),
}

/// Which trees are to be seen to, and how.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// Those whose branch is among these, as `refs/heads/NAME`, and those that an earlier push left behind; all where nothing
    /// was pushed.
    Pushed(&'a [Vec<u8>]),
    /// Every file of all of them is looked at, and put right where it is damaged.
    Repair,
}

/// Files that are refused for their names and named.
const NAMED: usize = 20;

/// Longest wait for others who export to the same remote. They look for more to do before they end.
const WAIT: Duration = Duration::from_secs(600);

/// Makes the proxied special remotes of the repository at `path` that hold a tree follow their branches, as `wish` says. Calls
/// `told` for each, once it is done, and `far` with its name meanwhile, where its files are looked at. Pushed versions of the
/// git-annex branch are merged first.
///
/// # Errors
///
/// The repository or its configuration cannot be read. What goes wrong at one remote is told of it alone.
pub fn follow(
    path: &Path,
    wish: Wish<'_>,
    far: &dyn Fn(&str, Progress),
    mut told: impl FnMut(Followed),
) -> Result<(), String> {
    super::warnings::start(|words| eprintln!("git-annex-remote-stream: {words}"));
    let settings = Settings::from_env(&|name| std::env::var_os(name))?;
    let served = LocalRepository::open(path).map_err(|e| e.to_string()).map(Arc::new)?;
    // The server leaves to this process what would keep others waiting.
    served.repository().branch().take_all();
    served.merge_arrived();
    let limits = Limits {
        budget: Budget::new(settings.memory),
        idle: settings.idle,
        connections: settings.connections,
        quotas: None,
    };
    let work = async {
        let asker = Asker { client: served.uuid().clone(), bypass: Vec::new() };
        for uuid in served.proxied_uuids()? {
            let node = match node::find(&served, &uuid, &limits, &asker).await {
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
            if let Some(tracking) = special.tracking().filter(|tracking| has_diverged(tracking, &served)) {
                let (name, branch) = (special.name(), tracking.branch());
                tracing::warn!(
                    "{branch} and synced/{branch} have diverged; {name} follows {branch}; git annex sync in the \
                     repository on the server merges them"
                );
            }
            if is_wished(special, wish).await {
                let done = match wish {
                    Wish::Pushed(_) => special.export(WAIT).await.map(|done| done.map(Done::Exported)),
                    Wish::Repair => {
                        let done = special.repair(WAIT, &|progress| far(special.name(), progress)).await;
                        done.map(|done| done.map(Done::Repaired))
                    }
                };
                told(Followed { remote: special.name().to_string(), branch, done });
            }
        }
        Ok::<_, Failure>(())
    };
    let worked: io::Result<_> = remotes::sys::run(settings.uring, work);
    let settled = served.settle();
    worked.map_err(|e| e.to_string())?.and(settled).map_err(|e| e.to_string())
}

async fn is_wished(special: &StoreNode, wish: Wish<'_>) -> bool {
    let Wish::Pushed(pushed) = wish else { return true };
    let is_pushed = |tracking: &Tracking| pushed.iter().any(|reference| tracking.is_of(reference));
    pushed.is_empty() || special.tracking().is_some_and(is_pushed) || special.is_behind().await.unwrap_or(true)
}

fn has_diverged(tracking: &Tracking, served: &LocalRepository) -> bool {
    // What cannot be read is told by the export.
    tracking.has_diverged(served.repository().branch()).unwrap_or(false)
}

impl Followed {
    /// Whether all is as it should be, as far as it can be told here.
    pub fn is_well(&self) -> bool {
        match &self.done {
            Err(_) => false,
            Ok(Some(Done::Repaired(repaired))) => repaired.unknown == 0,
            Ok(_) => true,
        }
    }
}

impl std::fmt::Display for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if let Ok(Some(Done::Repaired(_))) = &self.done { "repair" } else { "export" };
        write!(f, "{what} {} to {}: ", self.branch, self.remote)?;
        let done = match &self.done {
            Err(failure) => return write!(f, "failed: {failure}; the next push resumes it"),
            Ok(None) => return f.write_str("another export is in progress"),
            Ok(Some(done)) => done,
        };
        let exported = match done {
            Done::Exported(exported) => exported,
            Done::Repaired(repaired) => &repaired.exported,
        };
        let counts = [
            (exported.renamed, "renamed"),
            (exported.copied, "copied"),
            (exported.stored, "stored"),
            (exported.removed, "removed"),
        ];
        let words: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        match (&words[..], exported.tree) {
            (_, None) => f.write_str("there is no such branch or directory")?,
            ([], Some(_)) => f.write_str("ok")?,
            (words, Some(_)) => write!(f, "ok, {}", words.join(", "))?,
        }
        if let Done::Repaired(repaired) = done {
            show_repaired(repaired, f)?;
        }
        if exported.waiting > 0 {
            write!(f, "; content of {} not here yet, git annex copy it to {}", files(exported.waiting), self.remote)?;
        }
        if exported.impossible > 0 {
            write!(f, "; {} left out, whose names it cannot have", files(exported.impossible))?;
        }
        if !exported.refused.is_empty() {
            let (count, remote) = (files(exported.refused.len()), &self.remote);
            let named = some_of(&exported.refused, |(name, other)| {
                format!("{} (as {})", name.escape_ascii(), other.escape_ascii())
            });
            write!(f, "; {count} left out, whose names {remote} does not tell from others, rename them: {named}")?;
        }
        if !exported.unwanted.is_empty() {
            let (count, remote) = (files(exported.unwanted.len()), &self.remote);
            let named = some_of(&exported.unwanted, |name| name.escape_ascii().to_string());
            write!(f, "; {count} left out, which {remote} does not want: {named}")?;
        }
        Ok(())
    }
}

fn show_repaired(repaired: &Repaired, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let Repaired { looked, read, untold, unknown, damaged, exported: _ } = repaired;
    write!(f, "; {} looked at, {read} read", files(*looked))?;
    if *untold > 0 {
        write!(f, ", {untold} of which only the length was compared, since their keys have no digest")?;
    }
    if *unknown > 0 {
        write!(f, "; the content of {} could not be determined", files(*unknown))?;
    }
    if damaged.is_empty() {
        return f.write_str(", none damaged");
    }
    let named = some_of(damaged, |one| {
        let was = match one.damage {
            Damage::Missing => "was not there".to_string(),
            Damage::Other(len) => format!("was another file, of {len} bytes"),
        };
        let is = if one.is_repaired { "is repaired" } else { "has to come again" };
        format!("{} ({was}, {is})", one.name.escape_ascii())
    });
    write!(f, "; {} damaged: {named}", files(damaged.len()))
}

/// The first of many in words, and how many more there are.
fn some_of<T>(all: &[T], words: impl Fn(&T) -> String) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(words).collect();
    let rest = match all.len() - named.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    named.join(", ") + &rest
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
        let exported = |done| Ok(Some(Done::Exported(done)));
        assert_eq!(line(exported(done.clone())), "export main to bucket: ok");
        let much = Exported { renamed: 2, stored: 1, waiting: 1, impossible: 2, ..done };
        assert_eq!(
            line(exported(much)),
            "export main to bucket: ok, 2 renamed, 1 stored; content of 1 file not here yet, git annex copy it to bucket; \
             2 files left out, whose names it cannot have"
        );
        let twins =
            [("A", "a"), ("caf\u{e9}", "cafe\u{301}")].map(|(a, b)| (a.as_bytes().to_vec(), b.as_bytes().to_vec()));
        let refused =
            Exported { refused: twins.to_vec(), ..Exported { tree: Some(GitId::EMPTY_TREE), ..Exported::default() } };
        assert_eq!(
            line(exported(refused)),
            "export main to bucket: ok; 2 files left out, whose names bucket does not tell from others, rename them: A (as a), \
             caf\\xc3\\xa9 (as cafe\\xcc\\x81)"
        );
        let unwanted = vec![b"a.txt".to_vec(), b"b\n".to_vec()];
        let unwanted = Exported { unwanted, ..Exported { tree: Some(GitId::EMPTY_TREE), ..Exported::default() } };
        assert_eq!(
            line(exported(unwanted)),
            "export main to bucket: ok; 2 files left out, which bucket does not want: a.txt, b\\n"
        );
        assert_eq!(line(exported(Exported::default())), "export main to bucket: there is no such branch or directory");
        assert_eq!(line(Ok(None)), "export main to bucket: another export is in progress");
        assert_eq!(
            line(Err(Failure::busy("x"))),
            "export main to bucket: failed: x; try again later; the next push resumes it"
        );
    }

    #[test]
    fn whoever_repairs_reads_what_was_damaged_and_what_became_of_it() {
        let key = crate::name::Key::parse(b"SHA256-s1--x").expect("a key");
        let damaged = |name: &str, damage, is_repaired| crate::gateway::Damaged {
            name: name.into(),
            key: key.clone(),
            damage,
            is_repaired,
        };
        let exported = Exported { tree: Some(GitId::EMPTY_TREE), stored: 1, waiting: 1, ..Exported::default() };
        let none = Repaired {
            looked: 3,
            exported: Exported { stored: 0, waiting: 0, ..exported.clone() },
            ..Repaired::default()
        };
        let line = |repaired| {
            let done = Ok(Some(Done::Repaired(repaired)));
            let followed = Followed { remote: "bucket".into(), branch: "main".into(), done };
            (followed.is_well(), followed.to_string())
        };
        let expected = "repair main to bucket: ok; 3 files looked at, 0 read, none damaged";
        assert_eq!(line(none.clone()), (true, expected.into()));
        let (one, two) = (damaged("a\n", Damage::Other(7), true), damaged("b", Damage::Missing, false));
        let some = Repaired { read: 2, untold: 1, unknown: 1, damaged: vec![one, two], exported, ..none };
        let expected = "repair main to bucket: ok, 1 stored; 3 files looked at, 2 read, 1 of which only the length was \
                        compared, since their keys have no digest; the content of 1 file could not be determined; 2 \
                        files damaged: a\\n (was another file, of 7 bytes, is repaired), b (was not there, has to come \
                        again); content of 1 file not here yet, git annex copy it to bucket";
        assert_eq!(line(some), (false, expected.into()));
    }
}
