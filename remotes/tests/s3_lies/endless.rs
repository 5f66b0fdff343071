//! Answers that have no end.

use std::time::{Duration, Instant};

use remotes::{Context, Kind};

use crate::client::on;
use crate::client::{Do, LANES, Lane, context, liar};
use crate::liar::Lie;

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
