//! Lies about one operation, and what each breaks.

use std::time::{Duration, Instant};

use remotes::Kind;

use crate::client::{BIG, Do, LANES, OLD, context, liar, on};
use crate::liar::{Lie, bare, chunked, document, etag, with_line};

const ERROR: &str = "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";

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
        ("CopyObject", with_line("Transfer-Encoding: chunked", &format!("40\r\n{}", copied(&tag))), vec![Do::Rename]),
        ("CopyObject", with_line("Transfer-Encoding: chunked", "<CopyObjectResult>"), vec![Do::Rename]),
        ("CopyObject", with_line("Transfer-Encoding: gzip", &copied(&tag)), vec![Do::Rename]),
        ("CopyObject", with_line("Content-Length: 500", &copied(&tag)), vec![Do::Rename]),
        ("CopyObject", with_line("Server: x", copied(&tag).trim_end_matches('>')), vec![Do::Rename]),
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
