//! Peers of the gateway against the real git-annex, over ssh and HTTP, and against this program.

mod fake;
mod side;
use std::time::Duration;

use bytes::Bytes;
use git_annex_remote_stream::gateway::FailureKind;
use git_annex_remote_stream::name::Key;
use git_annex_remote_stream::peer::{Peer, PeerGet, PeerOffer, PeerPut, SshProgram, SshWays};
use git_annex_remote_stream::proto::p2p::AssociatedFile;
use remotes::budget::{BLOCK, Budget};
use remotes::pump::{Source, lane::SocketBlocks};
use side::{Kind, Side, key, peer, run, their_http};
use testbed::annex::{Repo, content};
use testbed::clients::write_program;
use testbed::gateway::SOON;

const MIB: usize = 1 << 20;

/// Each of these is held with the real git-annex and with this program.
macro_rules! with_everybody {
    ($($test:ident),* $(,)?) => {
        mod their_shell { $(#[test] fn $test() { super::run(super::$test(super::Side::new(super::Kind::TheirShell))) })* }
        mod our_shell { $(#[test] fn $test() { super::run(super::$test(super::Side::new(super::Kind::OurShell))) })* }
        mod their_http { $(#[test] fn $test() { super::run(super::$test(super::Side::new(super::Kind::TheirHttp))) })* }
        mod our_http { $(#[test] fn $test() { super::run(super::$test(super::Side::new(super::Kind::OurHttp))) })* }
    };
}

with_everybody!(
    questions_are_answered,
    content_comes_from_any_byte_on,
    content_goes_there_and_goes_on_after_a_break,
    content_said_to_be_wrong_is_not_stored,
    content_is_removed_and_kept_by_locks,
    another_repository_is_refused,
    a_peer_killed_while_content_comes_is_an_error,
    a_peer_killed_while_content_goes_is_an_error,
);

fn file() -> AssociatedFile {
    AssociatedFile::new("some dir/[a] fil\u{e9}%".as_bytes()).expect("relative")
}

/// A key that is not in the repository, and its content.
fn elsewhere(seed: u64, len: usize) -> (Key, Vec<u8>) {
    let bytes = content(seed, len);
    let other = Repo::new();
    (key(&other.add("f", seed, len)), bytes)
}

async fn all(get: PeerGet) -> (Result<Vec<u8>, String>, bool) {
    let PeerGet { len, source, end } = get;
    let read = read(source).await;
    if let Ok(bytes) = &read {
        assert_eq!(bytes.len() as u64, len);
    }
    (read, end.finish().await)
}

async fn read(source: Source) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match source {
        Source::Stream(mut blocks) => {
            while let Some(block) = blocks.next().await.map_err(|e| e.to_string())? {
                assert!(!block.is_empty());
                bytes.extend_from_slice(&block);
            }
        }
        Source::Socket(source) => {
            let budget = Budget::new(8 << 20);
            let mut blocks = SocketBlocks::new(source.socket.stream(), source.head, source.len, SOON);
            while blocks.left() > 0 {
                let mut block = budget.block();
                blocks.fill(&mut block).await.map_err(|e| e.to_string())?;
                bytes.extend_from_slice(block.as_ref());
            }
            source.socket.done();
        }
        Source::File(_) => panic!("content of a peer is in no file here"),
    }
    Ok(bytes)
}

async fn offered(peer: &Peer, key: &Key) -> Box<PeerPut> {
    match peer.put(key, &file()).await.expect("it can be asked") {
        PeerOffer::Upload(put) => put,
        PeerOffer::AlreadyHave(_) => panic!("it has it already"),
    }
}

async fn send(put: &mut PeerPut, bytes: &[u8]) {
    for block in bytes.chunks(BLOCK / 3) {
        put.write(Bytes::copy_from_slice(block)).await.expect("it takes content");
    }
}

async fn questions_are_answered(side: Side) {
    let there = key(&side.repo.add("f", 1, 5000));
    let (absent, _) = elsewhere(2, 10);
    let peer = side.peer();
    for _ in 0..3 {
        assert!(peer.check(&there).await.expect("it can be told"));
        assert!(!peer.check(&absent).await.expect("it can be told"));
    }
    let now = u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec).expect("positive");
    let told = peer.timestamp().await.expect("it has a clock");
    assert!(now.abs_diff(told) < 100, "{now} {told}");
    assert!(peer.take_note(&there).await.expect("it can be told").is_some());
    assert!(peer.take_note(&absent).await.expect("it can be told").is_none());
    assert_eq!(peer.offset(&there).await.expect("it can be told"), None);
    assert_eq!(peer.offset(&absent).await.expect("it can be told"), Some(0));
    assert!(matches!(peer.put(&there, &file()).await, Ok(PeerOffer::AlreadyHave(_))));
    // One process answered all of it.
    assert!(side.calls().len() <= 1, "{:?}", side.calls());
    drop(peer);
    side.wait_gone();
}

async fn content_comes_from_any_byte_on(side: Side) {
    let bytes = content(3, 3 * MIB + 7);
    let there = key(&side.repo.add("f", 3, bytes.len()));
    let empty = key(&side.repo.add("empty", 3, 0));
    let (absent, _) = elsewhere(2, 10);
    let peer = side.peer();
    for from in [0, 1, MIB, bytes.len() - 1, bytes.len()] {
        let get = peer.get(&there, &file(), from as u64).await.expect("it can be told").expect("it is there");
        assert_eq!(get.len, (bytes.len() - from) as u64);
        let (read, right) = all(get).await;
        assert!(read.expect("it comes") == bytes[from..], "from {from}");
        assert!(right, "from {from}");
    }
    let get = peer.get(&empty, &file(), 0).await.expect("it can be told").expect("it is there");
    assert_eq!(all(get).await, (Ok(Vec::new()), true));
    assert!(peer.get(&absent, &file(), 0).await.expect("it can be told").is_none());
    // What is not read to its end leaves nothing behind that the next one could trip over.
    let get = peer.get(&there, &file(), 0).await.expect("it can be told").expect("it is there");
    assert!(!get.finish().await, "nothing was read of it");
    assert!(peer.check(&there).await.expect("it can be told"));
    // Only the one that was not read to its end is not used again.
    assert!(side.calls().len() <= 2, "{:?}", side.calls());
}

async fn content_goes_there_and_goes_on_after_a_break(side: Side) {
    let peer = side.peer();
    for (seed, len) in [(4, 0), (5, 10), (6, 2 * MIB + 3)] {
        let (new, bytes) = elsewhere(seed, len);
        let mut put = offered(&peer, &new).await;
        assert_eq!(put.offset(), 0);
        put.begin(0, len as u64).await.expect("from the first byte on");
        send(&mut put, &bytes).await;
        assert!(put.finish(true).await.expect("it can be told").0, "{len}");
        assert!(peer.check(&new).await.expect("it can be told"));
    }
    let (new, bytes) = elsewhere(7, 2 * MIB);
    let mut put = offered(&peer, &new).await;
    put.begin(0, bytes.len() as u64).await.expect("from the first byte on");
    send(&mut put, &bytes[..MIB]).await;
    put.keep().await;
    // The other side has to see that the connection is gone.
    let limit = tokio::time::Instant::now() + SOON / 2;
    let held = loop {
        match peer.offset(&new).await {
            Ok(Some(held)) if held == MIB as u64 => break held,
            // git-annex's own p2phttp may lose the thread that served a client which is gone ("blocked indefinitely in an
            // STM transaction"), and with it what came. The other three sides have no such excuse.
            other if side.is_their_http() && tokio::time::Instant::now() > limit => {
                eprintln!("NOT TESTED: going on after a break with git-annex p2phttp, which forgot it: {other:?}");
                return;
            }
            other => assert!(tokio::time::Instant::now() < limit || side.is_their_http(), "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut put = offered(&peer, &new).await;
    assert_eq!(put.offset(), held);
    // A client may send again what is there.
    let from = MIB - 100_000;
    put.begin(from as u64, (bytes.len() - from) as u64).await.expect("from there on");
    send(&mut put, &bytes[from..]).await;
    assert!(put.finish(true).await.expect("it can be told").0);
    let get = peer.get(&new, &file(), 0).await.expect("it can be told").expect("it is there");
    let (read, right) = all(get).await;
    assert!(right && read.expect("it comes") == bytes);
}

async fn content_said_to_be_wrong_is_not_stored(side: Side) {
    let peer = side.peer();
    let (new, mut bytes) = elsewhere(8, MIB);
    bytes[7] ^= 1;
    for valid in [true, false] {
        let mut put = offered(&peer, &new).await;
        let from = usize::try_from(put.offset()).expect("small");
        put.begin(from as u64, (bytes.len() - from) as u64).await.expect("from there on");
        send(&mut put, &bytes[from..]).await;
        // Over HTTP what is known to be wrong is not even finished.
        assert!(!put.finish(valid).await.expect("it can be told").0, "{valid}");
        assert!(!peer.check(&new).await.expect("it can be told"));
    }
    let (other, bytes) = elsewhere(9, MIB);
    let mut put = offered(&peer, &other).await;
    put.begin(0, bytes.len() as u64).await.expect("from the first byte on");
    send(&mut put, &bytes[1..]).await;
    let short = put.finish(true).await.expect_err("a byte is missing");
    assert!(short.to_string().contains("less content"), "{short}");
    assert!(!peer.check(&other).await.expect("it can be told"));
}

async fn content_is_removed_and_kept_by_locks(side: Side) {
    let there = key(&side.repo.add("f", 1, 5000));
    let (absent, _) = elsewhere(2, 10);
    let (peer, another) = (side.peer(), side.peer());
    assert!(peer.lock(&absent).await.expect("it can be told").is_none());
    let now = i64::try_from(peer.timestamp().await.expect("it has a clock")).expect("small");
    let late = peer.remove(&there, Some(now - 5)).await.expect_err("it is too late");
    assert_eq!(late.kind(), FailureKind::TooLate, "{late}");
    assert!(peer.check(&there).await.expect("it can be told"));
    for dropped in [false, true] {
        let mut lock = peer.lock(&there).await.expect("it can be told").expect("it is there");
        let failure = another.remove(&there, None).await.expect_err("it is locked");
        // The other side has answered something since, and nothing of it was about the lock.
        assert!(tokio::time::timeout(Duration::ZERO, lock.ended()).await.is_err(), "it is held");
        assert!(failure.to_string().contains("elsewhere") || failure.to_string().contains("127.0.0.1"), "{failure}");
        assert!(peer.check(&there).await.expect("it can be told"));
        if dropped { drop(lock) } else { lock.unlock().await }
    }
    // The lock that was dropped is gone once the other side has seen it.
    let limit = tokio::time::Instant::now() + SOON;
    while let Err(failure) = peer.remove(&there, Some(now + 500)).await {
        assert!(tokio::time::Instant::now() < limit, "{failure}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!peer.check(&there).await.expect("it can be told"));
    peer.remove(&there, None).await.expect("it is not there, which is all that is wanted");
}

async fn another_repository_is_refused(side: Side) {
    let there = key(&side.repo.add("f", 1, 5000));
    let wrong = side.peer_of("00000000-0000-4000-8000-00000000abcd");
    let failure = wrong.check(&there).await.expect_err("it is another one");
    assert!(failure.to_string().contains("00000000-0000-4000-8000-00000000abcd"), "{failure}");
    assert!(wrong.get(&there, &file(), 0).await.is_err());
    assert!(wrong.put(&there, &file()).await.is_err());
    assert!(wrong.remove(&there, None).await.is_err());
    assert!(side.peer().check(&there).await.expect("it can be told"));
}

async fn a_peer_killed_while_content_comes_is_an_error(mut side: Side) {
    let there = key(&side.repo.add("f", 1, 40 * MIB));
    let peer = side.peer();
    let get = peer.get(&there, &file(), 0).await.expect("it can be told").expect("it is there");
    side.kill();
    let (read, right) = all(get).await;
    assert!(read.is_err() && !right, "{:?}", read.map(|bytes| bytes.len()));
    side.wait_gone();
}

async fn a_peer_killed_while_content_goes_is_an_error(mut side: Side) {
    let (new, bytes) = elsewhere(1, 40 * MIB);
    let peer = side.peer();
    let mut put = offered(&peer, &new).await;
    put.begin(0, bytes.len() as u64).await.expect("from the first byte on");
    put.write(Bytes::copy_from_slice(&bytes[..BLOCK])).await.expect("it takes content");
    side.kill();
    let mut failed = false;
    for block in bytes[BLOCK..].chunks(BLOCK) {
        failed = put.write(Bytes::copy_from_slice(block)).await.is_err();
        if failed {
            break;
        }
    }
    if failed {
        drop(put)
    } else {
        put.finish(true).await.expect_err("it cannot be told");
    }
    side.wait_gone();
}

#[test]
fn a_process_that_died_while_idle_is_replaced() {
    run(async {
        let mut side = Side::new(Kind::TheirShell);
        let there = key(&side.repo.add("f", 1, 5000));
        let peer = side.peer();
        for n in 1..4 {
            assert!(peer.check(&there).await.expect("it can be told"));
            assert_eq!(side.pids().len(), n);
            side.kill();
        }
    });
}

#[test]
fn what_ssh_says_is_told() {
    run(async {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let program = dir.path().join("ssh");
        write_program(&program, "#!/bin/sh\necho 'ssh: connect to host h port 22: No route to host' >&2\nexit 255\n");
        let ways = SshWays { program: SshProgram::Program(program.into()), ..SshWays::default() };
        let peer = peer("ssh://h/x", "00000000-0000-4000-8000-00000000abcd", ways, None);
        let failure = peer.check(&key("XYZ--a")).await.expect_err("it cannot be told");
        assert!(failure.to_string().contains("ssh://h/x") && failure.to_string().contains("No route"), "{failure}");
    });
}

#[test]
fn a_password_comes_from_git_and_is_used_until_it_is_wrong() {
    run(async {
        let mut repo = Repo::new();
        let there = key(&repo.add("f", 1, 5000));
        repo.set("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "pw1");
        let (mut server, url) = their_http(&repo, &["--authenv-http"]);
        let here = Repo::new();
        let log = here.dir().join("asked");
        let helper = here.dir().join("helper");
        let script = format!(
            "#!/bin/sh\necho \"$1\" >> '{0}'\ncat >> '{0}'\n[ $1 = get ] && printf 'username=alice\\npassword=pw1\\n'\nexit 0\n",
            log.display()
        );
        write_program(&helper, &script);
        here.git(&["config", "credential.helper", &helper.display().to_string()]).ok();
        let peer = peer(&url, &repo.uuid(), SshWays::default(), Some(here.dir()));
        for _ in 0..3 {
            assert!(peer.check(&there).await.expect("it can be told"));
        }
        let asked = std::fs::read_to_string(&log).expect("the helper was asked");
        assert_eq!(asked.lines().filter(|line| *line == "get").count(), 1, "{asked}");
        assert_eq!(asked.lines().filter(|line| *line == "store").count(), 1, "{asked}");
        assert!(asked.contains("protocol=annex+http\n") && asked.contains("path=git-annex\n"), "{asked}");
        write_program(&helper, &script.replace("pw1", "pw2"));
        let stranger = side::peer(&url, &repo.uuid(), SshWays::default(), Some(here.dir()));
        let failure = stranger.check(&there).await.expect_err("the password is wrong");
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(!failure.to_string().contains("pw2") && failure.to_string().contains("password"), "{failure}");
        assert!(std::fs::read_to_string(&log).expect("asked").contains("erase\n"));
        server.kill().expect("it is running");
        server.wait().expect("it ends");
    });
}
