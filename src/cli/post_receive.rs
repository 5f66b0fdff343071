//! `post-receive`: for git's hook of that name.

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::here;
use super::meter::Meter;
use crate::gateway::{Damage, Damaged, Exported, Progress};
use crate::serve::post_receive::{self, Done, Followed, Wish};

pub(super) const EXAMPLES: &str = "\
Publish a branch as a readable tree in a bucket that only this server can write to. In the repository on the server:

  git annex initremote bucket type=S3 encryption=none exporttree=yes annexobjects=yes bucket=... host=...
  git config remote.bucket.annex-tracking-branch main
  git config remote.bucket.annex-proxy true
  git-annex-remote-stream updateproxy

  printf '#!/bin/sh\\nexec git-annex-remote-stream post-receive\\n' > hooks/post-receive
  chmod +x hooks/post-receive

Then, after git push or git annex push, the bucket holds the files of the branch under their names, as soon as their content
has arrived. main:public follows a directory of the branch. Files that are renamed or doubled are renamed and copied in the
bucket; content that left the tree stays in it, below .git/annex/objects.

Without a hook, or after this was killed, the next upload through here or the next run brings the tree up to date. Without a
push it does so by hand: git-annex-remote-stream post-receive </dev/null

Files that somebody has truncated, replaced or removed behind its back are repaired when their content is sent again (git annex
fsck --from bucket, then copy --to), when a push names them, and by:

  git-annex-remote-stream post-receive --repair

That looks at every file of the trees, reads those that are not known by what the store calls them, puts aside what does not
belong there (below .git/annex/bad/), and fills the names from wherever the content is. What is gone is recorded to be gone; git
annex copy --to bucket sends it again.

The exit status is 1 if a tree could not be brought up to date. The push was accepted all the same.";

#[derive(Args)]
pub(super) struct PostReceive {
    /// Look at every file of all trees, and repair damaged ones. Nothing is read from stdin.
    #[arg(long)]
    repair: bool,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What became of one remote, for JSON. Bytes that are no text are shown as U+FFFD.
#[derive(Serialize)]
struct Shown {
    remote: String,
    branch: String,
    /// `done`, `busy` where another export is in progress, or `failed`.
    state: &'static str,
    error: Option<String>,
    /// The tree it holds.
    tree: Option<String>,
    renamed: usize,
    copied: usize,
    stored: usize,
    removed: usize,
    waiting: usize,
    left_out: usize,
    /// Files that its preferred content leaves out.
    unwanted: Vec<String>,
    repair: Option<ShownRepair>,
}

#[derive(Serialize)]
struct ShownRepair {
    looked: usize,
    read: usize,
    untold: usize,
    unknown: usize,
    damaged: Vec<ShownDamage>,
}

#[derive(Serialize)]
struct ShownDamage {
    name: String,
    key: String,
    /// Bytes that were there; null where nothing was.
    found: Option<u64>,
    repaired: bool,
}

/// Most bytes that are read of what was pushed.
const MOST: u64 = 64 << 20;

/// Reads what was pushed from stdin and brings the trees up to date.
pub(super) fn main(args: &PostReceive) -> ExitCode {
    match follow(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn follow(args: &PostReceive) -> Result<bool, String> {
    let repository = here::repository()?;
    let pushed = match args.repair {
        true => Vec::new(),
        false => pushed(&mut std::io::stdin().lock()).map_err(|e| format!("stdin: {e}"))?,
    };
    let wish = if args.repair { Wish::Repair } else { Wish::Pushed(&pushed) };
    let (mut all, mut shown, meter) = (true, Vec::new(), Meter::new());
    let far = |remote: &str, Progress { looked, total }: Progress| {
        meter.show(|| format!("{remote}: {looked} of {total} files looked at"));
    };
    post_receive::follow(repository.path(), wish, &far, |followed| {
        all &= followed.is_well();
        meter.clear();
        if args.json {
            shown.push(Shown::of(&followed));
        } else {
            // git shows it to whoever pushed, who may have gone.
            let _ = writeln!(std::io::stdout(), "{followed}");
        }
    })?;
    if args.json {
        let text = serde_json::to_string_pretty(&shown).expect("strings and numbers");
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    Ok(all)
}

impl Shown {
    fn of(followed: &Followed) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (state, error) = match &followed.done {
            Ok(Some(_)) => ("done", None),
            Ok(None) => ("busy", None),
            Err(failure) => ("failed", Some(failure.to_string())),
        };
        let (exported, repair) = match &followed.done {
            Ok(Some(Done::Exported(exported))) => (exported.clone(), None),
            Ok(Some(Done::Repaired(repaired))) => (repaired.exported.clone(), Some(repaired)),
            _ => (Exported::default(), None),
        };
        let damaged = |one: &Damaged| ShownDamage {
            name: text(&one.name),
            key: text(one.key.as_bytes()),
            found: match one.damage {
                Damage::Missing => None,
                Damage::Other(len) => Some(len),
            },
            repaired: one.is_repaired,
        };
        Self {
            remote: followed.remote.clone(),
            branch: followed.branch.clone(),
            state,
            error,
            tree: exported.tree.map(|tree| tree.to_string()),
            renamed: exported.renamed,
            copied: exported.copied,
            stored: exported.stored,
            removed: exported.removed,
            waiting: exported.waiting,
            left_out: exported.impossible + exported.refused.len(),
            unwanted: exported.unwanted.iter().map(|name| text(name)).collect(),
            repair: repair.map(|repaired| ShownRepair {
                looked: repaired.looked,
                read: repaired.read,
                untold: repaired.untold,
                unknown: repaired.unknown,
                damaged: repaired.damaged.iter().map(damaged).collect(),
            }),
        }
    }
}

/// The references of lines as git gives them to the hook: `OLD NEW REFERENCE`.
fn pushed(stdin: &mut impl BufRead) -> std::io::Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    stdin.take(MOST).read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| line.splitn(3, |byte| *byte == b' ').nth(2)).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_from_what_git_says() {
        let read = |text: &str| pushed(&mut text.as_bytes()).expect("read");
        assert_eq!(read("0 1 refs/heads/main\n1 2 refs/heads/a b\n"), [&b"refs/heads/main"[..], b"refs/heads/a b"]);
        assert!(read("").is_empty() && read("nonsense\n").is_empty());
    }
}
