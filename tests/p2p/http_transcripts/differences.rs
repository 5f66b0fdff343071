//! Where answers differ from the real server's on purpose, shared by all that replay the transcripts.

use super::transcript::{Answer, Exchange, Told};

/// What is answered differently on purpose: file, a test on flags and name, our status and body, and why.
///
/// Not listed, since it holds for every answer: Content-Length where the real server sends chunks.
pub struct Difference {
    pub file: &'static str,
    pub flags: &'static str,
    pub names: &'static [&'static str],
    pub status: u16,
    pub body: &'static str,
    pub why: &'static str,
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "01-endpoints",
        flags: "",
        names: &["v0 remove while locked", "v1 remove while locked"],
        status: 200,
        body: r#"{"removed":false}"#,
        why: "locked content is no fault of the server: the real one says 500",
    },
    Difference {
        file: "01-endpoints",
        flags: "",
        names: &["v2 remove while locked", "v3 remove while locked", "v4 remove while locked"],
        status: 200,
        body: r#"{"plusuuids":[],"removed":false}"#,
        why: "as above",
    },
    Difference {
        file: "01-endpoints",
        flags: "",
        names: &["unversioned GET Range"],
        status: 206,
        body: "llo",
        why: "Range is served to clients that are not git-annex",
    },
    Difference {
        file: "01-endpoints",
        flags: "",
        names: &["unversioned GET absent", "unversioned HEAD absent"],
        status: 404,
        body: "",
        why: "clients that are not git-annex take 200 for the content",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["v9 checkpresent", "v5 checkpresent", "v checkpresent", "v9 GET"],
        status: 404,
        body: "",
        why: "git-annex tries an older version on 404 only, as its documentation says",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["key with newline"],
        status: 400,
        body: "Error parsing query parameter key failed: key parse error",
        why: "a key is a line of a log",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["clientuuid with space"],
        status: 400,
        body: "Error parsing query parameter clientuuid failed: not a UUID",
        why: "a uuid is a word of a log",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["GET offset in hex"],
        status: 400,
        body: "Error parsing query parameter offset failed: offset parse error",
        why: "numbers are digits",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["put negative data-length"],
        status: 400,
        body: "Error parsing header X-git-annex-data-length failed: X-git-annex-data-length parse error",
        why: "a length is not negative",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["no Host"],
        status: 400,
        body: "Host is required",
        why: "RFC 9112 asks for it",
    },
    Difference {
        file: "02-errors",
        flags: "",
        names: &["two lengths"],
        status: 400,
        body: "repeated Content-Length",
        why: "a request that can be read in two ways can be smuggled",
    },
    Difference {
        file: "03-auth",
        flags: "--unauth-appendonly --unauth-nolocking",
        names: &["lockcontent", "keeplocked"],
        status: 403,
        body: "",
        why: "--unauth-nolocking is documented to prevent locks here too",
    },
    Difference {
        file: "03-auth",
        flags: "--authenv-http",
        names: &["anonymous: unknown uuid", "alice:x: unknown uuid", "zed:: unknown uuid"],
        status: 401,
        body: "",
        why: "strangers do not learn which repositories there are",
    },
    Difference {
        file: "15-client-locks",
        flags: "",
        names: &["remove after a client was killed that kept a lock"],
        status: 200,
        body: r#"{"plusuuids":[],"removed":false}"#,
        why: "whoever closed the connection, the client may still rely on the lock for its ten minutes",
    },
];

impl Difference {
    /// Whether it is about this exchange, of a server with `flags`.
    pub fn concerns(&self, exchange: &Exchange, flags: &str) -> bool {
        let name = exchange.name.as_str();
        self.file == exchange.file
            && (self.flags.is_empty() || self.flags == flags)
            && self.names.iter().any(|end| name == *end || name.ends_with(&format!(": {end}")))
    }
}

/// What changes from run to run is replaced, and kept for the next requests.
pub fn settle(answer: &mut Answer, told: &mut Told) {
    if let Some((front, id)) = answer.body.clone().split_once(r#""lockid":""#) {
        told.locks.push(id.trim_end_matches("\"}").to_owned());
        answer.body = format!("{front}\"lockid\":\"LOCKID\"}}");
    }
    if let Some(time) = answer.body.strip_prefix(r#"{"timestamp":"#) {
        told.now = time.trim_end_matches('}').parse().expect("seconds");
        answer.body = r#"{"timestamp":SECONDS}"#.to_owned();
    }
}
