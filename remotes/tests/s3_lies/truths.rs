//! Or the lies would prove nothing: who tells the truth is understood, in every form.

use crate::client::{BIG, Do, LANES, Lane, OLD, context, liar, on};
use crate::liar::{Lie, bare, chunked, document, etag, with_line};

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
        said(with_line("Server: x", &result)),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{}", said(document(&result))),
    ];
    let removals = [
        said(bare("204 No Content")),
        said(with_line("Content-Length: 2", "ok")),
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

/// Whatever is asked first, it is asked again where the bucket is.
#[test]
fn another_region_is_learnt_from_the_answer_to_anything() {
    for lane in LANES {
        for what in [Do::Stat, Do::Put, Do::Rename, Do::Remove] {
            let liar = liar(|request| {
                let signature = request.header("authorization").unwrap_or(&request.query);
                let elsewhere = "HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\nConnection: close\r\n";
                let is_wrong = !signature.replace("%2F", "/").contains("/eu-west-1/s3/");
                is_wrong.then(|| Lie::Say(format!("{elsewhere}Content-Length: 0\r\n\r\n")))
            });
            let done = on(what.run(liar.port, lane, &context()));
            done.unwrap_or_else(|e| panic!("{lane:?} {what:?}: {e}"));
        }
    }
}
