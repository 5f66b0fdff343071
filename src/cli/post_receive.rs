//! `post-receive`: for git's hook of that name.

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

use super::here;
use crate::serve::hook;

pub(super) const EXAMPLES: &str = "\
Publish a branch as a readable tree in a bucket that only this server can write to. In the repository on the server:

  git annex initremote bucket type=S3 encryption=none exporttree=yes annexobjects=yes bucket=... host=...
  git config remote.bucket.annex-tracking-branch main
  git config remote.bucket.annex-proxy true
  git-annex-remote-stream updateproxy

  printf '#!/bin/sh\\nexec git-annex-remote-stream post-receive\\n' > hooks/post-receive
  chmod +x hooks/post-receive

Then, after git push or git annex push, the bucket holds the files of the branch under their names, as soon as their content
has come. main:public follows a directory of the branch. Files that are renamed or doubled are renamed and copied in the
bucket; content that left the tree stays in it, below .git/annex/objects.

Without a hook, or after this was killed, the next upload through here or the next run brings the tree up to date. Without a
push it does so by hand: git-annex-remote-stream post-receive </dev/null

The exit status is 1 where a tree could not be brought up to date. The push was taken all the same.";

/// Most bytes that are read of what was pushed.
const MOST: u64 = 64 << 20;

/// Reads what was pushed from stdin and brings the trees up to date.
pub(super) fn main() -> ExitCode {
    match follow() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn follow() -> Result<bool, String> {
    let repository = here::repository()?;
    let pushed = pushed(&mut std::io::stdin().lock()).map_err(|e| format!("stdin: {e}"))?;
    let mut all = true;
    hook::follow(repository.path(), &pushed, |followed| {
        all &= followed.done.is_ok();
        // git shows it to whoever pushed, who may have gone.
        let _ = writeln!(std::io::stdout(), "{followed}");
    })?;
    Ok(all)
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
