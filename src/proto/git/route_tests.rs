use super::*;
use crate::proto::http::head::parse;

/// What is made of a request, in words.
fn read(request: &str, headers: &str) -> String {
    let bytes = format!("{request} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
    let (head, _) = parse(bytes.as_bytes()).expect("a head").expect("whole");
    match route(&head) {
        Ok(Some(call)) => {
            let prefix = String::from_utf8_lossy(call.prefix);
            let gzip = if call.gzip { " gzip" } else { "" };
            format!("{} {prefix} {:?} {:?}{gzip}", call.op.name(), call.op.action(), call.protocol)
        }
        Ok(None) => "none".to_string(),
        Err(reject) => reject.status.to_string(),
    }
}

#[test]
fn each_request_of_git_is_told_from_all_others() {
    let upload = "Content-Type: application/x-git-upload-pack-request\r\n";
    let receive = "Content-Type: application/x-git-receive-pack-request\r\n";
    let both = |more: &str| format!("{upload}{more}");
    for (request, headers, expected) in [
        ("GET /a/b.git/info/refs?service=git-upload-pack", "", "fetch-refs /a/b.git Read None"),
        ("GET /info/refs?x=y&service=git%2Dupload-pack", "", "fetch-refs  Read None"),
        (
            "GET /a/info/refs?service=git-receive-pack",
            "Git-Protocol: version=2\r\n",
            "push-refs /a Store Some(\"version=2\")",
        ),
        ("GET /a/info/refs?service=git-receive-pack", "Git-Protocol: a\u{7f}b\r\n", "400"),
        ("GET /a/info/refs?service=git-receive-pack", "Git-Protocol: $(id)\r\n", "push-refs /a Store None"),
        ("GET /a/info/refs", "", "403"),
        ("GET /a/info/refs?service=git-upload-archive", "", "403"),
        ("GET /a/info/refs?service", "", "403"),
        ("HEAD /a/info/refs?service=git-upload-pack", "", "405"),
        ("POST /a/info/refs?service=git-upload-pack", "", "405"),
        ("POST /a/git-upload-pack", upload, "fetch /a Read None"),
        ("POST /git-upload-pack", upload, "fetch  Read None"),
        ("POST /a/git-receive-pack", receive, "push /a Store None"),
        ("POST /a/git-upload-pack", &both("Content-Encoding: gzip\r\n"), "fetch /a Read None gzip"),
        ("POST /a/git-upload-pack", &both("Content-Encoding: br\r\n"), "415"),
        (
            "POST /a/git-receive-pack",
            "Content-Type: application/x-git-receive-pack-request\r\nContent-Encoding: gzip\r\n",
            "415",
        ),
        ("POST /a/git-receive-pack", upload, "415"),
        ("POST /a/git-receive-pack", "Content-Type: text/plain\r\n", "415"),
        ("POST /a/git-receive-pack", "", "415"),
        ("GET /a/git-receive-pack", receive, "405"),
        ("PUT /a/git-receive-pack", receive, "405"),
        ("GET /a/config", "", "config /a Read None"),
        ("HEAD /config", "", "config  Read None"),
        ("POST /a/config", "", "405"),
        ("GET /a/../b/config", "", "404"),
        ("GET /a/%2e%2e/b/config", "", "404"),
        ("GET //a/config", "", "404"),
        ("GET /a//config", "", "config /a Read None"),
        ("GET //config", "", "config  Read None"),
        ("GET /a///config", "", "404"),
        ("GET ///config", "", "404"),
        ("GET /a/objects/info/packs", "", "none"),
        ("GET /a/HEAD", "", "none"),
        ("GET /a/configx", "", "none"),
        ("GET /a/xgit-upload-pack", "", "none"),
        ("GET /", "", "none"),
    ] {
        if expected == "400" {
            let bytes = format!("{request} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            assert!(parse(bytes.as_bytes()).is_err(), "{request} {headers}");
        } else {
            assert_eq!(read(request, headers), expected, "{request} {headers}");
        }
    }
}
