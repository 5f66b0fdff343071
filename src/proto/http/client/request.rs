//! Requests as git-annex writes them, byte for byte but for the order of headers that mean nothing.

use std::io::Write;

use annex_types::percent;

use super::super::auth::Credentials;
use super::super::query::wrapped;
use super::super::route::{Api, Op};
use crate::name::Uuid;

/// Where requests go to.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// What Host says: the name, and the port unless it is the usual one.
    pub host: &'a str,
    /// The proxy that is asked to pass it on, if any: it is told all of the url.
    pub proxy: Option<Via<'a>>,
    /// What stands before `/git-annex` in the path, encoded as it is sent: `/org`, or nothing.
    pub prefix: &'a [u8],
    /// The repository that is asked.
    pub server: &'a Uuid,
    /// The repository that asks.
    pub client: &'a Uuid,
    /// Gateways that it is not to ask. Versions that have no word for it have no clusters either.
    pub bypass: &'a [Uuid],
}

/// A proxy that reads requests.
#[derive(Debug, Clone, Copy)]
pub struct Via<'a> {
    /// The value of `Proxy-Authorization`, where it wants one.
    pub authorization: Option<&'a str>,
}

/// The versions from the newest to the oldest.
pub const VERSIONS: [Api; 5] = [Api::V4, Api::V3, Api::V2, Api::V1, Api::V0];

/// The oldest version that knows `op`.
pub fn lowest(op: &Op) -> Api {
    match op {
        Op::RemoveBefore { .. } | Op::Timestamp => Api::V3,
        Op::PutOffset { .. } => Api::V1,
        Op::Put { data_present: true, .. } => Api::V4,
        _ => Api::V0,
    }
}

/// Appends the head of a request. The body of a put follows it, as long as `op` says; that of keeplocked in chunks.
pub fn write(endpoint: &Endpoint<'_>, api: Api, op: &Op, credentials: Option<&Credentials>, out: &mut Vec<u8>) {
    let method: &[u8] = if matches!(op, Op::Get { .. }) { b"GET " } else { b"POST " };
    out.extend_from_slice(method);
    if endpoint.proxy.is_some() {
        out.extend_from_slice(b"http://");
        out.extend_from_slice(endpoint.host.as_bytes());
    }
    target(endpoint, api, op, out);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(endpoint.host.as_bytes());
    out.extend_from_slice(match op {
        Op::Get { .. } => b"\r\nAccept: application/octet-stream",
        _ => b"\r\nAccept: application/json;charset=utf-8,application/json",
    });
    match op {
        Op::Get { .. } => {}
        Op::Put { len, .. } => {
            out.extend_from_slice(b"\r\nContent-Type: application/octet-stream");
            header("Content-Length", *len, out);
            header("X-git-annex-data-length", *len, out);
        }
        Op::KeepLocked { .. } => out.extend_from_slice(
            b"\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json;charset=utf-8\
              \r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=1200",
        ),
        _ => header("Content-Length", 0, out),
    }
    if let Some(credentials) = credentials {
        out.extend_from_slice(b"\r\nAuthorization: Basic ");
        out.extend_from_slice(credentials.encode().as_bytes());
    }
    if let Some(authorization) = endpoint.proxy.and_then(|proxy| proxy.authorization) {
        out.extend_from_slice(b"\r\nProxy-Authorization: ");
        out.extend_from_slice(authorization.as_bytes());
    }
    out.extend_from_slice(concat!("\r\nUser-Agent: git-annex-remote-stream/", env!("CARGO_PKG_VERSION")).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// What a keeplocked request sends to keep the lock, as a chunk.
pub const KEEP: &[u8] = b"11\r\n{\"unlock\":false}\n\r\n";
/// What it sends to let go of it, and the end of the body.
pub const UNLOCK: &[u8] = b"10\r\n{\"unlock\":true}\n\r\n0\r\n\r\n";

fn target(endpoint: &Endpoint<'_>, api: Api, op: &Op, out: &mut Vec<u8>) {
    out.extend_from_slice(endpoint.prefix);
    out.extend_from_slice(b"/git-annex/");
    escape(endpoint.server.as_bytes(), out);
    out.extend_from_slice(match api {
        Api::Unversioned => b"",
        Api::V0 => b"/v0",
        Api::V1 => b"/v1",
        Api::V2 => b"/v2",
        Api::V3 => b"/v3",
        Api::V4 => b"/v4",
    });
    let (word, key) = match op {
        Op::CheckPresent { key } => ("/checkpresent", Some(key)),
        Op::Lock { key } => ("/lockcontent", Some(key)),
        Op::KeepLocked { .. } => ("/keeplocked", None),
        Op::Remove { key } => ("/remove", Some(key)),
        Op::RemoveBefore { key, .. } => ("/remove-before", Some(key)),
        Op::Timestamp => ("/gettimestamp", None),
        Op::Put { key, .. } => ("/put", Some(key)),
        Op::PutOffset { key } => ("/putoffset", Some(key)),
        Op::Get { key, .. } => {
            out.extend_from_slice(b"/key/");
            value(key.as_bytes(), out);
            ("", None)
        }
    };
    out.extend_from_slice(word.as_bytes());
    let mut query = Query { out, between: b'?' };
    if let Some(key) = key {
        query.add("key", key.as_bytes());
    }
    if let Op::KeepLocked { lockid } = op {
        query.add("lockid", lockid);
    }
    query.add("clientuuid", endpoint.client.as_bytes());
    if api >= Api::V2 {
        endpoint.bypass.iter().for_each(|gateway| query.add("bypass", gateway.as_bytes()));
    }
    match op {
        Op::RemoveBefore { timestamp, .. } => query.number("timestamp", *timestamp),
        Op::Get { file, offset, .. } | Op::Put { file, offset, .. } => {
            if let Some(file) = file {
                query.add("associatedfile", file);
            }
            if *offset > 0 || matches!(op, Op::Put { .. }) {
                query.number("offset", *offset);
            }
            if matches!(op, Op::Put { data_present: true, .. }) {
                query.add("data-present", b"true");
            }
        }
        _ => {}
    }
}

struct Query<'a> {
    out: &'a mut Vec<u8>,
    between: u8,
}

impl Query<'_> {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.out.push(self.between);
        self.between = b'&';
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
        value(bytes, self.out);
    }

    fn number(&mut self, name: &str, number: u64) {
        self.add(name, number.to_string().as_bytes());
    }
}

fn header(name: &str, value: u64, out: &mut Vec<u8>) {
    write!(out, "\r\n{name}: {value}").expect("a Vec takes all");
}

/// A key, name or uuid: percent-encoded, and in brackets where it could not be read back otherwise.
fn value(bytes: &[u8], out: &mut Vec<u8>) {
    let bracketed = matches!(bytes, [b'[', .., b']']);
    if bracketed || std::str::from_utf8(bytes).is_err() {
        escape(wrapped(bytes).as_bytes(), out);
    } else {
        escape(bytes, out);
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(percent::encode(bytes, b"").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::super::auth::Password;
    use super::*;
    use crate::name::Key;

    fn written(api: Api, op: &Op, credentials: Option<&Credentials>) -> String {
        let uuid = |bytes: &[u8]| Uuid::parse(bytes).expect("a uuid");
        let (server, client) = (uuid(b"s"), uuid(b"c"));
        let endpoint =
            Endpoint { host: "h:9417", proxy: None, prefix: b"/org", server: &server, client: &client, bypass: &[] };
        let mut out = Vec::new();
        write(&endpoint, api, op, credentials, &mut out);
        String::from_utf8(out).expect("text").replace(env!("CARGO_PKG_VERSION"), "N")
    }

    fn key() -> Key {
        Key::parse(b"WORM-s5-m1--wo,3 [2]/rm").expect("a key")
    }

    #[test]
    fn a_question_is_what_git_annex_asks() {
        assert_eq!(
            written(Api::V4, &Op::CheckPresent { key: key() }, None),
            "POST /org/git-annex/s/v4/checkpresent?key=WORM-s5-m1--wo%2C3%20%5B2%5D%2Frm&clientuuid=c HTTP/1.1\r\n\
             Host: h:9417\r\nAccept: application/json;charset=utf-8,application/json\r\nContent-Length: 0\r\n\
             User-Agent: git-annex-remote-stream/N\r\n\r\n"
        );
    }

    #[test]
    fn a_proxy_is_told_all_of_the_url() {
        let uuid = |bytes: &[u8]| Uuid::parse(bytes).expect("a uuid");
        let (server, client) = (uuid(b"s"), uuid(b"c"));
        for (authorization, login) in [(None, ""), (Some("Basic x"), "Proxy-Authorization: Basic x\r\n")] {
            let proxy = Some(Via { authorization });
            let endpoint =
                Endpoint { host: "h:9417", proxy, prefix: b"/org", server: &server, client: &client, bypass: &[] };
            let mut out = Vec::new();
            write(&endpoint, Api::V3, &Op::Timestamp, None, &mut out);
            let said = String::from_utf8(out).expect("text");
            assert!(said.starts_with(
                "POST http://h:9417/org/git-annex/s/v3/gettimestamp?clientuuid=c HTTP/1.1\r\nHost: h:9417\r\n"
            ));
            assert!(said.contains(&format!("Content-Length: 0\r\n{login}User-Agent")), "{said}");
        }
    }

    #[test]
    fn gateways_that_are_not_to_be_asked_are_named_from_version_2_on() {
        let uuid = |bytes: &[u8]| Uuid::parse(bytes).expect("a uuid");
        let (server, client, bypass) = (uuid(b"s"), uuid(b"c"), [uuid(b"g1"), uuid(b"g2")]);
        let endpoint =
            Endpoint { host: "h", proxy: None, prefix: b"", server: &server, client: &client, bypass: &bypass };
        for api in VERSIONS {
            let mut out = Vec::new();
            write(&endpoint, api, &Op::Remove { key: key() }, None, &mut out);
            let said = String::from_utf8(out).expect("text");
            let named = said.lines().next().is_some_and(|line| line.contains("&clientuuid=c&bypass=g1&bypass=g2 "));
            assert_eq!(named, api >= Api::V2, "{said}");
            assert_eq!(said.contains("bypass"), named, "{said}");
        }
    }

    #[test]
    fn targets_have_their_parameters_in_the_order_of_git_annex() {
        let file = |name: &[u8]| Some(name.to_vec());
        let put = |offset, file, data_present| Op::Put { key: key(), file, offset, len: 7, data_present };
        let k = "WORM-s5-m1--wo%2C3%20%5B2%5D%2Frm";
        for (api, op, target) in [
            (Api::V0, Op::Lock { key: key() }, format!("v0/lockcontent?key={k}&clientuuid=c")),
            (Api::V4, Op::KeepLocked { lockid: b"a b".to_vec() }, "v4/keeplocked?lockid=a%20b&clientuuid=c".into()),
            (Api::V1, Op::Remove { key: key() }, format!("v1/remove?key={k}&clientuuid=c")),
            (
                Api::V3,
                Op::RemoveBefore { key: key(), timestamp: 9 },
                format!("v3/remove-before?key={k}&clientuuid=c&timestamp=9"),
            ),
            (Api::V3, Op::Timestamp, "v3/gettimestamp?clientuuid=c".into()),
            (Api::V2, Op::PutOffset { key: key() }, format!("v2/putoffset?key={k}&clientuuid=c")),
            (
                Api::V4,
                put(0, file(b"[br].txt"), false),
                format!("v4/put?key={k}&clientuuid=c&associatedfile=%5Bbr%5D.txt&offset=0"),
            ),
            (Api::V4, put(3, None, true), format!("v4/put?key={k}&clientuuid=c&offset=3&data-present=true")),
            // Taken for base64 otherwise, or no text at all.
            (
                Api::V4,
                Op::Get { key: key(), file: file(b"[br]"), offset: 0 },
                format!("v4/key/{k}?clientuuid=c&associatedfile=%5BW2JyXQ%3D%3D%5D"),
            ),
            (
                Api::V4,
                Op::Get { key: key(), file: file(b"\xff"), offset: 5 },
                format!("v4/key/{k}?clientuuid=c&associatedfile=%5B_w%3D%3D%5D&offset=5"),
            ),
        ] {
            let said = written(api, &op, None);
            let line = said.lines().next().expect("a line");
            assert!(line.contains(&format!(" /org/git-annex/s/{target} HTTP/1.1")), "{line}\n{target}");
        }
    }

    #[test]
    fn an_upload_announces_its_length_twice_and_a_password_goes_where_it_belongs() {
        let op = Op::Put { key: key(), file: None, offset: 2, len: 7, data_present: false };
        let credentials = Credentials { name: b"alice".to_vec(), password: Password::new(b"pw1".to_vec()) };
        let said = written(Api::V4, &op, Some(&credentials));
        assert!(said.contains("\r\nContent-Length: 7\r\nX-git-annex-data-length: 7\r\n"), "{said}");
        assert!(said.contains("\r\nAuthorization: Basic YWxpY2U6cHcx\r\n"), "{said}");
    }

    #[test]
    fn a_lock_is_kept_and_let_go_in_whole_chunks() {
        use super::super::super::body::BodyReader;
        use super::super::super::head::Body;
        let mut reader = BodyReader::new(Body::Chunked);
        let both = [KEEP, UNLOCK].concat();
        let (mut rest, mut lines) = (both.as_slice(), Vec::new());
        while let Some(piece) = reader.next(&mut rest).expect("chunks") {
            lines.extend_from_slice(piece);
        }
        assert!(reader.is_done() && rest.is_empty());
        assert_eq!(lines, b"{\"unlock\":false}\n{\"unlock\":true}\n");
    }
}
