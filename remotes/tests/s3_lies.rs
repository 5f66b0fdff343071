//! An S3 that says what is not so, or never comes to an end: nothing is believed that was not said, nothing is removed for it,
//! and everything has an end. Each lie is told to each operation, on connections of our own and through the SDK.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::conformance::pattern;
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Error, Kind, ObjectName, Range, Resumption, Store};

mod liar;

use liar::{Liar, Lie, Request, bare, document, etag};

/// Patience of a test whose server answers.
fn context() -> Context {
    let (idle, connect) = (Duration::from_secs(30), Duration::from_secs(30));
    Context { first_pause: Duration::from_millis(1), idle, connect, ..Context::default() }
}

/// How payloads travel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lane {
    Wire,
    Sdk,
}

const LANES: [Lane; 2] = [Lane::Wire, Lane::Sdk];

fn options(port: u16) -> Options {
    let mut o = Options::new();
    let port = port.to_string();
    for (name, value) in [("bucket", "bucket"), ("host", "127.0.0.1"), ("port", &*port), ("requeststyle", "path")] {
        o.set(name, value);
    }
    o.set("partsize", "5MiB");
    o.set(KEY_ID, "k");
    o.set(SECRET, "s");
    o
}

fn open(port: u16, lane: Lane, context: &Context) -> Rc<dyn Store> {
    let store = match lane {
        Lane::Wire => S3::open(&options(port), context),
        Lane::Sdk => S3::open_through_sdk(&options(port), context),
    };
    Rc::new(store.expect("good options"))
}

fn on<T>(f: impl Future<Output = T>) -> T {
    remotes::sys::run(false, f).expect("a runtime")
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

fn file(content: &[u8]) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

/// Everything a client does, in one word each.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Do {
    Stat,
    Get,
    GetPart,
    Put,
    PutStream,
    PutParts,
    Rename,
    RenameInParts,
    Remove,
    List,
    Resume,
    Abandon,
}

const OLD: &[u8] = b"old content";
const BIG: usize = (5 << 20) + 11;

impl Do {
    async fn run(self, port: u16, lane: Lane, context: &Context) -> Result<(), Error> {
        let store = match self {
            Do::RenameInParts => {
                let store = S3::open_with_copies(&options(port), context, 5 << 20).expect("good options");
                Rc::new(store) as Rc<dyn Store>
            }
            _ => open(port, lane, context),
        };
        let upload = Resumption { token: b"u1".to_vec(), step: 5 << 20 };
        match self {
            Do::Stat => store.stat(&name("a")).await.map(drop),
            Do::Get | Do::GetPart => {
                let part = Range { from: 2, len: Some(3), tag: None };
                let range = if self == Do::Get { Range::default() } else { part };
                let get = store.get(&name("a"), range).await?;
                let got = remotes::pump::collect(get, 1 << 20, context).await?;
                assert_eq!(got, if self == Do::Get { OLD } else { &OLD[2..5] }, "other bytes were taken");
                Ok(())
            }
            Do::Put | Do::PutParts => {
                let from = if self == Do::Put { file(OLD) } else { file(&pattern(1, BIG)) };
                let mut put = store.put(&name("n"), from.len).await?;
                if let Err(e) = put.fill(&from, &Meter::new()).await {
                    let _ = put.abort().await;
                    return Err(e);
                }
                put.commit().await.map(drop)
            }
            Do::PutStream => {
                let content = pattern(1, 1 << 20);
                let mut put = store.put_stream(&name("n"), content.len() as u64).await?;
                put.write(content).await?;
                put.commit().await.map(drop)
            }
            Do::Rename => store.rename(&name("a"), &name("n")).await,
            Do::RenameInParts => store.rename(&name("big"), &name("n")).await,
            Do::Remove => store.remove(&name("a")).await,
            Do::List => {
                let mut list = store.list(None).await?;
                while list.next().await?.is_some() {}
                Ok(())
            }
            Do::Resume => {
                let marks = [remotes::Mark { end: 5 << 20, tag: b"x".to_vec() }];
                match store.resume(&name("n"), BIG as u64, &upload, &marks).await? {
                    Some(_) => Ok(()),
                    None => Err(Error::new(remotes::Op::Put, Kind::NotFound, "it is not gone on with")),
                }
            }
            Do::Abandon => store.abandon(&name("n"), &upload).await,
        }
    }
}

fn liar(faults: impl Fn(&Request) -> Option<Lie> + Send + Sync + 'static) -> Liar {
    let liar = Liar::start(faults);
    liar.put("a", OLD);
    // What a copy must not be taken for.
    liar.put("n", b"OTHER WORDS");
    liar.put("big", &pattern(1, BIG));
    liar
}

/// Or the lies below would prove nothing.
#[test]
fn one_that_tells_the_truth_is_believed() {
    for lane in LANES {
        for what in
            [Do::Stat, Do::Get, Do::GetPart, Do::Put, Do::PutStream, Do::PutParts, Do::Rename, Do::Remove, Do::List]
        {
            let liar = liar(|_| None);
            on(what.run(liar.port, lane, &context())).unwrap_or_else(|e| panic!("{lane:?} {what:?}: {e}"));
            assert_eq!(liar.get("n").as_deref() == Some(OLD), matches!(what, Do::Put | Do::Rename), "{what:?}");
        }
        let liar = liar(|_| None);
        on(Do::RenameInParts.run(liar.port, lane, &context())).expect("renamed");
        assert_eq!((liar.get("n").map(|n| n.len()), liar.get("big")), (Some(BIG), None));
    }
}

const ERROR: &str = "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";

/// 200 with a payload in these chunks.
fn chunked(chunks: &[&str]) -> Lie {
    let chunk = |text: &&str| format!("{:x}\r\n{text}\r\n", text.len());
    let payload: String = chunks.iter().map(chunk).collect();
    cut("Transfer-Encoding: chunked", &format!("{payload}0\r\n\r\n"))
}

/// 200 with these bytes behind a head with this line; then the connection ends.
fn cut(line: &str, payload: &str) -> Lie {
    Lie::Say(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{line}\r\n\r\n{payload}"))
}

/// A lie about one operation, and what that breaks.
fn lies() -> Vec<(&'static str, Lie, Vec<Do>)> {
    let head = |status: &str, headers: &str| Lie::Say(format!("HTTP/1.1 {status}\r\n{headers}\r\n"));
    let tag = etag(OLD);
    let with = |status: &str, headers: &str, body: &str| {
        Lie::Say(format!("HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()))
    };
    let copied = |tag: &str| format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>");
    vec![
        // Presence.
        ("HeadObject", head("200 OK", "ETag: \"x\"\r\n"), vec![Do::Stat, Do::Rename]),
        ("HeadObject", head("200 OK", "Content-Length: 11\r\n"), vec![Do::Stat, Do::Rename]),
        (
            "HeadObject",
            head("206 Partial Content", "ETag: \"x\"\r\nContent-Length: 11\r\n"),
            vec![Do::Stat, Do::Rename],
        ),
        ("HeadObject", head("204 No Content", "ETag: \"x\"\r\n"), vec![Do::Stat]),
        ("HeadObject", head("304 Not Modified", "ETag: \"x\"\r\n"), vec![Do::Stat]),
        // Content.
        ("GetObject", with("206 Partial Content", "Content-Range: bytes 0-4/11\r\n", "old c"), vec![Do::Get]),
        ("GetObject", with("206 Partial Content", "", "old c"), vec![Do::Get, Do::GetPart]),
        ("GetObject", with("206 Partial Content", "Content-Range: bytes 3-5/11\r\n", " co"), vec![Do::GetPart]),
        ("GetObject", with("206 Partial Content", "Content-Range: bytes 2-3/11\r\n", "d "), vec![Do::GetPart]),
        ("GetObject", with("206 Partial Content", "Content-Range: bytes 2-4/11\r\n", "d con"), vec![Do::GetPart]),
        ("GetObject", with("206 Partial Content", "Content-Range: nonsense\r\n", "d c"), vec![Do::GetPart]),
        ("GetObject", with("416 Range Not Satisfiable", "Content-Range: bytes */11\r\n", ""), vec![Do::GetPart]),
        ("GetObject", with("204 No Content", "", ""), vec![Do::Get]),
        ("GetObject", Lie::Say("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nold content".into()), vec![Do::Get]),
        // Storing.
        ("PutObject", bare("200 OK"), vec![Do::Put, Do::PutStream]),
        ("PutObject", with("204 No Content", "", ""), vec![Do::Put, Do::PutStream]),
        ("PutObject", with("202 Accepted", "", ""), vec![Do::Put, Do::PutStream]),
        ("UploadPart", bare("200 OK"), vec![Do::PutParts]),
        ("CompleteMultipartUpload", bare("200 OK"), vec![Do::PutParts, Do::RenameInParts]),
        ("CompleteMultipartUpload", document(ERROR), vec![Do::PutParts, Do::RenameInParts]),
        ("CompleteMultipartUpload", document(&format!("\n \n{ERROR}")), vec![Do::PutParts]),
        ("CompleteMultipartUpload", document("<html>Log in</html>"), vec![Do::PutParts]),
        ("CompleteMultipartUpload", bare("204 No Content"), vec![Do::PutParts]),
        (
            "CompleteMultipartUpload",
            document("<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>"),
            vec![Do::PutParts, Do::RenameInParts],
        ),
        ("CreateMultipartUpload", bare("200 OK"), vec![Do::PutParts]),
        // Copying.
        ("CopyObject", bare("200 OK"), vec![Do::Rename]),
        ("CopyObject", document(ERROR), vec![Do::Rename]),
        ("CopyObject", document(&format!("\n  \n{ERROR}")), vec![Do::Rename]),
        ("CopyObject", document("<CopyObjectResult></CopyObjectResult>"), vec![Do::Rename]),
        ("CopyObject", document(&copied(&tag)), vec![Do::Rename]),
        ("CopyObject", document(&copied("\"x\"")), vec![Do::Rename]),
        ("CopyObject", bare("202 Accepted"), vec![Do::Rename]),
        ("CopyObject", bare("204 No Content"), vec![Do::Rename]),
        ("CopyObject", chunked(&[" ", "\n", ERROR]), vec![Do::Rename]),
        ("CopyObject", chunked(&[&copied(&tag)]), vec![Do::Rename]),
        ("CopyObject", head("200 OK", "Transfer-Encoding: chunked\r\n"), vec![Do::Rename]),
        ("CopyObject", cut("Transfer-Encoding: chunked", &format!("40\r\n{}", copied(&tag))), vec![Do::Rename]),
        ("CopyObject", cut("Transfer-Encoding: chunked", "<CopyObjectResult>"), vec![Do::Rename]),
        ("CopyObject", cut("Transfer-Encoding: gzip", &copied(&tag)), vec![Do::Rename]),
        ("CopyObject", cut("Content-Length: 500", &copied(&tag)), vec![Do::Rename]),
        ("CopyObject", cut("Server: x", copied(&tag).trim_end_matches('>')), vec![Do::Rename]),
        ("UploadPartCopy", bare("200 OK"), vec![Do::RenameInParts]),
        ("UploadPartCopy", document(ERROR), vec![Do::RenameInParts]),
        // Removing.
        ("DeleteObject", bare("200 OK"), vec![Do::Remove, Do::Rename]),
        ("DeleteObject", document("<html>Log in</html>"), vec![Do::Remove]),
        ("DeleteObject", bare("202 Accepted"), vec![Do::Remove]),
        ("DeleteObject", bare("206 Partial Content"), vec![Do::Remove]),
        ("DeleteObject", Lie::Say(String::new()), vec![Do::Remove, Do::Rename]),
        ("DeleteObject", Lie::Say("HTTP/1.1 20".into()), vec![Do::Remove, Do::Rename]),
        ("DeleteObject", bare("301 Moved Permanently"), vec![Do::Remove, Do::Rename]),
        ("DeleteObject", document(ERROR), vec![Do::Remove, Do::Rename]),
        // Listing.
        ("ListObjects", bare("200 OK"), vec![Do::List]),
        ("ListObjects", document(ERROR), vec![Do::List]),
        (
            "ListObjects",
            document("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"),
            vec![Do::List],
        ),
        (
            "ListObjects",
            document("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
            vec![Do::List],
        ),
        (
            "ListObjects",
            document(
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
            ),
            vec![Do::List],
        ),
    ]
}

#[test]
fn nothing_is_believed_that_was_not_said() {
    for lane in LANES {
        for (about, lie, breaks) in lies() {
            for what in breaks {
                let told = lie.clone();
                let liar = liar(move |request| (request.operation() == about).then(|| told.clone()));
                let begun = Instant::now();
                let done = on(what.run(liar.port, lane, &context()));
                let case = format!("{lane:?}, {what:?}: {about} answered with {lie:?}");
                let e = done.expect_err(&case);
                assert_ne!(e.kind(), Kind::NotFound, "{case}: {e}");
                assert!(begun.elapsed() < Duration::from_secs(20), "{case}: it took {:?}", begun.elapsed());
                assert_eq!(liar.get("a").as_deref(), Some(OLD), "{case}: the original is gone");
                assert_eq!(liar.get("big").map(|big| big.len()), Some(BIG), "{case}: the original is gone");
            }
        }
    }
}

/// The answers to a copy and to a removal have many forms that tell the truth.
#[test]
fn a_true_answer_is_understood_in_every_form() {
    let result = format!("<CopyObjectResult><ETag>{}</ETag></CopyObjectResult>", etag(OLD));
    let quoted = result.replace('"', "&quot;");
    let (start, end) = result.split_at(30);
    let said = |lie: Lie| if let Lie::Say(words) = lie { words } else { unreachable!("it says something") };
    let copies = [
        said(document(&format!("<?xml version=\"1.0\"?>\n{quoted}\n"))),
        said(chunked(&[" ", "\n \n", start, end])),
        said(cut("Server: x", &result)),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{}", said(document(&result))),
    ];
    let removals = [
        said(bare("204 No Content")),
        said(cut("Content-Length: 2", "ok")),
        said(chunked(&["<DeleteResult/>"])),
        said(bare("204 No Content")).replace("Content-Length: 0", "Server: x"),
    ];
    for lane in LANES {
        for (copy, removal) in copies.iter().zip(&removals) {
            let (copied, removed) = (copy.clone(), removal.clone());
            let liar = liar(move |request| match request.operation() {
                "CopyObject" => Some(Lie::DoAndSay(copied.clone())),
                "DeleteObject" => Some(Lie::DoAndSay(removed.clone())),
                _ => None,
            });
            on(Do::Rename.run(liar.port, lane, &context()))
                .unwrap_or_else(|e| panic!("{lane:?} {copy} {removal}: {e}"));
            assert_eq!((liar.get("a"), liar.get("n").as_deref()), (None, Some(OLD)), "{lane:?} {copy} {removal}");
        }
    }
}

/// Or nothing above would be about them.
#[test]
fn what_is_asked_of_each_file_goes_over_connections_of_our_own() {
    for what in [Do::Stat, Do::Get, Do::GetPart, Do::Put, Do::PutStream, Do::Rename, Do::Remove] {
        let wire = liar(|_| None);
        on(what.run(wire.port, Lane::Wire, &context())).expect("done");
        assert_eq!(wire.through_sdk(), [""; 0], "{what:?}");
        let sdk = liar(|_| None);
        on(what.run(sdk.port, Lane::Sdk, &context())).expect("done");
        assert!(!sdk.through_sdk().is_empty(), "{what:?}");
    }
}

/// A bare 404 is an absence only where the bucket is there.
#[test]
fn a_404_of_anything_removes_nothing() {
    let all = |request: &Request| matches!(request.method.as_str(), "DELETE" | "HEAD" | "GET");
    for lane in LANES {
        let gone = liar(move |request| all(request).then(|| bare("404 Not Found")));
        for what in [Do::Remove, Do::Abandon, Do::Stat] {
            let e = on(what.run(gone.port, lane, &context())).expect_err("nothing is there");
            assert_eq!(e.kind(), Kind::NoSuchPlace, "{what:?}: {e}");
        }
        // Who may not ask about the bucket hears nothing.
        let secret = liar(move |request| match request.operation() {
            "HeadBucket" | "ListObjects" => Some(bare("403 Forbidden")),
            _ => all(request).then(|| bare("404 Not Found")),
        });
        let e = on(Do::Remove.run(secret.port, lane, &context())).expect_err("nobody knows");
        assert_eq!(e.kind(), Kind::Denied, "{e}");
        // The bucket is there, or S3 itself says so.
        let there = liar(|request| (request.operation() == "DeleteObject").then(|| bare("404 Not Found")));
        on(Do::Remove.run(there.port, lane, &context())).expect("the bucket is there");
        let code = "<Error><Code>NoSuchKey</Code></Error>";
        let told =
            format!("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{code}", code.len());
        let says = liar(move |request| match request.operation() {
            "DeleteObject" => Some(Lie::Say(told.clone())),
            _ => all(request).then(|| bare("404 Not Found")),
        });
        on(Do::Remove.run(says.port, lane, &context())).expect("S3 says so");
        // One that says 200 has to be looked after.
        let other = liar(|request| {
            (request.operation() == "DeleteObject")
                .then(|| Lie::DoAndSay("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into()))
        });
        on(Do::Remove.run(other.port, lane, &context())).expect("it is gone");
    }
}

const STORED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";

#[test]
fn what_is_stored_before_it_was_sent_is_not_stored() {
    for lane in LANES {
        for streamed in [false, true] {
            // More than all buffers on the way hold.
            let len = 48 << 20;
            for (about, size) in [("PutObject", "64MiB"), ("UploadPart", "40MiB")] {
                let liar = liar(move |request| (request.operation() == about).then_some(Lie::Early(1 << 10, STORED)));
                let mut options = options(liar.port);
                options.set("partsize", size);
                let store = match lane {
                    Lane::Wire => S3::open(&options, &context()),
                    Lane::Sdk => S3::open_through_sdk(&options, &context()),
                };
                let store: Rc<dyn Store> = Rc::new(store.expect("good options"));
                let done = on(async {
                    let content = pattern(1, len);
                    if streamed {
                        let mut put = store.put_stream(&name("n"), len as u64).await?;
                        for at in (0..len).step_by(1 << 20) {
                            put.write(content.slice(at..at + (1 << 20))).await?;
                        }
                        return put.commit().await.map(drop);
                    }
                    let from = file(&content);
                    let mut put = store.put(&name("n"), from.len).await?;
                    put.fill(&from, &Meter::new()).await?;
                    put.commit().await.map(drop)
                });
                let e = done.expect_err("most of it was never sent");
                assert_eq!(e.kind(), Kind::Protocol, "{lane:?} {about} streamed={streamed}: {e}");
            }
        }
    }
}

/// Answers that have no end.
const ENDLESS: &[(&str, Lie)] = &[
    ("interim answers at once", Lie::Forever("", "HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO)),
    ("interim answers now and then", Lie::Forever("", "HTTP/1.1 102 Processing\r\n\r\n", Duration::from_millis(20))),
    ("headers", Lie::Forever("HTTP/1.1 200 OK\r\n", "X-A: bcdefghijklmnop\r\n", Duration::ZERO)),
    ("headers, bit by bit", Lie::Forever("HTTP/1.1 200 OK\r\nX-A: ", "b", Duration::from_millis(20))),
    ("a status, bit by bit", Lie::Forever("HTTP/1.1 200 ", "O", Duration::from_millis(20))),
    (
        "a body",
        Lie::Forever(
            "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nTransfer-Encoding: chunked\r\n\r\n",
            "4\r\n<a/>\r\n",
            Duration::ZERO,
        ),
    ),
    (
        "a body, bit by bit",
        Lie::Forever(
            "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 100000\r\n\r\n",
            " ",
            Duration::from_millis(20),
        ),
    ),
    (
        "a refusal",
        Lie::Forever("HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\n<a/>\r\n", Duration::ZERO),
    ),
    (
        "a refusal, bit by bit",
        Lie::Forever("HTTP/1.1 400 Bad\r\nContent-Length: 100000\r\n\r\n", " ", Duration::from_millis(20)),
    ),
];

#[test]
fn answers_without_end_have_one() {
    let idle = Duration::from_millis(400);
    let hasty = Context { idle, patience: Some(Duration::ZERO), ..context() };
    let doing =
        [Do::Stat, Do::Put, Do::PutStream, Do::PutParts, Do::Rename, Do::Remove, Do::List, Do::Resume, Do::Abandon];
    std::thread::scope(|scope| {
        for lane in LANES {
            for &(says, ref lie) in &ENDLESS[usize::from(lane == Lane::Sdk)..] {
                let hasty = hasty.clone();
                scope.spawn(move || {
                    // What goes through the SDK is limited in time alone, and its HTTP takes minutes to read so many without
                    // optimization.
                    let is_own = |what: &Do| matches!(what, Do::Put | Do::PutStream | Do::PutParts);
                    for what in doing.into_iter().filter(|what| says != "interim answers at once" || is_own(what)) {
                        // The operation that a fault is about, and all others where it is the first.
                        let about = match what {
                            Do::PutParts => Some("UploadPart"),
                            Do::Rename => Some("CopyObject"),
                            Do::Abandon => Some("ListParts"),
                            _ => None,
                        };
                        let liar = liar(move |request| {
                            about.is_none_or(|about| request.operation() == about).then(|| lie.clone())
                        });
                        let begun = Instant::now();
                        let done = on(what.run(liar.port, lane, &hasty));
                        let case = format!("{lane:?}, {what:?}: {says}");
                        // A HEAD ends with its head, whatever follows; who may not list has done what can be done.
                        let harmless = what == Do::Abandon || what == Do::Resume;
                        assert!(done.is_err() || harmless || says.starts_with("a body"), "{case}");
                        if let Err(e) = done
                            && what != Do::Resume
                        {
                            assert_ne!(e.kind(), Kind::NotFound, "{case}: {e}");
                        }
                        assert!(begun.elapsed() < Duration::from_secs(30), "{case}: it took {:?}", begun.elapsed());
                        assert!(liar.said() < 64 << 20, "{case}: {} bytes were taken", liar.said());
                        let deadline = Instant::now() + Duration::from_secs(30);
                        while liar.open() > 0 {
                            assert!(Instant::now() < deadline, "{case}: {} connections are held", liar.open());
                            std::thread::yield_now();
                        }
                    }
                });
            }
        }
    });
}

/// Renames `count` objects twice, as an export by git-annex does: to a name between, and to the new one.
async fn rename_all(store: &Rc<dyn Store>, count: usize) -> Result<(), Error> {
    for n in 0..count {
        store.rename(&name(&format!("old{n}")), &name(&format!("between{n}"))).await?;
        store.rename(&name(&format!("between{n}")), &name(&format!("new{n}"))).await?;
    }
    Ok(())
}

fn with_old(liar: Liar, count: usize) -> Liar {
    (0..count).for_each(|n| liar.put(&format!("old{n}"), format!("content {n}").as_bytes()));
    liar
}

/// One that has shown that it tells the truth is not asked about every copy: each of the two renames of a file takes a
/// copy and a removal. What they are called before is listed, many at once.
#[test]
fn renames_take_few_requests_where_the_store_has_shown_what_it_does() {
    const COUNT: usize = 100;
    for lane in LANES {
        let store = with_old(liar(|_| None), COUNT);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, COUNT)).expect("renamed");
        for n in 0..COUNT {
            let content = format!("content {n}").into_bytes();
            assert_eq!((store.get(&format!("new{n}")), store.get(&format!("old{n}"))), (Some(content), None));
            assert_eq!(store.get(&format!("between{n}")), None);
        }
        let operations = ["HeadObject", "CopyObject", "DeleteObject", "ListObjects"];
        let counts = operations.map(|operation| store.count(operation));
        // What is tried first, and a sample, come to a few.
        assert!(counts[0] <= 25 && counts[1] <= 2 * COUNT + 3 && counts[2] <= 2 * COUNT + 1, "{counts:?}");
        assert!(counts[3] <= 3, "{counts:?}");
    }
}

/// One that honours no condition is never believed, whatever else it says.
#[test]
fn every_copy_is_looked_at_where_conditions_are_ignored() {
    const COUNT: usize = 20;
    for lane in LANES {
        let store = with_old(Liar::start(|_| None).careless(), COUNT);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, COUNT)).expect("renamed");
        assert!(store.count("HeadObject") >= 4 * COUNT, "{}", store.count("HeadObject"));
        assert_eq!(store.get("new7").as_deref(), Some(&b"content 7"[..]));
    }
}

/// A copy that is not of the original is looked at, and found out, however long the store told the truth.
#[test]
fn belief_ends_with_the_first_copy_that_is_another() {
    for lane in LANES {
        let copied = std::sync::atomic::AtomicUsize::new(0);
        let tells = "<CopyObjectResult><ETag>\"another\"</ETag></CopyObjectResult>";
        let store = Liar::start(move |request| {
            let is_late =
                request.operation() == "CopyObject" && copied.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 30;
            is_late.then(|| document(tells))
        });
        let store = with_old(store, 40);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        let e = on(rename_all(&opened, 40)).expect_err("it does not copy any more");
        assert_ne!(e.kind(), Kind::NotFound, "{e}");
        for n in 0..40 {
            let names = ["old", "between", "new"].map(|what| store.get(&format!("{what}{n}")));
            assert!(names.into_iter().flatten().any(|is| is == format!("content {n}").into_bytes()), "{n} is lost");
        }
    }
}

/// What somebody puts under the old name while it is renamed is theirs.
#[test]
fn a_rename_does_not_remove_what_came_under_the_old_name() {
    for lane in LANES {
        let wait = Arc::new(std::sync::Mutex::new(None::<Arc<Liar>>));
        let theirs = Arc::clone(&wait);
        let store = Arc::new(with_old(
            Liar::start(move |request| {
                if request.operation() == "DeleteObject" && request.key == "old9" {
                    let store = theirs.lock().expect("no panic").clone();
                    store.expect("it is known").put("old9", b"somebody else's");
                }
                None
            }),
            10,
        ));
        *wait.lock().expect("no panic") = Some(Arc::clone(&store));
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, 10)).expect("renamed");
        assert_eq!(store.get("old9").as_deref(), Some(&b"somebody else's"[..]));
        assert_eq!(store.get("new9").as_deref(), Some(&b"content 9"[..]));
    }
}
