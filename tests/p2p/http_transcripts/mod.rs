//! Every exchange of `testdata/http/`, answered by `proto::http` as the real server answered it.

pub mod behind;
pub mod differences;
mod model;
pub mod replay;
pub mod transcript;

use behind::BEHIND;
use differences::{DIFFERENCES, settle};
use model::Model;
use transcript::{Answer, Told, escaped};

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

#[test]
fn every_exchange_is_answered_as_recorded_or_as_listed() {
    let all = transcript::all();
    assert!(all.len() > 970, "transcripts are missing: {} exchanges", all.len());
    for step in [usize::MAX, 1, 7] {
        let mut model = Model::new();
        let (mut file, mut flags, mut told) = ("", "", Told::default());
        let mut used = vec![false; DIFFERENCES.len()];
        for exchange in &all {
            if file != exchange.file {
                (file, model, told) = (&exchange.file, Model::new(), Told::default());
            }
            if let Some(next) = &exchange.flags {
                flags = next;
                model.restart(flags);
            }
            if let Some((key, bytes)) = &exchange.partial {
                model.begin(key, bytes);
            }
            // Ours does not start where nobody may do anything; the real one tells of repositories even then.
            if flags.is_empty() && exchange.name.ends_with("unknown uuid") {
                continue;
            }
            let raw = model.answer(&exchange.request(&told), step, exchange.closed);
            if exchange.closed {
                continue;
            }
            let mut answer = read_answer(&raw);
            settle(&mut answer, &mut told);
            let place = format!("{file}, {flags}, {}: {:?}", exchange.name, exchange.head);
            match DIFFERENCES.iter().position(|difference| difference.concerns(exchange, flags)) {
                None => assert_eq!(answer, exchange.answer, "{place}"),
                Some(at) => {
                    used[at] = true;
                    let ours = &DIFFERENCES[at];
                    assert_eq!(
                        (answer.status, answer.body.as_str()),
                        (ours.status, ours.body),
                        "{place}: {}",
                        ours.why
                    );
                    assert_ne!(answer, exchange.answer, "no difference any more: {place}");
                }
            }
        }
        assert!(used.iter().all(|used| *used), "differences that no transcript shows: {used:?}");
    }
}

#[test]
fn every_exchange_with_what_is_behind_is_answered_as_recorded_or_as_listed() {
    let all = transcript::proxied();
    let uuids = ["00000000-0000-4000-8000-00000000d001", "00000000-0000-4000-8000-00000000b001"];
    for step in [usize::MAX, 1, 7] {
        let mut models = Vec::new();
        let (mut file, mut flags, mut told) = ("", "", Told::default());
        for exchange in &all {
            if file != exchange.file {
                (file, told) = (&exchange.file, Told::default());
                models = uuids.into_iter().zip([true, false]).map(|(uuid, special)| Model::of(uuid, special)).collect();
                models.push(Model::new());
            }
            if let Some(next) = &exchange.flags {
                flags = next;
                models.iter_mut().for_each(|model| model.restart(flags));
            }
            let path = exchange.head.lines().next().unwrap_or_default();
            let at = uuids.iter().position(|uuid| path.contains(&format!("/git-annex/{uuid}/"))).unwrap_or(uuids.len());
            let raw = models[at].answer(&exchange.request(&told), step, exchange.closed);
            if exchange.closed {
                continue;
            }
            let mut answer = read_answer(&raw);
            settle(&mut answer, &mut told);
            let place = format!("{file}, {flags}, {}: {:?}", exchange.name, exchange.head);
            match BEHIND.iter().find(|one| one.concerns(exchange)) {
                None => assert_eq!(answer, exchange.answer, "{place}"),
                Some(ours) => assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (ours.status, ours.body),
                    "{place}, {}",
                    ours.name
                ),
            }
        }
    }
}

#[test]
fn every_difference_is_named_in_the_documentation() {
    let page = include_str!("../../../docs/protocols.md");
    for difference in DIFFERENCES {
        for name in difference.names {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/protocols.md does not name `{name}`: {}",
                difference.why
            );
        }
    }
}
