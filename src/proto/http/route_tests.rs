use super::*;
use crate::proto::http::head;

const UUID: &str = "00000000-0000-4000-8000-00000000a001";
const CLIENT: &str = "00000000-0000-4000-8000-00000000c001";

fn uuid_of(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).expect("a uuid")
}

fn key_of(text: &str) -> Key {
    Key::parse(text.as_bytes()).expect("a key")
}

/// Prefix, operation, client and bypass.
type Routed = (Vec<u8>, Op, Option<Uuid>, Vec<Uuid>);

/// Routes a request line and headers; `$U` and `$C` stand for the uuids above.
fn routed(request: &str, headers: &str) -> Result<Routed, (u16, String)> {
    let text = format!("{request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").replace("$U", UUID).replace("$C", CLIENT);
    let (head, _) = head::parse(text.as_bytes()).expect("the head is right").expect("the head is whole");
    route(&head)
        .map(|call| {
            assert_eq!(call.uuid, uuid_of(UUID));
            (call.prefix.to_vec(), call.op, call.client, call.bypass)
        })
        .map_err(|reject| (reject.status, reject.body.into_owned()))
}

fn op(request: &str, headers: &str) -> Op {
    let (prefix, op, client, bypass) = routed(request, headers).unwrap_or_else(|error| panic!("{request}: {error:?}"));
    assert_eq!((prefix.as_slice(), client, bypass), (&b""[..], Some(uuid_of(CLIENT)), vec![]));
    op
}

fn rejected(request: &str, headers: &str) -> (u16, String) {
    routed(request, headers).expect_err(request)
}

fn bad(body: &str) -> (u16, String) {
    (400, body.to_owned())
}

#[test]
fn every_call_is_read() {
    let key = key_of("SHA1--foo");
    let post = |rest: &str| op(&format!("POST /git-annex/$U/v4/{rest}"), "X-git-annex-data-length: 18\r\n");
    let common = "key=SHA1--foo&clientuuid=$C";
    assert_eq!(post(&format!("checkpresent?{common}")), Op::CheckPresent { key: key.clone() });
    assert_eq!(post(&format!("lockcontent?{common}")), Op::Lock { key: key.clone() });
    assert_eq!(post("keeplocked?lockid=l&clientuuid=$C"), Op::KeepLocked { lockid: b"l".to_vec() });
    assert_eq!(post(&format!("remove?{common}")), Op::Remove { key: key.clone() });
    assert_eq!(
        post(&format!("remove-before?{common}&timestamp=99")),
        Op::RemoveBefore { key: key.clone(), timestamp: 99 }
    );
    assert_eq!(post("gettimestamp?clientuuid=$C"), Op::Timestamp);
    assert_eq!(post(&format!("putoffset?{common}")), Op::PutOffset { key: key.clone() });
    assert_eq!(
        post(&format!("put?{common}&associatedfile=di%20r%2Fper%25cent+%26amp.txt&offset=9")),
        Op::Put {
            key: key.clone(),
            file: Some(b"di r/per%cent &amp.txt".to_vec()),
            offset: 9,
            len: 18,
            data_present: false
        }
    );
    assert_eq!(
        op("GET /git-annex/$U/v0/key/SHA1--foo?clientuuid=$C&offset=5&associatedfile=[W2Zvb10=]", ""),
        Op::Get { key, offset: 5, file: Some(b"[foo]".to_vec()) }
    );
}

#[test]
fn unversioned_gets_need_no_client_and_know_no_offset() {
    let expected = Op::Get { key: key_of("URL--http://a+b/"), offset: 0, file: None };
    for method in ["GET", "HEAD"] {
        let request = format!("{method} /git-annex/$U/key/URL--http%3A%2F%2Fa+b%2F?offset=5");
        assert_eq!(routed(&request, ""), Ok((vec![], expected.clone(), None, vec![])));
    }
}

#[test]
fn prefixes_are_handed_on_as_sent() {
    let prefix = |path: &str| {
        routed(&format!("POST {path}/$U/v4/gettimestamp?clientuuid=$C"), "")
            .map(|(prefix, ..)| String::from_utf8(prefix).expect("text"))
    };
    assert_eq!(prefix("/git-annex"), Ok(String::new()));
    assert_eq!(prefix("/git%2dannex"), Ok(String::new()));
    assert_eq!(prefix("/org/re%20po/git-annex"), Ok("/org/re%20po".to_owned()));
    assert_eq!(prefix("/joey/git-annex/git-annex"), Ok("/joey/git-annex".to_owned()));
    for path in ["//git-annex", "/a//git-annex", "/a/../git-annex", "/%2e%2E/git-annex", "/./git-annex", "/git-annex/"]
    {
        assert_eq!(prefix(path), Err((404, String::new())), "{path}");
    }
    let key = "GET /v4/key/git-annex/$U/key/SHA1--foo";
    assert_eq!(routed(key, "").map(|call| call.0), Ok(b"/v4/key".to_vec()));
}

#[test]
fn what_is_not_there_is_404_and_so_are_unknown_versions() {
    for path in [
        "/",
        "/git-annex/",
        "/git-annex/$U",
        "/git-annex/$U/v4",
        "/git-annex/$U/v4/foo",
        "/git-annex/$U/v4/key/",
        "/git-annex/$U/key/",
        "/git-annex/$U/key/A--b/c",
        "/git-annex/$U/checkpresent",
        "/git-annex/$U//v4/checkpresent",
        "/git-annex/$U/v4/checkpresent//",
        "/git-annex/$U/v5/checkpresent",
        "/git-annex/$U/v/checkpresent",
        "/git-annex/$U/v04/checkpresent",
        "/git-annex/$U/V4/checkpresent",
        "/git-annex/$U/v9/key/A--b",
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(rejected(&format!("{method} {path}?clientuuid=$C"), ""), (404, String::new()), "{path}");
        }
    }
    assert_eq!(op("POST /git-annex/$U/v4/gettimestamp/?clientuuid=$C", ""), Op::Timestamp);
}

#[test]
fn what_a_version_does_not_have_is_a_bad_version() {
    for (method, rest) in [
        ("POST", "v0/putoffset?key=A--b&clientuuid=$C"),
        ("POST", "v2/gettimestamp?clientuuid=$C"),
        ("POST", "v2/remove-before?key=A--b"),
        ("GET", "v4/checkpresent?key=A--b&clientuuid=$C"),
        ("HEAD", "v4/checkpresent?key=A--b&clientuuid=$C"),
        ("OPTIONS", "v4/checkpresent?key=A--b&clientuuid=$C"),
        ("PUT", "v4/put?key=A--b&clientuuid=$C"),
        ("POST", "v4/key/A--b?clientuuid=$C"),
        ("DELETE", "v4/key/A--b?clientuuid=$C"),
    ] {
        assert_eq!(rejected(&format!("{method} /git-annex/$U/{rest}"), ""), bad("bad version"), "{method} {rest}");
    }
    assert_eq!(rejected("PUT /git-annex/$U/key/A--b", ""), (405, String::new()));
}

#[test]
fn answers_are_sent_only_in_a_type_that_is_accepted() {
    let json = |accept: &str| {
        routed("POST /git-annex/$U/v4/gettimestamp?clientuuid=$C", &format!("Accept: {accept}\r\n")).is_ok()
    };
    for accept in [
        "application/json;charset=utf-8,application/json",
        "application/json",
        "APPLICATION/JSON; Charset=UTF-8",
        "application/*",
        "text/html, */*;q=0.8",
    ] {
        assert!(json(accept), "{accept}");
    }
    for accept in
        ["text/plain", "application/octet-stream", "junk", "", "application/json;q=0", "*/json", "application"]
    {
        assert!(!json(accept), "{accept}");
    }
    let octets = "Accept: application/octet-stream\r\n";
    assert!(routed("GET /git-annex/$U/v4/key/A--b?clientuuid=$C", octets).is_ok());
    let json = "Accept: application/json\r\n";
    assert_eq!(rejected("GET /git-annex/$U/v4/key/A--b?clientuuid=$C", json), bad("bad version"));
    assert_eq!(rejected("GET /git-annex/$U/key/A--b", json), (406, String::new()));
}

/// Asked of the server of git-annex 10.20261026, each as it stands here.
#[test]
fn the_first_thing_wrong_is_named_in_its_words() {
    let base64 = "unable to base64 decode [] wrapped value";
    let query = |name: &str, why: &str| bad(&format!("Error parsing query parameter {name} failed: {why}"));
    let post = |rest: &str| rejected(&format!("POST /git-annex/$U/{rest}"), "");
    assert_eq!(rejected("POST /git-annex//v4/checkpresent", ""), bad("empty UUID"));
    assert_eq!(rejected("POST /git-annex/[!!!]/v4/checkpresent", ""), bad(base64));
    assert_eq!(rejected("GET /git-annex/$U/key/[!!!]", ""), bad(base64));
    assert_eq!(rejected("POST /git-annex/$U/key/nokey", ""), bad("key parse error"));
    assert_eq!(rejected("GET /git-annex/$U/v4/key/nokey", ""), bad("key parse error"));
    for op in ["checkpresent", "lockcontent", "remove", "remove-before", "put", "putoffset"] {
        assert_eq!(post(&format!("v4/{op}")), bad("Query parameter key is required"), "{op}");
    }
    assert_eq!(post("v4/keeplocked"), bad("Query parameter lockid is required"));
    assert_eq!(post("v4/keeplocked?lockid=&clientuuid="), query("lockid", "empty UUID"));
    assert_eq!(post("v4/gettimestamp"), bad("Query parameter clientuuid is required"));
    assert_eq!(post("v4/checkpresent?key&clientuuid=$C"), bad("Query parameter key is required"));
    assert_eq!(post("v4/checkpresent?key=A--b&clientuuid"), bad("Query parameter clientuuid is required"));
    assert_eq!(post("v4/checkpresent?key=nokey&key=A--b&clientuuid="), query("key", "key parse error"));
    assert_eq!(post("v4/checkpresent?key=[!!!]&clientuuid=$C"), query("key", base64));
    assert_eq!(post("v4/checkpresent?key=[]&clientuuid=$C"), query("key", "key parse error"));
    assert_eq!(post("v4/checkpresent?key=A--b&clientuuid=&bypass="), query("clientuuid", "empty UUID"));
    assert_eq!(post("v4/checkpresent?key=A--b&clientuuid=[++]"), query("clientuuid", base64));
    let bypass = format!("Error parsing query parameter(s) bypass failed: empty UUID, {base64}");
    assert_eq!(post("v1/checkpresent?key=A--b&clientuuid=$C&bypass=&bypass[]=[!!!]"), bad(&bypass));
    assert_eq!(
        post("v4/remove-before?key=A--b&timestamp=x&clientuuid=$C"),
        query("timestamp", "timestamp parse error")
    );
    assert_eq!(post("v4/remove-before?key=A--b&clientuuid=$C"), bad("Query parameter timestamp is required"));
    let get = |rest: &str| rejected(&format!("GET /git-annex/$U/v4/key/A--b?clientuuid=$C&{rest}"), "");
    assert_eq!(get("associatedfile=[!!!]&offset=x"), query("associatedfile", base64));
    for offset in ["x", "", "%2B5", "1e0"] {
        assert_eq!(get(&format!("offset={offset}")), query("offset", "offset parse error"), "{offset}");
    }
    assert_eq!(post("v4/put?key=nokey&data-present=yes"), query("data-present", "could not parse: `yes'"));
    assert_eq!(post("v3/put?key=nokey&data-present=yes"), query("key", "key parse error"));
}

#[test]
fn headers_are_looked_at_after_parameters() {
    let put = |headers: &str| rejected("POST /git-annex/$U/v4/put?key=A--b&clientuuid=$C", headers);
    let length = "Error parsing header X-git-annex-data-length failed: X-git-annex-data-length parse error";
    let auth = bad("Error parsing header Authorization failed: invalid basic auth header");
    assert_eq!(put(""), bad("Header X-git-annex-data-length is required"));
    assert_eq!(put("Authorization: x\r\n"), bad("Header X-git-annex-data-length is required"));
    for value in ["x", "+1", ""] {
        assert_eq!(put(&format!("X-git-annex-data-length: {value}\r\nAuthorization: x\r\n")), bad(length));
    }
    assert_eq!(put("X-git-annex-data-length: 1\r\nAuthorization: x\r\n"), auth);
    assert_eq!(rejected("GET /git-annex/$U/key/A--b", "Authorization: Bearer abc\r\n"), auth);
    let missing = bad("Query parameter clientuuid is required");
    assert_eq!(rejected("POST /git-annex/$U/v4/gettimestamp", "Authorization: x\r\n"), missing);
}

#[test]
fn values_are_read_as_git_annex_reads_them() {
    let present = |value: &str| {
        let request = format!("POST /git-annex/$U/v4/put?key=A--b&clientuuid=$C&data-present{value}");
        match op(&request, "X-git-annex-data-length: 0\r\n") {
            Op::Put { data_present, .. } => data_present,
            other => panic!("{other:?}"),
        }
    };
    assert!(present("") && present("=true") && present("=TRUE"));
    assert!(!present("=false") && !present("=False"));
    let offset = |value: &str| match op(&format!("GET /git-annex/$U/v4/key/A--b?clientuuid=$C&{value}"), "") {
        Op::Get { offset, file: None, .. } => offset,
        other => panic!("{other:?}"),
    };
    assert_eq!(["offset=+5", "offset=5%20", "offset=007", "offset", "associatedfile="].map(offset), [5, 5, 7, 0, 0]);
    let key = Op::CheckPresent { key: key_of("A--b") };
    for query in [
        "key=A--b;clientuuid=$C",
        "&&ke%79=A--b&unknown=x&clientuuid=$C",
        "key=A--b&key=nokey&clientuuid=$C",
        "key=[QS0tYg]&clientuuid=$C",
        "key=%5BQS0tYg==%5D&clientuuid=$C",
    ] {
        assert_eq!(op(&format!("POST /git-annex/$U/v4/checkpresent?{query}"), ""), key, "{query}");
    }
    let bypass = routed("POST /git-annex/$U/v4/gettimestamp?bypass=a&clientuuid=$C&bypass[]=b&bypass", "");
    assert_eq!(bypass.map(|call| call.3), Ok(vec![uuid_of("a"), uuid_of("b")]));
}

/// git-annex takes them; here they would end up in logs of lines and in names of files.
#[test]
fn odd_uuids_and_numbers_are_refused() {
    for client in ["a%20b", "a+b", "a%00b", "a%0ab"] {
        let request = format!("POST /git-annex/$U/v4/gettimestamp?clientuuid={client}");
        assert_eq!(rejected(&request, ""), bad("Error parsing query parameter clientuuid failed: not a UUID"));
    }
    for offset in ["-5", "0x3", "(3)", "99999999999999999999999"] {
        let request = format!("GET /git-annex/$U/v4/key/A--b?clientuuid=$C&offset={offset}");
        assert_eq!(rejected(&request, ""), bad("Error parsing query parameter offset failed: offset parse error"));
    }
    let key = "POST /git-annex/$U/v4/checkpresent?key=A--b%0ac&clientuuid=$C";
    assert_eq!(rejected(key, ""), bad("Error parsing query parameter key failed: key parse error"));
}

#[test]
fn every_op_needs_its_permission() {
    let key = key_of("A--b");
    assert_eq!(Op::Timestamp.action(), Action::Read);
    assert_eq!(Op::PutOffset { key: key.clone() }.action(), Action::Store);
    assert_eq!(Op::KeepLocked { lockid: vec![] }.action(), Action::Lock);
    assert_eq!(Op::RemoveBefore { key, timestamp: 0 }.action(), Action::Remove);
}
