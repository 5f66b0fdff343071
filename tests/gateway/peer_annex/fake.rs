//! Peers that are old, slow, or wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use git_annex_remote_stream::gateway::FailureKind;
use git_annex_remote_stream::name::Uuid;
use git_annex_remote_stream::peer::{Location, Peer, PeerOffer, PeerSettings, SshProgram, SshWays};
use remotes::budget::Budget;

use super::side::{Kind, Side, key, run};
use super::{MIB, Repo, all, elsewhere, file, offered, send};
use testbed::clients::write_program;
use testbed::gateway::{Gateway, SOON, eventually};

const UUID: &str = "00000000-0000-4000-8000-00000000fa4e";

/// A server that answers the target of each request with `answer`, and reads no body. It ends with the process.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is sent, and what then happens to the connection.
enum Say {
    /// It is kept for another request.
    This(String),
    /// It is closed.
    Last(String),
    /// Nothing more is ever sent or read.
    Stall(String),
}

impl Fake {
    fn new(answer: impl Fn(&str) -> Say + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("annex+http://{}/", listener.local_addr().expect("it is bound"));
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                std::thread::spawn(move || serve(stream, &*answer, &heard));
            }
        });
        Fake { url, asked }
    }

    fn peer(&self, idle: Duration) -> Peer {
        peer(&self.url, SshWays::default(), idle)
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().expect("no holder panics")).len()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Say, heard: &Mutex<Vec<String>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !stream.read(&mut byte).is_ok_and(|n| n == 1) {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_string();
        heard.lock().expect("no holder panics").push(target.clone());
        match answer(&target) {
            Say::This(text) => {
                let _ = stream.write_all(text.as_bytes());
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
                let _ = std::io::copy(&mut (&stream).take(length.unwrap_or(0)), &mut std::io::sink());
            }
            Say::Last(text) => {
                let _ = stream.write_all(text.as_bytes());
                return;
            }
            Say::Stall(text) => {
                let _ = stream.write_all(text.as_bytes());
                loop {
                    std::thread::park();
                }
            }
        }
    }
}

fn peer(url: &str, ways: SshWays, idle: Duration) -> Peer {
    let location = Location::parse(url.as_bytes(), ways).expect("a peer");
    let settings =
        PeerSettings { idle, connect: idle, budget: Budget::new(8 << 20), directory: None, site: Default::default() };
    let uuid = |text: &str| Uuid::parse(text.as_bytes()).expect("a uuid");
    Peer::new(location, uuid(UUID), uuid("c"), settings)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn ok(body: &str) -> Say {
    Say::This(answer("200 OK", body))
}

#[test]
fn servers_of_every_version_are_understood() {
    for newest in 0..=4u32 {
        run(async {
            let fake = Fake::new(move |target| {
                let version = (0..=4).find(|n| target.contains(&format!("/v{n}/"))).expect("a version");
                let knows = match target.split('/').next_back().and_then(|rest| rest.split('?').next()) {
                    Some("gettimestamp" | "remove-before") => 3,
                    Some("putoffset") => 1,
                    _ => 0,
                };
                if version > newest || version < knows {
                    return Say::This(answer("404 Not Found", ""));
                }
                ok(match target {
                    t if t.contains("/putoffset?") => r#"{"offset":3}"#,
                    t if t.contains("/put?") => r#"{"stored":true}"#,
                    t if t.contains("/gettimestamp?") => r#"{"timestamp":9}"#,
                    t if t.contains("/remove-before?") => r#"{"removed":true}"#,
                    t if t.contains("k1") => r#"{"present":true}"#,
                    _ => r#"{"present":false}"#,
                })
            });
            let peer = fake.peer(SOON);
            let (there, absent) = (key("XYZ--k1"), key("XYZ--k2"));
            assert!(peer.check(&there).await.expect("it can be told"));
            assert_eq!(fake.asked(), 5 - newest as usize, "all newer ones were tried");
            assert!(!peer.check(&absent).await.expect("it can be told"));
            assert_eq!(fake.asked(), 1, "and are not tried again");
            assert_eq!(peer.timestamp().await.is_ok(), newest >= 3);
            assert_eq!(peer.remove(&there, Some(5)).await.is_ok(), newest >= 3);
            assert!(peer.take_note(&there).await.expect("it can be told").is_some());
            let mut put = offered(&peer, &absent).await;
            assert_eq!(put.offset(), if newest >= 1 { 3 } else { 0 });
            put.begin(0, 5).await.expect("from the first byte on");
            send(&mut put, b"12345").await;
            assert!(put.finish(true).await.expect("it can be told").0);
        });
    }
}

#[test]
fn what_makes_no_sense_is_never_an_absence() {
    run(async {
        for (said, kind) in [
            (answer("200 OK", "{\"present\":fal"), FailureKind::Broken),
            (answer("200 OK", "{}"), FailureKind::Broken),
            (answer("200 OK", ""), FailureKind::Broken),
            (answer("500 Internal Server Error", "Something went wrong"), FailureKind::Broken),
            (answer("302 Found", ""), FailureKind::Broken),
            (answer("404 Not Found", "{\"present\":false}"), FailureKind::Broken),
            (answer("403 Forbidden", "{\"present\":false}"), FailureKind::Refused),
            (answer("503 Service Unavailable", ""), FailureKind::Busy),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"present\":false}".into(), FailureKind::Broken),
            ("HTTP/1.1 200 OK\r\n\r\n{\"present\":false}".into(), FailureKind::Broken),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into(), FailureKind::Broken),
            ("SSH-2.0-OpenSSH_9.9\r\n".into(), FailureKind::Broken),
            (String::new(), FailureKind::Broken),
        ] {
            let text = said.clone();
            let fake = Fake::new(move |_| Say::Last(text.clone()));
            let peer = fake.peer(SOON);
            let failure = peer.check(&key("XYZ--a")).await.expect_err(&said);
            assert_eq!(failure.kind(), kind, "{said}: {failure}");
            assert!(failure.to_string().contains("annex+http://127.0.0.1:"), "{failure}");
            assert!(peer.get(&key("XYZ--a"), &file(), 0).await.is_err());
            assert!(peer.remove(&key("XYZ--a"), None).await.is_err());
            assert!(peer.lock(&key("XYZ--a")).await.is_err());
            assert!(peer.offset(&key("XYZ--a")).await.is_err());
        }
    });
}

#[test]
fn content_of_another_length_than_announced_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\nX-git-annex-data-length: 8\r\n";
    for (rest, announced) in [
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n9\r\nabcdefghi\r\n0\r\n\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n1\r\nx\r\n0\r\n\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n", true),
        ("Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefghXX", true),
        ("Content-Length: 8\r\n\r\nabcd", true),
        ("Content-Length: 9\r\n\r\nabcdefghi", false),
    ] {
        run(async {
            let text = format!("{head}{rest}");
            let fake = Fake::new(move |target| {
                if target.contains("/checkpresent") { ok("{\"present\":true}") } else { Say::Last(text.clone()) }
            });
            let get = fake.peer(SOON).get(&key("XYZ--a"), &file(), 0).await;
            assert_eq!(get.is_ok(), announced, "{rest}");
            let Ok(Some(get)) = get else { return };
            let (read, right) = all(get).await;
            assert!(!right, "{rest}: {read:?}");
        });
    }
}

#[test]
fn a_peer_that_says_nothing_is_given_up_in_time() {
    run(async {
        // Long enough for a program to start.
        let short = Duration::from_secs(1);
        let begun = Instant::now();
        let silent = Fake::new(|_| Say::Stall(String::new()));
        silent.peer(short).check(&key("XYZ--a")).await.expect_err("nothing comes");
        let halfway = Fake::new(|target| {
            if target.contains("/checkpresent") {
                return ok("{\"present\":true}");
            }
            Say::Stall(
                "HTTP/1.1 200 OK\r\nX-git-annex-data-length: 8\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd".into(),
            )
        });
        let get = halfway.peer(short).get(&key("XYZ--a"), &file(), 0).await.expect("it begins").expect("it is there");
        let (read, right) = all(get).await;
        assert!(read.is_err() && !right);
        let deaf =
            Fake::new(
                |target| {
                    if target.contains("/putoffset") { ok("{\"offset\":0}") } else { Say::Stall(String::new()) }
                },
            );
        let peer = deaf.peer(short);
        let mut put = offered(&peer, &key("XYZ--a")).await;
        put.begin(0, 64 * MIB as u64).await.expect("from the first byte on");
        let mut failed = None;
        for _ in 0..64 {
            failed = put.write(Bytes::from(vec![0; MIB])).await.err();
            if failed.is_some() {
                break;
            }
        }
        assert!(failed.is_some(), "64 MiB do not fit between here and there");
        // ssh that never says who is there.
        let dir = tempfile::tempdir().expect("a temporary directory");
        let program = dir.path().join("ssh");
        let pid = dir.path().join("pid");
        write_program(&program, &format!("#!/bin/sh\necho $$ > '{}'\nexec sleep 600\n", pid.display()));
        let hang = SshWays { program: SshProgram::Program(program.clone().into()), ..SshWays::default() };
        peer_of(hang, short).check(&key("XYZ--a")).await.expect_err("nothing comes");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        let pid = std::fs::read_to_string(pid).expect("it was started");
        let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
        eventually("it is killed and waited for", || !process.exists());
    });
}

fn peer_of(ways: SshWays, idle: Duration) -> Peer {
    peer("ssh://h/x", ways, idle)
}

#[test]
fn an_answer_in_the_middle_of_an_upload_is_heard() {
    run(async {
        let fake = Fake::new(|target| {
            if target.contains("/putoffset") {
                return ok("{\"offset\":0}");
            }
            Say::Stall(answer("507 Insufficient Storage", "no room"))
        });
        let peer = fake.peer(SOON);
        let mut put = offered(&peer, &key("XYZ--a")).await;
        put.begin(0, 64 * MIB as u64).await.expect("from the first byte on");
        let mut failed = None;
        for _ in 0..64 {
            failed = put.write(Bytes::from(vec![0; MIB])).await.err();
            if failed.is_some() {
                break;
            }
        }
        let failure = failed.expect("it was told");
        assert_eq!(failure.kind(), FailureKind::Full);
        assert!(failure.to_string().contains("507 Insufficient Storage: no room"), "{failure}");
    });
}

#[test]
fn the_real_git_annex_shell_is_understood_at_every_version() {
    for version in 0..=3 {
        run(async {
            let side = Side::new(Kind::TheirShell);
            let dir = tempfile::tempdir().expect("a temporary directory");
            // Says another version than we do, and is out of the way then.
            let filter = dir.path().join("older-shell");
            let script = format!(
                "#!/bin/sh\n{{ IFS= read -r line; echo 'VERSION {version}'; exec cat; }} | git-annex-shell \"$@\"\n"
            );
            write_program(&filter, &script);
            let ways = SshWays { shell: Some(filter.display().to_string()), ..SshWays::default() };
            let peer = side.peer_by(ways);
            let bytes = super::content(3, MIB);
            let there = key(&side.repo.add("f", 3, bytes.len()));
            let empty = key(&side.repo.add("empty", 3, 0));
            let (absent, wanted) = elsewhere(4, 2 * MIB);
            assert!(peer.check(&there).await.expect("it can be told"));
            assert!(peer.take_note(&there).await.expect("it can be told").is_some());
            assert!(peer.take_note(&absent).await.expect("it can be told").is_none());
            assert_eq!(peer.offset(&absent).await.expect("it can be told"), Some(0));
            for from in [0, 7, MIB] {
                let get = peer.get(&there, &file(), from as u64).await.expect("it can be told").expect("it is there");
                let (read, right) = all(get).await;
                assert!(right && read.expect("it comes") == bytes[from..], "{version} {from}");
            }
            let get = peer.get(&empty, &file(), 0).await.expect("it can be told").expect("it is there");
            assert_eq!(all(get).await, (Ok(Vec::new()), true));
            assert!(peer.get(&absent, &file(), 0).await.expect("it can be told").is_none());
            let mut put = offered(&peer, &absent).await;
            put.begin(0, wanted.len() as u64).await.expect("from the first byte on");
            send(&mut put, &wanted).await;
            assert_eq!(put.finish(false).await.expect("it can be told").0, version > 0, "right bytes, taken back");
            if version == 0 {
                assert!(!peer.check(&absent).await.expect("it can be told"), "it never had the last of them");
            }
            let lock = peer.lock(&there).await.expect("it can be told").expect("it is there");
            lock.unlock().await;
            peer.remove(&there, None).await.expect("nobody keeps it");
            assert!(matches!(peer.put(&there, &file()).await, Ok(PeerOffer::Upload(_))));
        });
    }
}

/// Runs itself again with a certificate that is trusted, which is read from the environment once for a process.
#[test]
fn content_goes_both_ways_over_tls() {
    let repo = Repo::new();
    let at = |name: &str| format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let flags = ["--certfile", &at("first.pem"), "--privatekeyfile", &at("first.key"), "--wideopen", "--quiet"];
    let server = Gateway::serve(&repo, &flags);
    let key = repo.add("f", 1, 2 * MIB);
    let url = format!("annex+https://localhost:{}/", server.port());
    for (trusted, word) in [("first.pem", "ok"), ("second.pem", "greet over TLS")] {
        let mut command = std::process::Command::new(std::env::current_exe().expect("a program"));
        command.args(["--exact", "peer_annex::fake::over_tls", "--ignored", "--nocapture"]);
        command.env("SSL_CERT_FILE", at(trusted)).env_remove("SSL_CERT_DIR");
        command.env("TEST_URL", &url).env("TEST_UUID", repo.uuid()).env("TEST_KEY", &key).env("TEST_WORD", word);
        let done = testbed::run::run(&mut command, SOON);
        assert!(done.all().contains("1 passed"), "{}", done.all());
    }
}

#[test]
#[ignore = "run by the test above"]
fn over_tls() {
    let Ok(url) = std::env::var("TEST_URL") else { return };
    let [uuid, there, word] =
        ["TEST_UUID", "TEST_KEY", "TEST_WORD"].map(|name| std::env::var(name).expect("it is set"));
    run(async {
        let peer = super::peer(&url, &uuid, SshWays::default(), None);
        let there = key(&there);
        match peer.check(&there).await {
            Ok(present) => assert!(present && word == "ok", "{word}"),
            Err(failure) => return assert!(word != "ok" && failure.to_string().contains(&word), "{failure}"),
        }
        let get = peer.get(&there, &file(), 5).await.expect("it can be told").expect("it is there");
        let (read, right) = all(get).await;
        assert!(right && read.expect("it comes") == super::content(1, 2 * MIB)[5..]);
        let (new, bytes) = elsewhere(2, 3 * MIB);
        let mut put = offered(&peer, &new).await;
        put.begin(0, bytes.len() as u64).await.expect("from the first byte on");
        send(&mut put, &bytes).await;
        assert!(put.finish(true).await.expect("it can be told").0);
        let lock = peer.lock(&new).await.expect("it can be told").expect("it is there");
        lock.unlock().await;
        peer.remove(&new, None).await.expect("nobody keeps it");
    });
}
