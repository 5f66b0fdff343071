//! git over the same address: clients that vanish, stall or crawl, and more than there is room for.

use std::time::Duration;

use testbed::gateway::eventually;

use crate::site::Site;

const NOBODY: &str = "0000000000000000000000000000000000000000";

/// Whoever goes away in the middle leaves no program, no lock and no objects behind.
#[test]
fn a_client_that_vanishes_takes_git_with_it() {
    let site = Site::open(&["--wideopen"]);
    let running = || site.server().metric("git_processes");
    let head = |service: &str, length: u64| {
        format!(
            "POST /photos.git/{service} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-{service}-request\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let line = format!("{NOBODY} {} refs/heads/x\0report-status side-band-64k", "a".repeat(40));
    let packet = format!("{:04x}{line}0000PACK\0\0\0\x02\0\0\0\x05", line.len() + 4);
    for (service, body) in [("git-receive-pack", packet.as_str()), ("git-upload-pack", "0011command=fetch")] {
        let mut client = site.server().connect();
        client.send(head(service, 1 << 30));
        client.send(body);
        eventually("git runs", || running() == 1);
        client.vanish();
        eventually("git has ended", || running() == 0);
    }
    assert_eq!(site.git("photos.git", &["for-each-ref", "refs/heads/x"]), "");
    let is_quarantine = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("tmp_objdir");
    let quarantines = || {
        let objects = std::fs::read_dir(site.at("photos.git/objects")).expect("it is there").flatten();
        objects.filter(|entry| is_quarantine(&entry.file_name())).count()
    };
    eventually("what came is removed", || quarantines() == 0);
}

#[test]
fn more_than_the_limit_wait_and_are_told_to_come_back() {
    let site = Site::open(&["--wideopen", "--git-processes", "2"]);
    let mut slow = site.server().connect();
    slow.send("POST /photos.git/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n\r\n0");
    eventually("git runs", || site.server().metric("git_processes") == 1);
    // Strangers may have half of it.
    let refused = site
        .server()
        .connect()
        .ask("GET /photos.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(refused.text().contains("--git-processes"), "{}", refused.text());
    let config = site.server().connect().ask("GET /photos.git/config HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(config.status, 200, "what needs no program is answered");
    slow.vanish();
    eventually("git has ended", || site.server().metric("git_processes") == 0);
    site.clone("", "photos.git");
}

/// One that sends nothing is given up, and its git with it.
#[test]
fn who_stalls_is_given_up() {
    let site = Site::open(&["--wideopen", "--timeout", "2"]);
    let mut slow = site.server().connect();
    slow.send("POST /photos.git/git-upload-pack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n\r\n0");
    slow.rest();
    eventually("git has ended", || site.server().metric("git_processes") == 0);
    site.server().wait_for(|line| (line.starts_with("git ") && line.contains("nothing moved")).then_some(()));
}

/// Between two bytes of a client that crawls.
const CRAWL: Duration = Duration::from_millis(10);

/// One that sends a byte now and then keeps no program of git's. No client is as fast as is asked for here.
#[test]
fn who_crawls_is_given_up() {
    let site = Site::open(&["--wideopen", "--timeout", "1", "--git-min-rate", "1TiB"]);
    let cut_off = |op: &str| {
        let is_it = |line: &str| line.starts_with("git ") && line.contains(op) && line.contains("slower than");
        site.server().wait_for(|line| is_it(line).then_some(()));
        eventually("git has ended", || site.server().metric("git_processes") == 0);
    };
    let head = |service: &str, length: usize| {
        format!(
            "POST /photos.git/{service} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-{service}-request\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // Within the commands of a push, and behind them.
    let line = format!("{NOBODY} {} refs/heads/x\0report-status", "a".repeat(40));
    let mut packet = format!("{:04x}{line}0000PACK\0\0\0\x02\0\0\0\x05", line.len() + 4).into_bytes();
    // A blob of 4 GiB, stored as it is.
    packet.extend_from_slice(b"\xb0\x80\x80\x80\x7f\x78\x01\x00\xff\xff\x00\x00");
    for begun in [b"fff0", &packet[..]] {
        let mut slow = site.server().connect();
        slow.send(head("git-receive-pack", 1 << 40));
        slow.send(begun);
        while slow.try_send("a").is_ok() {
            std::thread::sleep(CRAWL);
        }
        cut_off("op=push");
    }
}
