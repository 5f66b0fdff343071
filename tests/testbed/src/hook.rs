//! `post-receive` of ours in a repository.

use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::annex::{LIMIT, Repo};
use super::product;

/// `post-receive`, which waits for what was pushed, and for stores no longer than so many seconds.
pub fn start(repo: &Repo, timeout: &str) -> Child {
    let mut command = repo.command(product());
    command.env("STREAM_TIMEOUT", timeout);
    start_as(command)
}

/// The same, where `command` is the program in its surroundings.
pub fn start_as(mut command: Command) -> Child {
    command.arg("post-receive").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Tells it that the branch was pushed.
pub fn tell(hook: &mut Child) {
    let mut stdin = hook.stdin.take().expect("stdin is piped");
    // It may have ended already.
    let _ = stdin.write_all(b"0 1 refs/heads/main\n");
}

/// Waits for its end; what it said.
#[track_caller]
pub fn end(mut hook: Child) -> (ExitStatus, String) {
    drop(hook.stdin.take());
    let begun = Instant::now();
    while hook.try_wait().expect("our child").is_none() {
        if begun.elapsed() > LIMIT {
            let _ = hook.kill();
            panic!("post-receive does not end");
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let done = hook.wait_with_output().expect("its output");
    (done.status, [&done.stdout[..], &done.stderr].map(String::from_utf8_lossy).concat())
}
