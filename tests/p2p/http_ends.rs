//! How p2phttp meets its ends: a full disk, SIGTERM in the middle of a transfer, and a power cut.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testbed::annex::{Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::http::Answer;
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, Proxy};
use testbed::wire::{Wire, key_of, length};

const STORED: &str = r#"{"plusuuids":[],"stored":true}"#;

/// How soon a client is told that there is no room.
const PROMPT: Duration = Duration::from_secs(10);

#[test]
fn what_would_use_the_reserve_is_refused_at_once() {
    let repo = Repo::new();
    repo.git(&["config", "annex.diskreserve", "1000000gb"]).ok();
    let wire = Wire::open(repo, &["--quiet"]);
    let body = content(1, 1000);
    for answer in
        [wire.put(&key_of(&body), &body), wire.server.connect().post(&wire.path("putoffset", &key_of(&body)), &[], b"")]
    {
        assert_full(&answer, "not enough free space");
    }
    assert_eq!(partial(&annex_of(&wire)), Vec::<PathBuf>::new());
    assert_eq!(wire.server.metric("failures_total{kind=\"full\"}"), 2);
    wire.server.stop();
}

/// A change counts for the next request.
#[test]
fn the_reserve_counts_for_a_directory_behind_the_server_too() {
    for whose in [Whose::Ours, Whose::Theirs] {
        let proxy = Proxy::new(Behind::Special(Place::fs(), whose));
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let uuid = proxy.uuid();
        let wire = Wire::behind(proxy.repo, server, uuid);
        let body = content(1, 1000);
        for reserve in ["0", "1000000gb", "0"] {
            wire.repo.git(&["config", "annex.diskreserve", reserve]).ok();
            let answer = wire.put(&key_of(&body), &body);
            match reserve {
                "0" => assert_eq!(answer.text(), STORED),
                _ => assert_full(&answer, "not enough free space"),
            }
            let removed = wire.ask("remove", &key_of(&body));
            assert!(removed.contains("true"), "{removed}");
        }
        wire.server.stop();
    }
}

#[test]
fn a_full_disk_is_told_at_once_and_nothing_is_left_on_it() {
    let repo = Repo::new();
    repo.git(&["config", "annex.diskreserve", "0"]).ok();
    let there = repo.add("there", 1, 1000);
    let Some(server) = on_small_disk(&repo) else { return };
    // The disk is there for the server alone; this is the way to it from outside.
    let annex = PathBuf::from(format!("/proc/{}/root{}", server.pid(), repo.dir().join(".git/annex").display()));
    let wire = Wire::of(repo, server);
    let body = content(2, 12 << 20);
    let begun = Instant::now();
    assert_full(&refused(&wire, &key_of(&body), &body), "not enough free space");
    // Of this one nobody can tell beforehand how much room it takes.
    let unsized_key = key_of(&body).replace(&format!("-s{}", body.len()), "");
    assert_full(&refused(&wire, &unsized_key, &body), "No space left");
    assert!(begun.elapsed() < PROMPT, "it took {:?}", begun.elapsed());
    assert_eq!(partial(&annex), Vec::<PathBuf>::new());
    assert!(wire.put(&key_of(&body[..1000]), &body[..1000]).text() == STORED, "there is room again");

    // The last byte goes to somebody else; what fits into memory until its end fails as well.
    std::fs::write(annex.join("tmp/filler"), content(3, 12 << 20)).expect_err("the disk is smaller than that");
    let small = content(4, 200_000);
    let small_key = key_of(&small).replace("-s200000", "");
    assert_full(&wire.put(&small_key, &small), "No space left");
    assert_eq!(partial(&annex), [annex.join("tmp/filler")]);
    assert_eq!(wire.ask("checkpresent", &there), r#"{"present":true}"#, "reading goes on");
    assert_eq!(wire.server.connect().ask(&wire.get(&there)).body, content(1, 1000));
    std::fs::remove_file(annex.join("tmp/filler")).expect("it is there");
    assert_eq!(wire.put(&small_key, &small).text(), STORED, "and so does storing, once there is room");
    wire.server.stop();
}

#[test]
fn sigterm_lets_transfers_end_and_commits_what_was_recorded() {
    let repo = Repo::new();
    let big = repo.add("big", 1, 64 << 20);
    let wire = Wire::open(repo, &["--quiet"]);
    let body = content(2, 3 << 20);
    let key = key_of(&body);
    let mut put = wire.server.connect();
    put.send(wire.put_head(&key, body.len()));
    put.send(&body[..1 << 20]);
    let mut get = wire.server.connect();
    get.send(wire.get(&big));
    let mut idle = wire.server.connect();
    idle.post(&wire.path("checkpresent", &key), &[], b"");
    eventually("both are under way", || wire.server.metric("uploads") == 1 && wire.server.metric("downloads") == 1);
    let (repo, mut server) = (wire.repo, wire.server);
    server.signal(Signal::TERM);
    assert!(idle.rest().is_empty(), "a connection that waits for nothing is closed");
    eventually("no more come in", || std::net::TcpStream::connect(&server.address).is_err());
    put.send(&body[1 << 20..]);
    let answer = put.answer(false);
    assert_eq!((answer.text().as_str(), answer.header("connection")), (STORED, Some("close")));
    assert_eq!(get.answer(false).body, content(1, 64 << 20));
    assert!(server.ended().success(), "{}", server.log());
    let journal = std::fs::read_dir(repo.dir().join(".git/annex/journal")).map_or(0, Iterator::count);
    assert_eq!(journal, 0, "it is committed");
    let shown = repo.git(&["grep", "-h", &repo.uuid(), "git-annex", "--", &format!("*{key}.log")]).ok();
    assert!(shown.stdout.contains("s 1 "), "{}", shown.all());
}

#[test]
fn sigterm_does_not_wait_for_clients_that_stall() {
    let wire = Wire::open(Repo::new(), &["--quiet", "--drain", "1"]);
    let body = content(2, 3 << 20);
    let mut put = wire.server.connect();
    put.send(wire.put_head(&key_of(&body), body.len()));
    put.send(&body[..1 << 20]);
    eventually("it is under way", || wire.server.metric("uploads") == 1);
    let begun = Instant::now();
    let (repo, server) = (wire.repo, wire.server);
    server.stop();
    assert!(begun.elapsed() < PROMPT, "it took {:?}", begun.elapsed());
    assert!(put.rest().is_empty());
    // It goes on at the next server.
    let wire = Wire::open(repo, &["--quiet"]);
    let told = wire.ask("putoffset", &key_of(&body));
    let offset: usize = told.trim_start_matches(r#"{"offset":"#).trim_end_matches('}').parse().expect("an offset");
    assert!(offset > 0 && offset <= 1 << 20, "{told}");
    let path = format!("{}&offset={offset}", wire.path("put", &key_of(&body)));
    let answer = wire.server.connect().post(&path, &[&length(body.len() - offset)], &body[offset..]);
    assert_eq!(answer.text(), STORED);
}

#[test]
fn what_was_said_to_be_stored_outlives_a_kill_with_its_record() {
    let repo = Repo::new();
    let uuid = repo.uuid();
    let (mut repo, mut keys) = (Some(repo), Vec::new());
    for round in 0..5 {
        let wire = Wire::open(repo.take().expect("it comes back"), &["--quiet"]);
        for n in 0..4 {
            let body = content(round * 100 + n, 1000);
            assert_eq!(wire.put(&key_of(&body), &body).text(), STORED);
            keys.push((key_of(&body), body));
        }
        wire.server.kill();
        repo = Some(wire.repo);
    }
    let wire = Wire::open(repo.expect("it came back"), &["--quiet"]);
    for (key, body) in &keys {
        assert_eq!(&wire.server.connect().ask(&wire.get(key)).body, body);
        let here = wire.repo.annex(&["whereis", "--quiet", "--json", "--key", key]).ok();
        assert!(here.stdout.contains(&uuid), "{key}: {}", here.all());
    }
    wire.repo.annex(&["fsck", "--quiet", "--all"]).ok();
    wire.server.stop();
}

#[test]
fn locked_content_stays_ten_minutes_after_a_kill() {
    let repo = Repo::new();
    let key = repo.add("f", 1, 1000);
    let wire = Wire::open(repo, &["--quiet"]);
    let _held = wire.keep(&wire.lock(&key));
    let place = PathBuf::from(wire.repo.annex(&["contentlocation", &key]).ok().stdout.trim());
    let beside = |suffix: &str| {
        let mut name = wire.repo.dir().join(&place).into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (lck, rtm) = (beside(".lck"), beside(".rtm"));
    assert!(lck.exists() && rtm.exists());
    let until = std::fs::read_to_string(&rtm).expect("a time");
    let until: f64 = until.trim_end_matches('s').parse().expect("seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
    assert!((590.0..=600.0).contains(&(until - now.as_secs_f64())), "{until}");
    let Wire { repo, server, .. } = wire;
    server.kill();
    // Also without the lock file: the time alone tells.
    thawed(&place, &repo, || std::fs::remove_file(&lck).expect("it is there"));
    let wire = Wire::open(repo, &["--quiet"]);
    assert_eq!(wire.ask("remove", &key), r#"{"plusuuids":[],"removed":false}"#);
    let theirs = wire.repo.annex(&["drop", "--force", "f"]).failed();
    assert!(wire.repo.read("f").is_some(), "git-annex sees it too: {}", theirs.all());
    assert_eq!(wire.ask("remove", &key), r#"{"plusuuids":[],"removed":false}"#);
    thawed(&place, &wire.repo, || std::fs::write(&rtm, "1795390055.286930041s").expect("it is there"));
    assert_eq!(wire.ask("remove", &key), r#"{"plusuuids":[],"removed":true}"#);
    assert_eq!((lck.exists(), rtm.exists()), (false, false));
    wire.server.stop();
}

#[test]
fn a_lock_that_sigterm_ends_stays_ten_minutes_too() {
    let repo = Repo::new();
    let key = repo.add("f", 1, 1000);
    let wire = Wire::open(repo, &["--quiet", "--drain", "0"]);
    let _held = wire.keep(&wire.lock(&key));
    let (repo, server) = (wire.repo, wire.server);
    server.stop();
    let wire = Wire::open(repo, &["--quiet"]);
    assert_eq!(wire.ask("remove", &key), r#"{"plusuuids":[],"removed":false}"#);
    wire.server.stop();
}

#[track_caller]
fn assert_full(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let retry = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry.is_some_and(|seconds| seconds > 0), "{answer:?}");
    assert!(answer.text().contains(words), "{words:?} is not in {:?}", answer.text());
}

/// The answer to a put that is refused before its last byte.
#[track_caller]
fn refused(wire: &Wire, key: &str, body: &[u8]) -> Answer {
    let mut client = wire.server.connect();
    client.send(wire.put_head(key, body.len()));
    let (mut sender, whole) = (client.again(), body.to_vec());
    let sending = std::thread::spawn(move || sender.try_send(whole));
    let answer = client.answer(false);
    drop(client);
    let _ = sending.join().expect("sending ends with the connection");
    answer
}

/// A server for which `.git/annex` is a disk of 8 MiB. None, and a word about it, where that needs rights we lack.
fn on_small_disk(repo: &Repo) -> Option<Gateway> {
    const SCRIPT: &str = r#"
        dir=$1; shift
        cp -a "$dir" "$dir.kept" && mount -t tmpfs -o size=8m tmpfs "$dir" && cp -a "$dir.kept/." "$dir" && exec "$@""#;
    let inner = Gateway::command(repo);
    let mut command = repo.command(Path::new("unshare"));
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(repo.dir().join(".git/annex"));
    let mut try_out = repo.command(Path::new("unshare"));
    let able = try_out.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status();
    if !able.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: a full disk, since nothing can be mounted here (user namespaces)");
        return None;
    }
    command.arg(inner.get_program()).args(inner.get_args());
    Some(Gateway::start(command.args(["--bind", "127.0.0.1", "--port", "0", "--wideopen", "--quiet"])))
}

fn annex_of(wire: &Wire) -> PathBuf {
    wire.repo.dir().join(".git/annex")
}

/// Partial content, in both of its places.
fn partial(annex: &Path) -> Vec<PathBuf> {
    let files =
        |dir: &str| std::fs::read_dir(annex.join(dir)).into_iter().flatten().flatten().map(|entry| entry.path());
    files("tmp").chain(files("othertmp")).collect()
}

/// Does something in the directory of an object, which is not writable.
fn thawed(place: &Path, repo: &Repo, act: impl FnOnce()) {
    use std::os::unix::fs::PermissionsExt;
    let dir = repo.dir().join(place.parent().expect("it is in a directory"));
    let set = |mode| std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    set(0o755);
    act();
    set(0o555);
}
