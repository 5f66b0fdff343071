//! Clients that stall, vanish or are too many, and what they leave in the server: nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testbed::annex::{Repo, content};
use testbed::gateway::{Gateway, Held, SOON, eventually};
use testbed::http::Client;
use testbed::rest::{at_rest, leftovers, put_some, returns_to, warm_up};
use testbed::wire::{Wire, key_of, length};

/// How long another client may have to wait, whatever the others do: not until they are cut off.
const PROMPT: Duration = Duration::from_secs(10);

/// Clients of each kind that stall at the same time.
const EACH: usize = 50;

const BIG: usize = 8 << 20;

#[test]
fn three_hundred_stalled_clients_stop_nobody_and_leave_nothing() {
    let repo = Repo::new();
    let big = repo.add("big", 1, BIG);
    // As many as most systems let a program open at first; it has to ask for more.
    let wire = limited(repo, "-S", 256, &["--lockedfiles", "1000", "--quiet"]);
    warm_up(&wire, &big);
    let small: Vec<String> = (0..EACH as u64).map(|n| put_some(&wire, 100 + n)).collect();
    let before = at_rest(&wire);

    let mut stalled: Vec<Client> = Vec::new();
    let mut stall = |bytes: &[u8]| {
        let mut client = wire.server.connect();
        client.send(bytes);
        stalled.push(client);
    };
    let announced = 3 << 20;
    for n in 0..EACH {
        let key = |kind: u64| key_of(&content(1000 * kind + n as u64, announced));
        stall(b"");
        stall(b"POST /git-annex/half-a-he");
        stall(wire.put_head(&key(1), announced).as_bytes());
        stall(&[wire.put_head(&key(2), announced).as_bytes(), &content(2000 + n as u64, 100_000)].concat());
        stall(&wire.put_chunk(&key(3), announced, b"a chunk, and no more"));
        stall(wire.get(&big).as_bytes());
    }
    let locks: Vec<String> = small.iter().map(|key| wire.lock(key)).collect();
    let keepers: Vec<Client> = locks.iter().map(|id| wire.keep(id)).collect();
    eventually("all are connected and under way", || {
        let now = wire.server.held();
        now.connections >= 7 * EACH as u64 && now.uploads == 3 * EACH as u64 && now.downloads == EACH as u64
    });
    let during = wire.server.held();
    // A stalled client is worth four descriptors at most, and no memory to speak of. No thread waits for it.
    assert!(during.descriptors <= before.descriptors + 4 * 7 * EACH, "{before:?} {during:?}");
    eventually("stalled clients keep no memory", || wire.server.held().memory <= before.memory);

    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(wire.ask("checkpresent", &big), r#"{"present":true}"#);
        let another = content(begun.elapsed().as_nanos() as u64, 2 << 20);
        assert_eq!(wire.put(&key_of(&another), &another).text(), r#"{"plusuuids":[],"stored":true}"#);
        assert_eq!(wire.ask("remove", &key_of(&another)), r#"{"plusuuids":[],"removed":true}"#);
        assert!(begun.elapsed() < PROMPT, "it took {:?}", begun.elapsed());
    }

    for (n, client) in stalled.into_iter().enumerate() {
        if n % 2 == 0 { client.vanish() } else { drop(client) }
    }
    for client in keepers {
        client.vanish();
    }
    eventually("connections end", || wire.server.metric("connections") <= 1);
    // Locks of clients that vanished stay for ten minutes, or until they come back and let go.
    assert_eq!(wire.server.metric("locks"), EACH as u64);
    assert!(small[..5].iter().all(|key| wire.ask("remove", key) == r#"{"plusuuids":[],"removed":false}"#));
    locks.iter().for_each(|id| wire.unlock(id));
    assert_eq!(leftovers(&wire.repo, &[".lck", ".rtl", ".rtm"]), Vec::<PathBuf>::new());
    // The main thread, a data thread for each core and the recorder stay, and a few come and go.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    returns_to(&wire, Held { threads: cores + 4, ..before });
    wire.server.stop();
}

#[test]
fn clients_that_vanish_at_any_byte_leave_nothing() {
    let repo = Repo::new();
    let big = repo.add("big", 1, BIG);
    let wire = Wire::open(repo, &["--quiet"]);
    warm_up(&wire, &big);
    let before = at_rest(&wire);
    let body = content(77, 700_000);
    let key = key_of(&body);
    let put = [wire.put_head(&key, body.len()).as_bytes(), &body[..]].concat();
    let mut chunked = wire.put_chunk(&key, body.len(), &body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let mut requests = vec![put, chunked, wire.get(&big).into_bytes()];
    for op in ["checkpresent", "putoffset", "remove", "lockcontent"] {
        let path = wire.path(op, &key);
        requests.push(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").into_bytes());
    }
    for request in &requests {
        // A lock that was asked for to the last byte is kept ten minutes for a client that may have been told.
        let whole = if request.starts_with(b"POST") && contains(request, b"lockcontent") { 1 } else { 0 };
        let end = request.len() - whole;
        let cuts = (0..6).map(|n| n * 40).chain([request.len() / 3, request.len() - 1, end]);
        for cut in cuts.filter(|cut| *cut <= request.len()) {
            let mut client = wire.server.connect();
            client.send(&request[..cut]);
            client.vanish();
            let mut client = wire.server.connect();
            client.send(&request[..cut]);
            drop(client);
        }
    }
    // In the middle of an answer, too.
    for _ in 0..10 {
        let mut client = wire.server.connect();
        client.send(wire.get(&big));
        client.bytes(100_000);
        client.vanish();
    }
    returns_to(&wire, before);
    // Whatever came of the content is gone on with, and it is the content in the end.
    assert_eq!(wire.put(&key, &body).text(), r#"{"plusuuids":[],"stored":true}"#);
    assert_eq!(wire.server.connect().ask(&wire.get(&key)).body, body);
    wire.repo.annex(&["fsck", "--quiet", "--key", &key]).ok();
    wire.server.stop();
}

#[test]
fn clients_that_are_silent_too_long_are_cut_off() {
    let repo = Repo::new();
    let big = repo.add("big", 1, 64 << 20);
    let wire = Wire::open(repo, &["--timeout", "1", "--quiet"]);
    let body = content(5, 500_000);
    let key = key_of(&body);
    let mut head = wire.server.connect();
    head.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    let mut drip = wire.server.connect();
    drip.send("GET / HTTP/1.1\r\n");
    let mut put = wire.server.connect();
    put.send(wire.put_head(&key, body.len()));
    put.send(&body[..200_000]);
    let mut get = wire.server.connect();
    get.send(wire.get(&big));
    let begun = Instant::now();
    // A byte now and then is no head.
    while begun.elapsed() < SOON && drip.try_send("a").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
    for mut client in [head, drip] {
        let rest = client.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", rest.escape_ascii());
    }
    eventually("the rest is cut off", || {
        wire.server.metric("connections") == 0 && wire.server.metric("uploads") + wire.server.metric("downloads") == 0
    });
    assert!(put.rest().is_empty(), "there is no answer to half a put");
    let got = get.rest();
    assert!(got.len() < 64 << 20, "it was cut off, not ended well: {}", got.len());
    // What came is there to go on with.
    assert_eq!(wire.ask("putoffset", &key), r#"{"offset":200000}"#);
    let path = wire.path("put", &key) + "&offset=200000";
    let answer = wire.server.connect().post(&path, &[&length(300_000)], &body[200_000..]);
    assert_eq!(answer.text(), r#"{"plusuuids":[],"stored":true}"#);
    wire.server.stop();
}

#[test]
fn a_transfer_that_moves_is_never_too_slow() {
    let wire = Wire::open(Repo::new(), &["--timeout", "3", "--quiet"]);
    let body = content(5, 26);
    let key = key_of(&body);
    let mut put = wire.server.connect();
    put.send(wire.put_head(&key, body.len()));
    for byte in &body {
        put.send([*byte]);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(put.answer(false).text(), r#"{"plusuuids":[],"stored":true}"#);
    wire.server.stop();
}

#[test]
fn more_clients_than_allowed_are_told_to_come_back() {
    let wire = Wire::open(Repo::new(), &["--connections", "3", "--quiet"]);
    let body = content(3, 3 << 20);
    let held: Vec<Client> = (0..3)
        .map(|n| {
            let mut client = wire.server.connect();
            client.send(wire.put_head(&key_of(&body[n..]), body.len() - n));
            client
        })
        .collect();
    eventually("three are at it", || wire.server.metric("uploads") == 3);
    let begun = Instant::now();
    let answer = wire.server.connect().answer(false);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert!(begun.elapsed() < PROMPT, "at once: {:?}", begun.elapsed());
    drop(held);
    eventually("there is room again", || wire.server.metric("connections") == 0);
    wire.ask("checkpresent", &key_of(b"x"));
    wire.server.stop();
}

#[test]
fn whoever_has_been_idle_for_longest_makes_room() {
    let wire = Wire::open(Repo::new(), &["--connections", "3", "--quiet"]);
    let mut idle: Vec<Client> = (0..3).map(|_| wire.server.connect()).collect();
    eventually("three are in", || wire.server.metric("connections") == 3);
    let mut late = None;
    // One that has just come may be about to say something.
    eventually("there is room for another", || {
        let mut client = wire.server.connect();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            wire.path("checkpresent", "WORM--x")
        );
        // Who is turned away may find the connection closed before it has said anything.
        let sent = client.try_send(head).is_ok();
        let answer = client.try_answer(false).ok().flatten();
        let served = sent && answer.is_some_and(|answer| answer.status == 200);
        late = Some(client);
        served
    });
    idle[0].rest();
    eventually("no more than three are in", || wire.server.metric("connections") <= 3);
    drop(late);
    wire.server.stop();
}

/// Strangers may read here, and do, as slowly as they can.
#[test]
fn strangers_who_take_all_the_room_there_is_leave_some_for_those_who_log_in() {
    let mut repo = Repo::new();
    repo.set("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "secret");
    let big = repo.add("big", 1, BIG);
    let flags = ["--connections", "8", "--authenv-http", "--unauth-readonly", "--quiet"];
    let server = Gateway::serve(&repo, &flags);
    let wire = Wire::of(repo, server);
    let get = || {
        let mut client = wire.server.connect();
        client.send(wire.get(&big));
        client
    };
    let stalled: Vec<Client> = (0..6).map(|_| get()).collect();
    eventually("six strangers are at it", || wire.server.metric("downloads") == 6);
    let answer = get().answer(false);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "a seventh is not served");
    let before = wire.server.metric("connections_accepted_total");
    let idle: Vec<Client> = (0..20).map(|_| wire.server.connect()).collect();
    eventually("all of them have come", || wire.server.metric("connections_accepted_total") == before + 20);
    let body = content(3, 3 << 20);
    let login = "Authorization: Basic YWxpY2U6c2VjcmV0";
    let put = wire.server.connect().post(&wire.path("put", &key_of(&body)), &[&length(body.len()), login], &body);
    assert_eq!(put.text(), r#"{"plusuuids":[],"stored":true}"#);
    eventually("that one has gone", || wire.server.metric("connections") <= 7);
    // Two who log in and stay, and then there is no room for anybody.
    let known: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = wire.server.connect();
            assert_eq!(client.post(&wire.path("checkpresent", &big), &[login], b"").status, 200);
            client
        })
        .collect();
    assert_eq!(wire.server.connect().answer(false).status, 503);
    drop((stalled, idle, known));
    eventually("there is room again", || wire.server.metric("connections") == 0);
    assert_eq!(wire.ask("checkpresent", &big), r#"{"present":true}"#);
    wire.server.stop();
}

#[test]
fn a_lock_that_nobody_has_is_not_kept() {
    let wire = Wire::open(Repo::new(), &["--quiet"]);
    let path = format!("{}&lockid=00000000-0000-4000-8000-000000000000", wire.path("keeplocked", "WORM--x"));
    let mut client = wire.server.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
    // It has sent nothing of its body yet.
    assert_eq!(client.answer(false).text(), r#"{"locked":false}"#);
    client.rest();
    wire.server.stop();
}

/// The body of a request that is refused may come a byte at a time.
#[test]
fn who_is_refused_is_told_so_soon_however_slowly_the_body_comes() {
    let wire = Wire::open(Repo::new(), &["--quiet"]);
    let mut client = wire.server.connect();
    client.send("POST /git-annex/nobody-here/v4/checkpresent?clientuuid=x&key=WORM--x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    let mut again = client.again();
    let (stop, told) = std::sync::mpsc::channel();
    let drips = std::thread::spawn(move || {
        while told.recv_timeout(Duration::from_millis(200)).is_err() && again.try_send(b"x").is_ok() {}
    });
    // The patience of the client is 60 s, and the body would take hours.
    assert_eq!(client.answer(false).status, 404);
    client.rest();
    // It may have ended by itself.
    let _ = stop.send(());
    drips.join().expect("it ends");
    wire.server.stop();
}

#[test]
fn where_open_files_are_few_clients_beyond_them_are_told_to_come_back() {
    let repo = Repo::new();
    let big = repo.add("big", 1, BIG);
    let wire = limited(repo, "-", 228, &["--quiet"]);
    wire.server.wait_for(|line| line.starts_with("limited connections=25 ").then_some(()));
    let body = content(3, 3 << 20);
    let stalled: Vec<Client> = (0..25)
        .map(|n| {
            let mut client = wire.server.connect();
            client.send(wire.put_head(&key_of(&body[n..]), body.len() - n));
            client
        })
        .collect();
    eventually("all are under way", || wire.server.metric("uploads") == 25);
    let answer = wire.server.connect().answer(false);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    drop(stalled);
    eventually("they are gone", || wire.server.metric("connections") == 0);
    assert_eq!(wire.ask("checkpresent", &big), r#"{"present":true}"#);
    wire.server.stop();
}

#[test]
fn more_locks_than_allowed_are_told_to_come_back() {
    let repo = Repo::new();
    let keys: Vec<String> = (0..3).map(|n| repo.add(&format!("f{n}"), n, 100)).collect();
    let wire = Wire::open(repo, &["--lockedfiles", "2", "--quiet"]);
    let locks = [wire.lock(&keys[0]), wire.lock(&keys[1])];
    let answer = wire.server.connect().post(&wire.path("lockcontent", &keys[2]), &[], b"");
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.text());
    assert_eq!(wire.ask("remove", &keys[2]), r#"{"plusuuids":[],"removed":true}"#, "it is not locked");
    wire.unlock(&locks[0]);
    wire.unlock(&wire.lock(&keys[0]));
    wire.unlock(&locks[1]);
    wire.server.stop();
}

/// Serves `repo` with the limit of open files that `kind` of ulimit names.
#[track_caller]
fn limited(repo: Repo, kind: &str, files: usize, flags: &[&str]) -> Wire {
    let mut command = repo.command(Path::new("/bin/sh"));
    let script = format!("ulimit {kind}n {files} && exec \"$@\"");
    let inner = Gateway::command(&repo);
    command.arg("-c").arg(script).arg("sh").arg(inner.get_program()).args(inner.get_args());
    let server = Gateway::start(command.args(["--bind", "127.0.0.1", "--port", "0", "--wideopen"]).args(flags));
    Wire::of(repo, server)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
