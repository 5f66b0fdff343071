//! An S3 that says what is not so, or never comes to an end: nothing is believed that was not said, nothing is removed for it,
//! and everything has an end. Each lie is told to each operation, on connections of our own and through the SDK.

use std::rc::Rc;

use remotes::conformance::pattern;
use remotes::pump::Meter;
use remotes::s3::S3;
use remotes::{Kind, Store, put_stream};

mod client;
mod endless;
mod liar;
mod lies;
mod renames;
mod truths;

use client::{Do, LANES, Lane, context, file, liar, name, on, options};
use liar::{Lie, Request, bare};

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
                        let mut put = put_stream(&*store, &name("n"), len as u64).await?;
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
