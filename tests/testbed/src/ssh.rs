//! A pretend ssh, so that the real git-annex runs our git-annex-shell as it would on another computer.
//!
//! It runs the command that it is given here. On order it keeps what is said, and stalls what goes in or out after so many
//! bytes, so that "in mid-transfer" is a state and not a guess.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::annex::{LIMIT, Repo};
use super::gateway::eventually;
use super::place::Whose;
use super::product;
use super::run::run;

/// The last word is the command. `$0` is in the directory where all is kept.
const SCRIPT: &str = r#"#!/bin/sh
dir=$(dirname "$0")
for command; do :; done
echo "$command" >> "$dir/calls"
if [ -n "$PRETEND_PATH" ]; then
  PATH=$PRETEND_PATH
fi
if [ -n "$PRETEND_FORCED" ]; then
  exec git-annex-shell -c "$command"
fi
case "$command" in
  git-annex-shell*p2pstdio*) ;;
  *) eval "exec $command" ;;
esac
exec 3<&0
valve() {
  if [ -z "$1" ] || [ -e "$dir/open" ]; then exec cat; fi
  # What comes goes on at once, which head would not do.
  dd bs=65536 count="$1" iflag=count_bytes status=none
  : > "$dir/stalled"
  while [ -d "$dir" ] && ! [ -e "$dir/open" ]; do sleep 0.02; done
  exec cat
}
if [ -z "$PRETEND_IN$PRETEND_OUT$PRETEND_KEEP" ]; then
  eval "exec $command"
fi
valve "$PRETEND_IN" <&3 3<&- | tee -a "$dir/in" 3<&- |
  sh -c "echo \$\$ > '$dir/pid'; exec $command" 3<&- | tee -a "$dir/out" 3<&- | valve "$PRETEND_OUT" 3<&- &
# Once the server is gone nothing here keeps the pipe to the client open.
exec <&- >&- 3<&-
wait
"#;

/// A pretend ssh and what it keeps.
pub struct Ssh {
    dir: tempfile::TempDir,
}

impl Ssh {
    /// A new one, which leads to our git-annex-shell.
    pub fn new() -> Ssh {
        Ssh::to(Whose::Ours)
    }

    /// A new one, which leads to the git-annex-shell of ours or theirs.
    pub fn to(whose: Whose) -> Ssh {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = dir.path().join("ssh");
        std::fs::write(&script, SCRIPT).expect("written");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("made a program");
        let shell = dir.path().join("bin/git-annex-shell");
        std::fs::create_dir(dir.path().join("bin")).expect("a directory");
        if whose == Whose::Ours {
            symlink(product(), shell).expect("a link");
        }
        Ssh { dir }
    }

    /// From now on `client` reaches every host through this.
    pub fn lead(&self, client: &mut Repo) {
        let script = self.dir.path().join("ssh").display().to_string();
        client.set("GIT_SSH", script);
        client.set("GIT_ANNEX_USE_GIT_SSH", "1");
        // On the other side our git-annex-shell comes before the real one, and git-annex itself is there for git's hooks.
        let path = format!("{}:{}", self.dir.path().join("bin").display(), client.get("PATH"));
        client.set("PATH", path);
    }

    /// From now on the other side of `client` has git and our git-annex-shell, and nothing of git-annex.
    #[track_caller]
    pub fn leave_out_git_annex(&self, client: &mut Repo) {
        let bin = self.dir.path().join("bin");
        for program in ["git", "git-receive-pack", "git-upload-pack", "git-shell", "sh", "cat", "dirname"] {
            let found = run(client.command(Path::new("sh")).args(["-c", &format!("command -v {program}")]), LIMIT).ok();
            symlink(found.stdout.trim(), bin.join(program)).expect("a link");
        }
        client.set("PRETEND_PATH", bin.display().to_string());
    }

    /// The url of `server` for those that are led here.
    pub fn url(server: &Repo) -> String {
        format!("ssh://elsewhere{}", server.dir().display())
    }

    /// The commands that were run, in order.
    pub fn calls(&self) -> Vec<String> {
        self.kept("calls").lines().map(str::to_string).collect()
    }

    /// What clients said, where it was kept.
    pub fn said(&self) -> String {
        self.kept("in")
    }

    /// What servers said, where it was kept.
    pub fn answered(&self) -> String {
        self.kept("out")
    }

    /// Forgets what was kept.
    pub fn forget(&self) {
        for name in ["calls", "in", "out", "stalled", "open", "pid"] {
            let _ = std::fs::remove_file(self.dir.path().join(name));
        }
    }

    /// Waits until a transfer has used up what may pass.
    #[track_caller]
    pub fn wait_stalled(&self) {
        eventually("the transfer stalls", || self.path("stalled").exists());
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        std::fs::write(self.path("open"), "").expect("written");
    }

    /// Kills the server that was started last.
    #[track_caller]
    pub fn kill_server(&self) {
        let pid = self.kept("pid").trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::KILL).expect("it is running");
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    fn kept(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}
