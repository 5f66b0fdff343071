//! Old versions of objects, on a real server that keeps them.

use bytes::Bytes;
use remotes::options::Options;
use remotes::s3::{KEY_ID, S3, SECRET};
use remotes::{Context, Copies, Kind, ObjectName, Range, Store, Uploads, Versions};

const OWNER: &str = "00000000-0000-0000-0000-0000000000aa";

fn options(bucket: &str) -> Options {
    let server = servers::weed();
    let mut o = Options::new();
    for (name, value) in [
        ("bucket", bucket),
        ("host", "127.0.0.1"),
        ("port", &server.port.to_string()),
        ("requeststyle", "path"),
        ("fileprefix", "pre fix/"),
        ("partsize", "5MiB"),
        ("versions", "yes"),
        (KEY_ID, &server.user),
        (SECRET, &server.secret),
    ] {
        o.set(name, value);
    }
    o
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("a good name")
}

/// Puts an object, and tells its version.
async fn put(store: &S3, object: &ObjectName, content: &[u8], streamed: bool) -> String {
    let put = match streamed {
        true => store.put_stream(object, content.len() as u64).await,
        false => store.put(object, content.len() as u64).await,
    };
    let mut put = put.expect("opened");
    for block in content.chunks(1 << 20) {
        put.write(Bytes::copy_from_slice(block)).await.expect("taken");
    }
    put.commit().await.expect("stored").version.expect("a version")
}

async fn old(store: &S3, version: &str, range: Range, context: &Context) -> Vec<u8> {
    let get = store.get_version(version, range).await.expect("opened");
    let mut content = Vec::new();
    let each = async |block: Bytes| {
        content.extend_from_slice(&block);
        Ok(())
    };
    remotes::retrieve::read(get, context, each).await.expect("read");
    content
}

fn kept_whatever_becomes_of_the_name(through_sdk: bool) {
    let context = Context { tree: true, ..Context::default() };
    let bucket = servers::unique("versions");
    let test = async {
        let open = if through_sdk { S3::open_through_sdk } else { S3::open };
        let store = open(&options(&bucket), &context).expect("good options");
        store.prove(OWNER).await.expect("a bucket");
        assert!(store.versions().is_some());
        let object = name("d/a b+c#ä");
        // One PUT at the commit, one that is sent as it comes, and parts; each as it is sent from blocks and as a stream.
        let contents: Vec<Vec<u8>> = [0, 5, 300_000, 11 << 20].map(|len| vec![len as u8 ^ 7; len]).into();
        let mut versions = Vec::new();
        for content in &contents {
            for streamed in [false, true] {
                versions.push((put(&store, &object, content, streamed).await, content));
            }
        }
        store.remove(&object).await.expect("removed");
        assert_eq!(store.stat(&object).await.expect("told"), None);
        for (version, content) in &versions {
            let stat = store.stat_version(version).await.expect("told").expect("there");
            assert_eq!((stat.len, stat.version.as_ref()), (content.len() as u64, Some(version)));
            assert_eq!(&old(&store, version, Range::default(), &context).await, *content);
            if content.len() > 5 {
                let range = Range { from: 3, len: Some(2), tag: None };
                assert_eq!(old(&store, version, range, &context).await, content[3..5]);
            }
        }
        let (version, content) = &versions[4];
        let again = store.copy_version(version, &name("again")).await.expect("copied");
        assert_eq!(again.len, content.len() as u64);
        assert_ne!(again.version.as_ref(), Some(version));
        let now = store.stat(&name("again")).await.expect("told").expect("there");
        assert_eq!(now.version, again.version);
        let copied = store.copy(&name("again"), &name("twin"), None).await.expect("copied").version.expect("one");
        assert_eq!(&old(&store, &copied, Range::default(), &context).await, *content);
    };
    remotes::sys::run(false, test).expect("a runtime");
}

#[test]
fn what_was_replaced_or_removed_is_had_by_its_version() {
    kept_whatever_becomes_of_the_name(false);
}

#[test]
fn the_same_through_the_sdk() {
    kept_whatever_becomes_of_the_name(true);
}

#[test]
fn a_version_that_is_none_here_is_absent_or_refused() {
    let context = Context { tree: true, ..Context::default() };
    let bucket = servers::unique("versions");
    let test = async {
        let store = S3::open(&options(&bucket), &context).expect("good options");
        store.prove(OWNER).await.expect("a bucket");
        let version = put(&store, &name("a"), b"one", false).await;
        let (id, key) = version.split_once('#').expect("an id and a key");
        assert_eq!(key, "pre fix/a");
        let other: String = id.chars().rev().collect();
        assert_eq!(store.stat_version(&format!("{other}#{key}")).await.expect("told"), None);
        let absent = store.get_version(&format!("{other}#{key}"), Range::default()).await;
        assert_eq!(absent.err().map(|e| e.kind()), Some(Kind::NotFound));
        assert_eq!(store.stat_version(&format!("{id}#pre fix/b")).await.expect("told"), None);
        // What others keep in the bucket is none of this store's.
        for bad in [
            format!("{id}#a"),
            format!("{id}#other/a"),
            format!("#{key}"),
            id.into(),
            format!("{id}#pre fix/"),
            String::new(),
        ] {
            assert_eq!(store.stat_version(&bad).await.expect("told"), None, "{bad}");
            assert_eq!(store.get_version(&bad, Range::default()).await.err().map(|e| e.kind()), Some(Kind::NotFound));
        }
    };
    remotes::sys::run(false, test).expect("a runtime");
}
