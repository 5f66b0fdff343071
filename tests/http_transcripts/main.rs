//! Every exchange of `testdata/http/`, answered by `proto::http` as the real server answered it.

mod model;
mod transcript;

use model::Model;
use transcript::{Answer, Exchange, escaped};

/// What is answered differently on purpose: file, a test on flags and name, our status and body, and why.
///
/// Not listed, since it holds for every answer: Content-Length where the real server sends chunks.
struct Difference {
    file: &'static str,
    flags: &'static str,
    names: &'static [&'static str],
    status: u16,
    body: &'static str,
    #[expect(dead_code, reason = "it is for people")]
    why: &'static str,
}

const DIFFERENCES: &[Difference] = &[
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
];

impl Difference {
    fn concerns(&self, exchange: &Exchange, flags: &str) -> bool {
        let name = exchange.name.as_str();
        self.file == exchange.file
            && (self.flags.is_empty() || self.flags == flags)
            && self.names.iter().any(|end| name == *end || name.ends_with(&format!(": {end}")))
    }
}

fn read_answer(raw: &[u8]) -> Answer {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = std::str::from_utf8(&raw[..end]).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let mut headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .filter(|(name, _)| matches!(name.as_str(), "content-type" | "x-git-annex-data-length" | "www-authenticate"))
        .collect();
    headers.sort();
    Answer { status: status.expect("a status"), headers, body: escaped(&raw[end + 4..]) }
}

/// What changes from run to run is replaced, and the lock id kept for the next request.
fn settle(answer: &mut Answer, lockid: &mut String) {
    if let Some((front, id)) = answer.body.clone().split_once(r#""lockid":""#) {
        *lockid = id.trim_end_matches("\"}").to_owned();
        answer.body = format!("{front}\"lockid\":\"LOCKID\"}}");
    }
    if answer.body.starts_with(r#"{"timestamp":"#) {
        answer.body = r#"{"timestamp":SECONDS}"#.to_owned();
    }
}

#[test]
fn every_exchange_is_answered_as_recorded_or_as_listed() {
    let all = transcript::all();
    assert!(all.len() > 800, "transcripts are missing: {} exchanges", all.len());
    for step in [usize::MAX, 1, 7] {
        let mut model = Model::new();
        let (mut file, mut flags, mut lockid) = ("", "", String::from("none"));
        let mut used = vec![false; DIFFERENCES.len()];
        for exchange in &all {
            if file != exchange.file {
                (file, model) = (&exchange.file, Model::new());
            }
            if let Some(next) = &exchange.flags {
                flags = next;
                model.restart(flags);
            }
            let request = String::from_utf8_lossy(&exchange.request).replace("$LOCKID", &lockid);
            let raw = model.answer(request.as_bytes(), step, exchange.closed);
            if exchange.closed {
                continue;
            }
            let mut answer = read_answer(&raw);
            settle(&mut answer, &mut lockid);
            let place = format!("{file}, {flags}, {}: {request:?}", exchange.name);
            match DIFFERENCES.iter().position(|difference| difference.concerns(exchange, flags)) {
                None => assert_eq!(answer, exchange.answer, "{place}"),
                Some(at) => {
                    used[at] = true;
                    let ours = &DIFFERENCES[at];
                    assert_eq!((answer.status, answer.body.as_str()), (ours.status, ours.body), "{place}");
                    assert_ne!(answer, exchange.answer, "no difference any more: {place}");
                }
            }
        }
        assert!(used.iter().all(|used| *used), "differences that no transcript shows: {used:?}");
    }
}
