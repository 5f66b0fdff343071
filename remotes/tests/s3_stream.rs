//! Streams into S3 whose connections break, stall and are refused, against a real SeaweedFS behind a relay.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotes::budget::BLOCK;
use remotes::conformance::pattern;
use remotes::options::Options;
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Error, Kind, ObjectName, Put, Store, put_stream};

const OWNER: &str = "00000000-0000-0000-0000-0000000000cc";

fn options(port: u16, bucket: &str) -> Options {
    let weed = servers::weed();
    let mut o = Options::new();
    for (name, value) in [
        ("bucket", bucket),
        ("host", "127.0.0.1"),
        ("port", &port.to_string()),
        ("requeststyle", "path"),
        ("partsize", "5MiB"),
        (KEY_ID, &weed.user),
        (SECRET, &weed.secret),
    ] {
        o.set(name, value);
    }
    o
}

fn patient() -> Context {
    Context { first_pause: Duration::from_millis(1), idle: Duration::from_secs(30), ..Context::default() }
}

fn open(options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(S3::open(options, context).expect("good options"))
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

/// Runs `f` with a bucket behind a relay, and sees that no memory stays leased.
fn behind<F: Future<Output = ()>>(
    context: &Context,
    fate: impl Fn(&str, usize) -> Fate + Send + Sync + 'static,
    f: impl FnOnce(Rc<dyn Store>, Options) -> F,
) {
    let weed = servers::weed();
    remotes::sys::run(true, async {
        let bucket = servers::unique("stream");
        open(&options(weed.port, &bucket), &patient()).prove(OWNER).await.expect("made");
        let relay = Relay::start(weed.port, fate);
        f(open(&options(relay.port, &bucket), context), options(weed.port, &bucket)).await;
    })
    .expect("a runtime");
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
}

/// Writes blocks that are leased, as a gateway's are.
async fn write(put: &mut dyn Put, content: &[u8], context: &Context, relax: bool) -> Result<(), Error> {
    for piece in content.chunks(BLOCK) {
        let lease = Arc::new(context.budget.lease(BLOCK as u64).await);
        let mut block = context.budget.block().under(&lease);
        block.push(piece);
        drop(lease);
        if relax {
            put.relax();
        }
        put.write(block.freeze()).await?;
    }
    Ok(())
}

async fn content(store: &Rc<dyn Store>, object: &ObjectName) -> Bytes {
    remotes::retrieve::read_small(&**store, object, 1 << 30, &patient()).await.expect("got")
}

/// Unfinished uploads in the bucket, as the server tells.
async fn uploads(o: &Options) -> usize {
    let text = |n: &str| o.text(n).expect("text").expect("set").to_string();
    let credentials = aws_sdk_s3::config::Credentials::new(text(KEY_ID), text(SECRET), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(format!("http://127.0.0.1:{}", text("port")))
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let listed = client.list_multipart_uploads().bucket(text("bucket")).send().await.expect("listed");
    listed.uploads().len()
}

const BROKEN_AFTER: usize = 2 << 20;

#[test]
fn a_request_that_breaks_off_is_sent_again_while_its_blocks_are_kept() {
    for len in [4 << 20, (12 << 20) + 7] {
        let context = patient();
        let fate = |line: &str, n| if is_payload(line) && n == 0 { Fate::Cut(BROKEN_AFTER) } else { Fate::Pass };
        behind(&context, fate, async |store, _| {
            let (object, bytes) = (name("again"), pattern(1, len));
            let mut put = put_stream(&*store, &object, len as u64).await.expect("opened");
            write(&mut *put, &bytes, &context, false).await.expect("written all the same");
            assert_eq!(store.stat(&object).await.expect("a clear answer"), None, "not visible before the commit");
            put.commit().await.expect("committed");
            assert!(content(&store, &object).await == bytes, "{len} bytes are whole");
        });
    }
}

#[test]
fn what_is_not_kept_fails_at_once_and_is_gone_on_with() {
    let context = patient();
    let fate =
        |line: &str, _| if is_payload(line) { Fate::CutBehind("partNumber=3", BROKEN_AFTER) } else { Fate::Pass };
    behind(&context, fate, async |store, direct| {
        let (object, bytes) = (name("resumed"), pattern(2, 23 << 20));
        let mut put = put_stream(&*store, &object, bytes.len() as u64).await.expect("opened");
        let upload = put.resumption().expect("in parts");
        let e = write(&mut *put, &bytes, &context, true).await.expect_err("broken off in the third part");
        assert_eq!(e.kind(), Kind::Reset, "{e}");
        assert!(e.to_string().contains("part 3 of 5"), "{e}");
        put.write(bytes.slice(..1)).await.expect_err("nothing is written behind a failure");
        let marks = put.suspend().await.expect("suspended");
        assert_eq!(marks.len(), 2, "two parts are stored");
        // Another process, which reaches the server.
        let store = open(&direct, &context);
        let mut put = store
            .uploads()
            .expect("it has some")
            .resume(&object, bytes.len() as u64, &upload, &marks)
            .await
            .expect("clear")
            .expect("gone on with");
        write(&mut *put, &bytes.slice(10 << 20..), &context, false).await.expect("written");
        put.commit().await.expect("committed");
        assert!(content(&store, &object).await == bytes, "it is whole");
        assert_eq!(uploads(&direct).await, 0);
    });
}

#[test]
fn what_is_kept_leaves_half_of_the_budget_to_others() {
    let context = Context { budget: remotes::budget::Budget::new(16 << 20), ..patient() };
    behind(
        &context,
        |_, _| Fate::Pass,
        async |store, _| {
            let (object, bytes) = (name("kept"), pattern(7, 33 << 20));
            let mut put = put_stream(&*store, &object, bytes.len() as u64).await.expect("opened");
            let mut least = context.budget.total();
            for piece in bytes.chunks(BLOCK) {
                write(&mut *put, piece, &context, false).await.expect("written");
                least = least.min(context.budget.free());
            }
            let half = context.budget.total() / 2;
            assert!(least >= half - 2 * BLOCK as u64, "{least} of {half} bytes were left");
            assert!(least < context.budget.total() - 2 * BLOCK as u64, "and something was kept");
            put.relax();
            assert_eq!(context.budget.free(), context.budget.total(), "in a pause nothing is");
            put.commit().await.expect("committed");
            assert!(content(&store, &object).await == bytes);
        },
    );
}

#[test]
fn a_server_that_stalls_is_given_up_in_time_in_either_form() {
    for (len, relax) in [(5 << 20, false), (64 << 20, false), (64 << 20, true)] {
        let idle = Duration::from_secs(3);
        let context = Context { idle, ..patient() };
        let fate = |line: &str, _| if is_payload(line) { Fate::Stall(BROKEN_AFTER) } else { Fate::Pass };
        behind(&context, fate, async |store, _| {
            let object = name("stalled");
            let bytes = pattern(3, len);
            let started = Instant::now();
            let mut put = put_stream(&*store, &object, len as u64).await.expect("opened");
            let e = match write(&mut *put, &bytes, &context, relax).await {
                Err(e) => e,
                Ok(()) => put.commit().await.expect_err("nobody takes it"),
            };
            assert_eq!(e.kind(), Kind::Timeout, "{e}");
            assert!(started.elapsed() < 5 * idle, "after {:?}", started.elapsed());
            assert_eq!(store.stat(&object).await.expect("a clear answer"), None);
        });
    }
}

#[test]
fn a_refusal_in_mid_stream_is_told_in_the_servers_words() {
    let context = patient();
    let fate = |line: &str, _| if is_payload(line) { Fate::Refuse(BROKEN_AFTER) } else { Fate::Pass };
    behind(&context, fate, async |store, direct| {
        // Not by the relay, whose fates are for new connections.
        let beside = open(&direct, &context);
        for (len, relax) in [(4 << 20, true), (4 << 20, false), (64 << 20, true)] {
            let bytes = pattern(4, len);
            let object = name("refused");
            let mut put = put_stream(&*store, &object, len as u64).await.expect("opened");
            let e = match write(&mut *put, &bytes, &context, relax).await {
                Err(e) => e,
                Ok(()) => put.commit().await.expect_err("refused"),
            };
            assert_eq!(e.kind(), Kind::Throttled, "{e}");
            assert!(e.to_string().contains("SlowDown"), "{e}");
            assert_eq!(e.to_string().contains("after 5 tries"), !relax, "what is kept is tried again: {e}");
            assert_eq!(beside.stat(&object).await.expect("a clear answer"), None);
        }
    });
}

#[test]
fn an_upload_is_left_by_a_kill_and_removed_by_abort_and_abandon() {
    let context = patient();
    behind(
        &context,
        |_, _| Fate::Pass,
        async |store, direct| {
            let (object, bytes) = (name("left"), pattern(5, 17 << 20));
            for written in [0, 1, 6 << 20, 17 << 20] {
                let mut put = put_stream(&*store, &object, bytes.len() as u64).await.expect("opened");
                write(&mut *put, &bytes.slice(..written), &context, false).await.expect("written");
                put.abort().await.expect("aborted");
                assert_eq!(uploads(&direct).await, 0, "after an abort at {written}");
                let mut put = put_stream(&*store, &object, bytes.len() as u64).await.expect("opened");
                let upload = put.resumption().expect("in parts");
                write(&mut *put, &bytes.slice(..written), &context, false).await.expect("written");
                drop(put);
                assert_eq!(uploads(&direct).await, 1, "somebody may go on with it after a kill at {written}");
                store.uploads().expect("it has some").abandon(&object, &upload).await.expect("abandoned");
                assert_eq!(uploads(&direct).await, 0, "after it was abandoned at {written}");
            }
        },
    );
}

#[test]
fn marks_that_do_not_agree_with_the_server_are_not_gone_on_with() {
    let context = patient();
    behind(
        &context,
        |_, _| Fate::Pass,
        async |store, direct| {
            let (object, bytes) = (name("disagrees"), pattern(6, 17 << 20));
            let len = bytes.len() as u64;
            for change in 0..3 {
                let mut put = put_stream(&*store, &object, len).await.expect("opened");
                let upload = put.resumption().expect("in parts");
                write(&mut *put, &bytes.slice(..11 << 20), &context, false).await.expect("written");
                let mut marks = put.suspend().await.expect("suspended");
                assert_eq!(marks.len(), 2);
                match change {
                    0 => marks[1].tag = b"\"00000000000000000000000000000000\"".to_vec(),
                    1 => marks[0].end -= 1,
                    _ => marks.push(remotes::Mark { end: 15 << 20, tag: marks[0].tag.clone() }),
                }
                let again = store
                    .uploads()
                    .expect("it has some")
                    .resume(&object, len, &upload, &marks)
                    .await
                    .expect("a clear answer");
                assert!(again.is_none(), "change {change}");
                assert_eq!(uploads(&direct).await, 0, "and nothing of it is left");
            }
        },
    );
}

/// True for a request that carries part of an object.
fn is_payload(line: &str) -> bool {
    line.starts_with("PUT ")
}

/// What becomes of a connection.
#[derive(Clone, Copy)]
enum Fate {
    /// It is carried.
    Pass,
    /// It breaks after so many bytes to the server.
    Cut(usize),
    /// It breaks so many bytes behind these words, in whichever request they come.
    CutBehind(&'static str, usize),
    /// Nothing is taken from the client after so many bytes.
    Stall(usize),
    /// 503 after so many bytes, which the server never sees.
    Refuse(usize),
}

/// Passes connections on to a server, each as its first request line and how many like it there were say.
struct Relay {
    port: u16,
    /// Connections that stall are open until it goes.
    _stalled: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn start(target: u16, fate: impl Fn(&str, usize) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let (fate, payloads) = (Arc::new(fate), Arc::new(AtomicUsize::new(0)));
        let stalled = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&stalled);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (fate, payloads, stalled) = (Arc::clone(&fate), Arc::clone(&payloads), Arc::clone(&stalled));
                std::thread::spawn(move || {
                    let _ = relay(client, target, &*fate, &payloads, &stalled);
                });
            }
        });
        Self { port, _stalled: kept }
    }
}

fn relay(
    mut client: TcpStream,
    target: u16,
    fate: &dyn Fn(&str, usize) -> Fate,
    payloads: &AtomicUsize,
    stalled: &Mutex<Vec<TcpStream>>,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        line.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    let before = if is_payload(&text) { payloads.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let fate = fate(&text, before);
    if let Fate::Refuse(after) = fate {
        std::io::copy(&mut (&client).take(after as u64), &mut std::io::sink())?;
        let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        write!(client, "HTTP/1.1 503 x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())?;
        client.shutdown(Shutdown::Write)?;
        // What is still sent is read: closing now could reset the answer away.
        std::io::copy(&mut client, &mut std::io::sink())?;
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", target))?;
    server.write_all(&line)?;
    let (mut back, mut to) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    match fate {
        Fate::Cut(after) => {
            std::io::copy(&mut (&client).take(after as u64), &mut server)?;
            let _ = client.shutdown(Shutdown::Both);
        }
        Fate::CutBehind(words, after) => {
            let (mut buf, mut last, mut left) = (vec![0; 64 << 10], line, None);
            while let n @ 1.. = client.read(&mut buf)? {
                last.extend_from_slice(&buf[..n]);
                if left.is_none() && last.windows(words.len()).any(|w| w == words.as_bytes()) {
                    left = Some(after);
                }
                last.drain(..last.len().saturating_sub(words.len()));
                left = left.map(|left: usize| left.saturating_sub(n));
                if left == Some(0) {
                    let _ = client.shutdown(Shutdown::Both);
                    break;
                }
                server.write_all(&buf[..n])?;
            }
        }
        Fate::Stall(after) => {
            std::io::copy(&mut (&client).take(after as u64), &mut server)?;
            stalled.lock().expect("no panic").extend([client, server]);
            return Ok(());
        }
        _ => {
            std::io::copy(&mut client, &mut server)?;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    Ok(())
}
