//! The S3 store against real servers: SeaweedFS and `rclone serve s3`, both with authentication.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remotes::conformance::{examine, pattern};
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Error, ObjectName, Store};

use servers::Server;

const OWNER: &str = "00000000-0000-0000-0000-0000000000aa";

fn options(server: &Server, bucket: &str) -> Options {
    let mut o = Options::new();
    o.set("bucket", bucket);
    o.set("host", "127.0.0.1");
    o.set("port", server.port.to_string());
    o.set("requeststyle", "path");
    o.set("fileprefix", "pre fix/");
    o.set(KEY_ID, server.user.clone());
    o.set(SECRET, server.secret.clone());
    o
}

fn quick() -> Context {
    Context { first_pause: Duration::from_millis(1), idle: Duration::from_secs(20), ..Context::default() }
}

fn on(uring: bool, f: impl Future<Output = ()>) {
    remotes::sys::run(uring, f).expect("a runtime");
}

fn open(options: &Options, context: &Context) -> Rc<dyn Store> {
    Rc::new(S3::open(options, context).expect("good options"))
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

fn file(content: &[u8]) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

async fn fill(store: &Rc<dyn Store>, object: &ObjectName, from: &FileSource, meter: &Meter) -> Result<(), Error> {
    let mut put = store.put(object, from.len).await?;
    match put.fill(from, meter).await {
        Ok(()) => put.commit().await.map(|_| ()),
        Err(e) => {
            put.abort().await.expect("aborted");
            Err(e)
        }
    }
}

async fn content(store: &Rc<dyn Store>, object: &ObjectName, context: &Context) -> Bytes {
    remotes::retrieve::read_small(&**store, object, 1 << 30, context).await.expect("got")
}

fn examined(server: &Server, uring: bool, tree: bool) {
    let context = Context { tree, ..quick() };
    on(uring, async {
        let store = open(&options(server, &servers::unique("exam")), &context);
        examine(&store, &context).await;
    });
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
}

/// The same with the shortest parts, so that streams of every form come in many.
fn examined_in_parts(server: &Server, open: fn(&Options, &Context) -> remotes::Result<S3>) {
    let context = quick();
    on(true, async {
        let mut o = options(server, &servers::unique("small"));
        o.set("partsize", "5MiB");
        let store: Rc<dyn Store> = Rc::new(open(&o, &context).expect("good options"));
        examine(&store, &context).await;
    });
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
}

#[test]
fn seaweedfs_passes_the_examination_in_small_parts() {
    examined_in_parts(servers::weed(), S3::open);
}

#[test]
fn seaweedfs_passes_the_examination_in_small_parts_through_the_sdk() {
    examined_in_parts(servers::weed(), S3::open_through_sdk);
}

#[test]
fn rclone_serve_s3_passes_the_examination_in_small_parts() {
    examined_in_parts(servers::rclone_s3(), S3::open);
}

#[test]
fn seaweedfs_passes_the_examination() {
    examined(servers::weed(), true, true);
}

#[test]
fn seaweedfs_passes_the_examination_on_threads() {
    examined(servers::weed(), false, false);
}

#[test]
fn rclone_serve_s3_passes_the_examination() {
    // It keeps directories, and removing what has the name of one removes all that is in it.
    examined(servers::rclone_s3(), true, false);
}

fn through_the_sdk(server: &Server) {
    let context = quick();
    on(true, async {
        let o = options(server, &servers::unique("sdk"));
        let store: Rc<dyn Store> = Rc::new(S3::open_through_sdk(&o, &context).expect("good options"));
        examine(&store, &context).await;
    });
    assert_eq!(context.budget.free(), context.budget.total(), "every lease came back");
    parts_from_a_file(server, S3::open_through_sdk);
}

#[test]
fn seaweedfs_passes_the_examination_through_the_sdk() {
    through_the_sdk(servers::weed());
}

#[test]
fn rclone_serve_s3_passes_the_examination_through_the_sdk() {
    through_the_sdk(servers::rclone_s3());
}

fn parts_from_a_file(server: &Server, open: fn(&Options, &Context) -> remotes::Result<S3>) {
    let context = quick();
    on(true, async {
        let mut o = options(server, &servers::unique("parts"));
        o.set("partsize", "5MiB");
        let store: Rc<dyn Store> = Rc::new(open(&o, &context).expect("good options"));
        store.prove(OWNER).await.expect("proved");
        let bytes = pattern(1, (23 << 20) + 5);
        let meter = Meter::new();
        let from = file(&bytes);
        let object = name("in-parts");
        let put = store.put(&object, from.len).await.expect("opened");
        assert!(put.lane().contains("parts=5x5 MiB"), "{}", put.lane());
        drop(put);
        fill(&store, &object, &from, &meter).await.expect("stored");
        assert_eq!(meter.bytes(), from.len);
        assert!(content(&store, &object, &context).await == bytes);
        store.remove(&object).await.expect("removed");
    });
}

#[test]
fn seaweedfs_takes_parts_from_a_file() {
    parts_from_a_file(servers::weed(), S3::open);
}

#[test]
fn rclone_serve_s3_takes_parts_from_a_file() {
    parts_from_a_file(servers::rclone_s3(), S3::open);
}

fn doctored(server: &Server) -> Vec<remotes::doctor::Finding> {
    let context = quick();
    remotes::sys::run(true, async {
        let store = open(&options(server, &servers::unique("doctor")), &context);
        let e = remotes::doctor::examine(&store, "t", &context, &|_| {}).await;
        assert_eq!(e.len(), 2, "a bucket that is not there is told, and not made: {e:?}");
        store.prove(OWNER).await.expect("proved");
        let findings = remotes::doctor::examine(&store, "t", &context, &|_| {}).await;
        for left in ["doctor-t", "doctor-t-2"] {
            assert_eq!(store.stat(&name(left)).await.expect("a clear answer"), None, "{left} is cleaned up");
        }
        findings
    })
    .expect("a runtime")
}

fn verdicts(findings: &[remotes::doctor::Finding]) -> Vec<(&str, remotes::doctor::Verdict)> {
    findings.iter().map(|f| (f.what, f.verdict)).collect()
}

#[test]
fn the_doctor_tells_what_seaweedfs_can_do() {
    use remotes::doctor::Verdict::{No, Yes};
    let findings = doctored(servers::weed());
    let expected = [
        ("go by a proxy", No),
        ("absent objects are absent", Yes),
        ("store an object", Yes),
        ("read it back", Yes),
        ("read a range (resume)", Yes),
        ("list the bucket", Yes),
        ("multipart uploads", Yes),
        ("server-side copy (renames in exports)", Yes),
        ("CRC32 checksums (checksums=yes)", Yes),
        ("conditional PUT (If-None-Match)", Yes),
        ("conditional PUT under a race", Yes),
        ("conditional DELETE (If-Match)", Yes),
        ("conditional copy (of the source)", Yes),
        ("conditional copy (If-None-Match)", Yes),
        ("versioning", No),
        ("tell case apart", Yes),
        ("tell forms of Unicode apart", Yes),
        ("tell dots at the end apart", Yes),
        ("remove it", Yes),
    ];
    assert_eq!(verdicts(&findings), expected, "{findings:#?}");
}

#[test]
fn the_doctor_finds_what_rclone_serve_s3_lacks() {
    use remotes::doctor::Verdict;
    let findings = doctored(servers::rclone_s3());
    assert!(findings.iter().all(|f| f.verdict != Verdict::Failed), "{findings:#?}");
    let conditional = findings.iter().find(|f| f.what.starts_with("conditional")).expect("asked");
    assert_eq!(conditional.verdict, Verdict::No, "{findings:#?}");
}

/// Objects too large for one copy are copied in parts, with what belongs to them.
async fn copied_in_parts(server: &Server) {
    let context = quick();
    let mut options = options(server, &servers::unique("copies"));
    options.set("x-amz-meta", "colour=blue");
    let store: Rc<dyn Store> = Rc::new(S3::open_with_copies(&options, &context, 5 << 20).expect("good options"));
    store.prove(OWNER).await.expect("a bucket");
    let (from, to) = (name("large é"), name("moved/large"));
    let bytes = pattern(3, (12 << 20) + 5);
    fill(&store, &from, &file(&bytes), &Meter::new()).await.expect("stored");
    store.renames().expect("it can").rename(&from, &to).await.expect("renamed");
    assert!(store.stat(&from).await.expect("clear").is_none(), "the old name is gone");
    assert!(content(&store, &to, &context).await == bytes, "the content is the same");
    let stored = store.copies().expect("it can").copy(&to, &from, None).await.expect("copied");
    assert_eq!(stored.len, bytes.len() as u64);
    assert!(stored.tag.is_some_and(|tag| tag.contains("-3")), "in three parts");
    assert!(content(&store, &from, &context).await == bytes, "the copy is the same");
}

#[test]
fn seaweedfs_copies_in_parts() {
    on(true, copied_in_parts(servers::weed()));
}

/// Each request with the headers of new objects is signed over them, and a copy keeps what belongs to the original.
async fn kept_with_headers(server: &Server) {
    let context = Context { tree: true, ..quick() };
    let mut options = options(server, &servers::unique("headers"));
    for (name, value) in [("x-amz-meta", "Colour=light blue&shape=round"), ("x-amz-tagging", "a=b"), ("public", "yes")]
    {
        options.set(name, value);
    }
    let store = open(&options, &context);
    store.prove(OWNER).await.expect("a bucket");
    let bytes = pattern(3, 4321);
    for n in 0..8 {
        let (from, to) = (name(&format!("old é+{n}")), name(&format!("new/ü &{n}")));
        fill(&store, &from, &file(&bytes), &Meter::new()).await.expect("stored");
        store.renames().expect("it can").rename(&from, &to).await.expect("renamed");
        assert_eq!(store.stat(&from).await.expect("clear"), None);
        assert!(content(&store, &to, &context).await == bytes, "the content is the same");
        store.remove(&to).await.expect("removed");
        assert_eq!(store.stat(&to).await.expect("clear"), None);
    }
}

#[test]
fn seaweedfs_keeps_objects_with_headers() {
    on(true, kept_with_headers(servers::weed()));
}

#[test]
fn rclone_serve_s3_keeps_objects_with_headers() {
    on(true, kept_with_headers(servers::rclone_s3()));
}
