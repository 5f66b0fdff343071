//! Many clients of a store behind the gateway at once: those that stall, those that vanish, those that want the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use testbed::annex::content;
use testbed::gateway::{Gateway, Held, eventually};
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, Proxy};
use testbed::rest::{annex_dir, returns_to};
use testbed::way::{Outcome, Way};
use testbed::wire::{Wire, key_of};

const MIB: usize = 1 << 20;

/// A store behind a gateway that runs.
struct Lab {
    wire: Wire,
    behind: Behind,
    uuid: String,
}

impl Lab {
    fn new(place: Place, more: &[&str], flags: &[&str]) -> Lab {
        let Proxy { repo, behind } = Proxy::with(Behind::Special(place, Whose::Ours), more);
        let uuid = repo.git(&["config", "remote.far.annex-uuid"]).ok().stdout.trim().to_string();
        let server = Gateway::serve(&repo, &[&["--wideopen", "--quiet"], flags].concat());
        Lab { wire: Wire::behind(repo, server, uuid.clone()), behind, uuid }
    }

    fn place(&self) -> &Place {
        match &self.behind {
            Behind::Special(place, _) => place,
            _ => panic!("a special remote"),
        }
    }

    fn way(&self) -> Way<'_> {
        Way::Http(&self.wire.server)
    }

    /// Objects in the store that are whole.
    fn objects(&self) -> Vec<String> {
        let marks = |name: &String| name.ends_with("annex-uuid") || name.contains("stream-upload-");
        self.place().names().into_iter().filter(|name| !marks(name)).collect()
    }

    /// Files that tell of unfinished uploads.
    fn ledgers(&self) -> usize {
        let Ok(entries) = std::fs::read_dir(annex_dir(&self.wire.repo).join("stream/uploads")) else { return 0 };
        entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().ends_with(".lck")).count()
    }

    /// Unfinished uploads in the store.
    fn unfinished(&self) -> usize {
        match self.place() {
            Place::Fs(_) => self.place().names().iter().filter(|name| name.contains("stream-upload-")).count(),
            _ => self.place().uploads().matches("\"UploadId\"").count(),
        }
    }

    /// What is held when nobody wants anything, with room for what is kept to be used again.
    fn at_rest(&self) -> Held {
        eventually("nobody is connected", || self.wire.server.metric("connections") == 0);
        let held = self.wire.server.held();
        Held { threads: 64, descriptors: held.descriptors + KEPT, ..held }
    }

    /// A put and a get by a client that does all it should; how long the two took.
    fn healthy(&self, seed: u64) -> Duration {
        let body = content(seed, 2 * MIB);
        let key = key_of(&body);
        let begun = Instant::now();
        assert_eq!(self.way().put(&self.uuid, &key, &body), Outcome::Yes);
        assert_eq!(self.way().get(&self.uuid, &key), Outcome::Content(body));
        let took = begun.elapsed();
        assert_eq!(self.way().remove(&self.uuid, &key), Outcome::Yes);
        took
    }
}

/// Connections to the store that each of two threads keeps, some of each kind, and what belongs to them.
const KEPT: usize = 32;

/// A number that follows from `n` alone, below `limit`.
fn somewhere(n: u64, limit: usize) -> usize {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from((mixed ^ mixed >> 29) % limit as u64).expect("it is below a usize")
}

/// A client that has sent `sent`, and reads no more than it is told to.
fn client(address: &str, sent: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    // So that few bytes are enough to make the server wait.
    sockopt::set_socket_recv_buffer_size(&stream, 16 << 10).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    for bytes in sent {
        // One that is refused has nothing to send to.
        let _ = stream.write_all(bytes);
    }
    stream
}

/// 300 clients stall somewhere in a put or a get; others go on as if nobody else were there.
fn clients_that_stall(place: Place, more: &[&str]) {
    let lab = Lab::new(place, more, &["--timeout", "15", "--memory", "64MiB"]);
    let big = content(1, 12 * MIB);
    assert_eq!(lab.way().put(&lab.uuid, &key_of(&big), &big), Outcome::Yes);
    let alone = (0..3).map(|n| lab.healthy(n)).max().expect("three");
    let before = lab.at_rest();
    let (gateway, big) = (&lab, &big);
    let stall = move |n: u64| {
        let lab = gateway;
        let address = &lab.wire.server.address;
        if n.is_multiple_of(6) {
            let mut reader = client(address, &[lab.wire.get(&key_of(big)).as_bytes()]);
            let mut read = vec![0; 1 + somewhere(n, 100_000)];
            let _ = reader.read_exact(&mut read);
            return reader;
        }
        let len = if n % 30 == 1 { 11 * MIB } else { 2 * MIB };
        let key = format!("SHA256-s{len}--{n:064x}");
        client(address, &[lab.wire.put_head(&key, len).as_bytes(), &big[..somewhere(n, 100_000)]])
    };
    let crowd: Vec<TcpStream> = std::thread::scope(|scope| {
        let parts = (0..10).map(|part| scope.spawn(move || (0..30).map(|n| stall(part * 30 + n)).collect::<Vec<_>>()));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    });
    let stalling = || lab.wire.server.metric("uploads") + lab.wire.server.metric("downloads");
    eventually("most of them stall at once", || stalling() >= 250);
    // Not until they are cut off.
    let limit = alone * 10 + Duration::from_secs(10);
    let mut rounds = 0;
    while lab.wire.server.metric("connections") >= 50 {
        let took = lab.healthy(10 + rounds);
        assert!(took < limit, "beside those that stall {took:?}, alone {alone:?}");
        rounds += 1;
    }
    assert!(rounds > 0, "somebody was served beside them");
    eventually("who stalls is cut off", || lab.wire.server.metric("connections") == 0);
    drop(crowd);
    lab.healthy(5);
    returns_to(&lab.wire, before);
    assert!(lab.unfinished() <= lab.ledgers(), "{} uploads, {} ledgers", lab.unfinished(), lab.ledgers());
    assert_eq!(lab.objects().len(), 1, "{:?}", lab.objects());
    lab.wire.server.stop();
}

#[test]
fn clients_that_stall_at_an_s3_stop_nobody() {
    clients_that_stall(Place::weed(), &["partsize=5MiB"]);
}

#[test]
fn clients_that_stall_at_a_directory_stop_nobody() {
    clients_that_stall(Place::fs(), &[]);
}

/// Clients vanish somewhere in a put or a get, with FIN or RST; nothing of them stays.
fn clients_that_vanish(place: Place, more: &[&str]) {
    let whole = std::env::var("STREAM_TEST_WHOLE").is_ok_and(|it| it == "yes");
    let count: u64 = if whole { 10_000 } else { 1_000 };
    let lab = Lab::new(place, more, &["--timeout", "20"]);
    let there = content(1, 400_000);
    assert_eq!(lab.way().put(&lab.uuid, &key_of(&there), &there), Outcome::Yes);
    lab.healthy(3);
    let before = lab.at_rest();
    std::thread::scope(|scope| {
        for part in 0..8 {
            let (lab, there) = (&lab, &there);
            scope.spawn(move || (0..count / 8).for_each(|n| vanish(lab, there, part * 100_000 + n)));
        }
    });
    eventually("nobody is connected", || lab.wire.server.metric("connections") == 0);
    eventually("all uploads are over", || lab.wire.server.metric("uploads") == 0);
    lab.healthy(4);
    returns_to(&lab.wire, before);
    eventually("what is unfinished is known", || lab.unfinished() <= lab.ledgers());
    assert_eq!(lab.objects().len(), 1, "{:?}", lab.objects());
    testbed::proxy::stream(&lab.wire.repo, &["gc", "--all"]).ok();
    assert_eq!((lab.unfinished(), lab.ledgers()), (0, 0), "nothing is left after gc");
    lab.wire.server.stop();
}

fn vanish(lab: &Lab, there: &[u8], n: u64) {
    let address = &lab.wire.server.address;
    let mut stream = if n.is_multiple_of(2) {
        let mut reader = client(address, &[lab.wire.get(&key_of(there)).as_bytes()]);
        let mut read = vec![0; somewhere(n, 400_000)];
        let _ = reader.read_exact(&mut read);
        reader
    } else {
        let len = if n % 50 == 1 { 11 * MIB } else { 400_000 };
        let head = lab.wire.put_head(&format!("SHA256-s{len}--{:064x}", n % 40), len);
        client(address, &[head.as_bytes(), &there[..somewhere(n, 400_000)]])
    };
    if n.is_multiple_of(3) {
        let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    } else {
        let _ = stream.flush();
    }
}

#[test]
fn clients_that_vanish_from_an_s3_leave_nothing() {
    clients_that_vanish(Place::weed(), &["partsize=5MiB"]);
}

#[test]
fn clients_that_vanish_from_a_directory_leave_nothing() {
    clients_that_vanish(Place::fs(), &[]);
}

/// 16 put the same key at the same moment, one of them something else, and 16 get it meanwhile.
fn the_same_at_once(place: Place, more: &[&str]) {
    let lab = Lab::new(place, more, &["--timeout", "20"]);
    for (round, len) in [1_000, 3 * MIB, 11 * MIB].into_iter().enumerate() {
        let body = content(round as u64, len);
        let key = key_of(&body);
        let mut wrong = body.clone();
        wrong[len / 2] ^= 1;
        let (puts, gets): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
            let (lab, key, body, wrong) = (&lab, &key, &body, &wrong);
            let put = |n| scope.spawn(move || lab.way().put(&lab.uuid, key, if n == 7 { wrong } else { body }));
            let puts: Vec<_> = (0..16).map(put).collect();
            let gets: Vec<_> = (0..16).map(|_| scope.spawn(move || lab.way().get(&lab.uuid, key))).collect();
            let told = |all: Vec<std::thread::ScopedJoinHandle<'_, Outcome>>| -> Vec<Outcome> {
                all.into_iter().map(|one| one.join().expect("no panic")).collect()
            };
            (told(puts), told(gets))
        });
        for (n, told) in puts.iter().enumerate() {
            let expected = if n == 7 { Outcome::No } else { Outcome::Yes };
            assert_eq!(*told, expected, "put {n} of {len} bytes");
        }
        for told in gets {
            assert!(told == Outcome::No || told == Outcome::Content(body.clone()), "got {told:?} of {len} bytes");
        }
        assert_eq!(lab.way().get(&lab.uuid, &key), Outcome::Content(body));
        assert_eq!(lab.objects().len(), 1, "{:?}", lab.objects());
        let left = testbed::proxy::stream(&lab.wire.repo, &["gc", "--dry-run", "--all"]).all();
        assert_eq!((lab.unfinished(), lab.ledgers()), (0, 0), "nothing is left over of {len} bytes: {left}");
        assert_eq!(lab.way().remove(&lab.uuid, &key), Outcome::Yes);
    }
    let body = content(9, 6 * MIB);
    let key = key_of(&body);
    let way = Way::Stdio(&lab.wire.repo, "20");
    std::thread::scope(|scope| {
        let puts: Vec<_> = (0..4).map(|_| scope.spawn(|| way.put(&lab.uuid, &key, &body))).collect();
        for put in puts {
            assert_eq!(put.join().expect("no panic"), Outcome::Yes, "over stdio");
        }
    });
    assert_eq!(lab.way().get(&lab.uuid, &key), Outcome::Content(body));
    assert_eq!(lab.objects().len(), 1, "{:?}", lab.objects());
    assert_eq!((lab.unfinished(), lab.ledgers()), (0, 0));
    lab.wire.server.stop();
}

#[test]
fn the_same_content_at_once_is_one_object_in_s3() {
    the_same_at_once(Place::weed(), &["partsize=5MiB"]);
}

#[test]
fn the_same_content_at_once_is_one_object_in_a_directory() {
    the_same_at_once(Place::fs(), &[]);
}
