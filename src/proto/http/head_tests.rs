use super::*;

fn parsed(text: &str) -> Result<Option<(Head<'_>, usize)>, Refusal> {
    let whole = parse(text.as_bytes());
    // Whatever a head is, it is the same byte by byte, and none before its last byte.
    let mut fed = Ok(None);
    for end in 1..=text.len() {
        fed = parse_more(&text.as_bytes()[..end], end - 1);
        if fed != Ok(None) {
            break;
        }
    }
    match (&whole, &fed) {
        (Ok(Some((_, length))), Ok(Some((_, fed)))) => assert_eq!(length, fed),
        // An error may be found earlier in a whole head, or only at its end when fed.
        (Err(_), Err(_)) | (Err(_) | Ok(None), Ok(None)) => {}
        _ => panic!("{text:?} is {whole:?} at once and {fed:?} byte by byte"),
    }
    whole
}

fn head(text: &str) -> Head<'_> {
    match parsed(text) {
        Ok(Some((head, length))) => {
            assert_eq!(length, text.len());
            head
        }
        other => panic!("{text:?} is {other:?}"),
    }
}

fn refusal(text: &str) -> Refusal {
    parsed(text).expect_err(text)
}

#[test]
fn a_request_of_git_annex_is_read() {
    let text = "POST /git-annex/u/v4/put?key=SHA1--foo&offset=0 HTTP/1.1\r\nHost: 127.0.0.1:9511\r\n\
                Accept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\
                Accept: application/json;charset=utf-8,application/json\r\n\
                Content-Type: application/octet-stream\r\nX-git-annex-data-length: 18\r\n\
                Authorization: Basic YWxpY2U6cHcx\r\nUser-Agent: git-annex/10.20261026\r\n\r\n";
    assert_eq!(
        head(text),
        Head {
            method: Method::Post,
            path: b"/git-annex/u/v4/put",
            query: b"key=SHA1--foo&offset=0",
            version: Version::Http11,
            keep_alive: true,
            body: Body::Chunked,
            expect_continue: false,
            range: None,
            authorization: Some(Private(b"Basic YWxpY2U6cHcx")),
            authorization_repeated: false,
            accept: Some(b"application/json;charset=utf-8,application/json"),
            data_length: Some(b"18"),
            user_agent: Some(b"git-annex/10.20261026"),
            content_type: Some(b"application/octet-stream"),
            content_encoding: None,
            git_protocol: None,
            origins: Origins { host: Some(b"127.0.0.1:9511"), ..Origins::default() },
        }
    );
    assert!(!format!("{:?}", head(text)).contains("YWxp"));
}

#[test]
fn the_next_request_is_left_alone() {
    let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /b";
    let (_, length) = parse(text).expect("no refusal").expect("a whole head");
    assert_eq!(&text[length..], b"GET /b");
}

#[test]
fn bodies_end_in_one_way_or_the_request_is_refused() {
    let body = |headers: &str| {
        parse(format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
            .map(|head| head.map(|(head, _)| head.body))
    };
    assert_eq!(body(""), Ok(Some(Body::None)));
    assert_eq!(body("Content-Length: 0\r\n"), Ok(Some(Body::Length(0))));
    assert_eq!(body("content-length: 18446744073709551615\r\n"), Ok(Some(Body::Length(u64::MAX))));
    assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(Some(Body::Chunked)));
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "X: y\r\n Content-Length: 5\r\n",
        "X: y\r\n\tz\r\n",
        "X: a\0b\r\n",
        "X\0: a\r\n",
        "X: a\rb\r\n",
        "X y: a\r\n",
        ": a\r\n",
        "X\r\n",
    ] {
        assert!(matches!(body(headers), Err(Refusal::Bad(_))), "{headers:?} is {:?}", body(headers));
    }
}

#[test]
fn lines_that_end_in_a_bare_newline_are_refused() {
    for text in [
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
    ] {
        assert!(matches!(refusal(text), Refusal::Bad(_)), "{text:?}");
    }
    assert_eq!(head("\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n").path, b"/a");
}

#[test]
fn hosts_are_required_once_by_http_1_1() {
    assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), Refusal::Bad("Host is required"));
    assert_eq!(refusal("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), Refusal::Bad("repeated Host"));
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").version, Version::Http10);
    let chunked = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refusal(chunked), Refusal::Bad("Transfer-Encoding with HTTP/1.0"));
}

#[test]
fn connections_are_kept_as_version_and_header_say() {
    for (version, header, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n");
        assert_eq!(head(&text).keep_alive, kept, "{text:?}");
    }
}

#[test]
fn targets_are_paths_or_urls() {
    let split = |target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = head(&text);
        (String::from_utf8_lossy(head.path).into_owned(), String::from_utf8_lossy(head.query).into_owned())
    };
    for (target, path, query) in [
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a?", "/a", ""),
        ("http://host:1/a?b", "/a", "b"),
        ("HTTPS://host", "/", ""),
        ("http://host?b", "/", ""),
        ("*", "*", ""),
    ] {
        assert_eq!(split(target), (path.to_owned(), query.to_owned()), "{target}");
    }
    for target in ["a", "host:443", "ftp://host/"] {
        assert!(matches!(refusal(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")), Refusal::Bad(_)), "{target}");
    }
}

#[test]
fn limits_have_their_own_answers() {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(length - 1));
    assert_eq!(parse(target(LONGEST_TARGET).as_bytes()).map(|head| head.is_some()), Ok(true));
    assert_eq!(parse(target(LONGEST_TARGET + 1).as_bytes()), Err(Refusal::TargetTooLong));
    let endless = format!("GET /{}", "a".repeat(LONGEST_TARGET + 100));
    assert_eq!(parse(endless.as_bytes()), Err(Refusal::TargetTooLong));
    assert_eq!(parse_more(endless.as_bytes(), LONGEST_TARGET), Err(Refusal::TargetTooLong));

    let headers = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(parse(headers(MOST_HEADERS).as_bytes()).map(|head| head.is_some()), Ok(true));
    assert_eq!(parse(headers(MOST_HEADERS + 1).as_bytes()), Err(Refusal::TooLarge));
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(LONGEST_HEAD));
    assert_eq!(parse(large.as_bytes()), Err(Refusal::TooLarge));
    assert_eq!(parse(&large.as_bytes()[..LONGEST_HEAD - 1]), Ok(None));

    assert_eq!(refusal("PRI * HTTP/2.0\r\n\r\n"), Refusal::Version);
    assert_eq!(refusal("POST / HTTP/1.1\r\nHost: x\r\nExpect: y\r\n\r\n"), Refusal::Expectation);
    assert!(matches!(refusal("\x16\x03\x01\x02\r\n\r\n"), Refusal::Bad(_)));
    let all = [Refusal::Bad("x"), Refusal::TargetTooLong, Refusal::Expectation, Refusal::TooLarge, Refusal::Version];
    assert_eq!(all.map(Refusal::status), [400, 414, 417, 431, 505]);
}

#[test]
fn continue_is_expected_only_where_a_body_comes() {
    let expects = |version: &str, header: &str| {
        head(&format!("POST / HTTP/{version}\r\nHost: x\r\nExpect: 100-Continue\r\n{header}\r\n")).expect_continue
    };
    assert!(expects("1.1", "Content-Length: 1\r\n"));
    assert!(expects("1.1", "Transfer-Encoding: chunked\r\n"));
    assert!(!expects("1.1", ""));
    assert!(!expects("1.1", "Content-Length: 0\r\n"));
    assert!(!expects("1.0", "Content-Length: 1\r\n"));
}

#[test]
fn ranges_count_only_without_a_condition() {
    let range = |header: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n{header}\r\n");
        parse(text.as_bytes()).expect("no refusal").expect("a whole head").0.range.map(<[u8]>::to_vec)
    };
    assert_eq!(range(""), Some(b"bytes=1-".to_vec()));
    assert_eq!(range("If-Range: \"x\"\r\n"), None);
}

#[test]
fn headers_that_decide_something_come_once() {
    for name in ["X-git-annex-data-length", "Range", "Content-Type", "Content-Encoding"] {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: a\r\n{name}: a\r\n\r\n");
        assert!(matches!(refusal(&text), Refusal::Bad(_)), "{name}");
    }
    // Which of them counts is for whoever reads it.
    let twice = head("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n");
    assert_eq!((twice.authorization, twice.authorization_repeated), (Some(Private(b"a")), true));
}
