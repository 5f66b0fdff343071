//! The product killed in the middle of a transfer: nothing becomes visible, and a signal that can be caught also cleans
//! up. The middle is certain: to S3 a relay stalls the payload, on fs a PROGRESS line says that bytes move.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use testbed::annex::{Repo, content};
use testbed::driver::Driver;
use testbed::place::{Place, Whose};
use testbed::relay::Relay;

/// Promised is a second; the rest is for a loaded machine.
const PROMPT: Duration = Duration::from_secs(10);

const LEN: usize = 40 << 20;

/// Store through a stalling relay, send `signal` to the product, and look at the bucket.
fn store_to_s3_is_cut(signal: Signal, options: &[&str]) {
    let place = Place::weed();
    let Place::S3(server, ..) = &place else { unreachable!("it is a bucket") };
    let relay = Relay::start(server.port, 3 << 20);
    let repo = Repo::new();
    repo.initremote("x", &place.through(relay.port), Whose::Ours, options).ok();
    let key = repo.add("file", 1, LEN);
    let mut command = repo.annex_command(&["copy", "--to", "x", "--quiet"]);
    let mut copy = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    relay.wait_stalled();
    let product = child_named(Pid::from_child(&copy), "git-annex-remot").expect("the product runs below git-annex");
    let took = end(product, signal);
    let _ = kill_process_group(Pid::from_child(&copy), Signal::KILL);
    let _ = copy.wait();
    let names = place.names();
    assert!(!names.iter().any(|name| name.contains(&key)), "visible after {signal:?}: {names:?}");
    if signal != Signal::KILL {
        assert!(took < PROMPT, "{signal:?} took {took:?}");
        let uploads = place.uploads();
        assert!(!uploads.contains(&key), "an upload was left after {signal:?}: {uploads}");
    }
    relay.open();
    repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
    assert!(place.names().iter().any(|name| name.contains(&key)), "stored by the next try");
    repo.annex(&["drop", "--quiet"]).ok();
    repo.annex(&["get", "--quiet"]).ok();
    assert!(repo.read("file").as_deref() == Some(content(1, LEN).as_slice()));
}

#[test]
fn sigterm_aborts_a_multipart_upload() {
    store_to_s3_is_cut(Signal::TERM, &["partsize=8MiB"]);
}

#[test]
fn sigint_aborts_a_multipart_upload() {
    store_to_s3_is_cut(Signal::INT, &["partsize=8MiB"]);
}

#[test]
fn sigkill_leaves_nothing_visible_of_a_multipart_upload() {
    store_to_s3_is_cut(Signal::KILL, &["partsize=8MiB"]);
}

#[test]
fn sigterm_cuts_an_upload_of_default_size() {
    store_to_s3_is_cut(Signal::TERM, &[]);
}

#[test]
fn sigkill_leaves_nothing_visible_of_an_upload_of_default_size() {
    store_to_s3_is_cut(Signal::KILL, &[]);
}

/// Store a file too large to be done soon, and send `signal` once bytes move.
fn store_to_fs_is_cut(signal: Signal) {
    let place = Place::fs();
    let scratch = tempfile::tempdir().expect("a temporary directory");
    // Sparse: costs no room here, and what the product writes of it before it is killed is removed with the directory.
    let len: u64 = 8 << 30;
    let file = scratch.path().join("file");
    std::fs::File::create(&file).and_then(|file| file.set_len(len)).expect("a sparse file");
    let key = format!("WORM-s{len}-m1--large");
    let mut driver = Driver::start(scratch.path(), &place.options(Whose::Ours), None);
    assert_eq!(driver.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
    assert_eq!(driver.ask("PREPARE"), "PREPARE-SUCCESS");
    driver.say(&format!("TRANSFER STORE {key} file"));
    let first = driver.line().expect("the transfer begins");
    assert!(first.starts_with("PROGRESS "), "the first line of a long transfer: {first}");
    let begun = Instant::now();
    driver.signal(signal);
    let took = begun.elapsed();
    let names = place.names();
    assert!(!names.iter().any(|name| name.ends_with(&format!("{key}/{key}"))), "visible: {names:?}");
    if signal != Signal::KILL {
        assert!(took < PROMPT, "{signal:?} took {took:?}");
        assert!(!names.iter().any(|name| name.contains(&key)), "left behind: {names:?}");
    }
}

#[test]
fn sigterm_leaves_nothing_in_a_directory() {
    store_to_fs_is_cut(Signal::TERM);
}

#[test]
fn sigint_leaves_nothing_in_a_directory() {
    store_to_fs_is_cut(Signal::INT);
}

#[test]
fn sigkill_leaves_nothing_visible_in_a_directory() {
    store_to_fs_is_cut(Signal::KILL);
}

/// Send `signal` and wait for the end of a process that is not our child; how long it took.
fn end(process: Pid, signal: Signal) -> Duration {
    let watch = pidfd_open(process, PidfdFlags::empty()).expect("it is running");
    let begun = Instant::now();
    kill_process(process, signal).expect("it is running");
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&limit)).expect("poll works");
    assert!(ended > 0, "still running a minute after {signal:?}");
    begun.elapsed()
}

/// The descendant of `ancestor` whose command name, which the kernel cuts at 15 bytes, is `name`.
fn child_named(ancestor: Pid, name: &str) -> Option<Pid> {
    let processes: Vec<(i32, i32, String)> = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // PID (COMM) STATE PPID ...; the name may hold spaces and parentheses.
            let (head, tail) = stat.rsplit_once(')')?;
            let parent = tail.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent, head.split_once('(')?.1.to_string()))
        })
        .collect();
    let parent = |pid| processes.iter().find(|(it, ..)| *it == pid).map(|(_, parent, _)| *parent);
    let below =
        |pid| std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == ancestor.as_raw_nonzero().get());
    let found = processes.iter().find(|(pid, _, comm)| comm.starts_with(name) && below(*pid))?;
    Pid::from_raw(found.0)
}
